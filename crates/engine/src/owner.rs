//! What moves one run while this process owns it. No IO, no clock: inputs in, outputs out.
//!
//! Inputs that arrive while an append is under way wait for it and share the next one. Effects come out only of state
//! that is durable. An append that fails ends the ownership: whoever claims the run next folds it from the journal.

mod exchange;
mod letting_out;
mod saved;
mod taking;
#[cfg(test)]
mod tests;
mod writing;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use baton_core::agent::{Advice, Step, Think};
use baton_core::bundle::Hash;
use baton_core::graph::Workflow;
use baton_core::id::{RunId, TenantId};
use baton_core::money::Quote;
use baton_core::mutant::{Mutant, planted};
use baton_core::run::{Command, Departure, EffectId, Entry, Event, Incoming, Refusal, Run};
use baton_core::time::Time;
use baton_ports::clock::Steady;
use baton_ports::journal::{Claimed, Head, InboxItem, Ownership};

use crate::own_time::{Now, OwnTime};
use crate::projections::Desk;
use crate::{Options, audit, roster};

use writing::Batch;

pub use exchange::{Input, Output, Send, What};

/// Who gave a key, for the journal: whoever runs the consumer's work is not known by name here.
const KEY_GIVER: &str = "consumer";

/// Where a call that was let out is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flight {
    Out,
    /// A model is asked, which costs something however it ends.
    Asking,
    /// Permitted; its marker is being written.
    Marking {
        until: Steady,
        /// What the journal says, by the run's own time.
        deadline: Time,
    },
}

/// A run and the right to move it.
pub struct Owner {
    run: Run,
    id: RunId,
    tenant: TenantId,
    ownership: Ownership,
    seq: u64,
    time: OwnTime,
    /// When it was last given something.
    steady: Steady,
    lease_until: Steady,
    waiting: VecDeque<Input>,
    in_flight: BTreeMap<EffectId, Flight>,
    /// What the append under way will have done.
    under_way: Option<UnderWay>,
    /// What is decided, and waits for what it costs.
    held: Option<Held>,
    head: Option<Head>,
    desk: Desk,
    inbox_seen: i64,
    since_snapshot: (u64, usize),
    snapshot_bytes: usize,
    versions: BTreeMap<Hash, Arc<Workflow>>,
    /// It was taken over, and what its last owner left behind is not looked into yet.
    takes_over: bool,
    /// How that owner came to let go.
    left: Departure,
    /// The consumer's key is here, and what waits for it has not been told.
    has_key: bool,
    /// Nothing more will come of this owner.
    gone: bool,
}

/// A batch that dropped calls to models. It is appended once it is known what they cost, so that no run ends at less than
/// it paid.
struct Held {
    batch: Batch,
    at: Time,
    dropped: BTreeSet<EffectId>,
}

struct UnderWay {
    /// Nothing where items are consumed that changed nothing.
    entry: Option<Arc<Entry>>,
    noted: Vec<roster::Outcome>,
    announce: Vec<RunId>,
    refused: Vec<(i64, Refusal)>,
    released: bool,
}

/// Bundles the shell must bring before [`Owner::claimed`]: those the entries and items name.
pub fn versions_of(entries: &[Entry], items: &[InboxItem], snapshot: Option<&Run>) -> Vec<Hash> {
    let mut hashes: Vec<Hash> = snapshot.and_then(Run::bundle).cloned().into_iter().collect();
    for event in entries.iter().flat_map(|entry| &entry.events) {
        match event {
            Event::Started(started) => hashes.push(started.bundle.clone()),
            Event::Reopened(reopened) => {
                if let baton_core::run::Reopened::Retry { bundle, .. } = &**reopened {
                    hashes.push(bundle.clone());
                }
            }
            _ => {}
        }
    }
    for item in items {
        match serde_json::from_slice::<Incoming>(&item.payload) {
            Ok(Incoming::Start(started)) => hashes.push(started.bundle),
            Ok(Incoming::Retry { bundle, .. }) => hashes.push(bundle),
            Ok(Incoming::Fork { past, .. }) => hashes.extend(versions_of(&past, &[], None)),
            _ => {}
        }
    }
    hashes.sort();
    hashes.dedup();
    hashes
}

impl Owner {
    /// A run that was created here a moment ago.
    pub fn fresh(id: RunId, tenant: TenantId, ownership: Ownership, lease_until: Steady) -> Self {
        Self {
            run: Run::new(),
            id,
            tenant,
            ownership,
            seq: 0,
            time: OwnTime::default(),
            steady: Steady::default(),
            lease_until,
            waiting: VecDeque::new(),
            in_flight: BTreeMap::new(),
            under_way: None,
            held: None,
            head: None,
            desk: Desk::default(),
            inbox_seen: 0,
            since_snapshot: (0, 0),
            snapshot_bytes: 0,
            versions: BTreeMap::new(),
            takes_over: false,
            left: Departure::InOrder,
            has_key: false,
            gone: false,
        }
    }

    /// A run taken over from the store: folded from its snapshot and tail. Its first input is [`Input::Items`].
    pub fn claimed(
        id: RunId,
        claimed: &Claimed,
        run: Run,
        tail: &[Entry],
        versions: impl IntoIterator<Item = (Hash, Arc<Workflow>)>,
        lease_until: Steady,
        now: Now,
    ) -> Self {
        let mut owner = Self::fresh(id, claimed.tenant.clone(), claimed.ownership, lease_until);
        owner.run = run;
        owner.takes_over = true;
        owner.left = claimed.left;
        owner.know(versions);
        for entry in tail {
            owner.run.fold(entry);
        }
        owner.seq = claimed.seq;
        // An entry that only refuses moves no run, and is not later than the next all the same.
        let last = claimed.last_at.map_or(owner.run.now(), |at| at.max(owner.run.now()));
        owner.time = OwnTime::resumed(last, owner.run.wake_at(last), claimed.wake_at, now);
        owner.desk = Desk::of(&owner.run);
        owner.since_snapshot = (tail.len() as u64, claimed.tail.iter().map(|entry| entry.len()).sum());
        owner.snapshot_bytes = claimed.snapshot.as_ref().map_or(0, |snapshot| snapshot.state.len());
        owner
    }

    /// Makes versions known that a retry or a start names.
    pub fn know(&mut self, versions: impl IntoIterator<Item = (Hash, Arc<Workflow>)>) {
        for (hash, workflow) in versions {
            self.run.know(hash.clone(), workflow.clone());
            self.versions.insert(hash, workflow);
        }
    }

    /// Says what holds for the tenant's agents from here on.
    pub fn advise(&mut self, advice: Arc<Advice>) {
        self.run.advise(advice);
    }

    pub fn run(&self) -> &Run {
        &self.run
    }

    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    pub fn ownership(&self) -> Ownership {
        self.ownership
    }

    /// Number of the last entry that was handed to the store.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// What the append under way records, if anything.
    pub fn recording(&self) -> Option<Arc<Entry>> {
        self.under_way.as_ref().and_then(|under_way| under_way.entry.clone())
    }

    /// Items of the append under way that are refused with it.
    pub fn refusing(&self) -> Vec<i64> {
        let refused = self.under_way.iter().flat_map(|under_way| &under_way.refused);
        refused.map(|(item, _)| *item).collect()
    }

    /// The newest inbox item it was given.
    pub fn inbox_seen(&self) -> i64 {
        self.inbox_seen
    }

    /// What time it is for the run.
    pub fn time(&self, now: Now) -> Time {
        self.time.read(now)
    }

    /// How long it is until `at`, an instant of the run's own time.
    pub fn time_until(&self, at: Time, now: Now) -> Duration {
        at.since(self.time.read(now))
    }

    /// Takes one input to all that follows from it.
    pub fn handle(&mut self, input: Input, now: Now, think: &dyn Think, options: &Options) -> Vec<Output> {
        self.steady = now.steady;
        let now = self.time.go_on(now);
        let mut out = Vec::new();
        match input {
            Input::Appended => self.appended(&mut out),
            Input::Lease { until } => self.lease_until = self.lease_until.max(until),
            // Alone it moves nothing: a run that has not looked into its inbox yet would go back to sleep over it.
            Input::KeyGiven => {
                self.has_key = true;
                return out;
            }
            Input::Outcome { effect, outcome, spends, .. } if self.has_dropped(&effect) => {
                self.pay_dropped(effect, &outcome, spends, now, options, &mut out);
            }
            input => self.waiting.push_back(input),
        }
        let mut moves = true;
        while moves && self.under_way.is_none() && self.held.is_none() && !self.gone {
            self.move_on(now, think, options, &mut out);
            moves = !self.waiting.is_empty();
        }
        out
    }

    fn move_on(&mut self, now: Time, think: &dyn Think, options: &Options, out: &mut Vec<Output>) {
        let mut batch = Batch::default();
        while let Some(input) = self.waiting.pop_front() {
            self.take(input, now, options, &mut batch, out);
        }
        self.think(now, think, &mut batch);
        let dropped = self.forget_unwanted(out);
        if !dropped.is_empty() {
            self.held = Some(Held { batch, at: now, dropped });
        } else if batch.is_empty() {
            self.let_out(now, options, out);
        } else {
            self.write(now, now, options, batch, out);
        }
    }

    /// `decided`: when what it says was decided, which is before `now` where it waited for what dropped calls cost.
    fn write(&mut self, decided: Time, now: Time, options: &Options, batch: Batch, out: &mut Vec<Output>) {
        match self.append(decided, now, options, batch) {
            Ok(append) => {
                out.push(Output::Append(Box::new(append)));
                if planted(Mutant::SentBeforeAppend) {
                    self.let_out(now, options, out);
                }
            }
            Err(_) => self.fall(out),
        }
    }

    /// What cannot be written down cannot have happened: the run is folded afresh by its next owner. It is not given back
    /// in order, since calls may be out.
    fn fall(&mut self, out: &mut Vec<Output>) {
        self.gone = true;
        out.push(Output::Fallen);
    }

    fn decide(&mut self, command: Command, now: Time, batch: &mut Batch) -> Result<(), Refusal> {
        let words = audit::Word::of(&command, &self.run, now.max(self.run.now()));
        let events = self.run.decide(command, now)?;
        let rows = words.iter().flat_map(|word| word.rows(&events, &self.id, &self.tenant, now));
        batch.audit.extend(rows);
        batch.audit.extend(audit::refused(&events, &self.run, &self.id, &self.tenant, now));
        batch.events.extend(events);
        Ok(())
    }

    /// Agents' steps are pure: they are asked before the append, and share it.
    fn think(&mut self, now: Time, think: &dyn Think, batch: &mut Batch) {
        while let Some((node, task, seen)) = self.run.thinking() {
            let step = think.step(task, seen);
            let quote = match &step {
                Step::AskModel(request) => think.quote(request),
                _ => Quote::default(),
            };
            if self.decide(Command::Stepped { node, step, quote }, now, batch).is_err() {
                return;
            }
        }
    }
}
