use std::time::Duration;

use baton_core::tool::{EffectClass, ToolOutcome};
use baton_ports::tools::ToolGateway as _;
use serde_json::{Value, json};

use crate::testing::service::{CannedResponse, FakeService, RecordedRequest, json as answer};
use crate::testing::{ToolsFixture, done, not_done, unknown};

fn world() -> ToolsFixture {
    ToolsFixture::with(json!({"outbound": {"allow": ["127.0.0.1"], "response_bytes_max": 1_000}}))
}

async fn echo() -> FakeService {
    FakeService::start(|asked: &RecordedRequest| {
        answer(200, &json!({"method": asked.method, "target": asked.target, "body": asked.body}))
    })
    .await
}

#[test]
fn the_class_is_that_of_the_method() {
    let facts = ToolsFixture::new().registry.facts("http_request").unwrap();
    let class = |arguments: Value| facts.for_arguments(&arguments).class;
    assert_eq!(class(json!({"method": "GET"})), EffectClass::Read);
    assert_eq!(class(json!({"method": "HEAD"})), EffectClass::Read);
    assert_eq!(class(json!({"method": "POST"})), EffectClass::Once);
    assert_eq!(class(json!({"method": "POST", "idempotency": true})), EffectClass::Keyed);
    assert_eq!(class(json!({"method": "POST", "idempotency": false})), EffectClass::Once);
    assert_eq!(class(json!({"method": "PUT"})), EffectClass::Once);
    let facts = ToolsFixture::with(json!({"outbound": {"idempotent_methods": ["PUT"]}}))
        .registry
        .facts("http_request")
        .unwrap();
    assert_eq!(facts.for_arguments(&json!({"method": "PUT"})).class, EffectClass::Keyed);
    assert_eq!(facts.for_arguments(&json!({"method": "DELETE"})).class, EffectClass::Once);
}

#[test]
fn a_request_without_a_method_is_a_read() {
    let facts = ToolsFixture::new().registry.facts("http_request").unwrap();
    assert_eq!(facts.for_arguments(&json!({"url": "https://example.com"})).class, EffectClass::Read);
}

#[tokio::test]
async fn a_request_is_made_and_its_answer_told() {
    let (world, service) = (world(), echo().await);
    let output =
        world.done("k", "http_request", json!({"url": service.url("/a?b=1"), "query": {"c": "d e&f", "n": 2}})).await;
    assert_eq!(output["status"], 200);
    assert_eq!(output["body"]["target"], "/a?b=1&c=d+e%26f&n=2");
    assert_eq!(output["headers"]["content-type"], "application/json");
    assert_eq!(output["url"], service.url("/a"));

    let arguments = json!({"method": "POST", "url": service.url("/"), "body": {"x": 1}, "headers": {"X-Api": "y"}, "idempotency": true});
    world.done("run-1/node/0", "http_request", arguments).await;
    let asked = &service.received()[1];
    assert_eq!(asked.json(), json!({"x": 1}));
    assert_eq!(asked.header("idempotency-key"), Some("run-1/node/0"));
    assert_eq!((asked.header("x-api"), asked.header("content-type")), (Some("y"), Some("application/json")));
}

#[tokio::test]
async fn a_key_that_a_header_cannot_carry_is_hashed() {
    let (world, service) = (world(), echo().await);
    let key = format!("run/{}", "ñ".repeat(300));
    world.done(&key, "http_request", json!({"method": "POST", "url": service.url("/"), "idempotency": true})).await;
    assert_eq!(service.received()[0].header("idempotency-key").map(str::len), Some(64));
}

#[tokio::test]
async fn headers_of_the_connection_are_not_taken() {
    let world = world();
    for name in ["Host", "content-length", "Transfer-Encoding", "Connection", "Proxy-Authorization"] {
        let arguments = json!({"url": "http://127.0.0.1:1/", "headers": {name: "x"}});
        let (code, message) = world.refused("k", "http_request", arguments).await;
        assert_eq!(code, "INVALID_PARAMETERS");
        assert!(message.contains(name), "{message}");
    }
    let (_, message) = world
        .refused("k", "http_request", json!({"url": "http://127.0.0.1:1/", "headers": {"X": "secret\r\nY: z"}}))
        .await;
    assert!(!message.contains("secret"), "{message}");
}

#[tokio::test]
async fn a_status_says_whether_the_call_was_done() {
    let service = FakeService::start(|asked: &RecordedRequest| {
        let status: u16 = asked.target[1..4].parse().unwrap();
        let headers = if asked.target.contains("wait") { "retry-after: 7\r\n" } else { "" };
        CannedResponse::Answer(status, headers.to_owned(), "because".to_owned())
    })
    .await;
    let world = world();
    let send = async |method: &str, path: &str| {
        // This many failures open the circuit; a minute later one call is admitted.
        world.clock.advance(Duration::from_secs(60));
        let call = world.call("k", "http_request", json!({"method": method, "url": service.url(path)}));
        world.send(&call).await.outcome
    };
    for (path, code, expect) in [
        ("/400", "SERVICE_REJECTED", (false, None)),
        ("/404", "SERVICE_REJECTED", (false, None)),
        ("/408", "SERVICE_UNAVAILABLE", (true, None)),
        ("/429?wait", "RATE_LIMIT_EXCEEDED", (true, Some(7_000))),
        ("/500", "SERVICE_UNAVAILABLE", (true, None)),
        ("/501", "SERVICE_REJECTED", (false, None)),
        ("/503?wait", "SERVICE_UNAVAILABLE", (true, Some(7_000))),
    ] {
        match send("GET", path).await {
            ToolOutcome::NotDone { fault, retryable, retry_after } => {
                assert_eq!((&*fault.code, (retryable, retry_after)), (code, expect), "{path}");
                assert!(fault.message.contains("because"), "{}", fault.message);
            }
            other => panic!("{path}: {other:?}"),
        }
    }
    for path in ["/500", "/502", "/503", "/504"] {
        assert_eq!(unknown(send("POST", path).await).0, "SERVICE_UNAVAILABLE", "{path}");
    }
    for path in ["/400", "/429?wait", "/503?wait"] {
        not_done(send("POST", path).await);
    }
}

#[tokio::test]
async fn a_connection_that_breaks_leaves_an_act_unknown() {
    let service = FakeService::start(|_| CannedResponse::Disconnect).await;
    let world = world();
    let call = world.call("k", "http_request", json!({"method": "POST", "url": service.url("/")}));
    assert_eq!(unknown(world.send(&call).await.outcome).0, "SERVICE_UNAVAILABLE");
    assert_eq!(world.refused("k", "http_request", json!({"url": service.url("/")})).await.0, "SERVICE_UNAVAILABLE");
}

#[tokio::test]
async fn an_answer_too_large_is_refused_where_it_was_only_asked() {
    let service = FakeService::start(|_| CannedResponse::Answer(200, String::new(), "x".repeat(2_000))).await;
    let world = world();
    assert_eq!(world.refused("k", "http_request", json!({"url": service.url("/")})).await.0, "RESPONSE_TOO_LARGE");
    let act = world.call("k", "http_request", json!({"method": "POST", "url": service.url("/")}));
    let output = done(world.send(&act).await.outcome);
    assert_eq!((&output["truncated"], &output["body"]), (&json!(true), &Value::Null));
}

#[tokio::test]
async fn an_address_inside_is_refused_in_the_customers_language() {
    let world = ToolsFixture::new();
    let call = world.call("k", "http_request", json!({"url": "http://169.254.169.254/latest/meta-data"}));
    match world.send(&call).await.outcome {
        ToolOutcome::NotDone { fault, retryable: false, .. } => {
            assert_eq!(fault.code, "ADDRESS_NOT_ALLOWED");
            assert_eq!(fault.customer.as_deref(), Some("No podemos acceder a esa dirección."));
        }
        other => panic!("{other:?}"),
    }
}
