//! `knowledge_base` with Chroma and Pinecone.

use std::time::Duration;

use baton_core::tool::ToolOutcome;
use baton_ports::embed::{Embedder, EmbeddingRole, VectorSpace};
use baton_ports::tools::CheckResult;
use serde_json::{Value, json};

use super::*;
use crate::providers::memory::knowledge::{ExternalKnowledgeBase, IndexedChunk};
use crate::testing::service::{CannedResponse, FakeService, RecordedRequest, json as answer};

/// An embedder that knows three words.
struct ThreeWordEmbedder(VectorSpace);

#[async_trait]
impl Embedder for ThreeWordEmbedder {
    fn space(&self) -> &VectorSpace {
        &self.0
    }

    async fn embed(
        &self,
        _: &baton_ports::embed::EmbeddingPayer,
        texts: &[String],
        _: EmbeddingRole,
    ) -> Result<Vec<Vec<f32>>, baton_ports::embed::EmbeddingError> {
        let one = |text: &String| match text.as_str() {
            text if text.contains("efunds") => Ok(vec![1.0, 0.0, 0.0]),
            "hours" => Ok(vec![0.0, 1.0, 0.0]),
            "down" => Err(baton_ports::embed::EmbeddingError::Unavailable {
                space: "three".to_owned(),
                reason: "gone".to_owned(),
                retry_after: None,
            }),
            _ => Ok(vec![0.0, 0.0, 1.0]),
        };
        texts.iter().map(one).collect()
    }
}

fn world(knowledge: Value) -> ToolsFixture {
    let embedder = ThreeWordEmbedder(VectorSpace { name: "three".to_owned(), dimensions: 3 });
    ToolsFixture::with_knowledge(
        json!({"knowledge": knowledge}),
        Arc::new(FakeAgentMemory::default()),
        Arc::new(embedder),
    )
}

fn chroma(url: &str) -> ToolsFixture {
    world(json!({"chroma": {"base_url": url, "token": "ck-s3cr3t"}}))
}

const COLLECTIONS: &str = "/api/v2/tenants/default_tenant/databases/default_database/collections";

/// Chroma 1.5's recorded responses to these requests.
fn recorded(asked: &RecordedRequest) -> CannedResponse {
    match asked.method.as_str() {
        "GET" => {
            answer(200, &json!({"id": "b64d84fa", "name": "clinic", "dimension": 3, "metadata": null, "version": 0}))
        }
        _ => answer(
            200,
            &json!({
                "ids": [["a", "b"]], "embeddings": null, "documents": [["Refunds take 14 days.", null]], "uris": null,
                "metadatas": [[{"title": "Policy", "source": "policy.md", "lang": "en"}, null]],
                "distances": [[0.25, 1.0]], "include": ["documents", "metadatas", "distances"],
            }),
        ),
    }
}

#[tokio::test]
async fn chroma_is_asked_by_vector_in_the_tenants_own_collection() {
    let service = FakeService::start(recorded).await;
    let world = chroma(&service.url(""));
    let whose = [json!({"tenant": {"$eq": "clinic"}}), json!({"customer": {"$in": [""]}})];
    let asking = json!({"query": "refunds", "top_k": 2, "filters": {"kind": ["a", "b"], "lang": "en"}});
    let found = world.done("k", "search_kb", asking).await;
    assert_eq!((&found["provider"], &found["count"], &found["degraded"]), (&json!("chroma"), &json!(2), &json!(false)));
    let first = &found["results"][0];
    assert_eq!(
        (&first["content"], &first["score"], &first["citation"]),
        (&json!("Refunds take 14 days."), &json!(0.8), &json!(1))
    );
    assert_eq!(
        (&first["document"], &first["title"], &first["metadata"]["lang"]),
        (&json!("policy.md"), &json!("Policy"), &json!("en"))
    );
    let asked = service.received();
    assert_eq!(asked[0].target, format!("{COLLECTIONS}/clinic"));
    assert_eq!(asked[1].target, format!("{COLLECTIONS}/b64d84fa/query"));
    assert_eq!(asked[1].header("x-chroma-token"), Some("ck-s3cr3t"));
    let body = asked[1].json();
    assert_eq!((&body["query_embeddings"], &body["n_results"]), (&json!([[1.0, 0.0, 0.0]]), &json!(2)));
    assert_eq!(
        body["where"],
        json!({"$and": [whose[0], whose[1], {"kind": {"$in": ["a", "b"]}}, {"lang": {"$eq": "en"}}]})
    );
}

#[tokio::test]
async fn an_index_that_cannot_be_asked_is_a_service_that_is_down() {
    let broken: [fn(&RecordedRequest) -> CannedResponse; 3] = [
        |_| CannedResponse::Disconnect,
        |_| answer(500, &json!({"error": "InternalError", "message": "oops"})),
        |_| CannedResponse::Answer(200, String::new(), "<html>".to_owned()),
    ];
    for says in broken {
        let service = FakeService::start(says).await;
        let world = chroma(&service.url(""));
        let (code, message) = world.refused("k", "knowledge_base", json!({"query": "refunds"})).await;
        assert_eq!(code, "SERVICE_UNAVAILABLE", "{message}");
    }
    let service = FakeService::start(recorded).await;
    let (code, message) = chroma(&service.url("")).refused("k", "knowledge_base", json!({"query": "down"})).await;
    assert!(code == "SERVICE_UNAVAILABLE" && message.contains("gone"), "{message}");
    let busy = FakeService::start(|_| CannedResponse::Answer(429, String::new(), String::new())).await;
    let (code, _) = chroma(&busy.url("")).refused("k", "knowledge_base", json!({"query": "refunds"})).await;
    assert_eq!(code, "RATE_LIMIT_EXCEEDED", "it works, and is asked too often");
}

#[tokio::test(start_paused = true)]
async fn one_that_is_slow_is_named_before_the_tools_own_time_is_over() {
    let service = FakeService::start(|_| CannedResponse::NoResponse).await;
    let world = chroma(&service.url(""));
    let call = world.call("k", "knowledge_base", json!({"query": "refunds"}));
    let (code, message) = not_done(world.send_within(&call, Duration::from_secs(3)).await.outcome);
    assert!(code == "TIMEOUT" && message.contains("chroma gave no answer"), "{message}");
}

#[tokio::test]
async fn one_that_fails_five_times_is_left_alone_and_an_answer_counts_from_the_beginning() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    // Its fifth response succeeds; all others fail.
    let service = FakeService::start(move |request| match count.fetch_add(1, Ordering::Relaxed) {
        4 | 5 => recorded(request),
        _ => answer(503, &json!({"error": "InternalError", "message": "oops"})),
    })
    .await;
    let world = chroma(&service.url(""));
    let query = json!({"query": "refunds"});
    for key in ["1", "2", "3", "4"] {
        assert_eq!(world.refused(key, "knowledge_base", query.clone()).await.0, "SERVICE_UNAVAILABLE");
    }
    world.done("5", "knowledge_base", query.clone()).await;
    for key in ["6", "7", "8", "9", "10"] {
        assert_eq!(world.refused(key, "knowledge_base", query.clone()).await.0, "SERVICE_UNAVAILABLE");
    }
    let before = asked.load(Ordering::Relaxed);
    let call = world.call("11", "knowledge_base", query);
    assert!(matches!(world.registry.check(&call, None).await, CheckResult::CircuitOpen { .. }));
    assert_eq!(asked.load(Ordering::Relaxed), before, "nobody asks it");
}

#[tokio::test]
async fn what_somebody_must_mend_is_an_error() {
    for (status, name, said) in [
        (404, "NotFoundError", "Collection [clinic] does not exist"),
        (400, "InvalidArgumentError", "Collection expecting embedding with dimension of 256, got 3"),
        (401, "AuthError", "Unauthorized ck-s3cr3t"),
    ] {
        let service = FakeService::start(move |_| answer(status, &json!({"error": name, "message": said}))).await;
        let (code, message) =
            chroma(&service.url("")).refused("k", "knowledge_base", json!({"query": "refunds"})).await;
        assert_eq!(code, "SERVICE_REJECTED");
        assert!(message.contains(&said.replace("ck-s3cr3t", "[REDACTED]")), "{message}");
    }
}

#[tokio::test]
async fn pinecone_is_asked_by_vector_or_by_words() {
    let service = FakeService::start(|asked| match asked.target.as_str() {
        "/query" => answer(200, &json!({
            "matches": [{"id": "vec1", "score": 0.91, "values": [], "metadata": {"text": "Refunds take 14 days.", "title": "Policy"}}],
            "namespace": "clinic", "usage": {"readUnits": 5},
        })),
        _ => answer(200, &json!({
            "result": {"hits": [{"_id": "rec1", "_score": 0.5, "fields": {"chunk_text": "Open from nine.", "lang": "en"}}]},
            "usage": {"read_units": 6, "embed_total_tokens": 8},
        })),
    })
    .await;
    let by_vector = world(json!({"pinecone": {"host": service.url(""), "api_key": "pc-s3cr3t"}}));
    let performed = by_vector
        .send(&by_vector.call("k", "knowledge_base", json!({"query": "refunds", "filters": {"lang": "en"}})))
        .await;
    match &performed.outcome {
        ToolOutcome::Done { cost, .. } => assert!((cost.as_f64() - 0.002).abs() < 1e-9),
        other => panic!("{other:?}"),
    }
    let found = done(performed.outcome);
    assert_eq!(
        (&found["provider"], &found["results"][0]["content"]),
        (&json!("pinecone"), &json!("Refunds take 14 days."))
    );
    let by_words = world(json!({"pinecone": {
        "host": service.url(""), "api_key": "pc-s3cr3t", "integrated": true, "namespace": "kb-{tenant}", "text_field": "chunk_text",
    }}));
    let found = by_words.done("k", "knowledge_base", json!({"query": "opening times", "top_k": 3})).await;
    assert_eq!(
        (&found["results"][0]["content"], &found["results"][0]["metadata"]),
        (&json!("Open from nine."), &json!({"lang": "en"}))
    );
    let asked = service.received();
    assert_eq!(
        (asked[0].header("api-key"), asked[0].header("x-pinecone-api-version")),
        (Some("pc-s3cr3t"), Some("2025-10"))
    );
    let body = asked[0].json();
    let whose = [json!({"tenant": {"$eq": "clinic"}}), json!({"customer": {"$in": [""]}})];
    let filter = json!({"$and": [whose[0], whose[1], {"lang": {"$eq": "en"}}]});
    assert_eq!((&body["namespace"], &body["topK"], &body["filter"]), (&json!("clinic"), &json!(5), &filter));
    assert_eq!(asked[1].target, "/records/namespaces/kb-clinic/search");
    let query = json!({"inputs": {"text": "opening times"}, "top_k": 3, "filter": {"$and": whose}});
    assert_eq!(asked[1].json(), json!({"query": query}));
}

#[tokio::test]
async fn an_index_without_its_key_is_named() {
    let world = world(json!({"pinecone": {"host": "https://x.svc.pinecone.io"}}));
    assert_eq!(world.refused("k", "knowledge_base", json!({"query": "x"})).await.0, "SERVICE_NOT_CONFIGURED");
    assert_eq!(world.registry.unavailable_providers()[0].setting, "tools.knowledge.pinecone.api_key");
}

/// The external index that the settings name.
fn outside(knowledge: Value) -> ExternalKnowledgeBase {
    let settings = serde_json::from_value(json!({"knowledge": knowledge})).unwrap();
    let embedder = ThreeWordEmbedder(VectorSpace { name: "three".to_owned(), dimensions: 3 });
    ExternalKnowledgeBase::of(&settings, &"clinic".into(), Arc::new(embedder)).unwrap().expect("an index outside")
}

/// A document of two chunks, about one person or about nobody.
fn contract(about: Option<&str>) -> (SourceDocument, [IndexedChunk; 2]) {
    let text = "Refunds take 14 days. We open at nine.".to_owned();
    let document = SourceDocument {
        name: "contract.md".to_owned(),
        title: "Contract".to_owned(),
        subject: about.map(str::to_owned),
        metadata: json!({"lang": "en", "customer": "", "tags": ["a"]}).as_object().cloned().unwrap(),
        text,
        body: Value::Null,
    };
    let piece = |begins, ends| IndexedChunk { heading: "Contract".to_owned(), begins, ends };
    (document, [piece(0, 21), piece(22, 38)])
}

#[tokio::test]
async fn every_piece_says_whose_it_is_and_nobody_is_shown_anothers() {
    let service = FakeService::start(|asked| match asked.target.rsplit('/').next() {
        Some("query") => recorded(asked),
        Some("get") => answer(200, &json!({"ids": []})),
        _ => answer(200, &json!({"id": "b64d84fa"})),
    })
    .await;
    let (document, pieces) = contract(Some("ana"));
    let shelf = outside(json!({"chroma": {"base_url": service.url("")}}));
    shelf.upsert(&document, &pieces).await.unwrap();
    let upsert =
        service.received().into_iter().find(|asked| asked.target.ends_with("/b64d84fa/upsert")).unwrap().json();
    assert_eq!(upsert["documents"], json!(["Refunds take 14 days.", "We open at nine."]));
    assert_eq!(upsert["embeddings"][0], json!([1.0, 0.0, 0.0]));
    let said = &upsert["metadatas"][1];
    assert_eq!((&said["tenant"], &said["customer"]), (&json!("clinic"), &json!("ana")), "whatever its own fields say");
    assert_eq!((&said["document"], &said["chunk"], &said["lang"]), (&json!("contract.md"), &json!(1), &json!("en")));
    assert_ne!(upsert["ids"][0], upsert["ids"][1]);

    let world = chroma(&service.url(""));
    let mut call = world.call("k", "knowledge_base", json!({"query": "refunds", "filters": {"customer": "ben"}}));
    call.caller.user_id = Some("ana".to_owned());
    done(world.send(&call).await.outcome);
    let asked = service.received().last().unwrap().json();
    let expect = [
        json!({"tenant": {"$eq": "clinic"}}),
        json!({"customer": {"$in": ["", "ana"]}}),
        json!({"customer": {"$eq": "ben"}}),
    ];
    assert_eq!(asked["where"], json!({"$and": expect}), "a filter of the caller's only narrows");
}

#[tokio::test]
async fn what_is_said_to_be_deleted_is_gone() {
    let theirs = json!({"$and": [{"tenant": {"$eq": "clinic"}}, {"customer": {"$eq": "ana"}}]});
    let chroma = |url: String| outside(json!({"chroma": {"base_url": url}}));
    let service = FakeService::start(|asked| match asked.target.rsplit('/').next() {
        Some("get") => answer(200, &json!({"ids": []})),
        _ => answer(200, &json!({"id": "b64d84fa"})),
    })
    .await;
    chroma(service.url("")).remove_customer("ana").await.unwrap();
    let asked = service.received();
    let delete = asked.iter().find(|asked| asked.target.ends_with("/b64d84fa/delete")).unwrap();
    assert_eq!(delete.json(), json!({"where": theirs}));
    assert_eq!(chroma(service.url("")).remove_customer("").await.unwrap_err().code, "INVALID_PARAMETERS");

    // One service that reports success and has deleted nothing, one that fails, and one that refuses.
    let still = FakeService::start(|asked| match asked.target.rsplit('/').next() {
        Some("get") => answer(200, &json!({"ids": ["a"]})),
        _ => answer(200, &json!({"id": "b64d84fa"})),
    })
    .await;
    let left = chroma(still.url("")).remove_customer("ana").await.unwrap_err();
    assert!(left.message.contains("still has"), "{left:?}");
    let deletes = still.received().iter().filter(|asked| asked.target.ends_with("/delete")).count();
    assert_eq!(deletes, 3, "it is tried again");
    let broken = FakeService::start(|_| answer(503, &json!({"error": "InternalError", "message": "oops"}))).await;
    assert_eq!(chroma(broken.url("")).remove_customer("ana").await.unwrap_err().code, "SERVICE_UNAVAILABLE");
    assert_eq!(broken.received().len(), 3);
    let refusing = FakeService::start(|_| answer(401, &json!({"error": "AuthError", "message": "no"}))).await;
    assert_eq!(chroma(refusing.url("")).remove_customer("ana").await.unwrap_err().code, "SERVICE_REJECTED");
    assert_eq!(refusing.received().len(), 1);

    let service = FakeService::start(|_| answer(200, &json!({}))).await;
    let pinecone = outside(json!({"pinecone": {"host": service.url(""), "api_key": "pc"}}));
    pinecone.remove_customer("ana").await.unwrap();
    assert_eq!(service.received()[0].target, "/vectors/delete");
    assert_eq!(service.received()[0].json(), json!({"namespace": "clinic", "filter": theirs}));
}

#[tokio::test]
async fn pinecone_keeps_pieces_by_vector_or_by_words() {
    let service = FakeService::start(|_| answer(200, &json!({"upsertedCount": 2}))).await;
    let (document, pieces) = contract(None);
    outside(json!({"pinecone": {"host": service.url(""), "api_key": "pc"}})).upsert(&document, &pieces).await.unwrap();
    let integrated = json!({"pinecone": {"host": service.url(""), "api_key": "pc", "integrated": true}});
    outside(integrated).upsert(&document, &pieces).await.unwrap();
    let asked = service.received();
    let targets: Vec<&str> = asked.iter().map(|asked| asked.target.as_str()).collect();
    let upserts = ["/vectors/upsert", "/records/namespaces/clinic/upsert"];
    assert_eq!(targets, ["/vectors/delete", upserts[0], "/vectors/delete", upserts[1]]);
    let vector = &asked[1].json()["vectors"][0];
    assert_eq!(
        (&vector["values"], &vector["metadata"]["text"]),
        (&json!([1.0, 0.0, 0.0]), &json!("Refunds take 14 days."))
    );
    assert_eq!((&vector["metadata"]["tenant"], &vector["metadata"]["customer"]), (&json!("clinic"), &json!("")));
    let lines: Vec<Value> = asked[3].body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[1]["text"], &lines[1]["customer"]), (2, &json!("We open at nine."), &json!("")));
    assert_eq!(lines[1]["_id"].as_str().map(str::len), Some(64));
}

/// `cargo xtask test` starts the server and runs this.
#[tokio::test]
#[ignore = "needs a Chroma server, whose address TEST_CHROMA_URL names"]
async fn a_real_chroma_answers_in_the_shape_that_was_recorded() {
    let url = std::env::var("TEST_CHROMA_URL").expect("TEST_CHROMA_URL names a Chroma server");
    let base = serde_json::from_value(json!(url)).unwrap();
    let outbound = Arc::new(crate::outbound::OutboundClient::new(crate::settings::OutboundConfig::default()));
    let direct = crate::vendor::VendorApi::new("chroma", base, outbound, |_| None);
    let root = ["api", "v2", "tenants", "default_tenant", "databases", "default_database", "collections"];
    let made = direct.post(&root).json(&json!({"name": "clinic"})).send(EffectClass::Read).await.unwrap().value();
    let add = [&root[..], &[made["id"].as_str().unwrap(), "add"]].concat();
    let records = json!({
        "ids": ["policy", "opening"], "embeddings": [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]],
        "documents": ["Refunds take 14 days.", "We open at nine."], "metadatas": [
            {"lang": "en", "page": 1, "tenant": "clinic", "customer": ""},
            {"lang": "en", "page": 2, "tenant": "clinic", "customer": ""},
        ],
    });
    direct.post(&add).json(&records).send(EffectClass::Read).await.unwrap();

    let world = chroma(&url);
    let found = world.done("a", "knowledge_base", json!({"query": "refunds"})).await;
    let contents: Vec<&str> =
        found["results"].as_array().unwrap().iter().map(|hit| hit["content"].as_str().unwrap()).collect();
    assert_eq!(contents, ["Refunds take 14 days.", "We open at nine."], "nearest first");
    assert_eq!(found["results"][0]["score"], 1.0);
    let filtered = world
        .done("b", "knowledge_base", json!({"query": "refunds", "filters": {"lang": ["en", "es"], "page": 2}}))
        .await;
    assert_eq!((&filtered["count"], &filtered["results"][0]["document"]), (&json!(1), &json!("opening")));
    let mut call = world.call("c", "knowledge_base", json!({"query": "refunds"}));
    call.tenant = "shop".into();
    let (code, message) = not_done(world.send(&call).await.outcome);
    assert_eq!(code, "SERVICE_REJECTED", "another tenant has no collection: {message}");
    assert!(message.contains("shop"), "{message}");

    // Chunks that Baton stores there: those of one person are shown only to that person, and deleted with her.
    let shelf = outside(json!({"chroma": {"base_url": url, "token": "ck-s3cr3t"}}));
    let (document, pieces) = contract(Some("ana"));
    shelf.upsert(&document, &pieces).await.unwrap();
    let shown = async |user: Option<&str>| {
        let mut call = world.call("d", "knowledge_base", json!({"query": "refunds", "top_k": 9}));
        call.caller.user_id = user.map(str::to_owned);
        done(world.send(&call).await.outcome)["count"].clone()
    };
    assert_eq!((shown(None).await, shown(Some("ben")).await, shown(Some("ana")).await), (json!(2), json!(2), json!(4)));
    shelf.upsert(&document, &pieces[..1]).await.unwrap();
    assert_eq!(shown(Some("ana")).await, json!(3), "its old pieces are gone");
    shelf.remove_customer("ana").await.unwrap();
    assert_eq!(shown(Some("ana")).await, json!(2));
}
