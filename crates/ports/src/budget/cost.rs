//! What was spent, summed up.

use baton_core::id::TenantId;
use baton_core::model::Usage;
use baton_core::money::Usd;
use serde::Serialize;

/// By what costs are summed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    Day,
    Tenant,
    Key,
    Workflow,
    Agent,
    Profile,
    Model,
    Provider,
}

/// Which costs.
#[derive(Clone, Debug, Default)]
pub struct CostFilter {
    /// Nothing means every tenant: for whoever runs the whole installation.
    pub tenant: Option<TenantId>,
    /// Days in UTC, as `YYYY-MM-DD`; both included.
    pub from: Option<String>,
    pub to: Option<String>,
    /// What rows are apart by; nothing gives one row.
    pub by: Vec<By>,
}

/// Costs that are summed up. A part that they are not apart by is `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CostRow {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub day: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    pub calls: u64,
    pub answered: u64,
    pub estimated: u64,
    #[serde(rename = "cost_nanos")]
    pub cost: Usd,
    pub usage: Usage,
    pub latency_ms: u64,
}
