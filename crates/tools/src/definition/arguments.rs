//! Checks the arguments that a definition's templates read against the parameters that it declares.

use baton_expr::{JinjaTemplate, nearest};
use serde_json::{Map, Value};

use crate::validation_warning::ValidationWarning;

/// The name under which templates see the arguments of a call.
const ROOT: &str = "arguments";

/// Warns about arguments that are read but not declared, if a declared one has a similar name. Without declared
/// parameters, a call may pass any arguments.
pub(super) fn warnings(definition: &Map<String, Value>) -> Vec<ValidationWarning> {
    let declared = definition.get("parameters").and_then(|schema| schema.get("properties")).and_then(Value::as_object);
    let Some(declared) = declared.filter(|declared| !declared.is_empty()) else { return Vec::new() };
    let mut doubts = Vec::new();
    for (key, value) in definition.iter().filter(|(key, _)| *key != "parameters") {
        collect_warnings(key, value, declared, &mut doubts);
    }
    doubts
}

fn collect_warnings(place: &str, value: &Value, declared: &Map<String, Value>, doubts: &mut Vec<ValidationWarning>) {
    match value {
        Value::String(text) if text.contains("{{") || text.contains("{%") => {
            // A template that does not parse is reported as an error elsewhere.
            let reads = JinjaTemplate::parse(text).map(|template| template.fields()).unwrap_or_default();
            for argument in reads.iter().filter(|read| read.root == ROOT).filter_map(|read| read.fields.first()) {
                let near = nearest(argument, declared.keys().map(String::as_str));
                if let (Some(near), false) = (near, declared.contains_key(argument)) {
                    doubts.push(ValidationWarning {
                        place: place.to_owned(),
                        message: format!("it reads `{ROOT}.{argument}`, and its `parameters` have no `{argument}`"),
                        hint: format!("did you mean `{near}`?"),
                    });
                }
            }
        }
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(at, item)| collect_warnings(&format!("{place}.{at}"), item, declared, doubts));
        }
        Value::Object(fields) => {
            fields.iter().for_each(|(key, field)| collect_warnings(&format!("{place}.{key}"), field, declared, doubts));
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
