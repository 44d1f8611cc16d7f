//! Calls: scheduled, sent, answered, in doubt, closed.

use std::sync::Arc;

use super::super::address::{CallId, CallRole, EffectId, ScopePath};
use super::super::command::DoubtResolution;
use super::super::envelope::CallMetrics;
use super::super::event::{
    BlockReason, CallCompleted, CallOutput, CallScheduled, DoubtFollowUp, EffectRequest, OutageAction, UndoAction,
};
use super::super::saga::UndoProgress;
use super::super::state::{
    AbandonedSend, AgentWait, CallEnd, CallProgress, CompensationReason, NodeActivity, NodeToolCall, OpenCall, Run,
    RunPhase, RunState,
};
use crate::agent;
use crate::fault::Fault;
use crate::graph::NodeKind;
use crate::money::Usd;
use crate::mutant::{Mutant, planted};
use crate::time::Time;
use crate::tool::{QuestionOutcome, QuestionReply};

impl Run {
    pub(super) fn schedule(&mut self, scheduled: &CallScheduled) {
        let CallScheduled { effect, request, class, timeout, hold } = scheduled;
        let call = OpenCall {
            generation: effect.generation,
            scheduled_at: self.now,
            attempts: 0,
            request: request.clone(),
            class: *class,
            timeout: *timeout,
            progress: CallProgress::Ready,
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
            CallRole::Undo => self.saga.set_progress(&effect.call, UndoProgress::Underway),
            CallRole::Act => {
                self.attach_call(&effect.call, request);
                self.start_agent_clock(&effect.call.node, class.has_side_effects());
            }
        }
        self.on_hold += *hold;
        if let Some(state) = self.node_state_mut(&effect.call.node) {
            state.on_hold += *hold;
        }
    }

    /// Adds a call's cost.
    pub(super) fn charge(&mut self, call: &CallId, cost: Usd) {
        self.cost += cost;
        if call.role == CallRole::Act
            && let Some(state) = self.node_state_mut(&call.node)
        {
            state.cost += cost;
        }
    }

    /// Links the requesting node to the call.
    fn attach_call(&mut self, id: &CallId, request: &EffectRequest) {
        self.calls_high = self.calls_high.max(id.call);
        let Some(state) = self.activate(&id.node) else { return };
        state.next_call = state.next_call.max(id.call + 1);
        match (request, state.activity.as_deref_mut()) {
            (EffectRequest::Tool { tool, arguments, .. }, None) => {
                let asked = vec![node_tool_call(tool, arguments, id)];
                state.activity = Some(Box::new(NodeActivity::Calls { asked, deadline: None }));
            }
            (EffectRequest::Tool { tool, arguments, .. }, Some(NodeActivity::Calls { asked: all, .. })) => {
                match all.iter_mut().find(|one| one.call.is_none() && one.end.is_none()) {
                    Some(cut_off) => cut_off.call = Some(id.clone()),
                    None => all.push(node_tool_call(tool, arguments, id)),
                }
            }
            (EffectRequest::Tool { .. }, Some(NodeActivity::Agent { waits: AgentWait::Tools(calls), .. })) => {
                if let Some(open) = calls.iter_mut().find(|open| open.answer.is_none() && open.call.is_none()) {
                    open.call = Some(id.clone());
                }
            }
            (EffectRequest::Model(_), _) => self.set_agent_wait(&id.node, AgentWait::Model(id.clone())),
            (EffectRequest::Code { .. }, _) => self.set_agent_wait(&id.node, AgentWait::Code(id.clone())),
            (EffectRequest::Step { .. }, _) => self.set_agent_wait(&id.node, AgentWait::Endpoint(id.clone())),
            (EffectRequest::Tool { .. }, Some(_)) => {}
        }
    }

    pub(super) fn mark_sending(&mut self, effect: &EffectId, epoch: u64, deadline: Time) {
        self.set_call_progress(&effect.call, CallProgress::Marked { epoch, deadline });
    }

    /// Calls that can be sent without a marker may have been sent by the previous owner.
    pub(super) fn take_over(&mut self, epoch: u64, went_back: bool) {
        self.epoch = epoch;
        let latest = if went_back { Time::MAX } else { self.now };
        for call in self.calls.values_mut().filter(|call| call.may_be_out_unmarked(latest)) {
            call.unknown = true;
        }
    }

    pub(super) fn done(&mut self, done: &CallCompleted) {
        let call = &done.effect.call;
        let closed = self.close_call(call);
        self.handed_down.remove(&call.node);
        self.charge(call, done.cost);
        if call.role == CallRole::Undo {
            self.saga.set_progress(call, UndoProgress::Yes);
            if planted(Mutant::DoubleCompensation) {
                self.saga.forget_undone(call);
            }
            return;
        }
        // Effects after a rollback, which inform the customer of it, are not part of what was rolled back.
        if !matches!(self.phase, RunPhase::Aftermath { .. }) {
            let lost = self.is_loser(&call.node);
            self.enter_saga(done, closed.as_ref(), lost);
        }
        match &done.output {
            CallOutput::Tool(output) => {
                let tool = closed.as_ref().map(tool_of).unwrap_or_default();
                let duration_ms = closed.as_ref().map_or(0, |closed| self.elapsed_ms(closed));
                let degraded = closed.as_ref().is_some_and(|closed| closed.degraded);
                let settled = CallMetrics { cost: done.cost, cached: done.cached, duration_ms, degraded };
                self.answer(call, &tool, CallEnd::Done(output.clone()), settled);
            }
            CallOutput::Model(reply) => {
                self.record_observation(&call.node, agent::AgentObservation::Replied((**reply).clone()))
            }
            CallOutput::Code(ran) => self.record_observation(&call.node, agent::AgentObservation::Ran((**ran).clone())),
            CallOutput::Step(step) => self.apply_external_step(&call.node, (**step).clone()),
        }
    }

    /// `wanted` means that it must be undone although the run as a whole may not be.
    fn enter_saga(&mut self, done: &CallCompleted, closed: Option<&OpenCall>, wanted: bool) {
        let Some(undo) = &done.undo else { return };
        let tool = match (&**undo, closed) {
            (UndoAction::Child { .. }, _) => self.child_workflow(&done.effect.call),
            (_, Some(call)) => tool_of(call),
            (_, None) => String::new(),
        };
        self.saga.push(done.effect.clone(), tool, (**undo).clone(), wanted);
    }

    fn child_workflow(&self, call: &CallId) -> String {
        let named = self.compiled(&call.node).and_then(|(graph, place)| match &graph.node(place).kind {
            NodeKind::Subworkflow(child) => Some(child.workflow.clone()),
            _ => None,
        });
        named.unwrap_or_default()
    }

    pub(super) fn arrived_late(&mut self, done: &CallCompleted) {
        self.cost += done.cost;
        let forgotten = self.forgotten.remove(&done.effect);
        let lost = forgotten.as_ref().is_some_and(|forgotten| forgotten.lost);
        self.enter_saga(done, forgotten.as_ref().map(|forgotten| &forgotten.call), lost);
        if let (RunPhase::Ended(state), true) = (&self.phase, self.saga.has_due()) {
            self.phase = self.phase_before(*state);
            self.finished = None;
        }
    }

    /// Resumes the compensation in a run that ended, for its original reason: a rollback on request, or its failure.
    pub(super) fn resume_undo(&mut self, undo: &CallId) {
        self.saga.retry_undo(undo);
        let RunPhase::Ended(state) = self.phase else { return };
        let on_request = self.finished.take().is_some_and(|finished| finished.rolled_back);
        self.phase = match on_request {
            true => RunPhase::Compensating { why: CompensationReason::Rollback },
            false => self.phase_before(state),
        };
    }

    /// Returns the phase in which a run that ended handles a late result, so that it ends in the same state once that
    /// is undone.
    fn phase_before(&self, end: RunState) -> RunPhase {
        if self.saga.is_rolling_back() {
            let why = match end {
                RunState::Cancelled => CompensationReason::Cancelled,
                RunState::TimedOut => CompensationReason::TimedOut,
                _ => CompensationReason::Failed,
            };
            return RunPhase::Compensating { why };
        }
        match self.scope(&ScopePath::root()).and_then(|outer| outer.winding.clone()) {
            Some(why) => RunPhase::Winding { why, compensate: false },
            None => RunPhase::Running,
        }
    }

    pub(super) fn not_done(&mut self, effect: &EffectId, fault: &Fault, again_at: Option<Time>) {
        let id = &effect.call;
        if let Some(at) = again_at {
            if let Some(open) = self.calls.get_mut(id) {
                open.attempts += u32::from(open.is_from_send());
                open.generation += u32::from(!planted(Mutant::GenerationKept));
                open.unknown = false;
            }
            if id.role == CallRole::Undo {
                self.saga.set_progress(id, UndoProgress::Underway);
            }
            return self.set_call_progress(id, CallProgress::Waiting { at });
        }
        let closed = self.close_call(id);
        match closed.as_ref().filter(|_| id.role == CallRole::Act).map(|call| &call.request) {
            Some(EffectRequest::Tool { tool, .. }) => {
                let duration_ms = closed.as_ref().map_or(0, |closed| self.elapsed_ms(closed));
                let degraded = closed.as_ref().is_some_and(|closed| closed.degraded);
                let settled = CallMetrics { duration_ms, degraded, ..CallMetrics::default() };
                self.answer(id, tool, CallEnd::Failed(fault.clone()), settled);
            }
            Some(EffectRequest::Model(_)) => {
                self.record_observation(&id.node, agent::AgentObservation::ModelFailed(fault.clone()))
            }
            Some(EffectRequest::Step { .. }) => {
                self.apply_external_step(&id.node, agent::AgentStep::GiveUp(fault.clone()))
            }
            // For the agent, a program that could not be run is one that failed.
            Some(EffectRequest::Code { .. }) => {
                let ran = agent::ProgramOutcome::Failed { fault: fault.clone(), printed: String::new() };
                self.record_observation(&id.node, agent::AgentObservation::Ran(ran));
            }
            None => {}
        }
    }

    pub(super) fn degrade(&mut self, effect: &EffectId, fault: &Fault, attempted: bool, detour: &OutageAction) {
        let id = &effect.call;
        let Some(call) = self.calls.get_mut(id) else { return };
        call.degraded = true;
        if attempted {
            call.attempts += 1;
            call.generation += 1;
        }
        match detour {
            OutageAction::Answered { output } => self.settle(id, CallEnd::Done(output.clone())),
            OutageAction::Refused => self.settle(id, CallEnd::Failed(fault.clone())),
            OutageAction::Queued { at, until } => {
                call.queued_until = Some(*until);
                self.set_call_progress(id, CallProgress::Waiting { at: *at });
                self.update_agent_clock(id);
            }
            OutageAction::Provider { name } => {
                call.attempts = 0;
                if let EffectRequest::Tool { provider, .. } = &mut call.request {
                    *provider = Some(name.clone());
                }
                self.set_call_progress(id, CallProgress::Ready);
            }
            OutageAction::Person => {
                self.set_call_progress(id, CallProgress::Doubt);
                self.update_agent_clock(id);
            }
        }
    }

    /// Closes a tool call for which the service was not, or could not be, called.
    fn settle(&mut self, id: &CallId, end: CallEnd) {
        let Some(closed) = self.close_call(id) else { return };
        let settled = CallMetrics { duration_ms: self.elapsed_ms(&closed), degraded: true, ..CallMetrics::default() };
        self.answer(id, &tool_of(&closed), end, settled);
    }

    pub(super) fn mark_in_doubt(&mut self, effect: &EffectId, next: &DoubtFollowUp) {
        let id = &effect.call;
        let Some(call) = self.calls.get_mut(id) else { return };
        call.attempts += u32::from(call.is_from_send());
        call.unknown = true;
        call.generation += u32::from(planted(Mutant::GenerationRaisedInDoubt));
        let tries = match call.progress {
            CallProgress::LookUp { tries, .. } => tries + 1,
            _ => 0,
        };
        let progress = match next {
            DoubtFollowUp::SendAgain { at } => CallProgress::Waiting { at: *at },
            DoubtFollowUp::LookUp { at } => CallProgress::LookUp { at: *at, tries },
            DoubtFollowUp::Person => CallProgress::Doubt,
        };
        self.set_call_progress(id, progress);
        self.update_agent_clock(id);
        if id.role == CallRole::Undo && *next == DoubtFollowUp::Person {
            self.saga.set_progress(id, UndoProgress::Doubt);
        }
    }

    /// `done` and a final `not_done` follow as their own events; here only the old generation is recorded, since its
    /// answer may still arrive.
    pub(super) fn resolve(&mut self, effect: &EffectId, resolution: &DoubtResolution) {
        let lost = self.is_loser(&effect.call.node);
        let Some(call) = self.calls.get_mut(&effect.call) else { return };
        let forgotten = AbandonedSend { call: call.clone(), lost };
        match resolution {
            DoubtResolution::Done { .. } => {}
            DoubtResolution::NotDone => {
                self.forgotten.insert(effect.clone(), forgotten);
            }
            DoubtResolution::Repeat => {
                self.forgotten.insert(effect.clone(), forgotten);
                call.generation += 1;
                call.unknown = false;
                if effect.call.role == CallRole::Undo {
                    self.saga.set_progress(&effect.call, UndoProgress::Underway);
                }
                self.start_agent_clock(&effect.call.node, false);
                self.set_call_progress(&effect.call, CallProgress::Ready);
            }
        }
    }

    pub(super) fn block(&mut self, effect: &EffectId, by: &BlockReason) {
        if let (BlockReason::Approval(_), Some(call)) = (by, self.calls.get_mut(&effect.call)) {
            call.allowed_by.clear();
        }
        self.set_call_progress(&effect.call, CallProgress::Blocked(by.clone()));
        self.update_agent_clock(&effect.call);
    }

    pub(super) fn unblock(&mut self, effect: &EffectId) {
        if let Some(call) = self.calls.get_mut(&effect.call)
            && let CallProgress::Blocked(BlockReason::Approval(leave)) = &call.progress
        {
            call.approved = Some(leave.hash.clone());
            call.allowed_by.clear();
        }
        self.start_agent_clock(&effect.call.node, false);
        self.set_call_progress(&effect.call, CallProgress::Ready);
    }

    /// Records the answer to a question; the call is then sent with it.
    pub(super) fn reply(&mut self, effect: &EffectId, said: &QuestionOutcome, same_key: bool) {
        let Some(call) = self.calls.get_mut(&effect.call) else { return };
        let CallProgress::Blocked(BlockReason::Question { question, .. }) = &call.progress else { return };
        call.replies.push(QuestionReply { question: (**question).clone(), said: said.clone() });
        call.generation += u32::from(!same_key);
        self.start_agent_clock(&effect.call.node, false);
        self.set_call_progress(&effect.call, CallProgress::Ready);
    }

    pub(super) fn record_approval(&mut self, effect: &EffectId, by: &str) {
        if let Some(call) = self.calls.get_mut(&effect.call) {
            call.allowed_by.push(by.to_owned());
        }
    }

    /// Changes the state of an open call, and its timer.
    pub(super) fn set_call_progress(&mut self, id: &CallId, progress: CallProgress) {
        let Some(call) = self.calls.get_mut(id) else { return };
        if let Some(due) = call.due_at() {
            self.backoffs.remove(&(due, id.clone()));
        }
        call.progress = progress;
        if let Some(due) = call.due_at() {
            self.backoffs.insert((due, id.clone()));
        }
    }

    pub(super) fn close_call(&mut self, id: &CallId) -> Option<OpenCall> {
        let call = self.calls.remove(id)?;
        if let Some(due) = call.due_at() {
            self.backoffs.remove(&(due, id.clone()));
        }
        self.on_hold -= call.hold;
        if let Some(state) = self.node_state_mut(&id.node) {
            state.on_hold -= call.hold;
        }
        Some(call)
    }

    /// Milliseconds since a call was scheduled.
    fn elapsed_ms(&self, call: &OpenCall) -> u64 {
        u64::try_from(self.now.since(call.scheduled_at).as_millis()).unwrap_or(u64::MAX)
    }

    /// Passes a tool call's result to the requesting node.
    fn answer(&mut self, id: &CallId, tool: &str, end: CallEnd, settled: CallMetrics) {
        let is_agents = matches!(self.activity(&id.node), Some(NodeActivity::Agent { .. }));
        let envelope = is_agents.then(|| self.envelope(Some(id), tool, &end, settled));
        match self.activity_mut(&id.node) {
            Some(NodeActivity::Calls { asked, .. }) => {
                if let Some(one) = asked.iter_mut().find(|one| one.call.as_ref() == Some(id)) {
                    (one.end, one.settled) = (Some(end), settled);
                }
            }
            Some(NodeActivity::Agent { waits: AgentWait::Tools(calls), .. }) => {
                if let Some(open) = calls.iter_mut().find(|open| open.call.as_ref() == Some(id)) {
                    open.answer = envelope;
                }
                self.record_tool_results(&id.node);
            }
            _ => {}
        }
    }
}

fn node_tool_call(tool: &str, arguments: &Arc<serde_json::Value>, id: &CallId) -> NodeToolCall {
    NodeToolCall {
        tool: tool.to_owned(),
        arguments: arguments.clone(),
        call: Some(id.clone()),
        end: None,
        settled: CallMetrics::default(),
    }
}

fn tool_of(call: &OpenCall) -> String {
    match &call.request {
        EffectRequest::Tool { tool, .. } => tool.clone(),
        EffectRequest::Model(_) => "model".to_owned(),
        EffectRequest::Code { .. } => "code".to_owned(),
        EffectRequest::Step { .. } => "step".to_owned(),
    }
}
