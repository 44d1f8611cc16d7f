//! `transform_json`: a JMESPath expression over a document.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baton_core::expr::{self, jmespath};
use baton_core::tool::{Class, Facts, Retry};
use serde_json::{Value, json};

use crate::catalogue::{Action, Entry, Risk};
use crate::code;
use crate::failure::Failure;
use crate::request::Request;
use crate::tool::Tool;

pub(crate) fn entry() -> Entry {
    let facts = Facts {
        retry: Retry::NONE,
        description: "Takes a JSON document apart and puts it together anew, by a JMESPath expression".to_owned(),
        output_fields: vec!["result".to_owned()],
        parameters: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["data", "expression"],
            "properties": {
                "data": {"description": "Any JSON"},
                "expression": {
                    "type": "string", "minLength": 1, "maxLength": expr::Limit::EXPRESSION_BYTES_MAX,
                    "description": "JMESPath, such as `items[?price > `10`].name`",
                },
            },
        }),
        ..Facts::new(Class::Pure, Duration::from_secs(5))
    };
    let action = Action::new(facts, "tool_execution", Risk::Low);
    Entry::new("transform_json", "data", "built-in", action, Arc::new(TransformJson))
}

struct TransformJson;

#[async_trait]
impl Tool for TransformJson {
    async fn attempt(&self, request: &Request) -> Result<Value, Failure> {
        let expression = request.text("expression").unwrap_or_default();
        match jmespath::search(expression, request.argument("data")) {
            Ok(result) => Ok(json!({"result": result})),
            Err(jmespath::SearchError::Parse(error)) => {
                Err(Failure::refused(code::INVALID_PARAMETERS, format!("`expression`: {error}")))
            }
            Err(jmespath::SearchError::Eval(error)) => {
                Err(Failure::refused(code::EXPRESSION_FAILED, error.to_string()))
            }
        }
    }
}

#[cfg(test)]
mod tests;
