//! The JSON Schema of the format, for editors and generators, made from the reader's own tables.
//!
//! A schema cannot express everything that the reader checks (names, order, expressions), but it accepts everything
//! that the reader accepts.

use serde_json::{Map, Value as Json, json};

use super::fields::{FieldSchema, FieldShape};
use super::{body, kinds, node, policy, reader, root};

/// Returns the JSON Schema (2020-12) of a workflow file, as committed in `docs/reference/workflow.schema.json`.
pub fn schema() -> Json {
    let mut whole = object(&[root::FIELDS, root::WORKFLOW, body::FIELDS]);
    whole.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    whole.insert("title".to_owned(), json!("Baton workflow"));
    whole.insert("$defs".to_owned(), Json::Object(definitions()));
    Json::Object(whole)
}

fn definitions() -> Map<String, Json> {
    let tables: [(&str, &[&[FieldSchema]]); 12] = [
        ("workflow", &[root::WORKFLOW, body::FIELDS, root::FIELDS]),
        ("body", &[body::FIELDS]),
        ("edge", &[body::EDGE]),
        ("case", &[kinds::switch::CASE]),
        ("retry", &[policy::RETRY]),
        ("handover_trigger", &[root::HANDOVER_TRIGGER]),
        ("hil_config", &[root::HIL]),
        ("composio", &[root::COMPOSIO]),
        ("composio_app", &[root::COMPOSIO_APP]),
        ("expression", &[reader::EXPRESSION]),
        ("undo", &[policy::COMPENSATION]),
        ("declared_variable", &[root::VARIABLE]),
    ];
    let mut all: Map<String, Json> =
        tables.into_iter().map(|(name, fields)| (name.to_owned(), Json::Object(object(fields)))).collect();
    all.insert("kind".to_owned(), json!({ "enum": kinds::ALL.iter().map(|kind| kind.word).collect::<Vec<_>>() }));
    all.insert(
        "condition".to_owned(),
        json!({ "anyOf": [
        { "type": ["string", "boolean"], "description": "An expression in `expr`." }, reference("expression")] }),
    );
    all.insert("branch".to_owned(), json!({ "type": ["string", "boolean"] }));
    all.insert(
        "duration".to_owned(),
        json!({
        "anyOf": [{ "type": "number", "minimum": 0 }, { "type": "string", "pattern": "^ *[0-9]" }],
        "description": "`500ms`, `10s`, `5m`, `1h30m`, `2d`, or a number of seconds." }),
    );
    all.insert(
        "names".to_owned(),
        json!({
        "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] }),
    );
    all.insert(
        "on_error".to_owned(),
        json!({ "anyOf": [
        { "enum": ["fail", "continue", "compensate"] },
        { "type": "string", "pattern": "^goto ." },
        object(&[policy::GOTO])] }),
    );
    all.insert("compensation".to_owned(), json!({ "anyOf": [{ "const": "none" }, reference("undo")] }));
    all.insert(
        "at_deadline".to_owned(),
        json!({ "anyOf": [
        { "enum": ["fail", "approve", "reject"] }, object(&[reader::AT_DEADLINE])] }),
    );
    all.insert(
        "variable".to_owned(),
        json!({ "anyOf": [
        { "type": ["null", "boolean", "number", "string", "array"] }, reference("declared_variable")] }),
    );
    all.insert("node".to_owned(), any_kind(true));
    all.insert("step".to_owned(), any_kind(false));
    for kind in kinds::ALL {
        all.insert(format!("{}_node", kind.word), Json::Object(kind_node(kind)));
    }
    all
}

/// Returns the schema of a node of any kind; a step may have no id.
fn any_kind(needs_id: bool) -> Json {
    let kinds: Vec<Json> = kinds::ALL.iter().map(|kind| reference(&format!("{}_node", kind.word))).collect();
    if needs_id { json!({ "anyOf": kinds, "required": ["id"] }) } else { json!({ "anyOf": kinds }) }
}

/// Returns the schema of one kind, identified by its `type` or by a key that implies it. Its own keys may be under
/// `config`.
fn kind_node(kind: &kinds::KindDescriptor) -> Map<String, Json> {
    let mut schema = object(&[node::FIELDS, policy::FIELDS, kind.fields]);
    // Required keys may be under `config`, so they are not required here.
    schema.remove("required");
    schema.insert("description".to_owned(), json!(kind.doc));
    let mut told: Vec<Json> = ["type", "kind"]
        .into_iter()
        .map(|key| json!({ "required": [key], "properties": { key: { "const": kind.word } } }))
        .collect();
    for key in kind.inferring_keys {
        told.push(json!({ "required": [key] }));
        told.push(json!({ "required": ["config"], "properties": { "config": { "required": [key] } } }));
    }
    schema.insert("anyOf".to_owned(), Json::Array(told));
    if kind.word != "sink"
        && let Some(properties) = schema.get_mut("properties").and_then(Json::as_object_mut)
    {
        let mut config = object(&[node::FIELDS, policy::FIELDS, kind.fields]);
        config.remove("required");
        let kept = ["id", "type", "kind", "config"];
        if let Some(inner) = config.get_mut("properties").and_then(Json::as_object_mut) {
            inner.retain(|name, _| !kept.contains(&name.as_str()));
        }
        properties.insert("config".to_owned(), Json::Object(config));
    }
    schema
}

/// Returns the schema of a mapping with exactly these keys. `null` counts as absent.
fn object(tables: &[&[FieldSchema]]) -> Map<String, Json> {
    let all = || tables.iter().flat_map(|table| table.iter());
    let properties: Map<String, Json> = all().map(|field| (field.name.to_owned(), property(field))).collect();
    let required: Vec<&str> = all().filter(|field| field.required).map(|field| field.name).collect();
    let mut object = Map::new();
    object.insert("type".to_owned(), json!("object"));
    object.insert("properties".to_owned(), Json::Object(properties));
    object.insert("additionalProperties".to_owned(), json!(false));
    if !required.is_empty() {
        object.insert("required".to_owned(), json!(required));
    }
    object
}

fn property(field: &FieldSchema) -> Json {
    let shape = match field.shape {
        FieldShape::Any => return json!({ "description": field.doc }),
        FieldShape::Text => json!({ "type": "string" }),
        FieldShape::Template => json!({ "type": ["string", "number"] }),
        FieldShape::Bool => json!({ "type": "boolean" }),
        FieldShape::Count => json!({ "type": "integer", "minimum": 1 }),
        FieldShape::Number => json!({ "type": "number", "minimum": 0 }),
        FieldShape::Duration => reference("duration"),
        FieldShape::Object => json!({ "type": "object" }),
        FieldShape::Word(words) => json!({ "enum": words }),
        FieldShape::Names => reference("names"),
        FieldShape::Of(name) => reference(name),
        FieldShape::ListOf(name) => json!({ "type": "array", "items": reference(name) }),
        FieldShape::MapOf(name) => json!({ "type": "object", "additionalProperties": reference(name) }),
    };
    if field.required {
        let mut required = shape;
        required["description"] = json!(field.doc);
        return required;
    }
    json!({ "description": field.doc, "anyOf": [shape, { "type": "null" }] })
}

fn reference(name: &str) -> Json {
    json!({ "$ref": format!("#/$defs/{name}") })
}
