use baton_core::model::{FinishReason, ModelReply, TokenUsage};
use baton_core::money::Usd;
use baton_core::run::ModelCallError;
use baton_ports::models::ReplyDelta;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::fault::code;
use crate::providers::stub_server::StubAnswer;
use crate::providers::test_support::{ProviderFixture, ask_stub, testdata, with_tools};

async fn reply(answer: StubAnswer, call: impl FnOnce(ProviderFixture) -> ProviderFixture) -> ModelReply {
    ask_stub(answer, |base_url| call(ProviderFixture::openai(base_url))).await.0.expect("a reply").reply
}

async fn fault(answer: StubAnswer) -> ModelCallError {
    ask_stub(answer, ProviderFixture::openai).await.0.expect_err("a fault").fault
}

fn calls(reply: &ModelReply) -> Vec<(&str, &str, Value)> {
    reply.tool_calls.iter().map(|call| (call.id.as_str(), call.name.as_str(), call.arguments.clone())).collect()
}

#[tokio::test]
async fn a_reply_is_read_and_priced() {
    let reply = reply(StubAnswer::json(testdata!("openai/completion.json")), |call| call).await;
    assert_eq!(reply.content, "Hello! How can I assist you today?");
    assert_eq!((reply.finish, reply.provider.as_str()), (FinishReason::Stop, "here"));
    assert_eq!(reply.model, "gpt-4-turbo-2024-04-09");
    // 1,000 of the 1,019 tokens of the prompt were cached; gpt-4-turbo has one price for both.
    let usage = TokenUsage { input_tokens: 19, output_tokens: 10, cached_tokens: 1_000, ..TokenUsage::default() };
    assert_eq!((reply.usage, reply.cost), (usage, Usd::from_f64(0.010_49)));
}

#[tokio::test]
async fn cached_tokens_have_their_own_price_streamed_or_not() {
    let cost = async |answer: StubAnswer| reply(answer, |call| call.model("gpt-4.1").streaming()).await.cost;
    // Per million: 2 in, 0.50 cached, 8 out; cached tokens are included in those of the prompt.
    let usd = |input: f64, cached: f64, output: f64| Usd::from_f64((input * 2.0 + cached * 0.5 + output * 8.0) / 1e6);
    assert_eq!(cost(StubAnswer::stream(testdata!("openai/stream.sse"))).await, usd(5.0, 4.0, 3.0));
    assert_eq!(cost(StubAnswer::json(testdata!("openai/completion.json"))).await, usd(19.0, 1_000.0, 10.0));
}

#[tokio::test]
async fn cached_tokens_are_counted_apart_wherever_they_stand() {
    let written = reply(StubAnswer::json(testdata!("openai/completion_written.json")), |call| call).await;
    let expected = TokenUsage {
        input_tokens: 6,
        output_tokens: 300,
        cached_tokens: 1_920,
        cache_write_tokens: 80,
        ..TokenUsage::default()
    };
    assert_eq!(written.usage, expected);
    let deepseek = reply(StubAnswer::json(testdata!("openai/completion_deepseek.json")), |call| call).await;
    assert_eq!(
        deepseek.usage,
        TokenUsage { input_tokens: 36, output_tokens: 10, cached_tokens: 64, ..TokenUsage::default() }
    );
}

#[tokio::test]
async fn tool_calls_are_read_under_our_names() {
    let reply = reply(StubAnswer::json(testdata!("openai/tool_calls.json")), |call| call.of(with_tools())).await;
    let expected = [
        ("call_abc123", "shopify.get_order", json!({"id": "12345"})),
        // Arguments that are not JSON become a string, which no parameter schema accepts.
        ("call_def456", "search_kb", json!("{\"query\": \"return po")),
    ];
    assert_eq!((reply.finish, calls(&reply)), (FinishReason::ToolCalls, expected.to_vec()));
}

#[tokio::test]
async fn odd_calls_can_be_told_apart_or_are_malformed() {
    let of = |calls: Value| {
        let message = json!({"choices": [{"message": {"tool_calls": calls}, "finish_reason": "tool_calls"}]});
        StubAnswer::json(message.to_string().as_bytes())
    };
    let call = |id: Value| json!({"id": id, "function": {"name": "x", "arguments": {"a": 1}}});
    let same = reply(of(json!([call(json!("c")), call(json!("c")), call(Value::Null)])), |call| call).await;
    let ids: Vec<&str> = same.tool_calls.iter().map(|call| call.id.as_str()).collect();
    assert_eq!((ids, &same.tool_calls[0].arguments), (vec!["c", "c_1", "call_2"], &json!({"a": 1})));
    let nameless = fault(of(json!([{"id": "c", "function": {"arguments": "{}"}}]))).await;
    assert_eq!(nameless.fault.code, code::MALFORMED_REPLY);
    let endless: Vec<Value> = (0..300).map(|id| call(json!(id.to_string()))).collect();
    assert!(fault(of(json!(endless))).await.fault.message.contains("more than 256 tool calls"));
}

#[tokio::test]
async fn a_refusal_and_a_cut_are_finishes_of_their_own() {
    let refused = reply(StubAnswer::json(testdata!("openai/refusal.json")), |call| call).await;
    assert_eq!(refused.finish, FinishReason::Filtered);
    assert!(!refused.content.is_empty());
    let cut = reply(StubAnswer::json(testdata!("openai/length.json")), |call| call).await;
    assert_eq!(cut.finish, FinishReason::Length);
}

#[tokio::test]
async fn tokens_that_nobody_counted_are_estimated() {
    let reply = reply(StubAnswer::json(testdata!("openai/uncounted.json")), |call| call).await;
    assert!(reply.usage.input_tokens > 0 && reply.usage.output_tokens > 0, "{:?}", reply.usage);
    assert!(reply.cost > Usd::ZERO);
}

#[tokio::test]
async fn a_stream_is_put_together() {
    let (outcome, body) = ask_stub(StubAnswer::stream(testdata!("openai/stream.sse")), |base_url| {
        ProviderFixture::openai(base_url).streaming()
    })
    .await;
    let reply = outcome.expect("a reply").reply;
    assert_eq!((reply.content.as_str(), reply.finish), ("¡Hola!", FinishReason::Stop));
    assert_eq!(
        reply.usage,
        TokenUsage { input_tokens: 5, output_tokens: 3, cached_tokens: 4, ..TokenUsage::default() }
    );
    assert_eq!((&body["stream"], &body["stream_options"]), (&json!(true), &json!({"include_usage": true})));
}

#[tokio::test]
async fn streamed_calls_are_put_together_whoever_streams_them() {
    let two = |first: &'static str, second: &'static str| {
        vec![(first, "shopify.get_order", json!({"id": "7"})), (second, "search_kb", json!({"query": "x"}))]
    };
    for (stream, expected) in [
        (testdata!("openai/stream_tools.sse"), two("call_a", "call_b")),
        (testdata!("openai/stream_ollama.sse"), two("call_8a1", "call_9b2")),
        (testdata!("openai/stream_gemini.sse"), two("call_0", "call_1")),
        (testdata!("openai/stream_vllm.sse"), vec![("chatcmpl-tool-1", "shopify.get_order", json!({"id": "12345"}))]),
    ] {
        let reply = reply(StubAnswer::stream(stream), |call| call.of(with_tools()).streaming()).await;
        assert_eq!((reply.finish, calls(&reply)), (FinishReason::ToolCalls, expected));
    }
}

#[tokio::test]
async fn a_listener_hears_text_and_calls_as_they_come() {
    let heard = async |stream: &[u8]| {
        let (pieces, mut heard) = mpsc::channel(64);
        let listening = |call: ProviderFixture| ProviderFixture { pieces: Some(pieces), ..call.of(with_tools()) };
        let reply = reply(StubAnswer::stream(stream), listening).await;
        let mut all = Vec::new();
        while let Some(piece) = heard.recv().await {
            all.push(piece);
        }
        (reply, all)
    };
    let (_, text) = heard(testdata!("openai/stream.sse")).await;
    assert_eq!(text, [ReplyDelta::Text("¡Ho".into()), ReplyDelta::Text("la!".into())]);
    let call = |index, id: Option<&str>, name: Option<&str>, arguments: &str| ReplyDelta::ToolCall {
        index,
        id: id.map(str::to_owned),
        name: name.map(str::to_owned),
        arguments: arguments.into(),
    };
    let (_, calls) = heard(testdata!("openai/stream_tools.sse")).await;
    let expected = [
        call(0, Some("call_a"), Some("shopify.get_order"), ""),
        call(0, None, None, "{\"id\":"),
        call(1, Some("call_b"), Some("search_kb"), ""),
        call(1, None, None, "{\"query\":\"x\"}"),
        call(0, None, None, " \"7\"}"),
    ];
    assert_eq!(calls, expected);
}

#[tokio::test]
async fn azures_first_chunk_without_choices_says_nothing() {
    let reply = reply(StubAnswer::stream(testdata!("openai/stream_azure.sse")), ProviderFixture::streaming).await;
    assert_eq!((reply.content.as_str(), reply.model.as_str()), ("¡Hola!", "gpt-4.1-2025-04-14"));
}

#[tokio::test]
async fn every_failure_says_whether_to_try_again() {
    for (status, body, expected, retryable) in [
        (400, testdata!("openai/error_context.json"), code::CONTEXT_TOO_LONG, false),
        (400, testdata!("openai/error_vllm.json"), code::CONTEXT_TOO_LONG, false),
        (400, testdata!("openai/error_filter.json"), code::CONTENT_FILTERED, false),
        (400, testdata!("openai/error_azure_filter.json"), code::CONTENT_FILTERED, false),
        (400, b"{}".as_slice(), code::INVALID_REQUEST, false),
        (401, testdata!("openai/error_401.json"), code::AUTHENTICATION_FAILED, false),
        (402, b"".as_slice(), code::RATE_LIMIT_EXCEEDED, false),
        (403, b"".as_slice(), code::AUTHENTICATION_FAILED, false),
        (404, testdata!("openai/error_404.json"), code::MODEL_NOT_FOUND, false),
        (404, testdata!("openai/error_ollama.json"), code::MODEL_NOT_FOUND, false),
        (408, b"".as_slice(), code::TIMEOUT, true),
        (413, b"".as_slice(), code::CONTEXT_TOO_LONG, false),
        (429, testdata!("openai/error_429.json"), code::RATE_LIMIT_EXCEEDED, true),
        (429, testdata!("openai/error_quota.json"), code::RATE_LIMIT_EXCEEDED, false),
        (500, b"<html>oops</html>".as_slice(), code::SERVICE_UNAVAILABLE, true),
        (503, b"".as_slice(), code::SERVICE_UNAVAILABLE, true),
        (504, b"".as_slice(), code::TIMEOUT, true),
        (200, testdata!("openai/error_inside.json"), code::RATE_LIMIT_EXCEEDED, true),
    ] {
        let fault = fault(StubAnswer::new(status, &[], body)).await;
        assert_eq!((fault.fault.code.as_ref(), fault.retryable), (expected, retryable), "{status}: {fault:?}");
        assert!(fault.fault.message.contains("`gpt-4-turbo`"), "{fault:?}");
    }
}
