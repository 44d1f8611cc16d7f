//! A run's state: a fold over its events, and nothing else.

mod activity;
mod call;
mod run_state;
mod scope;
mod spending;
mod work_clock;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::address::{CallId, CallRole, EffectId, NodeAddress, ScopePath};
use super::event::{DrainReason, EffectRequest, RunEntry, RunFinished, RunStarted, UndoAction};
use super::saga::Saga;
use super::signals::SignalBuffer;
use crate::agent::{self, AgentConstraints};
use crate::bundle;
use crate::fault::Fault;
use crate::graph::{Graph, NodeIndex, Workflow};
use crate::id::RunId;
use crate::money::Usd;
use crate::mutant::{Mutant, planted};
use crate::time::Time;

pub(super) use activity::{AgentToolCall, AgentWait, CallEnd, NodeActivity, NodeToolCall};
pub use call::HoldReason;
pub(super) use call::{AbandonedSend, CallProgress, OpenCall};
pub use run_state::RunState;
pub(super) use scope::{NodeState, NodeStatus, ScopeState};
pub(super) use spending::SpendingLimit;
pub(super) use work_clock::WorkClock;

/// One execution of a workflow version.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Run {
    pub(super) started: Option<Box<RunStarted>>,
    pub(super) started_at: Time,
    pub(super) phase: RunPhase,
    pub(super) paused: bool,
    /// Never goes back.
    pub(super) now: Time,
    pub(super) events: u64,
    /// The bundle it runs on now: the one it started with, or the newer one of a retry.
    pub(super) bundle: Option<bundle::ContentHash>,
    pub(super) scopes: BTreeMap<ScopePath, ScopeState>,
    #[serde(with = "pairs")]
    pub(super) calls: BTreeMap<CallId, OpenCall>,
    /// Abandoned sends that may still be answered.
    #[serde(with = "pairs")]
    pub(super) forgotten: BTreeMap<EffectId, AbandonedSend>,
    pub(super) saga: Saga,
    pub(super) variables: BTreeMap<String, Arc<Value>>,
    pub(super) signals: SignalBuffer,
    /// Timers for decisions at or after their time.
    pub(super) timers: BTreeSet<(Time, RunTimer)>,
    /// Calls with something due: an attempt or a look-up, which needs no event, or the deadline of an approval or question.
    pub(super) backoffs: BTreeSet<(Time, CallId)>,
    /// Nodes whose in-edges are settled, in the order in which they were settled.
    pub(super) ready: VecDeque<NodeAddress>,
    pub(super) cost: Usd,
    /// The reserved cost of open calls.
    #[serde(default, skip_serializing_if = "is_free")]
    pub(super) on_hold: Usd,
    /// The reserved cost of its nodes' open children.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) handed_down: BTreeMap<NodeAddress, Usd>,
    pub(super) finished: Option<Box<RunFinished>>,
    /// The fault that the run's end will report.
    pub(super) fault: Option<Fault>,
    /// The epoch under which calls without a marker were last recorded as sent.
    pub(super) epoch: u64,
    /// Agents whose step functions are to be called.
    pub(super) thinkers: BTreeSet<NodeAddress>,
    /// The highest call index of any node so far.
    pub(super) calls_high: u32,
    /// Nodes that start again, and bodies that are opened again, count their calls from here, so that no key is used
    /// twice.
    pub(super) calls_from: u32,
    /// Indices of the nodes that run after the rollback, once they may.
    pub(super) aftermath: Option<Vec<u32>>,
    /// The current constraints of the tenant's agents; the engine sets them before a decision.
    #[serde(skip)]
    pub(super) advice: Arc<AgentConstraints>,
    #[serde(skip)]
    pub(super) workflow: Option<Arc<Workflow>>,
    /// Versions that the fold may need; the engine adds them before folding.
    #[serde(skip)]
    pub(super) versions: BTreeMap<bundle::ContentHash, Arc<Workflow>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_free(cost: &Usd) -> bool {
    *cost == Usd::ZERO
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) enum RunPhase {
    #[default]
    New,
    Running,
    Winding {
        why: DrainReason,
        compensate: bool,
    },
    Compensating {
        why: CompensationReason,
    },
    /// The `on_compensated` node runs.
    Aftermath {
        why: CompensationReason,
    },
    Ended(RunState),
}

/// Why a run compensates; decides how it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum CompensationReason {
    Failed,
    Cancelled,
    TimedOut,
    Rollback,
}

/// The subject of a timer. Calls have their own: they are sent by the clock, without an event.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum RunTimer {
    Run,
    Node(NodeAddress),
    /// A gap in this sender's numbers is no longer awaited.
    Held(String),
}

impl Run {
    /// Creates a run without events.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers a version before the fold needs it. Without it the run cannot continue.
    pub fn add_version(&mut self, bundle: bundle::ContentHash, workflow: Arc<Workflow>) {
        if self.bundle.as_ref() == Some(&bundle) && self.workflow.is_none() {
            self.attach_workflow(workflow.clone());
        }
        self.versions.insert(bundle, workflow);
    }

    /// Folds one recorded entry.
    pub fn fold(&mut self, entry: &RunEntry) {
        for event in &entry.events {
            self.apply(entry.at, event);
        }
        if planted(Mutant::AttemptsForgotten) {
            self.calls.values_mut().for_each(|call| call.attempts = 0);
        }
    }

    /// Sets the constraints of the tenant's agents from now on: their limits, and which of them are unhealthy.
    pub fn set_agent_constraints(&mut self, advice: Arc<AgentConstraints>) {
        self.advice = advice;
    }

    /// Returns an active agent: its task, and all its observations.
    pub fn agent(&self, node: &NodeAddress) -> Option<(&agent::AgentTask, &[agent::AgentObservation])> {
        match self.activity(node)? {
            NodeActivity::Agent { task, seen, .. } => Some((task, seen)),
            _ => None,
        }
    }

    pub fn id(&self) -> Option<&RunId> {
        self.started.as_ref().map(|started| &started.run)
    }

    pub fn started(&self) -> Option<&RunStarted> {
        self.started.as_deref()
    }

    pub fn started_at(&self) -> Time {
        self.started_at
    }

    pub fn cost(&self) -> Usd {
        self.cost
    }

    /// Returns the approximate cost of all open calls and children.
    pub fn held_cost(&self) -> Usd {
        self.on_hold + self.handed_down.values().copied().sum()
    }

    /// Returns the model request of an open call, if it is a model call.
    pub fn model_request(&self, call: &CallId) -> Option<&crate::model::ModelRequest> {
        match &self.calls.get(call)?.request {
            EffectRequest::Model(request) => Some(request),
            EffectRequest::Tool { .. } | EffectRequest::Code { .. } | EffectRequest::Step { .. } => None,
        }
    }

    /// Returns the tool of an open call.
    pub fn tool_of(&self, call: &CallId) -> Option<&str> {
        self.tool_call(call).map(|(tool, _)| tool)
    }

    /// Returns the tool and arguments of an open call, or of a compensation that finally failed.
    pub fn tool_call(&self, call: &CallId) -> Option<(&str, &Value)> {
        match self.calls.get(call).map(|call| &call.request) {
            Some(EffectRequest::Tool { tool, arguments, .. }) => Some((tool, arguments)),
            Some(EffectRequest::Model(_) | EffectRequest::Code { .. } | EffectRequest::Step { .. }) => None,
            None => match self.saga.undo_of(call).filter(|_| call.role == CallRole::Undo)? {
                UndoAction::Call { tool, arguments, .. } => Some((tool, arguments)),
                UndoAction::Irreversible { .. } | UndoAction::Broken { .. } | UndoAction::Child { .. } => None,
            },
        }
    }

    pub fn bundle(&self) -> Option<&bundle::ContentHash> {
        self.bundle.as_ref()
    }

    /// Returns the version it runs on; `None` until the engine has added it.
    pub fn workflow(&self) -> Option<&Arc<Workflow>> {
        self.workflow.as_ref()
    }

    pub fn finished(&self) -> Option<&RunFinished> {
        self.finished.as_deref()
    }

    pub fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    pub fn variables(&self) -> &BTreeMap<String, Arc<Value>> {
        &self.variables
    }

    pub fn saga(&self) -> &Saga {
        &self.saga
    }

    /// Returns the number of events folded so far.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Returns the latest instant it has seen.
    pub fn now(&self) -> Time {
        self.now
    }

    pub(super) fn scope(&self, path: &ScopePath) -> Option<&ScopeState> {
        self.scopes.get(path)
    }

    pub(super) fn place(&self, node: &NodeAddress) -> Option<(&ScopeState, NodeIndex)> {
        let scope = self.scopes.get(&node.scope)?;
        scope.graph.find(node.node.as_str()).map(|place| (scope, place))
    }

    pub(super) fn node_state(&self, node: &NodeAddress) -> Option<&NodeState> {
        let (scope, place) = self.place(node)?;
        scope.nodes.get(place.as_usize())
    }

    pub(super) fn activity(&self, node: &NodeAddress) -> Option<&NodeActivity> {
        self.node_state(node).filter(|state| state.status == NodeStatus::Active)?.activity.as_deref()
    }

    /// Returns the compiled form of a node, including nodes of closed scopes.
    pub(super) fn compiled(&self, at: &NodeAddress) -> Option<(Arc<Graph>, NodeIndex)> {
        let graph = match self.scope(&at.scope) {
            Some(scope) => scope.graph.clone(),
            None => graph_at(self.workflow.as_ref()?, &at.scope)?,
        };
        let place = graph.find(at.node.as_str())?;
        Some((graph, place))
    }

    /// Scopes inside a node, including those nested in its bodies.
    pub(super) fn scopes_inside(&self, at: &NodeAddress) -> impl Iterator<Item = (&ScopePath, &ScopeState)> {
        ['.', '['].into_iter().flat_map(move |mark| {
            let first = ScopePath::body_prefix(at, mark);
            self.scopes.range(first.clone()..).take_while(move |(path, _)| path.as_str().starts_with(first.as_str()))
        })
    }

    /// Returns whether a merge cancelled this node, or an enclosing one, and requested that its effects are undone.
    pub(super) fn is_loser(&self, at: &NodeAddress) -> bool {
        if self.node_state(at).is_some_and(|state| state.cut == Some(true)) {
            return true;
        }
        at.scope.parent().is_some_and(|(scope, node, _)| self.is_loser(&NodeAddress::new(scope, node)))
    }

    /// Attaches the version's graphs to the scopes, after a snapshot was loaded.
    pub(super) fn attach_workflow(&mut self, workflow: Arc<Workflow>) {
        for (path, scope) in &mut self.scopes {
            if let Some(graph) = graph_at(&workflow, path) {
                scope.graph = graph;
            }
        }
        self.workflow = Some(workflow);
        if planted(Mutant::TimersLost) {
            self.timers.clear();
        }
    }
}

/// Returns the graph of a scope, by its path.
pub(super) fn graph_at(workflow: &Workflow, path: &ScopePath) -> Option<Arc<Graph>> {
    let Some((outer, node, rest)) = path.parent() else {
        return Some(workflow.graph.clone());
    };
    let outer = graph_at(workflow, &outer)?;
    let place = outer.find(node.as_str())?;
    outer.body(place, rest).cloned()
}

/// Serializes maps with non-text keys as a list of pairs.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S, K, V>(map: &BTreeMap<K, V>, s: S) -> Result<S::Ok, S::Error>
    where
        S: Serializer,
        K: Serialize,
        V: Serialize,
    {
        s.collect_seq(map)
    }

    pub fn deserialize<'de, D, K, V>(d: D) -> Result<BTreeMap<K, V>, D::Error>
    where
        D: Deserializer<'de>,
        K: Deserialize<'de> + Ord,
        V: Deserialize<'de>,
    {
        Vec::<(K, V)>::deserialize(d).map(BTreeMap::from_iter)
    }
}
