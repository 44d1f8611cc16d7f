//! A run's path through its graph: which nodes may begin, and that none ends twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use baton_core::graph::node::MergeMode;
use baton_core::graph::{Graph, NodeKind, Workflow};
use baton_core::run::{CallRole, NodeAddress, NodeEnded, NodeOutcome, RunEvent, RunReopened, ScopePath};

use super::{PromiseViolation, RunHistory, violation};
use crate::draw::{CODE, REASONING, SIMPLE, TEXT};

/// The kind of a node, by its address.
pub fn kind_of(workflow: &Workflow, at: &NodeAddress) -> Option<&'static str> {
    let graph = at.scope.graph_of(workflow)?;
    let place = graph.find(at.node.as_str())?;
    Some(graph.node(place).kind.word())
}

/// The table row in which a node is counted: its kind and, for agents, the step function.
pub fn row_of(workflow: &Workflow, at: &NodeAddress) -> Option<&'static str> {
    let graph = at.scope.graph_of(workflow)?;
    let kind = &graph.node(graph.find(at.node.as_str())?).kind;
    Some(match kind {
        NodeKind::Agent(node) => match node.agent.name.as_str() {
            SIMPLE => "simple agent",
            REASONING | TEXT => "reasoning agent",
            CODE => "code agent",
            _ => kind.word(),
        },
        _ => kind.word(),
    })
}

fn is_within(scope: &ScopePath, outer: &ScopePath) -> bool {
    let rest = scope.as_str().strip_prefix(outer.as_str());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || outer.is_root())
}

/// One scope according to its events.
struct FlowScope {
    graph: Arc<Graph>,
    begun: BTreeSet<u32>,
    settled: BTreeSet<u32>,
    taken: BTreeSet<u32>,
}

struct FlowCheck<'a> {
    history: &'a RunHistory,
    workflow: &'a Workflow,
    scopes: BTreeMap<ScopePath, FlowScope>,
    reserved: BTreeSet<u32>,
    is_after: bool,
    /// Nothing new may begin.
    is_draining: bool,
}

pub fn check(history: &RunHistory, workflow: &Workflow) -> Result<(), PromiseViolation> {
    let reserved = workflow.post_rollback_nodes().into_iter().map(|place| place.0).collect();
    let scopes = BTreeMap::new();
    let mut walk = FlowCheck { history, workflow, scopes, reserved, is_after: false, is_draining: false };
    for event in history.events() {
        // What a retry keeps and what it starts again is covered by its own tests.
        if matches!(event, RunEvent::Reopened(reopened) if matches!(**reopened, RunReopened::Retry { .. })) {
            return Ok(());
        }
        walk.check_event(event)?;
    }
    Ok(())
}

impl FlowCheck<'_> {
    fn check_event(&mut self, event: &RunEvent) -> Result<(), PromiseViolation> {
        match event {
            RunEvent::Scheduled(scheduled) if scheduled.effect.call.role == CallRole::Act => {
                self.check_begin(&scheduled.effect.call.node)
            }
            RunEvent::Began { node, .. } => self.check_begin(node),
            RunEvent::Ended(ended) => self.check_end(ended),
            RunEvent::ScopeOpened { path, .. } => {
                self.scopes.remove(path);
                Ok(())
            }
            RunEvent::ScopeClosed { path, .. } => {
                // The scopes inside it are folded away.
                self.scopes.retain(|scope, _| !is_within(scope, path));
                Ok(())
            }
            RunEvent::BranchesCut { scope, nodes, .. } => {
                let Some(scope) = self.scope(scope) else { return Ok(()) };
                let places = nodes.iter().filter_map(|node| scope.graph.find(node.as_str()));
                let idle: Vec<u32> = places.map(|place| place.0).filter(|place| !scope.begun.contains(place)).collect();
                scope.settled.extend(idle);
                Ok(())
            }
            RunEvent::Aftermath => {
                self.is_after = true;
                self.is_draining = false;
                Ok(())
            }
            RunEvent::Winding { .. } | RunEvent::Compensating => {
                self.is_draining = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn scope(&mut self, path: &ScopePath) -> Option<&mut FlowScope> {
        if !self.scopes.contains_key(path) {
            let graph = path.graph_of(self.workflow)?;
            let (begun, settled, taken) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
            self.scopes.insert(path.clone(), FlowScope { graph, begun, settled, taken });
        }
        self.scopes.get_mut(path)
    }

    fn check_begin(&mut self, at: &NodeAddress) -> Result<(), PromiseViolation> {
        let run = self.history.run.clone();
        let (winds, is_after, is_root) = (self.is_draining, self.is_after, at.scope.is_root());
        let reserved = self.reserved.clone();
        let Some(scope) = self.scope(&at.scope) else {
            return violation("flow", format!("`{at}` of `{run}` is in no graph"));
        };
        let Some(place) = scope.graph.find(at.node.as_str()) else {
            return violation("flow", format!("`{at}` of `{run}` is in no graph"));
        };
        if scope.settled.contains(&place.0) {
            return violation("flow", format!("`{at}` of `{run}` goes on after it ended"));
        }
        if !scope.begun.insert(place.0) {
            return Ok(());
        }
        if winds {
            return violation("flow", format!("`{at}` of `{run}` began while the run wound down"));
        }
        if is_root && reserved.contains(&place.0) {
            return if is_after {
                Ok(())
            } else {
                violation("flow", format!("`{at}` of `{run}` began before a rollback"))
            };
        }
        let incoming = scope.graph.incoming(place);
        let taken = incoming.iter().filter(|edge| scope.taken.contains(&edge.0)).count();
        let settled = incoming.iter().filter(|edge| scope.settled.contains(&scope.graph.edge(**edge).from.0)).count();
        let waits_for_all = match &scope.graph.node(place).kind {
            NodeKind::Merge(merge) => merge.mode == MergeMode::All,
            _ => true,
        };
        if (taken == 0 && !incoming.is_empty()) || (waits_for_all && settled < incoming.len()) {
            let all = incoming.len();
            return violation(
                "flow",
                format!("`{at}` of `{run}` began with {taken} ways taken, {settled} of {all} settled"),
            );
        }
        Ok(())
    }

    fn check_end(&mut self, ended: &NodeEnded) -> Result<(), PromiseViolation> {
        let at = &ended.node;
        match ended.how {
            NodeOutcome::Skipped | NodeOutcome::Cancelled => {}
            NodeOutcome::Answered
            | NodeOutcome::Completed { .. }
            | NodeOutcome::Failed { .. }
            | NodeOutcome::Caught { .. } => {
                let is_new = {
                    let Some(scope) = self.scope(&at.scope) else { return Ok(()) };
                    let Some(place) = scope.graph.find(at.node.as_str()) else { return Ok(()) };
                    !scope.begun.contains(&place.0)
                };
                if is_new {
                    self.check_begin(at)?;
                }
            }
        }
        let run = self.history.run.clone();
        let Some(scope) = self.scope(&at.scope) else { return Ok(()) };
        let Some(place) = scope.graph.find(at.node.as_str()) else { return Ok(()) };
        if !scope.settled.insert(place.0) {
            return violation("flow", format!("`{at}` of `{run}` ended twice"));
        }
        scope.taken.extend(ended.taken.iter().copied());
        Ok(())
    }
}
