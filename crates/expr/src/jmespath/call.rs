//! The implementation of JMESPath's functions.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

use super::function::JmesPathFunction;
use super::node::JmesPathNode;
use super::search::{JmesPathEvaluator, JmesPathResult, JmesPathScope};
use crate::compare::{equal, order_numbers, whole};
use crate::context::type_description;
use crate::error::EvalError;
use crate::meter::ValueExtent;

impl JmesPathEvaluator {
    pub(super) fn call<'v>(
        &mut self,
        function: JmesPathFunction,
        arguments: &'v [JmesPathNode],
        scope: JmesPathScope<'v>,
    ) -> JmesPathResult<'v> {
        match (function, arguments) {
            (JmesPathFunction::NotNull, _) => self.not_null(arguments, scope),
            (JmesPathFunction::Merge, _) => self.merge(arguments, scope),
            (JmesPathFunction::Map, [JmesPathNode::Reference(each), list]) => {
                let list = self.eval(list, scope)?;
                self.map(each, list)
            }
            (
                JmesPathFunction::SortBy | JmesPathFunction::MaxBy | JmesPathFunction::MinBy,
                [list, JmesPathNode::Reference(key)],
            ) => {
                let list = self.eval(list, scope)?;
                self.by_key(function, list, key)
            }
            (_, [one]) => {
                let value = self.eval(one, scope)?;
                self.call_one(function, value)
            }
            (_, [one, two]) => {
                let one = self.eval(one, scope)?;
                let two = self.eval(two, scope)?;
                self.call_two(function, &one, &two)
            }
            _ => Ok(Cow::Owned(Value::Null)),
        }
    }

    fn call_one<'v>(&mut self, function: JmesPathFunction, value: Cow<'v, Value>) -> JmesPathResult<'v> {
        match function {
            JmesPathFunction::Abs | JmesPathFunction::Ceil | JmesPathFunction::Floor => {
                round(function, &value).map(owned)
            }
            JmesPathFunction::Avg | JmesPathFunction::Sum => self.total(function, &value).map(owned),
            JmesPathFunction::Length => self.length(&value).map(owned),
            JmesPathFunction::Max | JmesPathFunction::Min => self.extreme(function, value),
            JmesPathFunction::Sort => self.sort(value),
            JmesPathFunction::Reverse => self.reverse(value),
            JmesPathFunction::Keys | JmesPathFunction::Values => self.fields(function, value),
            JmesPathFunction::ToArray if value.is_array() => Ok(value),
            JmesPathFunction::ToArray => Ok(owned(Value::Array(vec![self.owned_value(value)?]))),
            JmesPathFunction::ToNumber => Ok(to_number(value)),
            JmesPathFunction::ToString => self.text(value),
            JmesPathFunction::Type => Ok(owned(Value::from(type_name(&value)))),
            JmesPathFunction::Contains
            | JmesPathFunction::EndsWith
            | JmesPathFunction::Join
            | JmesPathFunction::Map
            | JmesPathFunction::MaxBy
            | JmesPathFunction::Merge
            | JmesPathFunction::MinBy
            | JmesPathFunction::NotNull
            | JmesPathFunction::SortBy
            | JmesPathFunction::StartsWith => Ok(owned(Value::Null)),
        }
    }

    fn call_two<'v>(&mut self, function: JmesPathFunction, one: &Value, two: &Value) -> JmesPathResult<'v> {
        let answer = match (function, one, two) {
            (JmesPathFunction::Contains, Value::Array(items), _) => {
                let mut found = false;
                for item in items {
                    found = found || equal(item, two, &mut self.meter)?;
                }
                found
            }
            (JmesPathFunction::Contains, Value::String(text), _) => {
                self.meter.charge_read(text.len())?;
                two.as_str().is_some_and(|part| text.contains(part))
            }
            (JmesPathFunction::StartsWith, Value::String(text), Value::String(part)) => text.starts_with(part.as_str()),
            (JmesPathFunction::EndsWith, Value::String(text), Value::String(part)) => text.ends_with(part.as_str()),
            (JmesPathFunction::Join, Value::String(glue), Value::Array(parts)) => {
                return self.join(glue, parts);
            }
            (JmesPathFunction::Join, Value::String(_), other) => {
                return Err(argument_type_error(function, "a list of strings", other));
            }
            (JmesPathFunction::Contains, other, _) => {
                return Err(argument_type_error(function, "a string or a list", other));
            }
            (_, Value::String(_), other) | (_, other, _) => {
                return Err(argument_type_error(function, "a string", other));
            }
        };
        Ok(owned(Value::Bool(answer)))
    }

    fn not_null<'v>(&mut self, arguments: &'v [JmesPathNode], scope: JmesPathScope<'v>) -> JmesPathResult<'v> {
        for argument in arguments {
            let value = self.eval(argument, scope)?;
            if !value.is_null() {
                return Ok(value);
            }
        }
        Ok(owned(Value::Null))
    }

    fn merge<'v>(&mut self, arguments: &'v [JmesPathNode], scope: JmesPathScope<'v>) -> JmesPathResult<'v> {
        let mut merged = Map::new();
        for argument in arguments {
            let value = self.eval(argument, scope)?;
            match self.owned_value(value)? {
                Value::Object(fields) => merged.extend(fields),
                other => return Err(argument_type_error(JmesPathFunction::Merge, "an object", &other)),
            }
        }
        Ok(owned(Value::Object(merged)))
    }

    fn map<'v>(&mut self, each: &JmesPathNode, list: Cow<'v, Value>) -> JmesPathResult<'v> {
        let Value::Array(items) = list.as_ref() else {
            return Err(argument_type_error(JmesPathFunction::Map, "a list", &list));
        };
        self.meter.charge_growth(items.len() * size_of::<Value>())?;
        let mut mapped = Vec::with_capacity(items.len());
        for item in items {
            mapped.push(self.on_owned(each, item)?);
        }
        Ok(owned(Value::Array(mapped)))
    }

    fn by_key<'v>(
        &mut self,
        function: JmesPathFunction,
        list: Cow<'v, Value>,
        key: &JmesPathNode,
    ) -> JmesPathResult<'v> {
        let Value::Array(items) = list.as_ref() else {
            return Err(argument_type_error(function, "a list", &list));
        };
        let mut keys = Vec::with_capacity(items.len());
        for item in items {
            keys.push(self.on_owned(key, item)?);
        }
        self.check_alike(function, &keys, "a key that is always a number or always a string")?;
        let mut places: Vec<usize> = (0..items.len()).collect();
        let order = |a: &usize, b: &usize| order(&keys[*a], &keys[*b]);
        match function {
            JmesPathFunction::MaxBy => self.pick(&list, places.into_iter().rev().max_by(order)),
            JmesPathFunction::MinBy => self.pick(&list, places.into_iter().min_by(order)),
            _ => {
                places.sort_by(order);
                let mut sorted = Vec::with_capacity(items.len());
                for at in places {
                    sorted.push(self.meter.copy(&items[at])?);
                }
                Ok(owned(Value::Array(sorted)))
            }
        }
    }

    fn pick<'v>(&mut self, list: &Value, place: Option<usize>) -> JmesPathResult<'v> {
        match place.and_then(|at| list.get(at)) {
            Some(item) => Ok(owned(self.meter.copy(item)?)),
            None => Ok(owned(Value::Null)),
        }
    }

    /// Rejects anything but all numbers or all strings, and charges for sorting them.
    fn check_alike(&mut self, function: JmesPathFunction, items: &[Value], what: &str) -> Result<(), EvalError> {
        let alike = items.iter().all(Value::is_number) || items.iter().all(Value::is_string);
        if !alike {
            let odd = items.iter().find(|item| !item.is_number() && !item.is_string());
            return Err(match odd.or(items.last()) {
                Some(odd) => argument_type_error(function, what, odd),
                None => EvalError::wrong_type(format!("`{}` wants {what}", function.name())),
            });
        }
        let rounds = items.len().checked_ilog2().map_or(1, |log| log as usize + 1);
        let bytes: usize = items.iter().map(|item| item.as_str().map_or(0, str::len)).sum();
        self.meter.charge_steps(items.len() * rounds)?;
        self.meter.charge_read(bytes.saturating_mul(rounds))
    }

    fn sort<'v>(&mut self, list: Cow<'v, Value>) -> JmesPathResult<'v> {
        let Value::Array(items) = list.as_ref() else {
            return Err(argument_type_error(JmesPathFunction::Sort, "a list", &list));
        };
        self.check_alike(JmesPathFunction::Sort, items, "a list of numbers or of strings")?;
        let mut items = self.items(list)?;
        items.sort_by(order);
        Ok(owned(Value::Array(items)))
    }

    fn extreme<'v>(&mut self, function: JmesPathFunction, list: Cow<'v, Value>) -> JmesPathResult<'v> {
        let Value::Array(items) = list.as_ref() else {
            return Err(argument_type_error(function, "a list", &list));
        };
        self.check_alike(function, items, "a list of numbers or of strings")?;
        let found = match function {
            JmesPathFunction::Max => items.iter().max_by(|a, b| order(a, b)),
            _ => items.iter().min_by(|a, b| order(a, b)),
        };
        match found {
            Some(item) => Ok(owned(self.meter.copy(item)?)),
            None => Ok(owned(Value::Null)),
        }
    }

    fn total(&mut self, function: JmesPathFunction, list: &Value) -> Result<Value, EvalError> {
        let error = |odd: &Value| argument_type_error(function, "a list of numbers", odd);
        let items = list.as_array().ok_or_else(|| error(list))?;
        self.meter.charge_steps(items.len())?;
        let mut exact = Some(0_i128);
        let mut sum = 0.0;
        for item in items {
            let Value::Number(number) = item else {
                return Err(error(item));
            };
            sum += number.as_f64().unwrap_or(f64::NAN);
            exact = exact.zip(whole(number)).and_then(|(sum, next)| sum.checked_add(next));
        }
        match function {
            JmesPathFunction::Avg if items.is_empty() => Ok(Value::Null),
            #[expect(clippy::cast_precision_loss, reason = "a list is far shorter than 2^52")]
            JmesPathFunction::Avg => float(sum / items.len() as f64),
            _ => match exact.and_then(|sum| i64::try_from(sum).ok()) {
                Some(sum) => Ok(Value::from(sum)),
                None => float(sum),
            },
        }
    }

    fn length(&mut self, value: &Value) -> Result<Value, EvalError> {
        match value {
            Value::String(text) => {
                self.meter.charge_read(text.len())?;
                Ok(Value::from(text.chars().count()))
            }
            Value::Array(items) => Ok(Value::from(items.len())),
            Value::Object(fields) => Ok(Value::from(fields.len())),
            Value::Null | Value::Bool(_) | Value::Number(_) => {
                Err(argument_type_error(JmesPathFunction::Length, "a string, a list or an object", value))
            }
        }
    }

    fn reverse<'v>(&mut self, value: Cow<'v, Value>) -> JmesPathResult<'v> {
        match self.owned_value(value)? {
            Value::Array(mut items) => {
                items.reverse();
                Ok(owned(Value::Array(items)))
            }
            Value::String(text) => Ok(owned(Value::String(text.chars().rev().collect()))),
            other => Err(argument_type_error(JmesPathFunction::Reverse, "a list or a string", &other)),
        }
    }

    fn fields<'v>(&mut self, function: JmesPathFunction, value: Cow<'v, Value>) -> JmesPathResult<'v> {
        match self.owned_value(value)? {
            Value::Object(fields) if function == JmesPathFunction::Keys => {
                Ok(owned(fields.into_iter().map(|(key, _)| key).collect()))
            }
            Value::Object(fields) => Ok(owned(fields.into_iter().map(|(_, value)| value).collect())),
            other => Err(argument_type_error(function, "an object", &other)),
        }
    }

    fn join<'v>(&mut self, glue: &str, parts: &[Value]) -> JmesPathResult<'v> {
        let mut text = String::new();
        for (index, part) in parts.iter().enumerate() {
            let Value::String(part) = part else {
                return Err(argument_type_error(JmesPathFunction::Join, "a list of strings", part));
            };
            self.meter.charge_growth(glue.len() + part.len())?;
            if index > 0 {
                text.push_str(glue);
            }
            text.push_str(part);
        }
        Ok(owned(Value::String(text)))
    }

    fn text<'v>(&mut self, value: Cow<'v, Value>) -> JmesPathResult<'v> {
        if value.is_string() {
            return Ok(value);
        }
        self.meter.charge_growth(ValueExtent::of(&value).bytes)?;
        Ok(owned(Value::String(value.to_string())))
    }
}

fn owned(value: Value) -> Cow<'static, Value> {
    Cow::Owned(value)
}

/// Returns the order of two numbers or two strings.
fn order(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => order_numbers(a, b).unwrap_or(Ordering::Equal),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        _ => Ordering::Equal,
    }
}

fn round(function: JmesPathFunction, value: &Value) -> Result<Value, EvalError> {
    let Value::Number(number) = value else {
        return Err(argument_type_error(function, "a number", value));
    };
    if let Some(exact) = whole(number) {
        return Ok(match (function, i64::try_from(exact.abs())) {
            (JmesPathFunction::Abs, Ok(magnitude)) => Value::from(magnitude),
            (JmesPathFunction::Abs, Err(_)) => float(number.as_f64().unwrap_or(0.0).abs())?,
            _ => value.clone(),
        });
    }
    let number = number.as_f64().unwrap_or(f64::NAN);
    match function {
        JmesPathFunction::Abs => float(number.abs()),
        JmesPathFunction::Ceil => rounded(number.ceil()),
        _ => rounded(number.floor()),
    }
}

/// Returns a float without a fraction, written as an integer if that is exact.
fn rounded(number: f64) -> Result<Value, EvalError> {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    if number.abs() <= EXACT_MAX {
        #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and in range")]
        return Ok(Value::from(number as i64));
    }
    float(number)
}

fn float(number: f64) -> Result<Value, EvalError> {
    Number::from_f64(number)
        .map(Value::Number)
        .ok_or_else(|| EvalError::bad_value("the result is too large to be a number"))
}

fn to_number(value: Cow<'_, Value>) -> Cow<'_, Value> {
    match value.as_ref() {
        Value::Number(_) => value,
        Value::String(text) => owned(text.parse().map_or(Value::Null, Value::Number)),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => owned(Value::Null),
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn argument_type_error(function: JmesPathFunction, what: &str, given: &Value) -> EvalError {
    EvalError::wrong_type(format!("`{}` wants {what} and was given {}", function.name(), type_description(given)))
}
