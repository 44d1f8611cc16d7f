//! A service that echoes the request, including its secrets.

use baton_core::tool::ToolOutcome;
use serde_json::{Value, json};

use crate::testing::ToolsFixture;
use crate::testing::service::{CannedResponse, FakeService, RecordedRequest};

/// Contains characters that a URL, a form, JSON and base64 encode.
const SECRET: &str = "s3cr3t/\"key\" +é";

/// Echoes the whole request in the ways services do: as text, in JSON, encoded and decoded.
fn repeats(status: u16, asked: &RecordedRequest) -> CannedResponse {
    let decoded = |text: &str| {
        let query = text.split_once('?').map_or(text, |(_, query)| query);
        let url = reqwest::Url::parse(&format!("http://x/?{query}")).unwrap();
        url.query_pairs().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
    };
    let body = json!({
        "target": asked.target, "decoded": decoded(&asked.target), "headers": asked.headers, "body": asked.body,
    });
    let headers = format!("content-type: application/json\r\nx-request-id: {}\r\n", asked.target);
    // JSON may write any character as a numeric escape.
    CannedResponse::Answer(status, headers, body.to_string().replace("s3cr3t", "s\\u0033cr3t"))
}

async fn world(status: u16, plain: bool) -> (ToolsFixture, FakeService) {
    let service = FakeService::start(move |asked: &RecordedRequest| match plain {
        true => CannedResponse::Answer(
            status,
            String::new(),
            format!("{} {:?} {}", asked.target, asked.headers, asked.body),
        ),
        false => repeats(status, asked),
    })
    .await;
    let document = json!({
        "openapi": "3.1.0",
        "paths": {"/": {"post": {"operationId": "act", "security": [{"query": [], "basic": []}]}}},
        "components": {"securitySchemes": {
            "query": {"type": "apiKey", "in": "query", "name": "api_key"}, "basic": {"type": "http", "scheme": "basic"},
        }},
    });
    let tools = json!([
        {"name": "http", "kind": "http", "url": service.url("/"), "body": {"key": "{{ secrets.crm }}", "n": 1},
         "headers": {"X-Key": "{{ secrets.plain }}", "Authorization": "Bearer {{ secrets.plain }}"}},
        {"name": "shop", "kind": "openapi", "document": document, "server": service.url("/"),
         "auth": {"query": "{{ secrets.crm }}", "basic": "ana:{{ secrets.crm }}"}},
    ]);
    (ToolsFixture::with_definitions(json!({"secrets": {"crm": SECRET, "plain": "pl41n-s3cr3t-k3y"}}), tools), service)
}

/// Asserts that the secret does not occur in any encoding.
fn is_clean(written: &str) {
    let undone = written.replace("\\", "");
    for text in [written, &undone] {
        for form in ["s3cr3t", "s\\u0033cr3t", "s3cr3t%2F", "pl41n", "czNjcjN0", "YW5hOnMzY3IzdC"] {
            assert!(!text.contains(form), "`{form}` is in {text}");
        }
    }
}

#[tokio::test]
async fn a_secret_that_a_service_repeats_reaches_neither_the_result_nor_the_row_nor_an_error() {
    for (status, plain) in
        [(200, false), (200, true), (400, false), (400, true), (401, true), (500, false), (503, true)]
    {
        let (world, service) = world(status, plain).await;
        for tool in ["http", "shop.act"] {
            let performed = world.send(&world.call(&format!("{tool}/0"), tool, json!({}))).await;
            is_clean(&format!("{:?}", performed.outcome));
            is_clean(&serde_json::to_string(&performed.audit).unwrap());
            if let ToolOutcome::Done { output, .. } = &performed.outcome {
                assert!(output.to_string().contains("[REDACTED]"), "what stood there is marked: {output}");
            }
        }
        let asked = service.received();
        assert!(
            asked[0].body.contains("s3cr3t") && asked[1].target.contains("s3cr3t"),
            "the service was told: {asked:?}"
        );
    }
}

#[tokio::test]
async fn a_call_of_http_request_does_not_get_back_who_it_said_it_was() {
    let service = FakeService::start(|asked: &RecordedRequest| repeats(200, asked)).await;
    let world = ToolsFixture::with(json!({"outbound": {"allow": ["127.0.0.0/8"]}}));
    let headers = json!({"Authorization": "Bearer s3cr3t-t0k3n", "X-Other": "plain to see"});
    let output = world.done("k", "http_request", json!({"url": service.url("/"), "headers": headers})).await;
    assert!(!output.to_string().contains("t0k3n"), "{output}");
    assert!(output.to_string().contains("plain to see"), "{output}");
}

#[tokio::test]
async fn a_short_secret_does_not_blank_out_an_answer() {
    let service =
        FakeService::start(|_: &RecordedRequest| CannedResponse::Answer(200, String::new(), "1 of 10 is 1".to_owned()))
            .await;
    let tool = json!({"name": "t", "kind": "http", "url": service.url("/"), "headers": {"X-Key": "{{ secrets.pin }}"}});
    let world = ToolsFixture::with_definitions(json!({"secrets": {"pin": "1"}}), tool);
    assert_eq!(world.done("k", "t", json!({})).await, Value::from("1 of 10 is 1"));
}
