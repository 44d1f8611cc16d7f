//! Reads that are cancelled half-way: the reader is gone, and it is as if the read had not begun.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use baton_core::bundle::{Bundle, ContentHash};
use baton_core::definition;
use baton_core::id::{RunId, TenantId};
use baton_core::kpi::ConversationCounts;
use baton_core::run::{IncomingCommand, Run, RunState, Signal};
use baton_core::time::Time;
use baton_core::tool::Caller;
use baton_engine::agent_registry::{AgentRegistry, TierTable};
use baton_engine::driver::EnginePorts;
use baton_engine::{Engine, EngineOptions, RunFollower, RunStart, WorkflowCache, snapshot_reader};
use baton_ports::clock::{Clock, SystemClock};
use baton_ports::conversations::{ConversationFilter, ConversationHead};
use baton_ports::journal::{AggregateId, JournalError, StateSnapshot, TaskItem};
use baton_ports::read::{ReadModel, RunFilter, RunHead};
use baton_ports::registry::WorkflowRegistry;
use baton_sim::fake::FakeStore;
use baton_sim::null_ports::{NullModels, NullSandbox, NullThinkers, NullTools};
use baton_sim::sim_thinker::SimThinker;
use serde_json::json;

/// Number of signals that the run consumes, one after the other.
const STEPS: u64 = 6;
/// Reads are cancelled after at most this number of polls.
const POLLS_MAX: usize = 3;
const WAIT_LIMIT: Duration = Duration::from_secs(60);

fn tenant() -> TenantId {
    "acme".into()
}

fn run() -> RunId {
    "r".into()
}

/// The store, whose answers take some time: each is a point at which a read can be cancelled.
#[derive(Clone)]
struct SlowStore(FakeStore);

#[async_trait]
impl ReadModel for SlowStore {
    async fn run(&self, tenant: &TenantId, run: &RunId) -> Result<Option<RunHead>, JournalError> {
        tokio::task::yield_now().await;
        self.0.run(tenant, run).await
    }

    async fn runs(&self, tenant: &TenantId, filter: RunFilter) -> Result<Vec<RunHead>, JournalError> {
        tokio::task::yield_now().await;
        self.0.runs(tenant, filter).await
    }

    async fn roots_with_prefix(
        &self,
        tenant: &TenantId,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<RunHead>, JournalError> {
        tokio::task::yield_now().await;
        self.0.roots_with_prefix(tenant, prefix, limit).await
    }

    async fn entries(
        &self,
        tenant: &TenantId,
        run: &RunId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Arc<[u8]>>, JournalError> {
        tokio::task::yield_now().await;
        // Two at a time, so that a read has more than one point at which to stop.
        let entries = self.0.entries(tenant, run, after, limit.min(2)).await;
        tokio::task::yield_now().await;
        entries
    }

    async fn snapshot(
        &self,
        tenant: &TenantId,
        id: &AggregateId,
        fold_version: u32,
        after: u64,
    ) -> Result<Option<StateSnapshot>, JournalError> {
        tokio::task::yield_now().await;
        self.0.snapshot(tenant, id, fold_version, after).await
    }

    async fn open_tasks(&self, tenant: &TenantId, run: Option<&RunId>) -> Result<Vec<TaskItem>, JournalError> {
        self.0.open_tasks(tenant, run).await
    }

    async fn conversation(&self, tenant: &TenantId, id: &RunId) -> Result<Option<ConversationHead>, JournalError> {
        self.0.conversation(tenant, id).await
    }

    async fn conversations(
        &self,
        tenant: &TenantId,
        filter: ConversationFilter,
    ) -> Result<Vec<ConversationHead>, JournalError> {
        self.0.conversations(tenant, filter).await
    }

    async fn conversations_ended(&self, tenant: &TenantId, since: Time) -> Result<ConversationCounts, JournalError> {
        self.0.conversations_ended(tenant, since).await
    }

    async fn counts(&self) -> Result<Vec<(RunState, u64)>, JournalError> {
        self.0.counts().await
    }
}

/// The result within this number of polls; `None` if the future was cancelled before.
async fn at_most<T>(polls: usize, look: impl Future<Output = T>) -> Option<T> {
    let (mut look, mut left) = (pin!(look), polls);
    std::future::poll_fn(move |context| match look.as_mut().poll(context) {
        Poll::Ready(found) => Poll::Ready(Some(found)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

async fn save(store: &FakeStore) -> ContentHash {
    let wait = |place: u64| json!({ "id": format!("wait{place}"), "type": "wait", "signal": "next" });
    let edge = |place: u64| json!({ "from": format!("wait{place}"), "to": format!("wait{}", place + 1) });
    let nodes: Vec<_> = (0..STEPS).map(wait).collect();
    let edges: Vec<_> = (0..STEPS - 1).map(edge).collect();
    let bundle = Bundle {
        format: definition::BUNDLE_FORMAT,
        name: "waits".into(),
        definition: json!({ "name": "waits", "nodes": nodes, "edges": edges }),
        agents: BTreeMap::new(),
        tools: BTreeMap::new(),
        subworkflows: BTreeMap::new(),
    };
    let (text, bundle) = bundle.seal().expect("seals");
    store.save(&tenant(), "waits", "1", text.into(), &bundle, SystemClock.now()).await.expect("saves");
    bundle
}

/// An engine with a run that waits for its first signal.
async fn begun() -> (Engine, FakeStore) {
    let store = FakeStore::new();
    let bundle = save(&store).await;
    let world = EnginePorts {
        journal: Arc::new(store.clone()),
        tools: Arc::new(NullTools),
        models: Arc::new(NullModels),
        sandbox: Arc::new(NullSandbox),
        thinkers: Arc::new(NullThinkers),
        agent_registry: Arc::new(AgentRegistry::new(Arc::new(store.clone()), TierTable::default())),
        think: Arc::new(SimThinker),
        clock: Arc::new(SystemClock),
        workflows: WorkflowCache::new(Arc::new(store.clone())),
    };
    let engine = Engine::begin(world, EngineOptions::default()).await.expect("begins");
    let start = RunStart {
        run: run(),
        tenant: tenant(),
        workflow: "waits".into(),
        bundle,
        input: json!({}),
        context: json!(null),
        caller: Caller::default(),
    };
    engine.start(start).await.expect("starts");
    (engine, store)
}

async fn says(engine: &Engine, step: u64) {
    let signal = Signal {
        name: "next".into(),
        payload: Arc::new(json!(step)),
        source: String::new(),
        sequence: None,
        after_gap: false,
    };
    engine
        .submit(&tenant(), &run(), &format!("signal/{step}"), &IncomingCommand::Signal(signal))
        .await
        .expect("submits");
}

async fn journal(store: &FakeStore) -> Vec<Arc<[u8]>> {
    store.entries(&tenant(), &run(), 0, usize::MAX).await.expect("reads")
}

fn told(run: &Run) -> serde_json::Value {
    serde_json::to_value(run).expect("JSON")
}

#[tokio::test]
async fn a_glance_that_is_given_up_leaves_nothing_behind_and_the_next_misses_nothing() {
    let (engine, store) = begun().await;
    let heard = Arc::new(Mutex::new(Vec::new()));
    let mut follower = RunFollower::new(&engine, Arc::new(SlowStore(store.clone())), tenant());
    follower.set_callback(Some(Box::new({
        let heard = heard.clone();
        move |_, entry| heard.lock().expect("whole").push(entry.clone())
    })));
    follower.follow(&run()).await.expect("follows");
    let (mut given_up, mut polls) = (0, 0);
    let goes = async {
        for step in 0..STEPS {
            let known = follower.entries(&run()).len();
            says(&engine, step).await;
            while follower.entries(&run()).len() == known {
                polls = (polls + 1) % POLLS_MAX;
                let glance = follower.wait_for_change(Duration::from_millis(20));
                match at_most(polls, glance).await {
                    Some(found) => drop(found.expect("glances")),
                    None => {
                        given_up += 1;
                        tokio::task::yield_now().await;
                    }
                }
            }
        }
        while !follower.run(&run()).is_some_and(|run| run.state().is_end()) {
            follower.wait_for_change(Duration::from_millis(20)).await.expect("glances");
        }
    };
    assert!(tokio::time::timeout(WAIT_LIMIT, goes).await.is_ok(), "it stands still");
    assert!(given_up > 0, "some were given up");
    let whole: Vec<_> =
        journal(&store).await.iter().map(|entry| baton_engine::decode(entry).expect("an entry")).collect();
    assert_eq!(follower.entries(&run()), whole, "each entry once, in order");
    assert_eq!(*heard.lock().expect("whole"), whole, "and each is told once");
}

#[tokio::test]
async fn a_look_at_a_run_that_is_given_up_changes_nothing_and_the_next_sees_it_all() {
    let (engine, store) = begun().await;
    let library = WorkflowCache::new(Arc::new(store.clone()));
    let slow = SlowStore(store.clone());
    for step in 0..STEPS - 1 {
        says(&engine, step).await;
    }
    let waits_for_the_last = async {
        let mut follower = RunFollower::new(&engine, Arc::new(store.clone()), tenant());
        follower.follow(&run()).await.expect("follows");
        let has_taken = |follower: &RunFollower| {
            let waits = follower.run(&run()).map(Run::awaited_signals).unwrap_or_default();
            waits.iter().any(|(node, _)| node.to_string() == format!("wait{}", STEPS - 1))
        };
        while !has_taken(&follower) {
            follower.wait_for_change(Duration::from_millis(20)).await.expect("glances");
        }
    };
    tokio::time::timeout(WAIT_LIMIT, waits_for_the_last).await.expect("it takes its signals");
    let before = journal(&store).await;
    let whole = told(&snapshot_reader::read_run(&store, &library, &tenant(), &run()).await.expect("looks"));
    let mut given_up = 0;
    for polls in 0..100 {
        let Some(found) = at_most(polls, snapshot_reader::read_run(&slow, &library, &tenant(), &run())).await else {
            given_up += 1;
            continue;
        };
        assert_eq!(told(&found.expect("looks")), whole, "after {polls} steps");
        break;
    }
    assert!((2..100).contains(&given_up), "{given_up} were given up before one came through");
    assert_eq!(journal(&store).await, before, "nothing was written");
    let head = store.run(&tenant(), &run()).await.expect("reads").expect("is there");
    assert_eq!((head.seq, head.state), (before.len() as u64, RunState::Waiting));
}
