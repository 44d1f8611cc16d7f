//! `baton eval`: one expression over one document.

use baton_core::definition::source::Span;
use baton_core::expr::{Condition, Document, EvalError, Language, ParseError, Template, jmespath};
use baton_ports::clock::{Clock, SystemClock};
use serde_json::Value;

use super::json;
use crate::cli::{Eval, EvalLanguage};
use crate::{Exit, Misuse, print};

/// What the expression is called where its place is shown.
const NAME: &str = "expression";

pub fn run(args: &Eval) -> anyhow::Result<Exit> {
    let input = json::given("--input", &args.input)?;
    let names = Document::new(&input, SystemClock.now().to_timestamp());
    let misread = |error: ParseError| misread(&args.expression, &error);
    let value = match args.language {
        EvalLanguage::Jmespath => match jmespath::search_as_condition(&args.expression, &input) {
            Ok(value) => value,
            Err(jmespath::SearchError::Parse(error)) => return Err(misread(error).into()),
            Err(jmespath::SearchError::Eval(error)) => return Err(unmet(&error).into()),
        },
        EvalLanguage::Expr => {
            let parsed = Condition::parse(Language::Expr, &args.expression).map_err(misread)?;
            parsed.value(&names).map_err(|error| unmet(&error))?
        }
        EvalLanguage::Template => {
            let parsed = Template::parse(&args.expression).map_err(misread)?;
            Value::String(parsed.render(&names).map_err(|error| unmet(&error))?)
        }
    };
    print::json(&value);
    Ok(Exit::Completed)
}

/// The text is no expression: with the place in it.
fn misread(source: &str, error: &ParseError) -> Misuse {
    let count = |count: usize| u32::try_from(count + 1).unwrap_or(u32::MAX);
    let span = error.offset.and_then(|offset| source.get(..offset)).map_or_else(Span::default, |before| {
        let line = before.rsplit('\n').next().unwrap_or_default();
        Span { line: count(before.matches('\n').count()), column: count(line.chars().count()), len: 1 }
    });
    let misuse = Misuse::new(&error.message).at(span, NAME, source);
    hinted(misuse, error.hint.as_ref())
}

/// The expression is sound, but not over this document.
fn unmet(error: &EvalError) -> Misuse {
    hinted(Misuse::new(&error.message).code(error.code.as_str()), error.hint.as_ref())
}

fn hinted(misuse: Misuse, hint: Option<&String>) -> Misuse {
    match hint {
        Some(hint) => misuse.hint(hint),
        None => misuse,
    }
}
