//! What moves one run while this process owns it. No IO, no clock: inputs in, outputs out.
//!
//! Inputs that arrive while an append is under way wait for it and share the next one. Effects come out only of state
//! that is durable. An append that fails ends the ownership: whoever claims the run next folds it from the journal.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use baton_core::agent::{Advice, Seen, Step, Task, Think};
use baton_core::bundle::Hash;
use baton_core::graph::Workflow;
use baton_core::id::{RunId, TenantId};
use baton_core::model;
use baton_core::money::Usd;
use baton_core::mutant::{Mutant, planted};
use baton_core::run::{
    Command, Effect, EffectId, Entry, Event, FOLD_VERSION, Incoming, Outcome, Refusal, Request, Role, Run,
};
use baton_core::time::Time;
use baton_core::tool::{AuditRow, AuditStatus, Call, Caller, Class};
use baton_ports::budget::{Account, Spend};
use baton_ports::journal::{Append, Claimed, Head, InboxItem, Ownership, Projection, Snapshot, Submit};

use crate::projections::Desk;
use crate::{Options, messages, roster};

/// Who gave a key, for the journal: whoever runs the consumer's work is not known by name here.
const KEY_GIVER: &str = "consumer";

/// What happened to the run from outside.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "most inputs are outcomes, the largest")]
pub enum Input {
    /// Items read from the inbox, oldest first.
    Items(Vec<InboxItem>),
    /// A call came back, with the row the audit keeps of it and what it cost.
    Outcome { effect: EffectId, outcome: Outcome, audit: Option<Box<AuditRow>>, spends: Vec<Spend> },
    /// The consumer's key is in this process's memory: what waited for it goes on with the next items.
    KeyGiven,
    /// A marked call may go out: its marker is to be written first.
    Permitted { effect: EffectId },
    /// The append under way is durable.
    Appended,
    /// A timer may be due.
    Wake,
    /// The process's lease was renewed until then.
    Lease { until: Time },
}

/// What the shell must do.
#[derive(Debug)]
pub enum Output {
    /// One at a time; answered by [`Input::Appended`], or by dropping the owner.
    Append(Box<Append>),
    /// Check and perform a call; a marked one is checked, then asks leave by [`Input::Permitted`].
    Send(Box<Send>),
    /// The marker is durable: perform the permitted call now, and give it up then. Whoever finds that it is too late
    /// answers [`Outcome::NotSent`].
    Perform { effect: EffectId, until: Time },
    /// Ask the service what became of a call.
    LookUp(Box<Send>),
    /// The permit of this call is not needed any more.
    Drop { effect: EffectId },
    /// An inbox item was refused.
    Refused { item: i64, refusal: Refusal },
    /// How tasks of agents ended.
    Noted(Vec<roster::Outcome>),
    /// These aggregates have something in their inbox.
    Announce(RunId),
    /// Ask again then.
    WakeAt(Time),
    /// The run sleeps or has ended, and its ownership was given back with the last append.
    Released,
    /// The run sleeps, and its ownership is still to be given back.
    Release,
}

/// One attempt of one call.
#[derive(Clone, Debug)]
pub struct Send {
    pub effect: EffectId,
    pub what: What,
    pub class: Class,
    pub limit: Duration,
    pub approved: Option<String>,
}

#[derive(Clone, Debug)]
pub enum What {
    Tool(Call),
    Model {
        key: String,
        request: baton_core::model::Request,
        /// The workflow's name.
        workflow: String,
        caller: Caller,
    },
    Code {
        key: String,
        program: baton_core::agent::Program,
    },
    /// The next step of an agent that somebody else thinks for.
    Step {
        key: String,
        endpoint: String,
        task: Box<Task>,
        seen: Vec<Seen>,
    },
}

impl What {
    /// Whether a tenant's agent waits for it: it counts against what they may have at once.
    pub fn is_of_an_agent(&self) -> bool {
        matches!(self, Self::Model { .. } | Self::Code { .. } | Self::Step { .. })
    }
}

/// Where a call that was let out is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flight {
    Out,
    /// Permitted; its marker is being written.
    Marking {
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
    lease_until: Time,
    waiting: VecDeque<Input>,
    in_flight: BTreeMap<EffectId, Flight>,
    /// What the append under way will have done.
    under_way: Option<UnderWay>,
    head: Option<Head>,
    desk: Desk,
    inbox_seen: i64,
    since_snapshot: (u64, usize),
    snapshot_bytes: usize,
    versions: BTreeMap<Hash, Arc<Workflow>>,
    /// It was taken over, and what its last owner left behind is not looked into yet.
    takes_over: bool,
    /// That owner died over it.
    orphaned: bool,
    /// The consumer's key is here, and what waits for it has not been told.
    has_key: bool,
    /// Nothing more will come of this owner.
    gone: bool,
}

struct UnderWay {
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
    pub fn fresh(id: RunId, tenant: TenantId, ownership: Ownership, lease_until: Time) -> Self {
        Self {
            run: Run::new(),
            id,
            tenant,
            ownership,
            seq: 0,
            lease_until,
            waiting: VecDeque::new(),
            in_flight: BTreeMap::new(),
            under_way: None,
            head: None,
            desk: Desk::default(),
            inbox_seen: 0,
            since_snapshot: (0, 0),
            snapshot_bytes: 0,
            versions: BTreeMap::new(),
            takes_over: false,
            orphaned: false,
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
        lease_until: Time,
    ) -> Self {
        let mut owner = Self::fresh(id, claimed.tenant.clone(), claimed.ownership, lease_until);
        owner.run = run;
        owner.takes_over = true;
        owner.orphaned = claimed.orphaned;
        owner.know(versions);
        for entry in tail {
            owner.run.fold(entry);
        }
        owner.seq = claimed.seq;
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

    /// Items of the append under way that are refused with it.
    pub fn refusing(&self) -> Vec<i64> {
        let refused = self.under_way.iter().flat_map(|under_way| &under_way.refused);
        refused.map(|(item, _)| *item).collect()
    }

    /// The newest inbox item it was given.
    pub fn inbox_seen(&self) -> i64 {
        self.inbox_seen
    }

    /// Takes one input to all that follows from it.
    pub fn handle(&mut self, input: Input, now: Time, think: &dyn Think, options: &Options) -> Vec<Output> {
        let mut out = Vec::new();
        match input {
            Input::Appended => self.appended(&mut out),
            Input::Lease { until } => self.lease_until = self.lease_until.max(until),
            // Alone it moves nothing: a run that has not looked into its inbox yet would go back to sleep over it.
            Input::KeyGiven => {
                self.has_key = true;
                return out;
            }
            input => self.waiting.push_back(input),
        }
        let mut moves = true;
        while moves && self.under_way.is_none() && !self.gone {
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
        self.forget_unwanted(out);
        if batch.is_empty() {
            return self.let_out(now, options, out);
        }
        match self.append(now, options, batch) {
            Ok(append) => {
                out.push(Output::Append(Box::new(append)));
                if planted(Mutant::SentBeforeAppend) {
                    self.let_out(now, options, out);
                }
            }
            // What cannot be written down cannot have happened: the run is folded afresh by its next owner.
            Err(_) => {
                self.gone = true;
                out.push(Output::Release);
            }
        }
    }

    fn take(&mut self, input: Input, now: Time, options: &Options, batch: &mut Batch, out: &mut Vec<Output>) {
        match input {
            Input::Items(items) => {
                if std::mem::take(&mut self.takes_over) {
                    self.take_over(now, batch);
                }
                for item in items {
                    self.take_item(&item, now, batch);
                }
                if std::mem::take(&mut self.has_key) {
                    // A refusal means that nothing waits for it.
                    self.decide(Command::KeyGiven { by: KEY_GIVER.to_owned() }, now, batch).ok();
                }
                self.decide(Command::Wake, now, batch).ok();
            }
            Input::Outcome { effect, outcome, audit, spends } => {
                self.in_flight.remove(&effect);
                batch.spends.extend(spends);
                if let Some(mut row) = audit {
                    if effect.call.role == Role::Undo && row.status == AuditStatus::Success {
                        row.status = AuditStatus::Compensated;
                    }
                    batch.audit.push(*row);
                }
                // A refusal is a duplicate: what it reports is recorded already.
                self.decide(Command::Outcome { effect, outcome }, now, batch).ok();
            }
            Input::Permitted { effect } => self.permitted(effect, now, options, batch, out),
            Input::Wake => {
                self.decide(Command::Wake, now, batch).ok();
            }
            Input::Appended | Input::Lease { .. } | Input::KeyGiven => {}
        }
    }

    /// Looks into what the last owner left behind. What it had asked models, if it died, is paid for as if it had been
    /// answered: its allowance covers that, so it is counted and taken from no budget again.
    fn take_over(&mut self, now: Time, batch: &mut Batch) {
        let before = batch.events.len();
        let command = Command::TakenOver { epoch: self.ownership.epoch, orphaned: self.orphaned };
        self.decide(command, now, batch).ok();
        for event in &batch.events[before..] {
            if let Event::HoldLost { effect, cost } = event {
                // What else was decided may have abandoned the call already: it is paid for all the same.
                batch.spends.push(self.lost(self.run.asks_model(&effect.call), *cost, now));
            }
        }
    }

    fn lost(&self, request: Option<&model::Request>, cost: Usd, now: Time) -> Spend {
        let account = Account {
            workflow: self.workflow(),
            agent: request.map(|request| request.agent.clone()).unwrap_or_default(),
            profile: request.map(|request| request.profile.word().to_owned()).unwrap_or_default(),
            model: request.and_then(|request| request.model.clone()).unwrap_or_default(),
            provider: String::new(),
        };
        Spend {
            tenant: self.tenant.clone(),
            key_id: self.run.started().and_then(|started| started.caller.key_id.clone()),
            account,
            at: now,
            holder: None,
            calls: 1,
            answered: 0,
            estimated: 1,
            cost,
            usage: model::Usage::default(),
            latency_ms: 0,
        }
    }

    fn workflow(&self) -> String {
        self.run.workflow().map(|workflow| workflow.name.clone()).unwrap_or_default()
    }

    fn permitted(&mut self, effect: EffectId, now: Time, options: &Options, batch: &mut Batch, out: &mut Vec<Output>) {
        let limit = self.run.pending(now).find_map(|pending| match pending {
            Effect::Send { effect: id, timeout, .. } if id == effect => Some(timeout),
            _ => None,
        });
        let deadline = limit.map(|limit| (now + limit).min(self.lease_until - options.lease_margin));
        match deadline {
            Some(until) if planted(Mutant::MarkerSkipped) => {
                self.in_flight.insert(effect.clone(), Flight::Out);
                return out.push(Output::Perform { effect, until });
            }
            Some(deadline) if deadline > now => {
                let command = Command::Sending { effect: effect.clone(), epoch: self.ownership.epoch, deadline };
                if self.decide(command, now, batch).is_ok() {
                    self.in_flight.insert(effect, Flight::Marking { deadline });
                    return;
                }
            }
            // Cancelled meanwhile, or the lease is too short to send under: it goes out again once it is longer.
            _ => {}
        }
        self.in_flight.remove(&effect);
        out.push(Output::Drop { effect });
    }

    fn take_item(&mut self, item: &InboxItem, now: Time, batch: &mut Batch) {
        if item.item <= self.inbox_seen {
            return;
        }
        self.inbox_seen = item.item;
        batch.items.push(item.item);
        if planted(Mutant::InboxForgotten) && item.command_id != "start" {
            return;
        }
        let refusal = match serde_json::from_slice::<Incoming>(&item.payload) {
            Ok(incoming) => {
                let is_rollback = matches!(incoming, Incoming::Rollback { .. });
                let refusal = self.take_incoming(incoming, now, batch).err();
                if refusal.is_some() && is_rollback {
                    batch.outbox.extend(messages::undone(&self.tenant, &self.run, item.item, now).ok().flatten());
                }
                refusal
            }
            Err(error) => Some(Refusal::Impossible { reason: format!("the item cannot be read: {error}") }),
        };
        batch.refused.extend(refusal.map(|refusal| (item.item, refusal)));
    }

    fn take_incoming(&mut self, incoming: Incoming, now: Time, batch: &mut Batch) -> Result<(), Refusal> {
        let unknown =
            |hash: &Hash| Refusal::Impossible { reason: format!("version {} is not known here", hash.short()) };
        let command = match incoming {
            Incoming::Start(started) => {
                let workflow = self.versions.get(&started.bundle).cloned().ok_or_else(|| unknown(&started.bundle))?;
                Command::Start { started, workflow }
            }
            Incoming::Fork { past, forked } => {
                if self.run.started().is_some() {
                    return Err(Refusal::AlreadyStarted { state: self.run.state() });
                }
                for event in past.into_iter().flat_map(|entry| entry.events) {
                    self.run.apply(now, &event);
                    batch.events.push(event);
                }
                Command::Fork { forked }
            }
            Incoming::Retry { by, bundle } => {
                let workflow = self.versions.get(&bundle).cloned().ok_or_else(|| unknown(&bundle))?;
                Command::Retry { by, bundle, workflow }
            }
            Incoming::Signal(signal) => Command::Signal(signal),
            Incoming::Answer { node, by, decision } => Command::Answer { node, by, decision },
            Incoming::Approve { effect, by, approved } => Command::Approve { effect, by, approved },
            Incoming::Resolve { effect, by, resolution } => Command::Resolve { effect, by, resolution },
            Incoming::ChildEnded { node, ended } => Command::ChildEnded { node, ended },
            Incoming::ChildUndone { run, fault } => Command::ChildUndone { run, fault },
            Incoming::Pause { by } => Command::Pause { by },
            Incoming::Resume { by } => Command::Resume { by },
            Incoming::Cancel { by, compensate } => Command::Cancel { by, compensate },
            Incoming::Rollback { by } => Command::Rollback { by },
        };
        self.decide(command, now, batch)
    }

    fn decide(&mut self, command: Command, now: Time, batch: &mut Batch) -> Result<(), Refusal> {
        batch.events.extend(self.run.decide(command, now)?);
        Ok(())
    }

    /// Agents' steps are pure: they are asked before the append, and share it.
    fn think(&mut self, now: Time, think: &dyn Think, batch: &mut Batch) {
        while let Some((node, task, seen)) = self.run.thinking() {
            let step = think.step(task, seen);
            let hold = match &step {
                Step::AskModel(request) => think.hold(request),
                _ => Usd::ZERO,
            };
            if self.decide(Command::Stepped { node, step, hold }, now, batch).is_err() {
                return;
            }
        }
    }

    /// Calls nobody waits for any more are dropped where they are.
    fn forget_unwanted(&mut self, out: &mut Vec<Output>) {
        let run = &self.run;
        for (effect, _) in self.in_flight.extract_if(.., |effect, _| !run.awaits(effect)) {
            out.push(Output::Drop { effect });
        }
    }

    fn append(&mut self, now: Time, options: &Options, batch: Batch) -> Result<Append, serde_json::Error> {
        let at = now.max(self.run.now());
        let mut outbox = messages::of(&self.tenant, &self.run, &batch.events, at)?;
        outbox.extend(batch.outbox);
        let mut projections = self.desk.follow(&self.tenant, &self.run, &batch.events, at);
        if planted(Mutant::OutboxLost) {
            outbox.clear();
        }
        if planted(Mutant::DeskLeftOpen) {
            projections.retain(|projection| matches!(projection, Projection::DeskOpened(_)));
        }
        let noted = batch.events.iter().filter_map(roster::Outcome::of).collect();
        let entry = Entry { at, events: batch.events };
        let bytes: Arc<[u8]> = serde_json::to_vec(&entry)?.into();
        let release = self.will_sleep(now, options);
        let head = self.head_if_changed(release);
        self.since_snapshot.0 += 1;
        self.since_snapshot.1 += bytes.len();
        let snapshot = self.snapshot_if_due(options)?;
        let announce = outbox.iter().map(|submit: &Submit| submit.aggregate.clone()).collect();
        self.under_way = Some(UnderWay { noted, announce, refused: batch.refused, released: release });
        let append = Append {
            ownership: self.ownership,
            aggregate: self.id.clone(),
            tenant: self.tenant.clone(),
            expected_seq: self.seq,
            at,
            entry: bytes,
            // By the clock and not by the entry, which is later where the clock went back: what goes out between the
            // two would be forgotten.
            wake_at: self.run.wake_at(now),
            release,
            head,
            inbox_done: batch.items,
            outbox,
            projections,
            audit: if planted(Mutant::AuditLost) { Vec::new() } else { batch.audit },
            spends: batch.spends,
            snapshot,
        };
        self.seq += 1;
        Ok(append)
    }

    /// Whether nothing will be left to do here once the append is durable.
    fn will_sleep(&self, now: Time, options: &Options) -> bool {
        if self.run.state().is_end() {
            return self.in_flight.is_empty();
        }
        let soon = self.run.wake_at(now).is_some_and(|at| at <= now + options.keep_awake);
        self.in_flight.is_empty() && !soon && !self.run.has_more() && self.run.pending(now).next().is_none()
    }

    fn head_if_changed(&mut self, release: bool) -> Option<Head> {
        let state = self.run.state();
        let same = self.head.as_ref().is_some_and(|head| head.state == state);
        if same && !release {
            return None;
        }
        let head = Head {
            state,
            started_at: self.run.started().map(|_| self.run.started_at()),
            ended_at: state.is_end().then(|| self.run.now()),
            cost_nanos: self.run.cost().as_nanos(),
            fault: self.run.fault().map(ToString::to_string),
        };
        if self.head.as_ref() == Some(&head) {
            return None;
        }
        self.head = Some(head.clone());
        Some(head)
    }

    /// A snapshot is worth its bytes once as many were journaled since the last.
    fn snapshot_if_due(&mut self, options: &Options) -> Result<Option<Snapshot>, serde_json::Error> {
        let (entries, bytes) = self.since_snapshot;
        if entries < options.snapshot_entries || bytes < self.snapshot_bytes {
            return Ok(None);
        }
        let state: Arc<[u8]> = serde_json::to_vec(&self.run)?.into();
        self.since_snapshot = (0, 0);
        self.snapshot_bytes = state.len();
        let seq = self.seq + u64::from(!planted(Mutant::SnapshotSeqWrong));
        Ok(Some(Snapshot { fold_version: FOLD_VERSION, seq, state }))
    }

    fn appended(&mut self, out: &mut Vec<Output>) {
        let Some(done) = self.under_way.take() else { return };
        out.extend(done.refused.into_iter().map(|(item, refusal)| Output::Refused { item, refusal }));
        out.extend((!done.noted.is_empty()).then_some(Output::Noted(done.noted)));
        out.extend(done.announce.into_iter().map(Output::Announce));
        if done.released {
            self.gone = true;
            out.push(Output::Released);
        }
    }

    /// Lets out what may go out of durable state, or gives the run back.
    fn let_out(&mut self, now: Time, options: &Options, out: &mut Vec<Output>) {
        let marked: Vec<(EffectId, Time)> = self
            .in_flight
            .iter()
            .filter_map(|(effect, flight)| match flight {
                Flight::Marking { deadline } => Some((effect.clone(), *deadline)),
                Flight::Out => None,
            })
            .collect();
        for (effect, deadline) in marked {
            self.in_flight.insert(effect.clone(), Flight::Out);
            out.push(Output::Perform { effect, until: deadline });
        }
        let fresh: Vec<Output> = self
            .run
            .pending(now)
            .filter(|effect| !self.in_flight.contains_key(id_of(effect)))
            .filter_map(|effect| self.output_of(effect))
            .collect();
        for output in fresh {
            if let Output::Send(send) | Output::LookUp(send) = &output {
                self.in_flight.insert(send.effect.clone(), Flight::Out);
            }
            out.push(output);
        }
        if self.run.has_more() {
            self.waiting.push_back(Input::Wake);
        } else if self.in_flight.is_empty() && self.will_sleep(now, options) {
            self.gone = true;
            out.push(Output::Release);
        } else if let Some(at) = self.run.wake_at(now) {
            out.push(Output::WakeAt(at));
        }
    }

    fn output_of(&self, effect: Effect<'_>) -> Option<Output> {
        Some(match effect {
            Effect::Send { effect, request, class, timeout, attempt, at, approved } => {
                let what = self.what(&effect, request, class, attempt, at)?;
                let approved = approved.map(str::to_owned);
                Output::Send(Box::new(Send { effect, what, class, limit: timeout, approved }))
            }
            Effect::LookUp { effect, request, timeout, at } => {
                let what = self.what(&effect, request, Class::Verify, 1, at)?;
                Output::LookUp(Box::new(Send { effect, what, class: Class::Verify, limit: timeout, approved: None }))
            }
        })
    }

    /// What goes out; nothing for a step whose agent is not at work any more, which is dropped at the next decision.
    fn what(&self, effect: &EffectId, request: &Request, class: Class, attempt: u32, at: Time) -> Option<What> {
        let key = effect.key(&self.id);
        let caller = self.run.started().map(|started| started.caller.clone()).unwrap_or_default();
        Some(match request {
            Request::Model(request) => {
                What::Model { key, request: (**request).clone(), workflow: self.workflow(), caller }
            }
            Request::Code { program, .. } => What::Code { key, program: (**program).clone() },
            Request::Step { endpoint, .. } => {
                let asked = self.run.agent(&effect.call.node);
                let asked = asked.map(|(task, seen)| (Box::new(task.clone()), seen.to_vec()));
                let (endpoint, (task, seen)) = (endpoint.clone(), asked?);
                What::Step { key, endpoint, task, seen }
            }
            Request::Tool { tool, arguments, agent } => What::Tool(Call {
                tenant: self.tenant.clone(),
                run: self.id.clone(),
                key,
                tool: tool.clone(),
                arguments: (**arguments).clone(),
                class,
                agent: agent.clone(),
                attempt,
                at,
                caller,
            }),
        })
    }
}

fn id_of<'a>(effect: &'a Effect<'_>) -> &'a EffectId {
    match effect {
        Effect::Send { effect, .. } | Effect::LookUp { effect, .. } => effect,
    }
}

/// What one append will say.
#[derive(Default)]
struct Batch {
    events: Vec<Event>,
    items: Vec<i64>,
    refused: Vec<(i64, Refusal)>,
    outbox: Vec<Submit>,
    audit: Vec<AuditRow>,
    spends: Vec<Spend>,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.events.is_empty() && self.items.is_empty() && self.audit.is_empty() && self.spends.is_empty()
    }
}
