//! The fold. It never fails, so replay never fails; what each event kind does here is frozen once released.

mod agents;
mod calls;
mod nodes;
mod scopes;

use std::sync::Arc;

use serde_json::Value;

use super::address::{Address, CallId, Path, Role};
use super::event::{Event, Finished, Forked, Reopened, Started, Winding};
use super::saga::Undone;
use super::state::{Activity, Phase, Progress, Run, Scope, Status, Timer, Why};
use crate::graph::Combine;
use crate::time::Time;

pub(super) use nodes::is_ready;

impl Run {
    /// Folds one event that happened at `at`.
    pub fn apply(&mut self, at: Time, event: &Event) {
        self.now = self.now.max(at);
        self.events += 1;
        match event {
            Event::Started(started) => self.start(started),
            Event::Scheduled(scheduled) => self.schedule(scheduled),
            Event::Sending { effect, epoch, deadline } => {
                self.progress(effect, Progress::Marked { epoch: *epoch, deadline: *deadline });
            }
            Event::Done(done) => self.done(done),
            Event::NotDone { effect, fault, again_at } => self.not_done(effect, fault, *again_at),
            Event::Doubted { effect, next, .. } => self.doubt(effect, next),
            Event::Resolved { effect, resolution, .. } => self.resolve(effect, resolution),
            Event::Blocked { effect, by } => self.progress(effect, Progress::Blocked(by.clone())),
            Event::Unblocked { effect, .. } => self.unblock(effect),
            Event::ArrivedLate(done) => self.arrived_late(done),
            Event::Abandoned { call } => self.abandon(call),
            Event::Began { node, wait } => self.begin(node, wait),
            Event::Ended(ended) => self.end(ended),
            Event::Stepped { node, step } => self.stepped(node, step),
            Event::RequestRefused { node, id, tool, fault } => self.refuse_request(node, id, tool, fault),
            Event::CustomerAsked { node, deadline, .. } => self.ask_customer(node, *deadline),
            Event::VariableSet { key, value, .. } => self.set_variable(key, value),
            Event::ScopeOpened { path, item } => self.open_scope(path, item.clone()),
            Event::ScopeWinding { path, why } => self.wind_scope(path, why),
            Event::ScopeClosed { path, output, fault } => self.close_scope(path, output, fault.as_ref()),
            Event::BranchesCut { scope, nodes, undo } => self.cut(scope, nodes, *undo),
            Event::SignalKept { signal } => self.keep_signal(signal),
            Event::SignalTaken { node, name } => self.take_signal(node, name),
            Event::SignalHeld { signal, until } => {
                self.timers.insert((*until, Timer::Held(signal.source.clone())));
                self.signals.hold(signal, *until);
            }
            Event::Answered { node, by, decision } => {
                if let Some(Activity::Human { answers, .. }) = self.activity_mut(node) {
                    answers.push((by.clone(), decision.clone()));
                }
            }
            Event::Paused { .. } => self.paused = true,
            Event::Resumed { .. } => self.paused = false,
            Event::NodeWinding { node, fault } => {
                if let Some(state) = self.node_state_mut(node) {
                    state.winding = Some(fault.clone());
                }
            }
            Event::ChildCancelling { node, .. } => {
                if let Some(Activity::Child { cancelling, .. }) = self.activity_mut(node) {
                    *cancelling = true;
                }
            }
            Event::Winding { why, compensate } => self.wind(why, *compensate),
            Event::Compensating => self.compensate(),
            Event::NotUndone { effect, fault } => {
                self.close_call(&CallId { role: Role::Undo, ..effect.call.clone() });
                self.saga.mark(&effect.call, Undone::Failed(fault.clone()));
            }
            Event::ChildUndoing { effect, .. } => self.saga.mark(&effect.call, Undone::Underway),
            Event::ChildUndone { effect, fault } => {
                self.saga.mark(&effect.call, fault.clone().map_or(Undone::Yes, Undone::Failed));
            }
            Event::Aftermath => self.begin_aftermath(),
            Event::Finished(finished) => self.finish(finished),
            Event::Reopened(reopened) => match &**reopened {
                Reopened::Retry { bundle, .. } => self.reopen_for_retry(bundle),
                Reopened::Rollback { .. } => {
                    self.finished = None;
                    self.phase = Phase::Compensating { why: Why::Rollback };
                    self.saga.roll_back();
                }
            },
            Event::Forked(forked) => self.forked(forked),
            Event::JournalFilling { .. } => {}
        }
    }

    fn start(&mut self, started: &Started) {
        self.started_at = self.now;
        self.bundle = Some(started.bundle.clone());
        self.started = Some(Box::new(started.clone()));
        self.phase = Phase::Running;
        // Without its version a run cannot move, and says so when it is asked to; folding goes on.
        let Some(workflow) = self.versions.get(&started.bundle).cloned() else { return };
        for (key, variable) in &workflow.variables {
            if let Some(initial) = &variable.initial {
                self.variables.insert(key.clone(), Arc::new(initial.clone()));
            }
        }
        if let Some(limit) = workflow.timeout {
            self.timers.insert((self.now + limit, Timer::Run));
        }
        let mut outer = Scope::open(workflow.graph.clone(), None, 0, Arc::default());
        for place in workflow.reserved() {
            outer.nodes[place.at()].status = Status::Reserved;
            outer.unsettled -= 1;
        }
        self.workflow = Some(workflow);
        self.admit(Path::root(), outer);
    }

    /// Takes a scope in and lines up the nodes that may begin.
    fn admit(&mut self, path: Path, scope: Scope) {
        for place in scope.graph.places() {
            if scope.graph.incoming(place).is_empty() && scope.nodes[place.at()].status == Status::Idle {
                self.ready.push_back(Address::new(path.clone(), scope.graph.node(place).id.clone()));
            }
        }
        self.scopes.insert(path, scope);
    }

    fn set_variable(&mut self, key: &str, value: &Arc<Value>) {
        let combine = self.workflow.as_ref().and_then(|workflow| workflow.variables.get(key)).map(|v| v.combine);
        let held = self.variables.entry(key.to_owned()).or_default();
        match (combine.unwrap_or_default(), Arc::make_mut(held), &**value) {
            (Combine::Append, Value::Array(list), item) => list.push(item.clone()),
            (Combine::Append, empty @ Value::Null, item) => *empty = Value::Array(vec![item.clone()]),
            (Combine::Merge, Value::Object(map), Value::Object(more)) => {
                map.extend(more.iter().map(|(key, value)| (key.clone(), value.clone())));
            }
            _ => *held = value.clone(),
        }
    }

    fn keep_signal(&mut self, signal: &super::Signal) {
        if let Some(until) = self.signals.held_until(&signal.source) {
            self.signals.keep(signal);
            if self.signals.held_until(&signal.source).is_none() {
                self.timers.remove(&(until, Timer::Held(signal.source.clone())));
            }
        } else {
            self.signals.keep(signal);
        }
    }

    fn wind(&mut self, why: &Winding, compensate: bool) {
        if let Winding::Failed { fault, .. } = why {
            self.fault = Some(fault.clone());
        }
        self.phase = Phase::Winding { why: why.clone(), compensate };
        self.ready.clear();
        self.timers.retain(|(_, timer)| *timer != Timer::Run);
        if let Some(outer) = self.scopes.get_mut(&Path::root()) {
            outer.winding = Some(why.clone());
        }
    }

    fn compensate(&mut self) {
        let why = match &self.phase {
            Phase::Winding { why: Winding::Cancelled { .. }, .. } => Why::Cancelled,
            Phase::Winding { why: Winding::TimedOut, .. } => Why::TimedOut,
            _ => Why::Failed,
        };
        self.phase = Phase::Compensating { why };
        self.saga.roll_back();
    }

    fn begin_aftermath(&mut self) {
        if let Phase::Compensating { why } = self.phase {
            self.phase = Phase::Aftermath { why };
        }
        let Some(workflow) = self.workflow.clone() else { return };
        if let Some(outer) = self.scopes.get_mut(&Path::root()) {
            outer.winding = None;
        }
        if let Some(place) = workflow.on_compensated {
            self.ready.push_back(Address::new(Path::root(), workflow.graph.node(place).id.clone()));
        }
    }

    fn finish(&mut self, finished: &Finished) {
        self.phase = Phase::Ended(finished.state);
        self.fault.clone_from(&finished.fault);
        self.timers.clear();
        self.ready.clear();
        self.finished = Some(Box::new(finished.clone()));
    }

    fn forked(&mut self, forked: &Forked) {
        if let Some(started) = &mut self.started {
            started.run = forked.run.clone();
            started.origin = super::Origin::Caller;
        }
        if !forked.owns_undo {
            self.saga.inherit();
        }
        for (key, value) in &forked.variables {
            self.variables.insert(key.clone(), Arc::new(value.clone()));
        }
        // What was in flight belongs to the original; here it goes out anew, under this run's keys.
        for call in self.calls.values_mut() {
            if matches!(call.progress, Progress::Marked { .. } | Progress::Doubt | Progress::LookUp { .. }) {
                call.progress = Progress::Ready;
            }
        }
        self.timers.retain(|(_, timer)| match timer {
            Timer::Call(id) => self.calls.get(id).is_some_and(|call| call.due().is_some()),
            Timer::Run | Timer::Node(_) | Timer::Held(_) => true,
        });
        self.paused = false;
    }
}
