//! Calls to tools and models: checked, sent, acted on, answered.

use std::time::Duration;

use baton_core::fault::Fault;
use baton_core::id::RunId;
use baton_core::money::Usd;
use baton_core::run::{Block as Blocked, EffectId, Lapse, Leave, Outcome};
use baton_core::time::Time;
use baton_core::tool::{CIRCUIT_OPEN, Class, Question};
use baton_engine::own_time::Now;
use baton_engine::owner::{Input, Send, What};
use baton_ports::clock::Steady;
use serde_json::json;

use super::outside::PEOPLE;
use super::script::Stage;
use super::{Happening, Simulation, tell};
use crate::case::{Block, Instant};
use crate::coverage::Column;
use crate::process::{Out, Place};
use crate::rng::Rng;
use crate::services::{self, Asked, Fate};

impl Simulation<'_> {
    /// May this call go out now? A marked one stops at its permit.
    pub(super) fn check(&mut self, place: &Place, send: Box<Send>) {
        let ticket = self.number();
        self.name_call(place, &send);
        if let Some(task) = self.processes[place.process].task_mut(place) {
            let asks_model = send.what.is_of_a_model();
            task.out.insert(send.effect.clone(), Out { ticket, acted: false, asks_model });
        }
        self.soon(0, 2, Happening::Checked { place: place.clone(), send, ticket });
    }

    pub(super) fn checked(&mut self, place: &Place, send: Box<Send>, ticket: u64) {
        if !self.is_out(place, &send.effect, ticket) {
            return;
        }
        let is_tool = matches!(send.what, What::Tool(_));
        let block = match send.approved.as_deref() {
            _ if !is_tool => None,
            None => self.storm.block(&mut self.rng),
            // What people allowed was an earlier attempt.
            Some(hash) => (hash != hash_of(&send.effect)).then_some(Block::Approval),
        };
        if let Some(block) = block {
            let outcome = self.blocked_by(place, &send, block);
            self.cover_call(place, &send.effect.call.node, Column::Blocked, Instant::AfterAppend);
            let input = Input::Outcome { effect: send.effect.clone(), outcome, audit: None, spends: Vec::new() };
            return self.back(place, ticket, None, input, None);
        }
        if send.class.is_marked() && is_tool {
            let effect = send.effect.clone();
            if let Some(task) = self.processes[place.process].task_mut(place) {
                task.permits.insert(effect.clone(), send);
            }
            return self.feed(place.process, &place.run, Input::Permitted { effect });
        }
        if is_tool && !self.is_leased(place.process) {
            tell!(self, "p{} {} has no lease to send {} under", place.process, place.run, send.effect);
            return self.back(place, ticket, None, not_sent(send.effect), None);
        }
        let limit = send.limit;
        self.leave(place, send, ticket, limit, false);
    }

    fn is_leased(&self, process: usize) -> bool {
        self.clocks(process).for_leases() < self.processes[process].lease.until
    }

    fn blocked_by(&mut self, place: &Place, send: &Send, block: Block) -> Outcome {
        let wall = self.clocks(place.process).wall;
        let until = wall + Duration::from_millis(self.rng.between(100, 8_000));
        let by = match block {
            Block::RateLimit => Blocked::RateLimit { until },
            Block::Circuit => {
                let fault = Fault::new(CIRCUIT_OPEN, "the service is left alone for a while");
                return Outcome::CircuitOpen { until, fault };
            }
            Block::Approval => Blocked::Approval(Box::new(self.asks(&send.effect, wall))),
            Block::Stopped => {
                let fault = Fault::new("TOOL_NOT_ALLOWED", "the tool was switched off");
                return Outcome::Stopped { fault };
            }
        };
        Outcome::Blocked { by, cost: Usd::ZERO }
    }

    /// What people are asked: one of them or several, any or some, for ever or for a while.
    fn asks(&self, effect: &EffectId, wall: Time) -> Leave {
        let leave = Leave::of(hash_of(effect));
        if self.script.is_some() {
            return leave;
        }
        // By itself, so that whatever is drawn after it stays as it was.
        let mut rng = Rng::new(self.case.seed ^ number_of(&leave.hash));
        let need = rng.between(1, PEOPLE.len() as u64);
        let asked = usize::try_from(rng.between(need, PEOPLE.len() as u64)).unwrap_or(PEOPLE.len());
        let from = if rng.chance(40) { &PEOPLE[..asked] } else { &[] };
        Leave {
            need: u32::try_from(need).unwrap_or(1),
            from: from.iter().map(|name| (*name).to_owned()).collect(),
            until: rng.chance(50).then(|| wall + Duration::from_secs(rng.between(1, 120))),
            then: if rng.chance(50) { Lapse::Approve } else { Lapse::Reject },
            ..leave
        }
    }

    /// Nobody waits for a call any more. What a model was asked until now is paid for.
    pub(super) fn drop_call(&mut self, place: &Place, effect: EffectId) {
        let ticket = self.number();
        let Some(task) = self.processes[place.process].task_mut(place) else { return };
        task.permits.remove(&effect);
        let Some(out) = task.out.remove(&effect).filter(|out| out.asks_model) else { return };
        task.out.insert(effect.clone(), Out { ticket, ..out });
        let ownership = task.owner.ownership();
        let cost = if out.acted { services::MODEL_COST } else { Usd::ZERO };
        if out.acted {
            self.witness.paid_for_nothing(&place.run, ownership, &effect);
        }
        let spends = services::spend_on_nothing(&super::tenant(), cost, self.now);
        let input = Input::Outcome { effect, outcome: Outcome::Dropped { cost }, audit: None, spends };
        self.soon_back(place, ticket, input);
    }

    /// The marker is durable: the permitted call goes out now.
    pub(super) fn perform(&mut self, place: &Place, effect: &EffectId, until: Steady) {
        let Some(task) = self.processes[place.process].task_mut(place) else { return };
        let Some(send) = task.permits.remove(effect) else { return };
        let Some(ticket) = task.out.get(effect).map(|out| out.ticket) else { return };
        let limit = until.since(self.clocks(place.process).steady);
        if limit.is_zero() {
            tell!(self, "p{} {} is too late to send {effect}", place.process, place.run);
            return self.soon_back(place, ticket, not_sent(effect.clone()));
        }
        self.leave(place, send, ticket, limit, true);
    }

    fn leave(&mut self, place: &Place, mut send: Box<Send>, ticket: u64, limit: Duration, is_marked: bool) {
        send.limit = limit;
        let Some(ownership) = self.ownership(place) else { return };
        tell!(self, "p{} {} sends {} ({:?})", place.process, place.run, send.effect, send.class);
        let now = self.own_time(place);
        let checked = self.witness.leaves(&place.run, &send, ownership, now, &self.services);
        self.heed(checked);
        self.cue_call(place, &send, Stage::Sent);
        self.soon(1, 20, Happening::Reaches { place: place.clone(), send, ticket, is_marked });
        for fault in self.storm.due(Instant::Sent) {
            self.strike(place, fault);
        }
    }

    pub(super) fn reaches(&mut self, place: &Place, send: Box<Send>, ticket: u64) {
        let is_alive = self.processes[place.process].incarnation == place.incarnation;
        if !is_alive && self.coin(50) {
            return;
        }
        // A call that was dropped may be on the wire already.
        if is_alive && !self.is_out(place, &send.effect, ticket) && self.coin(50) {
            return;
        }
        let is_tool = matches!(send.what, What::Tool(_));
        let fate = match self.scripted_fate(place, &send) {
            Some(fate) => fate,
            None => self.storm.fate(&mut self.rng, send.class),
        };
        let fate = if fate == Fate::Garbled && is_tool { Fate::Done } else { fate };
        if let Some(column) = Column::of(fate).filter(|_| is_alive) {
            let instant = match fate {
                Fate::Refused | Fate::Declined | Fate::RequestLost => Instant::Sent,
                Fate::Done | Fate::Slow | Fate::AnswerLost | Fate::Late | Fate::Garbled => Instant::Acted,
            };
            self.cover_call(place, &send.effect.call.node, column, instant);
        }
        let asked = self.asked(place, &send, false);
        let index = self.services.ledger.len();
        let quick = Duration::from_millis(self.rng.between(1, 200));
        let version = self.processes[place.process].fold_version;
        let question = self.question(&send, fate);
        let answer = match question {
            Some((question, within)) => {
                self.cover_call(place, &send.effect.call.node, Column::Asked, Instant::Sent);
                self.services.asks(asked, question, within, quick)
            }
            None => self.services.receive(asked, &send.what, fate, quick, send.limit, version),
        };
        tell!(self, "  {} reaches its service: {fate:?}", send.effect);
        if let Some(task) = self.processes[place.process].task_mut(place)
            && let Some(out) = task.out.get_mut(&send.effect)
        {
            out.acted = true;
        }
        self.cue_call(place, &send, Stage::Acted);
        self.answer(place, send, ticket, answer, Some(index));
        for fault in self.storm.due(Instant::Acted) {
            self.strike(place, fault);
        }
    }

    /// What the service of a call asks people before it acts, and for how long: nothing, or one or two questions. One that
    /// knows the key has acted, and asks nothing more.
    fn question(&self, send: &Send, fate: Fate) -> Option<(Question, Option<u64>)> {
        let What::Tool(call) = &send.what else { return None };
        let is_heard = matches!(fate, Fate::Done | Fate::Slow);
        if self.script.is_some() || !is_heard || self.services.did(&call.key).is_some() {
            return None;
        }
        // By itself, so that whatever is drawn after it stays as it was.
        let mut rng = Rng::new(self.case.seed ^ number_of(&format!("{:?} asks", send.effect.call)));
        let questions = if rng.chance(15) { rng.between(1, 2) } else { 0 };
        let asked = call.replies.len() as u64;
        if asked >= questions {
            return None;
        }
        let schema = json!({"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]});
        let message = format!("question {asked} of {}", send.effect.call.node);
        let within = rng.chance(50).then(|| rng.between(1_000, 120_000));
        Some((Question { message, schema, resume: json!(asked) }, within))
    }

    /// What time it is for the run, by what its owner saw. A clock that is set between its look and the socket is within the
    /// same window as a process that stands still there.
    fn own_time(&self, place: &Place) -> Time {
        let now = self.clocks(place.process);
        let task = self.processes[place.process].tasks.get(&place.run);
        task.map_or(now.wall, |task| task.owner.time(Now { wall: task.looked_at, ..now }))
    }

    fn soon_back(&mut self, place: &Place, ticket: u64, input: Input) {
        let (place, input) = (place.clone(), Box::new(input));
        self.soon(0, 2, Happening::Back { place, ticket, call: None, input, asked: None });
    }

    fn asked(&self, place: &Place, send: &Send, is_look_up: bool) -> Asked {
        let (key, tool) = match &send.what {
            What::Tool(call) => (call.key.clone(), call.tool.clone()),
            What::Model { key, .. } | What::Code { key, .. } | What::Step { key, .. } => (key.clone(), String::new()),
        };
        let found = &self.processes[place.process];
        let task = found.tasks.get(&place.run).filter(|task| task.number == place.task);
        let task = task.filter(|_| found.incarnation == place.incarnation);
        let epoch = task.map_or(0, |task| task.owner.ownership().epoch);
        Asked {
            at: self.now,
            run: place.run.clone(),
            effect: send.effect.clone(),
            key,
            tool,
            class: send.class,
            arguments: services::asks_for(&send.what),
            is_look_up,
            epoch,
            was_owner: task.is_some_and(|task| self.witness.is_owner(&place.run, &task.owner.ownership())),
            acted: false,
            told: None,
        }
    }

    fn answer(&mut self, place: &Place, send: Box<Send>, ticket: u64, answer: services::Answer, asked: Option<usize>) {
        let effect = send.effect.clone();
        if let Some((outcome, after)) = answer.late {
            let input = Box::new(Input::Outcome { effect: effect.clone(), outcome, audit: None, spends: Vec::new() });
            let (place, at) = (place.clone(), self.now + after);
            self.put(at, Happening::Back { place, ticket: 0, call: None, input, asked: None });
        }
        let audit = match &send.what {
            What::Tool(call) => Some(Box::new(services::audit_row(call, &answer.outcome, self.now))),
            What::Model { .. } | What::Code { .. } | What::Step { .. } => None,
        };
        let spends = services::spend(&super::tenant(), &answer.outcome, self.now);
        let input = Box::new(Input::Outcome { effect, outcome: answer.outcome, audit, spends });
        let (place, at) = (place.clone(), self.now + answer.after);
        self.put(at, Happening::Back { place, ticket, call: Some(send), input, asked });
    }

    pub(super) fn begin_look_up(&mut self, place: &Place, send: Box<Send>) {
        let ticket = self.number();
        if let Some(task) = self.processes[place.process].task_mut(place) {
            task.out.insert(send.effect.clone(), Out { ticket, acted: false, asks_model: false });
        }
        let now = self.own_time(place);
        let checked = self.witness.looks_up(&place.run, &send.effect, now);
        self.heed(checked);
        tell!(self, "p{} {} looks up {}", place.process, place.run, send.effect);
        self.soon(1, 20, Happening::LookedUp { place: place.clone(), send, ticket });
    }

    pub(super) fn looked_up(&mut self, place: &Place, send: &Send, ticket: u64) {
        if !self.is_out(place, &send.effect, ticket) {
            return;
        }
        let asked = self.asked(place, send, true);
        let index = self.services.ledger.len();
        let is_reachable = self.storm.fate(&mut self.rng, Class::Verify) == Fate::Done;
        let quick = Duration::from_millis(self.rng.between(1, 50));
        let answer = self.services.look_up(asked, is_reachable, quick);
        let input = Box::new(Input::Outcome {
            effect: send.effect.clone(),
            outcome: answer.outcome,
            audit: None,
            spends: Vec::new(),
        });
        let (place, at) = (place.clone(), self.now + answer.after);
        self.put(at, Happening::Back { place, ticket, call: None, input, asked: Some(index) });
    }

    /// Where a run is awake: a late answer comes in by any door.
    pub(super) fn awake_at(&self, run: &RunId) -> Option<Place> {
        let mut up = (0..self.processes.len()).filter(|process| self.processes[*process].is_up());
        up.find_map(|process| Some(self.place(process, run, self.processes[process].tasks.get(run)?.number)))
    }

    /// An answer reaches whoever sent the call, if it is still there to hear it. Ticket 0 is one that comes after it
    /// was given up.
    pub(super) fn back(
        &mut self,
        place: &Place,
        ticket: u64,
        call: Option<Box<Send>>,
        input: Input,
        asked: Option<usize>,
    ) {
        let Input::Outcome { effect, outcome, audit, spends } = input else { return };
        let is_late = ticket == 0;
        let found = if is_late { self.awake_at(&place.run) } else { Some(place.clone()) };
        let Some(place) = &found else { return };
        if !is_late && !self.is_out(place, &effect, ticket) {
            return;
        }
        let Some(task) = self.processes[place.process].task_mut(place) else { return };
        // One that comes by another door ends the attempt that is out.
        task.out.remove(&effect);
        task.permits.remove(&effect);
        let ownership = task.owner.ownership();
        if is_late {
            tell!(self, "a late answer to {effect}");
            self.witness.heard_late(&place.run, ownership, &effect);
        }
        if let Some(asked) = asked {
            self.services.ledger[asked].told = services::told(&outcome);
        }
        let twice = (call.is_some() && self.storm.answers_twice()).then(|| outcome.clone());
        if let Some(audit) = &audit {
            self.witness.heard(&place.run, ownership, audit);
        }
        self.feed(place.process, &place.run, Input::Outcome { effect: effect.clone(), outcome, audit, spends });
        if let Some(outcome) = twice {
            self.cover_call(place, &effect.call.node, Column::AnswerTwice, Instant::Acted);
            self.feed(place.process, &place.run, Input::Outcome { effect, outcome, audit: None, spends: Vec::new() });
        }
    }
}

fn not_sent(effect: EffectId) -> Input {
    Input::Outcome { effect, outcome: Outcome::NotSent, audit: None, spends: Vec::new() }
}

/// What stands for the arguments that people are asked about.
fn hash_of(effect: &EffectId) -> String {
    format!("hash of {effect}")
}

/// A number for a text (FNV-1a).
fn number_of(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |mixed, byte| (mixed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
