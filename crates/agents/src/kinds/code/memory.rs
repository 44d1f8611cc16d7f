//! What a code agent remembers of other executions, and leaves for others to remember: two tools like any other.

use baton_core::agent::{AgentStep, AgentTask, ToolRequest};
use baton_core::tool::ToolEnvelope;
use serde_json::{Value, json};

use super::execution::PlanExecution;
use crate::kinds::offers::ToolOffers;

/// The tool that finds executions with a goal like this one.
const SIMILAR: &str = "similar_executions";
/// The tool that keeps this one.
const RECORD: &str = "record_execution";
/// Executions that are asked for.
const SIMILAR_MAX: u32 = 3;

/// What plans may use: not the two, which the agent asks for by itself.
pub(super) fn without(mut offers: ToolOffers) -> ToolOffers {
    offers.retain(|name| ![SIMILAR, RECORD].contains(&name));
    offers
}

fn may(task: &AgentTask, name: &str) -> bool {
    task.tools.iter().any(|tool| tool.name == name)
}

pub(super) fn recalls(task: &AgentTask) -> bool {
    may(task, SIMILAR)
}

pub(super) fn records(task: &AgentTask) -> bool {
    may(task, RECORD)
}

pub(super) fn ask_for_similar(task: &AgentTask) -> AgentStep {
    ask(SIMILAR, json!({"goal": task.prompt, "limit": SIMILAR_MAX, "success_only": true}))
}

pub(super) fn ask_to_record(execution: Value) -> AgentStep {
    ask(RECORD, execution)
}

fn ask(tool: &str, arguments: Value) -> AgentStep {
    AgentStep::RequestTools(vec![ToolRequest { id: tool.to_owned(), tool: tool.to_owned(), arguments }])
}

/// The executions that were found; none where memory could not be asked. A plan can be made without.
pub(super) fn similar_executions(results: &[(String, ToolEnvelope)]) -> Value {
    let data = results.iter().map(|(_, result)| result).find(|result| result.success).map(|result| &result.data);
    let list = data.and_then(|data| data.get("executions").or(Some(data))).filter(|list| list.is_array());
    list.cloned().unwrap_or_default()
}

/// What is remembered of one.
pub(super) fn execution(task: &AgentTask, execution: &PlanExecution, success: bool, iterations: u32) -> Value {
    json!({
        "goal": task.prompt,
        "plan": execution.plan().as_json(),
        "results": execution.report(),
        "success": success,
        "iterations": iterations,
    })
}
