//! Decisions: each command is refused, or becomes events that are applied as they are made.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::address::{CallRole, EffectId, NodeAddress, ScopePath};
use super::command::{HumanDecision, RunCommand, Signal};
use super::decision_maker::DecisionMaker;
use super::event::{DrainReason, NodeOutcome, OutageAction, RunEvent, RunForked, RunStarted};
use super::refusal::RunRefusal;
use super::scope_view::ScopeView;
use super::signals::SignalArrival;
use super::state::{AgentWait, NodeActivity, NodeStatus, Run, RunPhase, RunState, RunTimer};
use super::{EVENTS_MAX, nodes};
use crate::fault::{Fault, code};
use crate::graph::{Graph, GraphNode, NodeIndex, Workflow};
use crate::time::Time;

impl Run {
    /// Decides a command at `now` and applies its events; the module documentation explains why `self` changes.
    ///
    /// Time does not go back: a `now` before [`Self::now`] counts as [`Self::now`], which is also the recorded time.
    /// Deadlines that have passed are handled after the command: an answer that is received first is in time, and no
    /// deadline is missed because another event happened at the same instant.
    pub fn decide(&mut self, command: RunCommand, now: Time) -> Result<Vec<RunEvent>, RunRefusal> {
        let now = now.max(self.now);
        let mut draft = RunDraft { run: self, out: Vec::new(), now, touched: VecDeque::new(), scopes: BTreeSet::new() };
        draft.take(command)?;
        draft.advance();
        draft.wake();
        draft.check_journal_limit();
        Ok(draft.out)
    }
}

/// One component of the path to a node, in definition order.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum NodeRank {
    Place(u32),
    Iteration(u32),
    Branch(String),
}

/// A decision in progress: its events so far, already applied.
pub(super) struct RunDraft<'run> {
    pub run: &'run mut Run,
    pub out: Vec<RunEvent>,
    pub now: Time,
    /// Active nodes that were affected.
    pub touched: VecDeque<NodeAddress>,
    /// Scopes in which a node was settled.
    pub scopes: BTreeSet<ScopePath>,
}

impl RunDraft<'_> {
    /// Applies an event and notes what it may trigger.
    pub fn emit(&mut self, event: RunEvent) {
        match &event {
            RunEvent::Done(done) if done.effect.call.role == CallRole::Act => self.mark_changed(&done.effect.call.node),
            RunEvent::NotDone { effect, again_at: None, .. } if effect.call.role == CallRole::Act => {
                self.mark_changed(&effect.call.node);
            }
            RunEvent::Degraded { effect, detour: OutageAction::Answered { .. } | OutageAction::Refused, .. } => {
                self.mark_changed(&effect.call.node);
            }
            RunEvent::Abandoned { call } => self.mark_changed(&call.node),
            RunEvent::AgentReplaced { node, .. }
            | RunEvent::Began { node, .. }
            | RunEvent::SignalTaken { node, .. }
            | RunEvent::NodeWinding { node, .. } => {
                self.mark_changed(node);
            }
            RunEvent::ScopeClosed { path, .. } => {
                if let Some((scope, node, _)) = path.parent() {
                    self.mark_changed(&NodeAddress::new(scope, node));
                }
            }
            RunEvent::Ended(ended) => {
                self.scopes.insert(ended.node.scope.clone());
            }
            RunEvent::ScopeOpened { path, .. }
            | RunEvent::ScopeWinding { path, .. }
            | RunEvent::BranchesCut { scope: path, .. } => {
                self.scopes.insert(path.clone());
            }
            _ => {}
        }
        self.run.apply(self.now, &event);
        self.out.push(event);
    }

    fn mark_changed(&mut self, node: &NodeAddress) {
        if self.touched.back() != Some(node) {
            self.touched.push_back(node.clone());
        }
    }

    pub fn view<'a>(&'a self, path: &'a ScopePath) -> ScopeView<'a> {
        ScopeView::of(self.run, path, self.now)
    }

    /// Returns a node's compiled form. Graphs are shared, so this does not borrow from the run.
    pub fn node(&self, at: &NodeAddress) -> Option<(Arc<Graph>, NodeIndex)> {
        self.run.compiled(at)
    }

    pub fn with_node<T>(&self, at: &NodeAddress, read: impl FnOnce(&GraphNode) -> T) -> Option<T> {
        let (scope, place) = self.run.place(at)?;
        Some(read(scope.graph.node(place)))
    }

    fn take(&mut self, command: RunCommand) -> Result<(), RunRefusal> {
        let word = command.word();
        match (&self.run.phase, &command) {
            (RunPhase::New, RunCommand::Start { .. }) => {}
            (RunPhase::New, _) => return Err(RunRefusal::NotStarted),
            (_, RunCommand::Start { .. }) => return Err(RunRefusal::AlreadyStarted { state: self.run.state() }),
            (
                RunPhase::Ended(_),
                RunCommand::Outcome { .. }
                | RunCommand::Resolve { .. }
                | RunCommand::Retry { .. }
                | RunCommand::Rollback { .. }
                | RunCommand::Fork { .. }
                | RunCommand::TakenOver { .. }
                | RunCommand::Wake,
            ) => {}
            (RunPhase::Ended(state), _) => return Err(RunRefusal::Ended { state: *state, command: word }),
            _ => {}
        }
        match command {
            RunCommand::Start { started, workflow } => self.start(started, workflow),
            RunCommand::Outcome { effect, outcome } => self.outcome(&effect, outcome),
            RunCommand::Sending { effect, epoch, deadline } => self.sending(effect, epoch, deadline),
            RunCommand::TakenOver { epoch, departure: left, went_back } => {
                self.take_over(epoch, left, went_back);
                Ok(())
            }
            // Due timers are handled after any command.
            RunCommand::Wake => Ok(()),
            RunCommand::Stepped { node, step, quote } => nodes::agent::stepped(self, &node, step, quote),
            RunCommand::Signal(signal) => self.signal(signal),
            RunCommand::Answer { node, by, decision } => self.answer(&node, by, decision),
            RunCommand::Approve { effect, by, approved, note } => self.approve(effect, by, approved, note),
            RunCommand::Fill { effect, by, form } => self.answer_question(effect, by, form),
            RunCommand::Resolve { effect, by, resolution } => self.resolve(&effect, by, resolution),
            RunCommand::KeyGiven { by } => self.provide_key(&by),
            RunCommand::ChildEnded { node, ended } => nodes::subworkflow::child_ended(self, &node, ended),
            RunCommand::ChildUndone { run, fault } => self.child_undone(&run, fault),
            RunCommand::Pause { by } => self.pause(by),
            RunCommand::Resume { by } => self.resume(by),
            RunCommand::Cancel { by, compensate, asked_by } => self.cancel(by, compensate, asked_by),
            RunCommand::Retry { by, bundle, workflow } => self.retry(by, bundle, workflow),
            RunCommand::Rollback { by, asked_by } => self.roll_back(by, asked_by),
            RunCommand::Fork { forked } => {
                self.fork(forked);
                Ok(())
            }
        }
    }

    /// Starts the run, with the defaults of omitted inputs. The starter validates the input before the start is
    /// accepted. If it is still invalid, for example because a parent passed it to its subworkflow, the run fails
    /// before its first node.
    fn start(&mut self, mut started: Box<RunStarted>, workflow: Arc<Workflow>) -> Result<(), RunRefusal> {
        let fits = workflow.input.validate(&started.input);
        self.run.add_version(started.bundle.clone(), workflow);
        let unfit = match fits {
            Ok(completed) => {
                started.input = completed.map_or(started.input, Arc::new);
                None
            }
            Err(unfit) => Some(unfit),
        };
        self.emit(RunEvent::Started(started));
        self.scopes.insert(ScopePath::root());
        if let Some(unfit) = unfit {
            let fault = Fault::new(code::INPUT_INVALID, unfit.to_string());
            self.drain_run(DrainReason::Failed { fault, node: NodeAddress::outer("input") }, false);
        }
        Ok(())
    }

    /// Handles everything that is due: run and node deadlines, waits, gaps, approvals, questions. Retries need no event:
    /// their calls are sent by the clock.
    fn wake(&mut self) {
        let due: Vec<(Time, RunTimer)> =
            self.run.timers.iter().take_while(|(at, _)| *at <= self.now).cloned().collect();
        for timer in due {
            // An earlier event may have settled the subject of this timer.
            if !self.run.timers.contains(&timer) {
                continue;
            }
            match timer.1 {
                RunTimer::Run => self.time_out_run(),
                RunTimer::Node(node) => nodes::handle_deadline(self, &node),
                RunTimer::Held(source) => {
                    for signal in self.run.signals.overdue(&source, self.now) {
                        self.emit(RunEvent::SignalKept { signal });
                    }
                    self.deliver_signals();
                }
            }
            self.advance();
        }
        self.expire_approvals();
    }

    fn time_out_run(&mut self) {
        if matches!(self.run.phase, RunPhase::Running) {
            self.drain_run(DrainReason::TimedOut, true);
        }
    }

    fn signal(&mut self, signal: Signal) -> Result<(), RunRefusal> {
        if self.run.signals.is_full() {
            return Err(RunRefusal::TooManySignals { limit: super::SIGNALS_MAX });
        }
        match self.run.signals.arrival(signal.clone(), self.now) {
            SignalArrival::Seen => {
                let number = signal.sequence.unwrap_or_default();
                return Err(RunRefusal::SignalSeen { from: signal.source, number });
            }
            SignalArrival::Early { until } => self.emit(RunEvent::SignalHeld { signal, until }),
            SignalArrival::InOrder(signals) => {
                for signal in signals {
                    self.emit(RunEvent::SignalKept { signal });
                }
                self.deliver_signals();
            }
        }
        Ok(())
    }

    /// Delivers stored signals to matching waits, in definition order.
    fn deliver_signals(&mut self) {
        let mut waits: Vec<(Vec<NodeRank>, NodeAddress, String)> = Vec::new();
        for node in self.active_nodes() {
            let wanted = match self.run.activity(&node) {
                Some(NodeActivity::Signal { name, .. }) => name.as_str(),
                Some(NodeActivity::Agent { waits: AgentWait::Customer { .. }, .. }) => super::MESSAGE,
                _ => continue,
            };
            if self.run.signals.first(wanted).is_some() {
                waits.push((self.node_rank(&node), node.clone(), wanted.to_owned()));
            }
        }
        waits.sort();
        for (_, node, name) in waits {
            nodes::wait::take_signal(self, &node, &name);
        }
    }

    /// Returns a node's position in the definition: after the positions of the enclosing nodes, each with its iteration
    /// or branch.
    fn node_rank(&self, at: &NodeAddress) -> Vec<NodeRank> {
        let mut rank = match at.scope.parent() {
            Some((scope, node, rest)) => {
                let mut outer = self.node_rank(&NodeAddress::new(scope, node));
                outer.push(rest.parse().map_or_else(|_| NodeRank::Branch(rest.to_owned()), NodeRank::Iteration));
                outer
            }
            None => Vec::new(),
        };
        rank.extend(self.run.place(at).map(|(_, place)| NodeRank::Place(place.0)));
        rank
    }

    /// The fork has no children to wait for: it starts the ones it still needs, and treats the others as ended.
    fn fork(&mut self, forked: Box<RunForked>) {
        self.emit(RunEvent::Forked(forked));
        for node in self.active_nodes() {
            if let Some(NodeActivity::Child { .. }) = self.run.activity(&node) {
                self.end(&node, NodeOutcome::Cancelled, Vec::new());
            }
        }
    }

    /// Returns the active nodes of all scopes, in definition order within each.
    pub fn active_nodes(&self) -> Vec<NodeAddress> {
        let of_scope = |(path, scope): (&ScopePath, &super::state::ScopeState)| {
            let nodes = scope.active.iter().filter_map(|place| scope.graph.nodes.get(*place as usize));
            nodes.map(|node| NodeAddress::new(path.clone(), node.id.clone())).collect::<Vec<_>>()
        };
        self.run.scopes.iter().flat_map(of_scope).collect()
    }

    fn answer(&mut self, node: &NodeAddress, by: DecisionMaker, decision: HumanDecision) -> Result<(), RunRefusal> {
        if let Some(NodeActivity::Human { .. }) = self.run.activity(node) {
            return nodes::human::answered(self, node, by, decision);
        }
        match self.run.node_state(node) {
            Some(state) if state.status.is_settled() => {
                Err(RunRefusal::Lost { node: node.to_string(), winner: nodes::human::settled_by(state) })
            }
            _ => Err(RunRefusal::NothingWaits { node: node.to_string() }),
        }
    }

    fn pause(&mut self, by: String) -> Result<(), RunRefusal> {
        if self.run.paused {
            return Err(RunRefusal::WrongState { state: RunState::Paused, command: "pause" });
        }
        self.emit(RunEvent::Paused { by });
        Ok(())
    }

    fn resume(&mut self, by: String) -> Result<(), RunRefusal> {
        if !self.run.paused {
            return Err(RunRefusal::WrongState { state: self.run.state(), command: "resume" });
        }
        self.emit(RunEvent::Resumed { by });
        Ok(())
    }

    fn cancel(&mut self, by: String, compensate: bool, asked_by: Vec<String>) -> Result<(), RunRefusal> {
        if let RunPhase::Winding { .. } = self.run.phase {
            return Err(RunRefusal::Impossible { reason: "the run is ending already".to_owned() });
        }
        if !matches!(self.run.phase, RunPhase::Running) {
            return Err(RunRefusal::WrongState { state: self.run.state(), command: "cancel" });
        }
        self.drain_run(DrainReason::Cancelled { by, asked_by }, compensate);
        Ok(())
    }

    fn sending(&mut self, effect: EffectId, epoch: u64, deadline: Time) -> Result<(), RunRefusal> {
        if self.run.paused {
            return Err(RunRefusal::WrongState { state: RunState::Paused, command: "send" });
        }
        let call = self.run.calls.get(&effect.call);
        if call.is_none_or(|call| call.generation != effect.generation || !call.is_sendable(self.now)) {
            return Err(RunRefusal::NoSuchCall { effect: effect.to_string() });
        }
        self.emit(RunEvent::Sending { effect, epoch, deadline });
        Ok(())
    }

    /// Records a warning at 80 % of the journal limit, and stops the run at 100 %.
    fn check_journal_limit(&mut self) {
        let before = self.run.events - self.out.len() as u64;
        let warn_at = EVENTS_MAX / 5 * 4;
        if before < warn_at && self.run.events >= warn_at {
            self.emit(RunEvent::JournalFilling { events: self.run.events, limit: EVENTS_MAX });
        }
        if before < EVENTS_MAX && self.run.events >= EVENTS_MAX && matches!(self.run.phase, RunPhase::Running) {
            let message = format!("the run has {} events, the limit is {EVENTS_MAX}", self.run.events);
            let fault = Fault::new(code::JOURNAL_LIMIT, message);
            let node = self.active_nodes().into_iter().next().unwrap_or_else(|| NodeAddress::outer("run"));
            self.drain_run(DrainReason::Failed { fault, node }, true);
            self.advance();
        }
    }

    /// Returns whether new work may start.
    pub fn can_start_work(&self) -> bool {
        !self.run.paused && matches!(self.run.phase, RunPhase::Running | RunPhase::Aftermath { .. })
    }

    pub fn is_active(&self, node: &NodeAddress) -> bool {
        self.run.node_state(node).is_some_and(|state| state.status == NodeStatus::Active)
    }
}
