use std::sync::{Arc, Mutex};

use baton_ports::embed::{Embedder, EmbeddingError, EmbeddingRole};
use baton_sim::conformance;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::super::builtin;
use super::EndpointEmbedder;
use crate::config::{EmbedderKey, EmbedderProvider, MemoryConfig};

fn vector(text: &str) -> Vec<f32> {
    builtin::vector(text, EmbeddingRole::Passage)
}

/// Status, optional header line, and body.
type ServerAnswer = (u16, &'static str, String);

/// A local server that answers each request as configured, and records the requests.
struct EmbeddingServer {
    base_url: String,
    heard: Arc<Mutex<Vec<(String, Value)>>>,
}

impl EmbeddingServer {
    async fn start(answer: impl Fn(usize, &Value) -> ServerAnswer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/v1/", listener.local_addr().unwrap());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let ear = heard.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (mut bytes, mut part) = (Vec::new(), [0; 65_536]);
                let (head, body) = loop {
                    let read = stream.read(&mut part).await.unwrap_or(0);
                    bytes.extend_from_slice(&part[..read]);
                    if let Some(parsed) = parsed(&bytes) {
                        break parsed;
                    }
                    assert!(read > 0, "a request was cut off");
                };
                let number = {
                    let mut heard = ear.lock().unwrap();
                    heard.push((head, body.clone()));
                    heard.len()
                };
                let (status, header, text) = answer(number, &body);
                let head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n", text.len());
                let _ = stream.write_all(format!("{head}{header}\r\n{text}").as_bytes()).await;
            }
        });
        Self { base_url, heard }
    }

    fn embedder(&self, settings: Value) -> EndpointEmbedder {
        let mut config: MemoryConfig = serde_json::from_value(settings).unwrap();
        config.base_url = Some(self.base_url.clone());
        config.embedder = EmbedderProvider::OpenAi;
        config.dimensions = config.dimensions.or(Some(1024));
        EndpointEmbedder::new(&config).unwrap()
    }

    fn heard(&self) -> Vec<(String, Value)> {
        self.heard.lock().unwrap().clone()
    }
}

/// Head and body, once complete.
fn parsed(bytes: &[u8]) -> Option<(String, Value)> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some((head.to_owned(), serde_json::from_str(body).ok()?))
}

/// Vectors of the built-in embedder, in reverse order of the texts.
fn honest(_: usize, body: &Value) -> ServerAnswer {
    let inputs = body["input"].as_array().unwrap().iter().enumerate();
    let mut data: Vec<Value> =
        inputs.map(|(index, text)| json!({"index": index, "embedding": vector(text.as_str().unwrap())})).collect();
    data.reverse();
    (200, "", json!({"data": data, "usage": {"total_tokens": 9}}).to_string())
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[tokio::test]
async fn it_does_what_every_embedder_must() {
    let server = EmbeddingServer::start(honest).await;
    conformance::embedder(async || server.embedder(json!({}))).await;
}

#[tokio::test]
async fn a_request_says_what_openai_says() {
    let server = EmbeddingServer::start(honest).await;
    let embedder = server.embedder(json!({"api_key": " sk-1 ", "passage_prefix": "passage: ", "batch": 2}));
    let found =
        embedder.embed(&"acme".into(), &texts(&["one", "", "two", "three"]), EmbeddingRole::Passage).await.unwrap();
    assert_eq!(found[1], vec![0.0; 1024]);
    assert_eq!(found[2], embedder.embed(&"acme".into(), &texts(&["two"]), EmbeddingRole::Passage).await.unwrap()[0]);
    let heard = server.heard();
    let inputs: Vec<&Value> = heard.iter().map(|(_, body)| &body["input"]).collect();
    assert_eq!(inputs[..2], [&json!(["passage: one"]), &json!(["passage: two", "passage: three"])]);
    let (head, body) = &heard[0];
    assert!(head.starts_with("POST /v1/embeddings HTTP/1.1"), "{head}");
    assert!(head.contains("authorization: Bearer sk-1\r\n"), "{head}");
    assert_eq!((&body["model"], &body["dimensions"]), (&json!("text-embedding-3-small"), &json!(1024)));
}

#[tokio::test]
async fn what_is_for_keeping_is_asked_again_and_a_query_is_not() {
    let busy = |number, body: &Value| match number {
        1 => (429, "retry-after-ms: 1\r\n", "{\"error\": {\"message\": \"slow down\"}}".to_owned()),
        2 => (503, "retry-after: 0.001\r\n", String::new()),
        _ => honest(number, body),
    };
    let server = EmbeddingServer::start(busy).await;
    let found =
        server.embedder(json!({})).embed(&"acme".into(), &texts(&["one"]), EmbeddingRole::Passage).await.unwrap();
    assert_eq!((found.len(), server.heard().len()), (1, 3));

    let server = EmbeddingServer::start(busy).await;
    let failed =
        server.embedder(json!({})).embed(&"acme".into(), &texts(&["one"]), EmbeddingRole::Query).await.unwrap_err();
    assert!(
        matches!(&failed, EmbeddingError::Unavailable { retry_after: Some(wait), .. } if wait.as_millis() == 1),
        "{failed:?}"
    );
    assert!(failed.to_string().contains("429: slow down"), "{failed}");
    assert_eq!(server.heard().len(), 1);
}

#[tokio::test]
async fn what_is_refused_is_not_asked_again() {
    let server =
        EmbeddingServer::start(|_, _| (401, "", json!({"error": {"message": "no such key: sk-secret"}}).to_string()))
            .await;
    let embedder = server.embedder(json!({"api_key": "sk-secret"}));
    let refused = embedder.embed(&"acme".into(), &texts(&["one"]), EmbeddingRole::Passage).await.unwrap_err();
    assert!(matches!(refused, EmbeddingError::Rejected { .. }), "{refused:?}");
    assert!(refused.to_string().contains("401: no such key") && !refused.to_string().contains("secret"), "{refused}");
    assert_eq!(server.heard().len(), 1);
}

#[tokio::test]
async fn an_answer_that_cannot_be_meant_is_refused_with_its_reason() {
    let short = json!({"data": [{"embedding": [1.0, 2.0]}]}).to_string();
    let long = json!({"data": [{"embedding": vector("a")}, {"embedding": vector("b")}]}).to_string();
    let elsewhere = json!({"data": [{"index": 7, "embedding": vector("a")}]}).to_string();
    let cases = [
        (short, "2 dimensions, and 1024"),
        (long, "2 vectors for 1 texts"),
        (elsewhere, "an index that was not asked for"),
        ("{\"data\": [{\"embedding\": [1e999]}]}".to_owned(), "no list of vectors"),
        ("<html>".to_owned(), "no list of vectors"),
        (String::new(), "no list of vectors"),
    ];
    for (body, expect) in cases {
        let server = EmbeddingServer::start(move |_, _| (200, "", body.clone())).await;
        let refused = server
            .embedder(json!({}))
            .embed(&"acme".into(), &texts(&["one"]), EmbeddingRole::Query)
            .await
            .unwrap_err()
            .to_string();
        assert!(refused.contains(expect), "{refused} for {expect}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable_without_its_address() {
    let server = EmbeddingServer::start(honest).await;
    let mut embedder = server.embedder(json!({}));
    embedder.url.set_port(Some(1)).unwrap();
    let failed = embedder.embed(&"acme".into(), &texts(&["one"]), EmbeddingRole::Query).await.unwrap_err();
    assert!(matches!(failed, EmbeddingError::Unavailable { .. }), "{failed:?}");
    assert!(failed.to_string().contains("no connection"), "{failed}");
}

#[test]
fn settings_that_cannot_be_used_are_named() {
    let wrong = |settings: Value| match EndpointEmbedder::new(&serde_json::from_value(settings).unwrap()) {
        Ok(_) => panic!("accepted"),
        Err(wrong) => wrong.to_string(),
    };
    assert!(wrong(json!({"base_url": "ftp://x"})).starts_with("`base_url`: not an http"));
    assert!(wrong(json!({"base_url": "nowhere"})).starts_with("`base_url`: not a URL"));
    assert!(!wrong(json!({"base_url": "http://me:pw@x"})).contains("pw"));
    assert!(wrong(json!({"model": "mine"})).starts_with("`dimensions`: write how many"));
    assert!(wrong(json!({"api_key": "a\nb"})).starts_with("`api_key`"));
    let known = MemoryConfig {
        model: "nomic-embed-text:latest".into(),
        api_key: Some(EmbedderKey::new("")),
        ..MemoryConfig::default()
    };
    assert_eq!(EndpointEmbedder::new(&known).unwrap().space().dimensions, 768);
}

#[test]
fn a_prefix_makes_another_space() {
    let with = MemoryConfig { query_prefix: "query: ".into(), ..MemoryConfig::default() };
    assert_ne!(
        EndpointEmbedder::new(&with).unwrap().space(),
        EndpointEmbedder::new(&MemoryConfig::default()).unwrap().space()
    );
}
