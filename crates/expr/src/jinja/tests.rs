use serde_json::Value;

use crate::{Condition, ConditionLanguage, EvalError, JinjaTemplate, JsonContext, ParseError};

mod expressions;
mod hostile;
mod refusals;
mod templates;
mod values;

fn moment() -> jiff::Timestamp {
    "2025-11-07T22:30:00Z".parse().unwrap()
}

fn expr(source: &str, names: &Value) -> Result<Value, EvalError> {
    let condition =
        Condition::parse(ConditionLanguage::Expr, source).unwrap_or_else(|error| panic!("{source}: {error:?}"));
    condition.value(&JsonContext::new(names, moment()))
}

fn template(source: &str, names: &Value) -> Result<String, EvalError> {
    let template = JinjaTemplate::parse(source).unwrap_or_else(|error| panic!("{source}: {error:?}"));
    template.render(&JsonContext::new(names, moment()))
}

fn refused(source: &str) -> ParseError {
    match JinjaTemplate::parse(source) {
        Err(error) => error,
        Ok(_) => panic!("`{source}` was parsed"),
    }
}

/// Checks the value of each expression over `names`.
fn check(names: &Value, cases: &[(&str, Value)]) {
    for (source, wanted) in cases {
        assert_eq!(expr(source, names).as_ref(), Ok(wanted), "{source}");
    }
}

/// Checks the output of each template over `names`.
fn check_text(names: &Value, cases: &[(&str, &str)]) {
    for (source, wanted) in cases {
        assert_eq!(template(source, names).as_deref(), Ok(*wanted), "{source}");
    }
}
