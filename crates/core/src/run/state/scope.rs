//! One active graph, with the state of each of its nodes.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::NodeActivity;
use crate::fault::Fault;
use crate::graph::{Graph, NodeIndex};
use crate::money::Usd;
use crate::run::event::{DrainReason, HeldResult, present};
use crate::time::Time;

/// One active graph: the outer one, an iteration, a branch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::run) struct ScopeState {
    #[serde(skip)]
    pub graph: Arc<Graph>,
    pub nodes: Vec<NodeState>,
    /// Indices of active nodes.
    pub active: BTreeSet<u32>,
    /// Number of nodes that are neither settled nor reserved.
    pub unsettled: u32,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub item: Option<Arc<Value>>,
    pub index: u32,
    /// The last iteration's output, in a `while` or `until` body.
    pub last: Arc<Value>,
    pub winding: Option<DrainReason>,
    /// Kept after its end only so that a retry can continue from it.
    pub closed: bool,
    /// The output of an `end` node.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub result: Option<Arc<Value>>,
    /// The number of the run's effects when it opened; its own effects come after.
    pub saga_from: u32,
}

impl ScopeState {
    /// Reserves nodes for after a rollback. Nodes that depend on them and on others do not wait for them.
    pub fn reserve(&mut self, places: &[NodeIndex]) {
        for place in places {
            self.nodes[place.as_usize()].status = NodeStatus::Reserved;
            self.unsettled -= 1;
            for edge in self.graph.outgoing(*place) {
                self.nodes[self.graph.edge(*edge).to.as_usize()].settled_in += 1;
            }
        }
    }

    /// Returns whether it drains for an external reason.
    pub fn is_cut_off(&self) -> bool {
        match self.winding {
            Some(DrainReason::CutOff | DrainReason::Cancelled { .. } | DrainReason::TimedOut) => true,
            Some(DrainReason::Failed { .. } | DrainReason::EndReached) | None => false,
        }
    }

    pub fn open(graph: Arc<Graph>, item: Option<Arc<Value>>, index: u32, last: Arc<Value>) -> Self {
        let unsettled = u32::try_from(graph.nodes.len()).unwrap_or(u32::MAX);
        Self {
            nodes: vec![NodeState::default(); graph.nodes.len()],
            graph,
            active: BTreeSet::new(),
            unsettled,
            item,
            index,
            last,
            winding: None,
            closed: false,
            result: None,
            saga_from: 0,
        }
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(in crate::run) struct NodeState {
    #[serde(default, skip_serializing_if = "NodeStatus::is_idle")]
    pub status: NodeStatus,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub settled_in: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub taken_in: u32,
    #[serde(default, skip_serializing_if = "is_null")]
    pub output: Arc<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    #[serde(default, skip_serializing_if = "is_free")]
    pub cost: Usd,
    /// The reserved cost of its open calls.
    #[serde(default, skip_serializing_if = "is_free")]
    pub on_hold: Usd,
    /// Index of its next call.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub next_call: u32,
    /// Its taken out-edges.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taken: Vec<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activity: Option<Box<NodeActivity>>,
    /// Its result when one of its own expressions failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Box<HeldResult>>,
    /// It drains by itself, and fails with this fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub winding: Option<Fault>,
    /// A merge cancelled it; its effects are undone if requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_free(cost: &Usd) -> bool {
    *cost == Usd::ZERO
}

fn is_null(value: &Arc<Value>) -> bool {
    value.is_null()
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::run) enum NodeStatus {
    #[default]
    Idle,
    /// Runs only after a rollback.
    Reserved,
    Active,
    Completed,
    Skipped,
    Failed,
    Caught,
    Cancelled,
}

impl NodeStatus {
    pub fn is_idle(&self) -> bool {
        *self == Self::Idle
    }

    pub fn is_settled(self) -> bool {
        match self {
            Self::Idle | Self::Reserved | Self::Active => false,
            Self::Completed | Self::Skipped | Self::Failed | Self::Caught | Self::Cancelled => true,
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Idle | Self::Reserved => "pending",
            Self::Active => "running",
            Self::Completed => "completed",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::Caught => "caught",
            Self::Cancelled => "cancelled",
        }
    }
}
