//! Request bodies over raw sockets: the limit on buffered bytes, and the response to a body that is too large.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::server::{ApiAnswer, BatonServer, wait_for};
use crate::test_folder::TestFolder;

const MB: usize = 1 << 20;
/// The smallest value that is allowed.
const SETTINGS: &str = "[serve]\nrequest_bodies_mb = 16\n";
const GREET: &str = "name: greet\ninput: {text: string}\nnodes: [{id: say, type: transform, set: {said: '1'}}]\n";

/// A request that is sent in pieces.
struct PartialRequest(TcpStream);

impl PartialRequest {
    fn begin(server: &BatonServer, key: &str, path: &str, bytes: usize) -> Self {
        let address = server.address();
        let mut stream = TcpStream::connect(address).expect("connects");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a limit");
        let head = format!("POST {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {key}\r\n");
        write!(stream, "{head}Content-Length: {bytes}\r\nConnection: close\r\n\r\n").expect("is sent");
        Self(stream)
    }

    fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("the server reads it");
    }

    fn answer(mut self) -> ApiAnswer {
        let mut text = String::new();
        self.0.read_to_string(&mut text).expect("is answered");
        ApiAnswer::of(&text)
    }
}

/// Bytes of request bodies that the server reports as buffered.
fn held(server: &BatonServer) -> usize {
    let metrics = server.get("/metrics", None);
    let line = metrics.lines().find_map(|line| line.strip_prefix("http_request_bodies_bytes "));
    line.and_then(|bytes| bytes.trim().parse().ok()).expect("the metric")
}

#[test]
fn bodies_are_bounded_in_sum_and_one_that_is_too_much_is_told_when_to_come_again() {
    let place = TestFolder::with(&[("baton.toml", SETTINGS), ("workflows/greet.yaml", GREET)]);
    let server = BatonServer::start(&place);
    let key = server.key().expect("a key").to_owned();
    let execute = "/api/v1/workflows/execute";
    // Large in transit, and small once it is parsed.
    let said = |bytes: usize| {
        let blank = " ".repeat(bytes);
        format!(r#"{{{blank}"workflow_id": "greet", "input_data": {{"text": "x"}}}}"#).into_bytes()
    };
    let large = said(15 * MB);
    let mut first = PartialRequest::begin(&server, &key, execute, large.len());
    first.send(&large[..large.len() - 1]);
    wait_for("the first body is held", || (held(&server) >= large.len() - 1).then_some(()));
    for path in [execute, "/v1/chat/completions"] {
        let second = said(2 * MB);
        let mut refused = PartialRequest::begin(&server, &key, path, second.len());
        refused.send(&second);
        let refused = refused.answer();
        assert_eq!(refused.header("retry-after"), Some("1"), "{}", refused.head);
        let body = refused.expect_status(503);
        let code = if path == execute { &body["code"] } else { &body["error"]["code"] };
        assert_eq!(code, "OVERLOADED", "{body}");
    }
    // The first request keeps its memory, and releases all of it.
    first.send(&large[large.len() - 1..]);
    assert_eq!(first.answer().expect_status(200)["status"], "completed");
    wait_for("all is given back", || (held(&server) == 0).then_some(()));
    let done = server.ask(
        &format!("POST {execute}"),
        &key,
        "",
        &json!({ "workflow_id": "greet", "input_data": { "text": "x" } }),
    );
    assert_eq!(done.expect_status(200)["status"], "completed");
}

#[test]
fn a_client_that_sends_on_hears_that_its_body_is_too_large() {
    let place = TestFolder::with(&[("workflows/greet.yaml", GREET)]);
    let server = BatonServer::start(&place);
    let key = server.key().expect("a key").to_owned();
    for (path, key, status) in [
        ("/api/v1/workflows/execute", &*key, 413),
        ("/v1/chat/completions", &*key, 413),
        // A client that is rejected before the body is read still receives the response.
        ("/api/v1/workflows/execute", "baton_wrong", 401),
    ] {
        // One megabyte over the limit: the server reads the rest for at most ten seconds.
        let bytes = 17 * MB;
        let mut sending = PartialRequest::begin(&server, key, path, bytes);
        let piece = vec![b' '; MB];
        for _ in 0..bytes / MB {
            sending.send(&piece);
        }
        let answer = sending.answer();
        assert_eq!(answer.status, status, "{path}: {}", answer.head);
        assert_ne!(answer.body, Value::Null);
    }
}

#[test]
fn as_much_as_one_body_may_have_is_the_least_that_can_be_set() {
    let place = TestFolder::with(&[("baton.toml", "[serve]\nrequest_bodies_mb = 15\n")]);
    place.baton(&["serve", "--listen", "127.0.0.1:0"]).expect_code(2).expect_stderr("request_bodies_mb");
}
