//! A run's reports to the conversation that started it.

use serde_json::{Map, Value};

use super::ATTEMPTED_STEPS_MAX;
use super::command::{RunResult, RunUpdate, reply_text};
use super::handover::AttemptedStep;
use crate::id::RunId;
use crate::routing::ServiceLevel;
use crate::run::{HumanTask, MESSAGE, NodeRow, Run, RunFinished};

/// Kinds of nodes that perform work.
const ACTING_NODE_KINDS: [&str; 5] = ["tool", "agent", "human", "subworkflow", "loop"];
/// The reason of a request for a person that gives none.
const DEFAULT_REASON: &str = "the agent asks for a person";

impl RunUpdate {
    /// Returns the report of a run in its current state.
    pub fn of(run: &Run, id: &RunId, conversation: &RunId) -> Self {
        let (arrived, kept) = run.unconsumed_messages(conversation.as_str());
        let asks = run.human_tasks().iter().any(|ask| matches!(ask, HumanTask::Customer(_)));
        let waits = asks || run.awaited_signals().iter().any(|(_, name)| name == MESSAGE);
        let waits = waits && !run.is_ending() && !run.state().is_end();
        Self { run: id.clone(), question: None, waits, arrived, kept, cost: run.cost() }
    }
}

impl RunResult {
    /// Returns the report of a run that ended with this result.
    pub fn of(run: &Run, id: &RunId, conversation: &RunId, finished: &RunFinished) -> Self {
        let outputs = run.outputs();
        let handover = handover_request(&finished.output);
        Self {
            heard: RunUpdate::of(run, id, conversation),
            state: finished.state,
            fault: finished.fault.clone(),
            reply: reply_text(&finished.output),
            skills: handover.as_ref().map(|asked| asked.skills.clone()).unwrap_or_default(),
            service: handover.as_ref().map(|asked| asked.service).unwrap_or_default(),
            handover: handover.map(|asked| asked.reason),
            confidence: confidence(&finished.output, &outputs),
            not_undone: run.saga().has_failed(),
            tried: attempted_steps(run.nodes()),
            rolled_back: finished.rolled_back,
        }
    }
}

fn confidence(output: &Value, outputs: &Map<String, Value>) -> Option<f64> {
    let said = |value: &Value| value.get("confidence").and_then(Value::as_f64);
    said(output).or_else(|| outputs.values().filter_map(said).min_by(f64::total_cmp))
}

fn attempted_steps(nodes: Vec<NodeRow>) -> Vec<AttemptedStep> {
    let rows = nodes
        .into_iter()
        .filter(|row| ACTING_NODE_KINDS.contains(&row.kind) && !matches!(row.status, "pending" | "skipped"));
    let tried = rows.map(|row| AttemptedStep {
        what: row.node.to_string(),
        kind: row.kind.to_owned(),
        outcome: row.status.to_owned(),
        error: row.error,
    });
    tried.take(ATTEMPTED_STEPS_MAX).collect()
}

/// A request for a person.
struct HandoverRequest {
    reason: String,
    skills: Vec<String>,
    service: ServiceLevel,
}

/// Returns the reason, skills and urgency with which an output asks for a person. The output is that of a
/// `handover_to_human` sink, of an agent that hands over, or of one of several last nodes.
fn handover_request(output: &Value) -> Option<HandoverRequest> {
    let fields = output.as_object()?;
    let of = |value: &Value| {
        let config = value.get("config").unwrap_or(value);
        let is_sink = value.get("action").and_then(Value::as_str) == Some("handover_to_human");
        let is_agents = value.get("handover").and_then(Value::as_bool) == Some(true);
        (is_sink || is_agents).then(|| {
            let reason = config.get("reason").and_then(Value::as_str).unwrap_or(DEFAULT_REASON).to_owned();
            let skills = config.get("required_skills").and_then(Value::as_array);
            let skills = skills.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
            HandoverRequest { reason, skills: skills.collect(), service: ServiceLevel::from_output(config) }
        })
    };
    of(output).or_else(|| fields.values().find_map(of))
}
