//! Formatting values as text.

use serde_json::{Number, Value};

use super::value::JinjaValue;
use crate::error::EvalError;
use crate::meter::EvalMeter;

/// Appends a value as text: a string unchanged, everything else as JSON, null as `none`.
pub(super) fn write(value: &JinjaValue<'_>, out: &mut String, meter: &mut EvalMeter) -> Result<(), EvalError> {
    match value {
        JinjaValue::Text(text) => append(text, out, meter),
        JinjaValue::Null => append("none", out, meter),
        value => ValueWriter { out, meter, gap: " ", indent: None }.value(value, 0),
    }
}

/// Returns a value as text.
pub(super) fn text(value: &JinjaValue<'_>, meter: &mut EvalMeter) -> Result<String, EvalError> {
    let mut out = String::new();
    write(value, &mut out, meter)?;
    Ok(out)
}

/// Returns a value as compact JSON, or over several lines with this indentation.
pub(super) fn json(value: &JinjaValue<'_>, indent: Option<usize>, meter: &mut EvalMeter) -> Result<String, EvalError> {
    let mut out = String::new();
    let gap = if indent.is_some() { " " } else { "" };
    ValueWriter { out: &mut out, meter, gap, indent }.value(value, 0)?;
    Ok(out)
}

/// Charges text and appends it.
pub(super) fn append(text: &str, out: &mut String, meter: &mut EvalMeter) -> Result<(), EvalError> {
    meter.charge_growth(text.len())?;
    out.push_str(text);
    Ok(())
}

struct ValueWriter<'w> {
    out: &'w mut String,
    meter: &'w mut EvalMeter,
    /// Written after a colon, and after a comma on the same line.
    gap: &'static str,
    indent: Option<usize>,
}

impl ValueWriter<'_> {
    fn value(&mut self, value: &JinjaValue<'_>, level: usize) -> Result<(), EvalError> {
        match value {
            JinjaValue::Missing(missing) => Err(missing.error()),
            JinjaValue::Null => self.put("null"),
            JinjaValue::Bool(flag) => self.put(if *flag { "true" } else { "false" }),
            JinjaValue::Int(number) => self.put(&number.to_string()),
            JinjaValue::Float(number) => {
                let number = Number::from_f64(*number).map_or_else(|| number.to_string(), |number| number.to_string());
                self.put(&number)
            }
            JinjaValue::Text(text) => self.string(text),
            JinjaValue::Json(Value::Array(items)) => self.list(items.iter().map(JinjaValue::from), level),
            JinjaValue::List(list) => self.list(list.items.iter().cloned(), level),
            JinjaValue::Json(Value::Object(fields)) => {
                self.object(fields.iter().map(|(key, value)| (key.as_str(), JinjaValue::from(value))), level)
            }
            JinjaValue::Object(object) => {
                self.object(object.fields.iter().map(|(key, value)| (key.as_str(), value.clone())), level)
            }
            JinjaValue::Json(other) => self.put(&other.to_string()),
            JinjaValue::Namespace(_) | JinjaValue::Loop(_) => {
                Err(EvalError::wrong_type(format!("{} cannot be written; name one of its fields", value.kind())))
            }
        }
    }

    fn list<'a>(&mut self, items: impl Iterator<Item = JinjaValue<'a>>, level: usize) -> Result<(), EvalError> {
        let mut empty = true;
        self.put("[")?;
        for item in items {
            self.separate(&mut empty, level + 1)?;
            self.value(&item, level + 1)?;
        }
        self.close(empty, level, "]")
    }

    fn object<'k, 'a>(
        &mut self,
        fields: impl Iterator<Item = (&'k str, JinjaValue<'a>)>,
        level: usize,
    ) -> Result<(), EvalError> {
        let mut empty = true;
        self.put("{")?;
        for (key, value) in fields {
            self.separate(&mut empty, level + 1)?;
            self.string(key)?;
            self.put(":")?;
            self.put(self.gap)?;
            self.value(&value, level + 1)?;
        }
        self.close(empty, level, "}")
    }

    fn separate(&mut self, first: &mut bool, level: usize) -> Result<(), EvalError> {
        if !std::mem::take(first) {
            self.put(",")?;
            if self.indent.is_none() {
                self.put(self.gap)?;
            }
        }
        self.line(level)
    }

    fn close(&mut self, empty: bool, level: usize, bracket: &str) -> Result<(), EvalError> {
        if !empty {
            self.line(level)?;
        }
        self.put(bracket)
    }

    fn line(&mut self, level: usize) -> Result<(), EvalError> {
        match self.indent {
            None => Ok(()),
            Some(indent) => {
                self.put("\n")?;
                self.put(&" ".repeat(indent * level))
            }
        }
    }

    fn string(&mut self, text: &str) -> Result<(), EvalError> {
        self.meter.charge_growth(text.len())?;
        self.put(&Value::from(text).to_string())
    }

    fn put(&mut self, text: &str) -> Result<(), EvalError> {
        append(text, self.out, self.meter)
    }
}
