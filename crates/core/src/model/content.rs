//! The content of a message in model APIs: a text, a list of parts, or nothing.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Deserialized directly: an untagged enum would first copy all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum MessageContent<P> {
    Text(String),
    Parts(Vec<P>),
    #[default]
    Nothing,
}

impl<'de, P: Deserialize<'de>> Deserialize<'de> for MessageContent<P> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor(PhantomData))
    }
}

struct ContentVisitor<P>(PhantomData<P>);

impl<'de, P: Deserialize<'de>> Visitor<'de> for ContentVisitor<P> {
    type Value = MessageContent<P>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a list of parts, or null")
    }

    fn visit_str<E>(self, text: &str) -> Result<MessageContent<P>, E> {
        Ok(MessageContent::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<MessageContent<P>, E> {
        Ok(MessageContent::Text(text))
    }

    fn visit_unit<E>(self) -> Result<MessageContent<P>, E> {
        Ok(MessageContent::Nothing)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, parts: A) -> Result<MessageContent<P>, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(parts)).map(MessageContent::Parts)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_text_a_list_and_nothing_are_read_and_the_rest_is_said_to_be_none() {
        let read = |value: serde_json::Value| serde_json::from_value::<MessageContent<u8>>(value);
        assert_eq!(read(json!("hi")).unwrap(), MessageContent::Text("hi".to_owned()));
        assert_eq!(
            serde_json::from_str::<MessageContent<u8>>(r#""a\"b""#).unwrap(),
            MessageContent::Text("a\"b".to_owned())
        );
        assert_eq!(read(json!([1, 2])).unwrap(), MessageContent::Parts(vec![1, 2]));
        assert_eq!(read(json!(null)).unwrap(), MessageContent::Nothing);
        assert!(read(json!({})).unwrap_err().to_string().contains("a text, a list of parts, or null"));
        assert!(read(json!(["x"])).is_err());
    }
}
