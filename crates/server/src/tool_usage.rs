//! Tool usage statistics from the audit trail, shared by the command line and the API.

use std::collections::BTreeMap;
use std::time::Duration;

use baton_core::usage::{UsageDimension, UsageTally};
use baton_ports::audit::{AuditTrail, UsageFilter, UsageSum};
use baton_ports::catalogue::ToolCatalogue;
use baton_ports::journal;
use serde_json::{Map, Value, json};

pub const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The usage by the filter's dimensions, of one tool or of all. Presets and aliases of a tool count as the tool.
///
/// # Errors
/// The audit trail cannot be read.
pub async fn query_usage(
    audit: &dyn AuditTrail,
    catalogue: &dyn ToolCatalogue,
    filter: UsageFilter,
    tool: Option<&str>,
) -> Result<Vec<UsageSum>, journal::JournalError> {
    let by = filter.by.len();
    // Always grouped by tool too, so that the names of the requested tool can be selected.
    let parted = [filter.by.clone(), tool.iter().map(|_| UsageDimension::Tool).collect()].concat();
    let usage = audit.usage(UsageFilter { by: parted.clone(), ..filter }).await?;
    let mut usage = merge_aliases(catalogue, &parted, usage);
    if let Some(tool) = tool {
        let tool = catalogue.base_tool(tool).map_or_else(|| tool.to_owned(), |base| base.to_string());
        usage.retain(|usage| usage.parts.last() == Some(&tool));
        usage.iter_mut().for_each(|usage| usage.parts.truncate(by));
    }
    Ok(usage)
}

/// Adds up the usage of presets and aliases under their tool.
pub(crate) fn merge_aliases(
    catalogue: &dyn ToolCatalogue,
    by: &[UsageDimension],
    usage: Vec<UsageSum>,
) -> Vec<UsageSum> {
    let mut sums: BTreeMap<Vec<String>, UsageTally> = BTreeMap::new();
    for UsageSum { mut parts, tally } in usage {
        for (_, tool) in by.iter().zip(&mut parts).filter(|(part, _)| **part == UsageDimension::Tool) {
            if let Some(base) = catalogue.base_tool(tool) {
                *tool = base.to_string();
            }
        }
        sums.entry(parts).or_default().merge(&tally);
    }
    sums.into_iter().map(|(parts, tally)| UsageSum { parts, tally }).collect()
}

/// The JSON form.
pub fn usage_json(by: &[UsageDimension], usage: &UsageSum) -> Value {
    let parts = by.iter().zip(&usage.parts).map(|(part, said)| (part.word().to_owned(), json!(said)));
    let mut fields: Map<String, Value> = parts.collect();
    if let Value::Object(sums) = tally_json(&usage.tally) {
        fields.extend(sums);
    }
    Value::Object(fields)
}

/// The JSON form of the counts and figures.
pub fn tally_json(tally: &UsageTally) -> Value {
    json!({
        "count": tally.executions, "success_rate": tally.success_rate(), "cached": tally.cached,
        "p50_ms": tally.percentile_ms(50), "p95_ms": tally.percentile_ms(95), "p99_ms": tally.percentile_ms(99),
        "errors": tally.errors, "cost_estimate": tally.cost.as_f64(),
    })
}

/// The label of a part, also for an empty one.
pub fn part_label(said: &str) -> &str {
    if said.is_empty() { "(none)" } else { said }
}

/// The error codes with their counts, the most frequent first.
pub fn error_summary(tally: &UsageTally) -> String {
    let mut codes: Vec<(&String, &u64)> = tally.errors.iter().collect();
    codes.sort_by_key(|(code, count)| (std::cmp::Reverse(**count), (*code).clone()));
    codes.iter().map(|(code, count)| format!("{} ×{count}", part_label(code))).collect::<Vec<_>>().join(", ")
}
