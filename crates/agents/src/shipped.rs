//! The agents that come with Baton, by name: agents for single tasks, and the five customer-service agents.
//!
//! They are ordinary definitions: use them unchanged, override them by a node's `config`, or copy them into
//! `agents/` and edit them. Each answers in English, or in Spanish if the run's `language` begins with `es`.

use std::collections::BTreeMap;

use baton_core::agent::{ASK_CUSTOMER, AgentDefinition, AgentKind, HAND_OVER, ITERATIONS_DEFAULT, SYSTEM_PROMPT};
use baton_core::model::ModelProfile;
use serde_json::{Value, json};

/// The agent that plans workflows for `baton generate`.
pub const PLANNER: &str = "workflow_planner";

/// The default input of a shipped agent whose node has no prompt: the message, under any of its input names.
const MESSAGE: &str = "{{ message | default(customer_message | default(input | default(''))) }}";

/// The input of a returns agent, which also needs to know the customer.
const RETURN: &str = "{{ message | default(customer_message | default(input | default(''))) }}\n\
     Customer: {{ customer_id | default('unknown') }}. Order: {{ order_id | default('as the message says') }}.";

struct ShippedPrompt {
    en: &'static str,
    es: &'static str,
}

macro_rules! prompts {
    ($name:literal) => {
        ShippedPrompt {
            en: include_str!(concat!("shipped/", $name, ".en.md")),
            es: include_str!(concat!("shipped/", $name, ".es.md")),
        }
    };
}

/// All shipped agents, by name.
pub fn shipped() -> BTreeMap<String, AgentDefinition> {
    let intent = || simple("Fast intent classification", &prompts!("intent")).answering(intent_schema());
    let reasoning = || reasoning("Solves a task in steps, with tools", &prompts!("reasoning"));
    let agents = [
        ("simple_intent_classifier", intent()),
        ("simple_classifier", intent()),
        ("simple_agent", simple("One small task with a text, in one model call", &prompts!("simple"))),
        ("reasoning_agent", reasoning()),
        ("conversational", reasoning().asking()),
        ("code_agent", coding("Plans, executes with tools and Python, reflects", &prompts!("code"))),
        ("autonomous_return_agent", returns()),
        ("router", simple("Decides who answers a message", &prompts!("router")).answering(router_schema())),
        (PLANNER, simple("Plans a workflow for a goal", &prompts!("planner")).of_profile(ModelProfile::Powerful)),
        ("tool_selector", simple("Chooses the tools a message needs, or none", &prompts!("selector"))),
        (
            "schedule",
            desk("Books, moves and cancels appointments", &prompts!("schedule")).with_tools(&["google_calendar"]),
        ),
        ("sales", desk("Advises before a purchase", &prompts!("sales"))),
        ("support", desk("Solves problems, opens tickets", &prompts!("support")).with_tools(&["create_ticket"])),
        ("emergency", emergency()),
    ];
    let named = |(name, AgentDraft(agent)): (&str, AgentDraft)| {
        (name.to_owned(), AgentDefinition { name: name.to_owned(), ..agent })
    };
    agents.into_iter().map(named).collect()
}

/// An agent without its name.
struct AgentDraft(AgentDefinition);

impl AgentDraft {
    fn answering(mut self, schema: Value) -> Self {
        self.0.output_schema = Some(schema);
        self
    }

    fn with_tools(mut self, tools: &[&str]) -> Self {
        self.0.tools = tools.iter().map(|&tool| tool.to_owned()).collect();
        self
    }

    fn asking(mut self) -> Self {
        self.0.metadata.insert(ASK_CUSTOMER.to_owned(), json!(true));
        self
    }

    fn handing_over(mut self) -> Self {
        self.0.metadata.insert(HAND_OVER.to_owned(), json!(true));
        self
    }

    fn of_profile(mut self, profile: ModelProfile) -> Self {
        self.0.model_profile = Some(profile);
        self
    }
}

fn simple(description: &str, prompts: &ShippedPrompt) -> AgentDraft {
    draft(AgentKind::Simple, description, prompts, "structured_output").of_profile(ModelProfile::Fast)
}

fn reasoning(description: &str, prompts: &ShippedPrompt) -> AgentDraft {
    let AgentDraft(agent) = draft(AgentKind::Reasoning, description, prompts, "tool_calling");
    AgentDraft(AgentDefinition { max_iterations: Some(ITERATIONS_DEFAULT), ..agent }).of_profile(ModelProfile::Balanced)
}

/// An agent that plans, executes and reflects. `code` allows it to write Python.
fn coding(description: &str, prompts: &ShippedPrompt) -> AgentDraft {
    draft(AgentKind::Code, description, prompts, "code").of_profile(ModelProfile::Powerful)
}

/// An agent that talks with customers.
fn desk(description: &str, prompts: &ShippedPrompt) -> AgentDraft {
    reasoning(description, prompts).asking().handing_over()
}

fn returns() -> AgentDraft {
    let AgentDraft(agent) = coding("Handles a return from the order to the confirmation", &prompts!("returns"));
    AgentDraft(AgentDefinition { prompt: RETURN.to_owned(), ..agent }).answering(returns_schema())
}

/// One call and no tools: the reply must reach the customer at once, and the workflow fetches the person.
fn emergency() -> AgentDraft {
    let draft = simple("Answers what cannot wait, and says whether a person is needed", &prompts!("emergency"));
    draft.of_profile(ModelProfile::Balanced).answering(emergency_schema())
}

fn draft(kind: AgentKind, description: &str, prompts: &ShippedPrompt, capability: &str) -> AgentDraft {
    AgentDraft(AgentDefinition {
        description: description.to_owned(),
        system_prompt: prompts.en.trim().to_owned(),
        prompts: BTreeMap::from([(format!("{SYSTEM_PROMPT}.es"), prompts.es.trim().to_owned())]),
        prompt: MESSAGE.to_owned(),
        temperature: Some(0.0),
        capabilities: vec![capability.to_owned()],
        ..AgentDefinition::new("", kind)
    })
}

fn intent_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "intent": {"type": "string", "minLength": 1},
            "confidence": {"type": "number", "minimum": 0, "maximum": 1},
            "entities": {"type": "object"}
        },
        "required": ["intent", "confidence"]
    })
}

fn router_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "agent": {"type": "string", "enum": ["emergency", "schedule", "sales", "support"]},
            "confidence": {"type": "number", "minimum": 0, "maximum": 1},
            "reasoning": {"type": "string"}
        },
        "required": ["agent", "confidence", "reasoning"]
    })
}

fn emergency_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "emergency": {"type": "boolean"},
            "message": {"type": "string", "minLength": 1},
            "handover": {"type": "boolean"},
            "reason": {"type": "string"}
        },
        "required": ["emergency", "message", "handover", "reason"]
    })
}

fn returns_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "success": {"type": "boolean"},
            "return_id": {"type": ["string", "null"]},
            "label_url": {"type": ["string", "null"]},
            "summary": {"type": "string"}
        },
        "required": ["success", "summary"]
    })
}

#[cfg(test)]
mod tests;
