//! JSON Schemas in the forms that providers accept. A part that a provider does not enforce is still validated when the
//! reply is read.

use baton_core::model::{ModelMessage, ModelRequest};
use serde_json::{Map, Value, json};

/// Whether OpenAI's strict mode accepts a schema: every object closed, every property required, and no keyword that the
/// mode does not support.
pub(super) fn is_strict(schema: &Value) -> bool {
    const PLAIN: [&str; 18] = [
        "type",
        "required",
        "enum",
        "const",
        "description",
        "title",
        "$ref",
        "pattern",
        "format",
        "multipleOf",
        "maximum",
        "minimum",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "minItems",
        "maxItems",
        "$schema",
        "$id",
    ];
    let Some(fields) = schema.as_object() else { return false };
    let known = |(word, value): (&String, &Value)| match word.as_str() {
        "properties" | "$defs" | "definitions" => value.as_object().is_some_and(|all| all.values().all(is_strict)),
        "anyOf" => value.as_array().is_some_and(|all| all.iter().all(is_strict)),
        "items" => is_strict(value),
        "additionalProperties" => *value == json!(false),
        word => PLAIN.contains(&word),
    };
    let says_what = ["type", "enum", "const", "anyOf", "$ref"].iter().any(|word| fields.contains_key(*word));
    says_what && fields.iter().all(known) && (!is_object(fields) || is_closed(fields))
}

fn is_closed(fields: &Map<String, Value>) -> bool {
    let required: Vec<&str> =
        fields.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let properties = fields.get("properties").and_then(Value::as_object);
    fields.contains_key("additionalProperties")
        && properties.is_some_and(|all| all.keys().all(|name| required.contains(&name.as_str())))
}

/// Whether a schema is an object schema; providers enforce no others.
pub(super) fn is_of_object(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("object")
}

/// Whether any object is valid: what OpenAI calls JSON mode.
pub(super) fn is_any_object(schema: &Value) -> bool {
    is_of_object(schema) && schema.as_object().is_some_and(|fields| fields.len() == 1)
}

/// Whether the schema allows an object, alone or among other types.
fn is_object(fields: &Map<String, Value>) -> bool {
    match fields.get("type") {
        Some(Value::Array(types)) => types.iter().any(|kind| kind == "object"),
        Some(kind) => kind == "object",
        None => fields.contains_key("properties"),
    }
}

/// Converts the schema to the form of Anthropic's structured outputs: objects closed, bounds removed because they are
/// not supported. `None` if that would change its meaning: an object with arbitrary fields, a keyword that cannot be
/// removed.
pub(super) fn to_anthropic_schema(schema: &Value) -> Option<Value> {
    let fields = schema.as_object()?;
    let mut narrow = Map::new();
    for (word, value) in fields {
        let kept = match word.as_str() {
            "properties" | "$defs" | "definitions" => {
                let all =
                    value.as_object()?.iter().map(|(name, schema)| Some((name.clone(), to_anthropic_schema(schema)?)));
                Value::Object(all.collect::<Option<_>>()?)
            }
            "anyOf" | "allOf" | "oneOf" => {
                Value::Array(value.as_array()?.iter().map(to_anthropic_schema).collect::<Option<_>>()?)
            }
            "items" => to_anthropic_schema(value)?,
            "$ref" if value == "#" => return None,
            "type" | "required" | "enum" | "const" | "description" | "title" | "default" | "$ref" | "format" => {
                value.clone()
            }
            "additionalProperties" if value.is_boolean() => continue,
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" | "minLength"
            | "maxLength" | "pattern" | "minItems" | "maxItems" | "uniqueItems" | "examples" | "$schema" | "$id"
            | "$comment" => continue,
            _ => return None,
        };
        // The caller checks that exactly one variant matches.
        let word = if word == "oneOf" { "anyOf" } else { word };
        narrow.insert(word.to_owned(), kept);
    }
    if is_object(&narrow) {
        narrow.get("properties")?;
        narrow.insert("additionalProperties".to_owned(), json!(false));
    }
    Some(Value::Object(narrow))
}

/// Whether Anthropic's strict tools accept a schema unchanged.
pub(super) fn is_anthropic_strict(schema: &Value) -> bool {
    to_anthropic_schema(schema).as_ref() == Some(schema)
}

/// The instruction to the model about a schema that its provider does not enforce; `None` if the messages already
/// contain it.
pub(super) fn instruction(request: &ModelRequest) -> Option<String> {
    let schema = request.schema.as_ref()?.to_string();
    let said = |message: &ModelMessage| match message {
        ModelMessage::System { content, .. } | ModelMessage::User { content, .. } => content.contains(&schema),
        ModelMessage::Assistant { .. } | ModelMessage::Tool { .. } => false,
    };
    let when = if request.tools.is_empty() { "Answer with" } else { "When you need no further tool, answer with" };
    (!request.messages.iter().any(said)).then(|| {
        format!("{when} one JSON value that satisfies this JSON Schema, and nothing else, no code fence:\n{schema}")
    })
}

/// A tool's parameters; providers require an object schema.
pub(super) fn parameters(schema: &Value) -> Value {
    if schema.is_object() { schema.clone() } else { json!({"type": "object", "properties": {}}) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_mode_is_for_schemas_that_leave_nothing_open() {
        let of = |more: Value| {
            let mut schema = json!({
                "type": "object",
                "properties": {"type": {"type": "string"}, "n": {"type": ["integer", "null"], "minimum": 0}},
                "required": ["type", "n"],
                "additionalProperties": false,
            });
            schema.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            is_strict(&schema)
        };
        assert!(of(json!({})));
        for open in [
            json!({"required": ["n"]}),
            json!({"additionalProperties": true}),
            json!({"properties": {"x": {}}, "required": ["x"]}),
            json!({"properties": {"x": {"type": "object"}}, "required": ["x"]}),
            json!({"properties": {"x": {"type": "string", "minLength": 1}}, "required": ["x"]}),
            json!({"not": {}}),
        ] {
            assert!(!of(open.clone()), "{open}");
        }
    }

    #[test]
    fn a_narrowed_schema_is_closed_and_without_bounds() {
        let schema = json!({
            "type": "object",
            "properties": {
                "minimum": {"type": "integer", "minimum": 1},
                "slots": {"type": "array", "items": {"oneOf": [{"type": "string"}, {"$ref": "#/$defs/slot"}]}},
            },
            "required": ["minimum"],
            "$defs": {"slot": {"type": "object", "properties": {"at": {"type": "string", "maxLength": 5}}}},
        });
        let expected = json!({
            "type": "object",
            "properties": {
                "minimum": {"type": "integer"},
                "slots": {"type": "array", "items": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/slot"}]}},
            },
            "required": ["minimum"],
            "additionalProperties": false,
            "$defs": {"slot": {
                "type": "object", "properties": {"at": {"type": "string"}}, "additionalProperties": false
            }},
        });
        assert_eq!(to_anthropic_schema(&schema), Some(expected));
    }

    #[test]
    fn what_narrowing_would_change_is_left_to_others() {
        for schema in [
            json!({"type": "object"}),
            json!({"type": "object", "additionalProperties": {"type": "string"}}),
            json!({"type": "object", "properties": {"any": {"type": "object", "additionalProperties": true}}}),
            json!({"type": "object", "properties": {"again": {"$ref": "#"}}}),
            json!({"type": "object", "properties": {}, "not": {"required": ["x"]}}),
            json!(true),
        ] {
            assert_eq!(to_anthropic_schema(&schema), None, "{schema}");
        }
    }

    #[test]
    fn the_instruction_is_not_given_twice() {
        let mut request = ModelRequest { schema: Some(json!({"type": "array"})), ..ModelRequest::default() };
        let told = instruction(&request).expect("an instruction");
        request.messages.push(ModelMessage::system(told));
        assert_eq!(instruction(&request), None);
    }
}
