//! `baton tools usage`: how tools are used, by whatever is asked.

use baton_core::money::Window;
use baton_core::usage::{Part, UNDER_USED_DAYS};
use baton_ports::audit::{Usage, UsageFilter};
use baton_ports::clock::{Clock, SystemClock};
use baton_server::usage::{DAY, errors, named, shown, used};
use serde_json::Value;

use crate::cli::{ToolsUsage, UsageBy};
use crate::print;
use crate::project::Project;
use crate::wire::System;

pub async fn run(project: &Project, args: &ToolsUsage) -> anyhow::Result<()> {
    let from = args.from.unwrap_or_else(|| Window::Day.begin(SystemClock.now()) - DAY * (UNDER_USED_DAYS - 1));
    let by: Vec<Part> = args.by.iter().copied().map(part).collect();
    let filter = UsageFilter {
        tenant: if args.all_tenants { None } else { Some(project.tenant()?) },
        from: Some(from),
        to: args.to,
        by: by.clone(),
        ..UsageFilter::default()
    };
    let (registry, tenant) = super::registry(project).await?;
    // Looking makes no database where nothing has run.
    let usage = match project.has_database() {
        true => used(&System::open(project)?.store, &*registry, filter, args.tool.as_deref()).await?,
        false => Vec::new(),
    };
    if let Some(tool) = args.tool.as_deref().filter(|_| usage.is_empty()) {
        super::note_unknown(&registry, &tenant, tool);
    }
    if args.json {
        print::pretty(&Value::Array(usage.iter().map(|usage| shown(&by, usage)).collect()));
    } else {
        tell(&by, &usage);
    }
    Ok(())
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
