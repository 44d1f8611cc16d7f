use std::sync::Arc;
use std::time::Duration;

use baton_core::model::{Finish, Message, Profile, Reply, Request, ToolCall, ToolOffer, Usage};
use baton_core::money::Usd;
use baton_core::run::ModelFault;
use baton_core::time::Time;
use baton_ports::clock::Clock;
use baton_ports::models::ApiKey;
use serde_json::{Value, json};

use super::OpenAi;
use super::server::{Answer, Server};
use crate::catalogue::{Catalogue, Structured};
use crate::error::Error;
use crate::fault::code;
use crate::providers::rehearsal::{asker, request};
use crate::providers::{Ask, Provider, Site};

macro_rules! testdata {
    ($name:literal) => {
        include_bytes!(concat!("../../../testdata/openai/", $name)).as_slice()
    };
}

const KEY: &str = "sk-test-0123456789";
const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(60);

/// 1994-11-06T08:49:07Z, for ever.
struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Time {
        Time::from_ms(784_111_747_000)
    }
}

fn site(base_url: &str) -> Site {
    Site {
        place: "models".into(),
        name: "openai".into(),
        base_url: Some(base_url.to_owned()),
        key: Some(ApiKey::new(KEY)),
        connect_timeout: LONG,
        structured: None,
    }
}

async fn ask_with(
    site: Site,
    first_token: Option<Duration>,
    request: &Request,
    limit: Duration,
) -> Result<Reply, ModelFault> {
    let openai = OpenAi::new(&site, Arc::new(Stopped)).expect("a client");
    let catalogue = Catalogue::shipped().expect("a catalogue");
    let asker = asker(1);
    let model = request.model.as_deref().unwrap_or("gpt-4-turbo");
    let spec = catalogue.find(model);
    let ask = Ask { asker: &asker, request, model, spec, limit, first_token, key: None, pieces: None };
    openai.ask(&ask).await.map(|answered| answered.reply).map_err(|failure| failure.fault)
}

fn hello() -> Request {
    Request { profile: Profile::Balanced, ..request("helper", &["u: Hello!"]) }
}

fn with_tools() -> Request {
    let tool = |name: &str, description: &str, parameters| ToolOffer {
        name: name.into(),
        description: description.into(),
        parameters,
    };
    let mut request = hello();
    request.messages = vec![
        Message::System { content: "Be kind.".into() },
        Message::user("Where is order 12345?"),
        Message::Assistant {
            content: String::new(),
            tool_calls: vec![ToolCall {
                id: "call_1".into(),
                name: "shopify.get_order".into(),
                arguments: json!({"id": "12345"}),
            }],
            thinking: None,
        },
        Message::Tool { tool_call_id: "call_1".into(), content: r#"{"status":"shipped"}"#.into() },
    ];
    request.tools = vec![
        tool("shopify.get_order", "An order", json!({"type": "object", "properties": {"id": {"type": "string"}}})),
        tool("search_kb", "", Value::Null),
    ];
    request.schema = Some(json!({"type": "object", "properties": {"a": {"type": "string"}}}));
    request.max_tokens = Some(200);
    request
}

async fn ask(answer: Answer, request: &Request) -> Result<Reply, ModelFault> {
    let server = Server::start(vec![answer]).await;
    ask_with(site(&server.base_url), None, request, LONG).await
}

async fn ask_streaming(answer: Answer) -> Result<Reply, ModelFault> {
    let server = Server::start(vec![answer]).await;
    ask_with(site(&server.base_url), Some(LONG), &with_tools(), LONG).await
}

#[tokio::test]
async fn a_request_is_written_as_documented() {
    let server = Server::start(vec![Answer::json(testdata!("completion.json"))]).await;
    ask_with(site(&server.base_url), None, &with_tools(), LONG).await.expect("a reply");
    let heard = server.heard();
    let (head, body) = heard[0].split_once("\r\n\r\n").expect("a request");
    assert!(head.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{head}");
    assert!(head.to_lowercase().contains(&format!("authorization: bearer {KEY}")), "{head}");
    let body: Value = serde_json::from_str(body).expect("JSON");
    let expected: Value = serde_json::from_slice(testdata!("request_tools.json")).expect("JSON");
    assert_eq!(body, expected);
}

#[tokio::test]
async fn a_schema_is_enforced_as_far_as_the_model_can() {
    let body = async |change: fn(&mut Site, &mut Request)| {
        let server = Server::start(vec![Answer::json(testdata!("completion.json"))]).await;
        let (mut site, mut request) = (site(&server.base_url), with_tools());
        change(&mut site, &mut request);
        ask_with(site, None, &request, LONG).await.expect("a reply");
        let heard = server.heard();
        let body: Value = serde_json::from_str(heard[0].split_once("\r\n\r\n").expect("a request").1).expect("JSON");
        body["response_format"].clone()
    };
    let unknown = body(|_, request| request.model = Some("gpt-4o".into())).await;
    assert_eq!((&unknown["type"], &unknown["json_schema"]["strict"]), (&json!("json_schema"), &json!(false)));
    let closed = body(|site, request| {
        site.structured = Some(Structured::JsonSchema);
        request.schema = Some(json!({
            "type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false
        }));
    });
    assert_eq!(closed.await["json_schema"]["strict"], json!(true));
    assert_eq!(body(|_, request| request.model = Some("gpt-4".into())).await, Value::Null);
    let list = body(|_, request| request.schema = Some(json!({"type": "array"})));
    assert_eq!(list.await, Value::Null);
}

#[tokio::test]
async fn a_thinking_model_is_asked_in_its_own_words() {
    let server = Server::start(vec![Answer::json(testdata!("completion.json"))]).await;
    let request = Request { model: Some("o3-mini".into()), ..with_tools() };
    ask_with(site(&server.base_url), None, &request, LONG).await.expect("a reply");
    let heard = server.heard();
    assert!(heard[0].contains("\"max_completion_tokens\":200"), "{}", heard[0]);
    assert!(!heard[0].contains("temperature") && !heard[0].contains("\"max_tokens\""), "{}", heard[0]);
}

#[tokio::test]
async fn a_completion_is_read_and_its_cached_tokens_are_priced_once() {
    let reply = ask(Answer::json(testdata!("completion.json")), &hello()).await.expect("a reply");
    assert_eq!((reply.content.as_str(), reply.finish), ("Hello! How can I assist you today?", Finish::Stop));
    assert_eq!(reply.usage, Usage { input_tokens: 19, output_tokens: 10, cached_tokens: 1_000, ..Usage::default() });
    assert_eq!(reply.cost, Usd::from_f64(1.019 * 0.01 + 0.01 * 0.03));
    assert_eq!((reply.model.as_str(), reply.provider.as_str()), ("gpt-4-turbo-2024-04-09", "openai"));
}

#[tokio::test]
async fn parallel_tool_calls_come_back_under_our_names() {
    let reply = ask(Answer::json(testdata!("tool_calls.json")), &with_tools()).await.expect("a reply");
    assert_eq!(reply.finish, Finish::ToolCalls);
    let [first, second] = reply.tool_calls.as_slice() else { panic!("{:?}", reply.tool_calls) };
    assert_eq!((first.name.as_str(), &first.arguments), ("shopify.get_order", &json!({"id": "12345"})));
    assert_eq!((second.id.as_str(), &second.arguments), ("call_def456", &json!("{\"query\": \"return po")));
}

#[tokio::test]
async fn a_refusal_and_a_cut_are_told_apart_from_an_answer() {
    let refused = ask(Answer::json(testdata!("refusal.json")), &hello()).await.expect("a reply");
    assert_eq!((refused.finish, refused.content.starts_with("I'm sorry")), (Finish::Filtered, true));
    let cut = ask(Answer::json(testdata!("length.json")), &hello()).await.expect("a reply");
    assert_eq!(cut.finish, Finish::Length);
}

#[tokio::test]
async fn tokens_nobody_counted_are_estimated() {
    let reply = ask(Answer::json(testdata!("uncounted.json")), &hello()).await.expect("a reply");
    assert_eq!((reply.content.as_str(), reply.model.as_str()), ("12345678", "gpt-4-turbo"));
    assert_eq!(reply.usage, Usage { input_tokens: 2, output_tokens: 2, cached_tokens: 0, ..Usage::default() });
    assert!(reply.cost > Usd::ZERO);
}

#[tokio::test]
async fn a_refused_request_has_a_stable_code() {
    for (status, body, expected, retryable) in [
        (400, testdata!("error_context.json"), code::CONTEXT_TOO_LONG, false),
        (400, testdata!("error_filter.json"), code::CONTENT_FILTERED, false),
        (400, b"{}".as_slice(), code::INVALID_REQUEST, false),
        (401, testdata!("error_401.json"), code::AUTHENTICATION_FAILED, false),
        (403, b"".as_slice(), code::AUTHENTICATION_FAILED, false),
        (404, testdata!("error_404.json"), code::MODEL_NOT_FOUND, false),
        (408, b"".as_slice(), code::TIMEOUT, true),
        (413, b"".as_slice(), code::CONTEXT_TOO_LONG, false),
        (429, testdata!("error_429.json"), code::RATE_LIMIT_EXCEEDED, true),
        (429, testdata!("error_quota.json"), code::RATE_LIMIT_EXCEEDED, false),
        (500, b"<html>oops</html>".as_slice(), code::SERVICE_UNAVAILABLE, true),
        (503, b"".as_slice(), code::SERVICE_UNAVAILABLE, true),
        (504, b"".as_slice(), code::TIMEOUT, true),
        (200, testdata!("error_inside.json"), code::RATE_LIMIT_EXCEEDED, true),
    ] {
        let fault = ask(Answer::new(status, &[], body), &hello()).await.expect_err("a refusal");
        assert_eq!((fault.fault.code.as_ref(), fault.retryable), (expected, retryable), "{status}: {fault:?}");
        assert!(fault.fault.message.contains("`gpt-4-turbo`"), "{fault:?}");
    }
}

#[tokio::test]
async fn what_the_provider_says_is_told_without_our_key() {
    let fault = ask(Answer::new(401, &[], testdata!("error_401.json")), &hello()).await.expect_err("a refusal");
    assert!(!fault.fault.message.contains("sk-te"), "{fault:?}");
    assert!(fault.fault.message.contains("OPENAI_API_KEY"), "{fault:?}");
    let echo = format!(r#"{{"error": {{"message": "bad\nkey {KEY}"}}}}"#);
    let fault = ask(Answer::new(400, &[], echo.as_bytes()), &hello()).await.expect_err("a refusal");
    assert!(fault.fault.message.ends_with("bad key ***"), "{fault:?}");
    let openai = OpenAi::new(&site("http://127.0.0.1:9/v1"), Arc::new(Stopped)).expect("a client");
    assert!(!format!("{openai:?}").contains(KEY));
}

#[tokio::test]
async fn a_provider_that_is_full_says_when_to_come_back() {
    let full = |header: &str| Answer::new(429, &[header], testdata!("error_429.json"));
    for (header, expected) in [
        ("Retry-After: 6", Some(6_000)),
        ("Retry-After-Ms: 250", Some(250)),
        ("Retry-After: Sun, 06 Nov 1994 08:49:37 GMT", Some(30_000)),
        ("X-Other: 1", None),
    ] {
        let fault = ask(full(header), &hello()).await.expect_err("a refusal");
        assert_eq!(fault.retry_after, expected, "{header}");
    }
}

#[tokio::test]
async fn a_reply_that_cannot_be_read_is_malformed() {
    let deep = format!("{{\"a\":{}", "[".repeat(100_000));
    for body in
        ["", "OK", "{}", r#"{"choices": []}"#, r#"{"choices": [{"finish_reason": "stop"}]}"#, "[1]", deep.as_str()]
    {
        let fault = ask(Answer::json(body.as_bytes()), &hello()).await.expect_err("a malformed reply");
        assert_eq!((fault.fault.code.as_ref(), fault.retryable), (code::MALFORMED_REPLY, true), "{body:.40}");
        assert!(fault.fault.message.len() < 300, "{fault:?}");
    }
}

#[tokio::test]
async fn a_fault_does_not_repeat_what_the_model_said() {
    let body = br#"{"choices": [{"message": "card 4111111111111111"}]}"#;
    let fault = ask(Answer::json(body), &hello()).await.expect_err("a malformed reply");
    assert!(!fault.fault.message.contains("4111"), "{fault:?}");
}

#[tokio::test]
async fn a_reply_that_breaks_off_is_malformed() {
    let fault = ask(Answer::cut_off(&testdata!("completion.json")[..200]), &hello()).await.expect_err("a cut");
    assert_eq!((fault.fault.code.as_ref(), fault.retryable), (code::MALFORMED_REPLY, true));
    assert!(fault.fault.message.contains("cut off"), "{fault:?}");
}

#[tokio::test]
async fn a_reply_without_end_is_given_up() {
    let fault = ask(Answer::json(&vec![b' '; 9 * 1024 * 1024]), &hello()).await.expect_err("too much");
    assert!(fault.fault.message.contains("more than 8388608 bytes"), "{fault:?}");
}

#[tokio::test]
async fn a_provider_that_never_answers_is_given_up_after_the_limit() {
    let server = Server::start(vec![Answer::Hanging(Vec::new())]).await;
    let fault = ask_with(site(&server.base_url), None, &hello(), SHORT).await.expect_err("silence");
    assert_eq!((fault.fault.code.as_ref(), fault.retryable), (code::TIMEOUT, true));
    assert!(fault.fault.message.contains("60 ms"), "{fault:?}");
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_unavailable() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    let fault = ask_with(site(&format!("http://{free}/v1")), None, &hello(), LONG).await.expect_err("nobody");
    assert_eq!((fault.fault.code.as_ref(), fault.retryable), (code::SERVICE_UNAVAILABLE, true));
    assert!(fault.fault.message.starts_with("127.0.0.1 cannot be reached"), "{fault:?}");
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls_is_unavailable() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base_url = format!("https://{}/v1", listener.local_addr().expect("an address"));
    let hang_up = tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let fault = ask_with(site(&base_url), None, &hello(), LONG).await.expect_err("no TLS");
    hang_up.abort();
    assert_eq!((fault.fault.code.as_ref(), fault.retryable), (code::SERVICE_UNAVAILABLE, true), "{fault:?}");
}

#[tokio::test]
async fn a_key_does_not_follow_a_redirect() {
    let elsewhere = Server::start(vec![Answer::json(testdata!("completion.json"))]).await;
    let location = format!("Location: {}", elsewhere.base_url);
    let fault = ask(Answer::new(307, &[&location], b""), &hello()).await.expect_err("a redirect");
    assert_eq!((fault.fault.code.as_ref(), fault.retryable), (code::INVALID_REQUEST, false));
    assert!(elsewhere.heard().is_empty());
}

#[tokio::test]
async fn a_stream_is_put_together() {
    let server = Server::start(vec![Answer::stream(testdata!("stream.sse"))]).await;
    let reply = ask_with(site(&server.base_url), Some(LONG), &hello(), LONG).await.expect("a reply");
    assert_eq!((reply.content.as_str(), reply.finish), ("¡Hola!", Finish::Stop));
    assert_eq!(reply.usage, Usage { input_tokens: 5, output_tokens: 3, cached_tokens: 4, ..Usage::default() });
    assert!(server.heard()[0].contains(r#""stream":true,"stream_options":{"include_usage":true}"#));
}

#[tokio::test]
async fn streamed_tool_calls_are_put_together() {
    let reply = ask_streaming(Answer::stream(testdata!("stream_tools.sse"))).await.expect("a reply");
    let calls: Vec<_> =
        reply.tool_calls.iter().map(|call| (call.id.as_str(), call.name.as_str(), &call.arguments)).collect();
    assert_eq!(
        calls,
        [("call_a", "shopify.get_order", &json!({"id": "7"})), ("call_b", "search_kb", &json!({"query": "x"}))]
    );
    assert_eq!(reply.finish, Finish::ToolCalls);
}

#[tokio::test]
async fn a_stream_that_fails_or_ends_too_early_is_no_reply() {
    let whole = testdata!("stream.sse");
    let cut = &whole[..whole.len() / 2];
    for (answer, expected) in [
        (Answer::stream(testdata!("stream_error.sse")), code::SERVICE_UNAVAILABLE),
        (Answer::stream(cut), code::MALFORMED_REPLY),
        (Answer::cut_off(cut), code::MALFORMED_REPLY),
        (Answer::stream(b"data: {oops}\n\n"), code::MALFORMED_REPLY),
        (Answer::stream(b"data: \xff\xfe\n\n"), code::MALFORMED_REPLY),
        (Answer::stream(&[b"data: ".as_slice(), &vec![b'x'; 2 * 1024 * 1024]].concat()), code::MALFORMED_REPLY),
        (Answer::stream(b""), code::MALFORMED_REPLY),
    ] {
        let fault = ask_streaming(answer).await.expect_err("no reply");
        assert_eq!((fault.fault.code.as_ref(), fault.retryable), (expected, true), "{fault:?}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_stream_is_understood_all_the_same() {
    let reply = ask_streaming(Answer::json(testdata!("completion.json"))).await.expect("a reply");
    assert_eq!(reply.content, "Hello! How can I assist you today?");
}

#[tokio::test]
async fn the_first_token_has_its_own_limit() {
    let comments = b": processing\n\n: processing\n\n";
    for answer in [Answer::Hanging(Vec::new()), Answer::silent_after(comments)] {
        let server = Server::start(vec![answer]).await;
        let fault = ask_with(site(&server.base_url), Some(SHORT), &hello(), LONG).await.expect_err("silence");
        assert_eq!(fault.fault.code, code::TIMEOUT);
        assert!(fault.fault.message.contains("no first token within 60 ms"), "{fault:?}");
    }
}

#[tokio::test]
async fn a_stream_that_goes_silent_is_given_up_after_the_limit() {
    let server = Server::start(vec![Answer::silent_after(&testdata!("stream.sse")[..700])]).await;
    let fault = ask_with(site(&server.base_url), Some(LONG), &hello(), SHORT).await.expect_err("silence");
    assert_eq!(fault.fault.code, code::TIMEOUT);
    assert!(fault.fault.message.contains("no whole reply within 60 ms"), "{fault:?}");
}

#[test]
fn settings_that_cannot_be_used_are_named() {
    let error = |site: Site| OpenAi::new(&site, Arc::new(Stopped)).expect_err("an error").to_string();
    for (base_url, problem) in [
        ("api.openai.com/v1", "not a URL"),
        ("ftp://example.com", "not an http or https URL"),
        ("https://me:secret@example.com/v1", "user name or password"),
        ("https://example.com/v1?api-key=secret", "a query"),
    ] {
        let said = error(site(base_url));
        assert!(said.starts_with("models.base_url: ") && said.contains(problem), "{said}");
        assert!(!said.contains("secret"), "{said}");
    }
    let said = error(Site { key: Some(ApiKey::new("sk-\u{7}x")), ..site("https://example.com/v1") });
    assert!(said.starts_with("models.api_key: ") && !said.contains("sk-"), "{said}");
    let error = Error::Setting { setting: "models.base_url".into(), problem: String::new() };
    assert_eq!(error.code(), "MODELS-001");
}

#[test]
fn the_endpoint_follows_the_base_urls_path() {
    for (base_url, expected) in [
        ("http://localhost:11434/v1/", "http://localhost:11434/v1/chat/completions"),
        ("https://example.com", "https://example.com/chat/completions"),
        ("https://example.com/openai/v1", "https://example.com/openai/v1/chat/completions"),
    ] {
        assert_eq!(super::endpoint(base_url).expect("a URL").as_str(), expected);
    }
}
