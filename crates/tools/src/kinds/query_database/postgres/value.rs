//! Converts PostgreSQL values to and from JSON.

use std::error::Error;

use bytes::BytesMut;
use serde_json::{Value, json};
use tokio_postgres::types::{Format, IsNull, Kind, ToSql, Type, to_sql_checked};

/// How a column's values are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColumnDecoding {
    Boolean,
    /// Integers and floating-point numbers: JSON numbers, digit by digit as the server writes them.
    Number,
    /// Exact numbers: text, because JSON parsers round.
    Exact,
    ExactList,
    Json,
    /// Arrays and rows: the JSON that the server makes of them.
    AsJson,
    /// Dates and times: ISO 8601.
    Instant,
    Bytes,
    Text,
}

impl ColumnDecoding {
    pub(super) fn of(kind: &Type) -> Self {
        match *kind {
            Type::BOOL => return Self::Boolean,
            Type::INT2 | Type::INT4 | Type::INT8 | Type::OID | Type::FLOAT4 | Type::FLOAT8 => return Self::Number,
            Type::NUMERIC => return Self::Exact,
            Type::NUMERIC_ARRAY => return Self::ExactList,
            Type::JSON | Type::JSONB => return Self::Json,
            Type::TIMESTAMP | Type::TIMESTAMPTZ | Type::DATE => return Self::Instant,
            Type::BYTEA => return Self::Bytes,
            Type::RECORD => return Self::AsJson,
            _ => {}
        }
        match kind.kind() {
            Kind::Array(_) | Kind::Composite(_) => Self::AsJson,
            Kind::Domain(inner) => Self::of(inner),
            Kind::Simple | Kind::Enum(_) | Kind::Pseudo | Kind::Range(_) | Kind::Multirange(_) => Self::Text,
            _ => Self::Text,
        }
    }

    /// The text format of values that have no JSON type.
    pub(super) fn written(self) -> Option<&'static str> {
        match self {
            Self::Exact => Some("decimal text"),
            Self::ExactList => Some("list of decimal text"),
            Self::Instant => Some("ISO 8601"),
            Self::Bytes => Some("base64"),
            Self::Boolean | Self::Number | Self::Json | Self::AsJson | Self::Text => None,
        }
    }

    /// The SQL that returns the column as text.
    pub(super) fn sql(self, column: &str) -> String {
        match self {
            Self::Boolean | Self::Number | Self::Exact | Self::Json | Self::Text => {
                format!("CAST({column} AS pg_catalog.text)")
            }
            Self::ExactList => {
                format!("CAST(pg_catalog.to_json(CAST({column} AS pg_catalog.text[])) AS pg_catalog.text)")
            }
            Self::AsJson => format!("CAST(pg_catalog.to_json({column}) AS pg_catalog.text)"),
            Self::Instant => format!("(pg_catalog.to_json({column}) #>> '{{}}')"),
            // The server inserts line breaks into base64.
            Self::Bytes => {
                format!("pg_catalog.replace(pg_catalog.encode({column}, 'base64'), pg_catalog.chr(10), '')")
            }
        }
    }

    /// Converts that text to JSON. A number that JSON cannot represent (NaN, infinity) stays text.
    pub(super) fn value(self, text: &str) -> Value {
        match self {
            Self::Boolean => json!(text == "true"),
            Self::Number => match (text.parse::<i64>(), text.parse::<f64>()) {
                (Ok(whole), _) => json!(whole),
                (Err(_), Ok(real)) if real.is_finite() => json!(real),
                (Err(_), _) => json!(text),
            },
            Self::Json | Self::AsJson | Self::ExactList => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
            Self::Exact | Self::Instant | Self::Bytes | Self::Text => json!(text),
        }
    }
}

/// A value for a placeholder. It is sent as text, which the server parses as the type it inferred for the
/// placeholder.
#[derive(Debug)]
pub(super) struct QueryArgument(pub(super) Value);

impl ToSql for QueryArgument {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let text = match (&self.0, kind.kind()) {
            (Value::Null, _) => return Ok(IsNull::Yes),
            (Value::Array(items), Kind::Array(_)) => list(items),
            (Value::String(text), _) => text.clone(),
            (value, _) => value.to_string(),
        };
        if text.contains('\0') {
            return Err("a value holds a zero byte, which PostgreSQL does not keep".into());
        }
        out.extend_from_slice(text.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

/// Formats a list as a PostgreSQL array: `{"a","b",NULL}`.
fn list(items: &[Value]) -> String {
    let item = |item: &Value| match item {
        Value::Null => "NULL".to_owned(),
        Value::Array(items) => list(items),
        Value::String(text) => quoted(text),
        value => quoted(&value.to_string()),
    };
    format!("{{{}}}", items.iter().map(item).collect::<Vec<_>>().join(","))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', r#"\""#))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_written_so_that_nothing_in_it_ends_it() {
        let items = [json!("a\"},{\\"), json!(1), Value::Null, json!([true])];
        assert_eq!(list(&items), r#"{"a\"},{\\","1",NULL,{"true"}}"#);
    }

    #[test]
    fn a_number_keeps_its_digits() {
        for (text, expect) in [
            ("9223372036854775807", json!(i64::MAX)),
            ("0.1", json!(0.1)),
            ("NaN", json!("NaN")),
            ("Infinity", json!("Infinity")),
        ] {
            assert_eq!(ColumnDecoding::Number.value(text), expect);
        }
        assert_eq!(ColumnDecoding::Exact.value("1.10"), json!("1.10"));
    }
}
