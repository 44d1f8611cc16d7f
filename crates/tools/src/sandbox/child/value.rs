//! Converts JSON to Python values, and back.

use monty_types::MontyObject as Object;
use serde_json::{Map, Number, Value};

use crate::sandbox::frame::VALUE_DEPTH_MAX;

/// Converts to a Python value.
pub(super) fn to_python(value: Value) -> Object {
    match value {
        Value::Null => Object::None,
        Value::Bool(flag) => Object::Bool(flag),
        Value::Number(number) => number_to_python(&number),
        Value::String(text) => Object::String(text),
        Value::Array(items) => Object::List(items.into_iter().map(to_python).collect()),
        Value::Object(fields) => Object::dict(
            fields.into_iter().map(|(name, value)| (Object::String(name), to_python(value))).collect::<Vec<_>>(),
        ),
    }
}

fn number_to_python(number: &Number) -> Object {
    if let Some(whole) = number.as_i64() {
        return Object::Int(whole);
    }
    match number.as_u64() {
        Some(whole) => Object::BigInt(whole.into()),
        None => Object::Float(number.as_f64().unwrap_or(f64::NAN)),
    }
}

/// Converts to JSON.
///
/// # Errors
/// The value has no JSON form. The message says which value, and how to fix it.
pub(super) fn to_json(object: Object) -> Result<Value, String> {
    within(object, VALUE_DEPTH_MAX)
}

fn within(object: Object, depth: usize) -> Result<Value, String> {
    let Some(below) = depth.checked_sub(1) else {
        return Err(format!("lists and dicts more than {VALUE_DEPTH_MAX} deep"));
    };
    match object {
        Object::None => Ok(Value::Null),
        Object::Bool(flag) => Ok(Value::Bool(flag)),
        Object::Int(whole) => Ok(whole.into()),
        Object::BigInt(whole) => {
            u64::try_from(whole).map(Value::from).map_err(|_| "an int of more than 64 bits; give str(it)".to_owned())
        }
        Object::Float(float) => {
            Number::from_f64(float).map(Value::Number).ok_or_else(|| format!("the float {float}; give None or a text"))
        }
        Object::String(text) => Ok(Value::String(text)),
        Object::List(items) | Object::Tuple(items) | Object::NamedTuple { values: items, .. } => {
            items.into_iter().map(|item| within(item, below)).collect::<Result<_, _>>().map(Value::Array)
        }
        Object::Dict(pairs) => fields(pairs, below).map(Value::Object),
        Object::Set(_) | Object::FrozenSet(_) => Err("a set; give a list, such as sorted(it)".to_owned()),
        Object::Bytes(_) => Err("bytes; give a text, such as it.decode()".to_owned()),
        Object::Date(_) | Object::DateTime(_) | Object::Time(_) => Err("a date or time; give str(it)".to_owned()),
        Object::Cycle(..) => Err("a value that holds itself".to_owned()),
        Object::Repr(text) if text.starts_with("<coroutine") => {
            Err("a coroutine that was not awaited; write `await` before it".to_owned())
        }
        Object::Repr(text) => Err(short(&text)),
        other => Err(format!("a value of type `{}`", other.type_name())),
    }
}

/// Formats keys as `json.dumps` does.
fn fields(pairs: impl IntoIterator<Item = (Object, Object)>, depth: usize) -> Result<Map<String, Value>, String> {
    let mut fields = Map::new();
    for (key, value) in pairs {
        let name = match key {
            Object::String(name) => name,
            Object::Int(whole) => whole.to_string(),
            Object::Bool(flag) => flag.to_string(),
            Object::None => "null".to_owned(),
            other => return Err(format!("a dict with a key of type `{}`; give str(key)", other.type_name())),
        };
        if fields.contains_key(&name) {
            return Err(format!("a dict in which two keys are written `{}`", short(&name)));
        }
        fields.insert(name, within(value, depth)?);
    }
    Ok(fields)
}

/// Shortens a text so that it is still recognisable.
fn short(text: &str) -> String {
    const CHARS: usize = 60;
    match text.char_indices().nth(CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_comes_back_as_it_went() {
        let value = json!({"a": [1, -2, 1.5, 1e300, u64::MAX, i64::MIN, null, true, "é\u{0}"], "b": {"": {}}, "c": []});
        assert_eq!(to_json(to_python(value.clone())), Ok(value));
    }

    #[test]
    fn what_has_no_form_is_refused_with_a_way_out() {
        for (object, says) in [
            (Object::Float(f64::NAN), "NaN"),
            (Object::Float(f64::INFINITY), "inf"),
            (Object::Set(vec![]), "sorted(it)"),
            (Object::Bytes(vec![1]), "it.decode()"),
            (Object::BigInt((i128::from(i64::MIN) - 1).into()), "str(it)"),
            (Object::Ellipsis, "`ellipsis`"),
            (Object::dict(vec![(Object::Tuple(vec![]), Object::None)]), "`tuple`"),
            (Object::dict(vec![(Object::Int(1), Object::None), (Object::String("1".into()), Object::None)]), "`1`"),
        ] {
            let refused = to_json(object).unwrap_err();
            assert!(refused.contains(says), "{refused}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| (1..depth).fold(Object::List(vec![]), |inner, _| Object::List(vec![inner]));
        assert!(to_json(nested(VALUE_DEPTH_MAX)).is_ok());
        assert!(to_json(nested(VALUE_DEPTH_MAX + 1)).unwrap_err().contains("64 deep"));
    }
}
