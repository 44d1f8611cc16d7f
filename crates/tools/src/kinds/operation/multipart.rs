//! A body of `multipart/form-data` (RFC 7578): a part for each field, files out of base64.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use baton_core::bundle::ContentHash;
use serde_json::Value;

use crate::kinds::http_request::as_text;

/// Characters of what stands between parts; 70 at most.
const BOUNDARY_CHARS: usize = 48;

/// One field of a form.
struct FormPart {
    name: String,
    /// The kind of a file or of JSON; plain text has none.
    kind: Option<String>,
    is_file: bool,
    bytes: Vec<u8>,
}

/// The content type and the bytes. `files` are the fields that are files, with their kinds; the error says which of them is
/// no base64.
pub(super) fn body(value: &Value, files: &BTreeMap<String, String>) -> Result<(String, Vec<u8>), String> {
    let mut parts = Vec::new();
    let fields = value.as_object().ok_or_else(|| "a form is an object of fields".to_owned())?;
    for (name, value) in fields {
        match value {
            // Several of a name, one after the other.
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
    /// Its headers, up to the line before the empty one.
    fn head(&self) -> String {
        let name = quoted(&self.name);
        let file = if self.is_file { format!("; filename=\"{name}\"") } else { String::new() };
        let kind = self.kind.as_ref().map(|kind| format!("Content-Type: {kind}\r\n")).unwrap_or_default();
        format!("Content-Disposition: form-data; name=\"{name}\"{file}\r\n{kind}")
    }
}

/// As browsers write it: nothing in it ends the quotes or the line.
fn quoted(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

/// Of what lies between them, so that it is in none of them, and the same however often they are sent.
fn boundary(parts: &[FormPart]) -> String {
    let all: Vec<u8> = parts.iter().flat_map(|part| part.name.bytes().chain(part.bytes.iter().copied())).collect();
    let hash = ContentHash::of(&all);
    hash.as_str().chars().filter(char::is_ascii_alphanumeric).take(BOUNDARY_CHARS).collect()
}
