//! Real engines over a store that fails and a clock that is set: no owned aggregate waits for ever, and shutdown
//! completes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use baton_core::bundle::{Bundle, ContentHash};
use baton_core::definition;
use baton_core::id::{RunId, TenantId};
use baton_core::money::Usd;
use baton_core::run::{CallOutcome, RunState};
use baton_core::time::Time;
use baton_core::tool::{self, EffectClass, ToolContract, ToolInvocation};
use baton_engine::agent_registry::{AgentRegistry, TierTable};
use baton_engine::driver::EnginePorts;
use baton_engine::{Engine, EngineError, EngineOptions, RunStart, WorkflowCache};
use baton_ports::budget::ChargeCollector;
use baton_ports::clock::{Clock, MonotonicTime, SystemClock};
use baton_ports::journal::{
    AggregateHandle, AggregateId, ClaimedAggregate, InboxItem, InboxReceipt, InboxSubmission, JournalAppend,
    JournalError, JournalStore, LEASE, Ownership, ProcessId, ProcessLease, StrandedPage, TimerKey,
};
use baton_ports::registry::WorkflowRegistry;
use baton_ports::tools::{CallReport, CheckResult, PermittedCall, ToolGateway};
use baton_sim::fake::FakeStore;
use baton_sim::null_ports::{NullModels, NullSandbox, NullThinkers, NullTools};
use baton_sim::services::audit_row;
use baton_sim::sim_thinker::SimThinker;
use serde_json::{Value, json};
use tokio::sync::{Notify, oneshot};

const WAIT_LIMIT: Duration = Duration::from_secs(60);
const MONTH: i64 = 30 * 24 * 3_600;

fn tenant() -> TenantId {
    "acme".into()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum StoreOperation {
    Submit,
    Append,
    Claim,
    Release,
    Due,
    Renew,
    Leave,
}

/// How a store fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StoreFailureMode {
    /// It does nothing.
    ReturnsError,
    /// It performs the request, and does not report it.
    LosesAnswer,
    /// It never answers.
    Hangs,
}

/// A store that fails in selected operations, and counts the requests in the meantime.
#[derive(Default)]
struct FailingStore {
    store: FakeStore,
    fails: Mutex<BTreeMap<StoreOperation, StoreFailureMode>>,
    failed: Mutex<BTreeMap<StoreOperation, u32>>,
    changed: Notify,
}

impl FailingStore {
    fn set(&self, asked: StoreOperation, fails: Option<StoreFailureMode>) {
        let mut all = self.fails.lock().expect("whole");
        match fails {
            Some(fails) => drop(all.insert(asked, fails)),
            None => drop(all.remove(&asked)),
        }
    }

    /// Waits until this operation has failed this many times.
    async fn has_failed(&self, asked: StoreOperation, times: u32) {
        loop {
            let changed = self.changed.notified();
            if self.failed.lock().expect("whole").get(&asked).is_some_and(|failed| *failed >= times) {
                return;
            }
            changed.await;
        }
    }

    async fn ask<T>(
        &self,
        asked: StoreOperation,
        does: impl Future<Output = Result<T, JournalError>>,
    ) -> Result<T, JournalError> {
        let fails = self.fails.lock().expect("whole").get(&asked).copied();
        let Some(fails) = fails else { return does.await };
        if fails == StoreFailureMode::LosesAnswer {
            does.await?;
        }
        *self.failed.lock().expect("whole").entry(asked).or_default() += 1;
        self.changed.notify_waiters();
        if fails == StoreFailureMode::Hangs {
            std::future::pending::<()>().await;
        }
        Err(JournalError::Unwritable { reason: "the disk is full".into() })
    }
}

#[async_trait]
impl JournalStore for FailingStore {
    async fn join(&self, steady: MonotonicTime) -> Result<ProcessLease, JournalError> {
        self.store.join(steady).await
    }

    async fn renew(&self, process: ProcessId, steady: MonotonicTime) -> Result<ProcessLease, JournalError> {
        self.ask(StoreOperation::Renew, self.store.renew(process, steady)).await
    }

    async fn leave(&self, process: ProcessId) -> Result<(), JournalError> {
        self.ask(StoreOperation::Leave, self.store.leave(process)).await
    }

    async fn submit(&self, submit: InboxSubmission) -> Result<InboxReceipt, JournalError> {
        self.ask(StoreOperation::Submit, self.store.submit(submit)).await
    }

    async fn append(&self, append: JournalAppend) -> Result<(), JournalError> {
        self.ask(StoreOperation::Append, self.store.append(append)).await
    }

    async fn claim(
        &self,
        aggregate: &AggregateId,
        process: ProcessId,
        fold_version: u32,
        steady: MonotonicTime,
    ) -> Result<Option<ClaimedAggregate>, JournalError> {
        self.ask(StoreOperation::Claim, self.store.claim(aggregate, process, fold_version, steady)).await
    }

    async fn release(&self, ownership: Ownership, wake_at: Option<Time>) -> Result<(), JournalError> {
        self.ask(StoreOperation::Release, self.store.release(ownership, wake_at)).await
    }

    async fn inbox(&self, handle: AggregateHandle, after: i64) -> Result<Vec<InboxItem>, JournalError> {
        self.store.inbox(handle, after).await
    }

    async fn due(
        &self,
        process: ProcessId,
        now: Time,
        steady: MonotonicTime,
        limit: usize,
    ) -> Result<Vec<AggregateId>, JournalError> {
        self.ask(StoreOperation::Due, self.store.due(process, now, steady, limit)).await
    }

    async fn stranded(&self, now: Time, after: TimerKey, limit: usize) -> Result<StrandedPage, JournalError> {
        self.store.stranded(now, after, limit).await
    }

    async fn with_new_items(&self, process: ProcessId, limit: usize) -> Result<Vec<AggregateId>, JournalError> {
        self.store.with_new_items(process, limit).await
    }
}

/// The machine's clock, which can be set.
#[derive(Default)]
struct SteppedClock {
    by: AtomicI64,
    /// For how long the process was frozen.
    steady_offset: AtomicI64,
}

impl Clock for SteppedClock {
    fn now(&self) -> Time {
        Time::from_ms(SystemClock.now().as_ms() + self.by.load(Ordering::Acquire))
    }

    fn monotonic(&self) -> MonotonicTime {
        MonotonicTime::from_ms(SystemClock.monotonic().as_ms() + self.steady_offset.load(Ordering::Acquire))
    }
}

/// One tool whose check can be held open, and the outcomes of its permits.
#[derive(Default)]
struct GatedTool {
    checks: Notify,
    open: Notify,
    outcomes: Arc<Mutex<Vec<&'static str>>>,
    changed: Arc<Notify>,
}

struct GatedPermit {
    call: ToolInvocation,
    outcomes: Option<PermitOutcomes>,
}

/// The outcomes of a gate's permits, in order, and a notification for the next one.
type PermitOutcomes = (Arc<Mutex<Vec<&'static str>>>, Arc<Notify>);

impl GatedPermit {
    fn record_outcome(&mut self, what: &'static str) {
        if let Some((became, changed)) = self.outcomes.take() {
            became.lock().expect("whole").push(what);
            changed.notify_one();
        }
    }
}

impl Drop for GatedPermit {
    fn drop(&mut self) {
        self.record_outcome("let go");
    }
}

#[async_trait]
impl PermittedCall for GatedPermit {
    async fn perform(mut self: Box<Self>, _: Duration) -> CallReport {
        self.record_outcome("performed");
        let outcome = tool::ToolOutcome::Done { output: json!("booked").into(), cost: Usd::ZERO, cached: false };
        let audit = audit_row(&self.call, &CallOutcome::Tool(outcome.clone()), self.call.at);
        CallReport { outcome, audit, charges: ChargeCollector::default() }
    }
}

#[async_trait]
impl ToolGateway for GatedTool {
    async fn check(&self, call: &ToolInvocation, _: Option<&str>) -> CheckResult {
        self.checks.notify_one();
        self.open.notified().await;
        CheckResult::Permitted(Box::new(GatedPermit {
            call: call.clone(),
            outcomes: Some((self.outcomes.clone(), self.changed.clone())),
        }))
    }

    async fn look_up(&self, _: &ToolInvocation, _: Duration) -> tool::ToolOutcome {
        unreachable!("it is asked about nothing")
    }

    fn facts(&self, _: &str) -> Option<Arc<ToolContract>> {
        None
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

struct LivenessFixture {
    ailing: Arc<FailingStore>,
    clock: Arc<SteppedClock>,
    bundle: ContentHash,
}

impl LivenessFixture {
    /// A workflow that sets a value and completes, after a wait if one is given.
    async fn new(wait: Option<&str>) -> Self {
        let set = json!({ "id": "say", "type": "transform", "set": { "text": "done" } });
        let (mut nodes, mut edges) = (vec![set], Vec::new());
        if let Some(wait) = wait {
            nodes.insert(0, json!({ "id": "nap", "type": "wait", "duration": wait }));
            edges.push(json!({ "from": "nap", "to": "say" }));
        }
        Self::of(json!({ "name": "w", "nodes": nodes, "edges": edges }), BTreeMap::new()).await
    }

    async fn of(definition: Value, tools: BTreeMap<String, ToolContract>) -> Self {
        let ailing = Arc::new(FailingStore::default());
        let bundle = Bundle {
            format: definition::BUNDLE_FORMAT,
            name: "w".into(),
            definition,
            agents: BTreeMap::new(),
            tools,
            subworkflows: BTreeMap::new(),
        };
        let (text, bundle) = bundle.seal().expect("seals");
        ailing.store.save(&tenant(), "w", "1", text.into(), &bundle, SystemClock.now()).await.expect("saves");
        Self { ailing, clock: Arc::default(), bundle }
    }

    async fn engine(&self, options: EngineOptions) -> Engine {
        self.engine_with(Arc::new(NullTools), options).await
    }

    async fn engine_with(&self, tools: Arc<dyn ToolGateway>, options: EngineOptions) -> Engine {
        let store = &self.ailing.store;
        let world = EnginePorts {
            journal: self.ailing.clone(),
            tools,
            models: Arc::new(NullModels),
            sandbox: Arc::new(NullSandbox),
            thinkers: Arc::new(NullThinkers),
            agent_registry: Arc::new(AgentRegistry::new(Arc::new(store.clone()), TierTable::default())),
            think: Arc::new(SimThinker),
            clock: self.clock.clone(),
            workflows: WorkflowCache::new(Arc::new(store.clone())),
        };
        Engine::begin(world, options).await.expect("begins")
    }

    fn start(&self, run: &str) -> RunStart {
        RunStart {
            run: run.into(),
            tenant: tenant(),
            workflow: "w".into(),
            bundle: self.bundle.clone(),
            input: json!({}),
            context: Value::Null,
            caller: baton_core::tool::Caller::default(),
        }
    }
}

fn options() -> EngineOptions {
    EngineOptions { poll: Duration::from_millis(5), ..EngineOptions::default() }
}

async fn ends(told: oneshot::Receiver<RunState>, which: &str) {
    let state = tokio::time::timeout(WAIT_LIMIT, told).await;
    assert_eq!(state.ok().and_then(Result::ok), Some(RunState::Completed), "{which}");
}

#[tokio::test]
async fn a_run_whose_append_and_claims_fail_moves_once_the_store_writes_again() {
    for fails in [StoreFailureMode::ReturnsError, StoreFailureMode::LosesAnswer] {
        let stage = LivenessFixture::new(None).await;
        let engine = stage.engine(options()).await;
        let told = engine.watch_end(&RunId::from("r"));
        for asked in [StoreOperation::Append, StoreOperation::Claim, StoreOperation::Release] {
            stage.ailing.set(asked, Some(fails));
        }
        engine.start(stage.start("r")).await.expect("starts");
        if fails == StoreFailureMode::ReturnsError {
            stage.ailing.has_failed(StoreOperation::Claim, 3).await;
        }
        for asked in [StoreOperation::Append, StoreOperation::Claim, StoreOperation::Release] {
            stage.ailing.set(asked, None);
        }
        ends(told, &format!("{fails:?}")).await;
        engine.stop().await.expect("stops");
    }
}

#[tokio::test]
async fn a_run_whose_acknowledged_creation_nobody_heard_of_moves_all_the_same() {
    let stage = LivenessFixture::new(None).await;
    let engine = stage.engine(options()).await;
    let told = engine.watch_end(&RunId::from("r"));
    stage.ailing.set(StoreOperation::Submit, Some(StoreFailureMode::LosesAnswer));
    engine.start(stage.start("r")).await.expect_err("nobody hears of it");
    stage.ailing.set(StoreOperation::Submit, None);
    ends(told, "a run that was created and not acknowledged").await;
    let told = engine.watch_end(&RunId::from("s"));
    stage.ailing.set(StoreOperation::Submit, Some(StoreFailureMode::Hangs));
    {
        let starts = engine.start(stage.start("s"));
        tokio::select! {
            _ = starts => panic!("it hangs"),
            () = stage.ailing.has_failed(StoreOperation::Submit, 2) => {}
        }
    }
    stage.ailing.set(StoreOperation::Submit, None);
    engine.start(stage.start("s")).await.expect("whoever gave it up asks again");
    ends(told, "a run whose client went away").await;
    engine.stop().await.expect("stops");
}

#[tokio::test]
async fn what_a_store_could_not_answer_for_a_while_is_found_later() {
    let stage = LivenessFixture::new(None).await;
    stage.ailing.set(StoreOperation::Due, Some(StoreFailureMode::ReturnsError));
    let engine = stage.engine(options()).await;
    stage.ailing.has_failed(StoreOperation::Due, 5).await;
    let told = engine.watch_end(&RunId::from("r"));
    stage.ailing.set(StoreOperation::Due, None);
    // Work that only a poll finds.
    let submit = {
        let other = stage.engine(EngineOptions { awake_max: 0, ..options() }).await;
        let started = other.start(stage.start("r")).await;
        other.stop().await.expect("stops");
        started
    };
    submit.expect("starts");
    ends(told, "what was found later").await;
    engine.stop().await.expect("stops");
}

#[tokio::test]
async fn no_clock_that_is_set_leaves_a_run_stuck() {
    for by in [1, 3_600, MONTH, -1, -3_600, -MONTH] {
        // One whose timer keeps it awake, and one whose timer puts it to sleep.
        for (wait, keep_awake) in [("1s", 3), ("1s", 0)] {
            let stage = LivenessFixture::new(Some(wait)).await;
            let engine = stage.engine(EngineOptions { keep_awake: Duration::from_secs(keep_awake), ..options() }).await;
            let told = engine.watch_end(&RunId::from("r"));
            let mut recorded = engine.subscribe();
            engine.start(stage.start("r")).await.expect("starts");
            recorded.recv().await.expect("it waits");
            stage.clock.by.store(by * 1_000, Ordering::Release);
            ends(told, &format!("a clock set by {by} s, kept awake for {keep_awake} s")).await;
            engine.stop().await.expect("stops");
        }
    }
}

#[tokio::test]
async fn a_run_that_a_wrong_clock_put_to_sleep_is_found_by_the_next_process() {
    let stage = LivenessFixture::new(Some("1s")).await;
    stage.clock.by.store(MONTH * 1_000, Ordering::Release);
    let options = EngineOptions { keep_awake: Duration::ZERO, ..options() };
    let first = stage.engine(options.clone()).await;
    let mut recorded = first.subscribe();
    first.start(stage.start("r")).await.expect("starts");
    recorded.recv().await.expect("it waits");
    first.stop().await.expect("stops");
    stage.clock.by.store(0, Ordering::Release);
    let second = stage.engine(options).await;
    let told = second.watch_end(&RunId::from("r"));
    ends(told, "a run of a month ahead").await;
    second.stop().await.expect("stops");
}

#[tokio::test]
async fn stopping_ends_whatever_the_store_does_and_says_what_was_left() {
    for asked in [StoreOperation::Append, StoreOperation::Claim, StoreOperation::Leave] {
        let stage = LivenessFixture::new(None).await;
        let within = Duration::from_secs(2);
        let engine = stage.engine(EngineOptions { stop_within: within, ..options() }).await;
        if asked == StoreOperation::Claim {
            stage.ailing.set(StoreOperation::Append, Some(StoreFailureMode::ReturnsError));
        }
        stage.ailing.set(asked, Some(StoreFailureMode::Hangs));
        if asked == StoreOperation::Append || asked == StoreOperation::Claim {
            engine.start(stage.start("r")).await.expect("starts");
            stage.ailing.has_failed(asked, 1).await;
        }
        let stopped = tokio::time::timeout(WAIT_LIMIT, engine.stop()).await.expect("it ends");
        match (asked, stopped) {
            (StoreOperation::Append | StoreOperation::Claim, Err(EngineError::Unfinished(left))) => {
                assert_eq!(
                    (left.count, left.first_runs.as_slice(), &left.release_error),
                    (1, &["r".into()][..], &None),
                    "{asked:?}"
                );
            }
            (StoreOperation::Leave, Err(EngineError::Unfinished(left))) => {
                assert_eq!((left.count, left.release_error.as_deref()), (0, Some("the store did not answer")));
                assert!(left.to_string().contains("nothing that was acknowledged is lost"), "{left}");
            }
            (asked, stopped) => panic!("{asked:?}: {stopped:?}"),
        }
    }
}

#[tokio::test]
async fn a_run_that_was_being_claimed_when_its_process_stopped_is_anybodys() {
    let stage = LivenessFixture::new(None).await;
    let engine = stage.engine(options()).await;
    stage.ailing.set(StoreOperation::Append, Some(StoreFailureMode::ReturnsError));
    engine.start(stage.start("r")).await.expect("starts");
    stage.ailing.has_failed(StoreOperation::Append, 1).await;
    engine.stop().await.expect("stops");
    stage.ailing.set(StoreOperation::Append, None);
    let next = stage.engine(options()).await;
    ends(next.watch_end(&RunId::from("r")), "what the other left").await;
    next.stop().await.expect("stops");
}

#[tokio::test]
async fn a_journal_that_cannot_be_folded_is_left_alone_and_shown() {
    let stage = LivenessFixture::new(None).await;
    let lease = stage.ailing.store.join(SystemClock.monotonic()).await.expect("joins");
    let submit = InboxSubmission {
        aggregate: "broken".into(),
        tenant: tenant(),
        command_id: "start".into(),
        payload: b"{}".as_slice().into(),
        at: SystemClock.now(),
        creates: Some(baton_ports::journal::NewAggregate {
            kind: baton_ports::journal::AggregateKind::Run,
            workflow: "w".into(),
            parent: None,
            owner: Some(lease.process),
        }),
    };
    let Ok(InboxReceipt::Accepted { owned: Some(ownership), .. }) = stage.ailing.store.submit(submit).await else {
        panic!("is created")
    };
    let append = JournalAppend {
        ownership,
        aggregate: "broken".into(),
        tenant: tenant(),
        expected_seq: 0,
        at: SystemClock.now(),
        entry: Some(b"not an entry".as_slice().into()),
        wake_at: None,
        release: false,
        head: None,
        inbox_done: vec![1],
        outbox: Vec::new(),
        projections: Vec::new(),
        audit: Vec::new(),
        spends: Vec::new(),
        snapshot: None,
    };
    stage.ailing.store.append(append).await.expect("appends");
    stage.ailing.store.leave(lease.process).await.expect("leaves");
    let engine = stage.engine(options()).await;
    let shown = async {
        while engine.unreadable() != ["broken".into()] {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(WAIT_LIMIT, shown).await.expect("is shown");
    assert_eq!(engine.awake_count(), 0);
    engine.stop().await.expect("stops");
}

#[tokio::test]
async fn a_process_that_joins_anew_takes_what_its_former_number_owned() {
    let stage = LivenessFixture::new(None).await;
    let engine = stage.engine(options()).await;
    let told = engine.watch_end(&RunId::from("r"));
    stage.ailing.set(StoreOperation::Append, Some(StoreFailureMode::ReturnsError));
    engine.start(stage.start("r")).await.expect("starts");
    stage.ailing.has_failed(StoreOperation::Append, 1).await;
    // It is declared dead: its number is removed from the store, and its next claim is refused.
    stage.ailing.store.leave(ProcessId(1)).await.expect("leaves");
    stage.ailing.set(StoreOperation::Append, None);
    ends(told, "what a lost lease left").await;
    engine.stop().await.expect("stops");
}

#[tokio::test]
async fn a_process_that_stood_still_before_a_call_went_out_sends_it_only_under_a_lease() {
    let tools = [("book".to_owned(), ToolContract::new(EffectClass::Keyed, Duration::from_secs(10)))];
    let book = json!({ "id": "book", "type": "tool", "tool": "book", "parameters": { "n": 1 } });
    let stage = LivenessFixture::of(json!({ "name": "w", "nodes": [book] }), tools.into()).await;
    let gate = Arc::new(GatedTool::default());
    let engine = stage.engine_with(gate.clone(), options()).await;
    let told = engine.watch_end(&RunId::from("r"));
    stage.ailing.set(StoreOperation::Renew, Some(StoreFailureMode::ReturnsError));
    engine.start(stage.start("r")).await.expect("starts");
    let goes = async {
        gate.checks.notified().await;
        stage.clock.steady_offset.store(LEASE.as_millis() as i64 + 1_000, Ordering::Release);
        gate.open.notify_one();
        gate.changed.notified().await;
        assert_eq!(*gate.outcomes.lock().expect("whole"), ["let go"], "another may own the run by now");
        stage.ailing.set(StoreOperation::Renew, None);
        gate.checks.notified().await;
        gate.open.notify_one();
    };
    tokio::time::timeout(WAIT_LIMIT, goes).await.expect("it is asked again once the lease was renewed");
    ends(told, "what was not sent at first").await;
    assert_eq!(*gate.outcomes.lock().expect("whole"), ["let go", "performed"]);
    engine.stop().await.expect("stops");
}
