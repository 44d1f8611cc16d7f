//! From one decision to all that follows from it: nodes begin, complete and fail, scopes fold, the run ends.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::address::{Address, Path};
use super::decide::Draft;
use super::event::{Ended, Event, Finished, How, Winding};
use super::nodes;
use super::state::{Phase, State, Status, Why};
use crate::expr::EvalError;
use crate::fault::{Fault, code};
use crate::graph::node::{Kind, OnError};
use crate::graph::{EdgeIx, Graph, Join, NodeIx, When};

/// Events of one decision, after which the rest waits for the next: an append stays small.
const EVENTS_PER_DECISION_MAX: usize = 2_000;

impl Draft<'_> {
    pub fn advance(&mut self) {
        loop {
            if let Some(node) = self.touched.pop_front() {
                nodes::look(self, &node);
            } else if let Some(path) = self.scopes.pop_first() {
                self.settle_scope(&path);
            } else if self.out.len() < EVENTS_PER_DECISION_MAX && self.may_begin() && !self.run.ready.is_empty() {
                self.begin_next();
            } else if !self.roll_back_on() && !self.end_winding() {
                return;
            }
        }
    }

    fn begin_next(&mut self) {
        let Some(at) = self.run.ready.front().cloned() else { return };
        let Some((graph, place)) = self.node(&at) else {
            self.run.ready.pop_front();
            return;
        };
        let node = graph.node(place);
        if !self.is_joined(&graph, place, &at) {
            return self.end(&at, How::Skipped, Vec::new());
        }
        if let Some(condition) = &node.condition {
            match condition.holds(&self.view(&at.scope)) {
                Ok(true) => {}
                Ok(false) => return self.end(&at, How::Skipped, Vec::new()),
                Err(error) => return self.fail(&at, expression_fault("condition", &error)),
            }
        }
        nodes::begin(self, &at, node);
    }

    /// Whether a node whose in-edges are settled runs, rather than being skipped.
    fn is_joined(&self, graph: &Graph, place: NodeIx, at: &Address) -> bool {
        let incoming = graph.incoming(place);
        let taken = self.run.node_state(at).map_or(0, |state| state.taken_in);
        match graph.node(place).join {
            Join::AnyTaken => incoming.is_empty() || taken > 0,
            // Error edges of the `steps` form are followed only when taken; dependencies need only be settled.
            Join::AllSettled => {
                let only_errors = !incoming.is_empty() && incoming.iter().all(|e| graph.edge(*e).when == When::Failed);
                !only_errors || taken > 0
            }
        }
    }

    pub fn end(&mut self, at: &Address, how: How, taken: Vec<u32>) {
        self.emit(Event::Ended(Box::new(Ended { node: at.clone(), how, taken })));
    }

    /// Completes a node: its variables are set, its out-edges chosen. `branch` is the one it chose, where it chooses.
    pub fn complete(&mut self, at: &Address, output: Arc<Value>, branch: Option<&str>) {
        self.complete_as(at, How::Completed { output: output.clone() }, &output, branch);
    }

    /// As [`Self::complete`], where the output is the answer just recorded.
    pub fn complete_answered(&mut self, at: &Address, output: &Arc<Value>) {
        self.complete_as(at, How::Answered, output, None);
    }

    fn complete_as(&mut self, at: &Address, how: How, output: &Arc<Value>, branch: Option<&str>) {
        if self.is_cut(at) {
            return self.end(at, How::Cancelled, Vec::new());
        }
        let Some((graph, place)) = self.node(at) else { return };
        let node = graph.node(place);
        for (key, params) in &node.sets {
            let value = match params.render(&self.view(&at.scope).with_own(&node.id, output.clone())) {
                Ok(value) => value,
                Err(error) => return self.fail(at, expression_fault(&format!("set.{key}"), &error)),
            };
            if let Err(fault) = self.set_variable(at, key, value) {
                return self.fail(at, fault);
            }
        }
        if let Some(key) = &node.output_key
            && let Err(fault) = self.set_variable(at, key, (**output).clone())
        {
            return self.fail(at, fault);
        }
        match self.choose_edges(at, &graph, place, output, branch) {
            Ok(taken) => self.end(at, how, taken),
            Err(fault) => self.fail(at, fault),
        }
    }

    pub fn set_variable(&mut self, at: &Address, key: &str, value: Value) -> Result<(), Fault> {
        let declared = self.run.workflow.as_ref().and_then(|workflow| workflow.variables.get(key));
        let is_once = declared.is_some_and(|variable| variable.combine == crate::graph::Combine::Once);
        if is_once && self.run.variables.get(key).is_some_and(|value| !value.is_null()) {
            return Err(Fault::new("VARIABLE_SET_TWICE", format!("variable `{key}` may be set once, and it is set")));
        }
        self.emit(Event::VariableSet { key: key.to_owned(), value: Arc::new(value), node: at.clone() });
        Ok(())
    }

    fn choose_edges(
        &self,
        at: &Address,
        graph: &Graph,
        place: NodeIx,
        output: &Arc<Value>,
        branch: Option<&str>,
    ) -> Result<Vec<u32>, Fault> {
        let mut taken = Vec::new();
        for index in graph.outgoing(place) {
            let edge = graph.edge(*index);
            let may = match &edge.when {
                When::Completed => branch.is_none_or(|branch| is_first_branch(&graph.node(place).kind, branch)),
                When::Branch(label) => branch == Some(label),
                When::Failed => false,
            };
            if may && self.edge_holds(at, graph, *index, output)? {
                taken.push(index.0);
            }
        }
        Ok(taken)
    }

    fn edge_holds(&self, at: &Address, graph: &Graph, index: EdgeIx, output: &Arc<Value>) -> Result<bool, Fault> {
        let edge = graph.edge(index);
        let Some(condition) = &edge.condition else { return Ok(true) };
        let view = self.view(&at.scope).with_own(&at.node, output.clone());
        let to = &graph.node(edge.to).id;
        condition.holds(&view).map_err(|error| expression_fault(&format!("condition of the edge to `{to}`"), &error))
    }

    /// A node fails: caught by its policy, or its scope winds down.
    pub fn fail(&mut self, at: &Address, fault: Fault) {
        if self.is_cut(at) {
            return self.end(at, How::Cancelled, Vec::new());
        }
        let Some((graph, place)) = self.node(at) else { return };
        match graph.node(place).policy.on_error {
            Some(OnError::Goto(edge)) => self.end(at, How::Caught { fault }, vec![edge.0]),
            Some(OnError::Continue) => match self.choose_edges(at, &graph, place, &Arc::default(), None) {
                Ok(taken) => self.end(at, How::Caught { fault }, taken),
                Err(second) => self.fail_uncaught(at, second),
            },
            Some(OnError::Fail | OnError::Compensate) | None => self.fail_uncaught(at, fault),
        }
    }

    fn fail_uncaught(&mut self, at: &Address, fault: Fault) {
        let policy = self.with_node(at, |node| node.policy.on_error).flatten();
        self.end(at, How::Failed { fault: fault.clone() }, Vec::new());
        let why = Winding::Failed { fault, node: at.clone() };
        if !at.scope.is_root() {
            return self.wind_scope(&at.scope, why);
        }
        let compensate = match policy {
            Some(OnError::Fail) => false,
            Some(OnError::Compensate) => true,
            Some(OnError::Continue | OnError::Goto(_)) | None => self.run.saga.has_undoable(),
        };
        self.wind_run(why, compensate);
    }

    /// Whether a node's ending leads nowhere: it was cut, or its surroundings wind down.
    pub fn is_cut(&self, at: &Address) -> bool {
        let cut = self.run.node_state(at).is_some_and(|state| state.cut.is_some());
        cut || self.run.scope(&at.scope).is_none_or(|scope| scope.winding.is_some())
    }

    fn settle_scope(&mut self, path: &Path) {
        let Some(scope) = self.run.scope(path) else { return };
        if scope.closed {
            return;
        }
        let is_aftermath = path.is_root() && matches!(self.run.phase, Phase::Aftermath { .. });
        let over = if is_aftermath {
            scope.active.is_empty() && self.run.ready.is_empty()
        } else if scope.winding.is_some() {
            scope.active.is_empty()
        } else {
            scope.unsettled == 0
        };
        if !over {
            return self.stop_at_end(path);
        }
        if path.is_root() {
            // How a winding run ends is decided by `end_winding`, once its saga is settled too.
            return self.complete_run();
        }
        let (output, fault) = match &scope.winding {
            None | Some(Winding::EndReached) => (output_of(scope), None),
            Some(Winding::Failed { fault, .. }) => (Arc::default(), Some(fault.clone())),
            Some(Winding::Cancelled { .. } | Winding::TimedOut | Winding::CutOff) => {
                (Arc::default(), Some(Fault::new(code::CANCELLED, "cut off with its surroundings")))
            }
        };
        self.emit(Event::ScopeClosed { path: path.clone(), output, fault });
    }

    /// An `end` node that waits for nobody winds its scope down.
    fn stop_at_end(&mut self, path: &Path) {
        let Some(scope) = self.run.scope(path) else { return };
        if scope.result.is_none() || scope.winding.is_some() {
            return;
        }
        let stops = scope.graph.places().any(|place| {
            let ended = scope.nodes[place.at()].status == Status::Completed;
            ended && matches!(&scope.graph.node(place).kind, Kind::End(end) if end.rest == crate::graph::node::Rest::Cancel)
        });
        match (stops, path.is_root()) {
            (false, _) => {}
            (true, true) => self.wind_run(Winding::EndReached, false),
            (true, false) => self.wind_scope(path, Winding::EndReached),
        }
    }

    fn complete_run(&mut self) {
        match self.run.phase {
            // Losers of a merge that are still being undone hold the end up.
            Phase::Running if self.run.saga.is_settled() && self.run.calls.is_empty() => {
                let output = self.run.scope(&Path::root()).map(output_of).unwrap_or_default();
                self.finish(State::Completed, output);
            }
            Phase::Aftermath { why } => self.finish_after(why),
            Phase::New | Phase::Running | Phase::Winding { .. } | Phase::Compensating { .. } | Phase::Ended(_) => {}
        }
    }

    /// Ends a run whose rollback is over.
    pub fn finish_after(&mut self, why: Why) {
        let state = match why {
            _ if self.run.saga.has_failed() => State::Failed,
            Why::Failed | Why::Rollback => State::Compensated,
            Why::Cancelled => State::Cancelled,
            Why::TimedOut => State::TimedOut,
        };
        let reserved = self.run.workflow.as_ref().map(|workflow| workflow.reserved()).unwrap_or_default();
        let of_aftermath = |place: &NodeIx| reserved.contains(place);
        let output = self.run.scope(&Path::root()).map(|outer| output_among(outer, of_aftermath)).unwrap_or_default();
        self.finish(state, output);
    }

    pub fn finish(&mut self, state: State, output: Arc<Value>) {
        let fault = match state {
            State::Completed => None,
            State::TimedOut => Some(Fault::new(code::TIMEOUT, "the run's time was over")),
            _ => self.run.fault.clone(),
        };
        let rolled_back = matches!(
            self.run.phase,
            Phase::Compensating { why: Why::Rollback } | Phase::Aftermath { why: Why::Rollback }
        );
        let undone = self.run.saga.is_rolling_back().then(|| self.run.saga.report());
        self.emit(Event::Finished(Box::new(Finished { state, output, fault, rolled_back, undone })));
    }
}

/// Whether an out-edge without a label follows this branch.
fn is_first_branch(kind: &Kind, branch: &str) -> bool {
    match kind {
        Kind::Condition(_) => branch == "true",
        Kind::Human(_) => branch == "approved" || branch == "form",
        Kind::Switch(switch) => switch.default.as_deref() == Some(branch),
        Kind::Trigger
        | Kind::Agent(_)
        | Kind::Tool(_)
        | Kind::Loop(_)
        | Kind::Parallel(_)
        | Kind::Merge(_)
        | Kind::Wait(_)
        | Kind::Subworkflow(_)
        | Kind::Transform(_)
        | Kind::End(_)
        | Kind::Sink(_) => true,
    }
}

/// What a settled scope comes to: what its `end` gave, the output of its one last node, or those of its last nodes by
/// id.
fn output_of(scope: &super::state::Scope) -> Arc<Value> {
    scope.result.clone().unwrap_or_else(|| output_among(scope, |_| true))
}

fn output_among(scope: &super::state::Scope, counts: impl Fn(&NodeIx) -> bool) -> Arc<Value> {
    let graph = &scope.graph;
    let is_last = |place: &NodeIx| {
        scope.nodes[place.at()].status == Status::Completed && scope.nodes[place.at()].taken.is_empty()
    };
    let last: Vec<NodeIx> = graph.places().filter(|place| counts(place) && is_last(place)).collect();
    match last.as_slice() {
        [] => Arc::default(),
        [one] => scope.nodes[one.at()].output.clone(),
        many => {
            let outputs =
                many.iter().map(|place| (graph.node(*place).id.to_string(), (*scope.nodes[place.at()].output).clone()));
            Arc::new(Value::Object(outputs.collect::<Map<_, _>>()))
        }
    }
}

pub(super) fn expression_fault(place: &str, error: &EvalError) -> Fault {
    Fault::new(code::EXPRESSION, format!("{place}: {error}"))
}
