//! What an agent's prompts are completed with: how to answer, and how to ask for tools.

use std::fmt::Write as _;

use baton_core::model::ToolOffer;
use serde_json::Value;

/// Puts a paragraph behind a prompt.
pub(crate) fn join(prompt: &str, more: &str) -> String {
    match (prompt.trim_end(), more) {
        ("", more) => more.to_owned(),
        (prompt, "") => prompt.to_owned(),
        (prompt, more) => format!("{prompt}\n\n{more}"),
    }
}

/// How a reply by schema is asked for. Said in words too, because not every provider enforces a schema.
pub(crate) fn by_schema(schema: &Value) -> String {
    format!("Answer with one JSON value that satisfies this JSON Schema, and nothing else, no code fence:\n{schema}")
}

/// The same for an agent that may call tools first.
pub(crate) fn answer_by_schema(schema: &Value) -> String {
    format!(
        "When you have what you need, your final answer is one JSON value that satisfies this JSON Schema, and nothing \
         else, no code fence:\n{schema}"
    )
}

/// The text protocol of seed 004, for models without native tool calls.
pub(crate) fn text_protocol(tools: &[ToolOffer]) -> String {
    let mut text = String::from("You use tools to solve tasks.\n\nAvailable tools:\n");
    text.push_str(&tool_list(tools));
    text.push_str(
        "\nFormat, one action at a time:\n\
         Thought: [Your reasoning]\n\
         Action: [Tool name]\n\
         Action Input: {\"param\": \"value\"}\n\
         Observation: [Will be provided]\n\
         ...\n\
         Thought: [Final reasoning]\n\
         Final Answer: [Complete answer]",
    );
    text
}

/// Name, description and parameters, one tool a line.
pub(crate) fn tool_list(tools: &[ToolOffer]) -> String {
    let mut text = String::new();
    for tool in tools {
        let _ = write!(text, "- {}: {}", tool.name, tool.description);
        if !tool.parameters.is_null() {
            let _ = write!(text, " Parameters: {}", tool.parameters);
        }
        text.push('\n');
    }
    text
}
