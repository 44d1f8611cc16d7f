//! `baton tools usage`: how tools are used, by whatever is asked.

use std::collections::BTreeMap;
use std::time::Duration;

use baton_core::money::Window;
use baton_core::usage::{Part, Tally, UNDER_USED_DAYS};
use baton_ports::audit::{Audit, Usage, UsageFilter};
use baton_ports::clock::{Clock, SystemClock};
use baton_tools::Registry;
use serde_json::{Map, Value, json};

use crate::cli::{ToolsUsage, UsageBy};
use crate::print;
use crate::project::Project;
use crate::wire::System;

pub const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub async fn run(project: &Project, args: &ToolsUsage) -> anyhow::Result<()> {
    let from = args.from.unwrap_or_else(|| Window::Day.begin(SystemClock.now()) - DAY * (UNDER_USED_DAYS - 1));
    let by: Vec<Part> = args.by.iter().copied().map(part).collect();
    // By tool whatever was asked, so that it is known which names are of the tool that is meant.
    let parted = [by.clone(), args.tool.iter().map(|_| Part::Tool).collect()].concat();
    let filter = UsageFilter {
        tenant: if args.all_tenants { None } else { Some(project.tenant()?) },
        from: Some(from),
        to: args.to,
        by: parted.clone(),
        ..UsageFilter::default()
    };
    let registry = super::registry(project).await?;
    let mut usage = under_tools(&registry, &parted, read(project, filter).await?);
    if let Some(tool) = &args.tool {
        let tool = registry.base_of(tool).map_or_else(|| tool.clone(), |base| base.to_string());
        usage.retain(|usage| usage.parts.last() == Some(&tool));
        usage.iter_mut().for_each(|usage| usage.parts.truncate(by.len()));
    }
    if args.json {
        print::pretty(&Value::Array(usage.iter().map(|usage| shown(&by, usage)).collect()));
    } else {
        tell(&by, &usage);
    }
    Ok(())
}

/// Looking makes no database where nothing has run.
async fn read(project: &Project, filter: UsageFilter) -> anyhow::Result<Vec<Usage>> {
    if !project.database().exists() {
        return Ok(Vec::new());
    }
    Ok(System::open(project)?.store.usage(filter).await?)
}

/// Uses under the tool that each name is a preset or another name of, added up where they come together.
pub fn under_tools(registry: &Registry, by: &[Part], usage: Vec<Usage>) -> Vec<Usage> {
    let mut sums: BTreeMap<Vec<String>, Tally> = BTreeMap::new();
    for Usage { mut parts, tally } in usage {
        for (_, tool) in by.iter().zip(&mut parts).filter(|(part, _)| **part == Part::Tool) {
            if let Some(base) = registry.base_of(tool) {
                *tool = base.to_string();
            }
        }
        sums.entry(parts).or_default().merge(&tally);
    }
    sums.into_iter().map(|(parts, tally)| Usage { parts, tally }).collect()
}

fn part(by: UsageBy) -> Part {
    match by {
        UsageBy::Tool => Part::Tool,
        UsageBy::App => Part::App,
        UsageBy::Tenant => Part::Tenant,
        UsageBy::Agent => Part::Agent,
        UsageBy::User => Part::User,
        UsageBy::Day => Part::Day,
        UsageBy::Month => Part::Month,
    }
}

/// For programs.
fn shown(by: &[Part], usage: &Usage) -> Value {
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

fn tell(by: &[Part], usage: &[Usage]) {
    if usage.is_empty() {
        print::line("no tool was used");
        return;
    }
    let widths: Vec<usize> = by.iter().enumerate().map(|(place, part)| width(usage, place, *part)).collect();
    let titles: String =
        by.iter().zip(&widths).map(|(part, width)| format!("{:<width$}  ", part.word().to_uppercase())).collect();
    let title = format!(
        "{titles}{:>8}  {:>7}  {:>8}  {:>8}  {:>8}  {:>12}  ERRORS",
        "COUNT", "SUCCESS", "P50", "P95", "P99", "COST"
    );
    print::line(print::paint("1", &title));
    for Usage { parts, tally } in usage {
        let parts: String =
            parts.iter().zip(&widths).map(|(said, width)| format!("{:<width$}  ", named(said))).collect();
        let ms = |of| tally.percentile_ms(of).map_or_else(|| "-".to_owned(), |ms| format!("{ms} ms"));
        let line = format!(
            "{parts}{:>8}  {:>6.1}%  {:>8}  {:>8}  {:>8}  {:>12}  {}",
            tally.executions,
            tally.success_rate() * 100.0,
            ms(50),
            ms(95),
            ms(99),
            tally.cost.to_string(),
            errors(tally),
        );
        print::line(line.trim_end());
    }
}

fn width(usage: &[Usage], place: usize, part: Part) -> usize {
    let said = usage.iter().filter_map(|usage| usage.parts.get(place)).map(|said| named(said).chars().count());
    said.max().unwrap_or(0).max(part.word().len())
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
