//! Tests of every provider over HTTP: time, size, faults, listeners, keys. OpenAI's dialect stands for all, except for
//! failures that are specific to a dialect.

mod keys;

use std::sync::Arc;

use baton_core::model::ModelReply;
use baton_core::run::ModelCallError;
use baton_ports::models::{DELTAS_WAITING_MAX, ReplyDelta};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::catalogue::ModelSpec;
use crate::fault::{ErrorOrigin, code, error_origin};
use crate::providers::stub_server::{StubAnswer, StubServer};
use crate::providers::test_support::{
    FixedInstantClock, LONG, ProviderFixture, SHORT, ask_stub, last_request_body, testdata,
};
use crate::providers::{AttemptSpend, ProviderError, ProviderReply};

async fn outcome(
    answer: StubAnswer,
    call: impl FnOnce(ProviderFixture) -> ProviderFixture,
) -> Result<ProviderReply, ProviderError> {
    ask_stub(answer, |base_url| call(ProviderFixture::openai(base_url))).await.0
}

async fn failure(answer: StubAnswer, call: impl FnOnce(ProviderFixture) -> ProviderFixture) -> ProviderError {
    outcome(answer, call).await.expect_err("a failure")
}

async fn fault(answer: StubAnswer) -> ModelCallError {
    failure(answer, |call| call).await.fault
}

async fn streamed(answer: StubAnswer) -> Result<ModelReply, ModelCallError> {
    let outcome = outcome(answer, ProviderFixture::streaming).await;
    outcome.map(|answered| answered.reply).map_err(|failure| failure.fault)
}

#[tokio::test]
async fn a_provider_that_is_full_says_when_to_come_back() {
    for (headers, expected) in [
        (["Retry-After: 6", "X-A: 1", "X-B: 1"], Some(6_000)),
        (["Retry-After-Ms: 250", "Retry-After: 6", "X-B: 1"], Some(250)),
        (["Retry-After: Sun, 06 Nov 1994 08:49:37 GMT", "X-A: 1", "X-B: 1"], Some(30_000)),
        (["x-ratelimit-remaining-tokens: 0", "x-ratelimit-reset-tokens: 6m0s", "X-B: 1"], Some(360_000)),
        (["x-ratelimit-remaining-tokens: 0", "x-ratelimit-reset-tokens: 6m0s", "Retry-After: 2"], Some(2_000)),
        (["X-A: 1", "X-B: 1", "X-C: 1"], None),
    ] {
        let fault = fault(StubAnswer::new(429, &headers, testdata!("openai/error_429.json"))).await;
        assert_eq!((fault.retry_after, error_origin(&fault)), (expected, ErrorOrigin::Limit), "{headers:?}");
    }
}

#[tokio::test]
async fn a_reply_tells_when_nothing_is_left_behind_it() {
    let answer = |remaining: &str| {
        let remaining = format!("x-ratelimit-remaining-requests: {remaining}");
        let headers = ["Content-Type: application/json", remaining.as_str(), "x-ratelimit-reset-requests: 1.5s"];
        StubAnswer::new(200, &headers, testdata!("openai/completion.json"))
    };
    let full_for = async |remaining| outcome(answer(remaining), |call| call).await.expect("a reply").exhausted_for;
    assert_eq!(full_for("0").await.map(|wait| wait.as_millis()), Some(1_500));
    assert_eq!(full_for("1").await, None);
}

#[tokio::test]
async fn a_failure_says_whose_fault_it_is() {
    for (status, body, expected) in [
        (500, b"".as_slice(), ErrorOrigin::Provider),
        (529, b"".as_slice(), ErrorOrigin::Provider),
        (504, b"".as_slice(), ErrorOrigin::Provider),
        (200, b"oops".as_slice(), ErrorOrigin::Provider),
        (429, b"".as_slice(), ErrorOrigin::Limit),
        (402, b"".as_slice(), ErrorOrigin::Limit),
        (401, b"".as_slice(), ErrorOrigin::Settings),
        (404, b"".as_slice(), ErrorOrigin::Settings),
        (400, b"".as_slice(), ErrorOrigin::Request),
        (400, testdata!("openai/error_context.json"), ErrorOrigin::Request),
    ] {
        let fault = fault(StubAnswer::new(status, &[], body)).await;
        assert_eq!(error_origin(&fault), expected, "{fault:?}");
    }
}

#[tokio::test]
async fn a_reply_that_cannot_be_read_is_malformed() {
    let deep = format!("{{\"a\":{}", "[".repeat(100_000));
    for body in
        ["", "OK", "{}", r#"{"choices": []}"#, r#"{"choices": [{"finish_reason": "stop"}]}"#, "[1]", deep.as_str()]
    {
        let fault = fault(StubAnswer::json(body.as_bytes())).await;
        assert_eq!((fault.fault.code.as_ref(), fault.retryable), (code::MALFORMED_REPLY, true), "{body:.40}");
        assert!(fault.fault.message.len() < 300, "{fault:?}");
    }
}

#[tokio::test]
async fn a_fault_does_not_repeat_what_the_model_said() {
    let body = br#"{"choices": [{"message": "card 4111111111111111"}]}"#;
    let fault = fault(StubAnswer::json(body)).await;
    assert!(!fault.fault.message.contains("4111"), "{fault:?}");
}

#[tokio::test]
async fn a_reply_that_breaks_off_is_malformed() {
    let fault = fault(StubAnswer::cut_off(&testdata!("openai/completion.json")[..200])).await;
    assert_eq!((fault.fault.code.as_ref(), fault.retryable), (code::MALFORMED_REPLY, true));
    assert!(fault.fault.message.contains("cut off"), "{fault:?}");
}

#[tokio::test]
async fn a_reply_without_end_is_given_up() {
    let endless = vec![b' '; 9 * 1024 * 1024];
    let whole = fault(StubAnswer::json(&endless)).await;
    assert!(whole.fault.message.contains("more than 8388608 bytes"), "{whole:?}");
    let lines = b": going on\n".repeat(1024 * 1024);
    let stream = streamed(StubAnswer::stream(&lines)).await.expect_err("too much");
    assert!(stream.fault.message.contains("more than 8388608 bytes"), "{stream:?}");
    let huge = fault(StubAnswer::new(500, &[], &endless)).await;
    assert_eq!(huge.fault.code, code::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_provider_that_never_answers_is_given_up_after_the_limit() {
    let fault = failure(StubAnswer::Hanging(Vec::new()), |call| ProviderFixture { limit: SHORT, ..call }).await.fault;
    assert_eq!((fault.fault.code.as_ref(), fault.retryable), (code::TIMEOUT, true));
    assert!(fault.fault.message.contains("no whole reply within 60 ms"), "{fault:?}");
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_unavailable() {
    let failure = ProviderFixture::openai("http://127.0.0.1:1/v1").ask().await.expect_err("nobody");
    let fault = failure.fault;
    assert_eq!((fault.fault.code.as_ref(), fault.retryable), (code::SERVICE_UNAVAILABLE, true));
    assert!(fault.fault.message.starts_with("127.0.0.1 cannot be reached"), "{fault:?}");
    assert_eq!(failure.spent, AttemptSpend::NOTHING);
}

#[tokio::test]
async fn connecting_has_its_own_limit() {
    // A full backlog: the server accepts no connection, so that no further handshake completes.
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let listener = socket.listen(1).expect("a listener");
    let address = listener.local_addr().expect("an address");
    let mut waiting = Vec::new();
    for _ in 0..64 {
        let Ok(Ok(stream)) = timeout(SHORT, tokio::net::TcpStream::connect(address)).await else { break };
        waiting.push(stream);
    }
    let mut call = ProviderFixture::openai(&format!("http://{address}/v1"));
    call.site.connect_timeout = SHORT;
    let failure = call.ask().await.expect_err("nobody");
    assert_eq!((failure.fault.fault.code.as_ref(), failure.spent), (code::SERVICE_UNAVAILABLE, AttemptSpend::NOTHING));
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls_is_unavailable() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base_url = format!("https://{}/v1", listener.local_addr().expect("an address"));
    let hang_up = tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let fault = ProviderFixture::openai(&base_url).ask().await.expect_err("no TLS").fault;
    hang_up.abort();
    assert_eq!((fault.fault.code.as_ref(), fault.retryable), (code::SERVICE_UNAVAILABLE, true), "{fault:?}");
}

#[tokio::test]
async fn a_key_does_not_follow_a_redirect() {
    let elsewhere = StubServer::start(vec![StubAnswer::json(testdata!("openai/completion.json"))]).await;
    let location = format!("Location: {}", elsewhere.base_url);
    let fault = fault(StubAnswer::new(307, &[&location], b"")).await;
    assert_eq!((fault.fault.code.as_ref(), fault.retryable), (code::INVALID_REQUEST, false));
    assert!(elsewhere.requests().is_empty());
}

#[tokio::test]
async fn a_stream_that_fails_or_ends_too_early_is_no_reply() {
    let whole = testdata!("openai/stream.sse");
    let cut = &whole[..whole.len() / 2];
    for (answer, expected) in [
        (StubAnswer::stream(testdata!("openai/stream_error.sse")), code::SERVICE_UNAVAILABLE),
        (StubAnswer::stream(cut), code::MALFORMED_REPLY),
        (StubAnswer::cut_off(cut), code::MALFORMED_REPLY),
        (StubAnswer::stream(b"data: {oops}\n\n"), code::MALFORMED_REPLY),
        (StubAnswer::stream(b"data: \xff\xfe\n\n"), code::MALFORMED_REPLY),
        (StubAnswer::stream(&[b"data: ".as_slice(), &vec![b'x'; 2 * 1024 * 1024]].concat()), code::MALFORMED_REPLY),
        (StubAnswer::stream(b""), code::MALFORMED_REPLY),
    ] {
        let fault = streamed(answer).await.expect_err("no reply");
        assert_eq!((fault.fault.code.as_ref(), fault.retryable), (expected, true), "{fault:?}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_stream_is_understood_all_the_same() {
    let reply = streamed(StubAnswer::json(testdata!("openai/completion.json"))).await.expect("a reply");
    assert_eq!(reply.content, "Hello! How can I assist you today?");
    let (pieces, mut heard) = mpsc::channel(DELTAS_WAITING_MAX);
    let listening = |call| ProviderFixture { pieces: Some(pieces), ..call };
    outcome(StubAnswer::json(testdata!("openai/completion.json")), listening).await.expect("a reply");
    assert_eq!(heard.recv().await, Some(ReplyDelta::Text("Hello! How can I assist you today?".into())));
}

#[tokio::test]
async fn the_first_token_has_its_own_limit() {
    let comments = b": processing\n\n: processing\n\n";
    let role = &testdata!("openai/stream.sse")[..300];
    for answer in [
        StubAnswer::Hanging(Vec::new()),
        StubAnswer::silent_after(comments),
        StubAnswer::silent_after(role),
        StubAnswer::dripping_after(comments, b": still processing\n\n"),
    ] {
        let failure = failure(answer, |call| ProviderFixture { first_token: Some(SHORT), ..call }).await;
        assert_eq!((failure.fault.fault.code.as_ref(), failure.has_streamed), (code::TIMEOUT, false));
        let message = failure.fault.fault.message;
        assert!(message.contains("no first token within 60 ms"), "{message}");
    }
}

#[tokio::test]
async fn a_stream_that_goes_silent_or_drips_is_given_up_after_the_limit() {
    let begun = b"data: {\"choices\": [{\"delta\": {\"content\": \"a\"}}]}\n\n";
    for answer in [StubAnswer::silent_after(begun), StubAnswer::dripping_after(begun, b": yet\n\n")] {
        let fault = failure(answer, |call| ProviderFixture { limit: SHORT, ..call.streaming() }).await.fault;
        assert_eq!((fault.fault.code.as_ref(), error_origin(&fault)), (code::TIMEOUT, ErrorOrigin::Provider));
        assert!(fault.fault.message.contains("no whole reply within 60 ms"), "{fault:?}");
    }
}

#[tokio::test]
async fn a_model_that_cannot_stream_is_not_asked_to() {
    let server = StubServer::start(vec![StubAnswer::json(testdata!("openai/completion.json"))]).await;
    let mut call = ProviderFixture::openai(&server.base_url).streaming();
    call.spec = call.spec.map(|spec| ModelSpec { streaming: false, ..spec });
    call.ask().await.expect("a reply");
    assert_eq!(last_request_body(&server).get("stream"), None);
    // The time to the first token is irrelevant then, because there is none.
    let slow = StubServer::start(vec![StubAnswer::Hanging(Vec::new())]).await;
    let call = ProviderFixture {
        first_token: Some(SHORT),
        limit: SHORT * 2,
        spec: call.spec,
        ..ProviderFixture::openai(&slow.base_url)
    };
    let message = call.ask().await.expect_err("silence").fault.fault.message;
    assert!(message.contains("no whole reply within 120 ms"), "{message}");
}

#[tokio::test]
async fn a_connection_whose_stream_was_read_serves_again() {
    let server = StubServer::start(vec![StubAnswer::kept_stream(testdata!("openai/stream.sse"))]).await;
    let call = ProviderFixture::openai(&server.base_url).streaming();
    let provider = call.site.build(Arc::new(FixedInstantClock)).expect("a client");
    for _ in 0..3 {
        call.ask_by(provider.as_ref()).await.expect("a reply");
    }
    assert_eq!((server.requests().len(), server.connections()), (3, 1));
}

#[tokio::test]
async fn whether_the_listener_has_heard_anything_is_told() {
    let listening = async |answer: StubAnswer| {
        let (pieces, mut heard) = mpsc::channel(DELTAS_WAITING_MAX);
        let failure = failure(answer, |call| ProviderFixture { pieces: Some(pieces), limit: SHORT, ..call }).await;
        (failure.has_streamed, heard.recv().await)
    };
    let whole = testdata!("openai/stream.sse");
    assert_eq!(listening(StubAnswer::new(500, &[], b"")).await, (false, None));
    assert_eq!(listening(StubAnswer::silent_after(&whole[..300])).await, (false, None));
    let begun = listening(StubAnswer::silent_after(&whole[..600])).await;
    assert_eq!(begun, (true, Some(ReplyDelta::Text("¡Ho".into()))));
    // Deltas in the same packet as the failure were sent, too.
    let failed = listening(StubAnswer::stream(testdata!("openai/stream_error.sse"))).await;
    assert_eq!(failed, (true, Some(ReplyDelta::Text("Hel".into()))));
}

#[tokio::test]
async fn a_call_goes_on_when_its_listener_goes_and_not_when_it_stalls() {
    let (pieces, heard) = mpsc::channel(1);
    drop(heard);
    let gone = |call| ProviderFixture { pieces: Some(pieces), ..call };
    let reply = outcome(StubAnswer::stream(testdata!("openai/stream.sse")), gone).await.expect("a reply").reply;
    assert_eq!(reply.content, "¡Hola!");

    let (pieces, _deaf) = mpsc::channel(1);
    let stalled = |call| ProviderFixture { pieces: Some(pieces), limit: SHORT, ..call };
    let fault = failure(StubAnswer::stream(testdata!("openai/stream.sse")), stalled).await.fault;
    assert_eq!((fault.fault.code.as_ref(), error_origin(&fault)), (code::LISTENER_STALLED, ErrorOrigin::Request));
}

#[tokio::test]
async fn dropping_the_future_ends_the_call_at_the_provider() {
    for answer in [StubAnswer::Hanging(Vec::new()), StubAnswer::silent_after(&testdata!("openai/stream.sse")[..700])] {
        let server = StubServer::start(vec![answer]).await;
        let call = ProviderFixture::openai(&server.base_url).streaming();
        let asking = tokio::spawn(async move { call.ask().await });
        server.wait_for_request().await;
        asking.abort();
        timeout(LONG, server.wait_for_disconnect()).await.expect("the server sees it");
    }
}

#[tokio::test]
async fn what_has_run_out_of_time_is_ended_at_the_provider() {
    let server = StubServer::start(vec![StubAnswer::Hanging(Vec::new())]).await;
    ProviderFixture { limit: SHORT, ..ProviderFixture::openai(&server.base_url) }.ask().await.expect_err("silence");
    timeout(LONG, server.wait_for_disconnect()).await.expect("the server sees it");
}

#[tokio::test]
async fn nobody_knows_what_a_reply_that_broke_off_has_cost_and_a_refusal_cost_nothing() {
    let spent = async |answer: StubAnswer| {
        failure(answer, |call| ProviderFixture { limit: SHORT, ..call.streaming() }).await.spent
    };
    for refused in [400, 401, 429, 500, 503] {
        assert_eq!(spent(StubAnswer::new(refused, &[], b"")).await, AttemptSpend::NOTHING, "{refused}");
    }
    for timed_out in [408, 504, 524] {
        assert_eq!(spent(StubAnswer::new(timed_out, &[], b"")).await, AttemptSpend::Unknown, "{timed_out}");
    }
    assert_eq!(spent(StubAnswer::Hanging(Vec::new())).await, AttemptSpend::Unknown);
    assert_eq!(spent(StubAnswer::silent_after(&testdata!("openai/stream.sse")[..700])).await, AttemptSpend::Unknown);
    assert_eq!(spent(StubAnswer::new(200, &[], b"data: {\"choices\": [{\n\n")).await, AttemptSpend::Unknown);
    let whole = async |answer: StubAnswer| failure(answer, |call| call).await.spent;
    assert_eq!(whole(StubAnswer::cut_off(testdata!("openai/completion.json"))).await, AttemptSpend::Unknown);
    assert_eq!(whole(StubAnswer::new(200, &[], b"<html>")).await, AttemptSpend::Unknown);
}

#[tokio::test]
async fn a_reply_that_its_provider_did_not_count_to_the_end_says_so() {
    let openai = |usage: &str| {
        let choice = r#"{"message": {"content": "hi"}, "finish_reason": "stop"}"#;
        format!(r#"{{"choices": [{choice}], "usage": {usage}}}"#)
    };
    let whole = r#"{"prompt_tokens": 1, "completion_tokens": 1}"#;
    for (usage, is_counted) in [(whole, true), ("null", false), ("{}", false), (r#"{"prompt_tokens": 9}"#, false)] {
        let (answered, _) =
            ask_stub(StubAnswer::new(200, &[], openai(usage).as_bytes()), ProviderFixture::openai).await;
        assert_eq!(answered.expect("a reply").is_counted, is_counted, "{usage}");
    }
    let anthropic = |usage: &str| {
        let start = r#"{"type": "message_start", "message": {"usage": {"input_tokens": 9, "output_tokens": 1}}}"#;
        let end = format!(r#"{{"type": "message_delta", "delta": {{"stop_reason": "end_turn"}}, "usage": {usage}}}"#);
        format!("data: {start}\n\ndata: {end}\n\ndata: {{\"type\": \"message_stop\"}}\n\n")
    };
    for (usage, is_counted) in [(r#"{"output_tokens": 5}"#, true), ("null", false), ("{}", false)] {
        let events = StubAnswer::stream(anthropic(usage).as_bytes());
        let (answered, _) = ask_stub(events, |url| ProviderFixture::anthropic(url).streaming()).await;
        assert_eq!(answered.expect("a reply").is_counted, is_counted, "{usage}");
    }
}
