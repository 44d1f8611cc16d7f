//! Two servers of which the first fails: tests the whole path, from the bytes on the wire to the choice.

use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::json;
use tokio::sync::mpsc;

use super::*;
use crate::fault::code;
use crate::health::OPEN_FOR;
use crate::providers::stub_server::{StubAnswer, StubServer};
use crate::providers::test_support::{asker, request, testdata};

/// Longer than any call of these tests that does not hang.
const HANGS_FOR: Duration = Duration::from_millis(400);
const CALLS: usize = 30;
const LIMIT: Duration = Duration::from_secs(20);

/// A clock that advances on demand.
struct AdvancingClock(AtomicI64);

impl AdvancingClock {
    fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for AdvancingClock {
    fn now(&self) -> Time {
        // 1994-11-06T08:49:07Z
        Time::from_ms(784_111_747_000 + self.0.load(Ordering::SeqCst))
    }
}

struct StubServerPair {
    first: StubServer,
    second: StubServer,
    gateway: ModelGateway,
    clock: Arc<AdvancingClock>,
}

impl StubServerPair {
    /// The first server is called first and gives these answers; the second gives this one.
    async fn new(first: Vec<StubAnswer>, second: StubAnswer) -> Self {
        let (first, second) = (StubServer::start(first).await, StubServer::start(vec![second]).await);
        let free = |name: &str| json!({"provider": name, "input_usd_per_million": 0, "output_usd_per_million": 0});
        let settings = json!({
            "providers": {"one": {"base_url": first.base_url}, "two": {"base_url": second.base_url}},
            "catalogue": {"first": free("one"), "second": free("two")},
            "models": {"fast": [["first"], ["second"]]},
            "first_token_timeout_ms": HANGS_FOR.as_millis(),
        });
        let config: ModelsConfig = serde_json::from_value(settings).expect("settings");
        let clock = Arc::new(AdvancingClock(AtomicI64::new(0)));
        let gateway = ModelGateway::new(&config, &[], clock.clone()).expect("a gateway");
        Self { first, second, gateway, clock }
    }

    async fn ask(&self) -> Result<ModelReply, ModelCallError> {
        self.gateway.ask(&asker(1), &request("a", &["u: hi"]), LIMIT, None).await
    }

    /// Makes a call and returns how often the first server has been called so far.
    async fn asked(&self) -> usize {
        self.ask().await.expect("the second answers");
        self.first.connections()
    }
}

fn whole() -> StubAnswer {
    StubAnswer::stream(testdata!("openai/stream.sse"))
}

/// A role without any content.
const BEGUN: &[u8] = b"data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
/// One word without an end.
const BROKEN_OFF: &[u8] = b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hel\"}}]}\n\n";

fn full(header: &str) -> StubAnswer {
    StubAnswer::new(429, &[header], testdata!("openai/error_429.json"))
}

/// The ways in which a server may be dead.
fn deaths() -> Vec<(&'static str, StubAnswer)> {
    vec![
        ("it fails", StubAnswer::new(500, &[], b"{\"error\": {\"message\": \"no\"}}")),
        ("it is not what it was", StubAnswer::new(502, &[], b"<html>bad gateway</html>")),
        ("it hangs", StubAnswer::silent_after(b"")),
        ("it begins and hangs", StubAnswer::silent_after(BEGUN)),
        ("it breaks off before a word", StubAnswer::stream(BEGUN)),
        ("it breaks off within a word", StubAnswer::stream(BROKEN_OFF)),
        ("its body is cut off", StubAnswer::cut_off(BEGUN)),
        ("it hangs up", StubAnswer::stream(b"")),
        ("it says an error within the stream", StubAnswer::stream(testdata!("openai/stream_error.sse"))),
        ("it is no API", StubAnswer::json(b"{}")),
        ("it is full", StubAnswer::new(429, &[], testdata!("openai/error_429.json"))),
        ("it refuses the key", StubAnswer::new(401, &[], testdata!("openai/error_401.json"))),
    ]
}

#[tokio::test]
async fn however_the_first_is_dead_it_is_asked_three_times_and_the_second_answers_as_fast_as_ever() {
    for (how, death) in deaths() {
        let pair = StubServerPair::new(vec![death], whole()).await;
        let mut took = Vec::new();
        for _ in 0..CALLS {
            let began = Instant::now();
            assert_eq!(pair.ask().await.expect(how).content, "¡Hola!", "{how}");
            took.push(began.elapsed());
        }
        assert_eq!((pair.first.connections(), pair.second.connections()), (3, CALLS), "{how}");
        took.sort();
        assert!(took[CALLS / 2] < HANGS_FOR / 2, "{how}: {took:?}");
        // Then by single probes.
        pair.clock.advance(OPEN_FOR);
        assert_eq!((pair.asked().await, pair.asked().await), (4, 4), "{how}");
    }
}

#[tokio::test]
async fn a_model_that_is_well_again_is_asked_again() {
    let failing = || StubAnswer::new(503, &[], b"");
    let pair = StubServerPair::new(vec![failing(), failing(), failing(), whole()], whole()).await;
    for _ in 0..CALLS {
        pair.ask().await.expect("the second answers");
    }
    pair.clock.advance(OPEN_FOR);
    for _ in 0..CALLS {
        pair.ask().await.expect("the first answers");
    }
    assert_eq!((pair.first.connections(), pair.second.connections()), (3 + CALLS, CALLS));
}

#[tokio::test]
async fn how_long_to_wait_is_read_in_every_form_and_on_every_attempt() {
    let waits = vec![
        full("Retry-After: 7"),
        full("Retry-After: Sun, 06 Nov 1994 08:49:25 GMT"),
        full("retry-after-ms: 1500"),
        whole(),
    ];
    let pair = StubServerPair::new(waits, whole()).await;
    let on = |ms| pair.clock.advance(Duration::from_millis(ms));
    assert_eq!((pair.asked().await, pair.asked().await), (1, 1), "seconds");
    on(6_999);
    assert_eq!(pair.asked().await, 1);
    on(1);
    assert_eq!((pair.asked().await, pair.asked().await), (2, 2), "a date, eleven seconds away");
    on(10_999);
    assert_eq!(pair.asked().await, 2);
    on(1);
    // The third consecutive failure opens the circuit, for longer than the server requested.
    assert_eq!((pair.asked().await, pair.asked().await), (3, 3), "milliseconds");
    on(1_500);
    assert_eq!(pair.asked().await, 3);
    pair.clock.advance(OPEN_FOR);
    assert_eq!((pair.asked().await, pair.second.connections()), (4, 9));
}

#[tokio::test]
async fn where_both_are_full_the_error_says_when_the_first_of_them_is_not() {
    let pair = StubServerPair::new(vec![full("Retry-After: 20")], full("retry-after-ms: 4000")).await;
    let both = pair.ask().await.expect_err("both are full");
    assert_eq!((both.fault.code.as_ref(), both.retryable), (code::RATE_LIMIT_EXCEEDED, true));
    assert_eq!(both.retry_after, Some(4_000));
    let nobody = pair.ask().await.expect_err("nobody is asked");
    assert_eq!((nobody.fault.code.as_ref(), nobody.retry_after), (code::NO_MODEL, Some(4_000)));
    assert_eq!((pair.first.connections(), pair.second.connections()), (1, 1));
}

#[tokio::test]
async fn a_stream_that_fails_before_its_first_word_falls_back_unnoticed() {
    for death in [StubAnswer::stream(BEGUN), StubAnswer::silent_after(BEGUN), StubAnswer::cut_off(BEGUN)] {
        let pair = StubServerPair::new(vec![death], whole()).await;
        let (sender, mut heard) = mpsc::channel(16);
        let reply = pair.gateway.ask(&asker(1), &request("a", &["u: hi"]), LIMIT, Some(&sender)).await;
        assert_eq!(reply.expect("the second answers").content, "¡Hola!");
        drop(sender);
        let mut told = String::new();
        while let Some(piece) = heard.recv().await {
            let ReplyDelta::Text(text) = piece else { panic!("only text is said: {piece:?}") };
            told.push_str(&text);
        }
        assert_eq!((told.as_str(), pair.first.connections()), ("¡Hola!", 1));
    }
}

#[tokio::test]
async fn a_stream_that_fails_after_its_first_word_is_an_error_for_who_cannot_take_it_back() {
    let pair = StubServerPair::new(vec![StubAnswer::stream(BROKEN_OFF)], whole()).await;
    let (sender, mut heard) = mpsc::channel(16);
    let broken = pair.gateway.ask(&asker(1), &request("a", &["u: hi"]), LIMIT, Some(&sender)).await;
    assert_eq!(broken.expect_err("half was said").fault.code, code::MALFORMED_REPLY);
    assert_eq!(heard.recv().await, Some(ReplyDelta::Text("Hel".into())));
    assert_eq!(pair.second.connections(), 0);
    let patient = ModelCaller { accepts_reset: true, ..asker(1) };
    let reply = pair.gateway.ask(&patient, &request("a", &["u: hi"]), LIMIT, Some(&sender)).await;
    assert_eq!(reply.expect("the second answers").content, "¡Hola!");
    assert_eq!(heard.recv().await, Some(ReplyDelta::Text("Hel".into())));
    assert_eq!(heard.recv().await, Some(ReplyDelta::Reset));
    assert_eq!(heard.recv().await, Some(ReplyDelta::Text("¡Ho".into())));
}
