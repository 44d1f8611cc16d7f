//! The agents that come with Baton, by name: those of single tasks, and the five of a front desk.
//!
//! They are definitions like any other, to be used as they are, to be overridden by a node's `config`, or to be copied
//! into `agents/` and changed. Each speaks English, or Spanish where the run's `language` begins with `es`.

use std::collections::BTreeMap;

use baton_core::agent::{ASK_CUSTOMER, Agent, HAND_OVER, ITERATIONS_DEFAULT, Kind, SYSTEM};
use baton_core::model::Profile;
use serde_json::{Value, json};

/// Who plans workflows for `baton generate`.
pub const PLANNER: &str = "workflow_planner";

/// What a shipped agent is asked where the node brings no prompt: the message, under any name that inputs have for it.
const MESSAGE: &str = "{{ message | default(customer_message | default(input | default(''))) }}";

/// A returns agent also wants to know whose return it is.
const RETURN: &str = "{{ message | default(customer_message | default(input | default(''))) }}\n\
     Customer: {{ customer_id | default('unknown') }}. Order: {{ order_id | default('as the message says') }}.";

struct Prompts {
    en: &'static str,
    es: &'static str,
}

macro_rules! prompts {
    ($name:literal) => {
        Prompts {
            en: include_str!(concat!("shipped/", $name, ".en.md")),
            es: include_str!(concat!("shipped/", $name, ".es.md")),
        }
    };
}

/// Every shipped agent, by name.
pub fn shipped() -> BTreeMap<String, Agent> {
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
        (PLANNER, simple("Plans a workflow for a goal", &prompts!("planner")).of_profile(Profile::Powerful)),
        ("tool_selector", simple("Chooses the tools a message needs, or none", &prompts!("selector"))),
        (
            "schedule",
            desk("Books, moves and cancels appointments", &prompts!("schedule")).with_tools(&["google_calendar"]),
        ),
        ("sales", desk("Advises before a purchase", &prompts!("sales"))),
        ("support", desk("Solves problems, opens tickets", &prompts!("support")).with_tools(&["create_ticket"])),
        ("emergency", emergency()),
    ];
    let named = |(name, Draft(agent)): (&str, Draft)| (name.to_owned(), Agent { name: name.to_owned(), ..agent });
    agents.into_iter().map(named).collect()
}

/// An agent without its name.
struct Draft(Agent);

impl Draft {
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

    fn of_profile(mut self, profile: Profile) -> Self {
        self.0.model_profile = Some(profile);
        self
    }
}

fn simple(description: &str, prompts: &Prompts) -> Draft {
    draft(Kind::Simple, description, prompts, "structured_output").of_profile(Profile::Fast)
}

fn reasoning(description: &str, prompts: &Prompts) -> Draft {
    let Draft(agent) = draft(Kind::Reasoning, description, prompts, "tool_calling");
    Draft(Agent { max_iterations: Some(ITERATIONS_DEFAULT), ..agent }).of_profile(Profile::Balanced)
}

/// Plans, executes, reflects; `code` says that it may write Python on the way.
fn coding(description: &str, prompts: &Prompts) -> Draft {
    draft(Kind::Code, description, prompts, "code").of_profile(Profile::Powerful)
}

/// An agent that talks with customers.
fn desk(description: &str, prompts: &Prompts) -> Draft {
    reasoning(description, prompts).asking().handing_over()
}

fn returns() -> Draft {
    let Draft(agent) = coding("Handles a return from the order to the confirmation", &prompts!("returns"));
    Draft(Agent { prompt: RETURN.to_owned(), ..agent }).answering(returns_schema())
}

/// One call and no tools: what it says must reach the customer at once, and the workflow fetches the person.
fn emergency() -> Draft {
    let draft = simple("Answers what cannot wait, and says whether a person is needed", &prompts!("emergency"));
    draft.of_profile(Profile::Balanced).answering(emergency_schema())
}

fn draft(kind: Kind, description: &str, prompts: &Prompts, capability: &str) -> Draft {
    Draft(Agent {
        description: description.to_owned(),
        system_prompt: prompts.en.trim().to_owned(),
        prompts: BTreeMap::from([(format!("{SYSTEM}.es"), prompts.es.trim().to_owned())]),
        prompt: MESSAGE.to_owned(),
        temperature: Some(0.0),
        capabilities: vec![capability.to_owned()],
        ..Agent::new("", kind)
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
