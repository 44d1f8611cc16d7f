//! Replies with a required format: what a model does not enforce is checked by the server, and requested once more.

use baton_core::model::{FinishReason, ModelMessage, ModelReply, ModelToolCall};
use baton_ports::models::ReplyDelta;
use serde_json::{Value, json};

use crate::events;
use crate::fixture::{ModelScript, ServerFixture, reply};

/// A request for an object with a number `n`.
fn asked(stream: bool) -> Value {
    json!({
        "model": "balanced", "stream": stream,
        "messages": [{"role": "user", "content": "How many?"}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "count", "schema": {
            "type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]
        }}}
    })
}

fn calling(arguments: Value) -> ModelReply {
    let call = ModelToolCall { id: "c1".into(), name: "look".into(), arguments };
    ModelReply { tool_calls: vec![call], finish: FinishReason::ToolCalls, ..reply("") }
}

fn with_tool(stream: bool) -> Value {
    json!({
        "model": "balanced", "stream": stream,
        "messages": [{"role": "user", "content": "Look."}],
        "tools": [{"type": "function", "function": {"name": "look", "strict": true, "parameters": {
            "type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"], "additionalProperties": false
        }}}]
    })
}

async fn json_of(world: &ServerFixture, body: &Value) -> Value {
    let response = world.post(body).await;
    assert_eq!(response.status(), 200);
    response.json().await.expect("json")
}

#[tokio::test]
async fn what_satisfies_the_schema_is_given_as_it_was_said() {
    let world = ServerFixture::start(ModelScript::Answer(reply("{ \"n\":  7 }"))).await;
    let body = json_of(&world, &asked(false)).await;
    assert_eq!((&body["choices"][0]["message"]["content"], world.request_count()), (&json!("{ \"n\":  7 }"), 1));
}

#[tokio::test]
async fn json_in_the_middle_of_chat_is_taken_out_of_it() {
    let world = ServerFixture::start(ModelScript::Answer(reply("Sure!\n```json\n{\"n\": 7}\n```"))).await;
    let body = json_of(&world, &asked(false)).await;
    assert_eq!((&body["choices"][0]["message"]["content"], world.request_count()), (&json!("{\"n\":7}"), 1));
}

#[tokio::test]
async fn what_does_not_is_asked_for_once_more_and_both_are_paid() {
    let world = ServerFixture::start(ModelScript::InTurn(vec![reply("{\"n\": \"seven\"}"), reply("{\"n\": 7}")])).await;
    let response = world.post(&asked(false)).await;
    assert_eq!(response.headers()["x-baton-cost-usd"], "0.000240000");
    let body: Value = response.json().await.expect("json");
    assert_eq!(body["choices"][0]["message"]["content"], "{\"n\": 7}");
    assert_eq!((&body["usage"]["prompt_tokens"], &body["usage"]["completion_tokens"]), (&json!(14), &json!(10)));
    let (_, request) = world.last_request();
    let [_, ModelMessage::Assistant { content, .. }, ModelMessage::User { content: told, .. }] = &request.messages[..]
    else {
        panic!("{request:?}")
    };
    assert_eq!(content, "{\"n\": \"seven\"}");
    assert!(told.contains("`/n`") && told.contains("only the JSON"), "{told}");
    assert_eq!(world.request_count(), 2);
}

#[tokio::test]
async fn a_model_that_does_not_learn_is_an_error_and_never_a_wrong_answer() {
    for (said, code) in [("I cannot count.", "REPLY_NOT_JSON"), ("{\"n\": null}", "REPLY_INVALID"), ("", "REPLY_EMPTY")]
    {
        for stream in [false, true] {
            let world = ServerFixture::start(ModelScript::Answer(reply(said))).await;
            let response = world.post(&asked(stream)).await;
            assert_eq!((response.status().as_u16(), world.request_count()), (502, 2), "{said}");
            let body: Value = response.json().await.expect("json");
            assert_eq!(body["error"]["code"], code);
        }
    }
}

#[tokio::test]
async fn json_mode_is_held_for_models_that_have_none() {
    let mut body = asked(false);
    body["response_format"] = json!({ "type": "json_object" });
    let world = ServerFixture::start(ModelScript::InTurn(vec![reply("Seven."), reply("{\"any\": 7}")])).await;
    assert_eq!(json_of(&world, &body).await["choices"][0]["message"]["content"], "{\"any\": 7}");
    assert_eq!(world.last_request().1.schema, Some(json!({ "type": "object" })));
}

#[tokio::test]
async fn a_reply_that_was_cut_off_or_refused_says_so_itself() {
    for (finish, word) in [(FinishReason::Length, "length"), (FinishReason::Filtered, "content_filter")] {
        let world = ServerFixture::start(ModelScript::Answer(ModelReply { finish, ..reply("{\"n\":") })).await;
        let body = json_of(&world, &asked(false)).await;
        let choice = &body["choices"][0];
        assert_eq!((&choice["finish_reason"], &choice["message"]["content"]), (&json!(word), &json!("{\"n\":")));
        assert_eq!(world.request_count(), 1);
    }
}

#[tokio::test]
async fn a_stream_that_nobody_holds_is_told_once_it_has_its_form() {
    let pieces = vec![ReplyDelta::Text("{\"n\":".into()), ReplyDelta::Text(" 7}".into())];
    let world = ServerFixture::start(ModelScript::Stream(pieces.clone(), reply("{\"n\": 7}"))).await;
    let told = events(&world.post(&asked(true)).await.text().await.expect("a body"));
    let first: Value = serde_json::from_str(&told[0]).expect("json");
    assert_eq!(first["choices"][0]["delta"]["content"], "{\"n\": 7}", "{told:?}");
    let held = ServerFixture::start(ModelScript::Held(pieces, reply("{\"n\": 7}"))).await;
    let told = events(&held.post(&asked(true)).await.text().await.expect("a body"));
    let first: Value = serde_json::from_str(&told[0]).expect("json");
    assert_eq!(first["choices"][0]["delta"]["content"], "{\"n\":", "{told:?}");
}

#[tokio::test]
async fn a_stream_that_was_told_and_has_not_its_form_ends_with_the_error() {
    let world = ServerFixture::start(ModelScript::Held(vec![ReplyDelta::Text("Seven".into())], reply("Seven"))).await;
    let told = events(&world.post(&asked(true)).await.text().await.expect("a body"));
    assert_eq!((told.len(), world.request_count()), (2, 1), "{told:?}");
    assert!(told[1].contains("REPLY_NOT_JSON"), "{told:?}");
}

#[tokio::test]
async fn calls_of_a_strict_tool_fit_its_parameters_or_are_asked_for_again() {
    for stream in [false, true] {
        let turns = vec![calling(json!({"where": 1})), calling(json!({"at": "home"}))];
        let world = ServerFixture::start(ModelScript::InTurn(turns)).await;
        let response = world.post(&with_tool(stream)).await;
        let body = response.text().await.expect("a body");
        assert!(body.contains("home") && !body.contains("where"), "{body}");
        let (_, request) = world.last_request();
        let [_, ModelMessage::Assistant { tool_calls, .. }, ModelMessage::Tool { tool_call_id, content }] =
            &request.messages[..]
        else {
            panic!("{request:?}")
        };
        assert_eq!((tool_calls.len(), tool_call_id.as_str()), (1, "c1"));
        assert!(content.contains("at"), "{content}");
    }
}

#[tokio::test]
async fn calls_of_other_tools_are_the_callers_to_read() {
    let mut body = with_tool(false);
    body["tools"][0]["function"]["strict"] = json!(false);
    let world = ServerFixture::start(ModelScript::Answer(calling(json!({"where": 1})))).await;
    let answer = json_of(&world, &body).await;
    assert_eq!(answer["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"], "{\"where\":1}");
    assert_eq!(world.request_count(), 1);
}
