//! End-to-end tests of the server, with real sockets and scripted models.

mod fixture;
mod form;
mod slow;

use baton_core::fault::Fault;
use baton_core::model::{ModelMessage, ModelToolCall};
use baton_core::run::ModelCallError;
use baton_ports::models::ReplyDelta;
use fixture::{ModelScript, ServerFixture, reply};
use serde_json::{Value, json};

fn hello(stream: bool) -> Value {
    json!({ "model": "balanced", "messages": [{"role": "user", "content": "Hello"}], "stream": stream })
}

/// The data of each event.
fn events(body: &str) -> Vec<String> {
    body.split("\n\n").filter_map(|event| event.strip_prefix("data: ")).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_request_is_asked_for_its_tenant_and_answered_with_its_cost() {
    let world = ServerFixture::start(ModelScript::Answer(reply("Hi there"))).await;
    let response = world.post(&hello(false)).await;
    assert_eq!(response.status(), 200);
    let header = |name: &str| response.headers()[name].to_str().expect("text").to_owned();
    assert_eq!(
        ["x-baton-cost-usd", "x-baton-provider", "x-baton-model"].map(header),
        ["0.000120000", "a-provider", "a-model"]
    );
    assert_eq!(header("x-baton-call"), world.last_request().0.key);
    assert_eq!(header("x-baton-budget"), "83 % of the daily budget is spent");
    let body: Value = response.json().await.expect("json");
    assert_eq!(body["choices"][0]["message"]["content"], "Hi there");
    assert_eq!(body["usage"]["prompt_tokens"], 7);
    let (asker, request) = world.last_request();
    assert_eq!((asker.tenant.as_str(), asker.key_id.as_deref(), asker.api_key), ("acme", Some("key_1"), None));
    assert_eq!(request.messages, [ModelMessage::user("Hello")]);
}

#[tokio::test]
async fn nobody_comes_in_without_a_good_key() {
    let world = ServerFixture::start(ModelScript::Answer(reply("Hi"))).await;
    for (header, says) in [
        (None, "Authorization: Bearer"),
        (Some("Bearer baton_wrong"), "not known"),
        (Some("Basic YTpi"), "Authorization: Bearer"),
        (Some(world.expired.as_str()), "expired"),
    ] {
        let response = world.post_as(header, &hello(false)).await;
        assert_eq!(response.status(), 401, "{header:?}");
        let body: Value = response.json().await.expect("json");
        assert!(body["error"]["message"].as_str().is_some_and(|said| said.contains(says)), "{body}");
    }
    assert_eq!(world.request_count(), 0);
    assert_eq!(world.get("/health", None).await.status(), 200);
    assert_eq!(world.get("/v1/models", None).await.status(), 401);
}

#[tokio::test]
async fn models_are_listed_and_found_by_name() {
    let world = ServerFixture::start(ModelScript::Answer(reply("Hi"))).await;
    let list: Value = world.get("/v1/models", Some(&world.key)).await.json().await.expect("json");
    assert_eq!(list["data"][0]["id"], "balanced");
    assert_eq!(world.get("/v1/models/balanced", Some(&world.key)).await.status(), 200);
    assert_eq!(world.get("/v1/models/none", Some(&world.key)).await.status(), 404);
}

#[tokio::test]
async fn a_stream_gives_pieces_as_they_come_then_the_end_the_usage_and_done() {
    let pieces = vec![ReplyDelta::Text("Hi ".into()), ReplyDelta::Text("there".into())];
    let world = ServerFixture::start(ModelScript::Stream(pieces, reply("Hi there"))).await;
    let mut body = hello(true);
    body["stream_options"] = json!({ "include_usage": true });
    let response = world.post(&body).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let events = events(&response.text().await.expect("a body"));
    let [first, second, end, usage, done] = events.as_slice() else { panic!("{events:?}") };
    let json = |text: &str| serde_json::from_str::<Value>(text).expect("json");
    assert_eq!(json(first)["choices"][0]["delta"], json!({"role": "assistant", "content": "Hi "}));
    assert_eq!(json(second)["choices"][0]["delta"], json!({"content": "there"}));
    assert_eq!(json(end)["choices"][0]["finish_reason"], "stop");
    assert_eq!((&json(usage)["choices"], &json(usage)["usage"]["completion_tokens"]), (&json!([]), &json!(5)));
    assert_eq!(done, "[DONE]");
}

#[tokio::test]
async fn a_stream_says_at_its_start_which_call_it_is_and_at_its_end_who_answered_at_what_price() {
    let world = ServerFixture::start(ModelScript::Stream(vec![ReplyDelta::Text("Hi".into())], reply("Hi"))).await;
    let response = world.post(&hello(true)).await;
    let call = response.headers()["x-baton-call"].to_str().expect("text").to_owned();
    assert_eq!(call, world.last_request().0.key);
    assert!(response.headers().contains_key("x-baton-budget"));
    assert!(!response.headers().contains_key("x-baton-cost-usd"), "nobody knows yet");
    let body = response.text().await.expect("a body");
    let comments: Vec<&str> = body.lines().filter_map(|line| line.strip_prefix(": ")).collect();
    let expected = ["x-baton-cost-usd: 0.000120000", "x-baton-provider: a-provider", "x-baton-model: a-model"];
    assert_eq!(comments, expected, "{body}");
    assert!(body.trim_end().ends_with("data: [DONE]"), "{body}");
}

#[tokio::test]
async fn errors_below_v1_have_openais_form_and_others_the_problems() {
    let world = ServerFixture::start(ModelScript::Answer(reply("Hi"))).await;
    for (method, path, status, code) in [
        ("POST", "/v1/audio", 404, "unknown_url"),
        ("GET", "/v1", 404, "unknown_url"),
        ("GET", "/v1/models/house/none", 404, "model_not_found"),
        ("GET", "/v1/chat/completions", 405, "method_not_supported"),
        ("DELETE", "/v1/models/balanced", 405, "method_not_supported"),
    ] {
        let response = world.send(method.parse().expect("a method"), path).await;
        assert_eq!(response.status(), status, "{method} {path}");
        assert_eq!(response.headers().contains_key("allow"), status == 405, "{method} {path}");
        let body: Value = response.json().await.expect("json");
        assert_eq!((&body["error"]["code"], &body["error"]["type"]), (&json!(code), &json!("invalid_request_error")));
    }
    for (method, path, status) in [("GET", "/none", 404), ("POST", "/health", 405)] {
        let response = world.send(method.parse().expect("a method"), path).await;
        assert_eq!(
            (response.status().as_u16(), &response.headers()["content-type"]),
            (status, &"application/problem+json".parse().expect("a header"))
        );
    }
}

#[tokio::test]
async fn a_reply_that_does_not_stream_is_told_whole_with_its_tool_calls() {
    let calls = vec![ModelToolCall { id: "c1".into(), name: "look".into(), arguments: json!({"x": 1}) }];
    let whole = baton_core::model::ModelReply { tool_calls: calls, ..reply("") };
    let world = ServerFixture::start(ModelScript::Answer(whole)).await;
    let events = events(&world.post(&hello(true)).await.text().await.expect("a body"));
    let call = events.iter().find(|event| event.contains("tool_calls")).expect("a call");
    let call: Value = serde_json::from_str(call).expect("json");
    let told = &call["choices"][0]["delta"]["tool_calls"][0];
    assert_eq!((&told["id"], &told["function"]["arguments"]), (&json!("c1"), &json!("{\"x\":1}")));
    assert!(events.iter().any(|event| event.contains("\"finish_reason\":\"tool_calls\"")), "{events:?}");
}

#[tokio::test]
async fn what_fails_before_the_first_piece_is_an_http_error() {
    let fault = Fault::new("RATE_LIMIT_EXCEEDED", "slow down");
    let failed = ModelCallError { retry_after: Some(1_500), ..ModelCallError::transient(fault) };
    let world = ServerFixture::start(ModelScript::Fail(Vec::new(), failed)).await;
    for stream in [false, true] {
        let response = world.post(&hello(stream)).await;
        assert_eq!(
            (response.status().as_u16(), &response.headers()["retry-after"]),
            (429, &"2".parse().expect("a header"))
        );
        let body: Value = response.json().await.expect("json");
        assert_eq!(body["error"]["code"], "RATE_LIMIT_EXCEEDED");
    }
}

#[tokio::test]
async fn what_fails_after_it_ends_the_stream_with_the_error() {
    let failed = ModelCallError::transient(Fault::new("SERVICE_UNAVAILABLE", "gone"));
    let world = ServerFixture::start(ModelScript::Fail(vec![ReplyDelta::Text("Hi".into())], failed)).await;
    let events = events(&world.post(&hello(true)).await.text().await.expect("a body"));
    assert_eq!(events.len(), 2, "{events:?}");
    assert!(events[1].contains("SERVICE_UNAVAILABLE") && !events[1].contains("[DONE]"));
}

#[tokio::test]
async fn a_caller_who_hangs_up_ends_the_call_to_the_model() {
    let mut world = ServerFixture::start(ModelScript::Hang(ReplyDelta::Text("Hi".into()))).await;
    let response = world.post(&hello(true)).await;
    assert_eq!(response.status(), 200);
    drop(response);
    world.dropped().await;
}

#[tokio::test]
async fn a_body_that_is_too_large_or_no_request_is_refused() {
    let world = ServerFixture::start(ModelScript::Answer(reply("Hi"))).await;
    let large = json!({ "model": "fast", "messages": [{"role": "user", "content": "x".repeat(fixture::BODY_BYTES)}] });
    assert_eq!(world.post(&large).await.status(), 413);
    assert_eq!(world.post(&json!([1])).await.status(), 400);
}

#[tokio::test]
async fn more_than_the_server_takes_is_refused_and_not_queued() {
    let world = ServerFixture::start(ModelScript::Hang(ReplyDelta::Text("Hi".into()))).await;
    let mut held = Vec::new();
    for _ in 0..fixture::REQUESTS {
        held.push(world.post(&hello(true)).await);
    }
    let refused = world.post(&hello(true)).await;
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (503, &"1".parse().expect("a header")));
}

#[tokio::test]
async fn a_consumers_own_key_goes_with_the_call() {
    let world = ServerFixture::start(ModelScript::Answer(reply("Hi"))).await;
    world.post_with(&hello(false), "x-provider-key", "sk-theirs").await;
    assert_eq!(world.last_request().0.api_key.expect("a key").secret(), "sk-theirs");
}

#[tokio::test]
async fn where_no_account_is_connected_nobody_comes_back() {
    let world = ServerFixture::start(ModelScript::Answer(reply("Hi"))).await;
    assert_eq!(world.get("/api/v1/composio/callback?state=x", None).await.status(), 404);
}
