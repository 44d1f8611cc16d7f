//! `baton costs roi`: the return on investment, from the tenant's own numbers and the recorded costs.

use std::fmt::Write as _;

use baton_core::time::Time;
use baton_core::usage::UsageTally;
use baton_models::roi::{RecordedCosts, RoiInputs, RoiReport};
use baton_ports::audit::{AuditTrail as _, UsageFilter};
use baton_ports::budget::{BudgetStore as _, CostFilter};
use serde_json::json;

use super::{DAY, DAYS_DEFAULT, days_ago};
use crate::cli;
use crate::project::Project;
use crate::wiring::ProjectSystem;
use crate::{CommandExit, UsageError, print};

pub async fn run(project: &Project, args: &cli::RoiArgs) -> anyhow::Result<CommandExit> {
    let (from, to) = period(args);
    if args.to.is_none() && midnight(&from)? > midnight(&to)? {
        return Err(UsageError::new(format!("--from is after today, {to}")).into());
    }
    let inputs = inputs(args, days(&from, &to)?)?;
    let (recorded, calls) = recorded_costs(project, &from, &to).await?;
    let roi = inputs.roi(recorded).map_err(UsageError::new)?;
    if args.json {
        print::pretty(&json!({ "from": from, "to": to, "inputs": inputs, "recorded_calls": calls, "roi": roi }));
    } else {
        print::line(page(&inputs, &roi, (&from, &to), calls));
    }
    Ok(CommandExit::Completed)
}

fn period(args: &cli::RoiArgs) -> (String, String) {
    let from = args.from.clone().unwrap_or_else(|| days_ago(DAYS_DEFAULT - 1));
    (from, args.to.clone().unwrap_or_else(|| days_ago(0)))
}

/// The number of days in the period, both ends included.
fn days(from: &str, to: &str) -> anyhow::Result<u32> {
    let (from, to) = (midnight(from)?, midnight(to)?);
    if to < from {
        return Err(UsageError::new("--to is before --from").into());
    }
    let days = to.since(from).as_secs() / DAY.as_secs() + 1;
    Ok(u32::try_from(days).unwrap_or(u32::MAX))
}

fn midnight(day: &str) -> anyhow::Result<Time> {
    format!("{day}T00:00:00Z").parse().map_err(|_| UsageError::new(format!("`{day}` is no day")).into())
}

/// All inputs, or an error that names every missing one.
fn inputs(args: &cli::RoiArgs, days: u32) -> anyhow::Result<RoiInputs> {
    let missing: Vec<&str> = [
        ("--conversations", args.conversations.is_none()),
        ("--handled", args.handled.is_none()),
        ("--minutes", args.minutes.is_none()),
        ("--minute-usd", args.minute_usd.is_none()),
        ("--other-usd", args.other_usd.is_none()),
        ("--once-usd", args.once_usd.is_none()),
    ]
    .into_iter()
    .filter_map(|(name, is_missing)| is_missing.then_some(name))
    .collect();
    let (Some(conversations), Some(handled_percent), Some(minutes), Some(minute_usd), Some(other_usd), Some(once_usd)) =
        (args.conversations, args.handled, args.minutes, args.minute_usd, args.other_usd, args.once_usd)
    else {
        let message = format!("these numbers are yours and nobody guesses them: {} missing", missing.join(", "));
        let hint = "write 0 where one does not apply; `baton costs roi --help` says what each is";
        return Err(UsageError::new(message).hint(hint).into());
    };
    Ok(RoiInputs { conversations, handled_percent, minutes, minute_usd, other_usd, once_usd, days })
}

/// The cost of models and tools in the period, and the number of model calls. Does not create a database if nothing has
/// run.
async fn recorded_costs(project: &Project, from: &str, to: &str) -> anyhow::Result<(RecordedCosts, u64)> {
    if !project.has_database() {
        return Ok((RecordedCosts::default(), 0));
    }
    let (system, tenant) = (ProjectSystem::open(project)?, project.tenant()?);
    let (first, last) = (Some(from.to_owned()), Some(to.to_owned()));
    let costs = CostFilter { tenant: Some(tenant.clone()), from: first, to: last, by: Vec::new() };
    let rows = system.store.costs(costs).await?;
    let (begin, end) = (midnight(from)?, midnight(to)? + DAY);
    let usage = UsageFilter { tenant: Some(tenant), from: Some(begin), to: Some(end), ..UsageFilter::default() };
    let mut tools = UsageTally::default();
    system.store.usage(usage).await?.iter().for_each(|usage| tools.merge(&usage.tally));
    let models = rows.iter().map(|row| row.cost).sum();
    Ok((RecordedCosts { models, tools: tools.cost }, rows.iter().map(|row| row.calls).sum()))
}

/// An amount to the cent, with the sign before the dollar.
fn usd(amount: f64) -> String {
    let text = format!("{:.2}", amount.abs());
    let sign = if amount < 0.0 && text != "0.00" { "-" } else { "" };
    format!("{sign}${text}")
}

/// The report as Markdown.
fn page(inputs: &RoiInputs, roi: &RoiReport, (from, to): (&str, &str), calls: u64) -> String {
    let mut page = format!("# What it is worth, {from} to {to}\n\n");
    let maybe = |amount: Option<f64>| amount.map_or_else(|| "-".to_owned(), usd);
    let inputs = [
        ("Conversations", inputs.conversations.to_string()),
        ("Handled without a person", format!("{} %", inputs.handled_percent)),
        ("Minutes of a person for one", inputs.minutes.to_string()),
        ("A person's minute", format!("${}", inputs.minute_usd)),
        ("Brought in for, once", usd(inputs.once_usd)),
        ("Days", inputs.days.to_string()),
    ];
    table(&mut page, "Your numbers", &inputs);
    let counted = [
        (format!("Models, {calls} calls"), usd(roi.models_usd)),
        ("Tools".to_owned(), usd(roi.tools_usd)),
        ("What else running it cost (yours)".to_owned(), usd(roi.other_usd)),
        ("Running it, in all".to_owned(), usd(roi.running_usd)),
    ];
    table(&mut page, "What it cost", &counted);
    let payback =
        roi.payback_days.map_or_else(|| "never: it saves nothing".to_owned(), |days| format!("{days:.0} days"));
    let first_year = roi.first_year_percent.map_or_else(|| "-".to_owned(), |percent| format!("{percent:.0} %"));
    let came = [
        ("People, had they handled all", usd(roi.people_before_usd)),
        ("People, for what was theirs still", usd(roi.people_after_usd)),
        ("A conversation before", maybe(roi.per_conversation_before_usd)),
        ("A conversation now", maybe(roi.per_conversation_after_usd)),
        ("Saved in the period", usd(roi.saved_usd)),
        ("Saved in a year at this pace", usd(roi.saved_usd_per_year)),
        ("Paid back after", payback),
        ("Return of the first year", first_year),
    ];
    table(&mut page, "What came of it", &came);
    if calls == 0 {
        page.push_str("No model call is recorded in this period: what models cost counts as nothing.\n");
    }
    page.trim_end().to_owned()
}

fn table<N: std::fmt::Display>(page: &mut String, heading: &str, rows: &[(N, String)]) {
    let _ = write!(page, "## {heading}\n\n| | |\n| --- | ---: |\n");
    for (name, value) in rows {
        let _ = writeln!(page, "| {name} | {value} |");
    }
    page.push('\n');
}
