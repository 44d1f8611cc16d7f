//! Values while a template runs: borrowed from the run where they can be, shared where they were made.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

use serde_json::{Map, Number, Value};

use super::missing::Missing;
use crate::expr::compare::whole;
use crate::expr::error::{Code, EvalError};
use crate::expr::meter::{Limit, Meter};

/// A value of one evaluation. Cheap to clone.
#[derive(Clone)]
pub(super) enum Val<'v> {
    /// What a name or field would be if it were there. Using it is an error.
    Missing(Rc<Missing<'v>>),
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(Text<'v>),
    /// A list or an object of the run, where it lies.
    Json(&'v Value),
    List(Rc<List<'v>>),
    Object(Rc<Object<'v>>),
    /// `namespace(…)`: the one value that can be changed.
    Namespace(Rc<RefCell<BTreeMap<String, Val<'v>>>>),
    Loop(Rc<Loop<'v>>),
}

/// A list that was made here.
pub(super) struct List<'v> {
    pub(super) items: Vec<Val<'v>>,
    levels: usize,
}

/// An object that was made here.
pub(super) struct Object<'v> {
    pub(super) fields: BTreeMap<String, Val<'v>>,
    levels: usize,
}

/// What `loop` knows.
pub(super) struct Loop<'v> {
    pub(super) at: Cell<usize>,
    pub(super) items: Vec<Val<'v>>,
}

/// A string, borrowed or shared.
#[derive(Debug, Clone)]
pub(super) enum Text<'v> {
    Borrowed(&'v str),
    Shared(Rc<str>),
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Text::Borrowed(text) => text,
            Text::Shared(text) => text,
        }
    }
}

impl<'v> From<&'v Value> for Val<'v> {
    fn from(value: &'v Value) -> Self {
        match value {
            Value::Null => Val::Null,
            Value::Bool(flag) => Val::Bool(*flag),
            Value::Number(number) => match whole(number) {
                Some(exact) => Val::Int(exact),
                None => Val::Float(number.as_f64().unwrap_or_default()),
            },
            Value::String(text) => Val::Text(Text::Borrowed(text)),
            Value::Array(_) | Value::Object(_) => Val::Json(value),
        }
    }
}

impl<'v> Val<'v> {
    pub(super) fn text(text: impl Into<Rc<str>>) -> Self {
        Val::Text(Text::Shared(text.into()))
    }

    /// A length or a count.
    pub(super) fn count(count: usize) -> Self {
        Val::Int(i128::try_from(count).unwrap_or(i128::MAX))
    }

    /// A finite number; too large a one is an error rather than an infinity no JSON can hold.
    pub(super) fn float(number: f64) -> Result<Self, EvalError> {
        if number.is_finite() {
            Ok(Val::Float(number))
        } else {
            Err(EvalError::bad_value("the result is too large to be a number"))
        }
    }

    /// A list of these items, which may not nest without end.
    pub(super) fn list(items: Vec<Val<'v>>, meter: &mut Meter) -> Result<Self, EvalError> {
        meter.grow(items.len() * size_of::<Val<'_>>())?;
        let levels = levels_above(items.iter())?;
        Ok(Val::List(Rc::new(List { items, levels })))
    }

    /// An object of these fields, which may not nest without end.
    pub(super) fn object(fields: BTreeMap<String, Val<'v>>, meter: &mut Meter) -> Result<Self, EvalError> {
        let keys: usize = fields.keys().map(String::len).sum();
        meter.grow(keys + fields.len() * size_of::<(String, Val<'_>)>())?;
        let levels = levels_above(fields.values())?;
        Ok(Val::Object(Rc::new(Object { fields, levels })))
    }

    /// The value, or the error that it is not there.
    pub(super) fn there(self) -> Result<Self, EvalError> {
        match self {
            Val::Missing(missing) => Err(missing.error()),
            value => Ok(value),
        }
    }

    /// Refuses a value that is not there.
    pub(super) fn check(&self) -> Result<(), EvalError> {
        match self {
            Val::Missing(missing) => Err(missing.error()),
            _ => Ok(()),
        }
    }

    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Val::Missing(_))
    }

    /// Truth as Python sees it.
    pub(super) fn truthy(&self) -> bool {
        match self {
            Val::Missing(_) | Val::Null => false,
            Val::Bool(flag) => *flag,
            Val::Int(number) => *number != 0,
            Val::Float(number) => *number != 0.0,
            Val::Text(text) => !text.is_empty(),
            Val::Json(value) => crate::expr::compare::truthy(value),
            Val::List(list) => !list.items.is_empty(),
            Val::Object(object) => !object.fields.is_empty(),
            Val::Namespace(_) | Val::Loop(_) => true,
        }
    }

    /// What the value is, with its article, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Val::Missing(_) => "undefined",
            Val::Null => "null",
            Val::Bool(_) => "a boolean",
            Val::Int(_) | Val::Float(_) => "a number",
            Val::Text(_) => "a string",
            Val::Json(Value::Array(_)) | Val::List(_) => "a list",
            Val::Json(_) | Val::Object(_) => "an object",
            Val::Namespace(_) => "a namespace",
            Val::Loop(_) => "the loop",
        }
    }

    pub(super) fn is_list(&self) -> bool {
        matches!(self, Val::List(_) | Val::Json(Value::Array(_)))
    }

    pub(super) fn is_object(&self) -> bool {
        matches!(self, Val::Object(_) | Val::Json(Value::Object(_)))
    }

    /// The items of a list; the keys of an object; the characters of a string.
    pub(super) fn items(&self, meter: &mut Meter) -> Result<Vec<Val<'v>>, EvalError> {
        let items: Vec<Val<'v>> = match self {
            Val::List(list) => list.items.clone(),
            Val::Json(Value::Array(items)) => items.iter().map(Val::from).collect(),
            Val::Json(Value::Object(fields)) => fields.keys().map(|key| Val::Text(Text::Borrowed(key))).collect(),
            Val::Object(object) => object.fields.keys().map(|key| Val::text(key.as_str())).collect(),
            Val::Text(text) => {
                meter.grow(text.len() * size_of::<Val<'_>>())?;
                text.chars().map(|c| Val::text(c.to_string())).collect()
            }
            Val::Missing(missing) => return Err(missing.error()),
            other => return Err(EvalError::wrong_type(format!("{} has no items to go through", other.kind()))),
        };
        meter.steps(items.len())?;
        meter.grow(items.len() * size_of::<Val<'_>>())?;
        Ok(items)
    }

    /// How many items, fields or characters there are.
    pub(super) fn len(&self, meter: &mut Meter) -> Result<usize, EvalError> {
        match self {
            Val::List(list) => Ok(list.items.len()),
            Val::Object(object) => Ok(object.fields.len()),
            Val::Json(Value::Array(items)) => Ok(items.len()),
            Val::Json(Value::Object(fields)) => Ok(fields.len()),
            Val::Text(text) => {
                meter.read(text.len())?;
                Ok(text.chars().count())
            }
            Val::Missing(missing) => Err(missing.error()),
            other => Err(EvalError::wrong_type(format!("{} has no length", other.kind()))),
        }
    }

    /// The field of an object, if it has it; null is a field like any other.
    pub(super) fn field(&self, name: &str) -> Option<Val<'v>> {
        match self {
            Val::Json(value) => value.get(name).map(Val::from),
            Val::Object(object) => object.fields.get(name).cloned(),
            Val::Namespace(fields) => fields.borrow().get(name).cloned(),
            Val::Loop(state) => state.field(name),
            _ => None,
        }
    }

    /// The item at a place in a list or a string, counted from the end if it is negative.
    pub(super) fn at(&self, index: i128, meter: &mut Meter) -> Result<Option<Val<'v>>, EvalError> {
        let place = |len: usize| {
            let from_end = usize::try_from(index.unsigned_abs()).ok()?;
            if index < 0 { len.checked_sub(from_end) } else { Some(from_end) }
        };
        Ok(match self {
            Val::List(list) => place(list.items.len()).and_then(|at| list.items.get(at).cloned()),
            Val::Json(Value::Array(items)) => place(items.len()).and_then(|at| items.get(at).map(Val::from)),
            Val::Text(text) => {
                meter.read(text.len())?;
                let at = if index < 0 { place(text.chars().count()) } else { place(0) };
                at.and_then(|at| text.chars().nth(at)).map(|c| Val::text(c.to_string()))
            }
            _ => None,
        })
    }

    /// The value as JSON.
    pub(super) fn into_json(self, meter: &mut Meter) -> Result<Value, EvalError> {
        match self {
            Val::Missing(missing) => Err(missing.error()),
            Val::Null => Ok(Value::Null),
            Val::Bool(flag) => Ok(Value::Bool(flag)),
            Val::Int(number) => integer(number),
            Val::Float(number) => Ok(Number::from_f64(number).map_or(Value::Null, Value::Number)),
            Val::Text(text) => {
                meter.grow(text.len())?;
                Ok(Value::String(text.to_string()))
            }
            Val::Json(value) => meter.copy(value),
            Val::List(list) => {
                meter.grow(list.items.len() * size_of::<Value>())?;
                list.items.iter().map(|item| item.clone().into_json(meter)).collect()
            }
            Val::Object(object) => {
                let mut fields = Map::new();
                for (key, value) in &object.fields {
                    meter.grow(key.len() + size_of::<Value>())?;
                    fields.insert(key.clone(), value.clone().into_json(meter)?);
                }
                Ok(Value::Object(fields))
            }
            Val::Namespace(_) | Val::Loop(_) => {
                Err(EvalError::wrong_type(format!("{} is no value of its own; name one of its fields", self.kind())))
            }
        }
    }
}

impl<'v> Loop<'v> {
    fn field(&self, name: &str) -> Option<Val<'v>> {
        let (at, len) = (self.at.get(), self.items.len());
        Some(match name {
            "index" => Val::count(at + 1),
            "index0" => Val::count(at),
            "revindex" => Val::count(len - at),
            "revindex0" => Val::count(len - at - 1),
            "length" => Val::count(len),
            "first" => Val::Bool(at == 0),
            "last" => Val::Bool(at + 1 == len),
            "previtem" => self.items.get(at.checked_sub(1)?)?.clone(),
            "nextitem" => self.items.get(at + 1)?.clone(),
            _ => return None,
        })
    }
}

/// The levels of something that holds these; values that are none, or too deep, may not be held.
fn levels_above<'a, 'v: 'a>(held: impl Iterator<Item = &'a Val<'v>>) -> Result<usize, EvalError> {
    let mut levels = 0;
    for value in held {
        levels = levels.max(match value {
            Val::Missing(missing) => return Err(missing.error()),
            Val::Namespace(_) | Val::Loop(_) => {
                return Err(EvalError::wrong_type(format!("{} cannot be kept in another value", value.kind()))
                    .hint("name one of its fields"));
            }
            Val::List(list) => list.levels,
            Val::Object(object) => object.levels,
            Val::Null | Val::Bool(_) | Val::Int(_) | Val::Float(_) | Val::Text(_) | Val::Json(_) => 0,
        });
    }
    if levels >= Limit::OUTPUT_DEPTH_MAX {
        let max = Limit::OUTPUT_DEPTH_MAX;
        return Err(EvalError::new(Code::Limit, format!("the value nests more than {max} levels deep")));
    }
    Ok(levels + 1)
}

fn integer(number: i128) -> Result<Value, EvalError> {
    let exact = i64::try_from(number).map(Number::from).or_else(|_| u64::try_from(number).map(Number::from));
    exact.map(Value::Number).map_err(|_| EvalError::bad_value(format!("{number} is too large to be a number")))
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}
