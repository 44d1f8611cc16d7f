//! `calculator`: arithmetic, exact where possible.

mod number;
mod parser;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baton_core::tool::{EffectClass, RetryPolicy, ToolContract};
use serde_json::{Map, Value, json};

use crate::catalogue::{ActionSpec, ToolEntry, ToolRisk};
use crate::code;
use crate::request::PreparedRequest;
use crate::tool::ToolHandler;
use crate::tool_error::ToolError;

/// Maximum size of one expression, in bytes.
const EXPRESSION_BYTES_MAX: usize = 4_096;

pub(crate) fn entry() -> ToolEntry {
    let facts = ToolContract {
        retry: RetryPolicy::NONE,
        description: "Computes an arithmetic expression, such as `(2 + 3) * 4` or `round(total * 0.21, 2)`".to_owned(),
        output_fields: vec!["result".to_owned()],
        parameters: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["expression"],
            "properties": {
                "expression": {
                    "type": "string", "minLength": 1, "maxLength": EXPRESSION_BYTES_MAX,
                    "description": "Numbers, names of variables, + - * / // % **, brackets, and \
                                    abs, ceil, floor, max, min, round, sqrt",
                },
                "variables": {
                    "type": "object", "additionalProperties": {"type": "number"},
                    "description": "Numbers by name",
                },
            },
        }),
        ..ToolContract::new(EffectClass::Pure, Duration::from_secs(1))
    };
    ToolEntry::new(
        "calculator",
        "data",
        "built-in",
        ActionSpec::new(facts, "tool_execution", ToolRisk::Low),
        Arc::new(CalculatorTool),
    )
}

struct CalculatorTool;

#[async_trait]
impl ToolHandler for CalculatorTool {
    async fn attempt(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        let expression = request.text("expression").unwrap_or_default();
        let result = parser::calculate(expression, request.argument("variables").as_object())
            .and_then(|number| number.to_json().ok_or_else(|| "the result is too large for a JSON number".to_owned()));
        match result {
            Ok(result) => Ok(Value::Object(Map::from_iter([("result".to_owned(), result)]))),
            Err(reason) => Err(ToolError::permanent(code::CALCULATION_FAILED, reason)),
        }
    }
}

#[cfg(test)]
mod tests;
