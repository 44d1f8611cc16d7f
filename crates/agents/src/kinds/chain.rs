//! The reasoning chain: the agent's thoughts, actions and observations, kept in its output.

use baton_core::structured::extract;
use serde_json::{Map, Value, json};

/// Maximum number of characters of a thought or an observation in the chain. The journal keeps all of it.
const THOUGHT_CHARS_MAX: usize = 2_000;

#[derive(Default)]
pub(crate) struct ThoughtChain(Vec<Value>);

pub(crate) struct ToolObservation<'a> {
    pub action: &'a str,
    pub input: &'a Value,
    pub result: &'a Value,
}

impl ThoughtChain {
    pub fn add_action(&mut self, thought: &str, observation: ToolObservation<'_>) {
        self.0.push(json!({
            "thought": extract::clip(thought, THOUGHT_CHARS_MAX),
            "action": observation.action,
            "action_input": observation.input,
            "observation": clipped_value(observation.result),
        }));
    }

    /// Adds a thought that no action follows.
    pub fn add_thought(&mut self, thought: &str) {
        self.0.push(json!({"thought": extract::clip(thought, THOUGHT_CHARS_MAX), "action": null}));
    }

    pub fn into_value(self) -> Value {
        Value::Array(self.0)
    }

    /// The output of a reasoning agent. Fields required by the schema stand at the top level and override the
    /// built-in fields of the same name.
    pub fn output(mut self, thought: &str, answer: Value, by_schema: bool, iterations: u32) -> Value {
        self.add_thought(thought);
        let mut output = match &answer {
            Value::Object(fields) if by_schema => fields.clone(),
            _ => Map::new(),
        };
        let ours = [("answer", answer), ("reasoning_chain", Value::Array(self.0)), ("iterations", json!(iterations))];
        for (name, value) in ours {
            output.entry(name).or_insert(value);
        }
        Value::Object(output)
    }
}

fn clipped_value(seen: &Value) -> Value {
    let text = match seen {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if text.chars().count() <= THOUGHT_CHARS_MAX {
        seen.clone()
    } else {
        Value::String(extract::clip(&text, THOUGHT_CHARS_MAX))
    }
}
