//! `transform_json`: evaluates a JMESPath expression over a document.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baton_core::tool::{EffectClass, RetryPolicy, ToolContract};
use baton_expr::{ExprLimits, jmespath};
use serde_json::{Value, json};

use crate::catalogue::{ActionSpec, ToolEntry, ToolRisk};
use crate::code;
use crate::request::PreparedRequest;
use crate::tool::ToolHandler;
use crate::tool_error::ToolError;

pub(crate) fn entry() -> ToolEntry {
    let facts = ToolContract {
        retry: RetryPolicy::NONE,
        description: "Takes a JSON document apart and puts it together anew, by a JMESPath expression".to_owned(),
        output_fields: vec!["result".to_owned()],
        parameters: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["data", "expression"],
            "properties": {
                "data": {"description": "Any JSON"},
                "expression": {
                    "type": "string", "minLength": 1, "maxLength": ExprLimits::EXPRESSION_BYTES_MAX,
                    "description": "JMESPath, such as `items[?price > `10`].name`",
                },
            },
        }),
        ..ToolContract::new(EffectClass::Pure, Duration::from_secs(5))
    };
    let action = ActionSpec::new(facts, "tool_execution", ToolRisk::Low);
    ToolEntry::new("transform_json", "data", "built-in", action, Arc::new(TransformJson))
}

struct TransformJson;

#[async_trait]
impl ToolHandler for TransformJson {
    async fn attempt(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        let expression = request.text("expression").unwrap_or_default();
        match jmespath::search(expression, request.argument("data")) {
            Ok(result) => Ok(json!({"result": result})),
            Err(jmespath::SearchError::Parse(error)) => {
                Err(ToolError::permanent(code::INVALID_PARAMETERS, format!("`expression`: {error}")))
            }
            Err(jmespath::SearchError::Eval(error)) => {
                Err(ToolError::permanent(code::EXPRESSION_FAILED, error.to_string()))
            }
        }
    }
}

#[cfg(test)]
mod tests;
