//! `filter_list`: returns the items of a list that satisfy a condition.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baton_core::tool::{EffectClass, RetryPolicy, ToolContract};
use baton_expr::{Condition, ConditionLanguage, EvalContext, ExprLimits, ParseError};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::catalogue::{ActionSpec, ToolEntry, ToolRisk};
use crate::code;
use crate::request::PreparedRequest;
use crate::tool::ToolHandler;
use crate::tool_error::ToolError;

/// Maximum number of items of one list.
const ITEMS_MAX: usize = 10_000;

pub(crate) fn entry() -> ToolEntry {
    let facts = ToolContract {
        retry: RetryPolicy::NONE,
        description: "Keeps the items of a list for which a condition holds".to_owned(),
        output_fields: vec!["items".to_owned(), "count".to_owned()],
        parameters: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["items", "condition"],
            "properties": {
                "items": {"type": "array", "maxItems": ITEMS_MAX},
                "condition": {
                    "description": "An expression over the item's fields, `item` and `index`, such as `price > 10`; or \
                                    {type: expr | jmespath, expression}; or {field, operator, value}",
                    "oneOf": [
                        {"type": "string", "minLength": 1, "maxLength": ExprLimits::EXPRESSION_BYTES_MAX},
                        {
                            "type": "object", "additionalProperties": false, "required": ["expression"],
                            "properties": {
                                "type": {"enum": ["expr", "python", "jmespath", "field"]},
                                "expression": {"type": "string"},
                            },
                        },
                        {
                            "type": "object", "additionalProperties": false, "required": ["field", "operator"],
                            "properties": {"field": {"type": "string"}, "operator": {"type": "string"}, "value": {}},
                        },
                    ],
                },
            },
        }),
        ..ToolContract::new(EffectClass::Pure, Duration::from_secs(10))
    };
    let action = ActionSpec::new(facts, "tool_execution", ToolRisk::Low);
    ToolEntry::new("filter_list", "data", "built-in", action, Arc::new(FilterList))
}

struct FilterList;

#[async_trait]
impl ToolHandler for FilterList {
    async fn attempt(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        let condition = condition(request.argument("condition")).map_err(|error| {
            let hint = error.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
            ToolError::permanent(code::INVALID_PARAMETERS, format!("`condition`: {}{hint}", error.message))
        })?;
        let items = request.argument("items").as_array().map(Vec::as_slice).unwrap_or_default();
        let mut kept = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let names = ItemScope { item, index, now: request.call.at.to_timestamp(), zone: request.zone() };
            let holds = condition.holds(&names).map_err(|error| {
                let hint = error.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
                ToolError::permanent(code::EXPRESSION_FAILED, format!("item {index}: {}{hint}", error.message))
            })?;
            if holds {
                kept.push(item.clone());
            }
        }
        Ok(json!({"count": kept.len(), "items": kept}))
    }
}

fn condition(written: &Value) -> Result<Condition, ParseError> {
    let text = |name: &str| written.get(name).and_then(Value::as_str);
    match (written.as_str(), text("expression"), text("field"), text("operator")) {
        (Some(expression), ..) => Condition::parse(ConditionLanguage::Expr, expression),
        (None, Some(expression), ..) => Condition::parse(text("type").unwrap_or("expr").parse()?, expression),
        (None, None, field, operator) => {
            let value = written.get("value").cloned().unwrap_or_default();
            Condition::structured(field.unwrap_or_default(), operator.unwrap_or_default(), value)
        }
    }
}

/// The names that a condition sees for one item: `item`, `index`, and the item's own fields if it has any.
struct ItemScope<'i> {
    item: &'i Value,
    index: usize,
    now: Timestamp,
    zone: &'i str,
}

impl EvalContext for ItemScope<'_> {
    fn lookup(&self, root: &str) -> Option<Cow<'_, Value>> {
        match (self.item.get(root), root) {
            (Some(field), _) => Some(Cow::Borrowed(field)),
            (None, "item") => Some(Cow::Borrowed(self.item)),
            (None, "index") => Some(Cow::Owned(Value::from(self.index))),
            (None, _) => None,
        }
    }

    fn known_names(&self) -> Vec<String> {
        let fields = self.item.as_object().into_iter().flat_map(|fields| fields.keys().cloned());
        fields.chain(["item".to_owned(), "index".to_owned()]).collect()
    }

    fn now(&self) -> Timestamp {
        self.now
    }

    fn zone(&self) -> &str {
        self.zone
    }
}

#[cfg(test)]
mod tests;
