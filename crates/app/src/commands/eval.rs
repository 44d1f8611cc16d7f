//! `baton eval`: one expression over one document.

use baton_core::expr::{Condition, Document, Language, Template, jmespath};
use baton_ports::clock::{Clock, SystemClock};
use serde_json::Value;

use super::json;
use crate::cli::{Eval, EvalLanguage};
use crate::{Exit, Misuse, print};

pub fn run(args: &Eval) -> anyhow::Result<Exit> {
    let input = json::given("--input", &args.input)?;
    let names = Document::new(&input, SystemClock.now().to_timestamp());
    let wrong = |error: &dyn std::fmt::Display| anyhow::Error::from(Misuse::new(error.to_string()));
    let value = match args.language {
        EvalLanguage::Jmespath => jmespath::search(&args.expression, &input).map_err(|error| wrong(&error))?,
        EvalLanguage::Expr => {
            let parsed = Condition::parse(Language::Expr, &args.expression).map_err(|error| wrong(&error))?;
            parsed.value(&names).map_err(|error| wrong(&error))?
        }
        EvalLanguage::Template => {
            let parsed = Template::parse(&args.expression).map_err(|error| wrong(&error))?;
            Value::String(parsed.render(&names).map_err(|error| wrong(&error))?)
        }
    };
    print::json(&value);
    Ok(Exit::Completed)
}
