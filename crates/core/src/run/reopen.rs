//! A failed run goes on from its failure, on the same version or a newer one: what is settled stays settled, recorded
//! results are not asked for again, and what failed or was cut off begins anew under call numbers never used before.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::address::{Address, Path};
use super::apply::is_ready;
use super::command::Origin;
use super::decide::Draft;
use super::event::{Event, Reopened};
use super::refusal::Refusal;
use super::state::{Activity, AgentWait, CallEnd, NodeState, Phase, Run, Scope, State, Status, Timer, graph_at};
use crate::agent::Seen;
use crate::bundle;
use crate::graph::{EdgeIx, Graph, Kind, NodeIx, When, Workflow};
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
        // Its conversation let it go when it ended, and may have begun another since: what it asked the customer now, nobody
        // would ever answer. A fork inherits as much, and belongs to whoever makes it.
        if let Some(Origin::Conversation { conversation }) = self.run.started().map(|started| &started.origin) {
            let reason = format!(
                "the conversation `{conversation}` went on without this run when it ended: fork it at a node that ran, and it \
                 goes on from there; or the customer's next message begins another"
            );
            return Err(Refusal::Impossible { reason });
        }
        if let Some(reason) = self.run.started().and_then(|started| unfit(&workflow, &started.input)) {
            return Err(Refusal::Impossible { reason });
        }
        self.run.know(bundle.clone(), workflow);
        self.emit(Event::Reopened(Box::new(Reopened::Retry { by, bundle })));
        self.scopes.extend(self.run.scopes.keys().cloned());
        self.touched.extend(self.active_nodes());
        Ok(())
    }
}

/// Why a run that began with this input cannot go on with this version: what it works with is recorded, so not even a
/// default can be added.
fn unfit(workflow: &Workflow, input: &Value) -> Option<String> {
    match workflow.input.complete(input) {
        Ok(None) => None,
        Ok(Some(_)) => {
            Some("this version declares keys of the input that the run began without: start it anew".to_owned())
        }
        Err(unfit) => Some(format!("{unfit}: start it anew")),
    }
}

impl Run {
    pub(super) fn reopen_for_retry(&mut self, bundle: &bundle::Hash) {
        let Some(workflow) = self.versions.get(bundle).cloned() else { return };
        let same_version = self.bundle.as_ref() == Some(bundle);
        self.finished = None;
        self.fault = None;
        self.phase = Phase::Running;
        self.bundle = Some(bundle.clone());
        self.calls_from = self.calls_from.max(self.calls_high) + 1;
        self.declare(&workflow);
        if let Some(limit) = workflow.timeout {
            self.timers.insert((self.now + limit, Timer::Run));
        }
        let mut old = std::mem::take(&mut self.scopes);
        // A body whose place is gone from the newer version is over.
        old.retain(|path, _| graph_at(&workflow, path).is_some());
        let bodies: BTreeSet<Path> = old.keys().cloned().collect();
        // Scopes come in path order, so a body's surroundings are reopened before it.
        while let Some((path, scope)) = old.pop_first() {
            let owner = path.parent().map(|(outer, node, _)| Address::new(outer, node));
            let is_wanted = owner.is_none_or(|owner| self.activity(&owner).is_some());
            let Some(graph) = graph_at(&workflow, &path).filter(|_| is_wanted) else { continue };
            let reopening = Reopening {
                path: &path,
                graph: &graph,
                bodies: &bodies,
                same_version,
                calls_from: self.calls_from,
                now: self.now,
            };
            let scope = reopening.scope(&scope, &workflow);
            self.scopes.insert(path, scope);
        }
        self.workflow = Some(workflow);
        self.line_up();
    }

    /// Lines up what may begin, and sets going what goes on.
    fn line_up(&mut self) {
        for (path, scope) in &self.scopes {
            for place in scope.graph.places() {
                let state = &scope.nodes[place.at()];
                if state.status == Status::Idle && is_ready(&scope.graph, place, state.settled_in, state.taken_in) {
                    self.ready.push_back(Address::new(path.clone(), scope.graph.node(place).id.clone()));
                }
            }
        }
        self.wind_up_clocks();
    }

    /// Sets the timers of all active nodes, and asks the agents among them that were to be asked.
    pub(super) fn wind_up_clocks(&mut self) {
        for (path, scope) in &self.scopes {
            for place in &scope.active {
                let Some((state, node)) = scope.nodes.get(*place as usize).zip(scope.graph.nodes.get(*place as usize))
                else {
                    continue;
                };
                let Some(activity) = state.activity.as_deref() else { continue };
                let at = Address::new(path.clone(), node.id.clone());
                if let Activity::Agent { waits: AgentWait::Think, .. } = activity {
                    self.thinkers.insert(at.clone());
                }
                if let Activity::Agent { waits: AgentWait::Customer { deadline: Some(deadline) }, .. } = activity {
                    self.timers.insert((*deadline, Timer::Node(at.clone())));
                }
                if let Some(due) = activity.due() {
                    self.timers.insert((due, Timer::Node(at)));
                }
            }
        }
    }
}

/// One scope on its way from its failure onto the newer graph: settled nodes keep their results by id, what was under
/// way goes on where it can, everything else begins anew.
struct Reopening<'a> {
    path: &'a Path,
    graph: &'a Arc<Graph>,
    /// Paths of all scopes that were kept.
    bodies: &'a BTreeSet<Path>,
    same_version: bool,
    calls_from: u32,
    now: Time,
}

impl Reopening<'_> {
    fn scope(&self, old: &Scope, workflow: &Workflow) -> Scope {
        let graph = self.graph;
        let mut scope = Scope::open(graph.clone(), old.item.clone(), old.index, old.last.clone());
        scope.result.clone_from(&old.result);
        scope.saga_from = old.saga_from;
        let reserved = if self.path.is_root() { workflow.reserved() } else { Vec::new() };
        for place in graph.places().filter(|place| !reserved.contains(place)) {
            let before = old.graph.find(graph.node(place).id.as_str());
            let state = match before {
                Some(before) => self.node(&old.graph, before, &old.nodes[before.at()], place),
                None => self.afresh(),
            };
            if state.status == Status::Active {
                scope.active.insert(place.0);
            }
            scope.unsettled -= u32::from(state.status.is_settled());
            scope.nodes[place.at()] = state;
        }
        count_edges(&mut scope);
        scope.reserve(&reserved);
        scope
    }

    fn afresh(&self) -> NodeState {
        NodeState { next_call: self.calls_from, ..NodeState::default() }
    }

    fn node(&self, before: &Graph, from: NodeIx, old: &NodeState, place: NodeIx) -> NodeState {
        match old.status {
            Status::Completed | Status::Skipped | Status::Caught => NodeState {
                settled_in: 0,
                taken_in: 0,
                taken: self.taken_again(before, from, old, place),
                ..old.clone()
            },
            // What a merge cut off stays cut off.
            Status::Cancelled if old.cut.is_some() => NodeState { settled_in: 0, taken_in: 0, ..old.clone() },
            Status::Failed | Status::Cancelled | Status::Active => {
                let same_kind = before.node(from).kind.word() == self.graph.node(place).kind.word();
                let fresh = NodeState { cost: old.cost, ..self.afresh() };
                match self.activity(old, place).filter(|_| same_kind) {
                    Some(activity) => NodeState {
                        status: Status::Active,
                        activity: Some(Box::new(activity)),
                        began_at: old.began_at,
                        ..fresh
                    },
                    None => fresh,
                }
            }
            Status::Idle | Status::Reserved => self.afresh(),
        }
    }

    fn activity(&self, old: &NodeState, place: NodeIx) -> Option<Activity> {
        if let Some(held) = &old.held {
            return Some(Activity::Held((**held).clone()));
        }
        let mut activity = self.goes_on(old, old.activity.as_deref()?, place)?;
        activity.renew(self.graph.node(place), self.now);
        Some(activity)
    }

    /// What a node that failed or was cut off goes on with; `None` where it begins anew.
    fn goes_on(&self, old: &NodeState, activity: &Activity, place: NodeIx) -> Option<Activity> {
        let mut activity = activity.clone();
        match &mut activity {
            Activity::Calls { asked, .. } => {
                if !asked.iter().any(|one| matches!(one.end, Some(CallEnd::Done(_)))) {
                    return None;
                }
                asked.iter_mut().filter(|one| one.end.is_none()).for_each(|one| one.call = None);
            }
            Activity::Agent { seen, waits, gave_up, .. } => {
                let model_failed = matches!(seen.last(), Some(Seen::ModelFailed(_)));
                if old.status == Status::Failed && !self.same_version || *gave_up && !model_failed {
                    return None;
                }
                if *gave_up {
                    seen.pop();
                    *gave_up = false;
                }
                match waits {
                    // Its question is asked anew, so that it stands on the desk again.
                    AgentWait::Model(_)
                    | AgentWait::Code(_)
                    | AgentWait::Endpoint(_)
                    | AgentWait::Thought(_)
                    | AgentWait::Customer { .. } => *waits = AgentWait::Think,
                    AgentWait::Tools(calls) => {
                        calls.iter_mut().filter(|call| call.answer.is_none()).for_each(|call| call.call = None);
                    }
                    AgentWait::Think => {}
                }
            }
            Activity::Each { .. } | Activity::Repeat { .. } | Activity::Branches { .. } => {
                self.reopen_bodies(&mut activity, place)?;
            }
            // A person is asked anew, a wait waits anew, a child is another run.
            Activity::Timer { .. } | Activity::Signal { .. } | Activity::Human { .. } | Activity::Child { .. } => {
                return None;
            }
            Activity::Held(_) => {}
        }
        Some(activity)
    }

    /// A loop's or fork's activity with the bodies that were kept open again; `None` if it loops another way now.
    fn reopen_bodies(&self, activity: &mut Activity, place: NodeIx) -> Option<()> {
        use crate::graph::node::{OnItemError, Over};
        let node = self.graph.node(place);
        let parents = self.bodies.iter().filter_map(|path| path.parent());
        let kept =
            || parents.clone().filter(|(scope, id, _)| scope == self.path && *id == node.id).map(|(.., rest)| rest);
        match (activity, &node.kind) {
            (Activity::Each { open, errors, .. }, Kind::Loop(each)) if matches!(each.over, Over::Each { .. }) => {
                *open = u32::try_from(kept().count()).unwrap_or(u32::MAX);
                if each.on_item_error == OnItemError::Fail {
                    errors.clear();
                }
            }
            (Activity::Repeat { open, error, .. }, Kind::Loop(each)) if !matches!(each.over, Over::Each { .. }) => {
                *open = kept().next().is_some();
                *error = None;
            }
            (Activity::Branches { open, outputs, error, .. }, Kind::Parallel(fork)) => {
                *open = kept().map(str::to_owned).collect();
                outputs.retain(|name, _| fork.branches.contains_key(name));
                *error = None;
            }
            _ => return None,
        }
        Some(())
    }

    /// Out-edges of a settled node that count as taken in the newer graph: those that were, by target and label, and
    /// plain new ones behind a completed node.
    fn taken_again(&self, before: &Graph, from: NodeIx, old: &NodeState, place: NodeIx) -> Vec<u32> {
        let is_taken = |index: &EdgeIx| {
            let edge = self.graph.edge(*index);
            let id = &self.graph.node(edge.to).id;
            let is_it = |known: &&EdgeIx| {
                let known = before.edge(**known);
                before.node(known.to).id == *id && known.when == edge.when
            };
            match before.outgoing(from).iter().find(is_it) {
                Some(known) => old.taken.contains(&known.0),
                None => old.status == Status::Completed && edge.when == When::Completed && edge.condition.is_none(),
            }
        };
        self.graph.outgoing(place).iter().filter(|index| is_taken(index)).map(|index| index.0).collect()
    }
}

fn count_edges(scope: &mut Scope) {
    let graph = scope.graph.clone();
    for place in graph.places().filter(|place| scope.nodes[place.at()].status.is_settled()).collect::<Vec<_>>() {
        let taken = scope.nodes[place.at()].taken.clone();
        for edge in graph.outgoing(place) {
            let target = &mut scope.nodes[graph.edge(*edge).to.at()];
            target.settled_in += 1;
            target.taken_in += u32::from(taken.contains(&edge.0));
        }
    }
}
