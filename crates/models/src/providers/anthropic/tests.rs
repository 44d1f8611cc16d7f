use baton_core::model::{Finish, Image, Message, Reply, Request, Thinking, ToolCall, ToolChoice, Usage};
use baton_core::run::ModelFault;
use baton_ports::models::Piece;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::catalogue::Structured;
use crate::fault::{Blame, blame, code};
use crate::providers::rehearsal::{Call, KEY, answered, request, testdata, with_tools};
use crate::providers::server::{Answer, Server};

async fn reply(answer: Answer, call: impl FnOnce(Call) -> Call) -> Reply {
    answered(answer, |base_url| call(Call::anthropic(base_url))).await.0.expect("a reply").reply
}

async fn fault(answer: Answer, call: impl FnOnce(Call) -> Call) -> ModelFault {
    answered(answer, |base_url| call(Call::anthropic(base_url))).await.0.expect_err("a fault").fault
}

/// The body that a call sends.
async fn body(call: impl FnOnce(Call) -> Call) -> Value {
    answered(Answer::json(testdata!("anthropic/message.json")), |base_url| call(Call::anthropic(base_url))).await.1
}

fn calls(reply: &Reply) -> Vec<(&str, &str, Value)> {
    reply.tool_calls.iter().map(|call| (call.id.as_str(), call.name.as_str(), call.arguments.clone())).collect()
}

#[tokio::test]
async fn a_request_is_written_as_documented() {
    let server = Server::start(vec![Answer::json(testdata!("anthropic/message.json"))]).await;
    Call::anthropic(&server.base_url).of(with_tools()).ask().await.expect("a reply");
    let heard = server.heard();
    let (head, body) = heard[0].split_once("\r\n\r\n").expect("a request");
    let head = head.to_lowercase();
    assert!(head.starts_with("post /v1/messages http/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("x-api-key: {KEY}")) && head.contains("anthropic-version: 2023-06-01"), "{head}");
    let body: Value = serde_json::from_str(body).expect("JSON");
    let expected: Value = serde_json::from_slice(testdata!("anthropic/request_tools.json")).expect("JSON");
    assert_eq!(body, expected);
}

#[tokio::test]
async fn the_address_may_have_its_version_or_not() {
    let server = Server::start(vec![Answer::json(testdata!("anthropic/message.json"))]).await;
    for base_url in [server.base_url.as_str(), server.base_url.trim_end_matches("/v1")] {
        Call::anthropic(base_url).ask().await.expect("a reply");
    }
    assert!(server.heard().iter().all(|heard| heard.starts_with("POST /v1/messages HTTP")), "{:?}", server.heard());
}

#[tokio::test]
async fn turns_alternate_and_begin_and_end_with_the_user() {
    let turns = async |messages: Vec<Message>| {
        body(|call| call.of(Request { messages, ..Request::default() })).await["messages"].clone()
    };
    let text = |text: &str| json!({"type": "text", "text": text});
    let said = |messages: &[&str]| request("a", messages).messages;
    assert_eq!(
        turns(said(&["u: one", "u: two", "a: three", "a: four", "s: and kind", "u: five"])).await,
        json!([
            {"role": "user", "content": [text("one"), text("two")]},
            {"role": "assistant", "content": [text("three"), text("four")]},
            {"role": "user", "content": [text("five")]},
        ])
    );
    assert_eq!(
        turns(said(&["a: hello", "u:  ", "a: again"])).await,
        json!([
            {"role": "user", "content": [text("Go on.")]},
            {"role": "assistant", "content": [text("hello"), text("again")]},
            {"role": "user", "content": [text("Go on.")]},
        ])
    );
    assert_eq!(turns(Vec::new()).await, json!([{"role": "user", "content": [text("Go on.")]}]));
}

#[tokio::test]
async fn results_stand_before_whatever_else_the_user_says() {
    let call = |id: &str| ToolCall { id: id.into(), name: "x".into(), arguments: json!("oops") };
    let result = |id: &str| Message::Tool { tool_call_id: id.into(), content: format!("of {id}") };
    let messages = vec![
        Message::user("hi"),
        Message::Assistant { content: "Well.".into(), tool_calls: vec![call("a.1"), call("b")], thinking: None },
        result("a.1"),
        Message::user("hurry"),
        result("b"),
    ];
    let body = body(|call| call.of(Request { messages, ..Request::default() })).await;
    let used = |id: &str| json!({"type": "tool_use", "id": id, "name": "x", "input": {"arguments": "oops"}});
    assert_eq!(body["messages"][1]["content"], json!([{"type": "text", "text": "Well."}, used("a_1"), used("b")]));
    let result = |id: &str, of: &str| json!({"type": "tool_result", "tool_use_id": id, "content": of});
    assert_eq!(
        body["messages"][2]["content"],
        json!([result("a_1", "of a.1"), result("b", "of b"), {"type": "text", "text": "hurry"}])
    );
    // The API wants to know the tools that the messages speak of, though none may be called now.
    assert_eq!(body["tools"], json!([{"name": "x", "input_schema": {"type": "object"}}]));
    assert_eq!(body["tool_choice"], json!({"type": "none"}));
}

#[tokio::test]
async fn images_are_shown_by_address_or_by_their_bytes() {
    let shown = |urls: &[&str]| {
        let images = urls.iter().map(|url| Image { url: (*url).into() }).collect();
        Request { messages: vec![Message::User { content: "What?".into(), images }], ..Request::default() }
    };
    let both = shown(&["https://example.com/a.png", "data:image/png;base64,AAAA"]);
    let body = body(|call| call.of(both)).await;
    assert_eq!(
        body["messages"][0]["content"],
        json!([
            {"type": "text", "text": "What?"},
            {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        ])
    );
    let fault = fault(Answer::Hanging(Vec::new()), |call| call.of(shown(&["data:image/svg+xml,%3Csvg"]))).await;
    assert_eq!((fault.fault.code.as_ref(), blame(&fault)), (code::INVALID_REQUEST, Blame::Request));
    assert!(fault.fault.message.contains("base64"), "{fault:?}");
}

#[tokio::test]
async fn tool_choice_is_said_in_its_words_or_urged() {
    let chosen = async |model: &'static str, choice: ToolChoice| {
        let request = Request { tool_choice: Some(choice), schema: None, ..with_tools() };
        let body = body(|call| call.model(model).of(request)).await;
        (body["tool_choice"].clone(), body["system"].as_str().expect("a text").to_owned())
    };
    let order = || ToolChoice::Tool("shopify.get_order".into());
    for (choice, expected) in [
        (ToolChoice::Auto, json!({"type": "auto"})),
        (ToolChoice::None, json!({"type": "none"})),
        (ToolChoice::Required, json!({"type": "any"})),
        (order(), json!({"type": "tool", "name": "shopify_get_order"})),
    ] {
        assert_eq!(chosen("claude-sonnet-4-5", choice).await, (expected, "Be kind.".into()));
    }
    let (choice, system) = chosen("claude-opus-5-5", order()).await;
    assert_eq!(choice, json!({"type": "auto"}));
    assert_eq!(system, "Be kind.\n\nYour next reply must call the tool `shopify_get_order`.");
    let mut one = with_tools();
    one.more.insert("parallel_tool_calls".into(), json!(false));
    assert_eq!(
        body(|call| call.of(one)).await["tool_choice"],
        json!({"type": "auto", "disable_parallel_tool_use": true})
    );
}

#[tokio::test]
async fn further_fields_are_translated_where_there_is_a_word_for_them() {
    let mut request = request("a", &["u: hi"]);
    for (name, value) in [
        ("stop", json!(["END", " "])),
        ("top_p", json!(0.5)),
        ("user", json!("u7")),
        ("seed", json!(7)),
        ("reasoning_effort", json!("minimal")),
        ("cache_control", json!({"type": "ephemeral"})),
    ] {
        request.more.insert(name.into(), value);
    }
    let old = body(|call| call.of(request.clone())).await;
    assert_eq!((&old["stop_sequences"], &old["top_p"]), (&json!(["END"]), &json!(0.5)));
    assert_eq!((&old["metadata"], &old["cache_control"]), (&json!({"user_id": "u7"}), &json!({"type": "ephemeral"})));
    for unknown in ["seed", "stop", "user", "temperature", "output_config", "reasoning_effort"] {
        assert_eq!(old.get(unknown), None, "{unknown}");
    }
    let new = body(|call| call.model("claude-opus-5-5").of(request)).await;
    assert_eq!((new.get("top_p"), &new["output_config"]), (None, &json!({"effort": "low"})));
}

#[tokio::test]
async fn the_token_limit_is_always_said() {
    let limit = async |model: &'static str, max_tokens| {
        let request = Request { max_tokens, temperature: 1.7, ..request("a", &["u: hi"]) };
        let body = body(|call| call.model(model).of(request)).await;
        (body["max_tokens"].clone(), body.get("temperature").cloned())
    };
    assert_eq!(limit("claude-sonnet-4-5", Some(7)).await, (json!(7), Some(json!(1.0))));
    assert_eq!(limit("claude-3-haiku-20240307", None).await, (json!(4_096), Some(json!(1.0))));
    assert_eq!(limit("claude-opus-4-7", None).await, (json!(16_384), None));
}

fn answering() -> Request {
    Request {
        schema: Some(json!({
            "type": "object",
            "properties": {"agent": {"type": "string"}, "confidence": {"type": "number", "maximum": 1}},
            "required": ["agent"],
        })),
        ..request("router", &["u: hi"])
    }
}

#[tokio::test]
async fn a_schema_is_enforced_by_the_model_by_a_tool_or_by_words() {
    let sent = async |model: &'static str, structured: Structured, request: Request| {
        let ask = |mut call: Call| {
            call.site.structured = Some(structured);
            call.model(model).of(request)
        };
        let body = body(ask).await;
        let has = |name: &str| body.get(name).is_some();
        (has("output_config"), body["tool_choice"]["name"] == "give_answer", has("system"))
    };
    let native = sent("claude-sonnet-4-5", Structured::JsonSchema, answering());
    assert_eq!(native.await, (true, false, false));
    assert_eq!(sent("claude-3-haiku-20240307", Structured::JsonSchema, answering()).await, (false, true, false));
    assert_eq!(sent("claude-sonnet-4-5", Structured::JsonObject, answering()).await, (false, true, false));
    assert_eq!(sent("claude-sonnet-4-5", Structured::Prompt, answering()).await, (false, false, true));
    // What the model cannot enforce, a tool takes; what may not be forced either, is asked for.
    let free = Request { schema: Some(json!({"type": "object"})), ..answering() };
    assert_eq!(sent("claude-sonnet-4-5", Structured::JsonSchema, free.clone()).await, (false, true, false));
    assert_eq!(sent("claude-opus-5-5", Structured::JsonSchema, free).await, (false, false, true));
    // Beside tools nothing is forced.
    let tools = sent("claude-3-haiku-20240307", Structured::JsonSchema, with_tools());
    assert_eq!(tools.await, (false, false, true));
}

#[tokio::test]
async fn an_answer_that_comes_as_a_call_is_an_answer() {
    let forced = |call: Call| call.model("claude-3-haiku-20240307").of(answering());
    let structured = |mut call: Call| {
        call.site.structured = Some(Structured::JsonObject);
        call
    };
    let whole = reply(Answer::json(testdata!("anthropic/forced.json")), |call| forced(structured(call))).await;
    assert_eq!((whole.content.as_str(), whole.finish), (r#"{"agent":"sales","confidence":0.9}"#, Finish::Stop));
    assert!(whole.tool_calls.is_empty());
    let (pieces, mut heard) = mpsc::channel(64);
    let listening = |call| Call { pieces: Some(pieces), ..forced(structured(call)) };
    let streamed = reply(Answer::stream(testdata!("anthropic/stream_forced.sse")), listening).await;
    assert_eq!((streamed.content.as_str(), streamed.finish), (r#"{"agent": "sales"}"#, Finish::Stop));
    assert_eq!(heard.recv().await, Some(Piece::Text(r#"{"agent": "sa"#.into())));
}

#[tokio::test]
async fn tokens_of_the_cache_are_counted_beside_the_input() {
    let whole = reply(Answer::json(testdata!("anthropic/message.json")), |call| call).await;
    assert_eq!(whole.content, "Hello! How can I help you today?");
    let expected = Usage { input_tokens: 21, output_tokens: 393, cached_tokens: 1_000, cache_write_tokens: 188_086 };
    assert_eq!((whole.usage, whole.finish), (expected, Finish::Stop));
    let streamed = reply(Answer::stream(testdata!("anthropic/stream.sse")), Call::streaming).await;
    assert_eq!((streamed.content.as_str(), streamed.finish), ("¡Hola!", Finish::Stop));
    let expected = Usage { input_tokens: 25, output_tokens: 15, cached_tokens: 2_000, cache_write_tokens: 100 };
    assert_eq!(streamed.usage, expected);
    assert_eq!(streamed.model, "claude-sonnet-4-5-20250929");
}

#[tokio::test]
async fn tool_calls_are_read_whole_and_streamed() {
    let whole = reply(Answer::json(testdata!("anthropic/tool_use.json")), |call| call.of(with_tools())).await;
    let expected = vec![
        ("toolu_01A09q90qw90lq917835lq9", "shopify.get_order", json!({"id": "7", "lines": [1, 2]})),
        ("toolu_01T1x1fJ34qAmk2tNTrN7Up6", "search_kb", json!({})),
    ];
    assert_eq!((whole.content.as_str(), whole.finish), ("I'll look at both.", Finish::ToolCalls));
    assert_eq!(calls(&whole), expected);
    let (pieces, mut heard) = mpsc::channel(64);
    let listening = |call: Call| Call { pieces: Some(pieces), ..call.of(with_tools()) };
    let streamed = reply(Answer::stream(testdata!("anthropic/stream_tools.sse")), listening).await;
    let expected = vec![
        ("toolu_01T1x1fJ34qAmk2tNTrN7Up6", "shopify.get_order", json!({"id": "7"})),
        ("toolu_02Second", "search_kb", json!({"query": "x"})),
    ];
    assert_eq!((streamed.content.as_str(), calls(&streamed)), ("Okay, let's see.", expected));
    let mut arguments = [String::new(), String::new()];
    while let Some(piece) = heard.recv().await {
        if let Piece::ToolCall { index, arguments: more, .. } = piece {
            arguments[index].push_str(&more);
        }
    }
    assert_eq!(arguments, [r#"{"id": "7"}"#, r#"{"query": "x"}"#]);
}

#[tokio::test]
async fn why_it_stopped_is_told() {
    for (body, expected) in
        [(testdata!("anthropic/refusal.json"), Finish::Filtered), (testdata!("anthropic/length.json"), Finish::Length)]
    {
        assert_eq!(reply(Answer::json(body), |call| call).await.finish, expected);
    }
}

#[tokio::test]
async fn what_a_model_thought_goes_back_word_for_word_and_to_no_other() {
    for (answer, stream) in [
        (Answer::json(testdata!("anthropic/thinking.json")), false),
        (Answer::stream(testdata!("anthropic/stream_thinking.sse")), true),
    ] {
        let asked = |call: Call| {
            let call = call.model("claude-opus-5-5").of(with_tools());
            if stream { call.streaming() } else { call }
        };
        let reply = reply(answer, asked).await;
        assert_eq!((reply.content.as_str(), reply.tool_calls.len()), ("Let me see.", 1));
        let thinking = reply.thinking.clone().expect("thinking");
        assert_eq!(thinking.parts.len(), 3);
        assert_eq!(thinking.parts[2]["input"], json!({"id": "12345"}));
        if stream {
            assert_eq!(thinking.parts[0]["thinking"], "The order comes first.");
            assert_eq!(thinking.parts[0]["signature"], "EqQBCgIYAhIM1gbcDa9GJwZA2b3h");
        }
        let back = async |content: &str, model: &'static str| {
            let said = Message::Assistant {
                content: content.into(),
                tool_calls: reply.tool_calls.clone(),
                thinking: reply.thinking.clone(),
            };
            let messages = vec![Message::user("hi"), said];
            let body = body(|call| call.model(model).of(Request { messages, ..with_tools() })).await;
            body["messages"][1]["content"].clone()
        };
        assert_eq!(back("Let me see.", "claude-opus-5-5").await, json!(thinking.parts));
        let plain = json!([{"type": "text", "text": "Let me see."}, thinking.parts[2]]);
        assert_eq!(back("Let me see.", "claude-sonnet-5").await, plain);
        // A turn that is no longer the one it was is not passed off as such.
        assert_eq!(back("Changed.", "claude-opus-5-5").await[0], json!({"type": "text", "text": "Changed."}));
    }
    let unread = Thinking { model: "claude-opus-5-5".into(), parts: Vec::new() };
    let said = Message::Assistant { content: "a".into(), tool_calls: Vec::new(), thinking: Some(unread) };
    let messages = vec![Message::user("hi"), said, Message::user("b")];
    let body = body(|call| call.model("claude-opus-5-5").of(Request { messages, ..Request::default() })).await;
    assert_eq!(body["messages"][1]["content"], json!([{"type": "text", "text": "a"}]));
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
        // The same inside a success, where only the type says it.
        (200, testdata!("anthropic/error_529.json"), code::SERVICE_UNAVAILABLE, true),
        (200, testdata!("anthropic/error_429.json"), code::RATE_LIMIT_EXCEEDED, true),
    ] {
        let fault = fault(Answer::new(status, &[], body), |call| call).await;
        assert_eq!((fault.fault.code.as_ref(), fault.retryable), (expected, retryable), "{status}: {fault:?}");
        assert!(!fault.fault.message.contains(KEY), "{fault:?}");
    }
    let fault = fault(Answer::new(401, &[], testdata!("anthropic/error_401.json")), |call| call).await;
    assert!(fault.fault.message.contains("check ANTHROPIC_API_KEY or models.api_key"), "{fault:?}");
}

#[tokio::test]
async fn a_stream_that_fails_has_cost_what_it_counted() {
    let outcome = answered(Answer::stream(testdata!("anthropic/stream_error.sse")), |base_url| {
        Call::anthropic(base_url).model("claude-3-opus").streaming()
    });
    let failure = outcome.await.0.expect_err("a failure");
    assert_eq!((failure.fault.fault.code.as_ref(), failure.told), (code::SERVICE_UNAVAILABLE, false));
    // 1,000 tokens of input as counted by the provider, and the two that "Hello" makes by our estimate.
    assert_eq!(failure.spent, baton_core::money::Usd::from_f64(0.015 + 2.0 * 0.000_075));
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
        let outcome =
            answered(Answer::stream(stream.as_bytes()), |base_url| Call::anthropic(base_url).streaming()).await.0;
        outcome.map(|answered| answered.reply.content).map_err(|failure| failure.fault.fault.code.into_owned())
    };
    assert_eq!(streamed(&[start, open, text, shut, stopped, end]).await, Ok("a".into()));
    // The last event may be missing, for everything was said.
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
