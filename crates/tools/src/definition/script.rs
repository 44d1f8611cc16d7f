//! `kind: script`: canned results for examples, tests and services that do not exist here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use baton_core::tool::EffectClass;
use baton_expr::{Condition, ConditionLanguage, JsonContext, ParamsTemplate};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{DefinitionDiagnostic, ToolProfile, check_roots, read, template};
use crate::language::CustomerLanguage;

/// Names that templates and conditions of a script may use.
pub(crate) const NAMES: &[&str] = &["arguments", "attempt", "id", "key", "run", "turn"];
const RESULTS_MAX: usize = 1_000;
/// The longest simulated latency, in milliseconds.
const LATENCY_MS_MAX: u64 = 10 * 60 * 1_000;

#[derive(Clone, Debug)]
pub(crate) struct ScriptDefinition {
    /// The first matching rule provides the result.
    pub(crate) rules: Vec<ToolScriptRule>,
    /// Whether a rule depends on the turn, which must then be counted.
    pub(crate) counts: bool,
    /// Fields of the outputs, of all rules together.
    output_fields: BTreeSet<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct ToolScriptRule {
    pub(crate) when: RuleCondition,
    /// The n-th call of this tool in its run, from 1.
    pub(crate) turn: Option<u64>,
    pub(crate) attempt: Option<u32>,
    pub(crate) latency: Duration,
    pub(crate) reply: ScriptReply,
}

#[derive(Clone, Debug)]
pub(crate) enum RuleCondition {
    Always,
    /// Every named argument equals the given value; other arguments are ignored.
    Arguments(Map<String, Value>),
    Condition(Condition),
}

#[derive(Clone, Debug)]
pub(crate) enum ScriptReply {
    /// The same for every call: built once and never copied.
    Ready(Arc<Value>),
    Output(ParamsTemplate),
    Fault(ScriptedFault),
}

impl ScriptReply {
    fn of(output: ParamsTemplate) -> Self {
        // An output that is too large is reported by the call, as for any other tool.
        let ready = output.literal().and_then(|_| output.render(&JsonContext::timeless(&Value::Null)).ok());
        match ready {
            Some(output) => Self::Ready(Arc::new(mark_scripted(output))),
            None => Self::Output(output),
        }
    }
}

/// Marks an output as scripted, if it is an object.
pub(crate) fn mark_scripted(mut output: Value) -> Value {
    if let Value::Object(fields) = &mut output {
        fields.entry("scripted").or_insert(Value::Bool(true));
    }
    output
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScriptedFault {
    pub(crate) code: String,
    #[serde(default)]
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) customer: BTreeMap<LanguageKey, String>,
    #[serde(default)]
    pub(crate) retryable: bool,
    #[serde(default)]
    pub(crate) retry_after_ms: Option<u64>,
    /// The outcome is unknown, instead of certainly not done.
    #[serde(default)]
    pub(crate) unknown: bool,
    /// The call acted anyway: a look-up finds the rule's `output`.
    #[serde(skip)]
    pub(crate) acted: Option<ParamsTemplate>,
}

/// A language as a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(crate) enum LanguageKey {
    #[serde(rename = "en")]
    En,
    #[serde(rename = "es")]
    Es,
}

impl From<CustomerLanguage> for LanguageKey {
    fn from(language: CustomerLanguage) -> Self {
        match language {
            CustomerLanguage::English => Self::En,
            CustomerLanguage::Spanish => Self::Es,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScriptFields {
    #[serde(default)]
    results: Vec<Map<String, Value>>,
    #[serde(default)]
    latency_ms: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScriptRuleFields {
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
    fault: Option<ScriptedFault>,
}

impl ScriptDefinition {
    pub(super) fn read(fields: Map<String, Value>, profile: &ToolProfile) -> Result<Self, DefinitionDiagnostic> {
        let written: ScriptFields = read("", fields)?;
        if written.results.is_empty() || written.results.len() > RESULTS_MAX {
            return Err(DefinitionDiagnostic::at("results", format!("a script has 1 to {RESULTS_MAX} results")));
        }
        let outputs = written.results.iter().filter_map(|rule| rule.get("output")?.as_object());
        let output_fields = outputs.flat_map(|output| output.keys().cloned()).collect();
        let mut rules = Vec::with_capacity(written.results.len());
        for (index, rule) in written.results.into_iter().enumerate() {
            let rule = ToolScriptRule::read(rule, written.latency_ms, profile);
            rules.push(rule.map_err(|mistake| mistake.within(&format!("results.{index}")))?);
        }
        let counts = rules.iter().any(ToolScriptRule::uses_turn);
        Ok(Self { rules, counts, output_fields })
    }

    /// Fills fields that the definition does not set with those derived from the script.
    pub(super) fn complete(&self, profile: ToolProfile) -> ToolProfile {
        let mut profile = profile;
        if profile.output_fields.is_empty() {
            profile.output_fields = self.output_fields.iter().cloned().collect();
        }
        // A script keeps a row per key, so it may be sent again.
        let class = profile.class.unwrap_or(EffectClass::Keyed);
        profile.with_class(class)
    }
}

impl ToolScriptRule {
    fn read(fields: Map<String, Value>, latency_ms: u64, profile: &ToolProfile) -> Result<Self, DefinitionDiagnostic> {
        let written: ScriptRuleFields = read("", fields)?;
        let latency_ms = written.latency_ms.unwrap_or(latency_ms);
        if latency_ms > LATENCY_MS_MAX {
            return Err(DefinitionDiagnostic::at("latency_ms", format!("is at most {LATENCY_MS_MAX}")));
        }
        let output = written.output.map(|output| template("output", &output, NAMES)).transpose()?;
        let reply = match (output, written.fault) {
            (Some(output), None) => ScriptReply::of(output),
            (None, None) => return Err(DefinitionDiagnostic::at("", "a result has an `output` or a `fault`")),
            (Some(_), Some(fault)) if !fault.unknown => {
                let reason = "a fault with an `output` acted all the same, so its outcome is `unknown: true`";
                return Err(DefinitionDiagnostic::at("fault", reason));
            }
            (Some(_), Some(_)) if profile.class == Some(EffectClass::Once) => {
                return Err(DefinitionDiagnostic::at(
                    "fault",
                    "a tool of class `once` cannot be looked up; leave out the `output`",
                ));
            }
            (acted, Some(fault)) => ScriptReply::Fault(ScriptedFault { acted, ..fault }),
        };
        let when = RuleCondition::read(written.when)?;
        let latency = Duration::from_millis(latency_ms);
        Ok(Self { when, turn: written.turn, attempt: written.attempt, latency, reply })
    }

    fn uses_turn(&self) -> bool {
        let output = match &self.reply {
            ScriptReply::Ready(_) => None,
            ScriptReply::Output(output) => Some(output),
            ScriptReply::Fault(fault) => fault.acted.as_ref(),
        };
        let condition = match &self.when {
            RuleCondition::Condition(condition) => condition.roots().contains("turn"),
            RuleCondition::Always | RuleCondition::Arguments(_) => false,
        };
        self.turn.is_some() || condition || output.is_some_and(|output| output.roots().contains("turn"))
    }
}

impl RuleCondition {
    fn read(written: Value) -> Result<Self, DefinitionDiagnostic> {
        match written {
            Value::Null => Ok(Self::Always),
            Value::Object(arguments) => Ok(Self::Arguments(arguments)),
            Value::String(source) => {
                let condition = Condition::parse(ConditionLanguage::Expr, &source);
                let condition = condition.map_err(|error| DefinitionDiagnostic::at("when", error.message))?;
                check_roots("when", condition.roots(), NAMES)?;
                Ok(Self::Condition(condition))
            }
            Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
                Err(DefinitionDiagnostic::at("when", "is an object of arguments, or an expression"))
            }
        }
    }
}
