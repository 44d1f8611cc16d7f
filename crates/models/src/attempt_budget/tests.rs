//! Calls through the gateway with a small budget.

use std::sync::Arc;
use std::time::Duration;

use baton_core::model::{ModelProfile, ModelRequest};
use baton_core::money::Usd;
use baton_core::run::{BlockReason, ModelCallError};
use baton_ports::budget::{BudgetStore, CostDimension, CostFilter, CostRow};
use baton_ports::models::{ModelCaller, ModelService};
use baton_sim::fake::FakeStore;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::budget::BudgetLedger;
use crate::config::ProviderKind;
use crate::fault::code;
use crate::gateway::ModelGateway;
use crate::providers::test_support::{asker, request};
use crate::test_support::{self, FakeBehavior, FakeProvider, PausedTokioClock, fake_provider};

const LIMIT: Duration = Duration::from_secs(10);
/// The price of a fake provider's reply.
const PRICE: Usd = Usd::from_nanos(1_000);
/// Dollars per million tokens. At this rate 200 tokens, the maximum of a request in these tests, cost `PRICE`.
const PER_MILLION: f64 = 0.005;

struct ReservationFixture {
    fake: Arc<FakeProvider>,
    store: Arc<FakeStore>,
    ledger: BudgetLedger,
    gateway: ModelGateway,
}

impl ReservationFixture {
    /// Creates a fixture with an hourly budget for this number of calls.
    fn with_money_for(calls: i64, does: FakeBehavior, more: Value) -> Self {
        let budgets = json!({ "hourly_usd": Usd::from_nanos(calls * PRICE.as_nanos()).as_f64() });
        let (fake, store) = (FakeProvider::new(does), Arc::new(FakeStore::new()));
        let model = |output: f64| json!({"input_usd_per_million": 0, "output_usd_per_million": output});
        let mut settings = json!({
            "models": {"fast": ["usual"], "powerful": [["dear"], ["usual"]]},
            "catalogue": {"usual": model(PER_MILLION), "dear": model(PER_MILLION * 1_000.0)},
        });
        settings.as_object_mut().expect("settings").extend(more.as_object().expect("more").clone());
        let config = serde_json::from_value(budgets).expect("budgets");
        let budget_ledger = BudgetLedger::new(store.clone(), config, PausedTokioClock::new());
        let gateway = test_support::gateway(settings, vec![fake_provider("openai", ProviderKind::OpenAi, &fake)]);
        Self { fake, store, gateway: gateway.with_budget(budget_ledger.clone()), ledger: budget_ledger }
    }

    async fn ask(&self) -> Result<(), ModelCallError> {
        self.gateway.ask(&asker(1), &hello(), LIMIT, None).await.map(drop)
    }

    /// The total spent, once everything is settled.
    async fn spent(&self, by: Vec<CostDimension>) -> Vec<CostRow> {
        self.ledger.close().await.expect("closes");
        self.store.costs(CostFilter { by, ..CostFilter::default() }).await.expect("reads")
    }
}

fn hello() -> ModelRequest {
    ModelRequest { max_tokens: Some(200), ..request("a", &["u: hi"]) }
}

fn quick() -> FakeBehavior {
    FakeBehavior::Answers(Duration::from_millis(100))
}

#[tokio::test(start_paused = true)]
async fn a_budget_worth_ten_calls_lets_ten_of_sixty_four_at_once_through_the_gateway() {
    let world = ReservationFixture::with_money_for(10, quick(), json!({}));
    let calls = join_all((0..64).map(|_| world.ask())).await;
    let refused: Vec<ModelCallError> = calls.into_iter().filter_map(Result::err).collect();
    assert_eq!((world.fake.requested_models().len(), refused.len()), (10, 54));
    assert!(refused.iter().all(|fault| fault.fault.code == code::BUDGET_EXCEEDED && !fault.retryable));
    let costs = world
        .spent(vec![CostDimension::Model, CostDimension::Provider, CostDimension::Profile, CostDimension::Agent])
        .await;
    let row = &costs[0];
    assert_eq!((costs.len(), row.calls, row.answered, row.cost), (1, 10, 10, Usd::from_nanos(10_000)));
    let parts = [&row.model, &row.provider, &row.profile, &row.agent].map(|part| part.as_deref().unwrap_or_default());
    assert_eq!(parts, ["usual", "openai", "fast", "a"]);
}

#[tokio::test(start_paused = true)]
async fn a_caller_with_little_money_left_is_told() {
    let world = ReservationFixture::with_money_for(10, quick(), json!({}));
    for told in [None, Some("80 % of the hourly budget is spent"), Some("90 % of the hourly budget is spent")] {
        let before = if told.is_none() { 7 } else { 1 };
        for _ in 0..before {
            world.ask().await.expect("there is enough");
        }
        assert_eq!(world.gateway.budget_notice(&asker(1)).as_deref(), told);
    }
}

#[tokio::test(start_paused = true)]
async fn where_there_is_no_money_for_a_dear_model_a_cheaper_one_answers() {
    let world = ReservationFixture::with_money_for(10, quick(), json!({}));
    let powerful = ModelRequest { profile: ModelProfile::Powerful, ..hello() };
    world.gateway.ask(&asker(1), &powerful, LIMIT, None).await.expect("the cheaper one answers");
    assert_eq!(world.fake.requested_models(), ["usual"]);
}

#[tokio::test(start_paused = true)]
async fn models_that_there_is_no_money_for_are_no_attempts() {
    let dear = json!({"input_usd_per_million": 0, "output_usd_per_million": PER_MILLION * 1_000.0});
    let usual = json!({"input_usd_per_million": 0, "output_usd_per_million": PER_MILLION});
    let world = ReservationFixture::with_money_for(
        10,
        quick(),
        json!({
            "models": {"fast": [["one"], ["two"], ["three"], ["four"], ["five"], ["usual"]]},
            "catalogue": {"one": dear, "two": dear, "three": dear, "four": dear, "five": dear, "usual": usual},
        }),
    );
    world.ask().await.expect("the last of six answers");
    assert_eq!(world.fake.requested_models(), ["usual"]);
}

#[tokio::test(start_paused = true)]
async fn every_attempt_is_paid_for_also_one_that_broke_off() {
    let world = ReservationFixture::with_money_for(10, quick(), json!({"models": {"fast": [["usual"], ["dear"]]}}));
    world.fake.behave_once(FakeBehavior::BreaksOff);
    let request = ModelRequest { max_tokens: Some(1), ..hello() };
    world.gateway.ask(&asker(1), &request, LIMIT, None).await.expect("the second answers");
    let costs = world.spent(Vec::new()).await;
    assert_eq!((costs[0].calls, costs[0].answered, costs[0].estimated), (2, 1, 1));
    assert_eq!(costs[0].cost, Usd::from_nanos(1_005));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_its_caller_gave_up_is_paid_at_what_it_may_have_cost() {
    let world = ReservationFixture::with_money_for(10, FakeBehavior::Hangs, json!({}));
    let given_up = tokio::time::timeout(Duration::from_millis(50), world.ask()).await;
    assert!(given_up.is_err());
    let costs = world.spent(Vec::new()).await;
    assert_eq!((costs[0].calls, costs[0].estimated, costs[0].cost), (1, 1, PRICE));
}

#[tokio::test(start_paused = true)]
async fn what_certainly_cost_nothing_is_free_again() {
    let world = ReservationFixture::with_money_for(1, quick(), json!({}));
    world.fake.behave_once(FakeBehavior::Fails(code::CONTENT_FILTERED));
    assert!(world.ask().await.is_err());
    world.ask().await.expect("there is money for one");
    assert_eq!(world.ask().await.expect_err("and for no other").fault.code, code::BUDGET_EXCEEDED);
}

#[tokio::test(start_paused = true)]
async fn a_call_without_the_consumers_key_does_not_go_out_where_it_must_have_one() {
    let world = ReservationFixture::with_money_for(10, quick(), json!({"keys": "consumer"}));
    let fault = world.ask().await.expect_err("no key");
    assert_eq!((fault.fault.code.as_ref(), fault.block), (code::MISSING_API_KEY, Some(BlockReason::Key)));
    let asker = ModelCaller { api_key: Some(baton_ports::models::ConsumerKey::new("sk-own")), ..asker(1) };
    world.gateway.ask(&asker, &hello(), LIMIT, None).await.expect("with its key");
    assert_eq!(world.fake.keys(), [Some("sk-own".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn a_call_is_quoted_before_anybody_knows_who_asks() {
    let world = ReservationFixture::with_money_for(10, quick(), json!({}));
    let quote = world.gateway.quote(&asker(1).tenant, &hello());
    assert_eq!((quote.most, quote.usual), (PRICE, PRICE));
    assert_eq!(quote.least, Usd::from_nanos(PRICE.as_nanos() * 64 / 200));
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_nobody_counted_is_paid_at_what_it_may_have_cost() {
    let world = ReservationFixture::with_money_for(10, FakeBehavior::CountsNothing, json!({}));
    let request = ModelRequest { max_tokens: Some(1_000), ..hello() };
    let reply = world.gateway.ask(&asker(1), &request, LIMIT, None).await.expect("it answers");
    assert_eq!(reply.cost, Usd::from_nanos(5_000), "and the caller is told");
    let costs = world.spent(Vec::new()).await;
    assert_eq!((costs[0].answered, costs[0].estimated, costs[0].cost), (1, 1, Usd::from_nanos(5_000)));
}

#[tokio::test(start_paused = true)]
async fn a_model_whose_price_nobody_states_is_not_asked_where_a_budget_bounds_the_call() {
    let world = ReservationFixture::with_money_for(10, quick(), json!({"models": {"fast": ["strange"]}}));
    let fault = world.ask().await.expect_err("has no price");
    assert_eq!((fault.fault.code.as_ref(), fault.retryable), (code::PRICE_UNKNOWN, false));
    let action = fault.fault.suggested_action.expect("says what to do");
    assert!(fault.fault.message.contains("`strange`"), "{}", fault.fault.message);
    assert!(action.contains("models.yaml") && action.contains("baton models import"), "{action}");
    let named = ModelRequest { model: Some("stranger".into()), ..hello() };
    let fault = world.gateway.ask(&asker(1), &named, LIMIT, None).await.expect_err("has no price");
    assert_eq!(fault.fault.code, code::PRICE_UNKNOWN);
    assert!(world.fake.requested_models().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_model_without_a_price_leaves_the_call_to_one_that_has_one() {
    let world = ReservationFixture::with_money_for(10, quick(), json!({"models": {"fast": [["strange"], ["usual"]]}}));
    world.ask().await.expect("the other answers");
    assert_eq!(world.fake.requested_models(), ["usual"]);
}

#[tokio::test(start_paused = true)]
async fn a_model_that_costs_nothing_and_says_so_is_asked() {
    let own = json!({"input_usd_per_million": 0, "output_usd_per_million": 0});
    let world =
        ReservationFixture::with_money_for(0, quick(), json!({"models": {"fast": ["own"]}, "catalogue": {"own": own}}));
    world.ask().await.expect("it answers");
}

#[tokio::test(start_paused = true)]
async fn where_nothing_bounds_a_call_its_price_need_not_be_known() {
    let fake = FakeProvider::new(quick());
    let settings = json!({"models": {"fast": ["strange"]}});
    let gateway = test_support::gateway(settings, vec![fake_provider("openai", ProviderKind::OpenAi, &fake)]);
    gateway.ask(&asker(1), &hello(), LIMIT, None).await.expect("it answers");
    let bounded = ModelCaller { cost_limit: Some(PRICE), ..asker(1) };
    let fault = gateway.ask(&bounded, &hello(), LIMIT, None).await.expect_err("its run has a limit");
    assert_eq!(fault.fault.code, code::PRICE_UNKNOWN);
}

#[tokio::test(start_paused = true)]
async fn all_attempts_of_a_runs_call_together_cost_no_more_than_its_hold() {
    let settings = json!({"models": {"fast": [["usual"], ["other"]]}, "catalogue": {
        "usual": {"input_usd_per_million": 0, "output_usd_per_million": PER_MILLION},
        "other": {"input_usd_per_million": 0, "output_usd_per_million": PER_MILLION},
    }});
    let world = ReservationFixture::with_money_for(100, quick(), settings);
    let asker = |most| ModelCaller { cost_limit: Some(Usd::from_nanos(most)), ..asker(1) };
    world.fake.behave_once(FakeBehavior::BreaksOff);
    let fault = world.gateway.ask(&asker(1_100), &hello(), LIMIT, None).await.expect_err("a hundred are left");
    assert_eq!((fault.fault.code.as_ref(), fault.cost), ("COST_LIMIT", PRICE));
    assert_eq!(world.fake.requested_models(), ["usual"], "the second did not go out");
    world.fake.behave_once(FakeBehavior::BreaksOff);
    world.gateway.ask(&asker(1_400), &hello(), LIMIT, None).await.expect("enough for a short reply of the second");
    assert_eq!(world.fake.replies(), [Some(200), Some(200), Some(80)], "which is kept short");
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_nobody_limits_is_limited_to_what_is_reserved_for_it() {
    let world = ReservationFixture::with_money_for(1_000, quick(), json!({}));
    let open = ModelRequest { max_tokens: None, ..hello() };
    world.gateway.ask(&asker(1), &open, LIMIT, None).await.expect("there is money");
    assert_eq!(world.fake.replies(), [Some(16_384)]);
}

#[tokio::test(start_paused = true)]
async fn a_quote_covers_whichever_model_answers_also_one_that_is_left_alone_now() {
    let world = ReservationFixture::with_money_for(10, quick(), json!({"models": {"fast": [["usual"], ["dear"]]}}));
    let quote = || world.gateway.quote(&asker(1).tenant, &hello());
    let before = quote();
    assert_eq!((before.most, before.least), (Usd::from_nanos(1_000_000), Usd::from_nanos(320)));
    world.fake.set_behavior(FakeBehavior::Fails(code::SERVICE_UNAVAILABLE));
    for _ in 0..5 {
        world.ask().await.expect_err("both fail");
    }
    assert_eq!(quote(), before);
}
