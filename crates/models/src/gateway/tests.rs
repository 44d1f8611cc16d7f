use std::sync::Arc;

use baton_ports::circuits::ModelCircuitState;
use baton_ports::clock::SystemClock;
use baton_ports::models::ConsumerKey;
use serde_json::json;

use super::*;
use crate::config::ProviderKind;
use crate::fault::code;
use crate::health::OPEN_FOR;
use crate::providers::test_support::{asker, request};
use crate::recorder::BATCH_AFTER;
use crate::test_support;
use crate::test_support::{CircuitCapture, DecisionCapture, FakeBehavior, FakeProvider, fake_provider};

const LIMIT: Duration = Duration::from_secs(10);
const QUICK: FakeBehavior = FakeBehavior::Answers(Duration::from_millis(100));

/// Two models at two providers: `first` is called first.
struct ProviderPairFixture {
    first: Arc<FakeProvider>,
    second: Arc<FakeProvider>,
    gateway: ModelGateway,
    decisions: Arc<DecisionCapture>,
    circuits: Arc<CircuitCapture>,
}

impl ProviderPairFixture {
    fn new(first: FakeBehavior) -> Self {
        Self::with(first, json!({}))
    }

    fn with(first: FakeBehavior, more: Value) -> Self {
        let (first, second) = (FakeProvider::new(first), FakeProvider::new(QUICK));
        let free =
            |provider: &str| json!({"provider": provider, "input_usd_per_million": 0, "output_usd_per_million": 0});
        let mut settings = json!({"models": {"fast": [["first"], ["second"]]},
            "catalogue": {"first": free("openai"), "second": free("other")}});
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let providers = vec![
            fake_provider("openai", ProviderKind::OpenAi, &first),
            fake_provider("other", ProviderKind::OpenAi, &second),
        ];
        let (kept, told) = (Arc::new(DecisionCapture::default()), Arc::new(CircuitCapture::default()));
        let gateway =
            test_support::gateway(settings, providers).with_decisions(kept.clone()).with_circuits(told.clone());
        Self { first, second, gateway, decisions: kept, circuits: told }
    }

    async fn ask(&self) -> Result<ModelReply, ModelCallError> {
        self.gateway.ask(&asker(1), &request("a", &["u: hi"]), LIMIT, None).await
    }

    /// How often each provider was called.
    fn asked(&self) -> (usize, usize) {
        (self.first.requested_models().len(), self.second.requested_models().len())
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_model_answers_where_the_first_fails() {
    for code in [
        code::TIMEOUT,
        code::SERVICE_UNAVAILABLE,
        code::MALFORMED_REPLY,
        code::RATE_LIMIT_EXCEEDED,
        code::AUTHENTICATION_FAILED,
        code::MODEL_NOT_FOUND,
        code::CONTEXT_TOO_LONG,
    ] {
        let pair = ProviderPairFixture::new(FakeBehavior::Fails(code));
        assert_eq!(pair.ask().await.expect(code).model, "second");
        assert_eq!(pair.asked(), (1, 1), "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_every_model_would_refuse_is_asked_once() {
    for code in [code::INVALID_REQUEST, code::CONTENT_FILTERED] {
        let pair = ProviderPairFixture::new(FakeBehavior::Fails(code));
        assert_eq!(pair.ask().await.expect_err(code).fault.code, code);
        assert_eq!(pair.asked(), (1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_first_model_is_asked_three_times_and_then_by_single_probes() {
    let pair = ProviderPairFixture::new(FakeBehavior::Fails(code::SERVICE_UNAVAILABLE));
    for _ in 0..30 {
        assert_eq!(pair.ask().await.expect("the second answers").model, "second");
    }
    assert_eq!(pair.asked(), (3, 30));
    tokio::time::sleep(OPEN_FOR).await;
    for _ in 0..10 {
        pair.ask().await.expect("the second answers");
    }
    assert_eq!(pair.asked().0, 4, "one probe");
    tokio::time::sleep(OPEN_FOR).await;
    pair.first.set_behavior(QUICK);
    for _ in 0..5 {
        assert_eq!(pair.ask().await.expect("the first answers again").model, "first");
    }
}

#[tokio::test(start_paused = true)]
async fn one_probe_at_a_time_however_many_call() {
    let pair = ProviderPairFixture::new(FakeBehavior::Fails(code::SERVICE_UNAVAILABLE));
    for _ in 0..3 {
        pair.ask().await.expect("the second answers");
    }
    tokio::time::sleep(OPEN_FOR).await;
    pair.first.set_behavior(FakeBehavior::Hangs);
    let calls: Vec<_> = (0..20).map(|_| pair.ask()).collect();
    for reply in futures::future::join_all(calls).await {
        assert_eq!(reply.expect("the second answers").model, "second");
    }
    assert_eq!(pair.asked().0, 4);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_model_leaves_time_for_the_next() {
    let pair = ProviderPairFixture::new(FakeBehavior::Hangs);
    let began = Instant::now();
    assert_eq!(pair.ask().await.expect("the second answers").model, "second");
    assert_eq!(began.elapsed(), LIMIT / 2 + Duration::from_millis(100));
    pair.second.set_behavior(FakeBehavior::Hangs);
    let began = Instant::now();
    let fault = pair.ask().await.expect_err("both hang");
    assert_eq!((began.elapsed(), fault.fault.code.as_ref()), (LIMIT, code::TIMEOUT), "never longer than the limit");
    assert!(fault.fault.message.contains("before it, `first`: TIMEOUT"), "{fault:?}");
    assert!(fault.retryable);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_asks_to_be_left_alone_is() {
    let pair = ProviderPairFixture::new(QUICK);
    pair.first.behave_once(FakeBehavior::Waits(Duration::from_secs(5)));
    assert_eq!(pair.ask().await.expect("the second answers").model, "second");
    tokio::time::sleep(Duration::from_millis(4_800)).await;
    assert_eq!(pair.ask().await.expect("the second answers").model, "second");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(pair.ask().await.expect("the first answers").model, "first");
    assert_eq!(pair.asked(), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_says_it_is_full_is_left_alone_before_it_refuses() {
    let pair = ProviderPairFixture::new(QUICK);
    pair.first.behave_once(FakeBehavior::IsFull(Duration::from_secs(1)));
    assert_eq!(pair.ask().await.expect("a reply").model, "first");
    assert_eq!(pair.ask().await.expect("a reply").model, "second");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(pair.ask().await.expect("a reply").model, "first");
}

#[tokio::test(start_paused = true)]
async fn what_a_consumers_key_has_left_is_nobody_elses_limit() {
    let pair = ProviderPairFixture::new(QUICK);
    let consumer = ModelCaller { api_key: Some(ConsumerKey::new("sk-consumers")), ..asker(1) };
    pair.first.behave_once(FakeBehavior::IsFull(Duration::from_secs(60)));
    pair.gateway.ask(&consumer, &request("a", &["u: hi"]), LIMIT, None).await.expect("a reply");
    assert_eq!(pair.ask().await.expect("a reply").model, "first");
}

#[tokio::test(start_paused = true)]
async fn where_all_must_be_left_alone_the_error_says_for_how_long() {
    let pair = ProviderPairFixture::new(FakeBehavior::Waits(Duration::from_secs(8)));
    pair.second.set_behavior(FakeBehavior::Waits(Duration::from_secs(5)));
    let fault = pair.ask().await.expect_err("both are full");
    assert_eq!((fault.retryable, fault.retry_after), (true, Some(5_000)));
    let fault = pair.ask().await.expect_err("both are left alone");
    assert_eq!((fault.fault.code.as_ref(), fault.retryable, fault.retry_after), (code::NO_MODEL, true, Some(5_000)));
    assert_eq!(pair.asked(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_broke_off_is_begun_anew_only_for_who_can_take_it_back() {
    for reads_along in [false, true] {
        let pair = ProviderPairFixture::new(FakeBehavior::BreaksOff);
        let (sender, mut pieces) = tokio::sync::mpsc::channel(8);
        let asker = ModelCaller { accepts_reset: reads_along, ..asker(1) };
        let reply = pair.gateway.ask(&asker, &request("a", &["u: hi"]), LIMIT, Some(&sender)).await;
        assert_eq!(pieces.recv().await, Some(ReplyDelta::Text("half".into())));
        assert_eq!(reply.is_ok(), reads_along);
        drop(sender);
        assert_eq!(pieces.recv().await, reads_along.then_some(ReplyDelta::Reset));
        assert_eq!(pair.asked().1, usize::from(reads_along));
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_only_reads_along_does_not_change_who_is_asked() {
    let bare =
        json!({"provider": "openai", "streaming": false, "input_usd_per_million": 0, "output_usd_per_million": 0});
    let free = json!({"provider": "other", "input_usd_per_million": 0, "output_usd_per_million": 0});
    let pair = ProviderPairFixture::with(QUICK, json!({"catalogue": {"first": bare, "second": free}}));
    let (sender, _heard) = tokio::sync::mpsc::channel(8);
    for (reads_along, model) in [(true, "first"), (false, "second")] {
        let asker = ModelCaller { accepts_reset: reads_along, ..asker(1) };
        let reply = pair.gateway.ask(&asker, &request("a", &["u: hi"]), LIMIT, Some(&sender)).await;
        assert_eq!(reply.expect("a reply").model, model);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_consumers_key_may_not_do_is_not_the_models_fault() {
    let pair = ProviderPairFixture::new(FakeBehavior::Fails(code::AUTHENTICATION_FAILED));
    let consumer = ModelCaller { api_key: Some(ConsumerKey::new("sk-consumers")), ..asker(1) };
    for _ in 0..5 {
        let fault = pair.gateway.ask(&consumer, &request("a", &["u: hi"]), LIMIT, None).await.expect_err("refused");
        assert_eq!(fault.fault.code, code::AUTHENTICATION_FAILED);
    }
    assert_eq!(pair.second.requested_models().len(), 0, "the key is for the first's provider");
    pair.first.set_behavior(QUICK);
    assert_eq!(pair.ask().await.expect("a reply").model, "first");
    assert_eq!(pair.first.keys().iter().flatten().count(), 5);
    pair.gateway.flush();
    assert!(!format!("{:?}", pair.decisions.all()).contains("sk-consumers"));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_given_up_leaves_the_probe_to_the_next() {
    let pair = ProviderPairFixture::new(FakeBehavior::Fails(code::SERVICE_UNAVAILABLE));
    for _ in 0..3 {
        pair.ask().await.expect("the second answers");
    }
    tokio::time::sleep(OPEN_FOR).await;
    pair.first.set_behavior(FakeBehavior::Hangs);
    assert!(tokio::time::timeout(Duration::from_secs(1), pair.ask()).await.is_err(), "it is given up");
    pair.first.set_behavior(QUICK);
    assert_eq!(pair.ask().await.expect("a reply").model, "first");
}

#[tokio::test(start_paused = true)]
async fn every_attempt_has_a_record_and_the_first_says_why() {
    let pair = ProviderPairFixture::new(FakeBehavior::Fails(code::SERVICE_UNAVAILABLE));
    pair.ask().await.expect("a reply");
    tokio::time::sleep(BATCH_AFTER * 2).await;
    let records = pair.decisions.all();
    let seen: Vec<_> =
        records.iter().map(|r| (r.attempt, r.model.as_str(), r.success, r.error_code.as_deref())).collect();
    assert_eq!(seen, [(0, "first", false, Some(code::SERVICE_UNAVAILABLE)), (1, "second", true, None)]);
    assert_eq!(
        (records[1].actual_cost.as_nanos(), records[1].latency_ms, records[1].node.as_deref()),
        (1_000, 100, Some("ask"))
    );
    let choice: Value = serde_json::from_str(records[0].explanation.as_deref().expect("a choice")).expect("JSON");
    assert_eq!((&choice["chosen"], &choice["fallbacks"]), (&json!("first"), &json!(["second"])));
    assert_eq!(records[1].explanation, None);
    let explained = pair.gateway.explain(&"clinic".into(), &asker(1).key).await.expect("it is known");
    assert_eq!((&explained["choice"], explained["attempts"].as_array().map(Vec::len)), (&choice, Some(2)));
    assert_eq!(pair.gateway.explain(&"clinic".into(), "another").await, None);
    assert_eq!(pair.gateway.explain(&"shop".into(), &asker(1).key).await, None, "it is another tenant's");
}

#[tokio::test(start_paused = true)]
async fn a_call_for_which_there_was_nobody_has_a_record_too() {
    let pair = ProviderPairFixture::with(QUICK, json!({"models": {"fast": "claude-3-haiku"}}));
    let fault = pair.ask().await.expect_err("no provider");
    pair.gateway.flush();
    let records = pair.decisions.all();
    assert_eq!(
        (records.len(), records[0].model.as_str(), records[0].error_message.as_ref()),
        (1, "", Some(&fault.fault.message))
    );
}

#[tokio::test(start_paused = true)]
async fn processes_hear_of_each_others_circuits() {
    let pair = ProviderPairFixture::new(FakeBehavior::Fails(code::SERVICE_UNAVAILABLE));
    for _ in 0..3 {
        pair.ask().await.expect("the second answers");
    }
    tokio::task::yield_now().await;
    let said = pair.circuits.all();
    assert_eq!((said.len(), said[0].model.as_str(), said[0].state), (1, "first", ModelCircuitState::Open));
    assert!(said[0].reason.contains("SERVICE_UNAVAILABLE"), "{said:?}");

    let other = ProviderPairFixture::new(QUICK);
    other.circuits.set(said[0].clone()).await.expect("is set");
    // The other process's clock began when this one's did.
    assert_eq!(other.ask().await.expect("a reply").model, "second", "the first call listens");
    let closed = baton_ports::circuits::ModelCircuit {
        state: ModelCircuitState::Closed,
        until: None,
        since: said[0].since + LIMIT,
        ..said[0].clone()
    };
    tokio::time::sleep(LIMIT).await;
    other.circuits.set(closed).await.expect("is set");
    other.ask().await.expect("a reply that makes it listen");
    assert_eq!(other.ask().await.expect("a reply").model, "first");
}

#[tokio::test(start_paused = true)]
async fn how_models_fare_is_seen() {
    let pair = ProviderPairFixture::new(FakeBehavior::Fails(code::SERVICE_UNAVAILABLE));
    for _ in 0..3 {
        pair.ask().await.expect("the second answers");
    }
    let fare = |name: &str| pair.gateway.model_health().into_iter().find(|fare| fare.model == name).expect("a fare");
    assert_eq!((fare("first").circuit, fare("first").calls), (CircuitState::Open, 3));
    assert_eq!(
        (fare("second").circuit, fare("second").calls, fare("second").error_rate),
        (CircuitState::Closed, 3, 0.0)
    );
    tokio::time::sleep(OPEN_FOR).await;
    assert_eq!(fare("first").circuit, CircuitState::HalfOpen);
}

#[tokio::test(start_paused = true)]
async fn the_same_request_is_asked_once_where_replies_are_kept() {
    let pair = ProviderPairFixture::with(QUICK, json!({"cache": {"enabled": true}}));
    let replies = futures::future::join_all((0..10).map(|_| pair.ask())).await;
    let costs: Vec<i64> = replies.iter().map(|reply| reply.as_ref().expect("a reply").cost.as_nanos()).collect();
    assert_eq!((pair.asked(), costs.iter().sum::<i64>()), ((1, 0), 1_000), "one is paid for");
    let again = ModelCaller { key: "r1/ask/0/1".into(), ..asker(1) };
    pair.gateway.ask(&again, &request("a", &["u: hi"]), LIMIT, None).await.expect("a reply");
    assert_eq!(pair.asked().0, 2, "a run that asks again wants another reply");
    let other = ModelCaller { tenant: "shop".into(), ..asker(1) };
    pair.gateway.ask(&other, &request("a", &["u: hi"]), LIMIT, None).await.expect("a reply");
    assert_eq!(pair.asked().0, 3, "another tenant's");
    pair.gateway.flush();
    assert_eq!(pair.decisions.all().iter().filter(|record| record.cached).count(), 9);
}

#[tokio::test(start_paused = true)]
async fn a_kept_reply_is_told_to_who_listens() {
    let pair = ProviderPairFixture::with(QUICK, json!({"cache": {"enabled": true}}));
    pair.ask().await.expect("a reply");
    let (sender, mut pieces) = tokio::sync::mpsc::channel(8);
    pair.gateway.ask(&asker(1), &request("a", &["u: hi"]), LIMIT, Some(&sender)).await.expect("a reply");
    assert_eq!(pieces.recv().await, Some(ReplyDelta::Text("whole".into())));
    assert_eq!(pair.asked().0, 1);
}

#[tokio::test(start_paused = true)]
async fn files_neither_fall_back_nor_open_a_circuit() {
    let fake = FakeProvider::new(FakeBehavior::Fails(code::SERVICE_UNAVAILABLE));
    let gateway = test_support::gateway(json!({}), vec![fake_provider("script", ProviderKind::Script, &fake)]);
    for _ in 0..5 {
        gateway.ask(&asker(1), &request("a", &["u: hi"]), LIMIT, None).await.expect_err("as it is written");
    }
    assert_eq!(fake.requested_models(), ["claude-3-haiku"; 5]);
}

fn files(config: Value) -> Result<ModelGateway, ModelsError> {
    let config: ModelsConfig = serde_json::from_value(config).expect("settings");
    let scripts = [ScriptFile {
        name: "replies/a.yaml".into(),
        document: json!({"replies": [{"agent": "a", "content": "Hola"}]}),
    }];
    ModelGateway::new(&config, &scripts, Arc::new(SystemClock))
}

#[tokio::test]
async fn without_a_key_the_script_answers() {
    let gateway = files(json!({"models": {"fast": "mine"}})).expect("a gateway");
    assert!(gateway.is_scripted());
    let models: &dyn ModelService = &gateway;
    let reply = models.ask(&asker(1), &request("a", &["u: hi"]), LIMIT, None).await.expect("a reply");
    assert_eq!((reply.content.as_str(), reply.model.as_str()), ("Hola", "mine"));
}

#[test]
fn with_a_key_a_server_answers_and_no_key_is_shown() {
    let gateway = files(json!({"api_key": "sk-secret"})).expect("a gateway");
    assert!(!gateway.is_scripted());
    assert!(!format!("{gateway:?}").contains("secret"));
}

#[test]
fn one_provider_is_one_word_of_the_settings() {
    for provider in ["openai", "anthropic"] {
        let gateway = files(json!({"provider": provider, "api_key": "sk-secret"})).expect(provider);
        assert!(!gateway.is_scripted());
    }
    let azure = json!({"provider": "azure", "api_key": "k", "base_url": "https://mine.openai.azure.com"});
    assert!(files(azure).is_ok());
    let nowhere = files(json!({"provider": "azure", "api_key": "k"})).expect_err("no resource");
    assert_eq!((nowhere.code(), nowhere.to_string().contains("base_url")), ("MODELS-001", true));
}

#[test]
fn what_can_be_asked_by_name_is_what_is_served() {
    let names = files(json!({"api_key": "sk-secret"})).expect("a gateway").names();
    assert_eq!(names[..3], ["fast", "balanced", "powerful"]);
    assert!(
        names.iter().any(|name| name == "gpt-4o") && !names.iter().any(|name| name == "claude-3-opus"),
        "{names:?}"
    );
}

#[test]
fn a_setting_that_cannot_be_used_is_an_error() {
    assert_eq!(files(json!({"base_url": "nonsense"})).expect_err("an error").code(), "MODELS-001");
    let twice = json!({"catalogue": {"a": {"input_usd_per_1k": 1, "input_usd_per_million": 1}}});
    assert_eq!(files(twice).expect_err("an error").code(), "MODELS-001");
    assert_eq!(files(json!({"models": {"fast": []}})).expect_err("an error").code(), "MODELS-003");
}
