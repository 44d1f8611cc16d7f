//! The tools offered to an agent, and two names that look like tools to the model and are outcomes of the agent.

use baton_core::agent::{ASK_CUSTOMER, AgentDefinition, AgentTask, RESERVED_TOOLS};
use baton_core::model::ToolOffer;
use serde_json::{Value, json};

use crate::prompt;

pub(crate) struct ToolOffers(Vec<ToolOffer>);

impl ToolOffers {
    /// The task's tools, except those with a reserved name, and the outcomes that the agent enables.
    pub fn to(task: &AgentTask) -> Self {
        let is_tool = |tool: &&ToolOffer| !RESERVED_TOOLS.contains(&tool.name.as_str());
        let mut all: Vec<ToolOffer> = task.tools.iter().filter(is_tool).cloned().collect();
        all.extend(outcomes(&task.agent));
        Self(all)
    }

    pub fn find(&self, name: &str) -> Option<&ToolOffer> {
        self.0.iter().find(|offer| offer.name == name)
    }

    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.0.retain(|offer| keep(&offer.name));
    }

    pub fn all(&self) -> &[ToolOffer] {
        &self.0
    }

    /// The names of the tools, without the outcomes.
    pub fn names(&self) -> Vec<String> {
        let names = self.0.iter().map(|offer| &offer.name);
        names.filter(|name| !RESERVED_TOOLS.contains(&name.as_str())).cloned().collect()
    }

    /// The JSON form for prompts.
    pub fn as_json(&self) -> Value {
        prompt::tools(&self.0)
    }
}

/// The outcomes that the agent's definition enables: by a name in its `tools`, or by `metadata` with that name set
/// to true.
fn outcomes(agent: &AgentDefinition) -> Vec<ToolOffer> {
    let wants = |name: &str| {
        agent.tools.iter().any(|tool| tool == name) || agent.metadata.get(name).and_then(Value::as_bool) == Some(true)
    };
    RESERVED_TOOLS.into_iter().filter(|name| wants(name)).map(offer).collect()
}

fn offer(name: &str) -> ToolOffer {
    let (description, field, field_description) = if name == ASK_CUSTOMER {
        (
            "Ask the customer one question and wait for the answer. Use it when only the customer can know.",
            "question",
            "The question, in the customer's language.",
        )
    } else {
        (
            "Hand the conversation over to a person. Use it when the customer asks for one, or when you cannot or must \
             not decide.",
            "reason",
            "Why, for the person who takes over.",
        )
    };
    ToolOffer {
        name: name.to_owned(),
        description: description.to_owned(),
        parameters: json!({
            "type": "object",
            "properties": {field: {"type": "string", "description": field_description}},
            "required": [field],
            "additionalProperties": false
        }),
        strict: None,
    }
}
