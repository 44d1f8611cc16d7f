//! `baton tools usage`: tool use, grouped as requested.

use baton_core::money::BudgetWindow;
use baton_core::usage::{UNDER_USED_DAYS, UsageDimension};
use baton_ports::audit::{UsageFilter, UsageSum};
use baton_ports::clock::{Clock, SystemClock};
use baton_server::tool_usage::{DAY, error_summary, part_label, query_usage, usage_json};
use serde_json::Value;

use crate::cli::{ToolUsageArgs, UsageGroupArg};
use crate::print;
use crate::project::Project;
use crate::wiring::ProjectSystem;

pub async fn run(project: &Project, args: &ToolUsageArgs) -> anyhow::Result<()> {
    let from = args.from.unwrap_or_else(|| BudgetWindow::Day.begin(SystemClock.now()) - DAY * (UNDER_USED_DAYS - 1));
    let by: Vec<UsageDimension> = args.by.iter().copied().map(usage_part).collect();
    let filter = UsageFilter {
        tenant: if args.all_tenants { None } else { Some(project.tenant()?) },
        from: Some(from),
        to: args.to,
        by: by.clone(),
        ..UsageFilter::default()
    };
    let (registry, tenant) = super::registry(project).await?;
    // Does not create a database if nothing has run.
    let usage = match project.has_database() {
        true => query_usage(&ProjectSystem::open(project)?.store, &*registry, filter, args.tool.as_deref()).await?,
        false => Vec::new(),
    };
    if let Some(tool) = args.tool.as_deref().filter(|_| usage.is_empty()) {
        super::print_unknown_tool(&registry, &tenant, tool);
    }
    if args.json {
        print::pretty(&Value::Array(usage.iter().map(|usage| usage_json(&by, usage)).collect()));
    } else {
        print_usage(&by, &usage);
    }
    Ok(())
}

fn usage_part(by: UsageGroupArg) -> UsageDimension {
    match by {
        UsageGroupArg::Tool => UsageDimension::Tool,
        UsageGroupArg::App => UsageDimension::App,
        UsageGroupArg::Tenant => UsageDimension::Tenant,
        UsageGroupArg::Agent => UsageDimension::Agent,
        UsageGroupArg::User => UsageDimension::User,
        UsageGroupArg::Day => UsageDimension::Day,
        UsageGroupArg::Month => UsageDimension::Month,
    }
}

fn print_usage(by: &[UsageDimension], usage: &[UsageSum]) {
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
    for UsageSum { parts, tally } in usage {
        let parts: String =
            parts.iter().zip(&widths).map(|(said, width)| format!("{:<width$}  ", part_label(said))).collect();
        let ms = |of| tally.percentile_ms(of).map_or_else(|| "-".to_owned(), |ms| format!("{ms} ms"));
        let line = format!(
            "{parts}{:>8}  {:>6.1}%  {:>8}  {:>8}  {:>8}  {:>12}  {}",
            tally.executions,
            tally.success_rate() * 100.0,
            ms(50),
            ms(95),
            ms(99),
            tally.cost.to_string(),
            error_summary(tally),
        );
        print::line(line.trim_end());
    }
}

fn width(usage: &[UsageSum], place: usize, part: UsageDimension) -> usize {
    let said = usage.iter().filter_map(|usage| usage.parts.get(place)).map(|said| part_label(said).chars().count());
    said.max().unwrap_or(0).max(part.word().len())
}
