//! JSON Schemas that people write in definitions: forms, and the outputs of agents.

use serde_json::Value as Json;

use super::diagnostic::{Code, shown};
use super::fields::{Fields, wrong_shape};
use super::reader::Reader;

/// The largest schema anyone may write, as JSON bytes.
const SCHEMA_BYTES_MAX: usize = 64 * 1024;

/// A JSON Schema, checked to be one.
pub(crate) fn read(name: &'static str, fields: &mut Fields<'_>, reader: &mut Reader) -> Option<Json> {
    let node = fields.take(name, &mut reader.findings)?;
    if node.as_map().is_none() {
        reader.findings.push(wrong_shape(&format!("`{name}`"), "a JSON Schema", node));
        return None;
    }
    let schema = node.to_json();
    if schema.to_string().len() > SCHEMA_BYTES_MAX {
        let message = format!("`{name}` is larger than {SCHEMA_BYTES_MAX} bytes");
        reader.findings.push(node.span.error(Code::TooLarge, message));
        return None;
    }
    if let Err(error) = jsonschema::validator_for(&schema) {
        let path = error.instance_path().to_string();
        let at = node.nearest(path.split('/').skip(1)).span;
        let message = format!("`{name}` is not a JSON Schema: {}", shown(&error.to_string()));
        reader.findings.push(at.error(Code::BadSchema, message));
        return None;
    }
    Some(schema)
}
