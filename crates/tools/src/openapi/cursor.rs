//! A value within a document that knows its place and can follow references.

use serde_json::Value;

/// Maximum length of a chain of references.
const HOPS_MAX: usize = 32;

#[derive(Clone)]
pub(super) struct DocumentCursor<'d> {
    root: &'d Value,
    value: &'d Value,
    place: String,
}

impl<'d> DocumentCursor<'d> {
    pub(super) fn new(root: &'d Value) -> Self {
        Self { root, value: root, place: String::new() }
    }

    pub(super) fn value(&self) -> &'d Value {
        self.value
    }

    /// The path from the root, its parts joined by dots.
    pub(super) fn place(&self) -> String {
        self.place.clone()
    }

    pub(super) fn is_null(&self) -> bool {
        self.value.is_null()
    }

    pub(super) fn text(&self) -> Option<&'d str> {
        self.value.as_str()
    }

    pub(super) fn is_true(&self) -> bool {
        self.value == &Value::Bool(true)
    }

    /// Returns a field; null if it does not exist.
    pub(super) fn field(&self, name: &str) -> Self {
        self.child(name, self.value.get(name).unwrap_or(&Value::Null))
    }

    pub(super) fn fields(&self) -> Vec<(&'d str, Self)> {
        let fields = self.value.as_object().into_iter().flatten();
        fields.map(|(name, value)| (name.as_str(), self.child(name, value))).collect()
    }

    pub(super) fn items(&self) -> Vec<Self> {
        let items = self.value.as_array().into_iter().flatten().enumerate();
        items.map(|(index, value)| self.child(&index.to_string(), value)).collect()
    }

    /// Returns the value after following its references.
    pub(super) fn resolved(&self) -> Result<Self, String> {
        let mut here = self.clone();
        for _ in 0..HOPS_MAX {
            let Some(reference) = here.value.get("$ref").and_then(Value::as_str) else { return Ok(here) };
            here = here.at(reference)?;
        }
        Err(format!("its references lead in a circle, or through more than {HOPS_MAX} others"))
    }

    /// Returns the target of a reference within this document.
    pub(super) fn at(&self, reference: &str) -> Result<Self, String> {
        let Some(pointer) = reference.strip_prefix('#') else {
            return Err(format!("`{reference}` leads out of the document; bundle it into one"));
        };
        match self.root.pointer(&decoded(pointer)) {
            Some(value) => {
                let place = pointer.trim_start_matches('/').replace('/', ".");
                Ok(Self { root: self.root, value, place })
            }
            None => Err(format!("`{reference}` leads nowhere")),
        }
    }

    fn child(&self, name: &str, value: &'d Value) -> Self {
        let dot = if self.place.is_empty() { "" } else { "." };
        Self { root: self.root, value, place: format!("{}{dot}{name}", self.place) }
    }
}

/// Decodes a JSON pointer: in a URI fragment it is percent-encoded.
fn decoded(pointer: &str) -> String {
    let mut bytes = Vec::with_capacity(pointer.len());
    let mut rest = pointer.bytes();
    while let Some(byte) = rest.next() {
        let hex = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let mut ahead = rest.clone();
        match (byte, hex(ahead.next()), hex(ahead.next())) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(u8::try_from(high * 16 + low).unwrap_or(byte));
                rest = ahead;
            }
            _ => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
