//! Drafts a workflow from a goal: the requests to the model, and the feedback about its drafts.
//!
//! Pure, like the rest of this crate: the owner of a [`WorkflowGeneration`] calls the model, checks the draft and
//! passes the findings back.

use baton_core::agent::{AgentDefinition, AgentTask, SYSTEM_PROMPT, primary_language};
use baton_core::fault::Fault;
use baton_core::model::{ModelReply, ModelRequest, ToolOffer};
use baton_core::structured::extract;
use baton_expr::{JinjaTemplate, JsonContext};
use serde_json::{Value, json};

use crate::fault::code;
use crate::prompt::{self, PromptName};
use crate::transcript::PromptTranscript;

/// Maximum number of tools and of agents shown to the model. It cannot plan with the others.
const TOOLS_MAX: usize = 100;
const AGENTS_MAX: usize = 50;
/// Maximum number of findings reported to the model at once: enough to repair most drafts, few enough to be read.
const FINDINGS_MAX: usize = 20;

/// The building blocks available to generated workflows.
#[derive(Debug, Clone, Default)]
pub struct PlannerCatalog {
    /// Ordered by relevance, the most relevant first. Beyond one hundred, the last ones are not shown.
    pub tools: Vec<ToolOffer>,
    /// Names and descriptions.
    pub agents: Vec<(String, String)>,
}

/// A workflow being planned: the goal, and every draft with the feedback it received.
#[derive(Debug, Clone)]
pub struct WorkflowGeneration {
    task: AgentTask,
    transcript: PromptTranscript,
}

impl WorkflowGeneration {
    /// Starts the planning of a workflow.
    ///
    /// # Errors
    /// A prompt of the planner cannot be rendered.
    pub fn begin(planner: AgentDefinition, goal: &str, language: &str, usable: &PlannerCatalog) -> Result<Self, Fault> {
        let system = system(&planner, goal, language)?;
        let (prompt, tools) = (goal.to_owned(), Vec::new());
        let language = language.to_owned();
        let task = AgentTask { agent: planner, system, prompt, tools, selects: false, language };
        let tools = &usable.tools[..usable.tools.len().min(TOOLS_MAX)];
        let agents = usable.agents.iter().take(AGENTS_MAX);
        let agents: Value = agents.map(|(name, about)| json!({"name": name, "description": about})).collect();
        let asked = prompt::render(
            &task,
            PromptName::Generate,
            &json!({"goal": goal, "tools": prompt::tools(tools), "agents": agents}),
        )?;
        let transcript = PromptTranscript::open(task.system.clone(), &asked);
        Ok(Self { task, transcript })
    }

    /// The next request to the model.
    pub fn request(&self) -> ModelRequest {
        self.transcript.clone().request(&self.task, Vec::new(), None)
    }

    /// Extracts the draft from a reply: the first object with `steps` or `nodes`.
    ///
    /// # Errors
    /// A clause that says why the reply has no usable draft.
    pub fn draft(reply: &ModelReply) -> Result<Value, String> {
        let found = extract::json_candidates(&reply.content);
        let is_workflow = |value: &Value| {
            [value, &value["workflow"]].iter().any(|body| ["steps", "nodes"].iter().any(|key| body[*key].is_array()))
        };
        match found.iter().find(|value| is_workflow(value)) {
            Some(draft) => Ok(draft.clone()),
            None if found.is_empty() => Err("the reply holds no complete JSON".to_owned()),
            None => Err("the reply has no list `steps`".to_owned()),
        }
    }

    /// Requests a repair of the draft: the next request asks for it.
    ///
    /// # Errors
    /// A prompt of the planner cannot be rendered.
    pub fn repair(&mut self, reply: &ModelReply, findings: &[String]) -> Result<(), Fault> {
        let told = &findings[..findings.len().min(FINDINGS_MAX)];
        let asked = prompt::render(&self.task, PromptName::Repair, &json!({ "findings": told }))?;
        self.transcript.assistant(&reply.content);
        self.transcript.user(asked);
        Ok(())
    }
}

/// The planner's system prompt in the given language, rendered.
fn system(planner: &AgentDefinition, goal: &str, language: &str) -> Result<String, Fault> {
    let spoken = format!("{SYSTEM_PROMPT}.{}", primary_language(language));
    let source = planner.prompts.get(&spoken).unwrap_or(&planner.system_prompt);
    let names = json!({"goal": goal, "language": language});
    let rendered = JinjaTemplate::parse(source)
        .map_err(|error| error.to_string())
        .and_then(|template| template.render(&JsonContext::timeless(&names)).map_err(|error| error.to_string()));
    rendered.map_err(|error| {
        let message = format!("agent `{}`: its system prompt cannot be written: {error}", planner.name);
        Fault::new(code::PROMPT_FAILED, message)
    })
}

#[cfg(test)]
mod tests;
