//! API keys are sent where they belong and appear nowhere else.

use std::cell::RefCell;
use std::sync::{Arc, Once};

use baton_ports::models::ConsumerKey;

use super::{failure, outcome};
use crate::fault::code;
use crate::providers::AttemptSpend;
use crate::providers::stub_server::{StubAnswer, StubServer};
use crate::providers::test_support::{FixedInstantClock, KEY, ProviderFixture, SHORT, testdata};

#[tokio::test]
async fn a_consumers_key_goes_before_the_providers_own() {
    let server = StubServer::start(vec![StubAnswer::json(testdata!("openai/completion.json"))]).await;
    let theirs = ConsumerKey::new("consumer-key");
    ProviderFixture { key: Some(theirs), ..ProviderFixture::openai(&server.base_url) }.ask().await.expect("a reply");
    let heard = server.requests()[0].to_lowercase();
    assert!(heard.contains("bearer consumer-key") && !heard.contains(KEY), "{heard}");
}

thread_local! {
    static LOGGED: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// The log output of the current thread.
struct LogCapture;

impl LogCapture {
    /// Captures down to the finest level. One subscriber serves the whole process: a subscriber of one thread may miss
    /// a line whose call site another thread registered first.
    fn listen() {
        static SUBSCRIBER: Once = Once::new();
        SUBSCRIBER.call_once(|| {
            let all =
                tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(|| LogCapture).finish();
            tracing::subscriber::set_global_default(all).expect("the only one");
        });
        LOGGED.set(Some(Vec::new()));
    }

    fn heard() -> String {
        String::from_utf8_lossy(&LOGGED.take().expect("it listened")).into_owned()
    }
}

impl std::io::Write for LogCapture {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOGGED.with_borrow_mut(|logged| logged.iter_mut().for_each(|logged| logged.extend_from_slice(bytes)));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_key_and_no_word_of_a_customers_is_logged() {
    LogCapture::listen();
    for stream in [false, true] {
        let call = |call: ProviderFixture| ProviderFixture { key: Some(ConsumerKey::new("consumer-key")), ..call };
        let call = |base: ProviderFixture| if stream { call(base).streaming() } else { call(base) };
        let body = if stream { testdata!("openai/stream.sse") } else { testdata!("openai/completion.json") };
        let answer = if stream { StubAnswer::stream(body) } else { StubAnswer::json(body) };
        outcome(answer, call).await.expect("a reply");
        failure(StubAnswer::new(401, &[], testdata!("openai/error_401.json")), call).await;
    }
    let logged = LogCapture::heard();
    assert!(logged.contains("a model replied"), "{logged}");
    for secret in [KEY, "consumer-key", "Hello!", "assist you", "Hola"] {
        assert!(!logged.contains(secret), "{secret}: {logged}");
    }
}

/// Covers everything that a call can output, with keys that the provider repeats wherever it can.
#[tokio::test]
async fn no_key_is_told_in_any_way() {
    const THEIRS: &str = "consumer-key-0123456789";
    let echo = |words: &str| format!(r#"{{"error": {{"message": "bad\nkey {words}", "code": "{words}"}}}}"#);
    for key in [KEY, THEIRS] {
        let stream = format!("data: {}\n\n", echo(key));
        for answer in [
            StubAnswer::new(400, &[], echo(key).as_bytes()),
            StubAnswer::new(401, &[], echo(key).as_bytes()),
            StubAnswer::new(404, &[], echo(key).as_bytes()),
            StubAnswer::new(429, &[], echo(key).as_bytes()),
            StubAnswer::new(500, &[], echo(key).as_bytes()),
            StubAnswer::json(echo(key).as_bytes()),
            StubAnswer::json(format!(r#"{{"model": {key}}}"#).as_bytes()),
            StubAnswer::stream(stream.as_bytes()),
            StubAnswer::stream(format!("data: {key}\n\n").as_bytes()),
            StubAnswer::Bytes(format!("HTTP/1.1 {key}").into_bytes()),
            StubAnswer::Hanging(Vec::new()),
        ] {
            let consumers = (key == THEIRS).then(|| ConsumerKey::new(THEIRS));
            let failure =
                failure(answer, |call| ProviderFixture { key: consumers, limit: SHORT, ..call.streaming() }).await;
            assert!(!format!("{failure:?}").contains(key), "{failure:?}");
        }
    }
    let call = ProviderFixture::openai("http://127.0.0.1:9/v1");
    let provider = call.site.build(Arc::new(FixedInstantClock)).expect("a client");
    assert!(!format!("{provider:?} {:?}", call.site).contains(KEY));
    let said = failure(StubAnswer::new(401, &[], echo(KEY).as_bytes()), |call| call).await.fault.fault.message;
    assert!(said.contains("check OPENAI_API_KEY or models.api_key"), "{said}");
}

#[tokio::test]
async fn a_key_that_cannot_be_sent_is_refused_without_being_shown() {
    let failure = failure(StubAnswer::Hanging(Vec::new()), |call| ProviderFixture {
        key: Some(ConsumerKey::new("se\ncret")),
        ..call
    })
    .await;
    assert_eq!(
        (failure.fault.fault.code.as_ref(), failure.spent),
        (code::AUTHENTICATION_FAILED, AttemptSpend::NOTHING)
    );
    assert!(!failure.fault.fault.message.contains("cret"), "{failure:?}");
}

#[tokio::test]
async fn no_key_at_all_says_where_to_set_one() {
    let mut call = ProviderFixture::openai("http://127.0.0.1:9/v1");
    call.site.key = None;
    let server = StubServer::start(vec![StubAnswer::new(401, &[], b"")]).await;
    call.site.base_url = Some(server.base_url.clone());
    let said = call.ask().await.expect_err("a refusal").fault.fault.message;
    assert!(said.contains("no key was sent: set OPENAI_API_KEY or models.api_key"), "{said}");
}
