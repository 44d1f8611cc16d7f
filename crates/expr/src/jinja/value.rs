//! Values of a running template: borrowed from the run where possible, shared where they were made.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

use serde_json::{Map, Number, Value};

use super::missing_value::MissingValue;
use crate::compare::whole;
use crate::error::{EvalError, EvalErrorCode};
use crate::meter::{EvalMeter, ExprLimits};

/// A value of one evaluation. Cheap to clone.
#[derive(Clone)]
pub(super) enum JinjaValue<'v> {
    /// A missing name or field. Using it is an error.
    Missing(Rc<MissingValue<'v>>),
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(JinjaText<'v>),
    /// A list or an object of the run, borrowed.
    Json(&'v Value),
    List(Rc<JinjaList<'v>>),
    Object(Rc<JinjaObject<'v>>),
    /// `namespace(…)`: the only mutable value.
    Namespace(Rc<RefCell<BTreeMap<String, JinjaValue<'v>>>>),
    Loop(Rc<LoopVariable<'v>>),
}

/// A list made by the template.
pub(super) struct JinjaList<'v> {
    pub(super) items: Vec<JinjaValue<'v>>,
    levels: usize,
}

/// An object made by the template.
pub(super) struct JinjaObject<'v> {
    pub(super) fields: BTreeMap<String, JinjaValue<'v>>,
    levels: usize,
}

/// The variable `loop`.
pub(super) struct LoopVariable<'v> {
    pub(super) at: Cell<usize>,
    pub(super) items: Vec<JinjaValue<'v>>,
}

/// A string, borrowed or shared.
#[derive(Debug, Clone)]
pub(super) enum JinjaText<'v> {
    Borrowed(&'v str),
    Shared(Rc<str>),
}

impl Deref for JinjaText<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            JinjaText::Borrowed(text) => text,
            JinjaText::Shared(text) => text,
        }
    }
}

impl<'v> From<&'v Value> for JinjaValue<'v> {
    fn from(value: &'v Value) -> Self {
        match value {
            Value::Null => JinjaValue::Null,
            Value::Bool(flag) => JinjaValue::Bool(*flag),
            Value::Number(number) => match whole(number) {
                Some(exact) => JinjaValue::Int(exact),
                None => JinjaValue::Float(number.as_f64().unwrap_or_default()),
            },
            Value::String(text) => JinjaValue::Text(JinjaText::Borrowed(text)),
            Value::Array(_) | Value::Object(_) => JinjaValue::Json(value),
        }
    }
}

impl<'v> JinjaValue<'v> {
    pub(super) fn text(text: impl Into<Rc<str>>) -> Self {
        JinjaValue::Text(JinjaText::Shared(text.into()))
    }

    /// Converts a length or a count.
    pub(super) fn count(count: usize) -> Self {
        JinjaValue::Int(i128::try_from(count).unwrap_or(i128::MAX))
    }

    /// Creates a finite number. A number that is too large is an error, because JSON cannot hold infinity.
    pub(super) fn float(number: f64) -> Result<Self, EvalError> {
        if number.is_finite() {
            Ok(JinjaValue::Float(number))
        } else {
            Err(EvalError::bad_value("the result is too large to be a number"))
        }
    }

    /// Creates a list of these items, with bounded nesting.
    pub(super) fn list(items: Vec<JinjaValue<'v>>, meter: &mut EvalMeter) -> Result<Self, EvalError> {
        meter.charge_growth(items.len() * size_of::<JinjaValue<'_>>())?;
        let levels = levels_above(items.iter())?;
        Ok(JinjaValue::List(Rc::new(JinjaList { items, levels })))
    }

    /// Creates an object of these fields, with bounded nesting.
    pub(super) fn object(fields: BTreeMap<String, JinjaValue<'v>>, meter: &mut EvalMeter) -> Result<Self, EvalError> {
        let keys: usize = fields.keys().map(String::len).sum();
        meter.charge_growth(keys + fields.len() * size_of::<(String, JinjaValue<'_>)>())?;
        let levels = levels_above(fields.values())?;
        Ok(JinjaValue::Object(Rc::new(JinjaObject { fields, levels })))
    }

    /// Returns the value, or an error if it is missing.
    pub(super) fn require_present(self) -> Result<Self, EvalError> {
        match self {
            JinjaValue::Missing(missing) => Err(missing.error()),
            value => Ok(value),
        }
    }

    /// Rejects a missing value.
    pub(super) fn ensure_present(&self) -> Result<(), EvalError> {
        match self {
            JinjaValue::Missing(missing) => Err(missing.error()),
            _ => Ok(()),
        }
    }

    pub(super) fn is_missing(&self) -> bool {
        matches!(self, JinjaValue::Missing(_))
    }

    /// Returns the truth of the value, as in Python.
    pub(super) fn truthy(&self) -> bool {
        match self {
            JinjaValue::Missing(_) | JinjaValue::Null => false,
            JinjaValue::Bool(flag) => *flag,
            JinjaValue::Int(number) => *number != 0,
            JinjaValue::Float(number) => *number != 0.0,
            JinjaValue::Text(text) => !text.is_empty(),
            JinjaValue::Json(value) => crate::compare::truthy(value),
            JinjaValue::List(list) => !list.items.is_empty(),
            JinjaValue::Object(object) => !object.fields.is_empty(),
            JinjaValue::Namespace(_) | JinjaValue::Loop(_) => true,
        }
    }

    /// Returns the type of the value with its article, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            JinjaValue::Missing(_) => "undefined",
            JinjaValue::Null => "null",
            JinjaValue::Bool(_) => "a boolean",
            JinjaValue::Int(_) | JinjaValue::Float(_) => "a number",
            JinjaValue::Text(_) => "a string",
            JinjaValue::Json(Value::Array(_)) | JinjaValue::List(_) => "a list",
            JinjaValue::Json(_) | JinjaValue::Object(_) => "an object",
            JinjaValue::Namespace(_) => "a namespace",
            JinjaValue::Loop(_) => "the loop",
        }
    }

    pub(super) fn is_list(&self) -> bool {
        matches!(self, JinjaValue::List(_) | JinjaValue::Json(Value::Array(_)))
    }

    pub(super) fn is_object(&self) -> bool {
        matches!(self, JinjaValue::Object(_) | JinjaValue::Json(Value::Object(_)))
    }

    /// Returns the items of a list; the keys of an object; the characters of a string.
    pub(super) fn items(&self, meter: &mut EvalMeter) -> Result<Vec<JinjaValue<'v>>, EvalError> {
        let items: Vec<JinjaValue<'v>> = match self {
            JinjaValue::List(list) => list.items.clone(),
            JinjaValue::Json(Value::Array(items)) => items.iter().map(JinjaValue::from).collect(),
            JinjaValue::Json(Value::Object(fields)) => {
                fields.keys().map(|key| JinjaValue::Text(JinjaText::Borrowed(key))).collect()
            }
            JinjaValue::Object(object) => object.fields.keys().map(|key| JinjaValue::text(key.as_str())).collect(),
            JinjaValue::Text(text) => {
                meter.charge_growth(text.len() * size_of::<JinjaValue<'_>>())?;
                text.chars().map(|c| JinjaValue::text(c.to_string())).collect()
            }
            JinjaValue::Missing(missing) => return Err(missing.error()),
            other => return Err(EvalError::wrong_type(format!("{} has no items to go through", other.kind()))),
        };
        meter.charge_steps(items.len())?;
        meter.charge_growth(items.len() * size_of::<JinjaValue<'_>>())?;
        Ok(items)
    }

    /// Returns the number of items, fields or characters.
    pub(super) fn len(&self, meter: &mut EvalMeter) -> Result<usize, EvalError> {
        match self {
            JinjaValue::List(list) => Ok(list.items.len()),
            JinjaValue::Object(object) => Ok(object.fields.len()),
            JinjaValue::Json(Value::Array(items)) => Ok(items.len()),
            JinjaValue::Json(Value::Object(fields)) => Ok(fields.len()),
            JinjaValue::Text(text) => {
                meter.charge_read(text.len())?;
                Ok(text.chars().count())
            }
            JinjaValue::Missing(missing) => Err(missing.error()),
            other => Err(EvalError::wrong_type(format!("{} has no length", other.kind()))),
        }
    }

    /// Returns the field of an object, if it exists; null is a field like any other.
    pub(super) fn field(&self, name: &str) -> Option<JinjaValue<'v>> {
        match self {
            JinjaValue::Json(value) => value.get(name).map(JinjaValue::from),
            JinjaValue::Object(object) => object.fields.get(name).cloned(),
            JinjaValue::Namespace(fields) => fields.borrow().get(name).cloned(),
            JinjaValue::Loop(state) => state.field(name),
            _ => None,
        }
    }

    /// Returns the item at an index of a list or a string, counted from the end if it is negative.
    pub(super) fn at(&self, index: i128, meter: &mut EvalMeter) -> Result<Option<JinjaValue<'v>>, EvalError> {
        let place = |len: usize| {
            let from_end = usize::try_from(index.unsigned_abs()).ok()?;
            if index < 0 { len.checked_sub(from_end) } else { Some(from_end) }
        };
        Ok(match self {
            JinjaValue::List(list) => place(list.items.len()).and_then(|at| list.items.get(at).cloned()),
            JinjaValue::Json(Value::Array(items)) => {
                place(items.len()).and_then(|at| items.get(at).map(JinjaValue::from))
            }
            JinjaValue::Text(text) => {
                meter.charge_read(text.len())?;
                let at = if index < 0 { place(text.chars().count()) } else { place(0) };
                at.and_then(|at| text.chars().nth(at)).map(|c| JinjaValue::text(c.to_string()))
            }
            _ => None,
        })
    }

    /// Returns the value as JSON.
    pub(super) fn into_json(self, meter: &mut EvalMeter) -> Result<Value, EvalError> {
        match self {
            JinjaValue::Missing(missing) => Err(missing.error()),
            JinjaValue::Null => Ok(Value::Null),
            JinjaValue::Bool(flag) => Ok(Value::Bool(flag)),
            JinjaValue::Int(number) => integer(number),
            JinjaValue::Float(number) => Ok(Number::from_f64(number).map_or(Value::Null, Value::Number)),
            JinjaValue::Text(text) => {
                meter.charge_growth(text.len())?;
                Ok(Value::String(text.to_string()))
            }
            JinjaValue::Json(value) => meter.copy(value),
            JinjaValue::List(list) => {
                meter.charge_growth(list.items.len() * size_of::<Value>())?;
                list.items.iter().map(|item| item.clone().into_json(meter)).collect()
            }
            JinjaValue::Object(object) => {
                let mut fields = Map::new();
                for (key, value) in &object.fields {
                    meter.charge_growth(key.len() + size_of::<Value>())?;
                    fields.insert(key.clone(), value.clone().into_json(meter)?);
                }
                Ok(Value::Object(fields))
            }
            JinjaValue::Namespace(_) | JinjaValue::Loop(_) => {
                Err(EvalError::wrong_type(format!("{} is no value of its own; name one of its fields", self.kind())))
            }
        }
    }
}

impl<'v> LoopVariable<'v> {
    fn field(&self, name: &str) -> Option<JinjaValue<'v>> {
        let (at, len) = (self.at.get(), self.items.len());
        Some(match name {
            "index" => JinjaValue::count(at + 1),
            "index0" => JinjaValue::count(at),
            "revindex" => JinjaValue::count(len - at),
            "revindex0" => JinjaValue::count(len - at - 1),
            "length" => JinjaValue::count(len),
            "first" => JinjaValue::Bool(at == 0),
            "last" => JinjaValue::Bool(at + 1 == len),
            "previtem" => self.items.get(at.checked_sub(1)?)?.clone(),
            "nextitem" => self.items.get(at + 1)?.clone(),
            _ => return None,
        })
    }
}

/// Returns the nesting depth of a container of these values. Missing values and values that are too deep are rejected.
fn levels_above<'a, 'v: 'a>(held: impl Iterator<Item = &'a JinjaValue<'v>>) -> Result<usize, EvalError> {
    let mut levels = 0;
    for value in held {
        levels = levels.max(match value {
            JinjaValue::Missing(missing) => return Err(missing.error()),
            JinjaValue::Namespace(_) | JinjaValue::Loop(_) => {
                return Err(EvalError::wrong_type(format!("{} cannot be kept in another value", value.kind()))
                    .hint("name one of its fields"));
            }
            JinjaValue::List(list) => list.levels,
            JinjaValue::Object(object) => object.levels,
            JinjaValue::Null
            | JinjaValue::Bool(_)
            | JinjaValue::Int(_)
            | JinjaValue::Float(_)
            | JinjaValue::Text(_)
            | JinjaValue::Json(_) => 0,
        });
    }
    if levels >= ExprLimits::OUTPUT_DEPTH_MAX {
        let max = ExprLimits::OUTPUT_DEPTH_MAX;
        return Err(EvalError::new(EvalErrorCode::Limit, format!("the value nests more than {max} levels deep")));
    }
    Ok(levels + 1)
}

fn integer(number: i128) -> Result<Value, EvalError> {
    let exact = i64::try_from(number).map(Number::from).or_else(|_| u64::try_from(number).map(Number::from));
    exact.map(Value::Number).map_err(|_| EvalError::bad_value(format!("{number} is too large to be a number")))
}

impl fmt::Display for JinjaText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}
