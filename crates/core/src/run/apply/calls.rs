//! Calls: scheduled, sent, answered, doubted, closed.

use std::sync::Arc;

use super::super::address::{CallId, EffectId, Path, Role};
use super::super::command::Resolution;
use super::super::envelope::Settled;
use super::super::event::{Answer, Block, Detour, Done, InDoubt, Request, Scheduled, Undo};
use super::super::saga::Undone;
use super::super::state::{Activity, AgentWait, Call, CallEnd, Forgotten, Phase, Progress, Run, State, ToolCall, Why};
use crate::agent;
use crate::fault::Fault;
use crate::graph::Kind;
use crate::money::Usd;
use crate::mutant::{Mutant, planted};
use crate::time::Time;
use crate::tool::{Reply, Said};

impl Run {
    pub(super) fn schedule(&mut self, scheduled: &Scheduled) {
        let Scheduled { effect, request, class, timeout, hold } = scheduled;
        let call = Call {
            generation: effect.generation,
            scheduled_at: self.now,
            attempts: 0,
            request: request.clone(),
            class: *class,
            timeout: *timeout,
            progress: Progress::Ready,
            unknown: false,
            approved: None,
            allowed_by: Vec::new(),
            replies: Vec::new(),
            hold: *hold,
            degraded: false,
            queued_until: None,
        };
        self.calls.insert(effect.call.clone(), call);
        match effect.call.role {
            Role::Undo => self.saga.mark(&effect.call, Undone::Underway),
            Role::Act => {
                self.assign(&effect.call, request);
                self.works(&effect.call.node, class.acts());
            }
        }
        self.on_hold += *hold;
        if let Some(state) = self.node_state_mut(&effect.call.node) {
            state.on_hold += *hold;
        }
    }

    /// Counts what a call cost.
    pub(super) fn pay(&mut self, call: &CallId, cost: Usd) {
        self.cost += cost;
        if call.role == Role::Act
            && let Some(state) = self.node_state_mut(&call.node)
        {
            state.cost += cost;
        }
    }

    /// Tells the node that asked which call its request became.
    fn assign(&mut self, id: &CallId, request: &Request) {
        self.calls_high = self.calls_high.max(id.call);
        let Some(state) = self.activate(&id.node) else { return };
        state.next_call = state.next_call.max(id.call + 1);
        match (request, state.activity.as_deref_mut()) {
            (Request::Tool { tool, arguments, .. }, None) => {
                let asked = vec![asked(tool, arguments, id)];
                state.activity = Some(Box::new(Activity::Calls { asked, deadline: None }));
            }
            (Request::Tool { tool, arguments, .. }, Some(Activity::Calls { asked: all, .. })) => {
                match all.iter_mut().find(|one| one.call.is_none() && one.end.is_none()) {
                    Some(cut_off) => cut_off.call = Some(id.clone()),
                    None => all.push(asked(tool, arguments, id)),
                }
            }
            (Request::Tool { .. }, Some(Activity::Agent { waits: AgentWait::Tools(calls), .. })) => {
                if let Some(open) = calls.iter_mut().find(|open| open.answer.is_none() && open.call.is_none()) {
                    open.call = Some(id.clone());
                }
            }
            (Request::Model(_), _) => self.wait_as(&id.node, AgentWait::Model(id.clone())),
            (Request::Code { .. }, _) => self.wait_as(&id.node, AgentWait::Code(id.clone())),
            (Request::Step { .. }, _) => self.wait_as(&id.node, AgentWait::Endpoint(id.clone())),
            (Request::Tool { .. }, Some(_)) => {}
        }
    }

    pub(super) fn mark(&mut self, effect: &EffectId, epoch: u64, deadline: Time) {
        self.progress(&effect.call, Progress::Marked { epoch, deadline });
    }

    /// What could go out without a marker may have been sent by the owner before.
    pub(super) fn take_over(&mut self, epoch: u64, went_back: bool) {
        self.epoch = epoch;
        let latest = if went_back { Time::MAX } else { self.now };
        for call in self.calls.values_mut().filter(|call| call.may_be_out_unmarked(latest)) {
            call.unknown = true;
        }
    }

    pub(super) fn done(&mut self, done: &Done) {
        let call = &done.effect.call;
        let closed = self.close_call(call);
        self.handed_down.remove(&call.node);
        self.pay(call, done.cost);
        if call.role == Role::Undo {
            self.saga.mark(call, Undone::Yes);
            if planted(Mutant::DoubleCompensation) {
                self.saga.undo_again(call);
            }
            return;
        }
        // What is done after a rollback, to tell the customer of it, is not part of what was rolled back.
        if !matches!(self.phase, Phase::Aftermath { .. }) {
            let lost = self.is_loser(&call.node);
            self.enter_saga(done, closed.as_ref(), lost);
        }
        match &done.output {
            Answer::Tool(output) => {
                let tool = closed.as_ref().map(tool_of).unwrap_or_default();
                let duration_ms = closed.as_ref().map_or(0, |closed| self.lasted(closed));
                let degraded = closed.as_ref().is_some_and(|closed| closed.degraded);
                let settled = Settled { cost: done.cost, cached: done.cached, duration_ms, degraded };
                self.answer(call, &tool, CallEnd::Done(output.clone()), settled);
            }
            Answer::Model(reply) => self.see(&call.node, agent::Seen::Replied((**reply).clone())),
            Answer::Code(ran) => self.see(&call.node, agent::Seen::Ran((**ran).clone())),
            Answer::Step(step) => self.think_for(&call.node, (**step).clone()),
        }
    }

    /// `wanted` says that it is to be undone although the run as a whole may not be.
    fn enter_saga(&mut self, done: &Done, closed: Option<&Call>, wanted: bool) {
        let Some(undo) = &done.undo else { return };
        let tool = match (&**undo, closed) {
            (Undo::Child { .. }, _) => self.child_workflow(&done.effect.call),
            (_, Some(call)) => tool_of(call),
            (_, None) => String::new(),
        };
        self.saga.push(done.effect.clone(), tool, (**undo).clone(), wanted);
    }

    fn child_workflow(&self, call: &CallId) -> String {
        let named = self.compiled(&call.node).and_then(|(graph, place)| match &graph.node(place).kind {
            Kind::Subworkflow(child) => Some(child.workflow.clone()),
            _ => None,
        });
        named.unwrap_or_default()
    }

    pub(super) fn arrived_late(&mut self, done: &Done) {
        self.cost += done.cost;
        let forgotten = self.forgotten.remove(&done.effect);
        let lost = forgotten.as_ref().is_some_and(|forgotten| forgotten.lost);
        self.enter_saga(done, forgotten.as_ref().map(|forgotten| &forgotten.call), lost);
        if let (Phase::Ended(state), true) = (&self.phase, self.saga.has_due()) {
            self.phase = self.phase_before(*state);
            self.finished = None;
        }
    }

    /// A run that ended takes the undoing up again, as what it was: a rollback on request, or what its failure asked for.
    pub(super) fn undo_again(&mut self, undo: &CallId) {
        self.saga.try_again(undo);
        let Phase::Ended(state) = self.phase else { return };
        let on_request = self.finished.take().is_some_and(|finished| finished.rolled_back);
        self.phase = match on_request {
            true => Phase::Compensating { why: Why::Rollback },
            false => self.phase_before(state),
        };
    }

    /// Where a run that ended takes up again what came late, to come to the same end once that is undone.
    fn phase_before(&self, end: State) -> Phase {
        if self.saga.is_rolling_back() {
            let why = match end {
                State::Cancelled => Why::Cancelled,
                State::TimedOut => Why::TimedOut,
                _ => Why::Failed,
            };
            return Phase::Compensating { why };
        }
        match self.scope(&Path::root()).and_then(|outer| outer.winding.clone()) {
            Some(why) => Phase::Winding { why, compensate: false },
            None => Phase::Running,
        }
    }

    pub(super) fn not_done(&mut self, effect: &EffectId, fault: &Fault, again_at: Option<Time>) {
        let id = &effect.call;
        if let Some(at) = again_at {
            if let Some(open) = self.calls.get_mut(id) {
                open.attempts += u32::from(open.is_of_a_send());
                open.generation += u32::from(!planted(Mutant::GenerationKept));
                open.unknown = false;
            }
            if id.role == Role::Undo {
                self.saga.mark(id, Undone::Underway);
            }
            return self.progress(id, Progress::Waiting { at });
        }
        let closed = self.close_call(id);
        match closed.as_ref().filter(|_| id.role == Role::Act).map(|call| &call.request) {
            Some(Request::Tool { tool, .. }) => {
                let duration_ms = closed.as_ref().map_or(0, |closed| self.lasted(closed));
                let degraded = closed.as_ref().is_some_and(|closed| closed.degraded);
                let settled = Settled { duration_ms, degraded, ..Settled::default() };
                self.answer(id, tool, CallEnd::Failed(fault.clone()), settled);
            }
            Some(Request::Model(_)) => self.see(&id.node, agent::Seen::ModelFailed(fault.clone())),
            Some(Request::Step { .. }) => self.think_for(&id.node, agent::Step::GiveUp(fault.clone())),
            // To the agent a program that could not be run is one that failed.
            Some(Request::Code { .. }) => {
                let ran = agent::Ran::Failed { fault: fault.clone(), printed: String::new() };
                self.see(&id.node, agent::Seen::Ran(ran));
            }
            None => {}
        }
    }

    pub(super) fn degrade(&mut self, effect: &EffectId, fault: &Fault, attempted: bool, detour: &Detour) {
        let id = &effect.call;
        let Some(call) = self.calls.get_mut(id) else { return };
        call.degraded = true;
        if attempted {
            call.attempts += 1;
            call.generation += 1;
        }
        match detour {
            Detour::Answered { output } => self.settle(id, CallEnd::Done(output.clone())),
            Detour::Refused => self.settle(id, CallEnd::Failed(fault.clone())),
            Detour::Queued { at, until } => {
                call.queued_until = Some(*until);
                self.progress(id, Progress::Waiting { at: *at });
                self.waits_as(id);
            }
            Detour::Provider { name } => {
                call.attempts = 0;
                if let Request::Tool { provider, .. } = &mut call.request {
                    *provider = Some(name.clone());
                }
                self.progress(id, Progress::Ready);
            }
            Detour::Person => {
                self.progress(id, Progress::Doubt);
                self.waits_as(id);
            }
        }
    }

    /// Closes a tool call that its service was not asked for, or could not be.
    fn settle(&mut self, id: &CallId, end: CallEnd) {
        let Some(closed) = self.close_call(id) else { return };
        let settled = Settled { duration_ms: self.lasted(&closed), degraded: true, ..Settled::default() };
        self.answer(id, &tool_of(&closed), end, settled);
    }

    pub(super) fn doubt(&mut self, effect: &EffectId, next: &InDoubt) {
        let id = &effect.call;
        let Some(call) = self.calls.get_mut(id) else { return };
        call.attempts += u32::from(call.is_of_a_send());
        call.unknown = true;
        call.generation += u32::from(planted(Mutant::GenerationRaisedInDoubt));
        let tries = match call.progress {
            Progress::LookUp { tries, .. } => tries + 1,
            _ => 0,
        };
        let progress = match next {
            InDoubt::SendAgain { at } => Progress::Waiting { at: *at },
            InDoubt::LookUp { at } => Progress::LookUp { at: *at, tries },
            InDoubt::Person => Progress::Doubt,
        };
        self.progress(id, progress);
        self.waits_as(id);
        if id.role == Role::Undo && *next == InDoubt::Person {
            self.saga.mark(id, Undone::Doubt);
        }
    }

    /// `done` and a final `not_done` follow as their own events; here the old generation is only remembered, since it
    /// may yet be answered.
    pub(super) fn resolve(&mut self, effect: &EffectId, resolution: &Resolution) {
        let lost = self.is_loser(&effect.call.node);
        let Some(call) = self.calls.get_mut(&effect.call) else { return };
        let forgotten = Forgotten { call: call.clone(), lost };
        match resolution {
            Resolution::Done { .. } => {}
            Resolution::NotDone => {
                self.forgotten.insert(effect.clone(), forgotten);
            }
            Resolution::Repeat => {
                self.forgotten.insert(effect.clone(), forgotten);
                call.generation += 1;
                call.unknown = false;
                if effect.call.role == Role::Undo {
                    self.saga.mark(&effect.call, Undone::Underway);
                }
                self.works(&effect.call.node, false);
                self.progress(&effect.call, Progress::Ready);
            }
        }
    }

    pub(super) fn block(&mut self, effect: &EffectId, by: &Block) {
        if let (Block::Approval(_), Some(call)) = (by, self.calls.get_mut(&effect.call)) {
            call.allowed_by.clear();
        }
        self.progress(&effect.call, Progress::Blocked(by.clone()));
        self.waits_as(&effect.call);
    }

    pub(super) fn unblock(&mut self, effect: &EffectId) {
        if let Some(call) = self.calls.get_mut(&effect.call)
            && let Progress::Blocked(Block::Approval(leave)) = &call.progress
        {
            call.approved = Some(leave.hash.clone());
            call.allowed_by.clear();
        }
        self.works(&effect.call.node, false);
        self.progress(&effect.call, Progress::Ready);
    }

    /// The question is answered, and the call goes out with that.
    pub(super) fn reply(&mut self, effect: &EffectId, said: &Said, same_key: bool) {
        let Some(call) = self.calls.get_mut(&effect.call) else { return };
        let Progress::Blocked(Block::Question { question, .. }) = &call.progress else { return };
        call.replies.push(Reply { question: (**question).clone(), said: said.clone() });
        call.generation += u32::from(!same_key);
        self.works(&effect.call.node, false);
        self.progress(&effect.call, Progress::Ready);
    }

    pub(super) fn allow(&mut self, effect: &EffectId, by: &str) {
        if let Some(call) = self.calls.get_mut(&effect.call) {
            call.allowed_by.push(by.to_owned());
        }
    }

    /// Moves an open call on, its timer with it.
    pub(super) fn progress(&mut self, id: &CallId, progress: Progress) {
        let Some(call) = self.calls.get_mut(id) else { return };
        if let Some(due) = call.due() {
            self.backoffs.remove(&(due, id.clone()));
        }
        call.progress = progress;
        if let Some(due) = call.due() {
            self.backoffs.insert((due, id.clone()));
        }
    }

    pub(super) fn close_call(&mut self, id: &CallId) -> Option<Call> {
        let call = self.calls.remove(id)?;
        if let Some(due) = call.due() {
            self.backoffs.remove(&(due, id.clone()));
        }
        self.on_hold -= call.hold;
        if let Some(state) = self.node_state_mut(&id.node) {
            state.on_hold -= call.hold;
        }
        Some(call)
    }

    /// Milliseconds since a call was scheduled.
    fn lasted(&self, call: &Call) -> u64 {
        u64::try_from(self.now.since(call.scheduled_at).as_millis()).unwrap_or(u64::MAX)
    }

    /// Hands a tool call's result to the node that asked.
    fn answer(&mut self, id: &CallId, tool: &str, end: CallEnd, settled: Settled) {
        let is_agents = matches!(self.activity(&id.node), Some(Activity::Agent { .. }));
        let envelope = is_agents.then(|| self.envelope(Some(id), tool, &end, settled));
        match self.activity_mut(&id.node) {
            Some(Activity::Calls { asked, .. }) => {
                if let Some(one) = asked.iter_mut().find(|one| one.call.as_ref() == Some(id)) {
                    (one.end, one.settled) = (Some(end), settled);
                }
            }
            Some(Activity::Agent { waits: AgentWait::Tools(calls), .. }) => {
                if let Some(open) = calls.iter_mut().find(|open| open.call.as_ref() == Some(id)) {
                    open.answer = envelope;
                }
                self.see_results(&id.node);
            }
            _ => {}
        }
    }
}

fn asked(tool: &str, arguments: &Arc<serde_json::Value>, id: &CallId) -> ToolCall {
    ToolCall {
        tool: tool.to_owned(),
        arguments: arguments.clone(),
        call: Some(id.clone()),
        end: None,
        settled: Settled::default(),
    }
}

fn tool_of(call: &Call) -> String {
    match &call.request {
        Request::Tool { tool, .. } => tool.clone(),
        Request::Model(_) => "model".to_owned(),
        Request::Code { .. } => "code".to_owned(),
        Request::Step { .. } => "step".to_owned(),
    }
}
