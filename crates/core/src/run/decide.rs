//! Choosing: each command is refused, or becomes events that are folded as they are made.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::address::{Address, EffectId, Path, Role};
use super::command::{Command, Decision, Signal};
use super::decider::Decider;
use super::event::{Detour, Event, Forked, How, Started, Winding};
use super::names::View;
use super::refusal::Refusal;
use super::signals::Arrival;
use super::state::{Activity, AgentWait, Phase, Run, State, Status, Timer};
use super::{EVENTS_MAX, nodes};
use crate::fault::{Fault, code};
use crate::graph::{Graph, Node, NodeIx, Workflow};
use crate::time::Time;

impl Run {
    /// Decides a command at `now` and folds what it decides; see the module's words on why `self` changes.
    ///
    /// Time does not go back: a `now` before [`Self::now`] counts as that, and what is recorded is recorded at
    /// [`Self::now`]. Deadlines that have passed are looked at after the command, whatever it was: an answer that is
    /// taken in first is in time, and no deadline is missed because something else happened at its instant.
    pub fn decide(&mut self, command: Command, now: Time) -> Result<Vec<Event>, Refusal> {
        let now = now.max(self.now);
        let mut draft = Draft { run: self, out: Vec::new(), now, touched: VecDeque::new(), scopes: BTreeSet::new() };
        draft.take(command)?;
        draft.advance();
        draft.wake();
        draft.watch_journal();
        Ok(draft.out)
    }
}

/// One step of the way to a node, in definition order.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Place(u32),
    Iteration(u32),
    Branch(String),
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
            Event::Degraded { effect, detour: Detour::Answered { .. } | Detour::Refused, .. } => {
                self.touch(&effect.call.node);
            }
            Event::Abandoned { call } => self.touch(&call.node),
            Event::AgentReplaced { node, .. }
            | Event::Began { node, .. }
            | Event::SignalTaken { node, .. }
            | Event::NodeWinding { node, .. } => {
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
        View::of(self.run, path, self.now)
    }

    /// A node's compiled form. Graphs are shared, so this borrows nothing of the run.
    pub fn node(&self, at: &Address) -> Option<(Arc<Graph>, NodeIx)> {
        self.run.compiled(at)
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
            Command::TakenOver { epoch, left, went_back } => {
                self.taken_over(epoch, left, went_back);
                Ok(())
            }
            // What is due is looked at after any command.
            Command::Wake => Ok(()),
            Command::Stepped { node, step, quote } => nodes::agent::stepped(self, &node, step, quote),
            Command::Signal(signal) => self.signal(signal),
            Command::Answer { node, by, decision } => self.answer(&node, by, decision),
            Command::Approve { effect, by, approved, note } => self.approve(effect, by, approved, note),
            Command::Fill { effect, by, form } => self.fill(effect, by, form),
            Command::Resolve { effect, by, resolution } => self.resolve(&effect, by, resolution),
            Command::KeyGiven { by } => self.key_given(&by),
            Command::ChildEnded { node, ended } => nodes::subworkflow::ended(self, &node, ended),
            Command::ChildUndone { run, fault } => self.child_undone(&run, fault),
            Command::Pause { by } => self.pause(by),
            Command::Resume { by } => self.resume(by),
            Command::Cancel { by, compensate, asked_by } => self.cancel(by, compensate, asked_by),
            Command::Retry { by, bundle, workflow } => self.retry(by, bundle, workflow),
            Command::Rollback { by, asked_by } => self.roll_back(by, asked_by),
            Command::Fork { forked } => {
                self.fork(forked);
                Ok(())
            }
        }
    }

    /// Begins, with the defaults of what the input leaves out. Who starts a run checks its input before it is accepted;
    /// one that does not fit all the same, such as what a parent hands to its subworkflow, fails the run before any node.
    fn start(&mut self, mut started: Box<Started>, workflow: Arc<Workflow>) -> Result<(), Refusal> {
        let fits = workflow.input.complete(&started.input);
        self.run.know(started.bundle.clone(), workflow);
        let unfit = match fits {
            Ok(completed) => {
                started.input = completed.map_or(started.input, Arc::new);
                None
            }
            Err(unfit) => Some(unfit),
        };
        self.emit(Event::Started(started));
        self.scopes.insert(Path::root());
        if let Some(unfit) = unfit {
            let fault = Fault::new(code::INPUT_INVALID, unfit.to_string());
            self.wind_run(Winding::Failed { fault, node: Address::outer("input") }, false);
        }
        Ok(())
    }

    /// Whatever is due: run and node deadlines, waits, gaps. Retries need no event: their calls go out by the clock.
    fn wake(&mut self) {
        let due: Vec<(Time, Timer)> = self.run.timers.iter().take_while(|(at, _)| *at <= self.now).cloned().collect();
        for timer in due {
            // What came before may have settled what this one was for.
            if !self.run.timers.contains(&timer) {
                continue;
            }
            match timer.1 {
                Timer::Run => self.time_is_over(),
                Timer::Node(node) => nodes::due(self, &node),
                Timer::Held(source) => {
                    for signal in self.run.signals.overdue(&source, self.now) {
                        self.emit(Event::SignalKept { signal });
                    }
                    self.hand_out_signals();
                }
            }
            self.advance();
        }
        self.leaves_are_over();
    }

    fn time_is_over(&mut self) {
        if matches!(self.run.phase, Phase::Running) {
            self.wind_run(Winding::TimedOut, true);
        }
    }

    fn signal(&mut self, signal: Signal) -> Result<(), Refusal> {
        if self.run.signals.is_full() {
            return Err(Refusal::TooManySignals { limit: super::SIGNALS_MAX });
        }
        match self.run.signals.arrival(signal.clone(), self.now) {
            Arrival::Seen => {
                let number = signal.sequence.unwrap_or_default();
                return Err(Refusal::SignalSeen { from: signal.source, number });
            }
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
        let mut waits: Vec<(Vec<Rank>, Address, String)> = Vec::new();
        for node in self.active_nodes() {
            let wanted = match self.run.activity(&node) {
                Some(Activity::Signal { name, .. }) => name.as_str(),
                Some(Activity::Agent { waits: AgentWait::Customer { .. }, .. }) => super::MESSAGE,
                _ => continue,
            };
            if self.run.signals.first(wanted).is_some() {
                waits.push((self.rank(&node), node.clone(), wanted.to_owned()));
            }
        }
        waits.sort();
        for (_, node, name) in waits {
            nodes::wait::take_signal(self, &node, &name);
        }
    }

    /// Where a node stands in the definition: its place behind those of the nodes whose bodies it is in, each with
    /// the iteration or branch.
    fn rank(&self, at: &Address) -> Vec<Rank> {
        let mut rank = match at.scope.parent() {
            Some((scope, node, rest)) => {
                let mut outer = self.rank(&Address::new(scope, node));
                outer.push(rest.parse().map_or_else(|_| Rank::Branch(rest.to_owned()), Rank::Iteration));
                outer
            }
            None => Vec::new(),
        };
        rank.extend(self.run.place(at).map(|(_, place)| Rank::Place(place.0)));
        rank
    }

    /// The fork has no children to wait for: those it still wants it starts itself, the others are as good as ended.
    fn fork(&mut self, forked: Box<Forked>) {
        self.emit(Event::Forked(forked));
        for node in self.active_nodes() {
            if let Some(Activity::Child { .. }) = self.run.activity(&node) {
                self.end(&node, How::Cancelled, Vec::new());
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

    fn answer(&mut self, node: &Address, by: Decider, decision: Decision) -> Result<(), Refusal> {
        if let Some(Activity::Human { .. }) = self.run.activity(node) {
            return nodes::human::answered(self, node, by, decision);
        }
        match self.run.node_state(node) {
            Some(state) if state.status.is_settled() => {
                Err(Refusal::Lost { node: node.to_string(), winner: nodes::human::winner(state) })
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

    fn cancel(&mut self, by: String, compensate: bool, asked_by: Vec<String>) -> Result<(), Refusal> {
        if let Phase::Winding { .. } = self.run.phase {
            return Err(Refusal::Impossible { reason: "the run is ending already".to_owned() });
        }
        if !matches!(self.run.phase, Phase::Running) {
            return Err(Refusal::WrongState { state: self.run.state(), command: "cancel" });
        }
        self.wind_run(Winding::Cancelled { by, asked_by }, compensate);
        Ok(())
    }

    fn sending(&mut self, effect: EffectId, epoch: u64, deadline: Time) -> Result<(), Refusal> {
        if self.run.paused {
            return Err(Refusal::WrongState { state: State::Paused, command: "send" });
        }
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
            self.wind_run(Winding::Failed { fault, node }, true);
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
