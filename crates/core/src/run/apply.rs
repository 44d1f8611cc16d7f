//! Applies events to the state. It never fails, so replay never fails. The behaviour of each event kind is frozen once
//! released.

mod agents;
mod calls;
mod ends;
mod nodes;
mod scopes;
mod signals;
mod variables;

use std::sync::Arc;

use super::address::{NodeAddress, ScopePath};
use super::event::{DrainReason, RunEvent, RunReopened, RunStarted};
use super::saga::UndoProgress;
use super::state::{CallProgress, NodeActivity, NodeStatus, Run, RunPhase, RunTimer, ScopeState, WorkClock};
use crate::time::Time;

pub(super) use nodes::is_ready;

impl Run {
    /// Applies one event that happened at `at`.
    pub fn apply(&mut self, at: Time, event: &RunEvent) {
        self.now = self.now.max(at);
        self.events += 1;
        match event {
            RunEvent::Started(started) => self.start(started),
            RunEvent::Scheduled(scheduled) => self.schedule(scheduled),
            RunEvent::Sending { effect, epoch, deadline } => self.mark_sending(effect, *epoch, *deadline),
            RunEvent::Unsent { effect } => self.set_call_progress(&effect.call, CallProgress::Ready),
            RunEvent::TakenOver { epoch, went_back } => self.take_over(*epoch, *went_back),
            RunEvent::Done(done) => self.done(done),
            RunEvent::NotDone { effect, fault, again_at, cost } => {
                self.charge(&effect.call, *cost);
                self.not_done(effect, fault, *again_at);
            }
            RunEvent::Degraded { effect, fault, attempted, detour } => self.degrade(effect, fault, *attempted, detour),
            RunEvent::HoldLost { effect, cost } => self.charge(&effect.call, *cost),
            RunEvent::Doubted { effect, next, .. } => self.mark_in_doubt(effect, next),
            RunEvent::Resolved { effect, resolution, .. } => self.resolve(effect, resolution),
            RunEvent::Blocked { effect, by } => self.block(effect, by),
            RunEvent::Unblocked { effect, .. } => self.unblock(effect),
            RunEvent::Approved { effect, by, .. } => self.record_approval(effect, by),
            RunEvent::Replied { effect, said, same_key, .. } => self.reply(effect, said, *same_key),
            RunEvent::ArrivedLate(done) => self.arrived_late(done),
            RunEvent::Abandoned { call } => drop(self.close_call(call)),
            RunEvent::Began { node, wait } => self.begin(node, wait),
            RunEvent::Ended(ended) => self.end(ended),
            RunEvent::Stepped { node, step } => self.stepped(node, step),
            RunEvent::AgentReplaced { node, task, .. } => self.replace_agent(node, task),
            RunEvent::RequestRefused { node, id, tool, fault } => self.refuse_request(node, id, tool, fault),
            RunEvent::CustomerAsked { node, deadline, .. } => self.ask_customer(node, *deadline),
            RunEvent::VariableSet { key, value, .. } => self.set_variable(key, value),
            RunEvent::ScopeOpened { path, item } => self.open_scope(path, item.clone()),
            RunEvent::ScopeWinding { path, why } => self.drain_scope(path, why),
            RunEvent::ScopeClosed { path, output, fault } => self.close_scope(path, output, fault.as_ref()),
            RunEvent::BranchesCut { scope, nodes, undo } => self.cut_branches(scope, nodes, *undo),
            RunEvent::SignalKept { signal } => self.keep_signal(signal),
            RunEvent::SignalTaken { node, name } => self.take_signal(node, name),
            RunEvent::SignalHeld { signal, until } => self.hold_signal(signal, *until),
            RunEvent::Answered { node, by, decision } => {
                if let Some(NodeActivity::Human { answers, .. }) = self.activity_mut(node) {
                    answers.push((by.clone(), decision.clone()));
                }
            }
            RunEvent::Paused { .. } => self.pause(),
            RunEvent::Resumed { .. } => self.resume(),
            RunEvent::NodeWinding { node, fault } => self.drain_node(node, fault),
            RunEvent::ChildCancelling { node, .. } => {
                if let Some(NodeActivity::Child { cancelling, .. }) = self.activity_mut(node) {
                    *cancelling = true;
                }
            }
            RunEvent::Winding { why, compensate } => {
                // Its children undo their effects whether or not it does.
                if let DrainReason::Cancelled { by, asked_by } = why {
                    self.add_requesters(asked_by.iter().chain([by]));
                }
                self.drain(why, *compensate);
            }
            RunEvent::Compensating => self.compensate(),
            RunEvent::NotUndone { effect, fault } => {
                self.close_call(&effect.call);
                self.saga.fail(effect, fault.clone());
            }
            RunEvent::UndoAgain { effect, .. } => self.resume_undo(&effect.call),
            RunEvent::UndoneByHand { effect, by } => {
                self.saga.set_progress(&effect.call, UndoProgress::ByHand(by.clone()))
            }
            RunEvent::ChildUndoing { effect, .. } => self.saga.set_progress(&effect.call, UndoProgress::Underway),
            RunEvent::ChildUndone { effect, fault: None } => self.saga.set_progress(&effect.call, UndoProgress::Yes),
            RunEvent::ChildUndone { effect, fault: Some(fault) } => self.saga.fail(effect, fault.clone()),
            RunEvent::Aftermath => self.begin_aftermath(),
            RunEvent::Finished(finished) => self.finish(finished),
            RunEvent::Reopened(reopened) => match &**reopened {
                RunReopened::Retry { bundle, .. } => self.reopen_for_retry(bundle),
                RunReopened::Rollback { by, asked_by } => {
                    self.add_requesters(asked_by.iter().chain([by]));
                    self.reopen_for_rollback();
                }
            },
            RunEvent::Forked(forked) => self.fork(forked),
            RunEvent::JournalFilling { .. } => {}
        }
    }

    fn start(&mut self, started: &RunStarted) {
        self.started_at = self.now;
        self.bundle = Some(started.bundle.clone());
        self.started = Some(Box::new(started.clone()));
        self.phase = RunPhase::Running;
        // Without its version a run cannot continue, and reports that on the next command; folding continues.
        let Some(workflow) = self.versions.get(&started.bundle).cloned() else { return };
        self.declare(&workflow);
        if let Some(limit) = workflow.timeout {
            self.timers.insert((self.now + limit, RunTimer::Run));
        }
        let mut outer = ScopeState::open(workflow.graph.clone(), None, 0, Arc::default());
        outer.reserve(&workflow.post_rollback_nodes());
        self.workflow = Some(workflow);
        self.enter_scope(ScopePath::root(), outer);
    }

    fn pause(&mut self) {
        self.paused = true;
        let now = self.now;
        self.adjust_agent_clocks(|work, _| work.stop(now));
    }

    fn resume(&mut self) {
        self.paused = false;
        self.adjust_agent_clocks(WorkClock::start);
    }

    /// Adds a scope and queues the nodes that may start.
    fn enter_scope(&mut self, path: ScopePath, scope: ScopeState) {
        for place in scope.graph.node_indices() {
            let state = &scope.nodes[place.as_usize()];
            if state.status == NodeStatus::Idle && is_ready(&scope.graph, place, state.settled_in, state.taken_in) {
                self.ready.push_back(NodeAddress::new(path.clone(), scope.graph.node(place).id.clone()));
            }
        }
        self.scopes.insert(path, scope);
    }
}
