//! Calls to tools and models: checked, sent, performed, answered.

use std::time::Duration;

use baton_core::fault::Fault;
use baton_core::id::RunId;
use baton_core::money::Usd;
use baton_core::run::{Approval, BlockReason, CallOutcome, EffectId, OnExpiry};
use baton_core::time::Time;
use baton_core::tool::{CIRCUIT_OPEN, EffectClass, ToolQuestion};
use baton_engine::aggregate_clock::ClockReading;
use baton_engine::owner::{Attempt, CallRequest, OwnerInput};
use baton_ports::clock::MonotonicTime;
use serde_json::json;

use super::external_input::PEOPLE;
use super::script::CallStage;
use super::{SimEvent, Simulation, log_story};
use crate::case::{FaultPoint, SimCallBlock};
use crate::coverage::CoverageColumn;
use crate::process::{SimAttempt, TaskAddress};
use crate::rng::SeededRng;
use crate::services::{self, RequestFate, ServiceRequest};

impl Simulation<'_> {
    /// Checks whether this call may be sent now. A marked one waits for its permit.
    pub(super) fn check(&mut self, place: &TaskAddress, send: Box<Attempt>) {
        let ticket = self.next_number();
        self.name_call(place, &send);
        if let Some(task) = self.processes[place.process].task_mut(place) {
            let asks_model = send.request.asks_model();
            task.attempts.insert(send.effect.clone(), SimAttempt { ticket, acted: false, asks_model });
        }
        self.schedule_within(0, 2, SimEvent::CallChecked { place: place.clone(), send, ticket });
    }

    pub(super) fn checked(&mut self, place: &TaskAddress, send: Box<Attempt>, ticket: u64) {
        if !self.is_in_flight(place, &send.effect, ticket) {
            return;
        }
        let is_tool = matches!(send.request, CallRequest::Tool(_));
        let block = match send.approved.as_deref() {
            _ if !is_tool => None,
            None => self.faults.next_block(&mut self.rng),
            // People approved an earlier attempt.
            Some(hash) => (hash != hash_of(&send.effect)).then_some(SimCallBlock::Approval),
        };
        if let Some(block) = block {
            let outcome = self.blocked_by(place, &send, block);
            self.cover_call(place, &send.effect.call.node, CoverageColumn::Blocked, FaultPoint::AfterAppend);
            let input = OwnerInput::Outcome { effect: send.effect.clone(), outcome, audit: None, spends: Vec::new() };
            return self.deliver_answer(place, ticket, None, input, None);
        }
        if send.class.needs_marker() && is_tool {
            let effect = send.effect.clone();
            if let Some(task) = self.processes[place.process].task_mut(place) {
                task.permits.insert(effect.clone(), send);
            }
            return self.feed_input(place.process, &place.run, OwnerInput::Permitted { effect });
        }
        if is_tool && !self.is_leased(place.process) {
            log_story!(self, "p{} {} has no lease to send {} under", place.process, place.run, send.effect);
            return self.deliver_answer(place, ticket, None, not_sent(send.effect), None);
        }
        let limit = send.limit;
        self.send_call(place, send, ticket, limit, false);
    }

    fn is_leased(&self, process: usize) -> bool {
        self.clocks(process).for_leases() < self.processes[process].lease.until
    }

    fn blocked_by(&mut self, place: &TaskAddress, send: &Attempt, block: SimCallBlock) -> CallOutcome {
        let wall = self.clocks(place.process).wall;
        let until = wall + Duration::from_millis(self.rng.between(100, 8_000));
        let by = match block {
            SimCallBlock::RateLimit => BlockReason::RateLimit { until },
            SimCallBlock::Circuit => {
                let fault = Fault::new(CIRCUIT_OPEN, "the service is left alone for a while");
                return CallOutcome::CircuitOpen { until, fault };
            }
            SimCallBlock::Approval => BlockReason::Approval(Box::new(self.approval_request(&send.effect, wall))),
            SimCallBlock::Stopped => {
                let fault = Fault::new("TOOL_NOT_ALLOWED", "the tool was switched off");
                return CallOutcome::Stopped { fault };
            }
        };
        CallOutcome::Blocked { by, cost: Usd::ZERO }
    }

    /// The approval that is requested: from one person or several, from any or some, without or with a deadline.
    fn approval_request(&self, effect: &EffectId, wall: Time) -> Approval {
        let leave = Approval::of(hash_of(effect));
        if self.script.is_some() {
            return leave;
        }
        // Separate random numbers, so that everything drawn after it stays as before.
        let mut rng = SeededRng::new(self.case.seed ^ number_of(&leave.hash));
        let need = rng.between(1, PEOPLE.len() as u64);
        let asked = usize::try_from(rng.between(need, PEOPLE.len() as u64)).unwrap_or(PEOPLE.len());
        let from = if rng.chance(40) { &PEOPLE[..asked] } else { &[] };
        Approval {
            need: u32::try_from(need).unwrap_or(1),
            from: from.iter().map(|name| (*name).to_owned()).collect(),
            until: rng.chance(50).then(|| wall + Duration::from_secs(rng.between(1, 120))),
            then: if rng.chance(50) { OnExpiry::Approve } else { OnExpiry::Reject },
            ..leave
        }
    }

    /// The result of a call is no longer needed. The cost of a model call so far is charged.
    pub(super) fn drop_call(&mut self, place: &TaskAddress, effect: EffectId) {
        let ticket = self.next_number();
        let Some(task) = self.processes[place.process].task_mut(place) else { return };
        task.permits.remove(&effect);
        let Some(out) = task.attempts.remove(&effect).filter(|out| out.asks_model) else { return };
        task.attempts.insert(effect.clone(), SimAttempt { ticket, ..out });
        let ownership = task.owner.ownership();
        let cost = if out.acted { services::MODEL_COST } else { Usd::ZERO };
        if out.acted {
            self.oracle.paid_call_dropped(&place.run, ownership, &effect);
        }
        let spends = services::spend_unanswered(&super::tenant(), cost, self.now);
        let input = OwnerInput::Outcome { effect, outcome: CallOutcome::Dropped { cost }, audit: None, spends };
        self.schedule_answer(place, ticket, input);
    }

    /// The marker is durable: the permitted call is sent now.
    pub(super) fn perform(&mut self, place: &TaskAddress, effect: &EffectId, until: MonotonicTime) {
        let Some(task) = self.processes[place.process].task_mut(place) else { return };
        let Some(send) = task.permits.remove(effect) else { return };
        let Some(ticket) = task.attempts.get(effect).map(|out| out.ticket) else { return };
        let limit = until.since(self.clocks(place.process).monotonic);
        if limit.is_zero() {
            log_story!(self, "p{} {} is too late to send {effect}", place.process, place.run);
            return self.schedule_answer(place, ticket, not_sent(effect.clone()));
        }
        self.send_call(place, send, ticket, limit, true);
    }

    fn send_call(
        &mut self,
        place: &TaskAddress,
        mut send: Box<Attempt>,
        ticket: u64,
        limit: Duration,
        is_marked: bool,
    ) {
        send.limit = limit;
        let Some(ownership) = self.ownership(place) else { return };
        log_story!(self, "p{} {} sends {} ({:?})", place.process, place.run, send.effect, send.class);
        let now = self.run_time(place);
        let checked = self.oracle.check_send(&place.run, &send, ownership, now, &self.services);
        self.record_check(checked);
        self.cue_call(place, &send, CallStage::Sent);
        self.schedule_within(1, 20, SimEvent::CallReachesService { place: place.clone(), send, ticket, is_marked });
        for fault in self.faults.due_faults(FaultPoint::Sent) {
            self.inject_fault(place, fault);
        }
    }

    pub(super) fn reach_service(&mut self, place: &TaskAddress, send: Box<Attempt>, ticket: u64) {
        let is_alive = self.processes[place.process].incarnation == place.incarnation;
        if !is_alive && self.chance_unless_scripted(50) {
            return;
        }
        // A call that was dropped may be on the wire already.
        if is_alive && !self.is_in_flight(place, &send.effect, ticket) && self.chance_unless_scripted(50) {
            return;
        }
        let is_tool = matches!(send.request, CallRequest::Tool(_));
        let fate = match self.scripted_fate(place, &send) {
            Some(fate) => fate,
            None => self.faults.next_fate(&mut self.rng, send.class),
        };
        let fate = if fate == RequestFate::Garbled && is_tool { RequestFate::Done } else { fate };
        if let Some(column) = CoverageColumn::of(fate).filter(|_| is_alive) {
            let instant = match fate {
                RequestFate::Refused | RequestFate::Declined | RequestFate::RequestLost => FaultPoint::Sent,
                RequestFate::Done
                | RequestFate::Slow
                | RequestFate::AnswerLost
                | RequestFate::Late
                | RequestFate::Garbled => FaultPoint::Acted,
            };
            self.cover_call(place, &send.effect.call.node, column, instant);
        }
        let asked = self.service_request(place, &send, false);
        let index = self.services.ledger.len();
        let quick = Duration::from_millis(self.rng.between(1, 200));
        let version = self.processes[place.process].fold_version;
        let question = self.question(&send, fate);
        let answer = match question {
            Some((question, within)) => {
                self.cover_call(place, &send.effect.call.node, CoverageColumn::Asked, FaultPoint::Sent);
                self.services.ask_person(asked, question, within, quick)
            }
            None => self.services.receive(asked, &send.request, fate, quick, send.limit, version),
        };
        log_story!(self, "  {} reaches its service: {fate:?}", send.effect);
        if let Some(task) = self.processes[place.process].task_mut(place)
            && let Some(out) = task.attempts.get_mut(&send.effect)
        {
            out.acted = true;
        }
        self.cue_call(place, &send, CallStage::Acted);
        self.answer(place, send, ticket, answer, Some(index));
        for fault in self.faults.due_faults(FaultPoint::Acted) {
            self.inject_fault(place, fault);
        }
    }

    /// The questions of a call's service to people before it acts, and their deadline: none, one or two. A service that
    /// knows the key has acted, and asks nothing more.
    fn question(&self, send: &Attempt, fate: RequestFate) -> Option<(ToolQuestion, Option<u64>)> {
        let CallRequest::Tool(call) = &send.request else { return None };
        let is_heard = matches!(fate, RequestFate::Done | RequestFate::Slow);
        if self.script.is_some() || !is_heard || self.services.result_of(&call.key).is_some() {
            return None;
        }
        // Separate random numbers, so that everything drawn after it stays as before.
        let mut rng = SeededRng::new(self.case.seed ^ number_of(&format!("{:?} asks", send.effect.call)));
        let questions = if rng.chance(15) { rng.between(1, 2) } else { 0 };
        let asked = call.replies.len() as u64;
        if asked >= questions {
            return None;
        }
        let schema = json!({"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]});
        let message = format!("question {asked} of {}", send.effect.call.node);
        let within = rng.chance(50).then(|| rng.between(1_000, 120_000));
        Some((ToolQuestion { message, schema, resume: json!(asked) }, within))
    }

    /// The run's time, as its owner last read it. A clock that is set between that read and the socket falls within the
    /// same window as a process that freezes there.
    fn run_time(&self, place: &TaskAddress) -> Time {
        let now = self.clocks(place.process);
        let task = self.processes[place.process].tasks.get(&place.run);
        task.map_or(now.wall, |task| task.owner.time(ClockReading { wall: task.looked_at, ..now }))
    }

    fn schedule_answer(&mut self, place: &TaskAddress, ticket: u64, input: OwnerInput) {
        let (place, input) = (place.clone(), Box::new(input));
        self.schedule_within(0, 2, SimEvent::AnswerArrives { place, ticket, call: None, input, asked: None });
    }

    fn service_request(&self, place: &TaskAddress, send: &Attempt, is_look_up: bool) -> ServiceRequest {
        let (key, tool) = match &send.request {
            CallRequest::Tool(call) => (call.key.clone(), call.tool.clone()),
            CallRequest::Model { key, .. } | CallRequest::Code { key, .. } | CallRequest::Step { key, .. } => {
                (key.clone(), String::new())
            }
        };
        let found = &self.processes[place.process];
        let task = found.tasks.get(&place.run).filter(|task| task.number == place.task);
        let task = task.filter(|_| found.incarnation == place.incarnation);
        let epoch = task.map_or(0, |task| task.owner.ownership().epoch);
        ServiceRequest {
            at: self.now,
            run: place.run.clone(),
            effect: send.effect.clone(),
            key,
            tool,
            class: send.class,
            arguments: services::requested_value(&send.request),
            is_look_up,
            epoch,
            was_owner: task.is_some_and(|task| self.oracle.is_owner(&place.run, &task.owner.ownership())),
            acted: false,
            reported: None,
        }
    }

    fn answer(
        &mut self,
        place: &TaskAddress,
        send: Box<Attempt>,
        ticket: u64,
        answer: services::ServiceAnswer,
        asked: Option<usize>,
    ) {
        let effect = send.effect.clone();
        if let Some((outcome, after)) = answer.late {
            let input =
                Box::new(OwnerInput::Outcome { effect: effect.clone(), outcome, audit: None, spends: Vec::new() });
            let (place, at) = (place.clone(), self.now + after);
            self.schedule(at, SimEvent::AnswerArrives { place, ticket: 0, call: None, input, asked: None });
        }
        let audit = match &send.request {
            CallRequest::Tool(call) => Some(Box::new(services::audit_row(call, &answer.outcome, self.now))),
            CallRequest::Model { .. } | CallRequest::Code { .. } | CallRequest::Step { .. } => None,
        };
        let spends = services::spend(&super::tenant(), &answer.outcome, self.now);
        let input = Box::new(OwnerInput::Outcome { effect, outcome: answer.outcome, audit, spends });
        let (place, at) = (place.clone(), self.now + answer.after);
        self.schedule(at, SimEvent::AnswerArrives { place, ticket, call: Some(send), input, asked });
    }

    pub(super) fn begin_look_up(&mut self, place: &TaskAddress, send: Box<Attempt>) {
        let ticket = self.next_number();
        if let Some(task) = self.processes[place.process].task_mut(place) {
            task.attempts.insert(send.effect.clone(), SimAttempt { ticket, acted: false, asks_model: false });
        }
        let now = self.run_time(place);
        let checked = self.oracle.check_look_up(&place.run, &send.effect, now);
        self.record_check(checked);
        log_story!(self, "p{} {} looks up {}", place.process, place.run, send.effect);
        self.schedule_within(1, 20, SimEvent::CallLookedUp { place: place.clone(), send, ticket });
    }

    pub(super) fn looked_up(&mut self, place: &TaskAddress, send: &Attempt, ticket: u64) {
        if !self.is_in_flight(place, &send.effect, ticket) {
            return;
        }
        let asked = self.service_request(place, send, true);
        let index = self.services.ledger.len();
        let is_reachable = self.faults.next_fate(&mut self.rng, EffectClass::Verify) == RequestFate::Done;
        let quick = Duration::from_millis(self.rng.between(1, 50));
        let answer = self.services.look_up(asked, is_reachable, quick);
        let input = Box::new(OwnerInput::Outcome {
            effect: send.effect.clone(),
            outcome: answer.outcome,
            audit: None,
            spends: Vec::new(),
        });
        let (place, at) = (place.clone(), self.now + answer.after);
        self.schedule(at, SimEvent::AnswerArrives { place, ticket, call: None, input, asked: Some(index) });
    }

    /// Where a run is awake: a late answer may arrive through any process.
    pub(super) fn task_of(&self, run: &RunId) -> Option<TaskAddress> {
        let mut up = (0..self.processes.len()).filter(|process| self.processes[*process].is_up());
        up.find_map(|process| Some(self.place(process, run, self.processes[process].tasks.get(run)?.number)))
    }

    /// An answer reaches the sender of the call, if it still exists. Ticket 0 means that it arrives after the call was
    /// given up.
    pub(super) fn deliver_answer(
        &mut self,
        place: &TaskAddress,
        ticket: u64,
        call: Option<Box<Attempt>>,
        input: OwnerInput,
        asked: Option<usize>,
    ) {
        let OwnerInput::Outcome { effect, outcome, audit, spends } = input else { return };
        let is_late = ticket == 0;
        let found = if is_late { self.task_of(&place.run) } else { Some(place.clone()) };
        let Some(place) = &found else { return };
        if !is_late && !self.is_in_flight(place, &effect, ticket) {
            return;
        }
        let Some(task) = self.processes[place.process].task_mut(place) else { return };
        // An answer that arrives through another process ends the attempt in flight.
        task.attempts.remove(&effect);
        task.permits.remove(&effect);
        let ownership = task.owner.ownership();
        if is_late {
            log_story!(self, "a late answer to {effect}");
            self.oracle.late_answer_received(&place.run, ownership, &effect);
        }
        if let Some(asked) = asked {
            self.services.ledger[asked].reported = services::reported_outcome(&outcome);
        }
        let twice = (call.is_some() && self.faults.answers_twice()).then(|| outcome.clone());
        if let Some(audit) = &audit {
            self.oracle.outcome_received(&place.run, ownership, audit);
        }
        self.feed_input(
            place.process,
            &place.run,
            OwnerInput::Outcome { effect: effect.clone(), outcome, audit, spends },
        );
        if let Some(outcome) = twice {
            self.cover_call(place, &effect.call.node, CoverageColumn::AnswerTwice, FaultPoint::Acted);
            self.feed_input(
                place.process,
                &place.run,
                OwnerInput::Outcome { effect, outcome, audit: None, spends: Vec::new() },
            );
        }
    }
}

fn not_sent(effect: EffectId) -> OwnerInput {
    OwnerInput::Outcome { effect, outcome: CallOutcome::NotSent, audit: None, spends: Vec::new() }
}

/// Stands for the arguments that people are asked about.
fn hash_of(effect: &EffectId) -> String {
    format!("hash of {effect}")
}

/// A number for a text (FNV-1a).
fn number_of(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |mixed, byte| (mixed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
