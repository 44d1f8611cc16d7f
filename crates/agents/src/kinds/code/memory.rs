//! The memory of a code agent: similar executions it recalls, and its own execution that it records, through two
//! ordinary tools.

use baton_core::agent::{AgentStep, AgentTask, ToolRequest};
use baton_core::tool::ToolEnvelope;
use serde_json::{Value, json};

use super::execution::PlanExecution;
use crate::kinds::offers::ToolOffers;

/// The tool that finds executions with a similar goal.
const SIMILAR: &str = "similar_executions";
/// The tool that records this execution.
const RECORD: &str = "record_execution";
/// Maximum number of executions requested.
const SIMILAR_MAX: u32 = 3;

/// Removes the two memory tools from what plans may use. The agent calls them itself.
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

/// The executions that were found; none if memory failed. A plan can be made without them.
pub(super) fn similar_executions(results: &[(String, ToolEnvelope)]) -> Value {
    let data = results.iter().map(|(_, result)| result).find(|result| result.success).map(|result| &result.data);
    let list = data.and_then(|data| data.get("executions").or(Some(data))).filter(|list| list.is_array());
    list.cloned().unwrap_or_default()
}

/// The record of one execution.
pub(super) fn execution(task: &AgentTask, execution: &PlanExecution, success: bool, iterations: u32) -> Value {
    json!({
        "goal": task.prompt,
        "plan": execution.plan().as_json(),
        "results": execution.report(),
        "success": success,
        "iterations": iterations,
    })
}
