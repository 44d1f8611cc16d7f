//! Consequences of a decision: nodes start, complete and fail, scopes close, the run ends.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::address::{NodeAddress, ScopePath};
use super::decide::RunDraft;
use super::event::{DrainReason, HeldResult, NodeEnded, NodeOutcome, RunEvent, RunFinished};
use super::nodes;
use super::scope_view::ScopeView;
use super::state::{CompensationReason, NodeStatus, RunPhase, RunState};
use crate::fault::{Fault, code};
use crate::graph::node::{NodeKind, OnNodeError};
use crate::graph::{EdgeTrigger, Graph, GraphEdge, JoinRule, NodeIndex};
use crate::mutant::{Mutant, planted};
use baton_expr::EvalError;

/// Maximum number of events of one decision, which keeps an append small; the rest waits for the next.
const EVENTS_PER_DECISION_MAX: usize = 2_000;

impl RunDraft<'_> {
    pub fn advance(&mut self) {
        loop {
            if let Some(node) = self.touched.pop_front() {
                nodes::advance_node(self, &node);
            } else if let Some(path) = self.scopes.pop_first() {
                self.settle_scope(&path);
            } else if self.out.len() < EVENTS_PER_DECISION_MAX && self.can_start_work() && !self.run.ready.is_empty() {
                self.start_next_node();
            } else if !self.continue_rollback() && !self.finish_run_drain() {
                return;
            }
        }
    }

    fn start_next_node(&mut self) {
        let Some(at) = self.run.ready.front().cloned() else { return };
        let Some((graph, place)) = self.node(&at) else {
            self.run.ready.pop_front();
            return;
        };
        let node = graph.node(place);
        if !self.is_joined(&graph, place, &at) {
            return self.end(&at, NodeOutcome::Skipped, Vec::new());
        }
        if let Some(condition) = &node.condition {
            match condition.holds(&self.view(&at.scope)) {
                Ok(true) => {}
                Ok(false) => return self.end(&at, NodeOutcome::Skipped, Vec::new()),
                Err(error) => return self.fail(&at, expression_fault("condition", &error)),
            }
        }
        nodes::begin(self, &at, node);
    }

    /// Returns whether a node with settled in-edges runs, rather than being skipped.
    fn is_joined(&self, graph: &Graph, place: NodeIndex, at: &NodeAddress) -> bool {
        let incoming = graph.incoming(place);
        let taken = self.run.node_state(at).map_or(0, |state| state.taken_in);
        let runs = match graph.node(place).join {
            JoinRule::AnyTaken => incoming.is_empty() || taken > 0 || planted(Mutant::SkippedRuns),
            // Error edges of the `steps` form are followed only if taken; dependencies need only be settled.
            JoinRule::AllSettled => {
                let only_errors =
                    !incoming.is_empty() && incoming.iter().all(|e| graph.edge(*e).when == EdgeTrigger::Failed);
                !only_errors || taken > 0
            }
        };
        runs || self.is_first_after_rollback(at, place)
    }

    fn is_first_after_rollback(&self, at: &NodeAddress, place: NodeIndex) -> bool {
        let first = self.run.workflow.as_ref().and_then(|workflow| workflow.on_compensated);
        matches!(self.run.phase, RunPhase::Aftermath { .. }) && at.scope.is_root() && first == Some(place)
    }

    pub fn end(&mut self, at: &NodeAddress, how: NodeOutcome, taken: Vec<u32>) {
        self.end_with(at, how, taken, None);
    }

    fn end_with(&mut self, at: &NodeAddress, how: NodeOutcome, taken: Vec<u32>, held: Option<Box<HeldResult>>) {
        let by = self.run.agent_work(at, self.now).map(Box::new);
        self.emit(RunEvent::Ended(Box::new(NodeEnded { node: at.clone(), how, taken, held, by })));
    }

    /// Completes a node: sets its variables and chooses its out-edges. `branch` is the branch it chose, if it chooses
    /// one.
    pub fn complete(&mut self, at: &NodeAddress, output: Arc<Value>, branch: Option<&str>) {
        self.complete_as(at, NodeOutcome::Completed { output: output.clone() }, &output, branch);
    }

    /// As [`Self::complete`], where the output is the answer that was just recorded.
    pub fn complete_answered(&mut self, at: &NodeAddress, output: &Arc<Value>) {
        self.complete_as(at, NodeOutcome::Answered, output, None);
    }

    /// Completes a node with its earlier result, after one of its own expressions had failed.
    pub fn complete_with_held_result(&mut self, at: &NodeAddress, held: HeldResult) {
        let how = NodeOutcome::Completed { output: held.output.clone() };
        self.complete_from(at, how, held);
    }

    fn complete_as(&mut self, at: &NodeAddress, how: NodeOutcome, output: &Arc<Value>, branch: Option<&str>) {
        let held = HeldResult { output: output.clone(), branch: branch.map(str::to_owned), sets: 0 };
        self.complete_from(at, how, held);
    }

    fn complete_from(&mut self, at: &NodeAddress, how: NodeOutcome, mut held: HeldResult) {
        if self.is_cut(at) {
            return self.end(at, NodeOutcome::Cancelled, Vec::new());
        }
        let own_fault = self.run.node_state(at).and_then(|state| state.winding.clone());
        let taken = match own_fault {
            Some(fault) => Err(fault),
            None => self.set_variables_and_choose_edges(at, &mut held),
        };
        match taken {
            Ok(taken) => self.end(at, how, taken),
            Err(fault) => {
                // A pure node computes its result again.
                let asked = self.is_active(at);
                self.fail_with(at, fault, asked.then(|| Box::new(held)));
            }
        }
    }

    /// Sets a node's variables, and chooses its out-edges.
    fn set_variables_and_choose_edges(&mut self, at: &NodeAddress, held: &mut HeldResult) -> Result<Vec<u32>, Fault> {
        let Some((graph, place)) = self.node(at) else { return Ok(Vec::new()) };
        let node = graph.node(place);
        let output = held.output.clone();
        for (key, params) in node.sets.iter().skip(held.sets as usize) {
            let value = params.render(&self.view(&at.scope).with_own(&node.id, output.clone()));
            let value = value.map_err(|error| expression_fault(&format!("set.{key}"), &error))?;
            self.set_variable(at, key, value)?;
            held.sets += 1;
        }
        if let Some(key) = node.output_key.as_ref().filter(|_| held.sets as usize == node.sets.len()) {
            self.set_variable(at, key, (*output).clone())?;
            held.sets += 1;
        }
        let view = self.view(&at.scope).with_own(&node.id, output);
        choose_edges(&view, &graph, place, held.branch.as_deref())
    }

    pub fn set_variable(&mut self, at: &NodeAddress, key: &str, value: Value) -> Result<(), Fault> {
        let declared = self.run.workflow.as_ref().and_then(|workflow| workflow.variables.get(key));
        let is_once = declared.is_some_and(|variable| variable.combine == crate::graph::CombineMode::Once);
        if is_once && self.run.variables.get(key).is_some_and(|value| !value.is_null()) {
            return Err(Fault::new(
                code::VARIABLE_SET_TWICE,
                format!("variable `{key}` may be set once, and it is set"),
            ));
        }
        self.emit(RunEvent::VariableSet { key: key.to_owned(), value: Arc::new(value), node: at.clone() });
        Ok(())
    }

    /// Fails a node: its policy catches the failure, or its scope drains.
    pub fn fail(&mut self, at: &NodeAddress, fault: Fault) {
        self.fail_with(at, fault, None);
    }

    fn fail_with(&mut self, at: &NodeAddress, fault: Fault, held: Option<Box<HeldResult>>) {
        if self.is_detached(at) {
            return self.end_with(at, NodeOutcome::Cancelled, Vec::new(), held);
        }
        let Some((graph, place)) = self.node(at) else { return };
        let node = graph.node(place);
        match node.policy.on_error {
            Some(OnNodeError::Goto(edge)) => self.end(at, NodeOutcome::Caught { fault }, vec![edge.0]),
            Some(OnNodeError::Continue) => {
                let view = self.view(&at.scope).with_caught(&node.id, &fault);
                match choose_edges(&view, &graph, place, None) {
                    Ok(taken) => self.end(at, NodeOutcome::Caught { fault }, taken),
                    Err(second) => self.fail_uncaught(at, second, held),
                }
            }
            Some(OnNodeError::Fail | OnNodeError::Compensate) | None => self.fail_uncaught(at, fault, held),
        }
    }

    fn fail_uncaught(&mut self, at: &NodeAddress, fault: Fault, held: Option<Box<HeldResult>>) {
        let policy = self.with_node(at, |node| node.policy.on_error).flatten();
        let how = NodeOutcome::Failed { fault: fault.clone() };
        self.end_with(at, how, Vec::new(), held);
        let why = DrainReason::Failed { fault, node: at.clone() };
        if at.scope.is_root() {
            self.drain_run(why, policy != Some(OnNodeError::Fail));
        } else {
            self.drain_scope(&at.scope, why);
        }
    }

    fn settle_scope(&mut self, path: &ScopePath) {
        let Some(scope) = self.run.scope(path) else { return };
        if scope.closed {
            return;
        }
        let is_aftermath = path.is_root() && matches!(self.run.phase, RunPhase::Aftermath { .. });
        let over = if is_aftermath {
            // Nodes that a failure left unexecuted stay so.
            scope.active.is_empty() && self.run.ready.is_empty()
        } else if scope.winding.is_some() {
            scope.active.is_empty()
        } else {
            scope.unsettled == 0
        };
        if !over {
            return;
        }
        if path.is_root() {
            // How a draining run ends is decided by `end_winding`, after its saga is settled.
            return self.complete_run();
        }
        let (output, fault) = match &scope.winding {
            None | Some(DrainReason::EndReached) => (output_of(scope), None),
            Some(DrainReason::Failed { fault, .. }) => (Arc::default(), Some(fault.clone())),
            Some(DrainReason::Cancelled { .. } | DrainReason::TimedOut | DrainReason::CutOff) => {
                (Arc::default(), Some(Fault::new(code::CANCELLED, "cut off with its surroundings")))
            }
        };
        self.emit(RunEvent::ScopeClosed { path: path.clone(), output, fault });
    }

    fn complete_run(&mut self) {
        match self.run.phase {
            // Losers of a merge that are still being undone delay the end.
            RunPhase::Running if self.run.saga.is_settled() && self.run.calls.is_empty() => {
                let output = self.run.scope(&ScopePath::root()).map(output_of).unwrap_or_default();
                self.finish(RunState::Completed, output);
            }
            // A result arrived late while the customer was being informed of the rollback.
            RunPhase::Aftermath { .. } if self.run.saga.has_due() => self.emit(RunEvent::Compensating),
            RunPhase::Aftermath { why } => self.finish_after_rollback(why),
            RunPhase::New
            | RunPhase::Running
            | RunPhase::Winding { .. }
            | RunPhase::Compensating { .. }
            | RunPhase::Ended(_) => {}
        }
    }

    /// Ends a run whose rollback is complete.
    pub fn finish_after_rollback(&mut self, why: CompensationReason) {
        let state = match why {
            _ if self.run.saga.has_failed() => RunState::Failed,
            CompensationReason::Failed | CompensationReason::Rollback => RunState::Compensated,
            CompensationReason::Cancelled => RunState::Cancelled,
            CompensationReason::TimedOut => RunState::TimedOut,
        };
        let after = self.run.aftermath.as_deref().unwrap_or_default();
        let output = self.run.scope(&ScopePath::root()).map(|outer| match &outer.result {
            Some(result) if !after.is_empty() => result.clone(),
            _ => output_among(outer, |place| after.contains(&place.0)),
        });
        let output = output.unwrap_or_default();
        self.finish(state, output);
    }

    pub fn finish(&mut self, state: RunState, output: Arc<Value>) {
        let fault = match state {
            RunState::Completed => None,
            RunState::TimedOut => Some(Fault::new(code::TIMEOUT, "the run's time was over")),
            RunState::Failed => self.run.fault.clone().or_else(|| Some(not_undone())),
            // An effect that could not be undone at first was undone in the end.
            _ => self.run.fault.clone().filter(|fault| *fault != not_undone()),
        };
        let rolled_back = matches!(
            self.run.phase,
            RunPhase::Compensating { why: CompensationReason::Rollback }
                | RunPhase::Aftermath { why: CompensationReason::Rollback }
        );
        let undone = self.run.saga.is_rolling_back().then(|| self.run.saga.report());
        self.emit(RunEvent::Finished(Box::new(RunFinished { state, output, fault, rolled_back, undone })));
    }
}

/// Returns the fault of a run that did not fail by itself, but could not be undone.
fn not_undone() -> Fault {
    Fault::new(code::NOT_UNDONE, "something could not be undone: a person must see to it")
}

/// Returns the out-edges that a completed node takes; `view` contains its output.
fn choose_edges(
    view: &ScopeView<'_>,
    graph: &Graph,
    place: NodeIndex,
    branch: Option<&str>,
) -> Result<Vec<u32>, Fault> {
    let mut taken = Vec::new();
    for index in graph.outgoing(place) {
        let edge = graph.edge(*index);
        let may = match &edge.when {
            EdgeTrigger::Completed => branch.is_none_or(|branch| is_first_branch(&graph.node(place).kind, branch)),
            EdgeTrigger::Branch(label) => branch == Some(label),
            EdgeTrigger::Failed => false,
        };
        if may && edge_condition_holds(view, graph, edge)? {
            taken.push(index.0);
        }
    }
    Ok(taken)
}

fn edge_condition_holds(view: &ScopeView<'_>, graph: &Graph, edge: &GraphEdge) -> Result<bool, Fault> {
    let Some(condition) = &edge.condition else { return Ok(true) };
    let to = &graph.node(edge.to).id;
    condition.holds(view).map_err(|error| expression_fault(&format!("condition of the edge to `{to}`"), &error))
}

/// Returns whether an out-edge without a label follows this branch.
fn is_first_branch(kind: &NodeKind, branch: &str) -> bool {
    match kind {
        NodeKind::Condition(_) => branch == "true",
        NodeKind::Human(_) => branch == "approved" || branch == "form",
        NodeKind::Switch(switch) => switch.default.as_deref() == Some(branch),
        NodeKind::Trigger
        | NodeKind::Agent(_)
        | NodeKind::Tool(_)
        | NodeKind::Loop(_)
        | NodeKind::Parallel(_)
        | NodeKind::Merge(_)
        | NodeKind::Wait(_)
        | NodeKind::Subworkflow(_)
        | NodeKind::Transform(_)
        | NodeKind::End(_)
        | NodeKind::Sink(_) => true,
    }
}

/// Returns the output of a settled scope: that of its `end`, of its only last node, or of its last nodes by id.
fn output_of(scope: &super::state::ScopeState) -> Arc<Value> {
    scope.result.clone().unwrap_or_else(|| output_among(scope, |_| true))
}

fn output_among(scope: &super::state::ScopeState, counts: impl Fn(&NodeIndex) -> bool) -> Arc<Value> {
    let graph = &scope.graph;
    let is_last = |place: &NodeIndex| {
        scope.nodes[place.as_usize()].status == NodeStatus::Completed && scope.nodes[place.as_usize()].taken.is_empty()
    };
    let last: Vec<NodeIndex> = graph.node_indices().filter(|place| counts(place) && is_last(place)).collect();
    match last.as_slice() {
        [] => Arc::default(),
        [one] => scope.nodes[one.as_usize()].output.clone(),
        many => {
            let outputs = many
                .iter()
                .map(|place| (graph.node(*place).id.to_string(), (*scope.nodes[place.as_usize()].output).clone()));
            Arc::new(Value::Object(outputs.collect::<Map<_, _>>()))
        }
    }
}

pub(super) fn expression_fault(place: &str, error: &EvalError) -> Fault {
    Fault::new(code::EXPRESSION, format!("{place}: {error} ({})", error.code))
}
