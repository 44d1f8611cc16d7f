//! What a run tells the conversation that began it.

use serde_json::{Map, Value};

use super::TRIED_MAX;
use super::command::{Heard, Over, reply_of};
use super::handover::Tried;
use crate::desk::ServiceLevel;
use crate::id::RunId;
use crate::run::{Ask, Finished, MESSAGE, NodeRow, Run};

/// Kinds of nodes that do something.
const DOES: [&str; 5] = ["tool", "agent", "human", "subworkflow", "loop"];
/// Why, where whoever asks for a person does not say.
const NO_REASON: &str = "the agent asks for a person";

impl Heard {
    /// A run as it stands.
    pub fn of(run: &Run, id: &RunId, conversation: &RunId) -> Self {
        let (arrived, kept) = run.messages_of(conversation.as_str());
        let asks = run.asks().iter().any(|ask| matches!(ask, Ask::Customer(_)));
        let waits = asks || run.awaited_signals().iter().any(|(_, name)| name == MESSAGE);
        let waits = waits && !run.is_ending() && !run.state().is_end();
        Self { run: id.clone(), question: None, waits, arrived, kept, cost: run.cost() }
    }
}

impl Over {
    /// A run that has ended so.
    pub fn of(run: &Run, id: &RunId, conversation: &RunId, finished: &Finished) -> Self {
        let outputs = run.outputs();
        let handover = asks_for_person(&finished.output);
        Self {
            heard: Heard::of(run, id, conversation),
            state: finished.state,
            fault: finished.fault.clone(),
            reply: reply_of(&finished.output),
            skills: handover.as_ref().map(|asked| asked.skills.clone()).unwrap_or_default(),
            service: handover.as_ref().map(|asked| asked.service).unwrap_or_default(),
            handover: handover.map(|asked| asked.reason),
            confidence: confidence(&finished.output, &outputs),
            not_undone: run.saga().has_failed(),
            tried: tried(run.nodes()),
            rolled_back: finished.rolled_back,
        }
    }
}

fn confidence(output: &Value, outputs: &Map<String, Value>) -> Option<f64> {
    let said = |value: &Value| value.get("confidence").and_then(Value::as_f64);
    said(output).or_else(|| outputs.values().filter_map(said).min_by(f64::total_cmp))
}

fn tried(nodes: Vec<NodeRow>) -> Vec<Tried> {
    let rows = nodes.into_iter().filter(|row| DOES.contains(&row.kind) && !matches!(row.status, "pending" | "skipped"));
    let tried = rows.map(|row| Tried {
        what: row.node.to_string(),
        kind: row.kind.to_owned(),
        outcome: row.status.to_owned(),
        error: row.error,
    });
    tried.take(TRIED_MAX).collect()
}

/// A person is asked for.
struct Asked {
    reason: String,
    skills: Vec<String>,
    service: ServiceLevel,
}

/// Why an output asks for a person, with which skills, and how soon: a `handover_to_human` sink's, an agent's that hands over, or one of
/// those of several last nodes.
fn asks_for_person(output: &Value) -> Option<Asked> {
    let fields = output.as_object()?;
    let of = |value: &Value| {
        let config = value.get("config").unwrap_or(value);
        let is_sink = value.get("action").and_then(Value::as_str) == Some("handover_to_human");
        let is_agents = value.get("handover").and_then(Value::as_bool) == Some(true);
        (is_sink || is_agents).then(|| {
            let reason = config.get("reason").and_then(Value::as_str).unwrap_or(NO_REASON).to_owned();
            let skills = config.get("required_skills").and_then(Value::as_array);
            let skills = skills.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
            Asked { reason, skills: skills.collect(), service: ServiceLevel::said_by(config) }
        })
    };
    of(output).or_else(|| fields.values().find_map(of))
}
