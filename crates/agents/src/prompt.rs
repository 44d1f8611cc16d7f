//! The prompts that this crate adds to an agent's own: Jinja templates in English and Spanish,
//! `prompts/NAME.LANG.md`.
//!
//! An agent may replace each of them ([`AgentDefinition::prompts`](baton_core::agent::AgentDefinition::prompts));
//! its version sees the same names. The names available to each built-in prompt are listed on its [`PromptName`].

use std::collections::BTreeMap;

use baton_core::agent::{AgentDefinition, AgentKind, AgentTask, SYSTEM_PROMPT, primary_language};
use baton_core::fault::Fault;
use baton_core::model::ToolOffer;
use baton_expr::{JinjaTemplate, JsonContext, nearest};
use serde_json::{Value, json};

use crate::fault::code;

/// The name of a built-in prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PromptName {
    /// Asks for an answer that follows the schema: `schema`, `tools` (whether it may call some first).
    Schema,
    /// Explains the text protocol: `tools`.
    React,
    /// Asks for a tool selection: `tools`, `rules`.
    Select,
    /// The recalled context, before any kind of agent thinks: `summary`, `session`, `recent_messages`,
    /// `relevant_documents`, `similar_conversations`, `similar_executions`.
    Context,
    /// Asks a code agent for its first plan: `goal`, `tools`, `similar_plans`.
    Plan,
    /// Asks for a reflection on the executed plan: `goal`, `steps`, `schema`.
    Reflect,
    /// Asks for a new plan after a failed one: `goal`, `failure_reason`, `suggestions`.
    Replan,
    /// Asks the workflow planner for a draft: `goal`, `tools`, `agents`.
    Generate,
    /// Reports why a draft cannot be run: `findings`.
    Repair,
    /// Reports why a reply cannot be used: `problem`, `wants` (`json`, `shorter` or `reply`).
    Correct,
}

/// The languages of the built-in prompts. The first is used for customers whose language is not among them.
const LANGUAGES: [&str; 2] = ["en", "es"];

impl PromptName {
    /// All prompt names.
    const ALL: [Self; 10] = [
        Self::Schema,
        Self::Context,
        Self::React,
        Self::Select,
        Self::Plan,
        Self::Reflect,
        Self::Replan,
        Self::Generate,
        Self::Repair,
        Self::Correct,
    ];

    /// The word for it in file names.
    pub fn word(self) -> &'static str {
        match self {
            Self::Schema => "schema",
            Self::Context => "context",
            Self::React => "react",
            Self::Select => "select",
            Self::Plan => "plan",
            Self::Reflect => "reflect",
            Self::Replan => "replan",
            Self::Generate => "generate",
            Self::Repair => "repair",
            Self::Correct => "correct",
        }
    }

    fn shipped_text(self) -> [&'static str; LANGUAGES.len()] {
        macro_rules! both {
            ($name:literal) => {
                [include_str!(concat!("prompts/", $name, ".en.md")), include_str!(concat!("prompts/", $name, ".es.md"))]
            };
        }
        match self {
            Self::Schema => both!("schema"),
            Self::Context => both!("context"),
            Self::React => both!("react"),
            Self::Select => both!("select"),
            Self::Plan => both!("plan"),
            Self::Reflect => both!("reflect"),
            Self::Replan => both!("replan"),
            Self::Generate => both!("generate"),
            Self::Repair => both!("repair"),
            Self::Correct => both!("correct"),
        }
    }
}

/// Renders the prompt in the customer's language.
///
/// # Errors
/// A prompt that the agent brings is not a valid template, or uses a name that does not exist.
pub(crate) fn render(task: &AgentTask, name: PromptName, values: &Value) -> Result<String, Fault> {
    let source = source(task, name);
    let rendered = JinjaTemplate::parse(source)
        .map_err(|error| error.to_string())
        .and_then(|template| template.render(&JsonContext::timeless(values)).map_err(|error| error.to_string()));
    rendered.map(|text| text.trim_end().to_owned()).map_err(|error| {
        let (agent, word) = (&task.agent.name, name.word());
        Fault::new(code::PROMPT_FAILED, format!("agent `{agent}`: its prompt `{word}` cannot be written: {error}"))
    })
}

/// The agent's own text in the customer's language, else the built-in one; else the same in the first built-in
/// language.
fn source(task: &AgentTask, name: PromptName) -> &str {
    let spoken = primary_language(&task.language);
    let own = |language: &str| task.agent.prompts.get(&format!("{}.{language}", name.word())).map(String::as_str);
    let ours = |language: &str| Some(name.shipped_text()[LANGUAGES.iter().position(|known| *known == language)?]);
    let of = |language: &str| own(language).or_else(|| ours(language));
    of(&spoken).or_else(|| of(LANGUAGES[0])).unwrap_or_default()
}

/// A prompt that replaces one of an agent or a built-in one: a file `NAME.LANG.md`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptOverride {
    /// The name of an agent for its system prompt, the name of a built-in prompt for all agents, or `AGENT.PROMPT`
    /// for one agent.
    pub name: String,
    /// A language such as `es`.
    pub language: String,
    /// The Jinja template.
    pub text: String,
}

/// Replaces built-in prompts by a project's own.
///
/// # Errors
/// The name is neither an agent's nor a prompt's; the message lists the names that exist.
pub fn put(agents: &mut BTreeMap<String, AgentDefinition>, prompt: PromptOverride) -> Result<(), String> {
    let PromptOverride { name, language, text } = prompt;
    let is_ours = |word: &str| PromptName::ALL.iter().any(|name| name.word() == word);
    if let Some(agent) = agents.get_mut(&name) {
        agent.prompts.insert(format!("{SYSTEM_PROMPT}.{language}"), text);
        return Ok(());
    }
    if is_ours(&name) {
        for agent in agents.values_mut() {
            // A prompt that an agent brings itself takes precedence over one for all agents.
            agent.prompts.entry(format!("{name}.{language}")).or_insert_with(|| text.clone());
        }
        return Ok(());
    }
    if let Some((of, word)) = name.rsplit_once('.')
        && is_ours(word)
        && let Some(agent) = agents.get_mut(of)
    {
        agent.prompts.insert(format!("{word}.{language}"), text);
        return Ok(());
    }
    let ours = PromptName::ALL.map(PromptName::word);
    let known = agents.keys().map(String::as_str).chain(ours);
    let near = nearest(&name, known).map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default();
    Err(format!(
        "`{name}` is no agent and no prompt{near}; a prompt is called AGENT, PROMPT or AGENT.PROMPT, where PROMPT is one \
         of {}",
        ours.join(", ")
    ))
}

/// The tools, in the form that prompts use.
pub(crate) fn tools(offered: &[ToolOffer]) -> Value {
    let one =
        |tool: &ToolOffer| json!({"name": tool.name, "description": tool.description, "parameters": tool.parameters});
    offered.iter().map(one).collect()
}

/// Appends a paragraph to a prompt.
pub(crate) fn join(prompt: &str, more: &str) -> String {
    match (prompt.trim_end(), more) {
        ("", more) => more.to_owned(),
        (prompt, "") => prompt.to_owned(),
        (prompt, more) => format!("{prompt}\n\n{more}"),
    }
}

/// The system prompt, followed by the answer format if the agent has a schema.
pub(crate) fn with_schema(task: &AgentTask, system: &str) -> Result<String, Fault> {
    let Some(schema) = &task.agent.output_schema else { return Ok(system.to_owned()) };
    let has_tools = task.agent.kind == AgentKind::Reasoning;
    let words = render(task, PromptName::Schema, &json!({"schema": schema, "tools": has_tools}))?;
    Ok(join(system, &words))
}

#[cfg(test)]
mod tests;
