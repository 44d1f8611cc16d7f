//! Tool calls as all crates see them: the contract of a tool, a call, its outcome, and its audit row.

mod details;
mod outage;
mod question;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::fault::Fault;
use crate::id::{RunId, TenantId};
use crate::money::Usd;
use crate::time::{Time, duration_ms};
use crate::trace;

pub use details::{AuditDetails, DetailsWriter};
pub use outage::{CIRCUIT_OPEN, OnUnavailable, OnUnavailableError, is_outage};
pub use question::{INPUT_REQUIRED, QUESTIONS_MAX, QuestionOutcome, QuestionReply, ToolQuestion};

/// What may be done with an effect whose outcome is not known. Fixed when the effect is scheduled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Class")]
pub enum EffectClass {
    /// A function of its arguments: done again.
    Pure,
    /// Asks the world, changes nothing: done again.
    Read,
    /// Sent again under the same key with the same arguments; the other side acts once.
    Keyed,
    /// Looked up at the service before anything is sent again.
    Verify,
    /// Nobody can tell: waits for a person.
    Once,
}

impl EffectClass {
    /// Returns whether a durable marker must be written before the call is sent.
    pub fn needs_marker(self) -> bool {
        matches!(self, Self::Verify | Self::Once)
    }

    /// Returns whether the call may have side effects.
    pub fn has_side_effects(self) -> bool {
        !matches!(self, Self::Pure | Self::Read)
    }
}

/// How a failed attempt is repeated. The run counts and waits; the pipeline performs one attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Retry")]
pub struct RetryPolicy {
    /// Attempts in all, the first included.
    pub max_attempts: u32,
    /// The wait before the second attempt.
    #[serde(rename = "initial_ms", with = "duration_ms")]
    #[schemars(with = "u64")]
    pub initial: Duration,
    pub multiplier: f64,
    #[serde(rename = "max_ms", with = "duration_ms")]
    #[schemars(with = "u64")]
    pub max: Duration,
    /// Share of the wait that is spread, 0 to 1; derived from the effect's key, so that a replay agrees.
    pub jitter: f64,
    /// Codes to repeat on; empty means whatever the tool calls transient.
    pub retry_on: Vec<String>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 3,
            initial: Duration::from_secs(2),
            multiplier: 2.0,
            max: Duration::from_secs(10),
            jitter: 0.0,
            retry_on: Vec::new(),
        }
    }
}

impl RetryPolicy {
    pub const NONE: Self = Self {
        max_attempts: 1,
        initial: Duration::ZERO,
        multiplier: 1.0,
        max: Duration::ZERO,
        jitter: 0.0,
        retry_on: Vec::new(),
    };
}

/// How a done effect is undone, as written: arguments are templates until the effect completes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Compensation")]
pub struct ToolCompensation {
    #[serde(alias = "tool")]
    pub tool_name: String,
    /// Templates over `output`, `arguments` and the run's names.
    #[serde(default)]
    pub parameters: Value,
}

/// What the run must know about a tool before it schedules a call. Part of a bundle: pinned with the version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Facts")]
pub struct ToolContract {
    pub class: EffectClass,
    /// Default time-out of one attempt.
    #[serde(rename = "timeout_ms", with = "duration_ms")]
    #[schemars(with = "u64")]
    pub timeout: Duration,
    #[serde(default)]
    pub retry: RetryPolicy,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compensation: Option<ToolCompensation>,
    /// Why it cannot be undone, where an acting tool has no compensation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub irreversible: Option<String>,
    /// Where one tool has several actions: the facts of each, by the argument that [`Self::told_by`] names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub actions: BTreeMap<String, ToolContract>,
    /// The argument that tells the actions apart, a string or a truth value (`true`, `false`); `action` unless told.
    #[serde(default = "ToolContract::told_by_action", skip_serializing_if = "ToolContract::is_told_by_action")]
    pub told_by: Cow<'static, str>,
    /// JSON Schema of the arguments, for static checks and for models; `null` accepts anything.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub parameters: Value,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What a call of it costs: held against the limits of the run and the node while it is out.
    #[serde(default, rename = "cost_nanos", skip_serializing_if = "is_free")]
    pub cost: Usd,
    /// Names a value of the output must carry, so that compensations can be checked before anything runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub output_fields: Vec<String>,
    /// What is done while its service is down; without a word a call fails once its attempts are spent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_unavailable: Option<OnUnavailable>,
    /// What stands in for the answer then, where one stands in; `output_fields` that are not in it are null.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub stand_in: Map<String, Value>,
}

impl ToolContract {
    /// Creates the contract of a tool that accepts anything, with defaults for everything else.
    pub fn new(class: EffectClass, timeout: Duration) -> Self {
        Self {
            class,
            timeout,
            retry: RetryPolicy::default(),
            compensation: None,
            irreversible: None,
            actions: BTreeMap::new(),
            told_by: Self::told_by_action(),
            parameters: Value::Null,
            description: String::new(),
            cost: Usd::ZERO,
            output_fields: Vec::new(),
            on_unavailable: None,
            stand_in: Map::new(),
        }
    }

    /// Sets the price of a call, for all actions.
    #[must_use]
    pub fn with_cost(mut self, cost: Usd) -> Self {
        self.cost = cost;
        self.actions = self.actions.into_iter().map(|(name, facts)| (name, facts.with_cost(cost))).collect();
        self
    }

    /// Returns the contract for a call with these arguments: that of its action if the tool has actions, recursively;
    /// the tool's own if the argument names none.
    pub fn for_arguments(&self, arguments: &Value) -> &Self {
        let named = match arguments.get(&*self.told_by) {
            Some(Value::String(action)) => self.actions.get(action),
            Some(Value::Bool(flag)) => self.actions.get(if *flag { "true" } else { "false" }),
            Some(Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_)) | None => None,
        };
        named.map_or(self, |facts| facts.for_arguments(arguments))
    }

    /// Returns the contract of each action of the tool: its own if it has no actions, otherwise those of all actions.
    pub fn flattened_actions(&self) -> Vec<&Self> {
        if self.actions.is_empty() {
            return vec![self];
        }
        self.actions.values().flat_map(Self::flattened_actions).collect()
    }

    fn told_by_action() -> Cow<'static, str> {
        Cow::Borrowed("action")
    }

    #[expect(clippy::ptr_arg, reason = "serde asks for a reference to the field")]
    fn is_told_by_action(name: &Cow<'static, str>) -> bool {
        name == "action"
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_free(cost: &Usd) -> bool {
    *cost == Usd::ZERO
}

/// One attempt of a tool call, fully rendered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolInvocation {
    pub tenant: TenantId,
    pub run: RunId,
    /// The run's workflow, by name.
    #[serde(default)]
    pub workflow: String,
    /// The effect's idempotency key: `run / scope path / node / call index / generation`.
    pub key: String,
    pub tool: String,
    /// Shared with the run.
    pub arguments: Arc<Value>,
    pub class: EffectClass,
    /// The agent that requested it; a `tool` node has none.
    pub agent: Option<String>,
    /// Performs it instead of the provider that the settings choose, which is down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// When the effect was scheduled. `tomorrow` in its arguments is the day after this, however often it is sent.
    pub at: Time,
    /// Its earlier questions to people, with the replies, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replies: Vec<QuestionReply>,
    pub caller: Caller,
}

/// On whose behalf a run acts; carried into audit rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Caller {
    pub user_id: Option<String>,
    pub conversation_id: Option<String>,
    /// IETF language tag of the customer, `en` unless told.
    pub language: Option<String>,
    /// IANA time zone, `UTC` unless told.
    pub zone: Option<String>,
    /// The API key it came under, by its id: for budgets by key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// The name of the key, where it came under one: who began it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub begun_by: Option<String>,
    /// Whose request it is beside: who set up the schedule or webhook that began it, had the schedule begin it by hand,
    /// forked it, or had undone what it did. `set_up_by` where it is written down.
    #[serde(rename = "set_up_by", skip_serializing_if = "Vec::is_empty")]
    pub also_asked: Vec<String>,
    /// The consumer brought a key of its own for models. The key itself is never written anywhere.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub own_key: bool,
    /// Whose account the called app uses, where the workflow says (`composio.apps`). Set for each call, from the
    /// version the run is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity_id_source: Option<String>,
    /// The span of somebody else's that it is part of ([`crate::trace::SpanContext`]), where they told one. Of a call: its own,
    /// for whoever is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

impl Caller {
    /// Returns the external span that it is part of.
    pub fn parent_span(&self) -> Option<trace::SpanContext> {
        self.traceparent.as_deref()?.parse().ok()
    }

    /// Returns the principal for which a run acts: from its context, with this zone as the default.
    pub fn of(context: &Value, zone: Option<&str>) -> Self {
        let said = |name: &str| context.get(name).and_then(Value::as_str).map(str::to_owned);
        Self {
            user_id: said("user_id"),
            conversation_id: said("conversation_id"),
            language: said("language"),
            zone: said("zone").or_else(|| zone.map(str::to_owned)),
            ..Self::default()
        }
    }
}

/// The outcome of one attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolOutcome {
    /// The tool acted; `output` is its data, shared with the result cache and the run.
    Done { output: Arc<Value>, cost: Usd, cached: bool },
    /// The tool certainly did not act.
    NotDone { fault: Fault, retryable: bool, retry_after: Option<u64> },
    /// It is unknown whether the tool acted.
    Unknown { fault: Fault },
    /// The tool did not act, and needs an answer from a person first. It is called again with the answer, or with the
    /// fact that none was given within this number of milliseconds.
    Asks { question: Box<ToolQuestion>, within: Option<u64> },
}

impl ToolOutcome {
    /// Returns the fault, if there is one.
    pub fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Done { .. } | Self::Asks { .. } => None,
            Self::NotDone { fault, .. } | Self::Unknown { fault } => Some(fault),
        }
    }

    pub fn cost(&self) -> Usd {
        match self {
            Self::Done { cost, .. } => *cost,
            Self::NotDone { .. } | Self::Unknown { .. } | Self::Asks { .. } => Usd::ZERO,
        }
    }
}

/// The result envelope agents and the API see.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "Envelope")]
pub struct ToolEnvelope {
    pub success: bool,
    pub tool: String,
    pub data: Value,
    /// For the customer, in the tenant's language.
    pub error: Option<String>,
    pub error_code: Option<String>,
    /// For the operator.
    pub error_details: Option<String>,
    pub suggested_action: Option<String>,
    pub audit_id: Option<String>,
    pub duration_ms: u64,
    pub cached: bool,
    pub cost_usd: f64,
    /// The service was down on the way: this stands in for its answer, or came late or by another hand.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub degraded: bool,
}

/// One row of the audit trail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AuditRow {
    pub at: Time,
    pub company_id: TenantId,
    /// Nothing where no run did it: an erasure.
    pub run: Option<RunId>,
    /// The call it tells of, `run / scope path / node / call index`: its attempts and its changes are linked by that.
    #[serde(default)]
    pub call: Option<String>,
    /// It is no attempt of the call, but says what became of it later: undone, or told by a person.
    #[serde(default)]
    pub changes: bool,
    pub user_id: Option<String>,
    pub agent_name: Option<String>,
    pub conversation_id: Option<String>,
    /// `tool_execution`, `booking`, `notification`, `ticket`, `api_call`, … from the catalogue.
    pub action_type: String,
    /// The tool's name.
    pub action: String,
    /// Arguments, result or fault, key, attempt; redacted.
    #[schemars(with = "Value")]
    pub details: AuditDetails,
    pub status: AuditStatus,
    /// Whether the tool was asked: it was neither refused before nor answered from what is kept.
    #[serde(default)]
    pub sent: bool,
    #[serde(default)]
    pub error_code: Option<String>,
    /// What the attempt cost.
    #[serde(default, rename = "cost_nanos")]
    pub cost: Usd,
    #[serde(default)]
    pub duration_ms: u64,
    /// Of an erasure: the first and the last place of each stretch of rows it emptied, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub erases: Vec<(u64, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditStatus {
    Success,
    Error,
    Compensated,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_facts_of_a_call_are_those_of_its_action() {
        let facts: ToolContract = serde_json::from_value(json!({
            "class": "once", "timeout_ms": 5, "told_by": "method", "actions": {
                "GET": {"class": "read", "timeout_ms": 5},
                "POST": {"class": "once", "timeout_ms": 5, "told_by": "idempotency", "actions": {
                    "true": {"class": "keyed", "timeout_ms": 5}
                }}
            }
        }))
        .unwrap();
        let class = |arguments| facts.for_arguments(&arguments).class;
        assert_eq!(class(json!({"method": "GET"})), EffectClass::Read);
        assert_eq!(class(json!({"method": "POST"})), EffectClass::Once);
        assert_eq!(class(json!({"method": "POST", "idempotency": true})), EffectClass::Keyed);
        assert_eq!(class(json!({"action": "GET"})), EffectClass::Once);
    }

    /// Returns the names of an object, sorted.
    fn names(value: &Value) -> Vec<&str> {
        value.as_object().unwrap().keys().map(String::as_str).collect()
    }

    #[test]
    fn an_envelope_has_the_fields_of_the_seeds() {
        let envelope = ToolEnvelope {
            success: false,
            tool: "google_calendar".to_owned(),
            data: Value::Null,
            error: Some("El servicio de calendario no está disponible temporalmente.".to_owned()),
            error_code: Some("CALENDAR_UNAVAILABLE".to_owned()),
            error_details: None,
            suggested_action: None,
            audit_id: None,
            duration_ms: 0,
            cached: false,
            cost_usd: 0.0,
            degraded: false,
        };
        let mut seeds = [
            "success",
            "tool",
            "data",
            "error",
            "error_code",
            "error_details",
            "suggested_action",
            "audit_id",
            "duration_ms",
            "cached",
            "cost_usd",
        ];
        seeds.sort_unstable();
        assert_eq!(names(&serde_json::to_value(envelope).unwrap()), seeds);
    }

    #[test]
    fn an_audit_row_has_the_columns_of_seed_000() {
        let row: AuditRow = serde_json::from_value(json!({
            "at": 0, "company_id": "clinic", "run": "r", "user_id": "u", "agent_name": "a", "conversation_id": "c",
            "action_type": "booking", "action": "google_calendar", "details": {}, "status": "success"
        }))
        .unwrap();
        let row = serde_json::to_value(row).unwrap();
        for column in
            ["company_id", "user_id", "agent_name", "conversation_id", "action_type", "action", "details", "status"]
        {
            assert!(names(&row).contains(&column), "{column}");
        }
        let statuses = [AuditStatus::Success, AuditStatus::Error, AuditStatus::Compensated];
        assert_eq!(json!(statuses), json!(["success", "error", "compensated"]));
    }
}
