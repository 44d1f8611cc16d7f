//! The details of an audit row, in addition to its columns.

use std::fmt;
use std::ops::Deref;
use std::sync::OnceLock;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::canonical;
use crate::redact::{self, RedactionBounds};

/// JSON as it is sealed and stored: one text, written at once. It is parsed when its value is first accessed.
#[derive(Clone, Default)]
pub struct AuditDetails {
    text: String,
    read: OnceLock<Value>,
}

impl AuditDetails {
    /// Returns the written text; empty for a row that was erased.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Starts an object.
    pub fn object() -> DetailsWriter {
        DetailsWriter(String::with_capacity(DetailsWriter::BYTES))
    }

    /// Creates details from their stored text.
    pub fn from_text(text: String) -> Self {
        Self { text, read: OnceLock::new() }
    }
}

/// An object of details, written field by field. The caller must keep the names distinct.
pub struct DetailsWriter(String);

impl DetailsWriter {
    /// Initial capacity, in bytes.
    const BYTES: usize = 8 << 10;

    pub fn field(&mut self, name: &str, value: impl Into<Value>) {
        self.name(name);
        canonical::write_exact(&mut self.0, &value.into());
    }

    /// Adds a field without personal data and secrets.
    pub fn redacted_field(&mut self, name: &str, value: &Value, bounds: RedactionBounds) {
        self.name(name);
        redact::write(&mut self.0, value, bounds);
    }

    fn name(&mut self, name: &str) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        self.0.push('"');
        canonical::escape(&mut self.0, name);
        self.0.push_str("\":");
    }

    pub fn finish(mut self) -> AuditDetails {
        self.0.push_str(if self.0.is_empty() { "{}" } else { "}" });
        AuditDetails::from_text(self.0)
    }
}

impl From<Value> for AuditDetails {
    fn from(value: Value) -> Self {
        Self { text: canonical::text(&value), read: value.into() }
    }
}

impl Deref for AuditDetails {
    type Target = Value;

    /// Returns null if the text is empty or not valid JSON.
    fn deref(&self) -> &Value {
        self.read.get_or_init(|| serde_json::from_str(&self.text).unwrap_or_default())
    }
}

impl PartialEq for AuditDetails {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl fmt::Debug for AuditDetails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for AuditDetails {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(to)
    }
}

impl<'de> Deserialize<'de> for AuditDetails {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Value::deserialize(from).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_field_by_field_reads_as_an_object() {
        let mut object = AuditDetails::object();
        object.redacted_field(
            "parameters",
            &json!({"to": "ana@clinic.example", "password": "x"}),
            RedactionBounds::AUDIT,
        );
        object.field("key", "a \"key\"");
        object.field("attempt", 2);
        let details = object.finish();
        let expect = json!({
            "parameters": {"to": "[REDACTED_EMAIL]", "password": "[REDACTED]"}, "key": "a \"key\"", "attempt": 2,
        });
        assert_eq!(*details, expect);
        assert_eq!(details, AuditDetails::from(expect));
        assert_eq!(AuditDetails::object().finish(), AuditDetails::from(json!({})));
    }

    #[test]
    fn details_that_were_erased_are_nothing() {
        assert_eq!((AuditDetails::default().text(), AuditDetails::default().is_null()), ("", true));
        assert_eq!(serde_json::to_value(AuditDetails::default()).unwrap(), Value::Null);
    }
}
