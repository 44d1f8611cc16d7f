//! Builds a body of `multipart/form-data` (RFC 7578): one part per field, with files decoded from base64.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use baton_core::bundle::ContentHash;
use serde_json::Value;

use crate::kinds::http_request::as_text;

/// Length of the boundary, in characters; the maximum is 70.
const BOUNDARY_CHARS: usize = 48;

/// One field of a form.
struct FormPart {
    name: String,
    /// The content type of a file or of JSON; `None` for plain text.
    kind: Option<String>,
    is_file: bool,
    bytes: Vec<u8>,
}

/// Returns the content type and the bytes. `files` maps the fields that are files to their content types. The error
/// names the one that is not valid base64.
pub(super) fn body(value: &Value, files: &BTreeMap<String, String>) -> Result<(String, Vec<u8>), String> {
    let mut parts = Vec::new();
    let fields = value.as_object().ok_or_else(|| "a form is an object of fields".to_owned())?;
    for (name, value) in fields {
        match value {
            // Several parts of the same name, one after the other.
            Value::Array(items) => items.iter().try_for_each(|item| add(&mut parts, name, item, files.get(name)))?,
            one => add(&mut parts, name, one, files.get(name))?,
        }
    }
    let boundary = boundary(&parts);
    let mut body = Vec::new();
    for part in &parts {
        body.extend_from_slice(format!("--{boundary}\r\n{}\r\n", part.head()).as_bytes());
        body.extend_from_slice(&part.bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    Ok((format!("multipart/form-data; boundary={boundary}"), body))
}

fn add(parts: &mut Vec<FormPart>, name: &str, value: &Value, file: Option<&String>) -> Result<(), String> {
    let name = name.to_owned();
    let part = match (value, file) {
        (Value::Null, _) => return Ok(()),
        (value, Some(kind)) => {
            let bytes = value.as_str().and_then(|text| STANDARD.decode(text).ok());
            let bytes = bytes.ok_or_else(|| format!("`{name}` is a file, and is given as base64"))?;
            FormPart { name, kind: Some(kind.clone()), is_file: true, bytes }
        }
        (Value::Object(_) | Value::Array(_), None) => {
            let kind = Some("application/json".to_owned());
            FormPart { name, kind, is_file: false, bytes: value.to_string().into_bytes() }
        }
        (value, None) => FormPart { name, kind: None, is_file: false, bytes: as_text(value).into_bytes() },
    };
    parts.push(part);
    Ok(())
}

impl FormPart {
    /// Returns its headers, up to the line before the empty one.
    fn head(&self) -> String {
        let name = quoted(&self.name);
        let file = if self.is_file { format!("; filename=\"{name}\"") } else { String::new() };
        let kind = self.kind.as_ref().map(|kind| format!("Content-Type: {kind}\r\n")).unwrap_or_default();
        format!("Content-Disposition: form-data; name=\"{name}\"{file}\r\n{kind}")
    }
}

/// Quotes a name as browsers do, so that nothing in it ends the quotes or the line.
fn quoted(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

/// Derives the boundary from the parts, so that it occurs in none of them and is the same for every retry.
fn boundary(parts: &[FormPart]) -> String {
    let all: Vec<u8> = parts.iter().flat_map(|part| part.name.bytes().chain(part.bytes.iter().copied())).collect();
    let hash = ContentHash::of(&all);
    hash.as_str().chars().filter(char::is_ascii_alphanumeric).take(BOUNDARY_CHARS).collect()
}
