//! Cost reports.

use baton_core::id::TenantId;
use baton_core::model::TokenUsage;
use baton_core::money::Usd;
use serde::Serialize;
use serde_json::{Value, json};

/// A dimension by which costs are summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CostDimension {
    Day,
    Tenant,
    Key,
    Workflow,
    Agent,
    Profile,
    Model,
    Provider,
}

/// Selects costs.
#[derive(Clone, Debug, Default)]
pub struct CostFilter {
    /// `None` means all tenants: for the operator of the installation.
    pub tenant: Option<TenantId>,
    /// Days in UTC, as `YYYY-MM-DD`; both included.
    pub from: Option<String>,
    pub to: Option<String>,
    /// The dimensions that separate rows; none gives one row.
    pub by: Vec<CostDimension>,
}

/// A sum of costs. A dimension that does not separate rows is `None`.
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
    pub usage: TokenUsage,
    pub latency_ms: u64,
    /// Avoided cost: what the tools left out by selections would have cost, with one call of each.
    #[serde(rename = "saved_nanos")]
    pub saved: Usd,
}

impl CostRow {
    /// The sum over all kinds of tokens.
    pub fn tokens(&self) -> u64 {
        let usage = &self.usage;
        usage.input_tokens + usage.cached_tokens + usage.cache_write_tokens + usage.output_tokens
    }

    /// In US dollars; 0 without calls.
    pub fn avg_cost_usd(&self) -> f64 {
        average(self.cost.as_f64(), self.calls)
    }

    /// 0 without calls.
    pub fn avg_latency_ms(&self) -> f64 {
        average(whole(self.latency_ms), self.calls)
    }

    /// From 0 to 1; 0 without calls.
    pub fn success_rate(&self) -> f64 {
        average(whole(self.answered), self.calls)
    }

    /// The row as JSON: the columns of `daily_cost_summary` and those of Baton.
    pub fn as_json(&self) -> Value {
        let mut shown = json!(self);
        if let Value::Object(fields) = &mut shown {
            fields.remove("cost_nanos");
            fields.remove("saved_nanos");
            fields.insert("saved_cost_usd".to_owned(), json!(self.saved.as_f64()));
            fields.insert("total_calls".to_owned(), json!(self.calls));
            fields.insert("total_cost_usd".to_owned(), json!(self.cost.as_f64()));
            fields.insert("total_tokens".to_owned(), json!(self.tokens()));
            fields.insert("avg_cost_usd".to_owned(), json!(self.avg_cost_usd()));
            fields.insert("avg_latency_ms".to_owned(), json!(self.avg_latency_ms()));
            fields.insert("success_rate".to_owned(), json!(self.success_rate()));
        }
        shown
    }

    /// Adds another row, whatever its dimensions.
    pub fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.answered += other.answered;
        self.estimated += other.estimated;
        self.cost += other.cost;
        self.usage.add(&other.usage);
        self.latency_ms += other.latency_ms;
        self.saved += other.saved;
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts that are shown, far below 2^53")]
fn whole(count: u64) -> f64 {
    count as f64
}

fn average(sum: f64, calls: u64) -> f64 {
    if calls == 0 { 0.0 } else { sum / whole(calls) }
}
