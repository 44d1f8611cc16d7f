//! Estimates the size of a value without serialising it.

use serde_json::Value;

/// Size of a value in place, and the overhead of one heap allocation, in bytes.
const VALUE_BYTES: usize = size_of::<Value>();
const PIECE_BYTES: usize = 16;
/// A node of a B-tree map has room for eleven entries; after a split, nodes have six or more.
const NODE_BYTES: usize = 11 * (VALUE_BYTES + size_of::<String>()) + PIECE_BYTES;
const NODE_FIELDS: usize = 6;

/// The approximate size of a value, computed in one pass.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ValueSize {
    /// Bytes of JSON.
    pub(crate) text: usize,
    /// Bytes of memory, which are several times those of JSON.
    pub(crate) memory: usize,
}

/// Returns the approximate size of a value as JSON, in bytes.
pub(crate) fn json_size(value: &Value) -> usize {
    ValueSize::of(value).text
}

impl ValueSize {
    pub(crate) fn of(value: &Value) -> Self {
        let mut size = Self { text: 0, memory: VALUE_BYTES };
        size.add(value);
        size
    }

    /// Adds a value, without its own place.
    fn add(&mut self, value: &Value) {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => self.text += 8,
            Value::String(text) => self.add_piece(text.len(), text.len() + 2),
            Value::Array(items) => {
                self.add_piece(items.capacity() * VALUE_BYTES, items.len() + 2);
                items.iter().for_each(|item| self.add(item));
            }
            Value::Object(fields) => {
                self.add_piece(0, 2);
                self.memory += fields.len().div_ceil(NODE_FIELDS) * NODE_BYTES;
                for (key, value) in fields {
                    self.add_piece(key.len(), key.len() + 4);
                    self.add(value);
                }
            }
        }
    }

    fn add_piece(&mut self, memory: usize, text: usize) {
        self.text += text;
        self.memory += if memory == 0 { 0 } else { memory + PIECE_BYTES };
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;

    fn memory(value: &Value) -> usize {
        ValueSize::of(value).memory
    }

    #[test]
    fn what_a_value_takes_is_its_places_its_texts_and_its_trees_nodes() {
        assert_eq!(memory(&json!(1)), VALUE_BYTES);
        assert_eq!(memory(&json!("")), VALUE_BYTES);
        assert_eq!(memory(&json!("twelve bytes")), VALUE_BYTES + 12 + PIECE_BYTES);
        assert_eq!(memory(&Value::Array(Vec::with_capacity(9))), 10 * VALUE_BYTES + PIECE_BYTES);
        assert_eq!(memory(&json!({})), VALUE_BYTES);
        assert_eq!(memory(&json!({"a": 1})), VALUE_BYTES + 1 + PIECE_BYTES + NODE_BYTES);
        let fields: Map<String, Value> = (0..60).map(|n| (n.to_string(), Value::Null)).collect();
        assert!(
            memory(&Value::Object(fields)) > 60 * (VALUE_BYTES + size_of::<String>()),
            "room that is not used counts"
        );
    }

    #[test]
    fn one_text_in_many_fields_takes_more_than_one_in_one() {
        let many = json!(vec![json!({"a": "b"}); 1_000]);
        assert!(memory(&many) > 20 * json_size(&many));
        let one = json!("b".repeat(100_000));
        assert!(memory(&one) < json_size(&one) + 100);
    }
}
