//! People and other systems: they start runs, answer questions, send signals and make requests at inconvenient times.

use std::sync::Arc;

use baton_core::id::RunId;
use baton_core::run::{
    DoubtResolution, EffectId, HumanDecision, IncomingCommand, MESSAGE, NodeAddress, RunOrigin, RunStarted, RunState,
    Signal,
};
use baton_core::tool::Caller;
use baton_engine::dispatcher::TaskExit;
use baton_engine::owner::RunOwner;
use baton_ports::journal::{
    AggregateKind, InboxItem, InboxReceipt, InboxSubmission, JournalAppend, NewAggregate, ProjectionRow, TaskItem,
    TaskItemKind,
};
use serde_json::{Value, json};

use crate::case::FaultPoint;
use crate::coverage::CoverageColumn;
use crate::rng::SeededRng;

use super::{ROUNDS_MAX, SimEvent, Simulation, log_story, tenant};

/// The people who may be asked to approve a call.
pub(super) const PEOPLE: [&str; 3] = ["p1", "p2", "p3"];
/// Starts every other run, and would approve its own requests too.
const REQUESTER: &str = "p0";
/// The maximum delay of an answer, in milliseconds: after most deadlines.
const LATE_MS: u64 = 150_000;
/// The sender of numbered signals.
const SENDER: &str = "shop";
/// The id prefix of answers that people repeat because a run has not ended.
const RESOLVE_PREFIX: &str = "/help/";

impl Simulation<'_> {
    /// Starts a run as the engine does: if there is a slot, the process owns it from its first instant.
    pub(super) fn start_run(&mut self, run: &RunId) {
        let up: Vec<usize> = (0..self.processes.len()).filter(|process| self.processes[*process].is_up()).collect();
        if up.is_empty() {
            return self.schedule_within(1_000, 2_000, SimEvent::StartRun { run: run.clone() });
        }
        let process = *self.rng.choose(&up);
        let started = RunStarted {
            run: run.clone(),
            tenant: tenant(),
            bundle: self.case.workflows.root.clone(),
            input: Arc::new(self.case.input.clone()),
            context: Value::Null,
            caller: Caller { user_id: self.requester(), ..Caller::default() },
            origin: RunOrigin::Caller,
        };
        let Some(submit) = self.encode_item(run, "start".to_owned(), &IncomingCommand::Start(Box::new(started))) else {
            return;
        };
        let has_place = self.processes[process].dispatcher.reserve_slot(run, false);
        let lease = self.processes[process].lease;
        let owner = has_place.then_some(lease.process);
        let creates = Some(NewAggregate { kind: AggregateKind::Run, workflow: "root".to_owned(), parent: None, owner });
        let submit = InboxSubmission { creates, ..submit };
        let (payload, at) = (submit.payload.clone(), submit.at);
        log_story!(self, "somebody starts {run} at p{process}");
        let fails = self.faults.store_failure();
        let accepted = if fails == Some(false) { None } else { self.accept(submit) };
        if let (Some(_), Some(InboxReceipt::Accepted { owned: Some(ownership), .. })) = (fails, &accepted) {
            self.oracle.claimed(run, *ownership);
        }
        if fails.is_some() {
            // The client does not know the result, and starts it again.
            if has_place {
                self.task_exited(process, run, TaskExit::Unsettled { moved: false });
            }
            return self.schedule_within(1_000, 2_000, SimEvent::StartRun { run: run.clone() });
        }
        if has_place && !matches!(accepted, Some(InboxReceipt::Accepted { owned: Some(_), .. })) {
            self.task_exited(process, run, TaskExit::NotOwned);
        }
        match accepted {
            Some(InboxReceipt::Accepted { item, owned: Some(ownership), .. }) => {
                self.oracle.claimed(run, ownership);
                let mut owner = RunOwner::created(run.clone(), tenant(), ownership, lease.until);
                owner.add_versions(
                    self.case.workflows.versions.iter().map(|(hash, workflow)| (hash.clone(), workflow.clone())),
                );
                let first = InboxItem { item, command_id: "start".to_owned(), payload, at };
                self.start_task(process, run, owner, vec![first]);
            }
            Some(InboxReceipt::Accepted { .. }) => self.announce(process, run),
            Some(InboxReceipt::Duplicate) | None => {}
        }
    }

    fn requester(&self) -> Option<String> {
        (self.script.is_none() && self.case.seed % 2 == 1).then(|| REQUESTER.to_owned())
    }

    pub(super) fn encode_item(
        &mut self,
        run: &RunId,
        command_id: String,
        incoming: &IncomingCommand,
    ) -> Option<InboxSubmission> {
        let payload = match serde_json::to_vec(incoming) {
            Ok(payload) => payload.into(),
            Err(error) => {
                self.record_violation("codec", format!("an inbox item cannot be written: {error}"));
                return None;
            }
        };
        Some(InboxSubmission {
            aggregate: run.clone(),
            tenant: tenant(),
            command_id,
            payload,
            at: self.now,
            creates: None,
        })
    }

    fn accept(&mut self, submit: InboxSubmission) -> Option<InboxReceipt> {
        self.store_changed = true;
        match self.journal.submit(submit.clone()) {
            Ok(submitted) => {
                self.oracle.accepted(&submit, &submitted);
                Some(submitted)
            }
            // A request for a run that does not exist yet.
            Err(_) => None,
        }
    }

    pub(super) fn submit(&mut self, submit: InboxSubmission) {
        let run = submit.aggregate.clone();
        let what = String::from_utf8_lossy(&submit.payload).into_owned();
        let Some(submitted) = self.accept(InboxSubmission { at: self.now, ..submit }) else { return };
        log_story!(self, "outside → {run}: {what} ({submitted:?})");
        let up: Vec<usize> = (0..self.processes.len()).filter(|process| self.processes[*process].is_up()).collect();
        if !up.is_empty() && !self.faults.loses_hint(&mut self.rng) {
            // It was submitted through one of the processes, which notifies itself.
            let process = *self.rng.choose(&up);
            let incarnation = self.processes[process].incarnation;
            self.schedule_within(0, 5, SimEvent::InboxHint { process, incarnation, run });
        }
    }

    fn send(&mut self, run: &RunId, id: String, incoming: &IncomingCommand, first: u64, last: u64) {
        if let Some(submit) = self.encode_item(run, id, incoming) {
            self.schedule_within(first, last, SimEvent::SubmitItem { submit: Box::new(submit) });
        }
    }

    /// The reactions of the outside world to the entry that was just recorded.
    pub(super) fn react_to_append(&mut self, append: &JournalAppend) {
        for projection in &append.projections {
            if let ProjectionRow::TaskOpened(item) = projection {
                // The customer is asked in the conversation.
                if self.asking_conversation(item).is_some() {
                    continue;
                }
                self.cue_question(item);
                if self.script.is_some() {
                    continue;
                }
                let delay = if self.rng.chance(self.faults.mistake_percent) { 150_000 } else { 4_000 };
                self.schedule_within(1_000, delay, SimEvent::ReviewTask { item: Box::new(item.clone()) });
            }
        }
        let run = &append.aggregate;
        let (waits, end) = self.oracle.last_entry(run);
        let is_scripted = self.script.is_some();
        // A conversation delivers messages to its runs.
        let is_talk = self.oracle.conversations.conversation_of(run).is_some();
        let waits = waits.into_iter().filter(|(_, name)| !(is_scripted || is_talk && name == MESSAGE));
        for (node, name) in waits {
            self.signal(run, &node, &name);
        }
        if let Some(state) = end {
            self.reopen(run, state);
        }
    }

    /// Sends the signal that a wait node waits for: once, or numbered and out of order, with a number that never
    /// arrives.
    fn signal(&mut self, run: &RunId, node: &NodeAddress, name: &str) {
        let number = self.next_number();
        let payload =
            if self.case.workflows.constraints.confluent { json!({ "is": "there" }) } else { json!({ "is": number }) };
        let plain = |payload: Value| Signal {
            name: name.to_owned(),
            payload: Arc::new(payload),
            source: String::new(),
            sequence: None,
            after_gap: false,
        };
        if !self.rng.chance(self.faults.mistake_percent) {
            let id = format!("signal/{node}/{number}");
            return self.send(run, id, &IncomingCommand::Signal(plain(payload)), 1, 5_000);
        }
        let numbered = |sequence: u64| Signal {
            source: SENDER.to_owned(),
            sequence: Some(sequence),
            ..plain(json!({ "is": number, "sequence": sequence }))
        };
        let orders: [&[u64]; 5] = [&[2, 1], &[1, 1, 2], &[3, 2], &[4, 1, 2], &[2, 2]];
        let order = *self.rng.choose(&orders);
        let base = 10 * self.oracle.next_sender_number(run);
        for (place, sequence) in order.iter().enumerate() {
            let sequence = base + sequence;
            let signal = numbered(sequence);
            let id = format!("{SENDER}/{sequence}/{place}");
            self.coverage.hit("wait", CoverageColumn::OutOfOrder, FaultPoint::Sent);
            self.send(run, id, &IncomingCommand::Signal(signal), 1, 3_000);
        }
    }

    /// An ended run may be rolled back or retried, once.
    fn reopen(&mut self, run: &RunId, state: RunState) {
        // A conversation gets no more updates from a run that has ended, so none of its runs is retried.
        if self.oracle.conversations.conversation_of(run).is_some() {
            return;
        }
        if !self.case.reopens || self.is_over() || run.as_str().contains('/') || !self.rng.chance(50) {
            return;
        }
        let by = "operator".to_owned();
        let incoming = match state {
            RunState::Failed | RunState::TimedOut if self.rng.chance(60) => {
                IncomingCommand::Retry { by, bundle: self.case.workflows.root.clone() }
            }
            RunState::Completed | RunState::Failed | RunState::Cancelled | RunState::TimedOut => {
                IncomingCommand::Rollback { by, asked_by: Vec::new() }
            }
            _ => return,
        };
        let column = match incoming {
            IncomingCommand::Retry { .. } => CoverageColumn::Retry,
            _ => CoverageColumn::Rollback,
        };
        for row in self.oracle.settled_node_kinds(run) {
            self.coverage.hit(row, column, FaultPoint::Recorded);
        }
        let number = self.next_number();
        self.send(run, format!("operator/{number}"), &incoming, 1, 3_000);
    }

    /// A person looks at a task inbox item, and resolves it or makes a mistake.
    pub(super) fn review_task(&mut self, item: &TaskItem) {
        if self.rng.chance(self.faults.mistake_percent) {
            self.answer_wrongly(item);
        }
        let number = self.next_number();
        self.answer_item(item, &format!("{}/{number}", item.id));
        if self.rng.chance(self.faults.mistake_percent) {
            match item.kind {
                TaskItemKind::Form if effect_of(item).is_some() => {}
                TaskItemKind::Approval | TaskItemKind::Form => {
                    self.coverage.hit("human", CoverageColumn::AnsweredTwice, FaultPoint::Sent)
                }
                TaskItemKind::Question => {
                    let asker = item.run.as_ref().zip(address_of(item));
                    let row = asker.and_then(|(run, at)| self.oracle.node_kind(run, &at)).unwrap_or("agent");
                    self.coverage.hit(row, CoverageColumn::AnsweredTwice, FaultPoint::Sent);
                }
                TaskItemKind::Doubt
                | TaskItemKind::ToolApproval
                | TaskItemKind::NotUndone
                | TaskItemKind::Budget
                | TaskItemKind::OverBudget
                | TaskItemKind::NeedsKey
                | TaskItemKind::Connection
                | TaskItemKind::Late => {}
            }
            self.answer_item(item, &format!("{}/{number}/again", item.id));
        }
    }

    fn answer_wrongly(&mut self, item: &TaskItem) {
        let Some(run) = &item.run else { return };
        if let (TaskItemKind::Form, Some(effect)) = (item.kind, effect_of(item)) {
            let number = self.next_number();
            let incoming = IncomingCommand::Fill { effect, by: "p9".to_owned(), form: json!({ "ok": "perhaps" }) };
            return self.send(run, format!("{}/wrong/{number}", item.id), &incoming, 0, 100);
        }
        let Some(node) = address_of(item) else { return };
        let decision = match item.kind {
            TaskItemKind::Approval => HumanDecision::Fill { form: json!({ "ok": true }) },
            TaskItemKind::Form => HumanDecision::Fill { form: json!({ "ok": "perhaps" }) },
            _ => return,
        };
        self.coverage.hit("human", CoverageColumn::WrongAnswer, FaultPoint::Sent);
        let number = self.next_number();
        let incoming = IncomingCommand::Answer { node, by: "p9".into(), decision };
        self.send(run, format!("{}/wrong/{number}", item.id), &incoming, 0, 100);
    }

    fn answer_item(&mut self, item: &TaskItem, id: &str) {
        let Some(run) = &item.run else { return };
        // The same person decides the same, whatever a seed's faults lead to.
        let mood = self.mood(&item.id);
        match item.kind {
            TaskItemKind::Approval => {
                let Some(node) = address_of(item) else { return };
                for by in ["p1", "p2"] {
                    let decision = match mood < 80 {
                        true => HumanDecision::Approve { note: String::new() },
                        false => HumanDecision::Reject { note: "no".to_owned() },
                    };
                    let incoming = IncomingCommand::Answer { node: node.clone(), by: by.into(), decision };
                    self.send(run, format!("{id}/{by}"), &incoming, 1, 50);
                }
            }
            TaskItemKind::Form if effect_of(item).is_some() => {
                let Some(effect) = effect_of(item) else { return };
                let by = "p1".to_owned();
                let incoming = match mood < 80 {
                    true => IncomingCommand::Fill { effect, by, form: json!({ "ok": true }) },
                    false => IncomingCommand::Approve { effect, by: by.into(), approved: false, note: String::new() },
                };
                self.send(run, id.to_owned(), &incoming, 1, 50);
            }
            TaskItemKind::Form => {
                let Some(node) = address_of(item) else { return };
                let decision = HumanDecision::Fill { form: json!({ "ok": mood < 80 }) };
                self.send(run, id.to_owned(), &IncomingCommand::Answer { node, by: "p1".into(), decision }, 1, 50);
            }
            TaskItemKind::Doubt => self.resolve(item, run, id, mood),
            TaskItemKind::ToolApproval => {
                let Some(effect) = effect_of(item) else { return };
                for by in PEOPLE.into_iter().chain([REQUESTER]) {
                    // A requester never rejects their own request.
                    let approved = mood < 80 || by == REQUESTER;
                    let (effect, by_whom) = (effect.clone(), by.into());
                    let incoming = IncomingCommand::Approve { effect, by: by_whom, approved, note: String::new() };
                    let last = if self.rng.chance(self.faults.mistake_percent) { LATE_MS } else { 50 };
                    self.send(run, format!("{id}/{by}"), &incoming, 1, last);
                }
            }
            TaskItemKind::Question => {
                let signal = Signal {
                    name: MESSAGE.to_owned(),
                    payload: Arc::new(json!({ "text": format!("the {} one", mood % 3) })),
                    source: String::new(),
                    sequence: None,
                    after_gap: false,
                };
                self.send(run, id.to_owned(), &IncomingCommand::Signal(signal), 1, 50);
            }
            // Some have it retried, as long as somebody looks; ended runs are not asked about.
            TaskItemKind::NotUndone if mood < 50 && !id.contains(RESOLVE_PREFIX) => {
                let Some(effect) = effect_of(item) else { return };
                let incoming =
                    IncomingCommand::Resolve { effect, by: "p1".to_owned(), resolution: DoubtResolution::Repeat };
                self.send(run, id.to_owned(), &incoming, 1, 3_000);
            }
            TaskItemKind::NotUndone
            | TaskItemKind::Budget
            | TaskItemKind::OverBudget
            | TaskItemKind::NeedsKey
            | TaskItemKind::Connection
            | TaskItemKind::Late => {}
        }
    }

    /// A person checked what became of a call.
    fn resolve(&mut self, item: &TaskItem, run: &RunId, id: &str, mood: u64) {
        let Some(effect) = effect_of(item) else { return };
        let key = effect.key(run);
        // A person who is asked again checks: a run that is ending sends nothing again.
        let is_sure = self.case.kills_only || id.contains(RESOLVE_PREFIX);
        let in_haste = !is_sure && mood < 15;
        let resolution = match self.services.result_of(&key).filter(|_| !in_haste) {
            Some(output) => DoubtResolution::Done { output: output.clone() },
            None if is_sure || (15..50).contains(&mood) => DoubtResolution::NotDone,
            None => DoubtResolution::Repeat,
        };
        let incoming = IncomingCommand::Resolve { effect, by: "p1".to_owned(), resolution };
        self.send(run, id.to_owned(), &incoming, 1, 50);
    }

    fn mood(&self, of: &str) -> u64 {
        let mixed =
            of.bytes().fold(self.case.seed, |mixed, byte| (mixed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        SeededRng::new(mixed).below(100)
    }

    /// Nothing moves by itself any more: ends the storm, or lets people resolve open tasks. Returns false if all is
    /// done.
    pub(super) fn resolve_open_tasks(&mut self, round: u32) -> bool {
        if self.script.is_some() {
            return false;
        }
        if !self.is_over() {
            self.end_faults();
            self.store_changed = true;
            self.schedule_due_work();
            return true;
        }
        let open = self.oracle.unfinished(&self.journal);
        if open.is_empty() {
            return false;
        }
        if round >= ROUNDS_MAX {
            self.record_violation("liveness", format!("{open:?} never end, whatever people do"));
            return false;
        }
        self.calm_since = Some(self.now);
        for item in self.journal.open_desk(&tenant(), None) {
            if self.asking_conversation(&item).is_some() {
                continue;
            }
            let number = self.next_number();
            self.answer_item(&item, &format!("{}{RESOLVE_PREFIX}{number}", item.id));
        }
        self.check_conversations();
        for run in open {
            if self.resolve_conversation(&run) {
                continue;
            }
            let is_talk = self.oracle.conversations.conversation_of(&run).is_some();
            for name in self.oracle.awaited_signals(&run) {
                if is_talk && name == MESSAGE {
                    continue;
                }
                let number = self.next_number();
                let payload =
                    if self.case.workflows.constraints.confluent { json!({ "is": "there" }) } else { json!(number) };
                let signal = Signal {
                    name,
                    payload: Arc::new(payload),
                    source: String::new(),
                    sequence: None,
                    after_gap: false,
                };
                self.send(&run, format!("help/{number}"), &IncomingCommand::Signal(signal), 1, 50);
            }
            let number = self.next_number();
            self.send(&run, format!("help/{number}"), &IncomingCommand::Resume { by: "operator".to_owned() }, 1, 50);
        }
        true
    }
}

pub(super) fn address_of(item: &TaskItem) -> Option<NodeAddress> {
    serde_json::from_value(item.details["node"].clone()).ok()
}

pub(super) fn effect_of(item: &TaskItem) -> Option<EffectId> {
    serde_json::from_value(item.details["effect"].clone()).ok()
}
