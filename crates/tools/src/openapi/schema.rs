//! Schemas of arguments: JSON Schema 2020-12 that stands for itself, whatever the document speaks and refers to.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Map, Value, json};

use super::within::Within;
use super::{Unsupported, Version};

/// Schemas that one tool's arguments may lead to; beyond them anything is accepted.
const DEFINITIONS_MAX: usize = 300;
const DEPTH_MAX: usize = 64;
/// Words about a schema that say nothing of what it accepts.
const LEFT_OUT: &[&str] = &["$schema", "discriminator", "example", "examples", "externalDocs", "nullable", "xml"];
/// Keywords whose value is a schema, a list of schemas, and schemas by name.
const ONE: &[&str] = &["additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then"];
const LISTS: &[&str] = &["allOf", "anyOf", "oneOf", "prefixItems"];
const NAMED: &[&str] = &["$defs", "definitions", "dependentSchemas", "patternProperties", "properties"];

/// Gathers what the schemas of one tool refer to.
pub(super) struct Schemas<'d, 'n> {
    root: Within<'d>,
    version: Version,
    /// By reference: the name under `$defs`.
    names: BTreeMap<String, String>,
    waiting: VecDeque<(String, Within<'d>)>,
    notes: &'n mut Vec<Unsupported>,
}

impl<'d, 'n> Schemas<'d, 'n> {
    pub(super) fn new(root: &Within<'d>, version: Version, notes: &'n mut Vec<Unsupported>) -> Self {
        Self { root: root.clone(), version, names: BTreeMap::new(), waiting: VecDeque::new(), notes }
    }

    /// A schema as JSON Schema; what it refers to comes with [`Self::definitions`].
    pub(super) fn of(&mut self, written: &Within<'_>) -> Value {
        self.convert(written.value(), &written.place(), 0)
    }

    /// What the schemas refer to, by name.
    pub(super) fn definitions(mut self) -> Map<String, Value> {
        let mut definitions = Map::new();
        while let Some((name, schema)) = self.waiting.pop_front() {
            let converted = self.convert(schema.value(), &schema.place(), 0);
            definitions.insert(name, converted);
        }
        definitions
    }

    fn convert(&mut self, schema: &Value, place: &str, depth: usize) -> Value {
        let Value::Object(fields) = schema else {
            return if schema.is_boolean() { schema.clone() } else { json!({}) };
        };
        if depth >= DEPTH_MAX {
            self.note(place, format!("is nested deeper than {DEPTH_MAX}; anything is accepted there"));
            return json!({});
        }
        if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
            let nullable = fields.get("nullable") == Some(&Value::Bool(true));
            let schema = self.referred(reference, place);
            if self.version == Version::V30 {
                return if nullable { json!({"anyOf": [schema, {"type": "null"}]}) } else { schema };
            }
            // What stands beside a reference counts since 3.1.
            let mut beside = fields.clone();
            beside.remove("$ref");
            let beside = self.convert(&Value::Object(beside), place, depth + 1);
            return match (schema, beside) {
                (Value::Object(schema), Value::Object(beside)) => {
                    Value::Object(beside.into_iter().chain(schema).collect())
                }
                (schema, _) => schema,
            };
        }
        let mut converted = Map::new();
        for (keyword, value) in fields {
            if let Some(value) = self.keyword(keyword, value, place, depth) {
                converted.insert(keyword.clone(), value);
            }
        }
        if let Some(discriminator) = fields.get("discriminator") {
            discriminate(&mut converted, fields, discriminator);
        }
        if self.version == Version::V30 {
            bounds(&mut converted);
            if fields.get("nullable") == Some(&Value::Bool(true)) {
                if !converted.contains_key("type") && !converted.contains_key("enum") {
                    // Beside `allOf` and its like it is meant of the whole.
                    leave_to_service(&mut converted);
                    return json!({"anyOf": [converted, {"type": "null"}]});
                }
                allow_null(&mut converted);
            }
        }
        leave_to_service(&mut converted);
        Value::Object(converted)
    }

    fn keyword(&mut self, keyword: &str, value: &Value, place: &str, depth: usize) -> Option<Value> {
        if LEFT_OUT.contains(&keyword) || keyword.starts_with("x-") {
            return None;
        }
        let inner = |name: &str| format!("{place}.{keyword}.{name}");
        match value {
            Value::Object(_) if ONE.contains(&keyword) => {
                Some(self.convert(value, &format!("{place}.{keyword}"), depth + 1))
            }
            Value::Object(named) if NAMED.contains(&keyword) => {
                let mut converted = Map::new();
                for (name, schema) in named {
                    converted.insert(name.clone(), self.convert(schema, &inner(name), depth + 1));
                }
                Some(Value::Object(converted))
            }
            Value::Array(schemas) if LISTS.contains(&keyword) || keyword == "items" => {
                let each = schemas.iter().enumerate();
                let converted = each.map(|(index, schema)| self.convert(schema, &inner(&index.to_string()), depth + 1));
                Some(Value::Array(converted.collect()))
            }
            other => Some(other.clone()),
        }
    }

    fn referred(&mut self, reference: &str, place: &str) -> Value {
        if let Some(name) = self.names.get(reference) {
            return json!({ "$ref": format!("#/$defs/{name}") });
        }
        if self.names.len() >= DEFINITIONS_MAX {
            self.note(place, format!("leads to more than {DEFINITIONS_MAX} schemas; anything is accepted there"));
            return json!({});
        }
        match self.root.at(reference) {
            Ok(schema) => {
                let name = self.free_name(reference);
                self.names.insert(reference.to_owned(), name.clone());
                self.waiting.push_back((name.clone(), schema));
                json!({ "$ref": format!("#/$defs/{name}") })
            }
            Err(reason) => {
                self.note(place, format!("{reason}; anything is accepted there"));
                json!({})
            }
        }
    }

    fn free_name(&self, reference: &str) -> String {
        let last = reference.rsplit('/').next().unwrap_or_default();
        let plain: String =
            last.chars().map(|char| if char.is_ascii_alphanumeric() || char == '_' { char } else { '_' }).collect();
        let is_free = |name: &String| !self.names.values().any(|taken| taken == name);
        let numbered = (2..).map(|number: usize| format!("{plain}_{number}"));
        std::iter::once(plain.clone()).chain(numbered).find(is_free).unwrap_or_default()
    }

    pub(super) fn note(&mut self, place: &str, reason: String) {
        self.notes.push(Unsupported { place: place.to_owned(), reason });
    }
}

/// Where a mapping says which value stands for which alternative, an alternative holds with its values alone: without
/// that, what fits two of `oneOf` fits none. Alternatives that the mapping does not name stay as they are.
fn discriminate(converted: &mut Map<String, Value>, written: &Map<String, Value>, discriminator: &Value) {
    let Some(property) = discriminator.get("propertyName").and_then(Value::as_str) else { return };
    let Some(mapping) = discriminator.get("mapping").and_then(Value::as_object) else { return };
    for keyword in ["oneOf", "anyOf"] {
        let Some(alternatives) = written.get(keyword).and_then(Value::as_array) else { continue };
        let Some(converted) = converted.get_mut(keyword).and_then(Value::as_array_mut) else { continue };
        for (written, converted) in alternatives.iter().zip(converted) {
            let Some(reference) = written.get("$ref").and_then(Value::as_str) else { continue };
            let is_it = |target: &&Value| {
                let target = target.as_str().unwrap_or_default();
                target == reference || reference.strip_prefix("#/components/schemas/") == Some(target)
            };
            let values: Vec<&String> =
                mapping.iter().filter(|(_, target)| is_it(target)).map(|(value, _)| value).collect();
            if !values.is_empty() {
                let alone = json!({"required": [property], "properties": {property: {"enum": values}}});
                *converted = json!({"allOf": [converted.take(), alone]});
            }
        }
    }
}

/// `exclusiveMinimum: true` beside `minimum` is a number in JSON Schema.
fn bounds(schema: &mut Map<String, Value>) {
    for (bound, exclusive) in [("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")] {
        match schema.get(exclusive) {
            Some(Value::Bool(true)) => match schema.remove(bound) {
                Some(value) => drop(schema.insert(exclusive.to_owned(), value)),
                None => drop(schema.remove(exclusive)),
            },
            Some(Value::Bool(false)) => drop(schema.remove(exclusive)),
            Some(_) | None => {}
        }
    }
}

fn allow_null(schema: &mut Map<String, Value>) {
    if let Some(kind) = schema.get("type").and_then(Value::as_str).map(str::to_owned) {
        schema.insert("type".to_owned(), json!([kind, "null"]));
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum")
        && !values.contains(&Value::Null)
    {
        values.push(Value::Null);
    }
}

/// What only the service sets is not asked of the caller.
fn leave_to_service(schema: &mut Map<String, Value>) {
    let Some(Value::Object(properties)) = schema.get_mut("properties") else { return };
    let is_read_only = |property: &Value| property.get("readOnly") == Some(&Value::Bool(true));
    let left: Vec<String> =
        properties.iter().filter(|(_, property)| is_read_only(property)).map(|(name, _)| name.clone()).collect();
    properties.retain(|name, _| !left.contains(name));
    if let Some(Value::Array(required)) = schema.get_mut("required") {
        required.retain(|name| !left.iter().any(|left| name == left));
    }
}
