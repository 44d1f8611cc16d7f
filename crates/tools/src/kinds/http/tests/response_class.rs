//! What a response says about the outcome of a call: the table of `docs/concepts/effects.md`, row by row, against a
//! real server.

use baton_core::tool::ToolOutcome;
use serde_json::json;

use crate::testing::ToolsFixture;
use crate::testing::service::{CannedResponse, FakeService, RecordedRequest, json as answer};

const CLASSES: [&str; 4] = ["read", "keyed", "verify", "once"];

/// The outcome as one word, with its code if there is one.
fn told(outcome: &ToolOutcome) -> String {
    match outcome {
        ToolOutcome::Done { output, .. } if output["gone"] == true => "gone".to_owned(),
        ToolOutcome::Done { output, .. } if output["truncated"] == true => "done, cut".to_owned(),
        ToolOutcome::Done { .. } => "done".to_owned(),
        ToolOutcome::NotDone { fault, retryable: true, .. } => format!("later {}", fault.code),
        ToolOutcome::NotDone { fault, retryable: false, .. } => format!("refused {}", fault.code),
        ToolOutcome::Unknown { .. } => "unknown".to_owned(),
        ToolOutcome::Asks { .. } => "asks".to_owned(),
    }
}

/// Calls a tool of each class, of `kind: http` and of an OpenAPI document.
async fn by_class(method: &str, says: impl Fn() -> CannedResponse + Send + Sync + 'static) -> [String; 4] {
    let service = FakeService::start(move |_: &RecordedRequest| says()).await;
    let operation = json!({"operationId": "act", "responses": {}});
    let document = json!({"openapi": "3.1.0", "paths": {"/": {method.to_lowercase(): operation}}});
    let of = |class: &str| {
        let mut http = json!({"name": format!("http_{class}"), "kind": "http", "url": service.url("/"), "method": method, "class": class});
        match class {
            "keyed" => http["idempotency_header"] = json!("Idempotency-Key"),
            "verify" => http["lookup"] = json!({"url": service.url("/"), "done": "body.x"}),
            _ => {}
        }
        json!([
            http,
            {"name": class, "kind": "openapi", "document": document, "server": service.url("/")},
        ])
    };
    let mut all = Vec::new();
    for class in CLASSES {
        // Uses a separate fixture, so that the failures of one case open no circuit for another.
        let world = ToolsFixture::with_definitions(json!({}), of(class));
        let name = format!("http_{class}");
        let own = told(&world.send(&world.call(&format!("{name}/0"), &name, json!({}))).await.outcome);
        let name = format!("{class}.act");
        let mut call = world.call(&format!("{name}/0"), &name, json!({}));
        call.class = serde_json::from_value(json!(class)).unwrap();
        assert_eq!(told(&world.send(&call).await.outcome), own, "an OpenAPI operation of class {class}");
        all.push(own);
    }
    all.try_into().unwrap()
}

async fn check(method: &str, status: u16, headers: &'static str, expected: [&str; 4]) {
    let body = if matches!(status, 204 | 304) { "" } else { "{}" };
    let found = by_class(method, move || CannedResponse::Answer(status, headers.to_owned(), body.to_owned())).await;
    assert_eq!(found, expected, "{method} answered {status} {headers:?}: of {CLASSES:?}");
}

#[tokio::test]
async fn what_was_done_is_done() {
    for status in [200, 201, 202, 204] {
        check("POST", status, "", ["done"; 4]).await;
    }
}

#[tokio::test]
async fn a_redirect_that_says_see_there_may_follow_an_act_and_one_that_says_go_there_does_not() {
    let unknown = ["refused SERVICE_REJECTED", "unknown", "unknown", "unknown"];
    for status in [301, 302, 303] {
        check("POST", status, "location: /done\r\n", unknown).await;
    }
    for status in [300, 304, 307, 308] {
        check("POST", status, "", ["refused SERVICE_REJECTED"; 4]).await;
    }
}

#[tokio::test]
async fn a_refusal_is_certain_of_this_attempt_and_of_an_earlier_one_only_where_the_key_was_looked_at() {
    let refused = "refused SERVICE_REJECTED";
    for status in [400, 402, 405, 413, 415, 422] {
        check("POST", status, "", [refused; 4]).await;
    }
    for status in [401, 403, 407] {
        check("POST", status, "", [refused, "refused SERVICE_DENIED", refused, refused]).await;
    }
    for status in [409, 412, 423] {
        check("POST", status, "", [refused, "later SERVICE_REJECTED", refused, refused]).await;
    }
}

#[tokio::test]
async fn what_was_to_be_taken_away_and_is_not_there_is_gone() {
    let refused = "refused SERVICE_REJECTED";
    for status in [404, 410] {
        check("DELETE", status, "", [refused, "gone", refused, refused]).await;
        check("POST", status, "", [refused; 4]).await;
    }
}

#[tokio::test]
async fn whoever_is_busy_has_not_begun() {
    for status in [408, 425] {
        check("POST", status, "", ["later SERVICE_UNAVAILABLE"; 4]).await;
    }
    check("POST", 429, "", ["later RATE_LIMIT_EXCEEDED"; 4]).await;
    check("POST", 503, "retry-after: 7\r\n", ["later SERVICE_UNAVAILABLE"; 4]).await;
}

#[tokio::test]
async fn a_fault_of_the_service_is_certain_of_nothing() {
    let unknown = ["later SERVICE_UNAVAILABLE", "unknown", "unknown", "unknown"];
    for status in [500, 502, 503, 504, 507, 599] {
        check("POST", status, "", unknown).await;
    }
    for status in [500, 502, 504] {
        check("POST", status, "retry-after: 7\r\n", unknown).await;
    }
    for status in [501, 505] {
        check("POST", status, "", ["refused SERVICE_REJECTED"; 4]).await;
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_tells_that_it_was_done_and_a_key_or_a_look_up_tells_the_rest() {
    let found = by_class("POST", || CannedResponse::Truncated(201, "{\"id\": 7".to_owned())).await;
    assert_eq!(found, ["later SERVICE_UNAVAILABLE", "unknown", "unknown", "done, cut"]);
    let found = by_class("POST", || CannedResponse::Answer(201, String::new(), "<html>".to_owned())).await;
    assert_eq!(found, ["done"; 4]);
    let found = by_class("POST", || CannedResponse::Truncated(500, "oops".to_owned())).await;
    assert_eq!(found, ["later SERVICE_UNAVAILABLE", "unknown", "unknown", "unknown"]);
}

#[tokio::test]
async fn half_an_answer_meets_no_rule_of_the_tools_own() {
    let service =
        FakeService::start(|_: &RecordedRequest| CannedResponse::Truncated(201, "{\"ok\": tr".to_owned())).await;
    let refused = json!([{"when": "body.ok != `true`", "code": "REFUSED", "message": "it said no"}]);
    let tool = json!({"name": "t", "kind": "http", "url": service.url("/"), "class": "once", "errors": refused});
    let world = ToolsFixture::with_definitions(json!({}), tool);
    let outcome = world.send(&world.call("k", "t", json!({}))).await.outcome;
    assert_eq!(told(&outcome), "done, cut", "{outcome:?}");
}

#[tokio::test]
async fn how_long_a_service_asks_to_wait_is_heard() {
    for (status, headers) in [(429, "retry-after: 7\r\n"), (503, "retry-after: 7\r\n"), (408, "retry-after: 7\r\n")] {
        let service = FakeService::start(move |_: &RecordedRequest| {
            CannedResponse::Answer(status, headers.to_owned(), String::new())
        })
        .await;
        let tool = json!({"name": "t", "kind": "http", "url": service.url("/"), "class": "once"});
        let world = ToolsFixture::with_definitions(json!({}), tool);
        match world.send(&world.call("k", "t", json!({}))).await.outcome {
            ToolOutcome::NotDone { retry_after, retryable: true, .. } => {
                assert_eq!(retry_after, Some(7_000), "{status}")
            }
            other => panic!("{status}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_service_that_refuses_is_not_taken_for_one_that_fails() {
    let service = FakeService::start(|_: &RecordedRequest| answer(409, &json!({"error": "taken"}))).await;
    let tool = json!({"name": "t", "kind": "http", "url": service.url("/"), "idempotency_header": "Idempotency-Key"});
    let world = ToolsFixture::with_definitions(json!({}), tool);
    for attempt in 0..20 {
        world.refused(&format!("k{attempt}"), "t", json!({})).await;
    }
    assert_eq!(service.received().len(), 20, "no circuit was opened");
}

#[tokio::test]
async fn a_page_in_place_of_a_declared_output_tells_nothing_of_an_act_and_answers_no_question() {
    for (method, body, status, expected) in [
        ("POST", "<h1>Back soon</h1>", 200, ["later SERVICE_UNAVAILABLE", "unknown"]),
        ("POST", "", 200, ["later SERVICE_UNAVAILABLE", "unknown"]),
        ("POST", "", 204, ["done", "done"]),
        ("POST", r#"{"id": "o-1"}"#, 200, ["done", "done"]),
        ("HEAD", "", 200, ["done", "done"]),
    ] {
        let service = FakeService::start(move |_: &RecordedRequest| {
            CannedResponse::Answer(status, String::new(), body.to_owned())
        })
        .await;
        for declared in [json!({"result": "id"}), json!({"output_fields": ["id"]})] {
            let tool = |class: &str| {
                let mut tool =
                    json!({"name": class, "kind": "http", "url": service.url("/"), "method": method, "class": class});
                tool.as_object_mut().unwrap().extend(declared.as_object().unwrap().clone());
                tool
            };
            let world = ToolsFixture::with_definitions(json!({}), json!([tool("read"), tool("once")]));
            for (class, expected) in ["read", "once"].into_iter().zip(expected) {
                let outcome = world.send(&world.call(class, class, json!({}))).await.outcome;
                assert_eq!(told(&outcome), expected, "{class} of {method} {declared} answered {status} {body:?}");
                if let (Some(fault), true) = (outcome.fault(), body.starts_with('<')) {
                    assert!(fault.message.contains("<h1>Back soon</h1>"), "{}", fault.message);
                }
            }
        }
    }
}
