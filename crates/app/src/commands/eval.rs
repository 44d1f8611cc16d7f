//! `baton eval`: evaluates one expression over one document.

use baton_core::definition::source::SourceSpan;
use baton_expr::{Condition, ConditionLanguage, EvalError, JinjaTemplate, JsonContext, ParseError, jmespath};
use baton_ports::clock::{Clock, SystemClock};
use serde_json::Value;

use super::json;
use crate::cli::{EvalArgs, EvalLanguageArg};
use crate::{CommandExit, UsageError, print};

/// The name of the expression in error locations.
const NAME: &str = "expression";

pub fn run(args: &EvalArgs) -> anyhow::Result<CommandExit> {
    let input = json::parse_argument("--input", &args.input)?;
    let names = JsonContext::new(&input, SystemClock.now().to_timestamp());
    let misread = |error: ParseError| parse_error(&args.expression, &error);
    let value = match args.language {
        EvalLanguageArg::Jmespath => match jmespath::search_as_condition(&args.expression, &input) {
            Ok(value) => value,
            Err(jmespath::SearchError::Parse(error)) => return Err(misread(error).into()),
            Err(jmespath::SearchError::Eval(error)) => return Err(eval_error(&error).into()),
        },
        EvalLanguageArg::Expr => {
            let parsed = Condition::parse(ConditionLanguage::Expr, &args.expression).map_err(misread)?;
            parsed.value(&names).map_err(|error| eval_error(&error))?
        }
        EvalLanguageArg::Template => {
            let parsed = JinjaTemplate::parse(&args.expression).map_err(misread)?;
            Value::String(parsed.render(&names).map_err(|error| eval_error(&error))?)
        }
    };
    print::json(&value);
    Ok(CommandExit::Completed)
}

/// The error for text that is not a valid expression, with the place in it.
fn parse_error(source: &str, error: &ParseError) -> UsageError {
    let count = |count: usize| u32::try_from(count + 1).unwrap_or(u32::MAX);
    let span = error.offset.and_then(|offset| source.get(..offset)).map_or_else(SourceSpan::default, |before| {
        let line = before.rsplit('\n').next().unwrap_or_default();
        SourceSpan { line: count(before.matches('\n').count()), column: count(line.chars().count()), len: 1 }
    });
    let misuse = UsageError::new(&error.message).at(span, NAME, source);
    with_hint(misuse, error.hint.as_ref())
}

/// The error for a valid expression that fails over this document.
fn eval_error(error: &EvalError) -> UsageError {
    with_hint(UsageError::new(&error.message).code(error.code.as_str()), error.hint.as_ref())
}

fn with_hint(misuse: UsageError, hint: Option<&String>) -> UsageError {
    match hint {
        Some(hint) => misuse.hint(hint),
        None => misuse,
    }
}
