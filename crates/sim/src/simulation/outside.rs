//! People and other systems: who starts runs, answers questions, sends signals and asks for things at bad times.

use std::sync::Arc;

use baton_core::id::RunId;
use baton_core::run::{Address, Decision, EffectId, Incoming, MESSAGE, Origin, Resolution, Signal, Started, State};
use baton_core::tool::Caller;
use baton_engine::dispatcher::Left;
use baton_engine::owner::Owner;
use baton_ports::journal::{Append, Create, DeskItem, DeskKind, InboxItem, Kind, Projection, Submit, Submitted};
use serde_json::{Value, json};

use crate::case::Instant;
use crate::coverage::Column;
use crate::rng::Rng;

use super::{Happening, ROUNDS_MAX, Simulation, tell, tenant};

/// Who may be asked to allow a call.
pub(super) const PEOPLE: [&str; 3] = ["p1", "p2", "p3"];
/// Who starts every other run, and would allow what it asks for, too.
const REQUESTER: &str = "p0";
/// How late an answer may be, in milliseconds: after most deadlines.
const LATE_MS: u64 = 150_000;
/// Who sends numbered signals.
const SENDER: &str = "shop";
/// In the id of what people answer once more because a run has not ended.
const HELP: &str = "/help/";

impl Simulation<'_> {
    /// Starts a run as the engine's door does: where there is room the process owns it from its first instant.
    pub(super) fn start_run(&mut self, run: &RunId) {
        let up: Vec<usize> = (0..self.processes.len()).filter(|process| self.processes[*process].is_up()).collect();
        if up.is_empty() {
            return self.soon(1_000, 2_000, Happening::Starts { run: run.clone() });
        }
        let process = *self.rng.pick(&up);
        let started = Started {
            run: run.clone(),
            tenant: tenant(),
            bundle: self.case.drawing.root.clone(),
            input: Arc::new(self.case.input.clone()),
            context: Value::Null,
            caller: Caller { user_id: self.requester(), ..Caller::default() },
            origin: Origin::Caller,
        };
        let Some(submit) = self.written(run, "start".to_owned(), &Incoming::Start(Box::new(started))) else { return };
        let has_place = self.processes[process].dispatcher.begin(run, false);
        let lease = self.processes[process].lease;
        let owner = has_place.then_some(lease.process);
        let creates = Some(Create { kind: Kind::Run, workflow: "root".to_owned(), parent: None, owner });
        let submit = Submit { creates, ..submit };
        let (payload, at) = (submit.payload.clone(), submit.at);
        tell!(self, "somebody starts {run} at p{process}");
        let fails = self.storm.fails();
        let accepted = if fails == Some(false) { None } else { self.accept(submit) };
        if let (Some(_), Some(Submitted::Accepted { owned: Some(ownership), .. })) = (fails, &accepted) {
            self.witness.claimed(run, *ownership);
        }
        if fails.is_some() {
            // Whoever starts it does not know, and starts it again.
            if has_place {
                self.left(process, run, Left::Unsettled { moved: false });
            }
            return self.soon(1_000, 2_000, Happening::Starts { run: run.clone() });
        }
        if has_place && !matches!(accepted, Some(Submitted::Accepted { owned: Some(_), .. })) {
            self.left(process, run, Left::Gone);
        }
        match accepted {
            Some(Submitted::Accepted { item, owned: Some(ownership), .. }) => {
                self.witness.claimed(run, ownership);
                let mut owner = Owner::fresh(run.clone(), tenant(), ownership, lease.until);
                owner.know(self.case.drawing.versions.iter().map(|(hash, workflow)| (hash.clone(), workflow.clone())));
                let first = InboxItem { item, command_id: "start".to_owned(), payload, at };
                self.begin_task(process, run, owner, vec![first]);
            }
            Some(Submitted::Accepted { .. }) => self.announce(process, run),
            Some(Submitted::Duplicate) | None => {}
        }
    }

    fn requester(&self) -> Option<String> {
        (self.script.is_none() && self.case.seed % 2 == 1).then(|| REQUESTER.to_owned())
    }

    pub(super) fn written(&mut self, run: &RunId, command_id: String, incoming: &Incoming) -> Option<Submit> {
        let payload = match serde_json::to_vec(incoming) {
            Ok(payload) => payload.into(),
            Err(error) => {
                self.violate("codec", format!("an inbox item cannot be written: {error}"));
                return None;
            }
        };
        Some(Submit { aggregate: run.clone(), tenant: tenant(), command_id, payload, at: self.now, creates: None })
    }

    fn accept(&mut self, submit: Submit) -> Option<Submitted> {
        self.stirred = true;
        match self.books.submit(submit.clone()) {
            Ok(submitted) => {
                self.witness.accepted(&submit, &submitted);
                Some(submitted)
            }
            // Somebody asks for something of a run that is not there yet.
            Err(_) => None,
        }
    }

    pub(super) fn submit(&mut self, submit: Submit) {
        let run = submit.aggregate.clone();
        let what = String::from_utf8_lossy(&submit.payload).into_owned();
        let Some(submitted) = self.accept(Submit { at: self.now, ..submit }) else { return };
        tell!(self, "outside → {run}: {what} ({submitted:?})");
        let up: Vec<usize> = (0..self.processes.len()).filter(|process| self.processes[*process].is_up()).collect();
        if !up.is_empty() && !self.storm.loses_hint(&mut self.rng) {
            // It came in through some process's door, and that one tells itself.
            let process = *self.rng.pick(&up);
            let incarnation = self.processes[process].incarnation;
            self.soon(0, 5, Happening::Nudged { process, incarnation, run });
        }
    }

    fn send(&mut self, run: &RunId, id: String, incoming: &Incoming, first: u64, last: u64) {
        if let Some(submit) = self.written(run, id, incoming) {
            self.soon(first, last, Happening::Submits { submit: Box::new(submit) });
        }
    }

    /// What the world makes of what was just recorded.
    pub(super) fn react(&mut self, append: &Append) {
        for projection in &append.projections {
            if let Projection::DeskOpened(item) = projection {
                // The customer is asked in the conversation.
                if self.asked_in_a_talk(item).is_some() {
                    continue;
                }
                self.cue_question(item);
                if self.script.is_some() {
                    continue;
                }
                let delay = if self.rng.chance(self.storm.people) { 150_000 } else { 4_000 };
                self.soon(1_000, delay, Happening::Looks { item: Box::new(item.clone()) });
            }
        }
        let run = &append.aggregate;
        let (waits, end) = self.witness.last(run);
        let is_scripted = self.script.is_some();
        // A conversation hands its runs their messages.
        let is_talk = self.witness.talks.of_run(run).is_some();
        let waits = waits.into_iter().filter(|(_, name)| !(is_scripted || is_talk && name == MESSAGE));
        for (node, name) in waits {
            self.signal(run, &node, &name);
        }
        if let Some(state) = end {
            self.reopen(run, state);
        }
    }

    /// Somebody sends what a wait waits for: once, or numbered and out of order, with a number that never comes.
    fn signal(&mut self, run: &RunId, node: &Address, name: &str) {
        let number = self.number();
        let payload =
            if self.case.drawing.wishes.confluent { json!({ "is": "there" }) } else { json!({ "is": number }) };
        let plain = |payload: Value| Signal {
            name: name.to_owned(),
            payload: Arc::new(payload),
            source: String::new(),
            sequence: None,
            after_gap: false,
        };
        if !self.rng.chance(self.storm.people) {
            let id = format!("signal/{node}/{number}");
            return self.send(run, id, &Incoming::Signal(plain(payload)), 1, 5_000);
        }
        let numbered = |sequence: u64| Signal {
            source: SENDER.to_owned(),
            sequence: Some(sequence),
            ..plain(json!({ "is": number, "sequence": sequence }))
        };
        let orders: [&[u64]; 5] = [&[2, 1], &[1, 1, 2], &[3, 2], &[4, 1, 2], &[2, 2]];
        let order = *self.rng.pick(&orders);
        let base = 10 * self.witness.numbered(run);
        for (place, sequence) in order.iter().enumerate() {
            let sequence = base + sequence;
            let signal = numbered(sequence);
            let id = format!("{SENDER}/{sequence}/{place}");
            self.coverage.hit("wait", Column::OutOfOrder, Instant::Sent);
            self.send(run, id, &Incoming::Signal(signal), 1, 3_000);
        }
    }

    /// What ended may be rolled back or retried, once.
    fn reopen(&mut self, run: &RunId, state: State) {
        // A conversation hears no more of a run that has ended, so none of its runs is retried.
        if self.witness.talks.of_run(run).is_some() {
            return;
        }
        if !self.case.reopens || self.is_calm() || run.as_str().contains('/') || !self.rng.chance(50) {
            return;
        }
        let by = "operator".to_owned();
        let incoming = match state {
            State::Failed | State::TimedOut if self.rng.chance(60) => {
                Incoming::Retry { by, bundle: self.case.drawing.root.clone() }
            }
            State::Completed | State::Failed | State::Cancelled | State::TimedOut => {
                Incoming::Rollback { by, asked_by: Vec::new() }
            }
            _ => return,
        };
        let column = match incoming {
            Incoming::Retry { .. } => Column::Retry,
            _ => Column::Rollback,
        };
        for row in self.witness.settled_rows(run) {
            self.coverage.hit(row, column, Instant::Recorded);
        }
        let number = self.number();
        self.send(run, format!("operator/{number}"), &incoming, 1, 3_000);
    }

    /// A person looks at a desk item, and does something about it or gets it wrong.
    pub(super) fn look(&mut self, item: &DeskItem) {
        if self.rng.chance(self.storm.people) {
            self.answer_wrongly(item);
        }
        let number = self.number();
        self.answer_item(item, &format!("{}/{number}", item.id));
        if self.rng.chance(self.storm.people) {
            match item.kind {
                DeskKind::Form if effect_of(item).is_some() => {}
                DeskKind::Approval | DeskKind::Form => self.coverage.hit("human", Column::AnsweredTwice, Instant::Sent),
                DeskKind::Question => {
                    let asker = item.run.as_ref().zip(address_of(item));
                    let row = asker.and_then(|(run, at)| self.witness.row(run, &at)).unwrap_or("agent");
                    self.coverage.hit(row, Column::AnsweredTwice, Instant::Sent);
                }
                DeskKind::Doubt
                | DeskKind::ToolApproval
                | DeskKind::NotUndone
                | DeskKind::Budget
                | DeskKind::OverBudget
                | DeskKind::NeedsKey
                | DeskKind::Connection
                | DeskKind::Late => {}
            }
            self.answer_item(item, &format!("{}/{number}/again", item.id));
        }
    }

    fn answer_wrongly(&mut self, item: &DeskItem) {
        let Some(run) = &item.run else { return };
        if let (DeskKind::Form, Some(effect)) = (item.kind, effect_of(item)) {
            let number = self.number();
            let incoming = Incoming::Fill { effect, by: "p9".to_owned(), form: json!({ "ok": "perhaps" }) };
            return self.send(run, format!("{}/wrong/{number}", item.id), &incoming, 0, 100);
        }
        let Some(node) = address_of(item) else { return };
        let decision = match item.kind {
            DeskKind::Approval => Decision::Fill { form: json!({ "ok": true }) },
            DeskKind::Form => Decision::Fill { form: json!({ "ok": "perhaps" }) },
            _ => return,
        };
        self.coverage.hit("human", Column::WrongAnswer, Instant::Sent);
        let number = self.number();
        let incoming = Incoming::Answer { node, by: "p9".into(), decision };
        self.send(run, format!("{}/wrong/{number}", item.id), &incoming, 0, 100);
    }

    fn answer_item(&mut self, item: &DeskItem, id: &str) {
        let Some(run) = &item.run else { return };
        // The same person decides the same wherever a seed's faults lead.
        let mood = self.mood(&item.id);
        match item.kind {
            DeskKind::Approval => {
                let Some(node) = address_of(item) else { return };
                for by in ["p1", "p2"] {
                    let decision = match mood < 80 {
                        true => Decision::Approve { note: String::new() },
                        false => Decision::Reject { note: "no".to_owned() },
                    };
                    let incoming = Incoming::Answer { node: node.clone(), by: by.into(), decision };
                    self.send(run, format!("{id}/{by}"), &incoming, 1, 50);
                }
            }
            DeskKind::Form if effect_of(item).is_some() => {
                let Some(effect) = effect_of(item) else { return };
                let by = "p1".to_owned();
                let incoming = match mood < 80 {
                    true => Incoming::Fill { effect, by, form: json!({ "ok": true }) },
                    false => Incoming::Approve { effect, by: by.into(), approved: false, note: String::new() },
                };
                self.send(run, id.to_owned(), &incoming, 1, 50);
            }
            DeskKind::Form => {
                let Some(node) = address_of(item) else { return };
                let decision = Decision::Fill { form: json!({ "ok": mood < 80 }) };
                self.send(run, id.to_owned(), &Incoming::Answer { node, by: "p1".into(), decision }, 1, 50);
            }
            DeskKind::Doubt => self.resolve(item, run, id, mood),
            DeskKind::ToolApproval => {
                let Some(effect) = effect_of(item) else { return };
                for by in PEOPLE.into_iter().chain([REQUESTER]) {
                    // Nobody forbids what they ask for themselves.
                    let approved = mood < 80 || by == REQUESTER;
                    let (effect, by_whom) = (effect.clone(), by.into());
                    let incoming = Incoming::Approve { effect, by: by_whom, approved, note: String::new() };
                    let last = if self.rng.chance(self.storm.people) { LATE_MS } else { 50 };
                    self.send(run, format!("{id}/{by}"), &incoming, 1, last);
                }
            }
            DeskKind::Question => {
                let signal = Signal {
                    name: MESSAGE.to_owned(),
                    payload: Arc::new(json!({ "text": format!("the {} one", mood % 3) })),
                    source: String::new(),
                    sequence: None,
                    after_gap: false,
                };
                self.send(run, id.to_owned(), &Incoming::Signal(signal), 1, 50);
            }
            // Some have it tried again, as long as somebody looks; help is not asked for what has ended.
            DeskKind::NotUndone if mood < 50 && !id.contains(HELP) => {
                let Some(effect) = effect_of(item) else { return };
                let incoming = Incoming::Resolve { effect, by: "p1".to_owned(), resolution: Resolution::Repeat };
                self.send(run, id.to_owned(), &incoming, 1, 3_000);
            }
            DeskKind::NotUndone
            | DeskKind::Budget
            | DeskKind::OverBudget
            | DeskKind::NeedsKey
            | DeskKind::Connection
            | DeskKind::Late => {}
        }
    }

    /// A person went and looked what became of a call.
    fn resolve(&mut self, item: &DeskItem, run: &RunId, id: &str, mood: u64) {
        let Some(effect) = effect_of(item) else { return };
        let key = effect.key(run);
        // Whoever is asked once more looks: a run that is ending sends nothing again.
        let is_sure = self.case.kills_only || id.contains(HELP);
        let in_haste = !is_sure && mood < 15;
        let resolution = match self.services.did(&key).filter(|_| !in_haste) {
            Some(output) => Resolution::Done { output: output.clone() },
            None if is_sure || (15..50).contains(&mood) => Resolution::NotDone,
            None => Resolution::Repeat,
        };
        let incoming = Incoming::Resolve { effect, by: "p1".to_owned(), resolution };
        self.send(run, id.to_owned(), &incoming, 1, 50);
    }

    fn mood(&self, of: &str) -> u64 {
        let mixed =
            of.bytes().fold(self.case.seed, |mixed, byte| (mixed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        Rng::new(mixed).below(100)
    }

    /// Nothing moves by itself any more: the storm ends, or people see to what is open. False if all is done.
    pub(super) fn help(&mut self, round: u32) -> bool {
        if self.script.is_some() {
            return false;
        }
        if !self.is_calm() {
            self.calm_down();
            self.stirred = true;
            self.stir();
            return true;
        }
        let open = self.witness.unfinished(&self.books);
        if open.is_empty() {
            return false;
        }
        if round >= ROUNDS_MAX {
            self.violate("liveness", format!("{open:?} never end, whatever people do"));
            return false;
        }
        self.calm_since = Some(self.now);
        for item in self.books.open_desk(&tenant(), None) {
            if self.asked_in_a_talk(&item).is_some() {
                continue;
            }
            let number = self.number();
            self.answer_item(&item, &format!("{}{HELP}{number}", item.id));
        }
        self.heed_talks();
        for run in open {
            if self.help_talk(&run) {
                continue;
            }
            let is_talk = self.witness.talks.of_run(&run).is_some();
            for name in self.witness.waits(&run) {
                if is_talk && name == MESSAGE {
                    continue;
                }
                let number = self.number();
                let payload = if self.case.drawing.wishes.confluent { json!({ "is": "there" }) } else { json!(number) };
                let signal = Signal {
                    name,
                    payload: Arc::new(payload),
                    source: String::new(),
                    sequence: None,
                    after_gap: false,
                };
                self.send(&run, format!("help/{number}"), &Incoming::Signal(signal), 1, 50);
            }
            let number = self.number();
            self.send(&run, format!("help/{number}"), &Incoming::Resume { by: "operator".to_owned() }, 1, 50);
        }
        true
    }
}

pub(super) fn address_of(item: &DeskItem) -> Option<Address> {
    serde_json::from_value(item.details["node"].clone()).ok()
}

pub(super) fn effect_of(item: &DeskItem) -> Option<EffectId> {
    serde_json::from_value(item.details["effect"].clone()).ok()
}
