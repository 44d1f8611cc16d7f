//! A real engine over the simulation's store: the cost of a run's model calls is settled with their replies, and a
//! consumer's API key is stored only in memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use baton_core::agent::{self, AgentDefinition};
use baton_core::bundle::{Bundle, ContentHash};
use baton_core::definition;
use baton_core::fault::Fault;
use baton_core::id::{RunId, TenantId};
use baton_core::model::{ModelReply, ModelRequest, TokenUsage};
use baton_core::money::{PriceQuote, Usd};
use baton_core::run::{BlockReason, IncomingCommand, ModelCallError, RunState};
use baton_core::tool::Caller;
use baton_engine::agent_registry::{AgentRegistry, TierTable};
use baton_engine::driver::EnginePorts;
use baton_engine::{Engine, EngineOptions, RunStart, WorkflowCache};
use baton_ports::budget::{
    BudgetHolder, BudgetStore, CallSpend, CostFilter, CostRow, PendingCharge, SettlementSink, SpendAccount,
};
use baton_ports::clock::{Clock, SystemClock};
use baton_ports::journal::TaskItemKind;
use baton_ports::models::{ConsumerKey, DeltaSender, ModelCaller, ModelService};
use baton_ports::read::ReadModel;
use baton_ports::registry::WorkflowRegistry;
use baton_sim::fake::FakeStore;
use baton_sim::null_ports::{NullSandbox, NullThinkers, NullTools};
use baton_sim::sim_thinker::SimThinker;
use serde_json::{Value, json};

const SECRET: &str = "sk-consumer-7f3a";

/// What a model does when it is called; once the list is empty, it answers.
enum ModelBehavior {
    Answers,
    Fails(ModelCallError),
    NeverAnswers,
    /// A bug of this program, after the call.
    Panics,
}

/// A model that charges a tenth of a dollar for every call, answered or not.
#[derive(Default)]
struct ChargingModel {
    behaviors: Mutex<VecDeque<ModelBehavior>>,
    asked: Mutex<Vec<ModelCaller>>,
    /// A call without a consumer's key is blocked.
    needs_key: bool,
    unsettled: Arc<UnsettledSpends>,
}

/// Spends that were returned because no append settled them.
#[derive(Default)]
struct UnsettledSpends(Mutex<Vec<CallSpend>>);

impl SettlementSink for UnsettledSpends {
    fn settle_later(&self, spend: CallSpend) {
        self.0.lock().expect("books").push(spend);
    }
}

const PRICE: Usd = Usd::from_nanos(100_000_000);

impl ChargingModel {
    fn charge(&self, asker: &ModelCaller, request: &ModelRequest) {
        let account = SpendAccount {
            workflow: asker.workflow.clone().unwrap_or_default(),
            agent: request.agent.clone(),
            model: "m".into(),
            ..SpendAccount::default()
        };
        let spend = CallSpend {
            tenant: asker.tenant.clone(),
            key_id: asker.key_id.clone(),
            account,
            at: SystemClock.now(),
            holder: Some(BudgetHolder(1)),
            calls: 1,
            answered: 1,
            estimated: 0,
            cost: PRICE,
            usage: TokenUsage::default(),
            latency_ms: 1,
            saved: Usd::ZERO,
        };
        asker.charges.as_ref().expect("a run brings its tab").put(PendingCharge::new(spend, self.unsettled.clone()));
    }
}

#[async_trait]
impl ModelService for ChargingModel {
    async fn ask(
        &self,
        asker: &ModelCaller,
        request: &ModelRequest,
        _limit: Duration,
        _pieces: Option<&DeltaSender>,
    ) -> Result<ModelReply, ModelCallError> {
        // The collector stays with the call alone: another holder would keep its charges from being settled.
        self.asked.lock().expect("asked").push(ModelCaller { charges: None, ..asker.clone() });
        if self.needs_key && asker.api_key.is_none() {
            return Err(blocked_by(BlockReason::Key));
        }
        let does = self.behaviors.lock().expect("script").pop_front().unwrap_or(ModelBehavior::Answers);
        match does {
            ModelBehavior::Fails(fault) if fault.block.is_some() => return Err(fault),
            ModelBehavior::Fails(fault) => {
                self.charge(asker, request);
                return Err(fault);
            }
            ModelBehavior::NeverAnswers => {
                self.charge(asker, request);
                std::future::pending::<()>().await;
            }
            ModelBehavior::Panics => {
                self.charge(asker, request);
                assert!(asker.key_id.is_none(), "a defect");
            }
            ModelBehavior::Answers => self.charge(asker, request),
        }
        // Its price; the cost of all attempts is in the collector.
        Ok(reply())
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    fn quote(&self, _: &TenantId, _: &ModelRequest) -> PriceQuote {
        PriceQuote::exactly(PRICE)
    }

    async fn explain(&self, _: &TenantId, _: &str) -> Option<Value> {
        None
    }
}

fn reply() -> ModelReply {
    serde_json::from_value(json!({
        "content": "answer", "finish": "stop", "usage": {}, "model": "m", "provider": "sim", "cost": 1, "latency_ms": 1
    }))
    .expect("a reply")
}

struct MoneyFixture {
    store: FakeStore,
    model: Arc<ChargingModel>,
    engine: Engine,
    bundle: ContentHash,
}

fn tenant() -> TenantId {
    "acme".into()
}

fn workflow() -> Bundle {
    let agent: AgentDefinition = serde_json::from_value(json!({ "name": "who", "type": "simple" })).expect("an agent");
    assert_eq!(agent.kind, agent::AgentKind::Simple);
    let node = json!({ "id": "who", "type": "agent", "agent": "who", "prompt_template": "answer" });
    Bundle {
        format: definition::BUNDLE_FORMAT,
        name: "greet".into(),
        definition: json!({ "name": "greet", "nodes": [node], "edges": [] }),
        agents: BTreeMap::from([("who".to_owned(), agent)]),
        tools: BTreeMap::new(),
        subworkflows: BTreeMap::new(),
    }
}

impl MoneyFixture {
    async fn new(does: impl IntoIterator<Item = ModelBehavior>) -> Self {
        Self::with(ChargingModel { behaviors: Mutex::new(does.into_iter().collect()), ..ChargingModel::default() })
            .await
    }

    async fn with(model: ChargingModel) -> Self {
        let store = FakeStore::new();
        let (text, bundle) = workflow().seal().expect("seals");
        store.save(&tenant(), "greet", "1", text.into(), &bundle, SystemClock.now()).await.expect("saves");
        let model = Arc::new(model);
        let engine = begin(&store, &model).await;
        Self { store, model, engine, bundle }
    }

    async fn start(&self, run: &str, context: Value) {
        let start = RunStart {
            run: run.into(),
            tenant: tenant(),
            workflow: "greet".into(),
            bundle: self.bundle.clone(),
            input: json!({}),
            context,
            caller: Caller { key_id: Some("k1".into()), ..Caller::default() },
        };
        self.engine.start(start).await.expect("starts");
    }

    /// Waits until the store reports this state of the run.
    async fn until(&self, run: &str, state: RunState) {
        wait_for(async {
            loop {
                let head = self.store.run(&tenant(), &RunId::from(run)).await.expect("reads");
                if head.is_some_and(|head| head.state == state) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    /// Waits until a call is in flight.
    async fn until_asked(&self) {
        wait_for(async {
            while self.model.asked.lock().expect("asked").is_empty() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    async fn costs(&self) -> CostRow {
        self.store.costs(CostFilter::default()).await.expect("reads").remove(0)
    }

    async fn cost_of(&self, run: &str) -> Usd {
        self.store.run(&tenant(), &run.into()).await.expect("reads").expect("is there").cost
    }

    async fn desk(&self) -> Vec<TaskItemKind> {
        let desk = self.store.open_tasks(&tenant(), None).await.expect("reads");
        desk.into_iter().map(|item| item.kind).collect()
    }

    /// Everything that was written of a run.
    async fn written(&self, run: &str) -> String {
        let entries = self.store.entries(&tenant(), &run.into(), 0, 500).await.expect("reads");
        entries.iter().map(|entry| String::from_utf8_lossy(entry).into_owned()).collect()
    }

    fn returned(&self) -> usize {
        self.model.unsettled.0.lock().expect("books").len()
    }

    fn keys(&self) -> Vec<Option<ConsumerKey>> {
        self.model.asked.lock().expect("asked").iter().map(|asker| asker.api_key.clone()).collect()
    }
}

/// The condition must become true soon.
async fn wait_for(seen: impl Future<Output = ()>) {
    tokio::time::timeout(Duration::from_secs(20), seen).await.expect("it comes to that");
}

async fn begin(store: &FakeStore, model: &Arc<ChargingModel>) -> Engine {
    let world = EnginePorts {
        journal: Arc::new(store.clone()),
        tools: Arc::new(NullTools),
        models: model.clone(),
        sandbox: Arc::new(NullSandbox),
        thinkers: Arc::new(NullThinkers),
        agent_registry: Arc::new(AgentRegistry::new(Arc::new(store.clone()), TierTable::default())),
        think: Arc::new(SimThinker),
        clock: Arc::new(SystemClock),
        workflows: WorkflowCache::new(Arc::new(store.clone())),
    };
    let options =
        EngineOptions { poll: Duration::from_millis(5), keep_awake: Duration::ZERO, ..EngineOptions::default() };
    Engine::begin(world, options).await.expect("begins")
}

fn blocked_by(block: BlockReason) -> ModelCallError {
    let fault = Fault::new("MISSING_API_KEY", "Missing API key. Consumer must provide their own key.");
    ModelCallError { block: Some(block), ..ModelCallError::permanent(fault) }
}

#[tokio::test]
async fn what_a_call_cost_is_settled_in_the_append_that_records_its_answer() {
    let stage = MoneyFixture::new([]).await;
    stage.start("one", json!(null)).await;
    stage.until("one", RunState::Completed).await;
    let costs = stage.costs().await;
    assert_eq!((costs.calls, costs.cost), (1, PRICE));
    assert_eq!(stage.cost_of("one").await, PRICE, "the run pays what is on the tab");
    assert_eq!(stage.returned(), 0, "nothing is settled twice");
    let asked = stage.model.asked.lock().expect("asked");
    assert_eq!((asked[0].workflow.as_deref(), asked[0].key_id.as_deref()), (Some("greet"), Some("k1")));
}

#[tokio::test]
async fn an_attempt_that_failed_for_a_price_counts_in_the_run_and_among_the_costs() {
    let failed =
        ModelCallError { retry_after: Some(1), ..ModelCallError::transient(Fault::new("TIMEOUT", "no answer")) };
    let stage = MoneyFixture::new([ModelBehavior::Fails(failed)]).await;
    stage.start("one", json!(null)).await;
    stage.until("one", RunState::Completed).await;
    assert_eq!((stage.costs().await.calls, stage.cost_of("one").await), (2, PRICE + PRICE));
    assert_eq!(stage.returned(), 0);
}

#[tokio::test]
async fn a_call_that_panics_is_paid_and_neither_its_run_nor_the_engine_goes_down_with_it() {
    let stage = MoneyFixture::new([ModelBehavior::Panics]).await;
    stage.start("one", json!(null)).await;
    stage.until("one", RunState::Completed).await;
    assert_eq!(stage.cost_of("one").await, PRICE + PRICE, "the attempt that broke is paid like any other");
    wait_for(async { stage.engine.stop().await.expect("stops") }).await;
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_any_more_is_paid_by_its_run() {
    let stage = MoneyFixture::new([ModelBehavior::NeverAnswers]).await;
    stage.start("one", json!(null)).await;
    stage.until_asked().await;
    let cancel = IncomingCommand::Cancel { by: "ana".into(), compensate: false, asked_by: Vec::new() };
    stage.engine.submit(&tenant(), &"one".into(), "cancel", &cancel).await.expect("is accepted");
    stage.until("one", RunState::Cancelled).await;
    assert_eq!(stage.cost_of("one").await, PRICE, "it was asked");
    assert_eq!((stage.costs().await.calls, stage.returned()), (1, 0), "in the append that ends it");
}

#[tokio::test]
async fn a_consumers_key_reaches_the_model_and_nothing_that_is_written() {
    let stage = MoneyFixture::new([]).await;
    stage.start("one", json!({ "api_key": SECRET, "user_id": "u" })).await;
    stage.until("one", RunState::Completed).await;
    assert_eq!(stage.keys(), [Some(ConsumerKey::new(SECRET))]);
    let written = stage.written("one").await;
    assert!(written.contains("\"user_id\":\"u\"") && written.contains("own_key"), "{written}");
    assert!(!written.contains(SECRET) && !written.contains("api_key"));
}

#[tokio::test]
async fn a_run_that_goes_on_without_its_key_waits_until_it_is_given_again() {
    let does = Mutex::new([ModelBehavior::NeverAnswers].into());
    let stage =
        MoneyFixture::with(ChargingModel { behaviors: does, needs_key: true, ..ChargingModel::default() }).await;
    stage.start("one", json!({ "api_key": SECRET })).await;
    stage.until_asked().await;
    stage.engine.stop().await.expect("stops");
    // Another process: it has no key until a caller provides one.
    let next = begin(&stage.store, &stage.model).await;
    stage.until("one", RunState::Waiting).await;
    assert_eq!(stage.desk().await, [TaskItemKind::NeedsKey]);
    next.provide_key(&tenant(), &"one".into(), ConsumerKey::new(SECRET));
    stage.until("one", RunState::Completed).await;
    assert_eq!(stage.keys().last(), Some(&Some(ConsumerKey::new(SECRET))));
    assert!(stage.desk().await.is_empty());
    assert!(!stage.written("one").await.contains(SECRET));
}

#[tokio::test]
async fn a_run_that_never_had_a_key_is_told_so() {
    let stage = MoneyFixture::with(ChargingModel { needs_key: true, ..ChargingModel::default() }).await;
    stage.start("one", json!({})).await;
    stage.until("one", RunState::Failed).await;
    let head = stage.store.run(&tenant(), &"one".into()).await.expect("reads").expect("is there");
    assert!(head.fault.is_some_and(|fault| fault.contains("Consumer must provide their own key.")));
}

#[tokio::test]
async fn a_call_that_a_budget_holds_up_is_on_the_desk_and_goes_on_when_a_person_says_so() {
    let until = SystemClock.now() + Duration::from_secs(3_600);
    let stage = MoneyFixture::new([ModelBehavior::Fails(blocked_by(BlockReason::Budget {
        line: "the hourly budget".into(),
        until,
    }))])
    .await;
    stage.start("one", json!({})).await;
    stage.until("one", RunState::Waiting).await;
    assert_eq!(stage.desk().await, [TaskItemKind::OverBudget]);
    let effect = baton_core::run::EffectId::parse("who#0.0").expect("a call");
    let approve = IncomingCommand::Approve { effect, by: "ana".into(), approved: true, note: String::new() };
    stage.engine.submit(&tenant(), &"one".into(), "approve", &approve).await.expect("is accepted");
    stage.until("one", RunState::Completed).await;
    assert!(stage.desk().await.is_empty());
}
