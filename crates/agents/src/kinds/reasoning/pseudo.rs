//! Two names that look like tools to the model and are outcomes of the agent: asking the customer, handing over.

use baton_core::agent::{ASK_CUSTOMER, Agent, RESERVED};
use baton_core::model::ToolOffer;
use serde_json::{Value, json};

/// What the agent's definition asks for: a name in its `tools`, or `metadata` with that name set to true.
pub(super) fn offers(agent: &Agent) -> Vec<ToolOffer> {
    let wants = |name: &str| {
        agent.tools.iter().any(|tool| tool == name) || agent.metadata.get(name).and_then(Value::as_bool) == Some(true)
    };
    RESERVED.into_iter().filter(|name| wants(name)).map(offer).collect()
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
    }
}
