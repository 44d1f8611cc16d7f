//! Real engines over a store that fails and a clock that is set: nothing that is owned waits for ever, and stopping ends.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use baton_core::bundle::{Bundle, Hash};
use baton_core::definition;
use baton_core::id::{RunId, TenantId};
use baton_core::money::Usd;
use baton_core::run::{Outcome, State};
use baton_core::time::Time;
use baton_core::tool::{self, Call, Class, Facts};
use baton_engine::driver::World;
use baton_engine::roster::{Roster, Tiers};
use baton_engine::{Engine, Error as EngineError, Library, Options, Start};
use baton_ports::budget::Tab;
use baton_ports::clock::{Clock, Steady, SystemClock};
use baton_ports::journal::{
    AggregateId, Append, AstrayPage, Claimed, Error, Handle, InboxItem, Journal, LEASE, Lease, Ownership, ProcessId,
    Submit, Submitted, TimerKey,
};
use baton_ports::registry::Registry;
use baton_ports::tools::{Checked, Performed, PermittedCall, Tools};
use baton_sim::fake::Store;
use baton_sim::nobody::{NoModels, NoSandbox, NoThinkers, NoTools};
use baton_sim::services::audit_row;
use baton_sim::think::Thinker;
use serde_json::{Value, json};
use tokio::sync::{Notify, oneshot};

const PATIENCE: Duration = Duration::from_secs(60);
const MONTH: i64 = 30 * 24 * 3_600;

fn tenant() -> TenantId {
    "acme".into()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Asked {
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
enum Fails {
    /// It does nothing.
    Refuses,
    /// It does what it is asked, and does not say so.
    Forgets,
    /// It never answers.
    Hangs,
}

/// A store that fails in what it is told to, and counts what it was asked meanwhile.
#[derive(Default)]
struct Ailing {
    store: Store,
    fails: Mutex<BTreeMap<Asked, Fails>>,
    failed: Mutex<BTreeMap<Asked, u32>>,
    changed: Notify,
}

impl Ailing {
    fn set(&self, asked: Asked, fails: Option<Fails>) {
        let mut all = self.fails.lock().expect("whole");
        match fails {
            Some(fails) => drop(all.insert(asked, fails)),
            None => drop(all.remove(&asked)),
        }
    }

    /// Waits until it has failed so often in this.
    async fn has_failed(&self, asked: Asked, times: u32) {
        loop {
            let changed = self.changed.notified();
            if self.failed.lock().expect("whole").get(&asked).is_some_and(|failed| *failed >= times) {
                return;
            }
            changed.await;
        }
    }

    async fn ask<T>(&self, asked: Asked, does: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let fails = self.fails.lock().expect("whole").get(&asked).copied();
        let Some(fails) = fails else { return does.await };
        if fails == Fails::Forgets {
            does.await?;
        }
        *self.failed.lock().expect("whole").entry(asked).or_default() += 1;
        self.changed.notify_waiters();
        if fails == Fails::Hangs {
            std::future::pending::<()>().await;
        }
        Err(Error::Unwritable { reason: "the disk is full".into() })
    }
}

#[async_trait]
impl Journal for Ailing {
    async fn join(&self, steady: Steady) -> Result<Lease, Error> {
        self.store.join(steady).await
    }

    async fn renew(&self, process: ProcessId, steady: Steady) -> Result<Lease, Error> {
        self.ask(Asked::Renew, self.store.renew(process, steady)).await
    }

    async fn leave(&self, process: ProcessId) -> Result<(), Error> {
        self.ask(Asked::Leave, self.store.leave(process)).await
    }

    async fn submit(&self, submit: Submit) -> Result<Submitted, Error> {
        self.ask(Asked::Submit, self.store.submit(submit)).await
    }

    async fn append(&self, append: Append) -> Result<(), Error> {
        self.ask(Asked::Append, self.store.append(append)).await
    }

    async fn claim(
        &self,
        aggregate: &AggregateId,
        process: ProcessId,
        fold_version: u32,
        steady: Steady,
    ) -> Result<Option<Claimed>, Error> {
        self.ask(Asked::Claim, self.store.claim(aggregate, process, fold_version, steady)).await
    }

    async fn release(&self, ownership: Ownership, wake_at: Option<Time>) -> Result<(), Error> {
        self.ask(Asked::Release, self.store.release(ownership, wake_at)).await
    }

    async fn inbox(&self, handle: Handle, after: i64) -> Result<Vec<InboxItem>, Error> {
        self.store.inbox(handle, after).await
    }

    async fn due(
        &self,
        process: ProcessId,
        now: Time,
        steady: Steady,
        limit: usize,
    ) -> Result<Vec<AggregateId>, Error> {
        self.ask(Asked::Due, self.store.due(process, now, steady, limit)).await
    }

    async fn astray(&self, now: Time, after: TimerKey, limit: usize) -> Result<AstrayPage, Error> {
        self.store.astray(now, after, limit).await
    }

    async fn nudged(&self, process: ProcessId, limit: usize) -> Result<Vec<AggregateId>, Error> {
        self.store.nudged(process, limit).await
    }
}

/// The machine's clock, which somebody sets.
#[derive(Default)]
struct Set {
    by: AtomicI64,
    /// For how long the process stood still.
    stood: AtomicI64,
}

impl Clock for Set {
    fn now(&self) -> Time {
        Time::from_ms(SystemClock.now().as_ms() + self.by.load(Ordering::Acquire))
    }

    fn steady(&self) -> Steady {
        Steady::from_ms(SystemClock.steady().as_ms() + self.stood.load(Ordering::Acquire))
    }
}

/// One tool, which is checked for as long as somebody likes, and what became of its permits.
#[derive(Default)]
struct Gate {
    checks: Notify,
    open: Notify,
    became: Arc<Mutex<Vec<&'static str>>>,
    changed: Arc<Notify>,
}

struct Pass {
    call: Call,
    became: Option<Became>,
}

/// What became of a gate's permits, in order, and whoever waits for the next.
type Became = (Arc<Mutex<Vec<&'static str>>>, Arc<Notify>);

impl Pass {
    fn becomes(&mut self, what: &'static str) {
        if let Some((became, changed)) = self.became.take() {
            became.lock().expect("whole").push(what);
            changed.notify_one();
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.becomes("let go");
    }
}

#[async_trait]
impl PermittedCall for Pass {
    async fn perform(mut self: Box<Self>, _: Duration) -> Performed {
        self.becomes("performed");
        let outcome = tool::Outcome::Done { output: json!("booked").into(), cost: Usd::ZERO, cached: false };
        let audit = audit_row(&self.call, &Outcome::Tool(outcome.clone()), self.call.at);
        Performed { outcome, audit, tab: Tab::default() }
    }
}

#[async_trait]
impl Tools for Gate {
    async fn check(&self, call: &Call, _: Option<&str>) -> Checked {
        self.checks.notify_one();
        self.open.notified().await;
        Checked::Permitted(Box::new(Pass {
            call: call.clone(),
            became: Some((self.became.clone(), self.changed.clone())),
        }))
    }

    async fn look_up(&self, _: &Call, _: Duration) -> tool::Outcome {
        unreachable!("it is asked about nothing")
    }

    fn facts(&self, _: &str) -> Option<Arc<Facts>> {
        None
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

struct Stage {
    ailing: Arc<Ailing>,
    clock: Arc<Set>,
    bundle: Hash,
}

impl Stage {
    /// A workflow that sets something and is done, after a while where it is told so.
    async fn new(wait: Option<&str>) -> Self {
        let set = json!({ "id": "say", "type": "transform", "set": { "text": "done" } });
        let (mut nodes, mut edges) = (vec![set], Vec::new());
        if let Some(wait) = wait {
            nodes.insert(0, json!({ "id": "nap", "type": "wait", "duration": wait }));
            edges.push(json!({ "from": "nap", "to": "say" }));
        }
        Self::of(json!({ "name": "w", "nodes": nodes, "edges": edges }), BTreeMap::new()).await
    }

    async fn of(definition: Value, tools: BTreeMap<String, Facts>) -> Self {
        let ailing = Arc::new(Ailing::default());
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

    async fn engine(&self, options: Options) -> Engine {
        self.engine_with(Arc::new(NoTools), options).await
    }

    async fn engine_with(&self, tools: Arc<dyn Tools>, options: Options) -> Engine {
        let store = &self.ailing.store;
        let world = World {
            journal: self.ailing.clone(),
            tools,
            models: Arc::new(NoModels),
            sandbox: Arc::new(NoSandbox),
            thinkers: Arc::new(NoThinkers),
            roster: Arc::new(Roster::new(Arc::new(store.clone()), Tiers::default())),
            think: Arc::new(Thinker),
            clock: self.clock.clone(),
            library: Library::new(Arc::new(store.clone())),
        };
        Engine::begin(world, options).await.expect("begins")
    }

    fn start(&self, run: &str) -> Start {
        Start {
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

fn options() -> Options {
    Options { poll: Duration::from_millis(5), ..Options::default() }
}

async fn ends(told: oneshot::Receiver<State>, which: &str) {
    let state = tokio::time::timeout(PATIENCE, told).await;
    assert_eq!(state.ok().and_then(Result::ok), Some(State::Completed), "{which}");
}

#[tokio::test]
async fn a_run_whose_append_and_claims_fail_moves_once_the_store_writes_again() {
    for fails in [Fails::Refuses, Fails::Forgets] {
        let stage = Stage::new(None).await;
        let engine = stage.engine(options()).await;
        let told = engine.end_of(&RunId::from("r"));
        for asked in [Asked::Append, Asked::Claim, Asked::Release] {
            stage.ailing.set(asked, Some(fails));
        }
        engine.start(stage.start("r")).await.expect("starts");
        if fails == Fails::Refuses {
            stage.ailing.has_failed(Asked::Claim, 3).await;
        }
        for asked in [Asked::Append, Asked::Claim, Asked::Release] {
            stage.ailing.set(asked, None);
        }
        ends(told, &format!("{fails:?}")).await;
        engine.stop().await.expect("stops");
    }
}

#[tokio::test]
async fn a_run_whose_acknowledged_creation_nobody_heard_of_moves_all_the_same() {
    let stage = Stage::new(None).await;
    let engine = stage.engine(options()).await;
    let told = engine.end_of(&RunId::from("r"));
    stage.ailing.set(Asked::Submit, Some(Fails::Forgets));
    engine.start(stage.start("r")).await.expect_err("nobody hears of it");
    stage.ailing.set(Asked::Submit, None);
    ends(told, "a run that was created and not acknowledged").await;
    let told = engine.end_of(&RunId::from("s"));
    stage.ailing.set(Asked::Submit, Some(Fails::Hangs));
    {
        let starts = engine.start(stage.start("s"));
        tokio::select! {
            _ = starts => panic!("it hangs"),
            () = stage.ailing.has_failed(Asked::Submit, 2) => {}
        }
    }
    stage.ailing.set(Asked::Submit, None);
    engine.start(stage.start("s")).await.expect("whoever gave it up asks again");
    ends(told, "a run whose client went away").await;
    engine.stop().await.expect("stops");
}

#[tokio::test]
async fn what_a_store_could_not_answer_for_a_while_is_found_later() {
    let stage = Stage::new(None).await;
    stage.ailing.set(Asked::Due, Some(Fails::Refuses));
    let engine = stage.engine(options()).await;
    stage.ailing.has_failed(Asked::Due, 5).await;
    let told = engine.end_of(&RunId::from("r"));
    stage.ailing.set(Asked::Due, None);
    // Work that only a look finds.
    let submit = {
        let other = stage.engine(Options { awake_max: 0, ..options() }).await;
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
            let stage = Stage::new(Some(wait)).await;
            let engine = stage.engine(Options { keep_awake: Duration::from_secs(keep_awake), ..options() }).await;
            let told = engine.end_of(&RunId::from("r"));
            let mut recorded = engine.watch();
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
    let stage = Stage::new(Some("1s")).await;
    stage.clock.by.store(MONTH * 1_000, Ordering::Release);
    let options = Options { keep_awake: Duration::ZERO, ..options() };
    let first = stage.engine(options.clone()).await;
    let mut recorded = first.watch();
    first.start(stage.start("r")).await.expect("starts");
    recorded.recv().await.expect("it waits");
    first.stop().await.expect("stops");
    stage.clock.by.store(0, Ordering::Release);
    let second = stage.engine(options).await;
    let told = second.end_of(&RunId::from("r"));
    ends(told, "a run of a month ahead").await;
    second.stop().await.expect("stops");
}

#[tokio::test]
async fn stopping_ends_whatever_the_store_does_and_says_what_was_left() {
    for asked in [Asked::Append, Asked::Claim, Asked::Leave] {
        let stage = Stage::new(None).await;
        let within = Duration::from_secs(2);
        let engine = stage.engine(Options { stop_within: within, ..options() }).await;
        if asked == Asked::Claim {
            stage.ailing.set(Asked::Append, Some(Fails::Refuses));
        }
        stage.ailing.set(asked, Some(Fails::Hangs));
        if asked == Asked::Append || asked == Asked::Claim {
            engine.start(stage.start("r")).await.expect("starts");
            stage.ailing.has_failed(asked, 1).await;
        }
        let stopped = tokio::time::timeout(PATIENCE, engine.stop()).await.expect("it ends");
        match (asked, stopped) {
            (Asked::Append | Asked::Claim, Err(EngineError::Unfinished(left))) => {
                assert_eq!((left.count, left.named.as_slice(), &left.kept), (1, &["r".into()][..], &None), "{asked:?}");
            }
            (Asked::Leave, Err(EngineError::Unfinished(left))) => {
                assert_eq!((left.count, left.kept.as_deref()), (0, Some("the store did not answer")));
                assert!(left.to_string().contains("nothing that was acknowledged is lost"), "{left}");
            }
            (asked, stopped) => panic!("{asked:?}: {stopped:?}"),
        }
    }
}

#[tokio::test]
async fn a_run_that_was_being_claimed_when_its_process_stopped_is_anybodys() {
    let stage = Stage::new(None).await;
    let engine = stage.engine(options()).await;
    stage.ailing.set(Asked::Append, Some(Fails::Refuses));
    engine.start(stage.start("r")).await.expect("starts");
    stage.ailing.has_failed(Asked::Append, 1).await;
    engine.stop().await.expect("stops");
    stage.ailing.set(Asked::Append, None);
    let next = stage.engine(options()).await;
    ends(next.end_of(&RunId::from("r")), "what the other left").await;
    next.stop().await.expect("stops");
}

#[tokio::test]
async fn a_journal_that_cannot_be_folded_is_left_alone_and_shown() {
    let stage = Stage::new(None).await;
    let lease = stage.ailing.store.join(SystemClock.steady()).await.expect("joins");
    let submit = Submit {
        aggregate: "broken".into(),
        tenant: tenant(),
        command_id: "start".into(),
        payload: b"{}".as_slice().into(),
        at: SystemClock.now(),
        creates: Some(baton_ports::journal::Create {
            kind: baton_ports::journal::Kind::Run,
            workflow: "w".into(),
            parent: None,
            owner: Some(lease.process),
        }),
    };
    let Ok(Submitted::Accepted { owned: Some(ownership), .. }) = stage.ailing.store.submit(submit).await else {
        panic!("is created")
    };
    let append = Append {
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
    tokio::time::timeout(PATIENCE, shown).await.expect("is shown");
    assert_eq!(engine.awake(), 0);
    engine.stop().await.expect("stops");
}

#[tokio::test]
async fn a_process_that_joins_anew_takes_what_its_former_number_owned() {
    let stage = Stage::new(None).await;
    let engine = stage.engine(options()).await;
    let told = engine.end_of(&RunId::from("r"));
    stage.ailing.set(Asked::Append, Some(Fails::Refuses));
    engine.start(stage.start("r")).await.expect("starts");
    stage.ailing.has_failed(Asked::Append, 1).await;
    // Somebody takes it for dead: its number is gone from the store, and its next claim is refused.
    stage.ailing.store.leave(ProcessId(1)).await.expect("leaves");
    stage.ailing.set(Asked::Append, None);
    ends(told, "what a lost lease left").await;
    engine.stop().await.expect("stops");
}

#[tokio::test]
async fn a_process_that_stood_still_before_a_call_went_out_sends_it_only_under_a_lease() {
    let tools = [("book".to_owned(), Facts::new(Class::Keyed, Duration::from_secs(10)))];
    let book = json!({ "id": "book", "type": "tool", "tool": "book", "parameters": { "n": 1 } });
    let stage = Stage::of(json!({ "name": "w", "nodes": [book] }), tools.into()).await;
    let gate = Arc::new(Gate::default());
    let engine = stage.engine_with(gate.clone(), options()).await;
    let told = engine.end_of(&RunId::from("r"));
    stage.ailing.set(Asked::Renew, Some(Fails::Refuses));
    engine.start(stage.start("r")).await.expect("starts");
    let goes = async {
        gate.checks.notified().await;
        stage.clock.stood.store(LEASE.as_millis() as i64 + 1_000, Ordering::Release);
        gate.open.notify_one();
        gate.changed.notified().await;
        assert_eq!(*gate.became.lock().expect("whole"), ["let go"], "another may own the run by now");
        stage.ailing.set(Asked::Renew, None);
        gate.checks.notified().await;
        gate.open.notify_one();
    };
    tokio::time::timeout(PATIENCE, goes).await.expect("it is asked again once the lease was renewed");
    ends(told, "what was not sent at first").await;
    assert_eq!(*gate.became.lock().expect("whole"), ["let go", "performed"]);
    engine.stop().await.expect("stops");
}
