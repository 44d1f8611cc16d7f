//! Response schemas of costs.

use serde_json::Value;
use utoipa::ToSchema;

use crate::api::openapi;

/// What models cost in a period.
#[derive(ToSchema)]
pub(in crate::api) struct CostSummary {
    period: String,
    summary: CostTotals,
    /// The most expensive first.
    by_model: Vec<CostByModel>,
}

#[derive(ToSchema)]
#[schema(as = Sums)]
pub(super) struct CostTotals {
    /// Those that failed included.
    total_calls: u64,
    total_cost_usd: f64,
    avg_cost_usd: f64,
    total_tokens: u64,
    avg_latency_ms: f64,
    /// What was not spent: tools that selections left out would have cost so much, one call of each.
    saved_cost_usd: f64,
}

#[derive(ToSchema)]
#[schema(as = ModelCosts)]
pub(super) struct CostByModel {
    selected_model: String,
    calls: u64,
    cost_usd: f64,
    avg_latency_ms: f64,
}

#[derive(ToSchema)]
pub(in crate::api) struct CostRows {
    from: String,
    to: Option<String>,
    /// The most expensive first, by day where days are apart; at most 10,000. What they are apart by, and `total_calls`,
    /// `total_cost_usd`, `total_tokens`, `avg_cost_usd`, `avg_latency_ms`, `success_rate`, and `saved_cost_usd`: what tools
    /// that selections left out would have cost.
    #[schema(value_type = Vec<Object>)]
    rows: Vec<Value>,
}

#[derive(ToSchema)]
#[schema(as = Budgets)]
pub(in crate::api) struct BudgetListSchema {
    budgets: Vec<BudgetLine>,
}

/// One budget in one window.
#[derive(ToSchema)]
pub(super) struct BudgetLine {
    tenant: String,
    /// Nothing for the tenant's own.
    key_id: Option<String>,
    /// `hour`, `day` or `month`.
    window: String,
    begins_at: String,
    resets_at: String,
    /// Nothing where it is unlimited.
    limit_usd: Option<f64>,
    spent_usd: f64,
    /// For calls under way, and ahead of need.
    held_usd: f64,
    left_usd: Option<f64>,
    /// `refuse` or `pause`.
    on_exceeded: String,
    /// The setting that limits it.
    setting: Option<String>,
}

/// Limits of what may be spent: US dollars, or `"unlimited"`. What is left out is as the settings' files have it.
#[derive(ToSchema)]
#[schema(as = BudgetLimits)]
pub(in crate::api) struct BudgetLimitsSchema {
    #[schema(required = false)]
    hourly_usd: Option<DollarLimit>,
    #[schema(required = false)]
    daily_usd: Option<DollarLimit>,
    #[schema(required = false)]
    monthly_usd: Option<DollarLimit>,
    /// What becomes of a call that is over: `refuse` or `pause`.
    #[schema(required = false)]
    #[schema(schema_with = openapi::on_exceeded)]
    on_exceeded: Option<String>,
}

#[derive(ToSchema)]
#[serde(untagged)]
#[schema(as = Dollars)]
pub(super) enum DollarLimit {
    Usd(f64),
    /// `unlimited`.
    Word(String),
}
