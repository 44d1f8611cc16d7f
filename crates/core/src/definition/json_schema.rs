//! JSON Schemas in definitions: forms, inputs, and the outputs of agents.

use jsonschema::Validator;
use serde_json::Value as Json;

use super::diagnostic::{DiagnosticCode, clip_word};
use super::fields::{MappingReader, wrong_shape};
use super::reader::DefinitionReader;
use super::source::YamlNode;

/// Maximum size of a schema, in bytes of JSON.
pub const SCHEMA_BYTES_MAX: usize = 64 * 1024;
/// Maximum number of regular expressions in all schemas of one definition, because each takes time to compile.
pub const PATTERNS_MAX: usize = 500;
/// Valid values of a schema's `type`.
const TYPES: &str = "`array`, `boolean`, `integer`, `null`, `number`, `object` or `string`";

/// Reads the schema under a key and checks that it is valid.
pub(crate) fn read(name: &'static str, fields: &mut MappingReader<'_>, reader: &mut DefinitionReader) -> Option<Json> {
    let node = fields.take(name, &mut reader.findings)?;
    if node.as_map().is_none() {
        reader.findings.push(wrong_shape(&format!("`{name}`"), "a JSON Schema", node));
        return None;
    }
    check(name, node, reader)
}

/// Reads a mapping as a schema and checks that it is valid.
fn check(name: &str, node: &YamlNode, reader: &mut DefinitionReader) -> Option<Json> {
    compile(name, node, reader).map(|(schema, _)| schema)
}

/// Reads a mapping as a schema; returns it with a validator for values.
pub(crate) fn compile(name: &str, node: &YamlNode, reader: &mut DefinitionReader) -> Option<(Json, Validator)> {
    let schema = node.to_json();
    if schema.to_string().len() > SCHEMA_BYTES_MAX {
        let message = format!("`{}` is larger than {SCHEMA_BYTES_MAX} bytes", clip_word(name));
        reader.findings.push(node.span.error(DiagnosticCode::TooLarge, message));
        return None;
    }
    let before = reader.patterns;
    reader.patterns += patterns(&schema);
    if reader.patterns > PATTERNS_MAX {
        if before <= PATTERNS_MAX {
            let message = format!("the schemas of this definition hold more than {PATTERNS_MAX} patterns");
            reader.findings.push(node.span.error(DiagnosticCode::TooLarge, message));
        }
        return None;
    }
    match jsonschema::validator_for(&schema) {
        Ok(validator) => Some((schema, validator)),
        Err(error) => {
            let path = error.instance_path().to_string();
            let at = node.deepest_at(path.split('/').skip(1)).span;
            let why = match path.rsplit('/').collect::<Vec<_>>()[..] {
                ["type", parent, ..] if parent != "properties" && error.instance().is_string() => {
                    format!("`type` is {TYPES}, not {}", clip_word(&error.instance().to_string()))
                }
                _ => clip_word(&error.to_string()),
            };
            let message = format!("`{}` is not a JSON Schema: {why}", clip_word(name));
            reader.findings.push(at.error(DiagnosticCode::BadSchema, message));
            None
        }
    }
}

fn patterns(schema: &Json) -> usize {
    match schema {
        Json::Array(items) => items.iter().map(patterns).sum(),
        Json::Object(fields) => {
            let own = |(key, value): (&String, &Json)| match key.as_str() {
                "pattern" => 1 + patterns(value),
                "patternProperties" => value.as_object().map_or(0, serde_json::Map::len) + patterns(value),
                _ => patterns(value),
            };
            fields.iter().map(own).sum()
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => 0,
    }
}
