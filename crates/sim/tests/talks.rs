//! Conversations and their desk on several machines that die, over a store whose acknowledgements get lost: real engines,
//! real runs, and senders who repeat themselves until they are heard.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use baton_core::bundle::{Bundle, Hash};
use baton_core::conversation::{
    Arrived, Author, Begun, Command, Conversation, Entry, Event, Hil, Owner, State, Version,
};
use baton_core::definition;
use baton_core::desk::{self, Desk, Presence, Profile};
use baton_core::id::{RunId, TenantId};
use baton_core::time::Time;
use baton_core::tool::Caller;
use baton_engine::driver::World;
use baton_engine::plain::desk_of;
use baton_engine::roster::{Roster, Tiers};
use baton_engine::{Engine, Library, Options};
use baton_ports::clock::{Clock, Steady, SystemClock};
use baton_ports::conversations::ConversationFilter;
use baton_ports::journal::{
    AggregateId, Append, AstrayPage, Claimed, Create, Error, Handle, InboxItem, Journal, Kind, Lease, Ownership,
    ProcessId, Submit, Submitted, TimerKey,
};
use baton_ports::read::{PAGE_MAX, Read};
use baton_ports::registry::Registry;
use baton_sim::fake::Store;
use baton_sim::nobody::{NoModels, NoSandbox, NoThinkers, NoTools};
use baton_sim::rng::Rng;
use baton_sim::think::Thinker;
use serde::Serialize;
use serde_json::{Value, json};

const SEEDS: u64 = 12;
const MACHINES: usize = 3;
const CONVERSATIONS: usize = 8;
const SENDERS: usize = 3;
/// Messages of each sender in each conversation.
const EACH: u64 = 4;
const PEOPLE: usize = 3;
const CAPACITY: u32 = 2;
const CRASHES: usize = 4;
/// After how long a client that heard nothing asks again.
const RETRY: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(120);

fn tenant() -> TenantId {
    "acme".into()
}

/// The store as one machine reaches it: slow now and then, its answers lost now and then, and nothing at all once it is dead.
struct Line {
    store: Store,
    rng: Mutex<Rng>,
    is_dead: AtomicBool,
    process: Mutex<Option<ProcessId>>,
}

impl Line {
    async fn road(&self) {
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

    /// What is done stays done, and now and then nobody is told.
    async fn back<T>(&self, done: Result<T, Error>) -> Result<T, Error> {
        self.road().await;
        if done.is_ok() && self.rng.lock().expect("a source").chance(4) {
            return Err(Error::Unwritable { reason: "the acknowledgement was lost".into() });
        }
        done
    }
}

#[async_trait]
impl Journal for Line {
    async fn join(&self, steady: Steady) -> Result<Lease, Error> {
        let lease = self.store.join(steady).await?;
        *self.process.lock().expect("whole") = Some(lease.process);
        Ok(lease)
    }

    async fn renew(&self, process: ProcessId, steady: Steady) -> Result<Lease, Error> {
        self.road().await;
        self.store.renew(process, steady).await
    }

    async fn leave(&self, process: ProcessId) -> Result<(), Error> {
        self.store.leave(process).await
    }

    async fn submit(&self, submit: Submit) -> Result<Submitted, Error> {
        self.road().await;
        self.back(self.store.submit(submit).await).await
    }

    async fn append(&self, append: Append) -> Result<(), Error> {
        self.road().await;
        self.back(self.store.append(append).await).await
    }

    async fn claim(
        &self,
        aggregate: &AggregateId,
        process: ProcessId,
        fold_version: u32,
        steady: Steady,
    ) -> Result<Option<Claimed>, Error> {
        self.road().await;
        self.back(self.store.claim(aggregate, process, fold_version, steady).await).await
    }

    async fn release(&self, ownership: Ownership, wake_at: Option<Time>) -> Result<(), Error> {
        self.road().await;
        self.back(self.store.release(ownership, wake_at).await).await
    }

    async fn inbox(&self, handle: Handle, after: i64) -> Result<Vec<InboxItem>, Error> {
        self.road().await;
        self.back(self.store.inbox(handle, after).await).await
    }

    async fn due(
        &self,
        process: ProcessId,
        now: Time,
        steady: Steady,
        limit: usize,
    ) -> Result<Vec<AggregateId>, Error> {
        self.road().await;
        self.back(self.store.due(process, now, steady, limit).await).await
    }

    async fn astray(&self, now: Time, after: TimerKey, limit: usize) -> Result<AstrayPage, Error> {
        self.store.astray(now, after, limit).await
    }

    async fn nudged(&self, process: ProcessId, limit: usize) -> Result<Vec<AggregateId>, Error> {
        self.road().await;
        self.back(self.store.nudged(process, limit).await).await
    }
}

/// One machine.
#[derive(Clone)]
struct Machine {
    engine: Engine,
    line: Arc<Line>,
}

impl Machine {
    async fn start(store: &Store, seed: u64) -> Self {
        let line = Arc::new(Line {
            store: store.clone(),
            rng: Mutex::new(Rng::new(seed)),
            is_dead: AtomicBool::new(false),
            process: Mutex::default(),
        });
        let world = World {
            journal: line.clone(),
            tools: Arc::new(NoTools),
            models: Arc::new(NoModels),
            sandbox: Arc::new(NoSandbox),
            thinkers: Arc::new(NoThinkers),
            roster: Arc::new(Roster::new(Arc::new(store.clone()), Tiers::default())),
            think: Arc::new(Thinker),
            clock: Arc::new(SystemClock),
            library: Library::new(Arc::new(store.clone())),
        };
        // It lets go of everything at once, and writes snapshots all the time.
        let options = Options {
            poll: Duration::from_millis(5),
            keep_awake: Duration::ZERO,
            snapshot_entries: 4,
            ..Options::default()
        };
        let engine = Engine::begin(world, options).await.expect("begins");
        Self { engine, line }
    }

    /// Nothing of it reaches the store any more, and others may have what it had.
    async fn dies(&self) {
        self.line.is_dead.store(true, Ordering::Release);
        let process = self.line.process.lock().expect("whole").expect("joined");
        self.line.store.leave(process).await.expect("leaves");
    }
}

/// All machines, and one store.
#[derive(Clone)]
struct Park {
    store: Store,
    machines: Arc<Mutex<Vec<Machine>>>,
    rng: Arc<Mutex<Rng>>,
    versions: Arc<Vec<Version>>,
}

impl Park {
    async fn new(seed: u64) -> Self {
        let store = Store::new();
        let answers = json!([{ "id": "say", "type": "transform", "set": { "text": "re: {{ input.message }}" } }]);
        let waits = json!([{ "id": "next", "type": "wait", "signal": "message" }]);
        let mut versions = Vec::new();
        for (name, nodes) in [("answers", answers), ("waits", waits)] {
            let bundle = save(&store, name, nodes).await;
            versions.push(Version { workflow: name.into(), bundle, hil: Hil::default() });
        }
        let mut machines = Vec::new();
        for place in 0..MACHINES as u64 {
            machines.push(Machine::start(&store, seed * 1_000 + place).await);
        }
        Self {
            store,
            machines: Arc::new(Mutex::new(machines)),
            rng: Arc::new(Mutex::new(Rng::new(seed))),
            versions: Arc::new(versions),
        }
    }

    fn draw<T>(&self, draws: impl FnOnce(&mut Rng) -> T) -> T {
        draws(&mut self.rng.lock().expect("a source"))
    }

    fn version(&self, conversation: usize) -> Version {
        self.versions[conversation % self.versions.len()].clone()
    }

    /// Told to one machine after the other until one has heard it; it may have been heard before.
    async fn tell(&self, to: &AggregateId, id: &str, said: &impl Serialize, creates: Option<(Kind, &str)>) {
        let payload: Arc<[u8]> = serde_json::to_vec(said).expect("JSON").into();
        loop {
            let machine = {
                let machines = self.machines.lock().expect("whole");
                machines[self.draw(|rng| rng.index(machines.len()))].clone()
            };
            let creates =
                creates.map(|(kind, workflow)| Create { kind, workflow: workflow.into(), parent: None, owner: None });
            let (tenant, payload) = (tenant(), payload.clone());
            let sent = machine.engine.send(&tenant, to, id, payload, creates);
            if let Ok(Ok(_)) = tokio::time::timeout(RETRY, sent).await {
                return;
            }
        }
    }

    async fn to_desk(&self, id: &str, said: &desk::Command) {
        self.tell(&desk_of(&tenant()), id, said, Some((Kind::Desk, ""))).await;
    }

    /// One dies, and another takes its place.
    async fn crash(&self, seed: u64) {
        let fresh = Machine::start(&self.store, seed).await;
        let dead = {
            let mut machines = self.machines.lock().expect("whole");
            let place = self.draw(|rng| rng.index(machines.len()));
            std::mem::replace(&mut machines[place], fresh)
        };
        dead.dies().await;
    }

    async fn entries<E: serde::de::DeserializeOwned>(&self, id: &AggregateId) -> Vec<E> {
        let entries = self.store.entries(&tenant(), id, 0, usize::MAX).await.expect("reads");
        entries.iter().map(|entry| serde_json::from_slice(entry).expect("an entry")).collect()
    }

    async fn desk(&self) -> Desk {
        let mut desk = Desk::new();
        for desk::Entry { at, events } in self.entries(&desk_of(&tenant())).await {
            events.iter().for_each(|event| desk.apply(at, event));
        }
        desk
    }
}

async fn save(store: &Store, name: &str, nodes: Value) -> Hash {
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

fn talk(conversation: usize) -> RunId {
    RunId::new(format!("c{conversation}"))
}

async fn begin(park: &Park, conversation: usize) {
    let version = park.version(conversation);
    let begun = Begun {
        conversation: talk(conversation),
        tenant: tenant(),
        user: None,
        channel: "web".into(),
        caller: Caller::default(),
        context: Value::Null,
        service: baton_core::desk::ServiceLevel::default(),
        version: version.clone(),
    };
    let begins = Command::Begin(Box::new(begun));
    park.tell(&talk(conversation), "start", &begins, Some((Kind::Conversation, &version.workflow))).await;
}

/// Somebody who writes to a conversation: out of order, and some of it twice.
async fn write(park: Park, conversation: usize, sender: usize) {
    let mut order: Vec<u64> = (1..=EACH).chain([1, EACH]).collect();
    for place in (1..order.len()).rev() {
        order.swap(place, park.draw(|rng| rng.index(place + 1)));
    }
    for sequence in order {
        // Each asks for a person once.
        let asks = if sequence == 1 + sender as u64 { ": speak to human" } else { "" };
        let (source, message_id) = (format!("s{sender}"), format!("m{sequence}"));
        let id = format!("{source}/{message_id}");
        let text = format!("{sender}.{sequence}{asks}");
        let version = park.version(conversation);
        let message = Command::Message(Arrived { message_id, source, sequence: Some(sequence), text, version });
        park.tell(&talk(conversation), &id, &message, None).await;
        tokio::time::sleep(Duration::from_millis(park.draw(|rng| rng.below(30)))).await;
    }
}

fn person(place: usize) -> String {
    format!("p{place}")
}

/// People answer what is theirs, and give it back, as long as there is something to do; now and then one goes home.
async fn people(park: Park) {
    let mut round = 0;
    loop {
        round += 1;
        let presence = if park.draw(|rng| rng.chance(70)) { Presence::Online } else { Presence::Offline };
        let who = person(park.draw(|rng| rng.index(PEOPLE)));
        park.to_desk(&format!("presence/{round}"), &desk::Command::Presence { person: who.as_str().into(), presence })
            .await;
        let theirs = ConversationFilter { state: Some(State::HumanActive), limit: PAGE_MAX, ..Default::default() };
        for head in park.store.conversations(&tenant(), theirs).await.expect("reads") {
            let (Some(by), number) = (head.person, head.number) else { continue };
            // Somebody else tries to speak as well.
            for by in [by.clone(), "mallory".to_owned()] {
                let post = Command::Post { by: by.clone(), number, text: format!("{by} under {number}") };
                park.tell(&head.conversation, &format!("post/{by}/{number}"), &post, None).await;
            }
            let back = Command::GiveBack { by, note: String::new() };
            park.tell(&head.conversation, &format!("back/{number}"), &back, None).await;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether everything was said, and nothing waits for anybody but a customer.
async fn is_done(park: &Park) -> bool {
    let all = ConversationFilter { limit: PAGE_MAX, ..Default::default() };
    let heads = park.store.conversations(&tenant(), all).await.expect("reads");
    let said = heads.len() == CONVERSATIONS
        && heads.iter().all(|head| head.messages == EACH * SENDERS as u64 && head.owner == Owner::Ai);
    if !said || park.desk().await.cases().len() > 0 {
        return false;
    }
    for conversation in 0..CONVERSATIONS {
        let mut it = Conversation::new();
        park.entries::<Entry>(&talk(conversation)).await.iter().for_each(|entry| it.fold(entry));
        if !it.rests() {
            return false;
        }
    }
    true
}

#[tokio::test]
async fn each_message_is_handled_once_in_order_one_owner_speaks_and_nobody_starves_whatever_dies() {
    for seed in 0..SEEDS {
        let park = Park::new(seed).await;
        for place in 0..PEOPLE {
            let id = person(place);
            let profile = Profile {
                email: format!("{id}@example.com"),
                name: id.clone(),
                id: id.as_str().into(),
                skills: BTreeSet::new(),
                roles: BTreeSet::new(),
                max_capacity: CAPACITY,
                languages: BTreeSet::new(),
            };
            park.to_desk(&format!("put/{id}"), &desk::Command::PutPerson(profile)).await;
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
        let has_ended = tokio::time::timeout(PATIENCE, ends).await.is_ok();
        people.abort();
        assert!(has_ended, "seed {seed}: something waits for ever: {:?}", park.desk().await.line(0, 9));
        for conversation in 0..CONVERSATIONS {
            let entries = park.entries(&talk(conversation)).await;
            judge(&entries, &format!("seed {seed}, c{conversation}"));
        }
        judge_desk(&park, seed).await;
    }
}

/// What must hold of a conversation's journal.
fn judge(entries: &[Entry], which: &str) {
    let mut it = Conversation::new();
    let mut said: BTreeMap<String, Vec<(u64, bool)>> = BTreeMap::new();
    let (mut lines, mut handled) = (Vec::new(), Handled::default());
    for entry in entries {
        for event in &entry.events {
            if let Event::Said { line } = event {
                let speaks = |owner: &Owner| {
                    assert_eq!((it.owner(), Some(it.number())), (owner, line.owned), "{which}: {line:?}");
                };
                match &line.from {
                    Author::Ai { .. } => speaks(&Owner::Ai),
                    Author::Person { name } => speaks(&Owner::Person(name.clone())),
                    Author::Customer => {
                        let number = line.sequence.expect("a number");
                        said.entry(line.source.clone()).or_default().push((number, line.after_gap));
                        lines.push(line.number);
                    }
                    Author::Note { .. } | Author::Suggestion { .. } => {}
                }
            }
            handled.sees(event);
            it.apply(entry.at, event);
        }
    }
    assert_eq!(said.len(), SENDERS, "{which}");
    for (source, numbers) in said {
        let once: BTreeSet<u64> = numbers.iter().map(|(number, _)| *number).collect();
        assert_eq!((once.len() as u64, numbers.len() as u64), (EACH, EACH), "{which}: {source}: {numbers:?}");
        // On a machine that is held up for 5 s a gap may be given up: what comes then is marked.
        let in_order = numbers.windows(2).all(|two| two[0].0 < two[1].0 || two[1].1);
        assert!(in_order, "{which}: {source}: {numbers:?}");
    }
    assert!(handled.by_runs.is_sorted(), "{which}: runs take them in the order in which they came: {handled:?}");
    let mut all = [handled.by_runs, handled.by_people].concat();
    all.sort_unstable();
    assert_eq!(all, lines, "{which}: each once");
}

/// Which of the customer's lines were handled by whom, in their order; what came back counts when it goes out again.
#[derive(Debug, Default)]
struct Handled {
    by_runs: Vec<u64>,
    by_people: Vec<u64>,
    given: BTreeMap<(RunId, u64), u64>,
}

impl Handled {
    fn sees(&mut self, event: &Event) {
        match event {
            Event::ToPeople { messages } => self.by_people.extend(messages),
            Event::RunBegun { message, .. } => self.by_runs.push(*message),
            Event::Given { run, sequence, message, .. } => {
                self.given.insert((run.clone(), *sequence), *message);
                self.by_runs.push(*message);
            }
            Event::RunOver { run, kept, .. } => kept.iter().for_each(|sequence| self.comes_back(run, *sequence)),
            Event::Returned { run, sequence } => self.comes_back(run, *sequence),
            _ => {}
        }
    }

    fn comes_back(&mut self, run: &RunId, sequence: u64) {
        let message = self.given[&(run.clone(), sequence)];
        self.by_runs.retain(|line| *line != message);
    }
}

/// Nobody ever had more than they may, and nothing was given to who was not there.
async fn judge_desk(park: &Park, seed: u64) {
    let (mut desk, mut given) = (Desk::new(), 0);
    for desk::Entry { at, events } in park.entries(&desk_of(&tenant())).await {
        for event in &events {
            if let desk::Event::Assigned { person, .. } = event {
                given += 1;
                let who = desk.person(person).expect("is of the desk");
                assert!(who.presence == Presence::Online && who.load() < CAPACITY, "seed {seed}: {event:?} {who:?}");
            }
            desk.apply(at, event);
        }
    }
    assert!(given >= CONVERSATIONS, "seed {seed}: {given} were given to people");
}
