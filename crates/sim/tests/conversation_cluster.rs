//! Conversations and their routing queue on several machines that die, over a store whose acknowledgements get lost:
//! real engines, real runs, and senders who repeat messages until they are acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use baton_core::bundle::{Bundle, ContentHash};
use baton_core::conversation::{
    Conversation, ConversationCommand, ConversationEntry, ConversationEvent, ConversationOwner, ConversationState,
    HandoverPolicy, InboundMessage, LineAuthor, NewConversation, PinnedVersion,
};
use baton_core::definition;
use baton_core::id::{RunId, TenantId};
use baton_core::routing::{self, PersonProfile, Presence, RoutingQueue};
use baton_core::time::Time;
use baton_core::tool::Caller;
use baton_engine::agent_registry::{AgentRegistry, TierTable};
use baton_engine::aggregate::routing_queue_id;
use baton_engine::driver::EnginePorts;
use baton_engine::{Engine, EngineOptions, WorkflowCache};
use baton_ports::clock::{Clock, MonotonicTime, SystemClock};
use baton_ports::conversations::ConversationFilter;
use baton_ports::journal::{
    AggregateHandle, AggregateId, AggregateKind, ClaimedAggregate, InboxItem, InboxReceipt, InboxSubmission,
    JournalAppend, JournalError, JournalStore, NewAggregate, Ownership, ProcessId, ProcessLease, StrandedPage,
    TimerKey,
};
use baton_ports::read::{PAGE_MAX, ReadModel};
use baton_ports::registry::WorkflowRegistry;
use baton_sim::fake::FakeStore;
use baton_sim::null_ports::{NullModels, NullSandbox, NullThinkers, NullTools};
use baton_sim::rng::SeededRng;
use baton_sim::sim_thinker::SimThinker;
use serde::Serialize;
use serde_json::{Value, json};

const SEEDS: u64 = 12;
const MACHINES: usize = 3;
const CONVERSATIONS: usize = 8;
const SENDERS: usize = 3;
/// Number of messages of each sender in each conversation.
const EACH: u64 = 4;
const PEOPLE: usize = 3;
const CAPACITY: u32 = 2;
const CRASHES: usize = 4;
/// The delay after which a client without an answer asks again.
const RETRY: Duration = Duration::from_millis(100);
const WAIT_LIMIT: Duration = Duration::from_secs(120);

fn tenant() -> TenantId {
    "acme".into()
}

/// The store as one machine reaches it: sometimes slow, sometimes losing its answers, and unreachable once the machine
/// is dead.
struct LossyStore {
    store: FakeStore,
    rng: Mutex<SeededRng>,
    is_dead: AtomicBool,
    process: Mutex<Option<ProcessId>>,
}

impl LossyStore {
    async fn simulate_latency(&self) {
        if self.is_dead.load(Ordering::Acquire) {
            std::future::pending::<()>().await;
        }
        let wait = self.rng.lock().expect("a source").below(4);
        for _ in 0..wait {
            tokio::task::yield_now().await;
        }
        if wait == 3 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        if self.is_dead.load(Ordering::Acquire) {
            std::future::pending::<()>().await;
        }
    }

    /// The operation stays done, but sometimes its answer is lost.
    async fn lose_answer<T>(&self, done: Result<T, JournalError>) -> Result<T, JournalError> {
        self.simulate_latency().await;
        if done.is_ok() && self.rng.lock().expect("a source").chance(4) {
            return Err(JournalError::Unwritable { reason: "the acknowledgement was lost".into() });
        }
        done
    }
}

#[async_trait]
impl JournalStore for LossyStore {
    async fn join(&self, steady: MonotonicTime) -> Result<ProcessLease, JournalError> {
        let lease = self.store.join(steady).await?;
        *self.process.lock().expect("whole") = Some(lease.process);
        Ok(lease)
    }

    async fn renew(&self, process: ProcessId, steady: MonotonicTime) -> Result<ProcessLease, JournalError> {
        self.simulate_latency().await;
        self.store.renew(process, steady).await
    }

    async fn leave(&self, process: ProcessId) -> Result<(), JournalError> {
        self.store.leave(process).await
    }

    async fn submit(&self, submit: InboxSubmission) -> Result<InboxReceipt, JournalError> {
        self.simulate_latency().await;
        self.lose_answer(self.store.submit(submit).await).await
    }

    async fn append(&self, append: JournalAppend) -> Result<(), JournalError> {
        self.simulate_latency().await;
        self.lose_answer(self.store.append(append).await).await
    }

    async fn claim(
        &self,
        aggregate: &AggregateId,
        process: ProcessId,
        fold_version: u32,
        steady: MonotonicTime,
    ) -> Result<Option<ClaimedAggregate>, JournalError> {
        self.simulate_latency().await;
        self.lose_answer(self.store.claim(aggregate, process, fold_version, steady).await).await
    }

    async fn release(&self, ownership: Ownership, wake_at: Option<Time>) -> Result<(), JournalError> {
        self.simulate_latency().await;
        self.lose_answer(self.store.release(ownership, wake_at).await).await
    }

    async fn inbox(&self, handle: AggregateHandle, after: i64) -> Result<Vec<InboxItem>, JournalError> {
        self.simulate_latency().await;
        self.lose_answer(self.store.inbox(handle, after).await).await
    }

    async fn due(
        &self,
        process: ProcessId,
        now: Time,
        steady: MonotonicTime,
        limit: usize,
    ) -> Result<Vec<AggregateId>, JournalError> {
        self.simulate_latency().await;
        self.lose_answer(self.store.due(process, now, steady, limit).await).await
    }

    async fn stranded(&self, now: Time, after: TimerKey, limit: usize) -> Result<StrandedPage, JournalError> {
        self.store.stranded(now, after, limit).await
    }

    async fn with_new_items(&self, process: ProcessId, limit: usize) -> Result<Vec<AggregateId>, JournalError> {
        self.simulate_latency().await;
        self.lose_answer(self.store.with_new_items(process, limit).await).await
    }
}

/// One machine.
#[derive(Clone)]
struct ClusterMachine {
    engine: Engine,
    line: Arc<LossyStore>,
}

impl ClusterMachine {
    async fn start(store: &FakeStore, seed: u64) -> Self {
        let line = Arc::new(LossyStore {
            store: store.clone(),
            rng: Mutex::new(SeededRng::new(seed)),
            is_dead: AtomicBool::new(false),
            process: Mutex::default(),
        });
        let world = EnginePorts {
            journal: line.clone(),
            tools: Arc::new(NullTools),
            models: Arc::new(NullModels),
            sandbox: Arc::new(NullSandbox),
            thinkers: Arc::new(NullThinkers),
            agent_registry: Arc::new(AgentRegistry::new(Arc::new(store.clone()), TierTable::default())),
            think: Arc::new(SimThinker),
            clock: Arc::new(SystemClock),
            workflows: WorkflowCache::new(Arc::new(store.clone())),
        };
        // It releases everything immediately, and writes snapshots all the time.
        let options = EngineOptions {
            poll: Duration::from_millis(5),
            keep_awake: Duration::ZERO,
            snapshot_entries: 4,
            ..EngineOptions::default()
        };
        let engine = Engine::begin(world, options).await.expect("begins");
        Self { engine, line }
    }

    /// It no longer reaches the store, and others may take over what it had.
    async fn kill_machine(&self) {
        self.line.is_dead.store(true, Ordering::Release);
        let process = self.line.process.lock().expect("whole").expect("joined");
        self.line.store.leave(process).await.expect("leaves");
    }
}

/// All machines, and one store.
#[derive(Clone)]
struct MachineCluster {
    store: FakeStore,
    machines: Arc<Mutex<Vec<ClusterMachine>>>,
    rng: Arc<Mutex<SeededRng>>,
    versions: Arc<Vec<PinnedVersion>>,
}

impl MachineCluster {
    async fn new(seed: u64) -> Self {
        let store = FakeStore::new();
        let answers = json!([{ "id": "say", "type": "transform", "set": { "text": "re: {{ input.message }}" } }]);
        let waits = json!([{ "id": "next", "type": "wait", "signal": "message" }]);
        let mut versions = Vec::new();
        for (name, nodes) in [("answers", answers), ("waits", waits)] {
            let bundle = save(&store, name, nodes).await;
            versions.push(PinnedVersion { workflow: name.into(), bundle, hil: HandoverPolicy::default() });
        }
        let mut machines = Vec::new();
        for place in 0..MACHINES as u64 {
            machines.push(ClusterMachine::start(&store, seed * 1_000 + place).await);
        }
        Self {
            store,
            machines: Arc::new(Mutex::new(machines)),
            rng: Arc::new(Mutex::new(SeededRng::new(seed))),
            versions: Arc::new(versions),
        }
    }

    fn draw<T>(&self, draws: impl FnOnce(&mut SeededRng) -> T) -> T {
        draws(&mut self.rng.lock().expect("a source"))
    }

    fn version(&self, conversation: usize) -> PinnedVersion {
        self.versions[conversation % self.versions.len()].clone()
    }

    /// Submits to one machine after the other until one accepts; an earlier attempt may have been accepted too.
    async fn submit(&self, to: &AggregateId, id: &str, said: &impl Serialize, creates: Option<(AggregateKind, &str)>) {
        let payload: Arc<[u8]> = serde_json::to_vec(said).expect("JSON").into();
        loop {
            let machine = {
                let machines = self.machines.lock().expect("whole");
                machines[self.draw(|rng| rng.index(machines.len()))].clone()
            };
            let creates = creates.map(|(kind, workflow)| NewAggregate {
                kind,
                workflow: workflow.into(),
                parent: None,
                owner: None,
            });
            let (tenant, payload) = (tenant(), payload.clone());
            let sent = machine.engine.submit_payload(&tenant, to, id, payload, creates);
            if let Ok(Ok(_)) = tokio::time::timeout(RETRY, sent).await {
                return;
            }
        }
    }

    async fn to_desk(&self, id: &str, said: &routing::RoutingCommand) {
        self.submit(&routing_queue_id(&tenant()), id, said, Some((AggregateKind::Desk, ""))).await;
    }

    /// One dies, and another replaces it.
    async fn crash(&self, seed: u64) {
        let fresh = ClusterMachine::start(&self.store, seed).await;
        let dead = {
            let mut machines = self.machines.lock().expect("whole");
            let place = self.draw(|rng| rng.index(machines.len()));
            std::mem::replace(&mut machines[place], fresh)
        };
        dead.kill_machine().await;
    }

    async fn entries<E: serde::de::DeserializeOwned>(&self, id: &AggregateId) -> Vec<E> {
        let entries = self.store.entries(&tenant(), id, 0, usize::MAX).await.expect("reads");
        entries.iter().map(|entry| serde_json::from_slice(entry).expect("an entry")).collect()
    }

    async fn desk(&self) -> RoutingQueue {
        let mut desk = RoutingQueue::new();
        for routing::RoutingEntry { at, events } in self.entries(&routing_queue_id(&tenant())).await {
            events.iter().for_each(|event| desk.apply(at, event));
        }
        desk
    }
}

async fn save(store: &FakeStore, name: &str, nodes: Value) -> ContentHash {
    let bundle = Bundle {
        format: definition::BUNDLE_FORMAT,
        name: name.into(),
        definition: json!({ "name": name, "nodes": nodes, "edges": [] }),
        agents: BTreeMap::new(),
        tools: BTreeMap::new(),
        subworkflows: BTreeMap::new(),
    };
    let (text, bundle) = bundle.seal().expect("seals");
    store.save(&tenant(), name, "1", text.into(), &bundle, SystemClock.now()).await.expect("saves");
    bundle
}

fn conversation_id(conversation: usize) -> RunId {
    RunId::new(format!("c{conversation}"))
}

async fn begin(park: &MachineCluster, conversation: usize) {
    let version = park.version(conversation);
    let begun = NewConversation {
        conversation: conversation_id(conversation),
        tenant: tenant(),
        user: None,
        channel: "web".into(),
        caller: Caller::default(),
        context: Value::Null,
        service: baton_core::routing::ServiceLevel::default(),
        version: version.clone(),
    };
    let begins = ConversationCommand::Begin(Box::new(begun));
    park.submit(
        &conversation_id(conversation),
        "start",
        &begins,
        Some((AggregateKind::Conversation, &version.workflow)),
    )
    .await;
}

/// A sender who writes to a conversation: out of order, and some messages twice.
async fn write(park: MachineCluster, conversation: usize, sender: usize) {
    let mut order: Vec<u64> = (1..=EACH).chain([1, EACH]).collect();
    for place in (1..order.len()).rev() {
        order.swap(place, park.draw(|rng| rng.index(place + 1)));
    }
    for sequence in order {
        // Each sender requests a person once.
        let asks = if sequence == 1 + sender as u64 { ": speak to human" } else { "" };
        let (source, message_id) = (format!("s{sender}"), format!("m{sequence}"));
        let id = format!("{source}/{message_id}");
        let text = format!("{sender}.{sequence}{asks}");
        let version = park.version(conversation);
        let message = ConversationCommand::Message(InboundMessage {
            message_id,
            source,
            sequence: Some(sequence),
            text,
            version,
        });
        park.submit(&conversation_id(conversation), &id, &message, None).await;
        tokio::time::sleep(Duration::from_millis(park.draw(|rng| rng.below(30)))).await;
    }
}

fn person(place: usize) -> String {
    format!("p{place}")
}

/// People answer their conversations and hand them back, as long as there is something to do; sometimes one goes
/// offline.
async fn people(park: MachineCluster) {
    let mut round = 0;
    loop {
        round += 1;
        let presence = if park.draw(|rng| rng.chance(70)) { Presence::Online } else { Presence::Offline };
        let who = person(park.draw(|rng| rng.index(PEOPLE)));
        park.to_desk(
            &format!("presence/{round}"),
            &routing::RoutingCommand::Presence { person: who.as_str().into(), presence },
        )
        .await;
        let theirs =
            ConversationFilter { state: Some(ConversationState::HumanActive), limit: PAGE_MAX, ..Default::default() };
        for head in park.store.conversations(&tenant(), theirs).await.expect("reads") {
            let (Some(by), number) = (head.person, head.number) else { continue };
            // Another person also tries to post.
            for by in [by.clone(), "mallory".to_owned()] {
                let post = ConversationCommand::Post { by: by.clone(), number, text: format!("{by} under {number}") };
                park.submit(&head.conversation, &format!("post/{by}/{number}"), &post, None).await;
            }
            let back = ConversationCommand::GiveBack { by, note: String::new() };
            park.submit(&head.conversation, &format!("back/{number}"), &back, None).await;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether every message is in the transcript, and nothing waits for anyone but a customer.
async fn is_done(park: &MachineCluster) -> bool {
    let all = ConversationFilter { limit: PAGE_MAX, ..Default::default() };
    let heads = park.store.conversations(&tenant(), all).await.expect("reads");
    let said = heads.len() == CONVERSATIONS
        && heads.iter().all(|head| head.messages == EACH * SENDERS as u64 && head.owner == ConversationOwner::Ai);
    if !said || park.desk().await.conversations().len() > 0 {
        return false;
    }
    for conversation in 0..CONVERSATIONS {
        let mut it = Conversation::new();
        park.entries::<ConversationEntry>(&conversation_id(conversation)).await.iter().for_each(|entry| it.fold(entry));
        if !it.is_idle() {
            return false;
        }
    }
    true
}

#[tokio::test]
async fn each_message_is_handled_once_in_order_one_owner_speaks_and_nobody_starves_whatever_dies() {
    for seed in 0..SEEDS {
        let park = MachineCluster::new(seed).await;
        for place in 0..PEOPLE {
            let id = person(place);
            let profile = PersonProfile {
                email: format!("{id}@example.com"),
                name: id.clone(),
                id: id.as_str().into(),
                skills: BTreeSet::new(),
                roles: BTreeSet::new(),
                max_capacity: CAPACITY,
                languages: BTreeSet::new(),
            };
            park.to_desk(&format!("put/{id}"), &routing::RoutingCommand::PutPerson(profile)).await;
        }
        let mut tasks = tokio::task::JoinSet::new();
        for conversation in 0..CONVERSATIONS {
            begin(&park, conversation).await;
            for sender in 0..SENDERS {
                tasks.spawn(write(park.clone(), conversation, sender));
            }
        }
        let people = tokio::spawn(people(park.clone()));
        for crash in 0..CRASHES as u64 {
            tokio::time::sleep(Duration::from_millis(park.draw(|rng| rng.between(20, 120)))).await;
            park.crash(seed * 1_000 + 500 + crash).await;
        }
        let ends = async {
            while let Some(written) = tasks.join_next().await {
                written.expect("writes");
            }
            while !is_done(&park).await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let has_ended = tokio::time::timeout(WAIT_LIMIT, ends).await.is_ok();
        people.abort();
        assert!(has_ended, "seed {seed}: something waits for ever: {:?}", park.desk().await.waiting_page(0, 9));
        for conversation in 0..CONVERSATIONS {
            let entries = park.entries(&conversation_id(conversation)).await;
            judge(&entries, &format!("seed {seed}, c{conversation}"));
        }
        judge_desk(&park, seed).await;
    }
}

/// Checks what must hold for a conversation's journal.
fn judge(entries: &[ConversationEntry], which: &str) {
    let mut it = Conversation::new();
    let mut said: BTreeMap<String, Vec<(u64, bool)>> = BTreeMap::new();
    let (mut lines, mut handled) = (Vec::new(), HandledLines::default());
    for entry in entries {
        for event in &entry.events {
            if let ConversationEvent::Said { line } = event {
                let speaks = |owner: &ConversationOwner| {
                    assert_eq!((it.owner(), Some(it.ownership_number())), (owner, line.owned), "{which}: {line:?}");
                };
                match &line.from {
                    LineAuthor::Ai { .. } => speaks(&ConversationOwner::Ai),
                    LineAuthor::Person { name } => speaks(&ConversationOwner::Person(name.clone())),
                    LineAuthor::Customer => {
                        let number = line.sequence.expect("a number");
                        said.entry(line.source.clone()).or_default().push((number, line.after_gap));
                        lines.push(line.number);
                    }
                    LineAuthor::Note { .. } | LineAuthor::Suggestion { .. } => {}
                }
            }
            handled.apply_event(event);
            it.apply(entry.at, event);
        }
    }
    assert_eq!(said.len(), SENDERS, "{which}");
    for (source, numbers) in said {
        let once: BTreeSet<u64> = numbers.iter().map(|(number, _)| *number).collect();
        assert_eq!((once.len() as u64, numbers.len() as u64), (EACH, EACH), "{which}: {source}: {numbers:?}");
        // On a machine that is delayed for 5 s a gap may be given up: later messages are marked.
        let in_order = numbers.windows(2).all(|two| two[0].0 < two[1].0 || two[1].1);
        assert!(in_order, "{which}: {source}: {numbers:?}");
    }
    assert!(handled.by_runs.is_sorted(), "{which}: runs take them in the order in which they came: {handled:?}");
    let mut all = [handled.by_runs, handled.by_people].concat();
    all.sort_unstable();
    assert_eq!(all, lines, "{which}: each once");
}

/// Which of the customer's lines were handled by runs and by people, in order; a returned line counts when it is handed
/// out again.
#[derive(Debug, Default)]
struct HandledLines {
    by_runs: Vec<u64>,
    by_people: Vec<u64>,
    given: BTreeMap<(RunId, u64), u64>,
}

impl HandledLines {
    fn apply_event(&mut self, event: &ConversationEvent) {
        match event {
            ConversationEvent::ToPeople { messages } => self.by_people.extend(messages),
            ConversationEvent::RunBegun { message, .. } => self.by_runs.push(*message),
            ConversationEvent::Given { run, sequence, message, .. } => {
                self.given.insert((run.clone(), *sequence), *message);
                self.by_runs.push(*message);
            }
            ConversationEvent::RunOver { run, kept, .. } => {
                kept.iter().for_each(|sequence| self.message_returned(run, *sequence))
            }
            ConversationEvent::Returned { run, sequence } => self.message_returned(run, *sequence),
            _ => {}
        }
    }

    fn message_returned(&mut self, run: &RunId, sequence: u64) {
        let message = self.given[&(run.clone(), sequence)];
        self.by_runs.retain(|line| *line != message);
    }
}

/// No person ever exceeded their capacity, and nothing was assigned to a person who was offline.
async fn judge_desk(park: &MachineCluster, seed: u64) {
    let (mut desk, mut given) = (RoutingQueue::new(), 0);
    for routing::RoutingEntry { at, events } in park.entries(&routing_queue_id(&tenant())).await {
        for event in &events {
            if let routing::RoutingEvent::Assigned { person, .. } = event {
                given += 1;
                let who = desk.person(person).expect("is of the desk");
                assert!(who.presence == Presence::Online && who.load() < CAPACITY, "seed {seed}: {event:?} {who:?}");
            }
            desk.apply(at, event);
        }
    }
    assert!(given >= CONVERSATIONS, "seed {seed}: {given} were given to people");
}
