use baton_core::model::{FinishReason, ModelReply, ModelRequest, TokenUsage};
use baton_core::money::Usd;
use baton_core::run::ModelCallError;
use baton_ports::models::ReplyDelta;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::catalogue::StructuredOutput;
use crate::fault::code;
use crate::providers::AttemptSpend;
use crate::providers::stub_server::StubAnswer;
use crate::providers::test_support::{KEY, ProviderFixture, ask_stub, request, testdata, with_tools};

async fn reply(answer: StubAnswer, call: impl FnOnce(ProviderFixture) -> ProviderFixture) -> ModelReply {
    ask_stub(answer, |base_url| call(ProviderFixture::anthropic(base_url))).await.0.expect("a reply").reply
}

async fn fault(answer: StubAnswer, call: impl FnOnce(ProviderFixture) -> ProviderFixture) -> ModelCallError {
    ask_stub(answer, |base_url| call(ProviderFixture::anthropic(base_url))).await.0.expect_err("a fault").fault
}

fn calls(reply: &ModelReply) -> Vec<(&str, &str, Value)> {
    reply.tool_calls.iter().map(|call| (call.id.as_str(), call.name.as_str(), call.arguments.clone())).collect()
}

fn answering() -> ModelRequest {
    ModelRequest {
        schema: Some(json!({
            "type": "object",
            "properties": {"agent": {"type": "string"}, "confidence": {"type": "number", "maximum": 1}},
            "required": ["agent"],
        })),
        ..request("router", &["u: hi"])
    }
}

#[tokio::test]
async fn an_answer_that_comes_as_a_call_is_an_answer() {
    let forced = |call: ProviderFixture| call.model("claude-3-haiku-20240307").of(answering());
    let structured = |mut call: ProviderFixture| {
        call.site.structured = Some(StructuredOutput::JsonObject);
        call
    };
    let whole = reply(StubAnswer::json(testdata!("anthropic/forced.json")), |call| forced(structured(call))).await;
    assert_eq!((whole.content.as_str(), whole.finish), (r#"{"agent":"sales","confidence":0.9}"#, FinishReason::Stop));
    assert!(whole.tool_calls.is_empty());
    let (pieces, mut heard) = mpsc::channel(64);
    let listening = |call| ProviderFixture { pieces: Some(pieces), ..forced(structured(call)) };
    let streamed = reply(StubAnswer::stream(testdata!("anthropic/stream_forced.sse")), listening).await;
    assert_eq!((streamed.content.as_str(), streamed.finish), (r#"{"agent": "sales"}"#, FinishReason::Stop));
    assert_eq!(heard.recv().await, Some(ReplyDelta::Text(r#"{"agent": "sa"#.into())));
}

#[tokio::test]
async fn tokens_of_the_cache_are_counted_beside_the_input() {
    let whole = reply(StubAnswer::json(testdata!("anthropic/message.json")), |call| call).await;
    assert_eq!(whole.content, "Hello! How can I help you today?");
    let expected = TokenUsage {
        input_tokens: 21,
        output_tokens: 393,
        cached_tokens: 1_000,
        cache_write_tokens: 188_086,
        ..TokenUsage::default()
    };
    assert_eq!((whole.usage, whole.finish), (expected, FinishReason::Stop));
    let streamed = reply(StubAnswer::stream(testdata!("anthropic/stream.sse")), ProviderFixture::streaming).await;
    assert_eq!((streamed.content.as_str(), streamed.finish), ("¡Hola!", FinishReason::Stop));
    let expected = TokenUsage {
        input_tokens: 25,
        output_tokens: 15,
        cached_tokens: 2_000,
        cache_write_tokens: 100,
        ..TokenUsage::default()
    };
    assert_eq!(streamed.usage, expected);
    assert_eq!(streamed.model, "claude-sonnet-4-5-20250929");
}

#[tokio::test]
async fn tokens_of_the_cache_have_their_own_prices_streamed_or_not() {
    let cost = async |answer: StubAnswer| reply(answer, |call| call.model("claude-haiku-4-5").streaming()).await.cost;
    // Per million: 1 in, 0.10 read, 1.25 written, 5 out.
    let usd = |input: f64, read: f64, written: f64, output: f64| {
        Usd::from_f64((input + read * 0.1 + written * 1.25 + output * 5.0) / 1e6)
    };
    let streamed = cost(StubAnswer::stream(testdata!("anthropic/stream.sse"))).await;
    assert_eq!(streamed, usd(25.0, 2_000.0, 100.0, 15.0));
    let whole = cost(StubAnswer::json(testdata!("anthropic/message.json"))).await;
    assert_eq!(whole, usd(21.0, 1_000.0, 188_086.0, 393.0));
}

/// Recorded bytes with one text replaced.
fn but(recorded: &[u8], was: &str, is: &str) -> Vec<u8> {
    let text = std::str::from_utf8(recorded).expect("text");
    assert!(text.contains(was), "{was}");
    text.replace(was, is).into_bytes()
}

#[tokio::test]
async fn what_is_written_for_an_hour_has_its_own_price_streamed_or_not() {
    let hour = r#""ephemeral_1h_input_tokens": "#;
    let whole = but(testdata!("anthropic/message.json"), &format!("{hour}0"), &format!("{hour}8086"));
    let whole = reply(StubAnswer::json(&whole), |call| call.model("claude-haiku-4-5")).await;
    assert_eq!((whole.usage.cache_write_tokens, whole.usage.cache_write_hour_tokens), (188_086, 8_086));
    // Per million: 1 in, 0.10 read, 1.25 written for minutes, 2 for an hour, 5 out.
    assert_eq!(whole.cost, Usd::from_f64((21.0 + 100.0 + 180_000.0 * 1.25 + 8_086.0 * 2.0 + 393.0 * 5.0) / 1e6));
    let written = r#""cache_creation_input_tokens": 100"#;
    let split = format!(r#"{written}, "cache_creation": {{"ephemeral_5m_input_tokens": 40, {hour}60}}"#);
    let streamed = StubAnswer::stream(&but(testdata!("anthropic/stream.sse"), written, &split));
    let streamed = reply(streamed, |call| call.model("claude-haiku-4-5").streaming()).await;
    assert_eq!((streamed.usage.cache_write_tokens, streamed.usage.cache_write_hour_tokens), (100, 60));
    assert_eq!(streamed.cost, Usd::from_f64((25.0 + 200.0 + 40.0 * 1.25 + 60.0 * 2.0 + 15.0 * 5.0) / 1e6));
}

#[tokio::test]
async fn tool_calls_are_read_whole_and_streamed() {
    let whole = reply(StubAnswer::json(testdata!("anthropic/tool_use.json")), |call| call.of(with_tools())).await;
    let expected = vec![
        ("toolu_01A09q90qw90lq917835lq9", "shopify.get_order", json!({"id": "7", "lines": [1, 2]})),
        ("toolu_01T1x1fJ34qAmk2tNTrN7Up6", "search_kb", json!({})),
    ];
    assert_eq!((whole.content.as_str(), whole.finish), ("I'll look at both.", FinishReason::ToolCalls));
    assert_eq!(calls(&whole), expected);
    let (pieces, mut heard) = mpsc::channel(64);
    let listening = |call: ProviderFixture| ProviderFixture { pieces: Some(pieces), ..call.of(with_tools()) };
    let streamed = reply(StubAnswer::stream(testdata!("anthropic/stream_tools.sse")), listening).await;
    let expected = vec![
        ("toolu_01T1x1fJ34qAmk2tNTrN7Up6", "shopify.get_order", json!({"id": "7"})),
        ("toolu_02Second", "search_kb", json!({"query": "x"})),
    ];
    assert_eq!((streamed.content.as_str(), calls(&streamed)), ("Okay, let's see.", expected));
    let mut arguments = [String::new(), String::new()];
    while let Some(piece) = heard.recv().await {
        if let ReplyDelta::ToolCall { index, arguments: more, .. } = piece {
            arguments[index].push_str(&more);
        }
    }
    assert_eq!(arguments, [r#"{"id": "7"}"#, r#"{"query": "x"}"#]);
}

#[tokio::test]
async fn why_it_stopped_is_told() {
    for (body, expected) in [
        (testdata!("anthropic/refusal.json"), FinishReason::Filtered),
        (testdata!("anthropic/length.json"), FinishReason::Length),
    ] {
        assert_eq!(reply(StubAnswer::json(body), |call| call).await.finish, expected);
    }
}

#[tokio::test]
async fn every_failure_says_whether_to_try_again() {
    for (status, body, expected, retryable) in [
        (400, testdata!("anthropic/error_400.json"), code::INVALID_REQUEST, false),
        (400, testdata!("anthropic/error_long.json"), code::CONTEXT_TOO_LONG, false),
        (400, testdata!("anthropic/error_credit.json"), code::RATE_LIMIT_EXCEEDED, false),
        (401, testdata!("anthropic/error_401.json"), code::AUTHENTICATION_FAILED, false),
        (404, testdata!("anthropic/error_404.json"), code::MODEL_NOT_FOUND, false),
        (413, testdata!("anthropic/error_413.json"), code::CONTEXT_TOO_LONG, false),
        (429, testdata!("anthropic/error_429.json"), code::RATE_LIMIT_EXCEEDED, true),
        (500, testdata!("anthropic/error_500.json"), code::SERVICE_UNAVAILABLE, true),
        (529, testdata!("anthropic/error_529.json"), code::SERVICE_UNAVAILABLE, true),
        // The same inside a success, where only the type tells.
        (200, testdata!("anthropic/error_529.json"), code::SERVICE_UNAVAILABLE, true),
        (200, testdata!("anthropic/error_429.json"), code::RATE_LIMIT_EXCEEDED, true),
    ] {
        let fault = fault(StubAnswer::new(status, &[], body), |call| call).await;
        assert_eq!((fault.fault.code.as_ref(), fault.retryable), (expected, retryable), "{status}: {fault:?}");
        assert!(!fault.fault.message.contains(KEY), "{fault:?}");
    }
    let fault = fault(StubAnswer::new(401, &[], testdata!("anthropic/error_401.json")), |call| call).await;
    assert!(fault.fault.message.contains("check ANTHROPIC_API_KEY or models.api_key"), "{fault:?}");
}

#[tokio::test]
async fn nobody_knows_what_a_stream_that_fails_has_cost() {
    let outcome = ask_stub(StubAnswer::stream(testdata!("anthropic/stream_error.sse")), |base_url| {
        ProviderFixture::anthropic(base_url).model("claude-3-opus").streaming()
    });
    let failure = outcome.await.0.expect_err("a failure");
    assert_eq!((failure.fault.fault.code.as_ref(), failure.has_streamed), (code::SERVICE_UNAVAILABLE, false));
    // It had counted its input, but its output is uncounted.
    assert_eq!(failure.spent, AttemptSpend::Unknown);
}

#[tokio::test]
async fn a_stream_out_of_order_is_no_reply() {
    let start = r#"{"type":"message_start","message":{"usage":{"input_tokens":1}}}"#;
    let open = r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
    let text = r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}"#;
    let shut = r#"{"type":"content_block_stop","index":0}"#;
    let stopped = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#;
    let end = r#"{"type":"message_stop"}"#;
    let streamed = async |events: &[&str]| {
        let stream: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
        let outcome = ask_stub(StubAnswer::stream(stream.as_bytes()), |base_url| {
            ProviderFixture::anthropic(base_url).streaming()
        })
        .await
        .0;
        outcome.map(|answered| answered.reply.content).map_err(|failure| failure.fault.fault.code.into_owned())
    };
    assert_eq!(streamed(&[start, open, text, shut, stopped, end]).await, Ok("a".into()));
    // The last event may be missing: the reply is complete without it.
    assert_eq!(streamed(&[start, open, text, shut, stopped]).await, Ok("a".into()));
    for wrong in [
        [start, text, shut, stopped, end].as_slice(),
        &[start, open, open, text, shut, stopped, end],
        &[start, open, text, shut, text, stopped, end],
        &[start, open, text, stopped, end],
        &[start, open, text, shut, end],
        &[start, open, text, shut],
        &[start, shut, stopped, end],
    ] {
        assert_eq!(streamed(wrong).await, Err(code::MALFORMED_REPLY.to_owned()), "{wrong:?}");
    }
}
