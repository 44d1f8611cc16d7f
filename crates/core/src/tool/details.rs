//! What an audit row says beside its columns.

use std::fmt;
use std::ops::Deref;
use std::sync::OnceLock;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::canonical;
use crate::redact::{self, Bounds};

/// JSON as it is sealed and kept: one text, made at once. Whoever looks into it gets the value, which is read then.
#[derive(Clone, Default)]
pub struct Details {
    text: String,
    read: OnceLock<Value>,
}

impl Details {
    /// The text that was written; nothing of a row that was erased.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Begins an object.
    pub fn object() -> Object {
        Object(String::with_capacity(Object::BYTES))
    }

    /// As it was kept.
    pub fn kept(text: String) -> Self {
        Self { text, read: OnceLock::new() }
    }
}

/// An object of details, written field by field. The names are told apart by whoever writes.
pub struct Object(String);

impl Object {
    /// Bytes that there is room for before it grows.
    const BYTES: usize = 8 << 10;

    pub fn say(&mut self, name: &str, value: impl Into<Value>) {
        self.name(name);
        canonical::write_exact(&mut self.0, &value.into());
    }

    /// Without personal data and secrets.
    pub fn say_redacted(&mut self, name: &str, value: &Value, bounds: Bounds) {
        self.name(name);
        redact::write(&mut self.0, value, bounds);
    }

    fn name(&mut self, name: &str) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        self.0.push('"');
        canonical::escape(&mut self.0, name);
        self.0.push_str("\":");
    }

    pub fn end(mut self) -> Details {
        self.0.push_str(if self.0.is_empty() { "{}" } else { "}" });
        Details::kept(self.0)
    }
}

impl From<Value> for Details {
    fn from(value: Value) -> Self {
        Self { text: canonical::text(&value), read: value.into() }
    }
}

impl Deref for Details {
    type Target = Value;

    /// Null where nothing is written, or no JSON.
    fn deref(&self) -> &Value {
        self.read.get_or_init(|| serde_json::from_str(&self.text).unwrap_or_default())
    }
}

impl PartialEq for Details {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl fmt::Debug for Details {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Details {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(to)
    }
}

impl<'de> Deserialize<'de> for Details {
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
        let mut object = Details::object();
        object.say_redacted("parameters", &json!({"to": "ana@clinic.example", "password": "x"}), Bounds::AUDIT);
        object.say("key", "a \"key\"");
        object.say("attempt", 2);
        let details = object.end();
        let expect = json!({
            "parameters": {"to": "[REDACTED_EMAIL]", "password": "[REDACTED]"}, "key": "a \"key\"", "attempt": 2,
        });
        assert_eq!(*details, expect);
        assert_eq!(details, Details::from(expect));
        assert_eq!(Details::object().end(), Details::from(json!({})));
    }

    #[test]
    fn details_that_were_erased_are_nothing() {
        assert_eq!((Details::default().text(), Details::default().is_null()), ("", true));
        assert_eq!(serde_json::to_value(Details::default()).unwrap(), Value::Null);
    }
}
