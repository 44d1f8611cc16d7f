//! Choosing: each command is refused, or becomes events that are folded as they are made.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::address::{Address, EffectId, Path, Role};
use super::command::{Command, Decision, Signal};
use super::event::{Event, Started, Winding};
use super::names::View;
use super::refusal::Refusal;
use super::signals::Arrival;
use super::state::{Activity, AgentWait, Phase, Run, State, Status, Timer};
use super::{EVENTS_MAX, nodes};
use crate::fault::{Fault, code};
use crate::graph::{Node, Workflow};
use crate::time::Time;

impl Run {
    /// Decides a command at `now` and folds what it decides; see the module's words on why `self` changes.
    pub fn decide(&mut self, command: Command, now: Time) -> Result<Vec<Event>, Refusal> {
        let now = now.max(self.now);
        let mut draft = Draft { run: self, out: Vec::new(), now, touched: VecDeque::new(), scopes: BTreeSet::new() };
        draft.take(command)?;
        draft.advance();
        draft.watch_journal();
        Ok(draft.out)
    }
}

/// A decision being made: events so far, already folded.
pub(super) struct Draft<'run> {
    pub run: &'run mut Run,
    pub out: Vec<Event>,
    pub now: Time,
    /// Active nodes that something happened to.
    pub touched: VecDeque<Address>,
    /// Scopes in which a node was settled.
    pub scopes: BTreeSet<Path>,
}

impl Draft<'_> {
    /// Folds an event and notes what it may set in motion.
    pub fn emit(&mut self, event: Event) {
        match &event {
            Event::Done(done) if done.effect.call.role == Role::Act => self.touch(&done.effect.call.node),
            Event::NotDone { effect, again_at: None, .. } if effect.call.role == Role::Act => {
                self.touch(&effect.call.node);
            }
            Event::Abandoned { call } => self.touch(&call.node),
            Event::Began { node, .. } | Event::SignalTaken { node, .. } | Event::NodeWinding { node, .. } => {
                self.touch(node);
            }
            Event::ScopeClosed { path, .. } => {
                if let Some((scope, node, _)) = path.parent() {
                    self.touch(&Address::new(scope, node));
                }
            }
            Event::Ended(ended) => {
                self.scopes.insert(ended.node.scope.clone());
            }
            Event::ScopeOpened { path, .. }
            | Event::ScopeWinding { path, .. }
            | Event::BranchesCut { scope: path, .. } => {
                self.scopes.insert(path.clone());
            }
            _ => {}
        }
        self.run.apply(self.now, &event);
        self.out.push(event);
    }

    fn touch(&mut self, node: &Address) {
        if self.touched.back() != Some(node) {
            self.touched.push_back(node.clone());
        }
    }

    pub fn view<'a>(&'a self, path: &'a Path) -> View<'a> {
        View::of(self.run, path)
    }

    /// A node's compiled form. Graphs are shared, so this borrows nothing of the run.
    pub fn node(&self, at: &Address) -> Option<(Arc<crate::graph::Graph>, crate::graph::NodeIx)> {
        let (scope, place) = self.run.place(at)?;
        Some((scope.graph.clone(), place))
    }

    pub fn with_node<T>(&self, at: &Address, read: impl FnOnce(&Node) -> T) -> Option<T> {
        let (scope, place) = self.run.place(at)?;
        Some(read(scope.graph.node(place)))
    }

    fn take(&mut self, command: Command) -> Result<(), Refusal> {
        let word = command.word();
        match (&self.run.phase, &command) {
            (Phase::New, Command::Start { .. }) => {}
            (Phase::New, _) => return Err(Refusal::NotStarted),
            (_, Command::Start { .. }) => return Err(Refusal::AlreadyStarted { state: self.run.state() }),
            (
                Phase::Ended(_),
                Command::Outcome { .. }
                | Command::Resolve { .. }
                | Command::Retry { .. }
                | Command::Rollback { .. }
                | Command::Fork { .. }
                | Command::TakenOver { .. }
                | Command::Wake,
            ) => {}
            (Phase::Ended(state), _) => return Err(Refusal::Ended { state: *state, command: word }),
            _ => {}
        }
        match command {
            Command::Start { started, workflow } => self.start(started, workflow),
            Command::Outcome { effect, outcome } => self.outcome(&effect, outcome),
            Command::Sending { effect, epoch, deadline } => self.sending(effect, epoch, deadline),
            Command::TakenOver { epoch } => {
                self.taken_over(epoch);
                Ok(())
            }
            Command::Wake => {
                self.wake();
                Ok(())
            }
            Command::Stepped { node, step } => nodes::agent::stepped(self, &node, step),
            Command::Signal(signal) => self.signal(signal),
            Command::Answer { node, by, decision } => self.answer(&node, by, decision),
            Command::Approve { effect, by, approved } => self.approve(effect, by, approved),
            Command::Resolve { effect, by, resolution } => self.resolve(&effect, by, resolution),
            Command::ChildEnded { node, ended } => nodes::subworkflow::ended(self, &node, ended),
            Command::ChildUndone { run, fault } => self.child_undone(&run, fault),
            Command::Pause { by } => self.pause(by),
            Command::Resume { by } => self.resume(by),
            Command::Cancel { by, compensate } => self.cancel(by, compensate),
            Command::Retry { by, bundle, workflow } => self.retry(by, bundle, workflow),
            Command::Rollback { by } => self.roll_back(by),
            Command::Fork { forked } => {
                self.emit(Event::Forked(forked));
                Ok(())
            }
        }
    }

    fn start(&mut self, started: Box<Started>, workflow: Arc<Workflow>) -> Result<(), Refusal> {
        self.run.know(started.bundle.clone(), workflow);
        self.emit(Event::Started(started));
        self.scopes.insert(Path::root());
        Ok(())
    }

    /// Whatever is due: run and node deadlines, waits, gaps. Retries need no event: their calls go out by the clock.
    fn wake(&mut self) {
        let due: Vec<Timer> =
            self.run.timers.iter().take_while(|(at, _)| *at <= self.now).map(|(_, timer)| timer.clone()).collect();
        for timer in due {
            match timer {
                Timer::Run => self.time_is_over(),
                Timer::Node(node) => nodes::due(self, &node),
                Timer::Call(_) => {}
                Timer::Held(source) => {
                    for signal in self.run.signals.overdue(&source) {
                        self.emit(Event::SignalKept { signal });
                    }
                    self.hand_out_signals();
                }
            }
        }
    }

    fn time_is_over(&mut self) {
        if matches!(self.run.phase, Phase::Running) {
            let compensate = self.run.saga.has_undoable();
            self.wind_run(Winding::TimedOut, compensate);
        }
    }

    fn signal(&mut self, signal: Signal) -> Result<(), Refusal> {
        if self.run.signals.is_full() {
            return Err(Refusal::TooManySignals { limit: super::SIGNALS_MAX });
        }
        match self.run.signals.arrival(signal.clone(), self.now) {
            Arrival::Stale => {}
            Arrival::Early { until } => self.emit(Event::SignalHeld { signal, until }),
            Arrival::InOrder(signals) => {
                for signal in signals {
                    self.emit(Event::SignalKept { signal });
                }
                self.hand_out_signals();
            }
        }
        Ok(())
    }

    /// Gives kept signals to the waits that want them, in definition order.
    fn hand_out_signals(&mut self) {
        for node in self.active_nodes() {
            let wanted = match self.run.activity(&node) {
                Some(Activity::Signal { name, .. }) => Some(name.clone()),
                Some(Activity::Agent { waits: AgentWait::Customer { .. }, .. }) => Some(super::MESSAGE.to_owned()),
                _ => None,
            };
            if let Some(name) = wanted {
                nodes::wait::take_signal(self, &node, &name);
            }
        }
    }

    /// Active nodes of all scopes, in definition order within each.
    pub fn active_nodes(&self) -> Vec<Address> {
        let of_scope = |(path, scope): (&Path, &super::state::Scope)| {
            let nodes = scope.active.iter().filter_map(|place| scope.graph.nodes.get(*place as usize));
            nodes.map(|node| Address::new(path.clone(), node.id.clone())).collect::<Vec<_>>()
        };
        self.run.scopes.iter().flat_map(of_scope).collect()
    }

    fn answer(&mut self, node: &Address, by: String, decision: Decision) -> Result<(), Refusal> {
        if let Some(Activity::Human { .. }) = self.run.activity(node) {
            return nodes::human::answered(self, node, by, decision);
        }
        match self.run.node_state(node) {
            Some(state) if state.status.is_settled() => {
                let winner = state.fault.as_ref().map_or_else(|| state.status.word().to_owned(), Fault::to_string);
                Err(Refusal::Lost { node: node.to_string(), winner })
            }
            _ => Err(Refusal::NothingWaits { node: node.to_string() }),
        }
    }

    fn pause(&mut self, by: String) -> Result<(), Refusal> {
        if self.run.paused {
            return Err(Refusal::WrongState { state: State::Paused, command: "pause" });
        }
        self.emit(Event::Paused { by });
        Ok(())
    }

    fn resume(&mut self, by: String) -> Result<(), Refusal> {
        if !self.run.paused {
            return Err(Refusal::WrongState { state: self.run.state(), command: "resume" });
        }
        self.emit(Event::Resumed { by });
        Ok(())
    }

    fn cancel(&mut self, by: String, compensate: bool) -> Result<(), Refusal> {
        if !matches!(self.run.phase, Phase::Running) {
            return Err(Refusal::WrongState { state: self.run.state(), command: "cancel" });
        }
        self.wind_run(Winding::Cancelled { by }, compensate);
        Ok(())
    }

    fn sending(&mut self, effect: EffectId, epoch: u64, deadline: Time) -> Result<(), Refusal> {
        let call = self.run.calls.get(&effect.call);
        if call.is_none_or(|call| call.generation != effect.generation || !call.is_sendable(self.now)) {
            return Err(Refusal::NoSuchCall { effect: effect.to_string() });
        }
        self.emit(Event::Sending { effect, epoch, deadline });
        Ok(())
    }

    /// Says so at 80 % of the journal limit, and stops the run at 100 %.
    fn watch_journal(&mut self) {
        let before = self.run.events - self.out.len() as u64;
        let warn_at = EVENTS_MAX / 5 * 4;
        if before < warn_at && self.run.events >= warn_at {
            self.emit(Event::JournalFilling { events: self.run.events, limit: EVENTS_MAX });
        }
        if before < EVENTS_MAX && self.run.events >= EVENTS_MAX && matches!(self.run.phase, Phase::Running) {
            let message = format!("the run has {} events, the limit is {EVENTS_MAX}", self.run.events);
            let fault = Fault::new(code::JOURNAL_LIMIT, message);
            let node = self.active_nodes().into_iter().next().unwrap_or_else(|| Address::outer("run"));
            let compensate = self.run.saga.has_undoable();
            self.wind_run(Winding::Failed { fault, node }, compensate);
            self.advance();
        }
    }

    /// Whether new work may begin.
    pub fn may_begin(&self) -> bool {
        !self.run.paused && matches!(self.run.phase, Phase::Running | Phase::Aftermath { .. })
    }

    pub fn is_active(&self, node: &Address) -> bool {
        self.run.node_state(node).is_some_and(|state| state.status == Status::Active)
    }
}
