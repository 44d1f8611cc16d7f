//! Response schemas of tools.

use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::WaitSchema;

#[derive(ToSchema)]
#[schema(as = Tools)]
pub(in crate::api) struct ToolListSchema {
    tools: Vec<ToolSchema>,
    /// Nothing on the last page.
    next_cursor: Option<String>,
}

#[derive(ToSchema)]
#[schema(as = ToolsFound)]
pub(in crate::api) struct ToolSearchSchema {
    tools: Vec<ToolSchema>,
    /// Why this is less than it could be: somebody outside could not be asked.
    degraded_reason: Option<String>,
}

/// What is known of a tool.
#[derive(ToSchema)]
#[schema(as = Tool)]
pub(in crate::api) struct ToolSchema {
    name: String,
    category: String,
    /// Who performs it, unless the tenant has chosen another.
    provider: String,
    /// Who could, with the settings each of them needs.
    #[schema(value_type = Option<Vec<Object>>)]
    providers: Option<Vec<Value>>,
    audit_type: String,
    /// Whether what it does can be undone by another tool.
    compensable: bool,
    /// `low`, `medium` or `high`.
    risk: String,
    /// The price of one call.
    cost_usd: f64,
    /// How often one tenant may call it (`100/min`), where that is limited.
    rate: Option<String>,
    /// How long an answer holds, where it is kept.
    cache_seconds: Option<u64>,
    /// Which edition of it this is, as whoever makes it says.
    version: Option<String>,
    /// JSON Schema of what it answers with, where that is known.
    #[schema(value_type = Option<Object>)]
    output_schema: Option<Value>,
    /// Its description, the schema of its parameters, and what holds for its calls.
    #[schema(value_type = Object)]
    facts: Value,
    /// Other names it goes by.
    aliases: Option<Vec<String>>,
    /// Whether the settings let the tenant call it.
    enabled: bool,
}

/// What a call came to.
#[derive(ToSchema)]
#[schema(as = Envelope)]
pub(in crate::api) struct ToolCallResult {
    execution_id: String,
    /// Of the run that makes the call.
    state: String,
    /// Nothing as long as the call goes on.
    success: Option<bool>,
    tool: Option<String>,
    data: Option<Value>,
    /// For the customer, in their language.
    error: Option<String>,
    error_code: Option<String>,
    /// For whoever runs it.
    error_details: Option<String>,
    suggested_action: Option<String>,
    audit_id: Option<String>,
    duration_ms: Option<u64>,
    cached: Option<bool>,
    cost_usd: Option<f64>,
    /// Who must say what before it goes on.
    waits_for: Option<Vec<WaitSchema>>,
}

/// Which tools a message needs.
#[derive(ToSchema)]
#[schema(as = Chosen)]
pub(in crate::api) struct ToolSelection {
    execution_id: String,
    /// Of the run that chooses.
    state: String,
    /// None where it needs none; nothing as long as nobody has chosen.
    tools: Option<Vec<String>>,
    reasoning: Option<String>,
    #[schema(value_type = Option<Vec<Object>>)]
    tool_requests: Option<Vec<Value>>,
    /// What calls of the tools that were left out would have cost.
    saved_cost_usd: Option<f64>,
    error_details: Option<String>,
    waits_for: Option<Vec<WaitSchema>>,
}

#[derive(ToSchema)]
#[schema(as = ToolUsage)]
pub(in crate::api) struct ToolUsageSchema {
    from: String,
    to: Option<String>,
    /// What they are apart by, and `count`, `success_rate`, `cached`, `p50_ms`, `p95_ms`, `p99_ms`, `errors` by code and
    /// `cost_estimate`.
    #[schema(value_type = Vec<Object>)]
    usage: Vec<Value>,
}

/// One week of tool use.
#[derive(ToSchema)]
#[schema(as = WeekReport)]
pub(in crate::api) struct WeekReportSchema {
    week: String,
    company_id: String,
    from: String,
    to: String,
    zone: String,
    total_executions: u64,
    /// Nothing where nothing was called.
    success_rate: Option<f64>,
    cost_estimate: f64,
    #[schema(value_type = Object)]
    tools: Map<String, Value>,
    #[schema(value_type = Object)]
    by_app: Map<String, Value>,
    #[schema(value_type = Object)]
    by_agent: Map<String, Value>,
    #[schema(value_type = Object)]
    by_day: Map<String, Value>,
    underutilized_tools: Vec<String>,
}

/// Who set a tool's rule.
#[derive(ToSchema)]
pub(in crate::api) struct ToolRuleHistory {
    history: Vec<ToolRuleChange>,
}

/// One change of a tool's rule.
#[derive(ToSchema)]
pub(in crate::api) struct ToolRuleChange {
    at: String,
    /// The name of a key.
    by: Option<String>,
    role: Option<String>,
    /// What it was set to; nothing where it was left to the settings' files.
    value: Option<Value>,
}

/// What holds for a tenant's calls of a tool, beside the settings' files. What is left out is as they have it.
#[derive(ToSchema)]
pub(in crate::api) struct ToolRule {
    /// `false` keeps it from being called.
    #[schema(required = false)]
    enabled: Option<bool>,
    /// `true`: each call waits for a person, whatever its risk.
    #[schema(required = false)]
    approval: Option<bool>,
    /// Who allows it then, where the settings do not say: `need` people of `from`, within `deadline_seconds`, else it is
    /// rejected.
    #[schema(value_type = Option<Object>, required = false)]
    approvers: Option<Value>,
    /// How often it may be called, such as `10/min`; what the settings say is one limit more.
    #[schema(required = false)]
    rate: Option<String>,
    /// How long an answer holds; 0 keeps none.
    #[schema(required = false)]
    cache_seconds: Option<u64>,
    /// Arguments used where a call does not say.
    #[schema(value_type = Option<Object>, required = false)]
    defaults: Option<Map<String, Value>>,
    /// Arguments used whatever a call says.
    #[schema(value_type = Option<Object>, required = false)]
    overrides: Option<Map<String, Value>>,
}
