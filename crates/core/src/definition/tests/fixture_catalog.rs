//! A catalogue for tests: tools with the contracts of the shipped ones, and a few agents.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::super::{DefinitionCatalog, PinnedWorkflow};
use crate::agent::AgentDefinition;
use crate::bundle::ContentHash;
use crate::tool::ToolContract;

/// The names that examples and broken files may use.
pub fn catalog() -> DefinitionCatalog {
    let known = PinnedWorkflow { hash: ContentHash::of(b"shipping"), runs: BTreeSet::from(["labels".to_owned()]) };
    DefinitionCatalog {
        agents: ["reasoning_agent", "tool_selector", "simple_agent"]
            .map(agent)
            .into_iter()
            .chain([thought_for()])
            .collect(),
        tools: tools(),
        workflows: BTreeMap::from([("shipping".to_owned(), known)]),
    }
}

fn agent(name: &str) -> (String, AgentDefinition) {
    let agent = json!({ "name": name, "type": "reasoning", "prompt": "{{ input }}", "tools": ["web_search"] });
    (name.to_owned(), serde_json::from_value(agent).unwrap())
}

/// An agent whose steps come from an endpoint.
fn thought_for() -> (String, AgentDefinition) {
    let agent = json!({ "name": "greeter", "type": "custom", "endpoint": "https://agents.example.com/greeter" });
    ("greeter".to_owned(), serde_json::from_value(agent).unwrap())
}

fn tools() -> BTreeMap<String, Arc<ToolContract>> {
    let closed = |required: &[&str], properties: Json| json!({ "type": "object", "additionalProperties": false, "required": required, "properties": properties });
    let text = json!({ "type": "string" });
    let read = |parameters: Json| json!({ "class": "read", "timeout_ms": 1_000, "parameters": parameters });
    let calendar = json!({
        "action": { "enum": ["check_availability", "create_booking", "cancel_booking"] },
        "date": { "type": "string", "format": "date" }, "time": { "type": "string", "pattern": "^[0-9]{1,2}:[0-9]{2}$" },
        "booking_id": text, "treatment": text,
    });
    let all = json!({
        "get_weather": read(closed(&["location"], json!({ "location": text }))),
        "web_search": read(closed(&["query"], json!({ "query": text }))),
        "send_alert": { "class": "keyed", "timeout_ms": 1_000,
            "parameters": closed(&["message"], json!({ "message": text, "severity": { "enum": ["low", "high"] } })) },
        "get_context": read(json!({ "type": "object" })),
        "similar_executions": read(json!({ "type": "object" })),
        "summarize_data": { "class": "pure", "timeout_ms": 1_000 },
        "google_calendar": {
            "class": "keyed", "timeout_ms": 10_000, "parameters": closed(&["action"], calendar.clone()),
            "actions": {
                "check_availability": { "class": "read", "timeout_ms": 10_000,
                    "parameters": closed(&["action", "date"], calendar.clone()), "output_fields": ["available_slots"] },
                "create_booking": { "class": "keyed", "timeout_ms": 10_000,
                    "parameters": closed(&["action", "date", "time"], calendar.clone()),
                    "output_fields": ["booking_id", "date", "time"],
                    "compensation": { "tool_name": "google_calendar",
                        "parameters": { "action": "cancel_booking", "booking_id": "{{ output.booking_id }}" } } },
                "cancel_booking": { "class": "keyed", "timeout_ms": 10_000, "irreversible": "book again",
                    "parameters": closed(&["action", "booking_id"], calendar) },
            },
        },
        "charge_payment": { "class": "keyed", "timeout_ms": 10_000, "output_fields": ["transaction_id", "amount"],
            "parameters": closed(&["amount"], json!({ "amount": { "type": "number", "exclusiveMinimum": 0 },
                "currency": { "type": "string", "pattern": "^[A-Z]{3}$" }, "booking_id": text })),
            "compensation": { "tool_name": "refund_payment",
                "parameters": { "transaction_id": "{{ output.transaction_id }}" } } },
        "refund_payment": { "class": "keyed", "timeout_ms": 10_000, "irreversible": "charge anew",
            "parameters": closed(&["transaction_id"], json!({ "transaction_id": text })) },
        "create_ticket": { "class": "keyed", "timeout_ms": 10_000, "output_fields": ["ticket_id"],
            "parameters": closed(&["subject"], json!({ "subject": text })),
            "compensation": { "tool_name": "close_ticket", "parameters": { "ticket_id": "{{ output.ticket_id }}" } } },
        "close_ticket": { "class": "keyed", "timeout_ms": 10_000, "irreversible": "open another",
            "parameters": closed(&["ticket_id"], json!({ "ticket_id": text, "reason": text })) },
        "send_email": { "class": "once", "timeout_ms": 10_000, "irreversible": "it was read",
            "parameters": closed(&["to", "subject"], json!({ "to": text, "subject": text, "body": text })) },
        "send_whatsapp": { "class": "keyed", "timeout_ms": 5_000, "irreversible": "it was read",
            "parameters": closed(&["to", "message"], json!({ "to": text, "message": text })) },
    });
    serde_json::from_value(all).unwrap()
}
