//! Metrics of each use of a tool, under the names of both label sets.

use std::time::Duration;

use baton_core::money::Usd;
use baton_core::tool::{AuditRow, AuditStatus};
use metrics::{Label, SharedString, counter, gauge, histogram};

/// Counts one use; `sent` is how long the tool took, if it was called; `price` is the price of one call.
pub(crate) fn record_use(row: &AuditRow, sent: Option<Duration>, price: Option<Usd>) {
    // Both label sets share these texts, without copies.
    let shared = |text: &str| SharedString::from_shared(text.into());
    let (name, company) = (shared(&row.action), shared(row.company_id.as_str()));
    if let Some(price) = price.filter(|_| sent.is_some()) {
        gauge!("tool_cost_per_call", "tool" => name.clone()).set(price.as_f64());
    }
    let tool = [Label::new("tool", name.clone()), Label::new("tool_name", name), Label::new("company_id", company)];
    let with = |more: &[(&'static str, &SharedString)]| {
        let more = more.iter().map(|(name, value)| Label::new(*name, SharedString::clone(value)));
        tool.iter().cloned().chain(more).collect::<Vec<Label>>()
    };
    let code = &shared(row.error_code.as_deref().unwrap_or_default());
    let status = &SharedString::const_str(match row.status {
        AuditStatus::Success | AuditStatus::Compensated => "success",
        AuditStatus::Error => "error",
    });
    counter!("tool_executions_total", with(&[("status", status), ("error_code", code)])).increment(1);
    if row.status == AuditStatus::Error {
        counter!("tool_errors_total", with(&[("error_type", code), ("error_code", code)])).increment(1);
    }
    match sent {
        Some(took) => histogram!("tool_execution_duration_seconds", with(&[])).record(took),
        None if row.status != AuditStatus::Error => counter!("tool_cache_hits_total", with(&[])).increment(1),
        None => {}
    }
}
