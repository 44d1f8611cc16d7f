//! How tools are used, summed up from the audit trail: what the command line and the API both show.

use std::collections::BTreeMap;
use std::time::Duration;

use baton_core::usage::{Part, Tally};
use baton_ports::audit::{Audit, Usage, UsageFilter};
use baton_ports::catalogue::Catalogue;
use baton_ports::journal;
use serde_json::{Map, Value, json};

pub const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Uses by whatever the filter asks, of one tool or of all. Presets and other names of a tool count as the tool.
///
/// # Errors
/// The trail cannot be read.
pub async fn used(
    audit: &dyn Audit,
    catalogue: &dyn Catalogue,
    filter: UsageFilter,
    tool: Option<&str>,
) -> Result<Vec<Usage>, journal::Error> {
    let by = filter.by.len();
    // By tool whatever was asked, so that it is known which names are of the tool that is meant.
    let parted = [filter.by.clone(), tool.iter().map(|_| Part::Tool).collect()].concat();
    let usage = audit.usage(UsageFilter { by: parted.clone(), ..filter }).await?;
    let mut usage = under_tools(catalogue, &parted, usage);
    if let Some(tool) = tool {
        let tool = catalogue.base_of(tool).map_or_else(|| tool.to_owned(), |base| base.to_string());
        usage.retain(|usage| usage.parts.last() == Some(&tool));
        usage.iter_mut().for_each(|usage| usage.parts.truncate(by));
    }
    Ok(usage)
}

/// Uses under the tool that each name is a preset or another name of, added up where they come together.
pub(crate) fn under_tools(catalogue: &dyn Catalogue, by: &[Part], usage: Vec<Usage>) -> Vec<Usage> {
    let mut sums: BTreeMap<Vec<String>, Tally> = BTreeMap::new();
    for Usage { mut parts, tally } in usage {
        for (_, tool) in by.iter().zip(&mut parts).filter(|(part, _)| **part == Part::Tool) {
            if let Some(base) = catalogue.base_of(tool) {
                *tool = base.to_string();
            }
        }
        sums.entry(parts).or_default().merge(&tally);
    }
    sums.into_iter().map(|(parts, tally)| Usage { parts, tally }).collect()
}

/// For programs.
pub fn shown(by: &[Part], usage: &Usage) -> Value {
    let parts = by.iter().zip(&usage.parts).map(|(part, said)| (part.word().to_owned(), json!(said)));
    let mut fields: Map<String, Value> = parts.collect();
    if let Value::Object(sums) = sums(&usage.tally) {
        fields.extend(sums);
    }
    Value::Object(fields)
}

/// Counts and figures of uses, for programs.
pub fn sums(tally: &Tally) -> Value {
    json!({
        "count": tally.executions, "success_rate": tally.success_rate(), "cached": tally.cached,
        "p50_ms": tally.percentile_ms(50), "p95_ms": tally.percentile_ms(95), "p99_ms": tally.percentile_ms(99),
        "errors": tally.errors, "cost_estimate": tally.cost.as_f64(),
    })
}

/// A part in words, where it has none.
pub fn named(said: &str) -> &str {
    if said.is_empty() { "(none)" } else { said }
}

/// Codes with how often, the most frequent first.
pub fn errors(tally: &Tally) -> String {
    let mut codes: Vec<(&String, &u64)> = tally.errors.iter().collect();
    codes.sort_by_key(|(code, count)| (std::cmp::Reverse(**count), (*code).clone()));
    codes.iter().map(|(code, count)| format!("{} ×{count}", named(code))).collect::<Vec<_>>().join(", ")
}
