//! What a code agent remembers of other executions, and leaves for others to remember: two tools like any other.

use baton_core::agent::{Step, Task, ToolRequest};
use baton_core::tool::Envelope;
use serde_json::{Value, json};

use super::execution::Execution;
use crate::kinds::offers::Offers;

/// The tool that finds executions with a goal like this one.
const SIMILAR: &str = "similar_executions";
/// The tool that keeps this one.
const RECORD: &str = "record_execution";
/// Executions that are asked for.
const SIMILAR_MAX: u32 = 3;

/// What plans may use: not the two, which the agent asks for by itself.
pub(super) fn without(mut offers: Offers) -> Offers {
    offers.retain(|name| ![SIMILAR, RECORD].contains(&name));
    offers
}

fn may(task: &Task, name: &str) -> bool {
    task.tools.iter().any(|tool| tool.name == name)
}

pub(super) fn recalls(task: &Task) -> bool {
    may(task, SIMILAR)
}

pub(super) fn records(task: &Task) -> bool {
    may(task, RECORD)
}

pub(super) fn ask_for_similar(task: &Task) -> Step {
    ask(SIMILAR, json!({"goal": task.prompt, "limit": SIMILAR_MAX, "success_only": true}))
}

pub(super) fn ask_to_record(execution: Value) -> Step {
    ask(RECORD, execution)
}

fn ask(tool: &str, arguments: Value) -> Step {
    Step::RequestTools(vec![ToolRequest { id: tool.to_owned(), tool: tool.to_owned(), arguments }])
}

/// The executions that were found; none where memory could not be asked. A plan can be made without.
pub(super) fn recalled(results: &[(String, Envelope)]) -> Value {
    let data = results.iter().map(|(_, result)| result).find(|result| result.success).map(|result| &result.data);
    let list = data.and_then(|data| data.get("executions").or(Some(data))).filter(|list| list.is_array());
    list.cloned().unwrap_or_default()
}

/// What is remembered of one.
pub(super) fn execution(task: &Task, execution: &Execution, success: bool, iterations: u32) -> Value {
    json!({
        "goal": task.prompt,
        "plan": execution.plan().told(),
        "results": execution.report(),
        "success": success,
        "iterations": iterations,
    })
}
