//! A tool call, as the program writes it: `tool(name=value, …)`, or `tool({"name": value, …})`.

use monty::FunctionCall;
use monty_types::{ExcType, MontyException, MontyObject};
use serde_json::{Map, Value};

use crate::sandbox::child::value::to_json;
use crate::sandbox::frame::ProgramCall;

/// Maximum number of functions listed in a message; there may be a thousand.
const NAMED_MAX: usize = 20;

/// Reads a call.
///
/// # Errors
/// The message of the exception to raise at the call.
pub(super) fn read_call(call: &FunctionCall, functions: &[String]) -> Result<ProgramCall, MontyException> {
    let function = &call.function_name;
    if call.object_id.is_some() || !functions.contains(function) {
        return Err(no_such_function(function, functions));
    }
    let wrong = |what: String| MontyException::new(ExcType::TypeError, Some(format!("{function}(): {what}")));
    let mut arguments = match call.args.as_slice() {
        [] => Map::new(),
        [MontyObject::Dict(given)] => match to_json(MontyObject::Dict(given.clone())) {
            Ok(Value::Object(given)) => given,
            Ok(_) => return Err(wrong("its argument is no dict".to_owned())),
            Err(what) => return Err(wrong(format!("an argument is {what}"))),
        },
        _ => return Err(wrong(format!("name its arguments, as in {function}(name=value), or give one dict"))),
    };
    for (name, value) in &call.kwargs {
        let MontyObject::String(name) = name else {
            return Err(wrong("the name of an argument is no text".to_owned()));
        };
        let value = to_json(value.clone()).map_err(|what| wrong(format!("the argument `{name}` is {what}")))?;
        if arguments.insert(name.clone(), value).is_some() {
            return Err(wrong(format!("the argument `{name}` is given twice")));
        }
    }
    Ok(ProgramCall { function: function.clone(), arguments: Value::Object(arguments) })
}

fn no_such_function(function: &str, functions: &[String]) -> MontyException {
    let named = functions.iter().take(NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    let may = match functions.len() {
        0 => "it may call no tool".to_owned(),
        count if count > NAMED_MAX => format!("it may call {named}, and {} more", count - NAMED_MAX),
        _ => format!("it may call {named}"),
    };
    MontyException::new(ExcType::NameError, Some(format!("name '{function}' is not defined; {may}")))
}

/// Describes how the call with this number differs from the recorded one.
pub(super) fn difference(number: usize, asked: &ProgramCall, recorded: &ProgramCall) -> String {
    if asked.function != recorded.function {
        return format!("its call {number} is of `{}`, and was of `{}`", asked.function, recorded.function);
    }
    format!("its call {number}, of `{}`, has other arguments than it had", asked.function)
}
