//! A run's way through its graph: who may begin, and that nobody ends twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use baton_core::graph::node::MergeMode;
use baton_core::graph::{Graph, Kind, Workflow};
use baton_core::run::{Address, Ended, Event, How, Path, Reopened, Role};

use super::{Chronicle, Violation, broken};
use crate::draw::{CODE, REASONING, SIMPLE, TEXT};

/// The kind of a node, by its address.
pub fn kind_of(workflow: &Workflow, at: &Address) -> Option<&'static str> {
    let graph = at.scope.graph_in(workflow)?;
    let place = graph.find(at.node.as_str())?;
    Some(graph.node(place).kind.word())
}

/// The row of the table that a node is counted in: its kind, and of agents who thinks.
pub fn row_of(workflow: &Workflow, at: &Address) -> Option<&'static str> {
    let graph = at.scope.graph_in(workflow)?;
    let kind = &graph.node(graph.find(at.node.as_str())?).kind;
    Some(match kind {
        Kind::Agent(node) => match node.agent.name.as_str() {
            SIMPLE => "simple agent",
            REASONING | TEXT => "reasoning agent",
            CODE => "code agent",
            _ => kind.word(),
        },
        _ => kind.word(),
    })
}

fn is_within(scope: &Path, outer: &Path) -> bool {
    let rest = scope.as_str().strip_prefix(outer.as_str());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || outer.is_root())
}

/// One scope as its events tell it.
struct Scope {
    graph: Arc<Graph>,
    begun: BTreeSet<u32>,
    settled: BTreeSet<u32>,
    taken: BTreeSet<u32>,
}

struct Walk<'a> {
    chronicle: &'a Chronicle,
    workflow: &'a Workflow,
    scopes: BTreeMap<Path, Scope>,
    reserved: BTreeSet<u32>,
    is_after: bool,
    /// Nothing new may begin.
    winds: bool,
}

pub fn check(chronicle: &Chronicle, workflow: &Workflow) -> Result<(), Violation> {
    let reserved = workflow.reserved().into_iter().map(|place| place.0).collect();
    let scopes = BTreeMap::new();
    let mut walk = Walk { chronicle, workflow, scopes, reserved, is_after: false, winds: false };
    for event in chronicle.events() {
        // What a retry keeps and what it begins again is the business of its own tests.
        if matches!(event, Event::Reopened(reopened) if matches!(**reopened, Reopened::Retry { .. })) {
            return Ok(());
        }
        walk.event(event)?;
    }
    Ok(())
}

impl Walk<'_> {
    fn event(&mut self, event: &Event) -> Result<(), Violation> {
        match event {
            Event::Scheduled(scheduled) if scheduled.effect.call.role == Role::Act => {
                self.begins(&scheduled.effect.call.node)
            }
            Event::Began { node, .. } => self.begins(node),
            Event::Ended(ended) => self.ends(ended),
            Event::ScopeOpened { path, .. } => {
                self.scopes.remove(path);
                Ok(())
            }
            Event::ScopeClosed { path, .. } => {
                // What was inside is folded away.
                self.scopes.retain(|scope, _| !is_within(scope, path));
                Ok(())
            }
            Event::BranchesCut { scope, nodes, .. } => {
                let Some(scope) = self.scope(scope) else { return Ok(()) };
                let places = nodes.iter().filter_map(|node| scope.graph.find(node.as_str()));
                let idle: Vec<u32> = places.map(|place| place.0).filter(|place| !scope.begun.contains(place)).collect();
                scope.settled.extend(idle);
                Ok(())
            }
            Event::Aftermath => {
                self.is_after = true;
                self.winds = false;
                Ok(())
            }
            Event::Winding { .. } | Event::Compensating => {
                self.winds = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn scope(&mut self, path: &Path) -> Option<&mut Scope> {
        if !self.scopes.contains_key(path) {
            let graph = path.graph_in(self.workflow)?;
            let (begun, settled, taken) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
            self.scopes.insert(path.clone(), Scope { graph, begun, settled, taken });
        }
        self.scopes.get_mut(path)
    }

    fn begins(&mut self, at: &Address) -> Result<(), Violation> {
        let run = self.chronicle.run.clone();
        let (winds, is_after, is_root) = (self.winds, self.is_after, at.scope.is_root());
        let reserved = self.reserved.clone();
        let Some(scope) = self.scope(&at.scope) else {
            return broken("flow", format!("`{at}` of `{run}` is in no graph"));
        };
        let Some(place) = scope.graph.find(at.node.as_str()) else {
            return broken("flow", format!("`{at}` of `{run}` is in no graph"));
        };
        if scope.settled.contains(&place.0) {
            return broken("flow", format!("`{at}` of `{run}` goes on after it ended"));
        }
        if !scope.begun.insert(place.0) {
            return Ok(());
        }
        if winds {
            return broken("flow", format!("`{at}` of `{run}` began while the run wound down"));
        }
        if is_root && reserved.contains(&place.0) {
            return if is_after {
                Ok(())
            } else {
                broken("flow", format!("`{at}` of `{run}` began before a rollback"))
            };
        }
        let incoming = scope.graph.incoming(place);
        let taken = incoming.iter().filter(|edge| scope.taken.contains(&edge.0)).count();
        let settled = incoming.iter().filter(|edge| scope.settled.contains(&scope.graph.edge(**edge).from.0)).count();
        let waits_for_all = match &scope.graph.node(place).kind {
            Kind::Merge(merge) => merge.mode == MergeMode::All,
            _ => true,
        };
        if (taken == 0 && !incoming.is_empty()) || (waits_for_all && settled < incoming.len()) {
            let all = incoming.len();
            return broken(
                "flow",
                format!("`{at}` of `{run}` began with {taken} ways taken, {settled} of {all} settled"),
            );
        }
        Ok(())
    }

    fn ends(&mut self, ended: &Ended) -> Result<(), Violation> {
        let at = &ended.node;
        match ended.how {
            How::Skipped | How::Cancelled => {}
            How::Answered | How::Completed { .. } | How::Failed { .. } | How::Caught { .. } => {
                let is_new = {
                    let Some(scope) = self.scope(&at.scope) else { return Ok(()) };
                    let Some(place) = scope.graph.find(at.node.as_str()) else { return Ok(()) };
                    !scope.begun.contains(&place.0)
                };
                if is_new {
                    self.begins(at)?;
                }
            }
        }
        let run = self.chronicle.run.clone();
        let Some(scope) = self.scope(&at.scope) else { return Ok(()) };
        let Some(place) = scope.graph.find(at.node.as_str()) else { return Ok(()) };
        if !scope.settled.insert(place.0) {
            return broken("flow", format!("`{at}` of `{run}` ended twice"));
        }
        scope.taken.extend(ended.taken.iter().copied());
        Ok(())
    }
}
