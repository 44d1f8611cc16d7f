//! A failed run continues from its failure, on the same version or a newer one: settled nodes stay settled, recorded
//! results are not requested again, and failed or cancelled nodes start again under call indices that were never used
//! before.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::address::{NodeAddress, ScopePath};
use super::apply::is_ready;
use super::command::RunOrigin;
use super::decide::RunDraft;
use super::event::{RunEvent, RunReopened};
use super::refusal::RunRefusal;
use super::state::{
    AgentWait, CallEnd, NodeActivity, NodeState, NodeStatus, Run, RunPhase, RunState, RunTimer, ScopeState, graph_at,
};
use crate::agent::AgentObservation;
use crate::bundle;
use crate::graph::{EdgeIndex, EdgeTrigger, Graph, NodeIndex, NodeKind, Workflow};
use crate::time::Time;

impl RunDraft<'_> {
    pub fn retry(
        &mut self,
        by: String,
        bundle: bundle::ContentHash,
        workflow: Arc<Workflow>,
    ) -> Result<(), RunRefusal> {
        let state = self.run.state();
        if state != RunState::Failed && state != RunState::TimedOut {
            return Err(RunRefusal::WrongState { state, command: "retry" });
        }
        if self.run.saga.is_rolling_back() {
            return Err(RunRefusal::Impossible { reason: "the run was rolled back: start it anew".to_owned() });
        }
        // Its conversation released it when it ended, and may have started another run since: a question to the
        // customer could never be answered. A fork inherits as much, and belongs to the person who makes it.
        if let Some(RunOrigin::Conversation { conversation }) = self.run.started().map(|started| &started.origin) {
            let reason = format!(
                "the conversation `{conversation}` went on without this run when it ended: fork it at a node that ran, and it \
                 goes on from there; or the customer's next message begins another"
            );
            return Err(RunRefusal::Impossible { reason });
        }
        if let Some(reason) = self.run.started().and_then(|started| incompatible_input(&workflow, &started.input)) {
            return Err(RunRefusal::Impossible { reason });
        }
        self.run.add_version(bundle.clone(), workflow);
        self.emit(RunEvent::Reopened(Box::new(RunReopened::Retry { by, bundle })));
        self.scopes.extend(self.run.scopes.keys().cloned());
        self.touched.extend(self.active_nodes());
        Ok(())
    }
}

/// Returns why a run with this input cannot continue on this version: its input is recorded, so not even a default can
/// be added.
fn incompatible_input(workflow: &Workflow, input: &Value) -> Option<String> {
    match workflow.input.validate(input) {
        Ok(None) => None,
        Ok(Some(_)) => {
            Some("this version declares keys of the input that the run began without: start it anew".to_owned())
        }
        Err(unfit) => Some(format!("{unfit}: start it anew")),
    }
}

impl Run {
    pub(super) fn reopen_for_retry(&mut self, bundle: &bundle::ContentHash) {
        let Some(workflow) = self.versions.get(bundle).cloned() else { return };
        let same_version = self.bundle.as_ref() == Some(bundle);
        self.finished = None;
        self.fault = None;
        self.phase = RunPhase::Running;
        self.bundle = Some(bundle.clone());
        self.calls_from = self.calls_from.max(self.calls_high) + 1;
        self.declare(&workflow);
        if let Some(limit) = workflow.timeout {
            self.timers.insert((self.now + limit, RunTimer::Run));
        }
        let mut old = std::mem::take(&mut self.scopes);
        // A body whose node is gone from the newer version is closed.
        old.retain(|path, _| graph_at(&workflow, path).is_some());
        let bodies: BTreeSet<ScopePath> = old.keys().cloned().collect();
        // Scopes come in path order, so the enclosing scopes of a body are reopened before it.
        while let Some((path, scope)) = old.pop_first() {
            let owner = path.parent().map(|(outer, node, _)| NodeAddress::new(outer, node));
            let is_wanted = owner.is_none_or(|owner| self.activity(&owner).is_some());
            let Some(graph) = graph_at(&workflow, &path).filter(|_| is_wanted) else { continue };
            let reopening = ScopeMigration {
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
        self.enqueue_ready_nodes();
    }

    /// Queues nodes that may start, and resumes those that continue.
    fn enqueue_ready_nodes(&mut self) {
        for (path, scope) in &self.scopes {
            for place in scope.graph.node_indices() {
                let state = &scope.nodes[place.as_usize()];
                if state.status == NodeStatus::Idle && is_ready(&scope.graph, place, state.settled_in, state.taken_in) {
                    self.ready.push_back(NodeAddress::new(path.clone(), scope.graph.node(place).id.clone()));
                }
            }
        }
        self.restore_timers();
    }

    /// Sets the timers of all active nodes, and queues the agents among them whose step function was to be called.
    pub(super) fn restore_timers(&mut self) {
        for (path, scope) in &self.scopes {
            for place in &scope.active {
                let Some((state, node)) = scope.nodes.get(*place as usize).zip(scope.graph.nodes.get(*place as usize))
                else {
                    continue;
                };
                let Some(activity) = state.activity.as_deref() else { continue };
                let at = NodeAddress::new(path.clone(), node.id.clone());
                if let NodeActivity::Agent { waits: AgentWait::Think, .. } = activity {
                    self.thinkers.insert(at.clone());
                }
                if let NodeActivity::Agent { waits: AgentWait::Customer { deadline: Some(deadline) }, .. } = activity {
                    self.timers.insert((*deadline, RunTimer::Node(at.clone())));
                }
                if let Some(due) = activity.due_at() {
                    self.timers.insert((due, RunTimer::Node(at)));
                }
            }
        }
    }
}

/// The migration of one scope from its failure to the newer graph: settled nodes keep their results by id, work in
/// progress continues where possible, and everything else starts again.
struct ScopeMigration<'a> {
    path: &'a ScopePath,
    graph: &'a Arc<Graph>,
    /// Paths of all kept scopes.
    bodies: &'a BTreeSet<ScopePath>,
    same_version: bool,
    calls_from: u32,
    now: Time,
}

impl ScopeMigration<'_> {
    fn scope(&self, old: &ScopeState, workflow: &Workflow) -> ScopeState {
        let graph = self.graph;
        let mut scope = ScopeState::open(graph.clone(), old.item.clone(), old.index, old.last.clone());
        scope.result.clone_from(&old.result);
        scope.saga_from = old.saga_from;
        let reserved = if self.path.is_root() { workflow.post_rollback_nodes() } else { Vec::new() };
        for place in graph.node_indices().filter(|place| !reserved.contains(place)) {
            let before = old.graph.find(graph.node(place).id.as_str());
            let state = match before {
                Some(before) => self.node(&old.graph, before, &old.nodes[before.as_usize()], place),
                None => self.fresh_node_state(),
            };
            if state.status == NodeStatus::Active {
                scope.active.insert(place.0);
            }
            scope.unsettled -= u32::from(state.status.is_settled());
            scope.nodes[place.as_usize()] = state;
        }
        count_edges(&mut scope);
        scope.reserve(&reserved);
        scope
    }

    fn fresh_node_state(&self) -> NodeState {
        NodeState { next_call: self.calls_from, ..NodeState::default() }
    }

    fn node(&self, before: &Graph, from: NodeIndex, old: &NodeState, place: NodeIndex) -> NodeState {
        match old.status {
            NodeStatus::Completed | NodeStatus::Skipped | NodeStatus::Caught => NodeState {
                settled_in: 0,
                taken_in: 0,
                taken: self.remapped_edges(before, from, old, place),
                ..old.clone()
            },
            // Nodes that a merge cancelled stay cancelled.
            NodeStatus::Cancelled if old.cut.is_some() => NodeState { settled_in: 0, taken_in: 0, ..old.clone() },
            NodeStatus::Failed | NodeStatus::Cancelled | NodeStatus::Active => {
                let same_kind = before.node(from).kind.word() == self.graph.node(place).kind.word();
                let fresh = NodeState { cost: old.cost, ..self.fresh_node_state() };
                match self.activity(old, place).filter(|_| same_kind) {
                    Some(activity) => NodeState {
                        status: NodeStatus::Active,
                        activity: Some(Box::new(activity)),
                        began_at: old.began_at,
                        ..fresh
                    },
                    None => fresh,
                }
            }
            NodeStatus::Idle | NodeStatus::Reserved => self.fresh_node_state(),
        }
    }

    fn activity(&self, old: &NodeState, place: NodeIndex) -> Option<NodeActivity> {
        if let Some(held) = &old.held {
            return Some(NodeActivity::Held((**held).clone()));
        }
        let mut activity = self.resumed_activity(old, old.activity.as_deref()?, place)?;
        activity.renew(self.graph.node(place), self.now);
        Some(activity)
    }

    /// Returns the activity with which a failed or cancelled node continues; `None` if it starts again.
    fn resumed_activity(&self, old: &NodeState, activity: &NodeActivity, place: NodeIndex) -> Option<NodeActivity> {
        let mut activity = activity.clone();
        match &mut activity {
            NodeActivity::Calls { asked, .. } => {
                if !asked.iter().any(|one| matches!(one.end, Some(CallEnd::Done(_)))) {
                    return None;
                }
                asked.iter_mut().filter(|one| one.end.is_none()).for_each(|one| one.call = None);
            }
            NodeActivity::Agent { seen, waits, gave_up, .. } => {
                let model_failed = matches!(seen.last(), Some(AgentObservation::ModelFailed(_)));
                if old.status == NodeStatus::Failed && !self.same_version || *gave_up && !model_failed {
                    return None;
                }
                if *gave_up {
                    seen.pop();
                    *gave_up = false;
                }
                match waits {
                    // Its question is asked again, so that it is in the task inbox again.
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
            NodeActivity::Each { .. } | NodeActivity::Repeat { .. } | NodeActivity::Branches { .. } => {
                self.reopen_bodies(&mut activity, place)?;
            }
            // A person is asked again, a wait starts again, a child is another run.
            NodeActivity::Timer { .. }
            | NodeActivity::Signal { .. }
            | NodeActivity::Human { .. }
            | NodeActivity::Child { .. } => {
                return None;
            }
            NodeActivity::Held(_) => {}
        }
        Some(activity)
    }

    /// Returns a loop's or fork's activity with the kept bodies reopened; `None` if the loop has another form now.
    fn reopen_bodies(&self, activity: &mut NodeActivity, place: NodeIndex) -> Option<()> {
        use crate::graph::node::{LoopMode, OnItemError};
        let node = self.graph.node(place);
        let parents = self.bodies.iter().filter_map(|path| path.parent());
        let kept =
            || parents.clone().filter(|(scope, id, _)| scope == self.path && *id == node.id).map(|(.., rest)| rest);
        match (activity, &node.kind) {
            (NodeActivity::Each { open, errors, .. }, NodeKind::Loop(each))
                if matches!(each.over, LoopMode::Each { .. }) =>
            {
                *open = u32::try_from(kept().count()).unwrap_or(u32::MAX);
                if each.on_item_error == OnItemError::Fail {
                    errors.clear();
                }
            }
            (NodeActivity::Repeat { open, error, .. }, NodeKind::Loop(each))
                if !matches!(each.over, LoopMode::Each { .. }) =>
            {
                *open = kept().next().is_some();
                *error = None;
            }
            (NodeActivity::Branches { open, outputs, error, .. }, NodeKind::Parallel(fork)) => {
                *open = kept().map(str::to_owned).collect();
                outputs.retain(|name, _| fork.branches.contains_key(name));
                *error = None;
            }
            _ => return None,
        }
        Some(())
    }

    /// Out-edges of a settled node that count as taken in the newer graph: those that were taken, by target and label,
    /// and plain new ones after a completed node.
    fn remapped_edges(&self, before: &Graph, from: NodeIndex, old: &NodeState, place: NodeIndex) -> Vec<u32> {
        let is_taken = |index: &EdgeIndex| {
            let edge = self.graph.edge(*index);
            let id = &self.graph.node(edge.to).id;
            let is_it = |known: &&EdgeIndex| {
                let known = before.edge(**known);
                before.node(known.to).id == *id && known.when == edge.when
            };
            match before.outgoing(from).iter().find(is_it) {
                Some(known) => old.taken.contains(&known.0),
                None => {
                    old.status == NodeStatus::Completed
                        && edge.when == EdgeTrigger::Completed
                        && edge.condition.is_none()
                }
            }
        };
        self.graph.outgoing(place).iter().filter(|index| is_taken(index)).map(|index| index.0).collect()
    }
}

fn count_edges(scope: &mut ScopeState) {
    let graph = scope.graph.clone();
    for place in
        graph.node_indices().filter(|place| scope.nodes[place.as_usize()].status.is_settled()).collect::<Vec<_>>()
    {
        let taken = scope.nodes[place.as_usize()].taken.clone();
        for edge in graph.outgoing(place) {
            let target = &mut scope.nodes[graph.edge(*edge).to.as_usize()];
            target.settled_in += 1;
            target.taken_in += u32::from(taken.contains(&edge.0));
        }
    }
}
