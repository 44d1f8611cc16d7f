//! Slow and silent connections: raw sockets against the server.

use std::time::Duration;

use baton_ports::models::ReplyDelta;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::fixture::{self, ModelScript, PATIENCE, ServerFixture, reply};

/// Upper bound for a response that waits for nothing.
const AT_ONCE: Duration = Duration::from_secs(60);

/// Everything the server sends until it closes the connection.
async fn heard(mut connection: TcpStream) -> String {
    let mut said = Vec::new();
    // A reset connection has already sent everything.
    let read = timeout(AT_ONCE, connection.read_to_end(&mut said)).await.expect("the server closes");
    drop(read);
    String::from_utf8(said).expect("text")
}

/// The code of an error body in OpenAI's format.
fn code(said: &str) -> String {
    let body = said.split_once("\r\n\r\n").expect("a body").1;
    let body: serde_json::Value = serde_json::from_str(body).expect("json");
    body["error"]["code"].as_str().expect("OpenAI's form").to_owned()
}

#[tokio::test]
async fn who_brings_no_key_is_refused_before_any_body_is_read() {
    let world = ServerFixture::start(ModelScript::Answer(reply("Hi"))).await;
    // More connections than there are permits, and none sends a byte of its body.
    for _ in 0..fixture::REQUESTS + 2 {
        let said = heard(world.connect(&world.headers(None, fixture::BODY_BYTES)).await).await;
        assert!(said.starts_with("HTTP/1.1 401 "), "{said}");
        assert_eq!(code(&said), "invalid_api_key");
    }
}

#[tokio::test]
async fn a_body_said_to_be_too_large_is_refused_before_it_comes() {
    let world = ServerFixture::start(ModelScript::Answer(reply("Hi"))).await;
    let said = heard(world.connect(&world.headers(Some(&world.key), 1 << 40)).await).await;
    assert!(said.starts_with("HTTP/1.1 413 "), "{said}");
    assert_eq!(code(&said), "request_too_large");
}

#[tokio::test]
async fn a_body_of_unsaid_size_is_read_no_further_than_the_limit() {
    let world = ServerFixture::start(ModelScript::Answer(reply("Hi"))).await;
    let headers = world.headers(Some(&world.key), 0).replace("Content-Length: 0", "Transfer-Encoding: chunked");
    let chunk = format!("{:x}\r\n{}\r\n", fixture::BODY_BYTES, "x".repeat(fixture::BODY_BYTES));
    let said = heard(world.connect(&format!("{headers}{chunk}{chunk}")).await).await;
    assert!(said.starts_with("HTTP/1.1 413 "), "{said}");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_given_up_and_its_place_with_it() {
    let world = ServerFixture::start(ModelScript::Answer(reply("Hi"))).await;
    let stalled = |part: &'static str| {
        let headers = world.headers(Some(&world.key), 64);
        let world = &world;
        async move { world.connect(&format!("{headers}{part}")).await }
    };
    let mut held = Vec::new();
    for _ in 0..fixture::REQUESTS {
        held.push(stalled("{\"model\": ").await);
    }
    for connection in held {
        let said = heard(connection).await;
        assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
        assert_eq!(code(&said), "request_timeout");
    }
    let hello = serde_json::json!({ "model": "fast", "messages": [{"role": "user", "content": "Hello"}] });
    assert_eq!(world.post(&hello).await.status(), 200);
    assert_eq!(world.request_count(), 1);
}

#[tokio::test]
async fn a_body_that_is_cut_off_is_no_request() {
    let world = ServerFixture::start(ModelScript::Answer(reply("Hi"))).await;
    let mut connection = world.connect(&format!("{}{{", world.headers(Some(&world.key), 64))).await;
    connection.shutdown().await.expect("half closed");
    heard(connection).await;
    assert_eq!(world.request_count(), 0);
}

#[tokio::test]
async fn headers_that_dribble_are_not_waited_for() {
    let world = ServerFixture::start(ModelScript::Hang(ReplyDelta::Text("Hi".into()))).await;
    let began = Instant::now();
    let silent = world.connect("").await;
    let dribbling = world.connect("POST /v1/chat/completions HTTP/1.1\r\nHost: ba").await;
    assert_eq!((heard(silent).await, heard(dribbling).await), (String::new(), String::new()));
    assert!(began.elapsed() >= PATIENCE, "{:?}", began.elapsed());
}
