//! What a server says its tools answer with: a schema of the data, which each answer is held against.

use baton_core::fault::Fault;
use baton_core::tool::EffectClass;
use serde_json::{Map, Value, json};

use crate::check::ArgumentSchema;
use crate::code;
use crate::tool_error::ToolError;

/// What stands at the top of a document only: the dialect it speaks, and the schemas that it refers to.
const ROOT_KEYWORDS: [&str; 3] = ["$schema", "$defs", "definitions"];

/// A schema that answers keep, compiled when the first one comes.
pub(crate) struct OutputSchema(ArgumentSchema);

impl OutputSchema {
    pub(crate) fn new(schema: &Value) -> Self {
        Self(ArgumentSchema::new(schema.clone()))
    }

    /// The answer, unless its data is not what the server promised: the protocol has clients check that. A tool that acts
    /// has acted then, and nobody can tell what.
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

/// The schema of the whole output, as calls see it, where that of the data is this.
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

/// Whether it is a schema at all; the error says why not.
pub(super) fn is_schema(data: &Value) -> Result<(), String> {
    ArgumentSchema::new(data.clone()).compile().map_err(str::to_owned)
}
