//! Calls: scheduled, sent, answered, doubted, closed.

use super::super::address::{CallId, EffectId, Role};
use super::super::command::Resolution;
use super::super::event::{Answer, Block, Done, InDoubt, Request, Scheduled};
use super::super::saga::Undone;
use super::super::state::{Activity, AgentWait, Call, CallEnd, Phase, Progress, Run, State, Timer, Why};
use super::agents::see_results;
use crate::agent;
use crate::fault::Fault;
use crate::money::Usd;
use crate::time::Time;

impl Run {
    pub(super) fn schedule(&mut self, scheduled: &Scheduled) {
        let Scheduled { effect, request, class, timeout } = scheduled;
        let call = Call {
            generation: effect.generation,
            scheduled_at: self.now,
            attempts: 0,
            request: request.clone(),
            class: *class,
            timeout: *timeout,
            progress: Progress::Ready,
            approved: None,
        };
        self.calls.insert(effect.call.clone(), call);
        if effect.call.role == Role::Undo {
            self.saga.mark(&effect.call, Undone::Underway);
            return;
        }
        let tool_name = match request {
            Request::Tool { tool, .. } => tool.clone(),
            Request::Model(_) => String::new(),
        };
        let Some(state) = self.activate(&effect.call.node) else { return };
        state.next_call = state.next_call.max(effect.call.call + 1);
        match state.activity.as_deref_mut() {
            None => {
                let asked = vec![(effect.call.clone(), tool_name, None)];
                state.activity = Some(Box::new(Activity::Calls { asked, deadline: None }));
            }
            Some(Activity::Calls { asked, .. }) => asked.push((effect.call.clone(), tool_name, None)),
            Some(Activity::Agent { waits, .. }) => match (request, waits) {
                (Request::Model(_), waits) => *waits = AgentWait::Model(effect.call.clone()),
                (Request::Tool { .. }, AgentWait::Tools(calls)) => {
                    let open = calls.iter_mut().find(|call| call.answer.is_none() && call.call.is_none());
                    if let Some(open) = open {
                        open.call = Some(effect.call.clone());
                    }
                }
                (Request::Tool { .. }, _) => {}
            },
            Some(_) => {}
        }
    }

    pub(super) fn done(&mut self, done: &Done) {
        self.cost += done.cost;
        let call = &done.effect.call;
        let closed = self.close_call(call);
        if call.role == Role::Undo {
            self.saga.mark(call, Undone::Yes);
            return;
        }
        if let Some(state) = self.node_state_mut(&call.node) {
            state.cost += done.cost;
        }
        self.enter_saga(done, closed.as_ref());
        match &done.output {
            Answer::Tool(output) => {
                let tool = closed.as_ref().map(tool_of).unwrap_or_default();
                self.answer(call, &tool, CallEnd::Done(output.clone()), done.cost, done.cached);
            }
            Answer::Model(reply) => self.see(&call.node, agent::Seen::Replied((**reply).clone())),
        }
    }

    pub(super) fn enter_saga(&mut self, done: &Done, closed: Option<&Call>) {
        let Some(undo) = &done.undo else { return };
        let tool = closed.map(tool_of).unwrap_or_default();
        let wanted = self.node_state(&done.effect.call.node).is_some_and(|state| state.cut == Some(true));
        self.saga.push(done.effect.clone(), tool, (**undo).clone(), wanted);
    }

    pub(super) fn arrived_late(&mut self, done: &Done) {
        self.cost += done.cost;
        let forgotten = self.forgotten.remove(&done.effect);
        self.enter_saga(done, forgotten.as_ref());
        let compensates = matches!(self.phase, Phase::Ended(State::Compensated | State::Cancelled));
        if compensates && done.undo.is_some() {
            self.finished = None;
            self.phase = Phase::Compensating { why: Why::Rollback };
        }
    }

    pub(super) fn not_done(&mut self, effect: &EffectId, fault: &Fault, again_at: Option<Time>) {
        let call = &effect.call;
        if let Some(at) = again_at {
            if let Some(open) = self.calls.get_mut(call) {
                open.generation += 1;
                open.attempts += 1;
            }
            self.progress(effect, Progress::Waiting { at, unknown: false });
            return;
        }
        let closed = self.close_call(call);
        if call.role == Role::Undo {
            return;
        }
        match closed.as_ref().map(|call| &call.request) {
            Some(Request::Tool { tool, .. }) => {
                self.answer(call, tool, CallEnd::Failed(fault.clone()), Usd::ZERO, false);
            }
            Some(Request::Model(_)) => self.see(&call.node, agent::Seen::ModelFailed(fault.clone())),
            None => {}
        }
    }

    pub(super) fn doubt(&mut self, effect: &EffectId, next: &InDoubt) {
        if let Some(call) = self.calls.get_mut(&effect.call) {
            call.attempts += u32::from(!matches!(call.progress, Progress::LookUp { .. }));
        }
        let tries = match self.calls.get(&effect.call).map(|call| &call.progress) {
            Some(Progress::LookUp { tries, .. }) => tries + 1,
            _ => 0,
        };
        self.progress(
            effect,
            match next {
                InDoubt::SendAgain { at } => Progress::Waiting { at: *at, unknown: true },
                InDoubt::LookUp { at } => Progress::LookUp { at: *at, tries },
                InDoubt::Person => Progress::Doubt,
            },
        );
        if effect.call.role == Role::Undo && *next == InDoubt::Person {
            self.saga.mark(&effect.call, Undone::Doubt);
        }
    }

    /// `done` and a final `not_done` follow as their own events; here the old generation is only remembered, since it
    /// may yet be answered.
    pub(super) fn resolve(&mut self, effect: &EffectId, resolution: &Resolution) {
        let Some(call) = self.calls.get_mut(&effect.call) else { return };
        match resolution {
            Resolution::Done { .. } => {}
            Resolution::NotDone => {
                self.forgotten.insert(effect.clone(), call.clone());
            }
            Resolution::Repeat => {
                self.forgotten.insert(effect.clone(), call.clone());
                call.generation += 1;
                if effect.call.role == Role::Undo {
                    self.saga.mark(&effect.call, Undone::Underway);
                }
                let effect = EffectId { generation: effect.generation + 1, ..effect.clone() };
                self.progress(&effect, Progress::Ready);
            }
        }
    }

    pub(super) fn unblock(&mut self, effect: &EffectId) {
        if let Some(call) = self.calls.get_mut(&effect.call)
            && let Progress::Blocked(Block::Approval { hash }) = &call.progress
        {
            call.approved = Some(hash.clone());
        }
        self.progress(effect, Progress::Ready);
    }

    pub(super) fn abandon(&mut self, call: &CallId) {
        self.close_call(call);
    }

    /// Moves an open call on, its timer with it.
    pub(super) fn progress(&mut self, effect: &EffectId, progress: Progress) {
        let Some(call) = self.calls.get_mut(&effect.call) else { return };
        if let Some(due) = call.due() {
            self.timers.remove(&(due, Timer::Call(effect.call.clone())));
        }
        call.progress = progress;
        if let Some(due) = call.due() {
            self.timers.insert((due, Timer::Call(effect.call.clone())));
        }
    }

    pub(super) fn close_call(&mut self, id: &CallId) -> Option<Call> {
        let call = self.calls.remove(id)?;
        if let Some(due) = call.due() {
            self.timers.remove(&(due, Timer::Call(id.clone())));
        }
        Some(call)
    }

    /// Hands a tool call's result to the node that asked.
    pub(super) fn answer(&mut self, call: &CallId, tool: &str, end: CallEnd, cost: Usd, cached: bool) {
        match self.activity_mut(&call.node) {
            Some(Activity::Calls { asked, .. }) => {
                if let Some((.., answer)) = asked.iter_mut().find(|(id, ..)| id == call) {
                    *answer = Some(end);
                }
            }
            Some(Activity::Agent { seen, waits, .. }) => {
                let AgentWait::Tools(calls) = waits else { return };
                if let Some(open) = calls.iter_mut().find(|open| open.call.as_ref() == Some(call)) {
                    open.answer = Some(super::super::calls::envelope(tool, &end, cost, cached));
                }
                see_results(seen, waits);
            }
            _ => {}
        }
    }
}

fn tool_of(call: &Call) -> String {
    match &call.request {
        Request::Tool { tool, .. } => tool.clone(),
        Request::Model(_) => "model".to_owned(),
    }
}
