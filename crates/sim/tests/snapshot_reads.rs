//! A read returns the state of the whole journal, but reads only a small part of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use baton_core::bundle::{Bundle, ContentHash};
use baton_core::definition;
use baton_core::routing::{
    self, EnqueueRequest, PersonProfile, Presence, Priority, RoutingCommand, RoutingQueue, RoutingRequirements,
};
use baton_core::run::{self, FOLD_VERSION, IncomingCommand, Run, RunStarted, Signal};
use baton_core::time::Time;
use baton_engine::aggregate::routing_queue_id;
use baton_engine::{FollowedRun, RoutingQueues, WorkflowCache, snapshot_reader};
use baton_ports::journal::{AggregateId, JournalAppend, JournalStore, Ownership, StateSnapshot};
use baton_ports::registry::WorkflowRegistry;
use baton_sim::conformance::fixtures::{at, entry, join, owned, tenant};
use baton_sim::fake::FakeStore;
use baton_sim::rng::SeededRng;
use serde::Serialize;
use serde_json::json;

const SEEDS: u64 = 40;
const STEPS: i64 = 120;

/// A journal written by the test.
struct HandwrittenJournal {
    store: FakeStore,
    id: AggregateId,
    ownership: Ownership,
    seq: u64,
    /// Number of entries after the usable snapshot.
    behind: u64,
}

impl HandwrittenJournal {
    async fn new(id: AggregateId) -> Self {
        let store = FakeStore::new();
        let process = join(&store).await;
        let ownership = owned(&store, id.as_str(), process).await;
        Self { store, id, ownership, seq: 0, behind: 0 }
    }

    /// Appends an entry, sometimes with a snapshot: of this fold version, or of one that cannot be read.
    async fn add(&mut self, at: Time, said: &impl Serialize, state: &impl Serialize, rng: &mut SeededRng) {
        let state = match rng.below(30) {
            0..3 => Some((FOLD_VERSION, serde_json::to_vec(state).expect("JSON"))),
            3 => Some((FOLD_VERSION + 1, b"not ours".to_vec())),
            _ => None,
        };
        self.write(at, said, state).await;
    }

    async fn write(&mut self, at: Time, said: &impl Serialize, state: Option<(u32, Vec<u8>)>) {
        let seq = self.seq + 1;
        self.behind = match &state {
            Some((FOLD_VERSION, _)) => 0,
            // Only one snapshot is stored, so that one of another fold version replaces the usable one.
            Some(_) => seq,
            None => self.behind + 1,
        };
        let snapshot = state.map(|(fold_version, state)| StateSnapshot { fold_version, seq, state: state.into() });
        let bytes: Arc<[u8]> = serde_json::to_vec(said).expect("JSON").into();
        let append =
            JournalAppend { at, entry: Some(bytes), snapshot, ..entry(self.id.as_str(), self.ownership, self.seq) };
        self.store.append(append).await.expect("appends");
        self.seq = seq;
    }
}

fn profile(id: String) -> PersonProfile {
    PersonProfile {
        email: format!("{id}@example.com"),
        name: id.clone(),
        id: id.as_str().into(),
        skills: BTreeSet::new(),
        roles: BTreeSet::new(),
        max_capacity: 2,
        languages: BTreeSet::new(),
    }
}

/// A random command to a routing queue.
fn drawn(rng: &mut SeededRng) -> RoutingCommand {
    let person = format!("p{}", rng.below(4));
    let (conversation, number) = (format!("c{}", rng.below(12)).as_str().into(), 1 + rng.below(2));
    match rng.below(6) {
        0 => RoutingCommand::PutPerson(profile(person)),
        1 => RoutingCommand::Presence { person: person.as_str().into(), presence: Presence::Online },
        2 => RoutingCommand::Presence { person: person.as_str().into(), presence: Presence::Offline },
        3 => RoutingCommand::Left { conversation, number },
        _ => RoutingCommand::Enqueue(EnqueueRequest {
            conversation,
            number,
            wants: RoutingRequirements::default(),
            priority: Priority::Normal,
            waiting_since: at(0),
            first_response_by: None,
            resolve_by: None,
            service: routing::ServiceLevel::default(),
        }),
    }
}

#[tokio::test]
async fn a_desk_that_is_looked_at_is_the_whole_journals_and_little_of_it_is_read() {
    let mut saved = 0;
    for seed in 0..SEEDS {
        let (mut rng, mut desk) = (SeededRng::new(seed), RoutingQueue::new());
        let mut written = HandwrittenJournal::new(routing_queue_id(&tenant())).await;
        let lasting = RoutingQueues::default();
        for step in 0..STEPS {
            let now = at(step * 1_000);
            let Ok(events) = desk.decide(drawn(&mut rng), now) else { continue };
            written.add(now, &routing::RoutingEntry { at: now, events }, &desk, &mut rng).await;
            if rng.chance(10) {
                let looked = lasting.current(&written.store, &tenant()).await.expect("looks");
                assert_eq!(*looked, desk, "seed {seed}, {step}: as far as it was known");
            }
            let before = written.store.entries_read();
            let looked = RoutingQueues::default().current(&written.store, &tenant()).await.expect("looks");
            assert_eq!(*looked, desk, "seed {seed}, {step}: for the first time");
            let read = written.store.entries_read() - before;
            assert_eq!(read, written.behind, "seed {seed}, {step}: only what came since the snapshot");
            saved += written.seq - read;
        }
    }
    assert!(saved > 0, "snapshots were of use");
}

#[tokio::test]
async fn a_desk_that_was_long_not_looked_at_goes_on_from_a_newer_snapshot() {
    let (mut rng, mut desk, desks) = (SeededRng::new(1), RoutingQueue::new(), RoutingQueues::default());
    let mut written = HandwrittenJournal::new(routing_queue_id(&tenant())).await;
    for step in 0..2_000 {
        let now = at(step * 1_000);
        let person = profile(format!("p{}", rng.below(9)));
        let command = match step % 2 {
            0 => RoutingCommand::PutPerson(person),
            _ => RoutingCommand::Presence {
                person: person.id,
                presence: *rng.choose(&[Presence::Online, Presence::Away]),
            },
        };
        let Ok(events) = desk.decide(command, now) else { continue };
        let state = (step % 50 == 0).then(|| (FOLD_VERSION, serde_json::to_vec(&desk).expect("JSON")));
        written.write(now, &routing::RoutingEntry { at: now, events }, state).await;
        if step == 10 {
            desks.current(&written.store, &tenant()).await.expect("looks");
        }
    }
    let before = written.store.entries_read();
    assert_eq!(*desks.current(&written.store, &tenant()).await.expect("looks"), desk);
    let read = written.store.entries_read() - before;
    assert!(read < 600 && written.seq > 1_000, "{read} of {} entries", written.seq);
}

#[tokio::test]
async fn a_run_that_is_looked_at_is_the_whole_journals_and_little_of_it_is_read() {
    for seed in 0..SEEDS {
        let mut rng = SeededRng::new(seed);
        let mut written = HandwrittenJournal::new("r".into()).await;
        let bundle = save(&written.store).await;
        let library = WorkflowCache::new(Arc::new(written.store.clone()));
        let workflow = library.version(&bundle).await.expect("compiles");
        let mut run = Run::new();
        for step in 0..STEPS {
            let now = at(step * 1_000);
            let incoming = if step == 0 { started(&bundle) } else { happens(&mut rng, step) };
            let command = incoming.into_command(|_| Ok(workflow.clone())).expect("is a command");
            let Ok(events) = run.decide(command, now) else { continue };
            written.add(now, &run::RunEntry { at: now, events }, &run, &mut rng).await;
            let before = written.store.entries_read();
            let looked =
                snapshot_reader::read_run(&written.store, &library, &tenant(), &written.id).await.expect("looks");
            let read = written.store.entries_read() - before;
            assert_eq!(read, written.behind, "seed {seed}, {step}: only what came since the snapshot");
            let whole = FollowedRun::read(&written.store, &library, &tenant(), &written.id).await.expect("reads").run;
            assert_eq!(told(&looked), told(&whole), "seed {seed}, {step}");
            let version = looked.workflow().expect("the version is known");
            assert!(Arc::ptr_eq(version, &workflow), "seed {seed}, {step}");
        }
        assert!(written.seq > 20, "seed {seed}: something happened");
    }
}

/// Everything that a snapshot would store of it.
fn told(run: &Run) -> serde_json::Value {
    serde_json::to_value(run).expect("JSON")
}

async fn save(store: &FakeStore) -> ContentHash {
    let nodes = json!([
        { "id": "first", "type": "wait", "signal": "next" },
        { "id": "second", "type": "transform", "set": { "text": "{{ first }}" } },
        { "id": "third", "type": "wait", "signal": "never" },
    ]);
    let edges = json!([{ "from": "first", "to": "second" }, { "from": "second", "to": "third" }]);
    let bundle = Bundle {
        format: definition::BUNDLE_FORMAT,
        name: "waits".into(),
        definition: json!({ "name": "waits", "nodes": nodes, "edges": edges }),
        agents: BTreeMap::new(),
        tools: BTreeMap::new(),
        subworkflows: BTreeMap::new(),
    };
    let (text, bundle) = bundle.seal().expect("seals");
    store.save(&tenant(), "waits", "1", text.into(), &bundle, at(0)).await.expect("saves");
    bundle
}

fn started(bundle: &ContentHash) -> IncomingCommand {
    IncomingCommand::Start(Box::new(RunStarted {
        run: "r".into(),
        tenant: tenant(),
        bundle: bundle.clone(),
        input: Arc::new(json!({})),
        context: json!(null),
        caller: baton_core::tool::Caller::default(),
        origin: run::RunOrigin::default(),
    }))
}

/// A random command to a waiting run.
fn happens(rng: &mut SeededRng, step: i64) -> IncomingCommand {
    let by = || "anna".to_owned();
    match rng.below(5) {
        0 => IncomingCommand::Signal(Signal {
            name: if step > 60 { "next".into() } else { "other".into() },
            payload: Arc::new(json!({ "step": step })),
            source: String::new(),
            sequence: None,
            after_gap: false,
        }),
        1 | 2 => IncomingCommand::Pause { by: by() },
        _ => IncomingCommand::Resume { by: by() },
    }
}
