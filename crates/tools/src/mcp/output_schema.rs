//! Output schemas that a server declares for its tools. Every result is validated against its schema.

use baton_core::fault::Fault;
use baton_core::tool::EffectClass;
use serde_json::{Map, Value, json};

use crate::check::ArgumentSchema;
use crate::code;
use crate::tool_error::ToolError;

/// Keywords that only occur at the top of a document: its dialect, and the schemas that it refers to.
const ROOT_KEYWORDS: [&str; 3] = ["$schema", "$defs", "definitions"];

/// A schema that results must match, compiled for the first result.
pub(crate) struct OutputSchema(ArgumentSchema);

impl OutputSchema {
    pub(crate) fn new(schema: &Value) -> Self {
        Self(ArgumentSchema::new(schema.clone()))
    }

    /// Returns the result if its data matches the server's schema; the protocol requires clients to check that. After
    /// a mismatch, a tool with side effects has acted, and its outcome is unknown.
    pub(crate) fn validate(&self, name: &str, answer: Value, class: EffectClass) -> Result<Value, ToolError> {
        let wrong = match answer.get("structured") {
            Some(data) => self.0.check(data).err(),
            None => Some("there is no data in it, only text".to_owned()),
        };
        match wrong {
            None => Ok(answer),
            Some(wrong) => {
                let message = format!("`{name}` answered with what does not fit its own `outputSchema`: {wrong}");
                Err(ToolError::indeterminate(class, Fault::new(code::SERVICE_UNAVAILABLE, message)))
            }
        }
    }
}

/// Returns the schema of the whole output, as calls see it, for this schema of the data.
pub(super) fn envelope(data: &Value) -> Value {
    let mut data = data.clone();
    let mut top = Map::new();
    if let Value::Object(fields) = &mut data {
        top = ROOT_KEYWORDS.iter().filter_map(|name| fields.remove_entry(*name)).collect();
    }
    let mut whole = json!({
        "type": "object", "required": ["text", "structured"],
        "properties": {"text": {"type": "string"}, "structured": data},
    });
    if let Value::Object(fields) = &mut whole {
        fields.append(&mut top);
    }
    whole
}

/// Checks that it is a valid schema; the error says why not.
pub(super) fn is_schema(data: &Value) -> Result<(), String> {
    ArgumentSchema::new(data.clone()).compile().map_err(str::to_owned)
}
