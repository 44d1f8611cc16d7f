//! A run for people: its timeline and its summary (seed 003's names), and the state of each node.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::address::{CallRole, NodeAddress};
use super::event::{CallOutput, EffectRequest, NodeOutcome, OutageAction, RunEntry, RunEvent};
use super::state::{NodeStatus, Run, RunState};
use crate::graph::{EdgeIndex, Graph};
use crate::time::Time;

/// One step's execution, in the terms of seed 003.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepRow {
    pub step_id: NodeAddress,
    pub tool_name: String,
    /// It undid an earlier step's effect.
    pub undo: bool,
    pub started_at: String,
    pub completed_at: Option<String>,
    pub duration_ms: Option<u64>,
    pub success: bool,
    pub error: Option<String>,
}

/// Calls in the order in which they were first sent, with the result of each.
pub fn timeline(entries: &[RunEntry]) -> Vec<StepRow> {
    let mut rows: Vec<(super::CallId, Time, StepRow)> = Vec::new();
    for entry in entries {
        for event in &entry.events {
            match event {
                RunEvent::Scheduled(scheduled) => {
                    let tool_name = match &scheduled.request {
                        EffectRequest::Tool { tool, .. } => tool.clone(),
                        EffectRequest::Model(request) => format!("model:{}", request.agent),
                        EffectRequest::Code { agent, .. } => format!("code:{agent}"),
                        EffectRequest::Step { agent, .. } => format!("step:{agent}"),
                    };
                    let row = StepRow {
                        step_id: scheduled.effect.call.node.clone(),
                        tool_name,
                        undo: scheduled.effect.call.role == CallRole::Undo,
                        started_at: entry.at.to_string(),
                        completed_at: None,
                        duration_ms: None,
                        success: false,
                        error: None,
                    };
                    rows.push((scheduled.effect.call.clone(), entry.at, row));
                }
                RunEvent::Done(done) => close(&mut rows, &done.effect.call, entry.at, None),
                RunEvent::NotDone { effect, fault, again_at: None, .. } | RunEvent::NotUndone { effect, fault } => {
                    close(&mut rows, &effect.call, entry.at, Some(fault.to_string()));
                }
                RunEvent::Degraded { effect, detour: OutageAction::Answered { .. }, .. } => {
                    close(&mut rows, &effect.call, entry.at, None);
                }
                RunEvent::Degraded { effect, fault, detour: OutageAction::Refused, .. } => {
                    close(&mut rows, &effect.call, entry.at, Some(fault.to_string()));
                }
                _ => {}
            }
        }
    }
    rows.into_iter().map(|(.., row)| row).collect()
}

fn close(rows: &mut [(super::CallId, Time, StepRow)], call: &super::CallId, at: Time, error: Option<String>) {
    let open = rows.iter_mut().rev().find(|(id, _, row)| id == call && row.completed_at.is_none());
    if let Some((_, began, row)) = open {
        row.completed_at = Some(at.to_string());
        row.duration_ms = u64::try_from(at.since(*began).as_millis()).ok();
        row.success = error.is_none();
        row.error = error;
    }
}

/// Returns the summary of seed 003's monitor.
pub fn summary(run: &Run, entries: &[RunEntry]) -> Value {
    let rows = timeline(entries);
    let successful = rows.iter().filter(|row| row.success).count();
    let failed = rows.iter().filter(|row| !row.success && row.completed_at.is_some()).count();
    let durations: Vec<u64> = rows.iter().filter_map(|row| row.duration_ms).collect();
    let total: u64 = durations.iter().sum();
    let average = total.checked_div(durations.len() as u64).unwrap_or(0);
    json!({
        "workflow_id": run.id(),
        "total_steps": rows.len(),
        "successful": successful,
        "failed": failed,
        "in_progress": rows.len() - successful - failed,
        "total_duration_ms": total,
        "avg_step_duration_ms": average,
        "is_active": !run.state().is_end(),
    })
}

impl Run {
    /// Returns the outputs of the outer graph's completed nodes, by id.
    pub fn outputs(&self) -> Map<String, Value> {
        let Some(outer) = self.scope(&super::ScopePath::root()) else { return Map::new() };
        let completed =
            outer.graph.node_indices().filter(|place| outer.nodes[place.as_usize()].status == NodeStatus::Completed);
        completed.map(|p| (outer.graph.node(p).id.to_string(), (*outer.nodes[p.as_usize()].output).clone())).collect()
    }

    /// Returns every node of every scope: `(address, kind, status, cost, milliseconds)`, for traces and live views.
    pub fn nodes(&self) -> Vec<NodeRow> {
        let of_scope = |(path, scope): (&super::ScopePath, &super::state::ScopeState)| {
            let rows = scope.graph.node_indices().map(|place| {
                let (node, state) = (scope.graph.node(place), &scope.nodes[place.as_usize()]);
                let duration = state.began_at.zip(state.ended_at).map(|(began, ended)| ended.since(began));
                NodeRow {
                    node: NodeAddress::new(path.clone(), node.id.clone()),
                    kind: node.kind.word(),
                    status: state.status.word(),
                    cost_usd: state.cost.as_f64(),
                    duration_ms: duration.and_then(|duration| u64::try_from(duration.as_millis()).ok()),
                    error: state.fault.as_ref().map(ToString::to_string),
                    then: state.taken.iter().map(|edge| target(&scope.graph, *edge)).collect(),
                }
            });
            rows.collect::<Vec<_>>()
        };
        self.scopes.iter().flat_map(of_scope).collect()
    }
}

/// Returns the target node of an edge.
fn target(graph: &Graph, edge: u32) -> String {
    graph.node(graph.edges[EdgeIndex(edge).as_usize()].to).id.to_string()
}

/// The state of one node.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeRow {
    pub node: NodeAddress,
    pub kind: &'static str,
    pub status: &'static str,
    pub cost_usd: f64,
    pub duration_ms: Option<u64>,
    pub error: Option<String>,
    /// The target nodes of its taken edges.
    pub then: Vec<String>,
}

/// Returns the ids of settled nodes in order, for tests of a path; without skipped and cancelled ones.
pub fn executed_path(entries: &[RunEntry]) -> Vec<NodeAddress> {
    let ended = entries.iter().flat_map(|entry| &entry.events).filter_map(|event| match event {
        RunEvent::Ended(ended) => match ended.how {
            NodeOutcome::Answered
            | NodeOutcome::Completed { .. }
            | NodeOutcome::Failed { .. }
            | NodeOutcome::Caught { .. } => Some(ended.node.clone()),
            NodeOutcome::Skipped | NodeOutcome::Cancelled => None,
        },
        _ => None,
    });
    ended.collect()
}

/// Returns the completed tool calls in order, with compensations marked as such.
pub fn performed_effects(entries: &[RunEntry]) -> Vec<(NodeAddress, String, CallRole)> {
    let mut tools = std::collections::BTreeMap::new();
    let mut done = Vec::new();
    for event in entries.iter().flat_map(|entry| &entry.events) {
        match event {
            RunEvent::Scheduled(scheduled) => {
                if let EffectRequest::Tool { tool, .. } = &scheduled.request {
                    tools.insert(scheduled.effect.call.clone(), tool.clone());
                }
            }
            RunEvent::Done(ended) if matches!(ended.output, CallOutput::Tool(_)) => {
                if let Some(tool) = tools.get(&ended.effect.call) {
                    done.push((ended.effect.call.node.clone(), tool.clone(), ended.effect.call.role));
                }
            }
            _ => {}
        }
    }
    done
}

/// Returns the API's word for a state, with whether the run was compensated.
pub fn api_status(state: RunState) -> (&'static str, bool) {
    match state {
        RunState::Compensated => ("failed", true),
        RunState::TimedOut => ("timeout", false),
        state => (state.word(), false),
    }
}
