use std::sync::Arc;

use baton_core::model::{Finish, Image, Message, Reply, Request, Thinking, ToolCall, ToolChoice, Usage};
use baton_core::money::Usd;
use baton_core::run::ModelFault;
use baton_ports::models::{ApiKey, Piece};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::catalogue::{Spec, Structured};
use crate::fault::code;
use crate::providers::rehearsal::{Call, KEY, Stopped, answered, request, testdata, with_tools};
use crate::providers::server::{Answer, Server};
use crate::providers::{Api, Site};

async fn reply(answer: Answer, call: impl FnOnce(Call) -> Call) -> Reply {
    answered(answer, |base_url| call(Call::openai(base_url))).await.0.expect("a reply").reply
}

async fn fault(answer: Answer) -> ModelFault {
    answered(answer, Call::openai).await.0.expect_err("a fault").fault
}

/// The body that a call sends.
async fn body(call: impl FnOnce(Call) -> Call) -> Value {
    answered(Answer::json(testdata!("openai/completion.json")), |base_url| call(Call::openai(base_url))).await.1
}

fn calls(reply: &Reply) -> Vec<(&str, &str, Value)> {
    reply.tool_calls.iter().map(|call| (call.id.as_str(), call.name.as_str(), call.arguments.clone())).collect()
}

#[tokio::test]
async fn a_request_is_written_as_documented() {
    let server = Server::start(vec![Answer::json(testdata!("openai/completion.json"))]).await;
    Call::openai(&server.base_url).of(with_tools()).ask().await.expect("a reply");
    let heard = server.heard();
    let (head, body) = heard[0].split_once("\r\n\r\n").expect("a request");
    assert!(head.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{head}");
    assert!(head.to_lowercase().contains(&format!("authorization: bearer {KEY}")), "{head}");
    let body: Value = serde_json::from_str(body).expect("JSON");
    let expected: Value = serde_json::from_slice(testdata!("openai/request_tools.json")).expect("JSON");
    assert_eq!(body, expected);
}

#[tokio::test]
async fn a_schema_is_enforced_as_far_as_the_model_can() {
    let format =
        async |change: fn(Call) -> Call| body(|call| change(call.of(with_tools()))).await["response_format"].clone();
    let unknown = format(|call| call.model("gpt-4o")).await;
    assert_eq!((&unknown["type"], &unknown["json_schema"]["strict"]), (&json!("json_schema"), &json!(false)));
    let closed = format(|mut call| {
        call.site.structured = Some(Structured::JsonSchema);
        call.request.schema = Some(json!({
            "type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false
        }));
        call
    });
    assert_eq!(closed.await["json_schema"]["strict"], json!(true));
    assert_eq!(format(|call| call.model("gpt-4")).await, Value::Null);
    let list = format(|mut call| {
        call.request.schema = Some(json!({"type": "array"}));
        call
    });
    assert_eq!(list.await, Value::Null);
}

#[tokio::test]
async fn what_is_not_enforced_is_asked_for() {
    let told = |body: &Value| body["messages"][0]["content"].as_str().expect("a text").to_owned();
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let plain = Request { schema: Some(schema.clone()), ..request("a", &["u: hi"]) };
    let only_words = body(|call| call.model("gpt-4").of(plain.clone())).await;
    assert_eq!(only_words["messages"][0]["role"], "system");
    assert!(told(&only_words).contains(&schema.to_string()), "{only_words}");
    let enforced = body(|call| call.model("gpt-4o").of(plain)).await;
    assert_eq!(enforced["messages"], json!([{"role": "user", "content": "hi"}]));
}

#[tokio::test]
async fn a_thinking_model_is_asked_in_its_own_words() {
    let mut request = with_tools();
    request.more.insert("top_p".into(), json!(0.5));
    request.more.insert("reasoning_effort".into(), json!("low"));
    let body = body(|call| call.model("gpt-6-luna").of(request)).await;
    assert_eq!((&body["max_completion_tokens"], &body["reasoning_effort"]), (&json!(200), &json!("low")));
    for refused in ["temperature", "max_tokens", "top_p"] {
        assert_eq!(body.get(refused), None, "{refused}");
    }
}

#[tokio::test]
async fn what_a_deployments_name_hides_the_catalogue_says() {
    let asked = async |sampling: bool| {
        let deployed = |call: Call| {
            let spec = call.spec.clone().map(|spec| Spec { sampling: Some(sampling), ..spec });
            Call { model: "our-deployment", spec, ..call }
        };
        body(deployed).await.get("temperature").cloned()
    };
    assert_eq!((asked(true).await, asked(false).await), (Some(json!(0.0)), None));
}

#[tokio::test]
async fn further_fields_are_sent_on_and_ours_are_not_theirs_to_change() {
    let mut request = with_tools();
    for (name, value) in [
        ("top_p", json!(0.5)),
        ("stop", json!(["END"])),
        ("seed", json!(7)),
        ("parallel_tool_calls", json!(false)),
        ("n", json!(5)),
        ("model", json!("dear-one")),
        ("stream", json!(true)),
        ("max_tokens", json!(9)),
    ] {
        request.more.insert(name.into(), value);
    }
    let body = body(|call| call.of(request)).await;
    assert_eq!((&body["top_p"], &body["stop"], &body["seed"]), (&json!(0.5), &json!(["END"]), &json!(7)));
    assert_eq!((&body["parallel_tool_calls"], &body["max_tokens"]), (&json!(false), &json!(200)));
    assert_eq!((&body["model"], body.get("n"), body.get("stream")), (&json!("gpt-4-turbo"), None, None));
}

#[tokio::test]
async fn tool_choice_is_told_where_there_are_tools() {
    for (choice, expected) in [
        (ToolChoice::Auto, json!("auto")),
        (ToolChoice::None, json!("none")),
        (ToolChoice::Required, json!("required")),
        (
            ToolChoice::Tool("shopify.get_order".into()),
            json!({"type": "function", "function": {"name": "shopify_get_order"}}),
        ),
    ] {
        let request = Request { tool_choice: Some(choice), ..with_tools() };
        assert_eq!(body(|call| call.of(request)).await["tool_choice"], expected);
    }
    let without = Request { tool_choice: Some(ToolChoice::Required), ..request("a", &["u: hi"]) };
    assert_eq!(body(|call| call.of(without)).await.get("tool_choice"), None);
}

#[tokio::test]
async fn images_are_passed_through() {
    let image = |url: &str| Image { url: url.into() };
    let seen = |content: &str| Message::User {
        content: content.into(),
        images: vec![image("https://example.com/a.png"), image("data:image/png;base64,AAAA")],
    };
    let request = Request { messages: vec![seen("What is this?"), seen("")], ..Request::default() };
    let images = [
        json!({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}),
        json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}),
    ];
    let text = json!({"type": "text", "text": "What is this?"});
    let body = body(|call| call.of(request)).await;
    assert_eq!(body["messages"][0]["content"], json!([text, images[0], images[1]]));
    assert_eq!(body["messages"][1]["content"], json!(images));
}

#[tokio::test]
async fn a_reply_is_read_and_priced() {
    let reply = reply(Answer::json(testdata!("openai/completion.json")), |call| call).await;
    assert_eq!(reply.content, "Hello! How can I assist you today?");
    assert_eq!((reply.finish, reply.provider.as_str()), (Finish::Stop, "here"));
    assert_eq!(reply.model, "gpt-4-turbo-2024-04-09");
    // 1,000 of the 1,019 tokens of the prompt were cached; gpt-4-turbo has one price for both.
    let usage = Usage { input_tokens: 19, output_tokens: 10, cached_tokens: 1_000, cache_write_tokens: 0 };
    assert_eq!((reply.usage, reply.cost), (usage, Usd::from_f64(0.010_49)));
}

#[tokio::test]
async fn cached_tokens_are_counted_apart_wherever_they_stand() {
    let written = reply(Answer::json(testdata!("openai/completion_written.json")), |call| call).await;
    let expected = Usage { input_tokens: 6, output_tokens: 300, cached_tokens: 1_920, cache_write_tokens: 80 };
    assert_eq!(written.usage, expected);
    let deepseek = reply(Answer::json(testdata!("openai/completion_deepseek.json")), |call| call).await;
    assert_eq!(deepseek.usage, Usage { input_tokens: 36, output_tokens: 10, cached_tokens: 64, ..Usage::default() });
}

#[tokio::test]
async fn tool_calls_are_read_under_our_names() {
    let reply = reply(Answer::json(testdata!("openai/tool_calls.json")), |call| call.of(with_tools())).await;
    let expected = [
        ("call_abc123", "shopify.get_order", json!({"id": "12345"})),
        // Arguments that are no JSON are a text, which no schema of parameters accepts.
        ("call_def456", "search_kb", json!("{\"query\": \"return po")),
    ];
    assert_eq!((reply.finish, calls(&reply)), (Finish::ToolCalls, expected.to_vec()));
}

#[tokio::test]
async fn odd_calls_can_be_told_apart_or_are_malformed() {
    let of = |calls: Value| {
        let message = json!({"choices": [{"message": {"tool_calls": calls}, "finish_reason": "tool_calls"}]});
        Answer::json(message.to_string().as_bytes())
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
    let refused = reply(Answer::json(testdata!("openai/refusal.json")), |call| call).await;
    assert_eq!(refused.finish, Finish::Filtered);
    assert!(!refused.content.is_empty());
    let cut = reply(Answer::json(testdata!("openai/length.json")), |call| call).await;
    assert_eq!(cut.finish, Finish::Length);
}

#[tokio::test]
async fn tokens_that_nobody_counted_are_estimated() {
    let reply = reply(Answer::json(testdata!("openai/uncounted.json")), |call| call).await;
    assert!(reply.usage.input_tokens > 0 && reply.usage.output_tokens > 0, "{:?}", reply.usage);
    assert!(reply.cost > Usd::ZERO);
}

#[tokio::test]
async fn a_stream_is_put_together() {
    let (outcome, body) =
        answered(Answer::stream(testdata!("openai/stream.sse")), |base_url| Call::openai(base_url).streaming()).await;
    let reply = outcome.expect("a reply").reply;
    assert_eq!((reply.content.as_str(), reply.finish), ("¡Hola!", Finish::Stop));
    assert_eq!(reply.usage, Usage { input_tokens: 5, output_tokens: 3, cached_tokens: 4, ..Usage::default() });
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
        let reply = reply(Answer::stream(stream), |call| call.of(with_tools()).streaming()).await;
        assert_eq!((reply.finish, calls(&reply)), (Finish::ToolCalls, expected));
    }
}

#[tokio::test]
async fn a_listener_hears_text_and_calls_as_they_come() {
    let heard = async |stream: &[u8]| {
        let (pieces, mut heard) = mpsc::channel(64);
        let listening = |call: Call| Call { pieces: Some(pieces), ..call.of(with_tools()) };
        let reply = reply(Answer::stream(stream), listening).await;
        let mut all = Vec::new();
        while let Some(piece) = heard.recv().await {
            all.push(piece);
        }
        (reply, all)
    };
    let (_, text) = heard(testdata!("openai/stream.sse")).await;
    assert_eq!(text, [Piece::Text("¡Ho".into()), Piece::Text("la!".into())]);
    let call = |index, id: Option<&str>, name: Option<&str>, arguments: &str| Piece::ToolCall {
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
    let reply = reply(Answer::stream(testdata!("openai/stream_azure.sse")), Call::streaming).await;
    assert_eq!((reply.content.as_str(), reply.model.as_str()), ("¡Hola!", "gpt-4.1-2025-04-14"));
}

#[tokio::test]
async fn what_a_model_thought_goes_back_to_it_and_to_no_other() {
    let reply = reply(Answer::json(testdata!("openai/completion_deepseek.json")), |call| call.of(with_tools())).await;
    let thinking = reply.thinking.clone().expect("thinking");
    assert_eq!(thinking.parts, [json!({"reasoning_content": "The order comes first."})]);
    let back = async |thinking: Thinking| {
        let said = Message::Assistant {
            content: reply.content.clone(),
            tool_calls: reply.tool_calls.clone(),
            thinking: Some(thinking),
        };
        body(|call| call.of(Request { messages: vec![said], ..Request::default() })).await["messages"][0].clone()
    };
    assert_eq!(back(thinking.clone()).await["reasoning_content"], "The order comes first.");
    assert_eq!(back(Thinking { model: "another".into(), ..thinking }).await.get("reasoning_content"), None);
}

#[tokio::test]
async fn what_is_sealed_beside_a_call_goes_back_beside_it() {
    let reply =
        reply(Answer::stream(testdata!("openai/stream_gemini.sse")), |call| call.of(with_tools()).streaming()).await;
    let said = Message::Assistant {
        content: String::new(),
        tool_calls: reply.tool_calls.into_iter().map(|call| ToolCall { name: "search_kb".into(), ..call }).collect(),
        thinking: reply.thinking,
    };
    let body = body(|call| call.of(Request { messages: vec![said], ..with_tools() })).await;
    // The instruction about the schema stands before it.
    let calls = &body["messages"][1]["tool_calls"];
    assert_eq!(calls[0]["extra_content"], json!({"google": {"thought_signature": "CvQBA"}}));
    assert_eq!(calls[1].get("extra_content"), None);
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
        let fault = fault(Answer::new(status, &[], body)).await;
        assert_eq!((fault.fault.code.as_ref(), fault.retryable), (expected, retryable), "{status}: {fault:?}");
        assert!(fault.fault.message.contains("`gpt-4-turbo`"), "{fault:?}");
    }
}

fn address(api: Api, base_url: &str, model: &str) -> String {
    use crate::providers::dialect::Dialect;
    let site = Call::to(api.clone(), base_url, "m").site;
    let openai = match api {
        Api::Azure { api_version } => super::OpenAi::azure(&site, api_version.as_deref()),
        Api::OpenAi | Api::Anthropic => super::OpenAi::new(&site),
    };
    openai.expect("an address").endpoint(model).into()
}

#[test]
fn the_endpoint_follows_the_base_urls_path() {
    for (base_url, expected) in [
        ("http://localhost:11434/v1/", "http://localhost:11434/v1/chat/completions"),
        ("https://example.com", "https://example.com/chat/completions"),
        ("https://example.com/openai/v1", "https://example.com/openai/v1/chat/completions"),
    ] {
        assert_eq!(address(Api::OpenAi, base_url, "m"), expected);
    }
}

#[test]
fn azure_is_addressed_in_both_its_forms() {
    let azure = |version: Option<&str>| Api::Azure { api_version: version.map(str::to_owned) };
    for written in
        ["https://r.openai.azure.com", "https://r.openai.azure.com/openai/v1/", "https://r.openai.azure.com/openai"]
    {
        assert_eq!(address(azure(None), written, "m"), "https://r.openai.azure.com/openai/v1/chat/completions");
        assert_eq!(
            address(azure(Some("2024-10-21")), written, "my gpt/4"),
            "https://r.openai.azure.com/openai/deployments/my%20gpt%2F4/chat/completions?api-version=2024-10-21"
        );
    }
}

#[tokio::test]
async fn azures_key_has_its_own_header() {
    let server = Server::start(vec![Answer::json(testdata!("openai/completion.json"))]).await;
    let api = Api::Azure { api_version: Some("2024-10-21".into()) };
    Call::to(api, server.base_url.trim_end_matches("/v1"), "d1").ask().await.expect("a reply");
    let heard = server.heard()[0].to_lowercase();
    assert!(heard.starts_with("post /openai/deployments/d1/chat/completions?api-version=2024-10-21 http"), "{heard}");
    assert!(heard.contains(&format!("api-key: {KEY}")) && !heard.contains("authorization"), "{heard}");
}

#[test]
fn settings_that_cannot_be_used_are_named() {
    let error = |site: Site| site.open(Arc::new(Stopped)).expect_err("an error").to_string();
    let at = |base_url: &str| Call::openai(base_url).site;
    for (base_url, problem) in [
        ("api.openai.com/v1", "not a URL"),
        ("ftp://example.com", "not an http or https URL"),
        ("https://me:secret@example.com/v1", "user name or password"),
        ("https://example.com/v1?api-key=secret", "a query"),
    ] {
        let said = error(at(base_url));
        assert!(said.starts_with("models.base_url: ") && said.contains(problem), "{said}");
        assert!(!said.contains("secret"), "{said}");
    }
    let said = error(Site { key: Some(ApiKey::new("sk-\u{7}x")), ..at("https://example.com/v1") });
    assert!(said.starts_with("models.api_key: ") && !said.contains("sk-"), "{said}");
    let azure = Site { api: Api::Azure { api_version: None }, base_url: None, ..at("https://example.com") };
    assert!(error(azure).starts_with("models.base_url: missing"));
}
