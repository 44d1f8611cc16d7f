//! `kind: script`: results written beforehand, for examples, tests and names that do not exist here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use baton_core::expr::{Condition, Document, Language as ExprLanguage, Params};
use baton_core::tool::Class;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Mistake, Profile, check_roots, read, template};
use crate::language::Language;

/// What templates and conditions of a script may name.
pub(crate) const NAMES: &[&str] = &["arguments", "attempt", "id", "key", "run", "turn"];
const RESULTS_MAX: usize = 1_000;
/// The longest a script may pretend to work.
const LATENCY_MS_MAX: u64 = 10 * 60 * 1_000;

#[derive(Clone, Debug)]
pub(crate) struct Script {
    /// The first that matches answers.
    pub(crate) rules: Vec<Rule>,
    /// Whether a rule asks for the turn, which then must be counted.
    pub(crate) counts: bool,
    /// Fields of the outputs, of all rules together.
    output_fields: BTreeSet<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) when: When,
    /// The n-th call of this tool in its run, from 1.
    pub(crate) turn: Option<u64>,
    pub(crate) attempt: Option<u32>,
    pub(crate) latency: Duration,
    pub(crate) reply: Reply,
}

#[derive(Clone, Debug)]
pub(crate) enum When {
    Always,
    /// Every named argument is as given; others do not matter.
    Arguments(Map<String, Value>),
    Condition(Condition),
}

#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// The same whatever is asked: made once, and never copied.
    Ready(Arc<Value>),
    Output(Params),
    Fault(Fault),
}

impl Reply {
    fn of(output: Params) -> Self {
        // One that is too large is found out by the call, as any other is.
        let ready = output.literal().and_then(|_| output.render(&Document::timeless(&Value::Null)).ok());
        match ready {
            Some(output) => Self::Ready(Arc::new(scripted(output))),
            None => Self::Output(output),
        }
    }
}

/// An output that says of itself that it is scripted, where it can say anything.
pub(crate) fn scripted(mut output: Value) -> Value {
    if let Value::Object(fields) = &mut output {
        fields.entry("scripted").or_insert(Value::Bool(true));
    }
    output
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    pub(crate) code: String,
    #[serde(default)]
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) customer: BTreeMap<Lang, String>,
    #[serde(default)]
    pub(crate) retryable: bool,
    #[serde(default)]
    pub(crate) retry_after_ms: Option<u64>,
    /// The outcome is unknown, not undone.
    #[serde(default)]
    pub(crate) unknown: bool,
    /// It acted all the same: a look-up will find the rule's `output`.
    #[serde(skip)]
    pub(crate) acted: Option<Params>,
}

/// A language as a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(crate) enum Lang {
    #[serde(rename = "en")]
    En,
    #[serde(rename = "es")]
    Es,
}

impl From<Language> for Lang {
    fn from(language: Language) -> Self {
        match language {
            Language::English => Self::En,
            Language::Spanish => Self::Es,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    results: Vec<Map<String, Value>>,
    #[serde(default)]
    latency_ms: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRule {
    #[serde(default)]
    when: Value,
    #[serde(default)]
    turn: Option<u64>,
    #[serde(default)]
    attempt: Option<u32>,
    #[serde(default)]
    latency_ms: Option<u64>,
    #[serde(default)]
    output: Option<Value>,
    #[serde(default)]
    fault: Option<Fault>,
}

impl Script {
    pub(super) fn read(fields: Map<String, Value>, profile: &Profile) -> Result<Self, Mistake> {
        let written: Written = read("", fields)?;
        if written.results.is_empty() || written.results.len() > RESULTS_MAX {
            return Err(Mistake::at("results", format!("a script has 1 to {RESULTS_MAX} results")));
        }
        let outputs = written.results.iter().filter_map(|rule| rule.get("output")?.as_object());
        let output_fields = outputs.flat_map(|output| output.keys().cloned()).collect();
        let mut rules = Vec::with_capacity(written.results.len());
        for (index, rule) in written.results.into_iter().enumerate() {
            let rule = Rule::read(rule, written.latency_ms, profile);
            rules.push(rule.map_err(|mistake| mistake.within(&format!("results.{index}")))?);
        }
        let counts = rules.iter().any(Rule::names_the_turn);
        Ok(Self { rules, counts, output_fields })
    }

    /// What the script says of the tool where its definition does not.
    pub(super) fn complete(&self, profile: Profile) -> Profile {
        let mut profile = profile;
        if profile.output_fields.is_empty() {
            profile.output_fields = self.output_fields.iter().cloned().collect();
        }
        // A script keeps a row per key, so it may be sent again.
        let class = profile.class.unwrap_or(Class::Keyed);
        profile.of_class(class)
    }
}

impl Rule {
    fn read(fields: Map<String, Value>, latency_ms: u64, profile: &Profile) -> Result<Self, Mistake> {
        let written: WrittenRule = read("", fields)?;
        let latency_ms = written.latency_ms.unwrap_or(latency_ms);
        if latency_ms > LATENCY_MS_MAX {
            return Err(Mistake::at("latency_ms", format!("is at most {LATENCY_MS_MAX}")));
        }
        let output = written.output.map(|output| template("output", &output, NAMES)).transpose()?;
        let reply = match (output, written.fault) {
            (Some(output), None) => Reply::of(output),
            (None, None) => return Err(Mistake::at("", "a result has an `output` or a `fault`")),
            (Some(_), Some(fault)) if !fault.unknown => {
                let reason = "a fault with an `output` acted all the same, so its outcome is `unknown: true`";
                return Err(Mistake::at("fault", reason));
            }
            (Some(_), Some(_)) if profile.class == Some(Class::Once) => {
                return Err(Mistake::at("fault", "a tool of class `once` cannot be looked up; leave out the `output`"));
            }
            (acted, Some(fault)) => Reply::Fault(Fault { acted, ..fault }),
        };
        let when = When::read(written.when)?;
        let latency = Duration::from_millis(latency_ms);
        Ok(Self { when, turn: written.turn, attempt: written.attempt, latency, reply })
    }

    fn names_the_turn(&self) -> bool {
        let output = match &self.reply {
            Reply::Ready(_) => None,
            Reply::Output(output) => Some(output),
            Reply::Fault(fault) => fault.acted.as_ref(),
        };
        let condition = match &self.when {
            When::Condition(condition) => condition.roots().contains("turn"),
            When::Always | When::Arguments(_) => false,
        };
        self.turn.is_some() || condition || output.is_some_and(|output| output.roots().contains("turn"))
    }
}

impl When {
    fn read(written: Value) -> Result<Self, Mistake> {
        match written {
            Value::Null => Ok(Self::Always),
            Value::Object(arguments) => Ok(Self::Arguments(arguments)),
            Value::String(source) => {
                let condition = Condition::parse(ExprLanguage::Expr, &source);
                let condition = condition.map_err(|error| Mistake::at("when", error.message))?;
                check_roots("when", condition.roots(), NAMES)?;
                Ok(Self::Condition(condition))
            }
            Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
                Err(Mistake::at("when", "is an object of arguments, or an expression"))
            }
        }
    }
}
