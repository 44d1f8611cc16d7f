//! A failed run goes on from its failure, on the same version or a newer one: what is settled stays settled, what
//! failed or was cut off begins again under new call numbers.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::address::{Address, Path};
use super::apply::is_ready;
use super::decide::Draft;
use super::event::{Event, Reopened};
use super::refusal::Refusal;
use super::state::{Activity, NodeState, Phase, Run, Scope, State, Status, Timer, graph_at};
use crate::bundle;
use crate::graph::{EdgeIx, Graph, NodeIx, When, Workflow};
use crate::time::Time;

impl Draft<'_> {
    pub fn retry(&mut self, by: String, bundle: bundle::Hash, workflow: Arc<Workflow>) -> Result<(), Refusal> {
        let state = self.run.state();
        if state != State::Failed && state != State::TimedOut {
            return Err(Refusal::WrongState { state, command: "retry" });
        }
        if self.run.saga.is_rolling_back() {
            return Err(Refusal::Impossible { reason: "the run was rolled back: start it anew".to_owned() });
        }
        self.run.know(bundle.clone(), workflow);
        self.emit(Event::Reopened(Box::new(Reopened::Retry { by, bundle })));
        for path in self.run.scopes.keys().cloned().collect::<Vec<_>>() {
            self.scopes.insert(path);
        }
        for node in self.active_nodes() {
            self.touched.push_back(node);
        }
        Ok(())
    }
}

impl Run {
    pub(super) fn reopen_for_retry(&mut self, bundle: &bundle::Hash) {
        let Some(workflow) = self.versions.get(bundle).cloned() else { return };
        self.finished = None;
        self.fault = None;
        self.phase = Phase::Running;
        self.bundle = Some(bundle.clone());
        if let Some(limit) = workflow.timeout {
            self.timers.insert((self.now + limit, Timer::Run));
        }
        let mut old = std::mem::take(&mut self.scopes);
        let bodies: BTreeSet<Path> = old.keys().cloned().collect();
        // Scopes come in path order, so a body's surroundings are reopened before it.
        while let Some((path, scope)) = old.pop_first() {
            let is_wanted =
                path.parent().is_none_or(|(outer, node, _)| self.activity(&Address::new(outer, node)).is_some());
            // A scope whose place is gone from the newer version, or whose owner is settled, is over.
            let Some(graph) = graph_at(&workflow, &path).filter(|_| is_wanted) else { continue };
            let scope =
                Reopening { path: &path, graph: &graph, bodies: &bodies, now: self.now }.scope(&scope, &workflow);
            self.scopes.insert(path, scope);
        }
        self.workflow = Some(workflow);
        self.line_up();
    }

    /// Lines up what may begin, and winds up the clocks of what goes on.
    fn line_up(&mut self) {
        for (path, scope) in &self.scopes {
            for place in scope.graph.places() {
                let state = &scope.nodes[place.at()];
                let at = || Address::new(path.clone(), scope.graph.node(place).id.clone());
                if state.status == Status::Idle && is_ready(&scope.graph, place, state.settled_in, state.taken_in) {
                    self.ready.push_back(at());
                }
                if let Some(due) =
                    state.activity.as_deref().filter(|_| state.status == Status::Active).and_then(Activity::due)
                {
                    self.timers.insert((due, Timer::Node(at())));
                }
            }
        }
    }
}

/// One scope on its way from its failure onto the newer graph: settled nodes keep their results by id, loops and
/// branches that failed go on inside, everything else begins again.
struct Reopening<'a> {
    path: &'a Path,
    graph: &'a Arc<Graph>,
    /// Paths of all scopes that were kept.
    bodies: &'a BTreeSet<Path>,
    now: Time,
}

impl Reopening<'_> {
    fn scope(&self, old: &Scope, workflow: &Workflow) -> Scope {
        let graph = self.graph;
        let mut scope = Scope::open(graph.clone(), old.item.clone(), old.index, old.last.clone());
        let reserved = if self.path.is_root() { workflow.reserved() } else { Vec::new() };
        for place in graph.places() {
            let before = old.graph.find(graph.node(place).id.as_str());
            let mut state = match before {
                Some(before) => self.node(&old.graph, &old.nodes[before.at()], place),
                None => NodeState::default(),
            };
            if reserved.contains(&place) {
                state = NodeState { status: Status::Reserved, next_call: state.next_call, ..NodeState::default() };
            }
            if state.status == Status::Active {
                scope.active.insert(place.0);
            }
            scope.unsettled -= u32::from(state.status.is_settled() || state.status == Status::Reserved);
            scope.nodes[place.at()] = state;
        }
        count_edges(&mut scope);
        scope
    }

    fn node(&self, before: &Graph, old: &NodeState, place: NodeIx) -> NodeState {
        match old.status {
            Status::Completed | Status::Skipped | Status::Caught => {
                NodeState { settled_in: 0, taken_in: 0, taken: self.taken_again(before, old, place), ..old.clone() }
            }
            Status::Failed | Status::Cancelled | Status::Active => {
                let fresh = NodeState { next_call: old.next_call + 1, cost: old.cost, ..NodeState::default() };
                match old.activity.as_deref().and_then(|activity| self.goes_on(activity, place)) {
                    Some(activity) => NodeState {
                        status: Status::Active,
                        activity: Some(Box::new(activity)),
                        began_at: old.began_at,
                        ..fresh
                    },
                    None => fresh,
                }
            }
            Status::Idle | Status::Reserved => NodeState { next_call: old.next_call, ..NodeState::default() },
        }
    }

    /// A loop's or fork's activity with the bodies that were kept open again; `None` if none were.
    fn goes_on(&self, old: &Activity, place: NodeIx) -> Option<Activity> {
        let id = &self.graph.node(place).id;
        let kept: Vec<&str> = self
            .bodies
            .iter()
            .filter_map(|path| path.parent())
            .filter(|(scope, node, _)| scope == self.path && node == id)
            .map(|(.., rest)| rest)
            .collect();
        if kept.is_empty() {
            return None;
        }
        let deadline = self.graph.node(place).policy.timeout.map(|after| self.now + after);
        match old {
            Activity::Each { items, next, results, .. } => Some(Activity::Each {
                items: items.clone(),
                next: *next,
                open: u32::try_from(kept.len()).unwrap_or(u32::MAX),
                results: results.clone(),
                errors: Vec::new(),
                deadline,
            }),
            Activity::Repeat { next, last, .. } => {
                Some(Activity::Repeat { next: *next, open: true, last: last.clone(), error: None, deadline })
            }
            Activity::Branches { outputs, .. } => Some(Activity::Branches {
                open: kept.iter().map(|name| (*name).to_owned()).collect(),
                outputs: outputs.clone(),
                error: None,
                deadline,
            }),
            Activity::Calls { .. }
            | Activity::Agent { .. }
            | Activity::Timer { .. }
            | Activity::Signal { .. }
            | Activity::Human { .. }
            | Activity::Child { .. } => None,
        }
    }

    /// Out-edges of a settled node that count as taken in the newer graph: those that were, by their target, and
    /// plain new ones behind a completed node.
    fn taken_again(&self, before: &Graph, old: &NodeState, place: NodeIx) -> Vec<u32> {
        let Some(from) = before.find(self.graph.node(place).id.as_str()) else { return Vec::new() };
        let target = |edge: &EdgeIx| &before.node(before.edge(*edge).to).id;
        let is_taken = |index: &EdgeIx| {
            let edge = self.graph.edge(*index);
            let id = &self.graph.node(edge.to).id;
            match before.outgoing(from).iter().find(|edge| target(edge) == id) {
                Some(known) => old.taken.contains(&known.0),
                None => old.status == Status::Completed && edge.when == When::Completed && edge.condition.is_none(),
            }
        };
        self.graph.outgoing(place).iter().filter(|index| is_taken(index)).map(|index| index.0).collect()
    }
}

fn count_edges(scope: &mut Scope) {
    let graph = scope.graph.clone();
    for place in graph.places() {
        let state = &scope.nodes[place.at()];
        if !state.status.is_settled() {
            continue;
        }
        let taken = state.taken.clone();
        for edge in graph.outgoing(place) {
            let target = &mut scope.nodes[graph.edge(*edge).to.at()];
            target.settled_in += 1;
            target.taken_in += u32::from(taken.contains(&edge.0));
        }
    }
}
