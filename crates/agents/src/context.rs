//! What memory tells an agent before it thinks (`context_sources`): asked for once, as tools, in the agent's first step. So
//! it is journaled, and every later step and every replay is told the same.

use baton_core::agent::context::{self, CONTEXT_STRATEGY, ContextSource, GET_CONTEXT, SIMILAR_EXECUTIONS};
use baton_core::agent::{AgentObservation, AgentStep, AgentTask, ToolRequest};
use baton_core::fault::Fault;
use baton_core::structured::extract;
use baton_core::tool::ToolEnvelope;
use serde_json::{Map, Value, json};

use crate::prompt::{self, PromptName};

/// Characters of the task that memory is searched by.
const MESSAGE_CHARS_MAX: usize = 2_000;
/// Executions that are asked for, and characters of each one's plan that are told.
const EXECUTIONS_MAX: u32 = 3;
const PLAN_CHARS_MAX: usize = 1_500;
/// Parts of a context that a prompt may name; what was not asked for or not found is null.
const PARTS: [&str; 5] = ["summary", "session", "recent_messages", "relevant_documents", "similar_conversations"];

/// Where an agent stands with its context.
#[derive(Debug)]
pub(crate) enum ContextRecall<'s> {
    /// Memory is asked first.
    Ask(AgentStep),
    /// The task with what memory holds, and what was seen since.
    Ready(Box<AgentTask>, &'s [AgentObservation]),
    /// There is nothing to be told.
    None,
}

/// What whoever thinks for an agent outside is given: the task with what memory holds, and what was seen since.
pub fn with_recalled_context(task: &AgentTask, seen: &[AgentObservation]) -> (AgentTask, Vec<AgentObservation>) {
    match recall(task, seen) {
        Ok(ContextRecall::Ready(told, since)) => (*told, since.to_vec()),
        Ok(ContextRecall::Ask(_) | ContextRecall::None) | Err(_) => (task.clone(), seen.to_vec()),
    }
}

/// # Errors
/// A prompt of the agent's own for this that cannot be written.
pub(crate) fn recall<'s>(task: &AgentTask, seen: &'s [AgentObservation]) -> Result<ContextRecall<'s>, Fault> {
    let asked = requests(task);
    match seen.split_first() {
        _ if asked.is_empty() => Ok(ContextRecall::None),
        None => Ok(ContextRecall::Ask(AgentStep::RequestTools(asked))),
        Some((AgentObservation::Tools(results), since)) if answers_requests(&asked, results) => {
            let told = with_memory(task, results)?;
            Ok(ContextRecall::Ready(Box::new(told), since))
        }
        // A task that began before its agent had a context goes on without.
        Some(_) => Ok(ContextRecall::None),
    }
}

/// What memory is asked for, by tools the task has.
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

/// The node's, else what its sources come to.
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

/// The task without the tools it was lent for this, and with what memory holds behind its system prompt. An agent can think
/// without what memory could not tell.
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
