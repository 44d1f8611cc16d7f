//! The memory context of an agent (`context_sources`). It is requested through tools in the agent's first step, so
//! it is journaled, and every later step and every replay sees the same context.

use baton_core::agent::context::{self, CONTEXT_STRATEGY, ContextSource, GET_CONTEXT, SIMILAR_EXECUTIONS};
use baton_core::agent::{AgentObservation, AgentStep, AgentTask, ToolRequest};
use baton_core::fault::Fault;
use baton_core::structured::extract;
use baton_core::tool::ToolEnvelope;
use serde_json::{Map, Value, json};

use crate::prompt::{self, PromptName};

/// Maximum number of characters of the task that are used to search memory.
const MESSAGE_CHARS_MAX: usize = 2_000;
/// Maximum number of executions requested, and of characters shown of each one's plan.
const EXECUTIONS_MAX: u32 = 3;
const PLAN_CHARS_MAX: usize = 1_500;
/// The parts of a context that a prompt may name. A part that was not requested or not found is null.
const PARTS: [&str; 5] = ["summary", "session", "recent_messages", "relevant_documents", "similar_conversations"];

/// The state of an agent's context.
#[derive(Debug)]
pub(crate) enum ContextRecall<'s> {
    /// The context must be requested from memory first.
    Ask(AgentStep),
    /// The task with the recalled context, and the observations made since.
    Ready(Box<AgentTask>, &'s [AgentObservation]),
    /// The agent has no context.
    None,
}

/// Returns the input of an agent that thinks outside this process: the task with the recalled context, and the
/// observations made since.
pub fn with_recalled_context(task: &AgentTask, seen: &[AgentObservation]) -> (AgentTask, Vec<AgentObservation>) {
    match recall(task, seen) {
        Ok(ContextRecall::Ready(told, since)) => (*told, since.to_vec()),
        Ok(ContextRecall::Ask(_) | ContextRecall::None) | Err(_) => (task.clone(), seen.to_vec()),
    }
}

/// Returns the state of the task's context.
///
/// # Errors
/// A prompt that the agent brings for its context cannot be rendered.
pub(crate) fn recall<'s>(task: &AgentTask, seen: &'s [AgentObservation]) -> Result<ContextRecall<'s>, Fault> {
    let asked = requests(task);
    match seen.split_first() {
        _ if asked.is_empty() => Ok(ContextRecall::None),
        None => Ok(ContextRecall::Ask(AgentStep::RequestTools(asked))),
        Some((AgentObservation::Tools(results), since)) if answers_requests(&asked, results) => {
            let told = with_memory(task, results)?;
            Ok(ContextRecall::Ready(Box::new(told), since))
        }
        // A task that began before its agent had a context continues without one.
        Some(_) => Ok(ContextRecall::None),
    }
}

/// The requests to memory, through tools that the task has.
fn requests(task: &AgentTask) -> Vec<ToolRequest> {
    let has = |source| context::uses_source(&task.agent, source);
    let arguments = |tool: &str| match tool {
        SIMILAR_EXECUTIONS => json!({"goal": message(task), "limit": EXECUTIONS_MAX}),
        _ => {
            let mut arguments = json!({"message": message(task), "strategy": strategy(task)});
            let parts = [
                ("recent", ContextSource::ConversationHistory),
                ("top_k", ContextSource::KnowledgeBase),
                ("similar", ContextSource::SimilarConversations),
            ];
            // A part that is named has the tool's own number.
            for (name, _) in parts.into_iter().filter(|(_, source)| !has(*source)) {
                arguments[name] = json!(0);
            }
            arguments
        }
    };
    let is_there = |tool: &&str| task.tools.iter().any(|offer| offer.name == *tool);
    let tools = context::context_tools(&task.agent).into_iter().filter(is_there);
    let request = |tool: &str| ToolRequest { id: tool.to_owned(), tool: tool.to_owned(), arguments: arguments(tool) };
    tools.map(request).filter(|request| request.tool != SIMILAR_EXECUTIONS || !task.prompt.trim().is_empty()).collect()
}

fn message(task: &AgentTask) -> String {
    task.prompt.chars().take(MESSAGE_CHARS_MAX).collect()
}

/// The node's strategy; by default the one that follows from its sources.
fn strategy(task: &AgentTask) -> Value {
    if let Some(written) = task.agent.metadata.get(CONTEXT_STRATEGY) {
        return written.clone();
    }
    let has = |source| context::uses_source(&task.agent, source);
    let long = has(ContextSource::KnowledgeBase) || has(ContextSource::SimilarConversations);
    match (has(ContextSource::ConversationHistory), long) {
        (true, true) => json!("hybrid"),
        (true, false) => json!("short_only"),
        (false, _) => json!("long_only"),
    }
}

fn answers_requests(asked: &[ToolRequest], results: &[(String, ToolEnvelope)]) -> bool {
    asked.len() == results.len() && asked.iter().zip(results).all(|(request, (id, _))| request.id == *id)
}

/// Returns the task without the tools that were lent for the recall, and with the recalled context appended to its
/// system prompt. If memory failed, the agent runs without that part.
fn with_memory(task: &AgentTask, results: &[(String, ToolEnvelope)]) -> Result<AgentTask, Fault> {
    let mut told = task.clone();
    told.tools.retain(|offer| !context::is_context_only(&task.agent, &offer.name));
    let values = values(results);
    let is_something = |value: &Value| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    };
    if values.values().any(is_something) {
        let words = prompt::render(task, PromptName::Context, &Value::Object(values))?;
        told.system = prompt::join(&told.system, &words);
    }
    Ok(told)
}

fn values(results: &[(String, ToolEnvelope)]) -> Map<String, Value> {
    let of =
        |tool: &str| results.iter().find(|(id, result)| id == tool && result.success).map(|(_, result)| &result.data);
    let part = |name: &str| of(GET_CONTEXT).and_then(|data| data.get(name)).cloned().unwrap_or_default();
    let mut values: Map<String, Value> = PARTS.into_iter().map(|name| (name.to_owned(), part(name))).collect();
    let executions = of(SIMILAR_EXECUTIONS).and_then(|data| data.get("executions")).and_then(Value::as_array);
    let executions = executions.map(|all| all.iter().map(execution).collect::<Value>()).unwrap_or_default();
    values.insert("similar_executions".to_owned(), executions);
    values
}

fn execution(similar: &Value) -> Value {
    let plan = similar["plan"].to_string();
    json!({
        "goal": similar["goal"], "success": similar["success"] == true,
        "plan": extract::clip(&plan, PLAN_CHARS_MAX),
    })
}

#[cfg(test)]
mod tests;
