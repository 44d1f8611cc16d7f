//! Moves one run while this process owns it. No IO and no clock: inputs in, outputs out.
//!
//! Inputs that arrive while an append is in progress wait for it and share the next one. Effects are derived only from
//! durable state. A failed append ends the ownership: the next owner folds the run from the journal.

mod batch;
mod dispatch;
mod exchange;
mod inputs;
mod savings;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use baton_core::agent::{AgentConstraints, AgentStep, StepFunction};
use baton_core::bundle::ContentHash;
use baton_core::graph::Workflow;
use baton_core::id::{RunId, TenantId};
use baton_core::money::PriceQuote;
use baton_core::mutant::{Mutant, planted};
use baton_core::run::{EffectId, IncomingCommand, OwnerDeparture, Run, RunCommand, RunEntry, RunEvent, RunRefusal};
use baton_core::time::Time;
use baton_ports::clock::MonotonicTime;
use baton_ports::journal::{ClaimedAggregate, InboxItem, Ownership, RunHeadUpdate};

use crate::aggregate_clock::{AggregateClock, ClockReading};
use crate::projections::OpenTasks;
use crate::{EngineOptions, agent_registry, audit};

use batch::AppendBatch;

pub use exchange::{Attempt, CallRequest, OwnerInput, OwnerOutput};

/// The name recorded for the provider of a consumer's key; the engine does not know the name of the person.
const KEY_PROVIDER: &str = "consumer";

/// The state of a dispatched call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CallState {
    Dispatched,
    /// A model is being asked, which has a cost however it ends.
    AskingModel,
    /// Permitted; its marker is being written.
    WritingMarker {
        until: MonotonicTime,
        /// The deadline in the journal, in the run's own time.
        deadline: Time,
    },
}

/// A run and the right to move it.
pub struct RunOwner {
    run: Run,
    id: RunId,
    tenant: TenantId,
    ownership: Ownership,
    seq: u64,
    time: AggregateClock,
    /// The time of the last input.
    monotonic: MonotonicTime,
    lease_until: MonotonicTime,
    inputs: VecDeque<OwnerInput>,
    in_flight: BTreeMap<EffectId, CallState>,
    /// What takes effect once the append in progress is durable.
    pending_append: Option<PendingAppend>,
    /// A decided batch that waits until its cost is known.
    held_batch: Option<HeldBatch>,
    head: Option<RunHeadUpdate>,
    open_tasks: OpenTasks,
    inbox_seen: i64,
    since_snapshot: (u64, usize),
    snapshot_bytes: usize,
    versions: BTreeMap<ContentHash, Arc<Workflow>>,
    /// The run was taken over, and what its last owner left behind has not been examined yet.
    takes_over: bool,
    /// How that owner gave up the run.
    departure: OwnerDeparture,
    /// The consumer's key is here, and the calls that wait for it have not been unblocked yet.
    has_key: bool,
    /// This owner produces nothing more.
    is_finished: bool,
}

/// A batch that dropped calls to models. It is appended once their cost is known, so that no run ends with a lower cost
/// than was paid.
struct HeldBatch {
    batch: AppendBatch,
    at: Time,
    dropped: BTreeSet<EffectId>,
}

struct PendingAppend {
    /// `None` if items are consumed that changed nothing.
    entry: Option<Arc<RunEntry>>,
    agent_outcomes: Vec<agent_registry::AgentOutcome>,
    announce: Vec<RunId>,
    refused: Vec<(i64, RunRefusal)>,
    released: bool,
}

/// The bundles that the shell must load before [`RunOwner::claimed`]: those named by the entries, the items and the
/// snapshot.
pub fn versions_of(entries: &[RunEntry], items: &[InboxItem], snapshot: Option<&Run>) -> Vec<ContentHash> {
    let mut hashes: Vec<ContentHash> = snapshot.and_then(Run::bundle).cloned().into_iter().collect();
    for event in entries.iter().flat_map(|entry| &entry.events) {
        match event {
            RunEvent::Started(started) => hashes.push(started.bundle.clone()),
            RunEvent::Reopened(reopened) => {
                if let baton_core::run::RunReopened::Retry { bundle, .. } = &**reopened {
                    hashes.push(bundle.clone());
                }
            }
            _ => {}
        }
    }
    for item in items {
        match serde_json::from_slice::<IncomingCommand>(&item.payload) {
            Ok(IncomingCommand::Start(started)) => hashes.push(started.bundle),
            Ok(IncomingCommand::Retry { bundle, .. }) => hashes.push(bundle),
            Ok(IncomingCommand::Fork { past, .. }) => hashes.extend(versions_of(&past, &[], None)),
            _ => {}
        }
    }
    hashes.sort();
    hashes.dedup();
    hashes
}

impl RunOwner {
    /// The owner of a run that was just created here.
    pub fn created(id: RunId, tenant: TenantId, ownership: Ownership, lease_until: MonotonicTime) -> Self {
        Self {
            run: Run::new(),
            id,
            tenant,
            ownership,
            seq: 0,
            time: AggregateClock::default(),
            monotonic: MonotonicTime::default(),
            lease_until,
            inputs: VecDeque::new(),
            in_flight: BTreeMap::new(),
            pending_append: None,
            held_batch: None,
            head: None,
            open_tasks: OpenTasks::default(),
            inbox_seen: 0,
            since_snapshot: (0, 0),
            snapshot_bytes: 0,
            versions: BTreeMap::new(),
            takes_over: false,
            departure: OwnerDeparture::Released,
            has_key: false,
            is_finished: false,
        }
    }

    /// The owner of a run claimed from the store, folded from its snapshot and tail. Its first input is
    /// [`OwnerInput::Items`].
    pub fn claimed(
        id: RunId,
        claimed: &ClaimedAggregate,
        run: Run,
        tail: &[RunEntry],
        versions: impl IntoIterator<Item = (ContentHash, Arc<Workflow>)>,
        lease_until: MonotonicTime,
        now: ClockReading,
    ) -> Self {
        let mut owner = Self::created(id, claimed.tenant.clone(), claimed.ownership, lease_until);
        owner.run = run;
        owner.takes_over = true;
        owner.departure = claimed.departure;
        owner.add_versions(versions);
        for entry in tail {
            owner.run.fold(entry);
        }
        owner.seq = claimed.seq;
        // An entry that only refuses items does not move the run's time, but the next entry must still not be earlier.
        let last = claimed.last_at.map_or(owner.run.now(), |at| at.max(owner.run.now()));
        owner.time = AggregateClock::resumed(last, owner.run.wake_at(last), claimed.wake_at, now);
        owner.open_tasks = OpenTasks::of(&owner.run);
        owner.since_snapshot = (tail.len() as u64, claimed.tail.iter().map(|entry| entry.len()).sum());
        owner.snapshot_bytes = claimed.snapshot.as_ref().map_or(0, |snapshot| snapshot.state.len());
        owner
    }

    /// Adds versions that a retry or a start names.
    pub fn add_versions(&mut self, versions: impl IntoIterator<Item = (ContentHash, Arc<Workflow>)>) {
        for (hash, workflow) in versions {
            self.run.add_version(hash.clone(), workflow.clone());
            self.versions.insert(hash, workflow);
        }
    }

    /// Sets the constraints on the tenant's agents from now on.
    pub fn set_advice(&mut self, advice: Arc<AgentConstraints>) {
        self.run.set_agent_constraints(advice);
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

    /// Sequence number of the last entry that was handed to the store.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The entry of the append in progress, if any.
    pub fn pending_entry(&self) -> Option<Arc<RunEntry>> {
        self.pending_append.as_ref().and_then(|under_way| under_way.entry.clone())
    }

    /// Items that the append in progress refuses.
    pub fn pending_refusals(&self) -> Vec<i64> {
        let refused = self.pending_append.iter().flat_map(|under_way| &under_way.refused);
        refused.map(|(item, _)| *item).collect()
    }

    /// The newest inbox item it was given.
    pub fn inbox_seen(&self) -> i64 {
        self.inbox_seen
    }

    /// The run's own time.
    pub fn time(&self, now: ClockReading) -> Time {
        self.time.read(now)
    }

    /// Time left until `at`, an instant of the run's own time.
    pub fn time_until(&self, at: Time, now: ClockReading) -> Duration {
        at.since(self.time.read(now))
    }

    /// Handles one input and everything that follows from it.
    pub fn handle(
        &mut self,
        input: OwnerInput,
        now: ClockReading,
        think: &dyn StepFunction,
        options: &EngineOptions,
    ) -> Vec<OwnerOutput> {
        self.monotonic = now.monotonic;
        let now = self.time.advance(now);
        let mut out = Vec::new();
        match input {
            OwnerInput::Appended => self.appended(&mut out),
            OwnerInput::Lease { until } => self.lease_until = self.lease_until.max(until),
            // The key alone changes nothing: a run that has not read its inbox yet would go back to sleep.
            OwnerInput::KeyProvided => {
                self.has_key = true;
                return out;
            }
            OwnerInput::Outcome { effect, outcome, spends, .. } if self.has_dropped(&effect) => {
                self.settle_dropped(effect, &outcome, spends, now, options, &mut out);
            }
            input => self.inputs.push_back(input),
        }
        let mut moves = true;
        while moves && self.pending_append.is_none() && self.held_batch.is_none() && !self.is_finished {
            self.advance(now, think, options, &mut out);
            moves = !self.inputs.is_empty();
        }
        out
    }

    fn advance(&mut self, now: Time, think: &dyn StepFunction, options: &EngineOptions, out: &mut Vec<OwnerOutput>) {
        let mut batch = AppendBatch::default();
        while let Some(input) = self.inputs.pop_front() {
            self.apply_input(input, now, options, &mut batch, out);
        }
        self.think(now, think, &mut batch);
        let dropped = self.cancel_unwanted(out);
        if !dropped.is_empty() {
            self.held_batch = Some(HeldBatch { batch, at: now, dropped });
        } else if batch.is_empty() {
            self.dispatch_ready(now, options, out);
        } else {
            self.begin_append(now, now, options, batch, out);
        }
    }

    /// `decided` is when the content was decided. It is before `now` if the batch waited for the cost of dropped calls.
    fn begin_append(
        &mut self,
        decided: Time,
        now: Time,
        options: &EngineOptions,
        batch: AppendBatch,
        out: &mut Vec<OwnerOutput>,
    ) {
        match self.build_append(decided, now, options, batch) {
            Ok(append) => {
                out.push(OwnerOutput::Append(Box::new(append)));
                if planted(Mutant::SentBeforeAppend) {
                    self.dispatch_ready(now, options, out);
                }
            }
            Err(_) => self.fail(out),
        }
    }

    /// What cannot be written did not happen: the next owner folds the run again. It is not released in order, since
    /// calls may be in flight.
    fn fail(&mut self, out: &mut Vec<OwnerOutput>) {
        self.is_finished = true;
        out.push(OwnerOutput::Failed);
    }

    fn decide(&mut self, command: RunCommand, now: Time, batch: &mut AppendBatch) -> Result<(), RunRefusal> {
        let words = audit::DecisionAudit::of(&command, &self.run, now.max(self.run.now()));
        let events = self.run.decide(command, now)?;
        let rows = words.iter().flat_map(|word| word.rows(&events, &self.id, &self.tenant, now));
        batch.audit.extend(rows);
        batch.audit.extend(audit::refused_tool_rows(&events, &self.run, &self.id, &self.tenant, now));
        batch.events.extend(events);
        Ok(())
    }

    /// The steps of agents are pure: they are computed before the append, and share it.
    fn think(&mut self, now: Time, think: &dyn StepFunction, batch: &mut AppendBatch) {
        while let Some((node, task, seen)) = self.run.agent_to_step() {
            let step = think.step(task, seen);
            let quote = match &step {
                AgentStep::AskModel(request) => think.quote(request),
                _ => PriceQuote::default(),
            };
            if self.decide(RunCommand::Stepped { node, step, quote }, now, batch).is_err() {
                return;
            }
        }
    }
}
