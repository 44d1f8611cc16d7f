//! Schemas of arguments and results: self-contained JSON Schema 2020-12, whatever dialect and references the document
//! uses.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Map, Value, json};

use super::cursor::DocumentCursor;
use super::{ImportDiagnostic, OpenApiVersion};

/// Maximum number of referenced schemas of one tool's arguments; beyond it anything is accepted.
const DEFINITIONS_MAX: usize = 300;
/// Maximum number of referenced schemas of one tool's results, which are shown and not validated.
const ANSWER_DEFINITIONS_MAX: usize = 50;
const DEPTH_MAX: usize = 64;
/// Keywords that do not affect what a schema accepts.
const DROPPED_KEYWORDS: &[&str] =
    &["$schema", "discriminator", "example", "examples", "externalDocs", "nullable", "xml"];
/// The prefix of a reference to a schema.
const SCHEMAS: &str = "#/components/schemas/";
/// Keywords whose value is a schema, a list of schemas, or schemas by name.
const SUBSCHEMA_KEYWORDS: &[&str] =
    &["additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then"];
const SUBSCHEMA_LISTS: &[&str] = &["allOf", "anyOf", "oneOf", "prefixItems"];
const SUBSCHEMA_MAPS: &[&str] = &["$defs", "definitions", "dependentSchemas", "patternProperties", "properties"];

/// Who writes the values that a schema describes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SchemaWriter {
    Caller,
    Service,
}

/// Collects the schemas that those of one tool refer to.
pub(super) struct SchemaCollector<'d, 'n> {
    root: DocumentCursor<'d>,
    version: OpenApiVersion,
    writer: SchemaWriter,
    definitions_max: usize,
    /// By reference: the name under `$defs`.
    names: BTreeMap<String, String>,
    waiting: VecDeque<(String, DocumentCursor<'d>)>,
    notes: &'n mut Vec<ImportDiagnostic>,
}

impl<'d, 'n> SchemaCollector<'d, 'n> {
    pub(super) fn new(
        root: &DocumentCursor<'d>,
        version: OpenApiVersion,
        notes: &'n mut Vec<ImportDiagnostic>,
    ) -> Self {
        let (names, waiting) = (BTreeMap::new(), VecDeque::new());
        let (writer, definitions_max) = (SchemaWriter::Caller, DEFINITIONS_MAX);
        Self { root: root.clone(), version, writer, definitions_max, names, waiting, notes }
    }

    /// Creates a collector for the results of a service.
    pub(super) fn of_answers(
        root: &DocumentCursor<'d>,
        version: OpenApiVersion,
        notes: &'n mut Vec<ImportDiagnostic>,
    ) -> Self {
        let asked = Self::new(root, version, notes);
        Self { writer: SchemaWriter::Service, definitions_max: ANSWER_DEFINITIONS_MAX, ..asked }
    }

    /// Converts a schema to JSON Schema. [`Self::define`] adds the schemas it refers to.
    pub(super) fn of(&mut self, written: &DocumentCursor<'_>) -> Value {
        self.convert(written.value(), &written.place(), 0)
    }

    /// Adds the referenced schemas, by name.
    pub(super) fn define(self, schema: &mut Value) {
        let definitions = self.definitions();
        if let Value::Object(schema) = schema
            && !definitions.is_empty()
        {
            schema.insert("$defs".to_owned(), Value::Object(definitions));
        }
    }

    fn definitions(mut self) -> Map<String, Value> {
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
            let schema = self.resolve_reference(reference, place);
            if self.version == OpenApiVersion::V30 {
                return if nullable { json!({"anyOf": [schema, {"type": "null"}]}) } else { schema };
            }
            // Since 3.1, keywords beside a reference apply too.
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
            self.discriminate(&mut converted, fields, discriminator);
        }
        if self.writer == SchemaWriter::Caller && is_file(schema) {
            // Arguments are JSON.
            converted.remove("format");
            converted.entry("type").or_insert_with(|| json!("string"));
            converted.insert("contentEncoding".to_owned(), json!("base64"));
        }
        if self.version == OpenApiVersion::V30 {
            bounds(&mut converted);
            if fields.get("nullable") == Some(&Value::Bool(true)) {
                if !converted.contains_key("type") && !converted.contains_key("enum") {
                    // Beside `allOf` and similar keywords it applies to the whole.
                    self.drop_other_direction(&mut converted);
                    return json!({"anyOf": [converted, {"type": "null"}]});
                }
                allow_null(&mut converted);
            }
        }
        self.drop_other_direction(&mut converted);
        Value::Object(converted)
    }

    fn keyword(&mut self, keyword: &str, value: &Value, place: &str, depth: usize) -> Option<Value> {
        if DROPPED_KEYWORDS.contains(&keyword) || keyword.starts_with("x-") {
            return None;
        }
        let inner = |name: &str| format!("{place}.{keyword}.{name}");
        match value {
            Value::Object(_) if SUBSCHEMA_KEYWORDS.contains(&keyword) => {
                Some(self.convert(value, &format!("{place}.{keyword}"), depth + 1))
            }
            Value::Object(named) if SUBSCHEMA_MAPS.contains(&keyword) => {
                let mut converted = Map::new();
                for (name, schema) in named {
                    converted.insert(name.clone(), self.convert(schema, &inner(name), depth + 1));
                }
                Some(Value::Object(converted))
            }
            Value::Array(schemas) if SUBSCHEMA_LISTS.contains(&keyword) || keyword == "items" => {
                let each = schemas.iter().enumerate();
                let converted = each.map(|(index, schema)| self.convert(schema, &inner(&index.to_string()), depth + 1));
                Some(Value::Array(converted.collect()))
            }
            other => Some(other.clone()),
        }
    }

    fn resolve_reference(&mut self, reference: &str, place: &str) -> Value {
        if let Some(name) = self.names.get(reference) {
            return json!({ "$ref": format!("#/$defs/{name}") });
        }
        if self.names.len() >= self.definitions_max {
            let most = self.definitions_max;
            self.note(place, format!("leads to more than {most} schemas; anything is accepted there"));
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
        self.notes.push(ImportDiagnostic { place: place.to_owned(), reason });
    }

    /// Restricts an alternative to the discriminator values that select it: without that, a value that matches two
    /// alternatives of `oneOf` is rejected. Those values are the ones in the mapping, else the name of the schema.
    fn discriminate(&self, converted: &mut Map<String, Value>, written: &Map<String, Value>, discriminator: &Value) {
        let Some(property) = discriminator.get("propertyName").and_then(Value::as_str) else { return };
        let mapping = discriminator.get("mapping").and_then(Value::as_object);
        for keyword in ["oneOf", "anyOf"] {
            let Some(alternatives) = written.get(keyword).and_then(Value::as_array) else { continue };
            let Some(converted) = converted.get_mut(keyword).and_then(Value::as_array_mut) else { continue };
            for (written, converted) in alternatives.iter().zip(converted) {
                let Some(reference) = written.get("$ref").and_then(Value::as_str) else { continue };
                let values = self.mapped_schemas(reference, property, mapping);
                if !values.is_empty() {
                    let alone = json!({"required": [property], "properties": {property: {"enum": values}}});
                    *converted = json!({"allOf": [converted.take(), alone]});
                }
            }
        }
    }

    /// Returns the discriminator values that select the schema of a reference. Empty if the schema itself excludes
    /// its name.
    fn mapped_schemas<'r>(
        &self,
        reference: &'r str,
        property: &str,
        mapping: Option<&'r Map<String, Value>>,
    ) -> Vec<&'r str> {
        let name = reference.strip_prefix(SCHEMAS);
        let is_it = |target: &Value| {
            let target = target.as_str();
            target == Some(reference) || (name.is_some() && target == name)
        };
        let mapped = mapping.into_iter().flatten().filter(|(_, target)| is_it(target));
        let mapped: Vec<&str> = mapped.map(|(value, _)| value.as_str()).collect();
        match name {
            Some(name) if mapped.is_empty() && self.may_be(reference, property, name) => vec![name],
            Some(_) | None => mapped,
        }
    }

    /// Returns whether the schema of a reference allows this value of the property.
    fn may_be(&self, reference: &str, property: &str, value: &str) -> bool {
        let Ok(schema) = self.root.at(reference).and_then(|schema| schema.resolved()) else { return false };
        let parts = schema.field("allOf").items().into_iter().filter_map(|part| part.resolved().ok());
        std::iter::once(schema.clone()).chain(parts).all(|part| {
            let Ok(said) = part.field("properties").field(property).resolved() else { return true };
            let fits = |one: &DocumentCursor<'_>| one.is_null() || one.text() == Some(value);
            let listed = said.field("enum").items();
            fits(&said.field("const")) && (listed.is_empty() || listed.iter().any(|one| one.text() == Some(value)))
        })
    }

    /// Drops read-only properties from arguments and write-only properties from results.
    fn drop_other_direction(&self, schema: &mut Map<String, Value>) {
        let theirs = match self.writer {
            SchemaWriter::Caller => "readOnly",
            SchemaWriter::Service => "writeOnly",
        };
        let Some(Value::Object(properties)) = schema.get_mut("properties") else { return };
        let is_theirs = |property: &Value| property.get(theirs) == Some(&Value::Bool(true));
        let left: Vec<String> =
            properties.iter().filter(|(_, property)| is_theirs(property)).map(|(name, _)| name.clone()).collect();
        properties.retain(|name, _| !left.contains(name));
        if let Some(Value::Array(required)) = schema.get_mut("required") {
            required.retain(|name| !left.iter().any(|left| name == left));
        }
    }
}

/// Returns whether it describes raw bytes: `binary` in 3.0, a content media type without an encoding in 3.1.
pub(super) fn is_file(schema: &Value) -> bool {
    let text = |name: &str| schema.get(name).and_then(Value::as_str);
    let is_text = |kind: &str| kind.starts_with("text/") || kind.contains("json") || kind.contains("xml");
    let is_of_bytes = text("contentMediaType").is_some_and(|kind| !is_text(kind));
    text("format") == Some("binary") || (is_of_bytes && text("contentEncoding").is_none())
}

/// Converts `exclusiveMinimum: true` beside `minimum` to the number that JSON Schema expects.
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
