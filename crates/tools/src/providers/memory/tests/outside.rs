//! `knowledge_base` by Chroma and Pinecone.

use std::time::Duration;

use baton_core::tool::Outcome;
use baton_ports::embed::{Embedder, Role, Space};
use serde_json::{Value, json};

use super::*;
use crate::testing::service::{Asked, Says, Service, json as answer};

/// Knows three words.
struct Three(Space);

#[async_trait]
impl Embedder for Three {
    fn space(&self) -> &Space {
        &self.0
    }

    async fn embed(&self, texts: &[String], role: Role) -> Result<Vec<Vec<f32>>, baton_ports::embed::Error> {
        assert_eq!(role, Role::Query);
        let one = |text: &String| match text.as_str() {
            "refunds" => Ok(vec![1.0, 0.0, 0.0]),
            "hours" => Ok(vec![0.0, 1.0, 0.0]),
            "down" => Err(baton_ports::embed::Error::Unavailable {
                space: "three".to_owned(),
                reason: "gone".to_owned(),
                retry_after: None,
            }),
            _ => Ok(vec![0.0, 0.0, 1.0]),
        };
        texts.iter().map(one).collect()
    }
}

fn world(knowledge: Value) -> World {
    let embedder = Three(Space { name: "three".to_owned(), dimensions: 3 });
    World::knowing(json!({"knowledge": knowledge}), Arc::new(Recalls::default()), Arc::new(embedder))
}

fn chroma(url: &str) -> World {
    world(json!({"chroma": {"base_url": url, "token": "ck-s3cr3t"}}))
}

const COLLECTIONS: &str = "/api/v2/tenants/default_tenant/databases/default_database/collections";

/// What Chroma 1.5 answered to these requests.
fn recorded(asked: &Asked) -> Says {
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
    let service = Service::start(recorded).await;
    let world = chroma(&service.url(""));
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
    let asked = service.asked();
    assert_eq!(asked[0].target, format!("{COLLECTIONS}/clinic"));
    assert_eq!(asked[1].target, format!("{COLLECTIONS}/b64d84fa/query"));
    assert_eq!(asked[1].header("x-chroma-token"), Some("ck-s3cr3t"));
    let body = asked[1].json();
    assert_eq!((&body["query_embeddings"], &body["n_results"]), (&json!([[1.0, 0.0, 0.0]]), &json!(2)));
    assert_eq!(body["where"], json!({"$and": [{"kind": {"$in": ["a", "b"]}}, {"lang": {"$eq": "en"}}]}));
}

#[tokio::test]
async fn a_knowledge_base_that_cannot_be_asked_is_empty_and_says_so() {
    let broken: [fn(&Asked) -> Says; 4] = [
        |_| Says::HangsUp,
        |_| answer(500, &json!({"error": "InternalError", "message": "oops"})),
        |_| Says::Answer(429, String::new(), String::new()),
        |_| Says::Answer(200, String::new(), "<html>".to_owned()),
    ];
    for says in broken {
        let service = Service::start(says).await;
        let found = chroma(&service.url("")).done("k", "knowledge_base", json!({"query": "refunds"})).await;
        assert_eq!((&found["count"], &found["degraded"]), (&json!(0), &json!(true)));
        assert!(found["degraded_reason"].is_string());
    }
    let service = Service::start(recorded).await;
    let found = chroma(&service.url("")).done("k", "knowledge_base", json!({"query": "down"})).await;
    assert!(found["degraded_reason"].as_str().unwrap().contains("gone"), "{found}");
}

#[tokio::test(start_paused = true)]
async fn one_that_is_slow_is_empty_before_the_tools_own_time_is_over() {
    let service = Service::start(|_| Says::Nothing).await;
    let world = chroma(&service.url(""));
    let call = world.call("k", "knowledge_base", json!({"query": "refunds"}));
    let found = done(world.send_within(&call, Duration::from_secs(3)).await.outcome);
    assert_eq!((&found["count"], &found["degraded"]), (&json!(0), &json!(true)));
}

#[tokio::test]
async fn what_somebody_must_mend_is_an_error() {
    for (status, name, said) in [
        (404, "NotFoundError", "Collection [clinic] does not exist"),
        (400, "InvalidArgumentError", "Collection expecting embedding with dimension of 256, got 3"),
        (401, "AuthError", "Unauthorized ck-s3cr3t"),
    ] {
        let service = Service::start(move |_| answer(status, &json!({"error": name, "message": said}))).await;
        let (code, message) =
            chroma(&service.url("")).refused("k", "knowledge_base", json!({"query": "refunds"})).await;
        assert_eq!(code, "SERVICE_REJECTED");
        assert!(message.contains(&said.replace("ck-s3cr3t", "[REDACTED]")), "{message}");
    }
}

#[tokio::test]
async fn pinecone_is_asked_by_vector_or_by_words() {
    let service = Service::start(|asked| match asked.target.as_str() {
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
        Outcome::Done { cost, .. } => assert!((cost.as_f64() - 0.002).abs() < 1e-9),
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
    let asked = service.asked();
    assert_eq!(
        (asked[0].header("api-key"), asked[0].header("x-pinecone-api-version")),
        (Some("pc-s3cr3t"), Some("2025-10"))
    );
    let body = asked[0].json();
    assert_eq!(
        (&body["namespace"], &body["topK"], &body["filter"]),
        (&json!("clinic"), &json!(5), &json!({"lang": {"$eq": "en"}}))
    );
    assert_eq!(asked[1].target, "/records/namespaces/kb-clinic/search");
    assert_eq!(asked[1].json(), json!({"query": {"inputs": {"text": "opening times"}, "top_k": 3}}));
}

#[tokio::test]
async fn an_index_without_its_key_is_named() {
    let world = world(json!({"pinecone": {"host": "https://x.svc.pinecone.io"}}));
    assert_eq!(world.refused("k", "knowledge_base", json!({"query": "x"})).await.0, "SERVICE_NOT_CONFIGURED");
    assert_eq!(world.registry.lacks()[0].setting, "tools.knowledge.pinecone.api_key");
}

/// `cargo xtask test` starts the server and runs this.
#[tokio::test]
#[ignore = "needs a Chroma server, whose address TEST_CHROMA_URL names"]
async fn a_real_chroma_answers_in_the_shape_that_was_recorded() {
    let url = std::env::var("TEST_CHROMA_URL").expect("TEST_CHROMA_URL names a Chroma server");
    let base = serde_json::from_value(json!(url)).unwrap();
    let outbound = Arc::new(crate::outbound::Outbound::new(crate::settings::Outbound::default()));
    let direct = crate::vendor::Vendor::new("chroma", base, outbound, |_| None);
    let root = ["api", "v2", "tenants", "default_tenant", "databases", "default_database", "collections"];
    let made = direct.post(&root).json(&json!({"name": "clinic"})).send(Class::Read).await.unwrap().value();
    let add = [&root[..], &[made["id"].as_str().unwrap(), "add"]].concat();
    let records = json!({
        "ids": ["policy", "opening"], "embeddings": [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]],
        "documents": ["Refunds take 14 days.", "We open at nine."], "metadatas": [{"lang": "en", "page": 1}, {"lang": "en", "page": 2}],
    });
    direct.post(&add).json(&records).send(Class::Read).await.unwrap();

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
}
