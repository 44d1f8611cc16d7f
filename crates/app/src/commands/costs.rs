//! `baton costs`: spending on models, grouped as requested.

mod roi;

use std::path::Path;

use baton_core::money::{BudgetWindow, Usd};
use baton_ports::budget::{BudgetStore, CostDimension, CostFilter, CostRow};
use baton_ports::clock::{Clock, SystemClock};
use serde_json::Value;

use crate::cli::{CostGroupArg, CostsArgs, CostsCommand, CostsShowArgs};
use crate::project::Project;
use crate::wiring::ProjectSystem;
use crate::{CommandExit, print};

/// Default number of days to look back.
const DAYS_DEFAULT: u32 = 30;
const DAY: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);

pub async fn run(folder: &Path, args: &CostsArgs) -> anyhow::Result<CommandExit> {
    let project = Project::open(folder)?;
    let args = match &args.command {
        Some(CostsCommand::Roi(roi)) => return roi::run(&project, roi).await,
        None => &args.show,
    };
    let rows = read(&project, filter(&project, args)?).await?;
    if args.json {
        print::pretty(&Value::Array(rows.iter().map(CostRow::as_json).collect()));
    } else {
        print_costs(&rows, args);
    }
    Ok(CommandExit::Completed)
}

fn filter(project: &Project, args: &CostsShowArgs) -> anyhow::Result<CostFilter> {
    let from = args.from.clone().unwrap_or_else(|| days_ago(DAYS_DEFAULT - 1));
    let tenant = if args.all_tenants { None } else { Some(project.tenant()?) };
    Ok(CostFilter {
        tenant,
        from: Some(from),
        to: args.to.clone(),
        by: args.by.iter().copied().map(group_by).collect(),
    })
}

/// The date `days` days before today.
fn days_ago(days: u32) -> String {
    (BudgetWindow::Day.begin(SystemClock.now()) - DAY * days).to_date()
}

/// Does not create a database if nothing has run.
async fn read(project: &Project, filter: CostFilter) -> anyhow::Result<Vec<CostRow>> {
    if !project.has_database() {
        return Ok(Vec::new());
    }
    Ok(ProjectSystem::open(project)?.store.costs(filter).await?)
}

fn group_by(by: CostGroupArg) -> CostDimension {
    match by {
        CostGroupArg::Day => CostDimension::Day,
        CostGroupArg::Tenant => CostDimension::Tenant,
        CostGroupArg::Key => CostDimension::Key,
        CostGroupArg::Workflow => CostDimension::Workflow,
        CostGroupArg::Agent => CostDimension::Agent,
        CostGroupArg::Profile => CostDimension::Profile,
        CostGroupArg::Model => CostDimension::Model,
        CostGroupArg::Provider => CostDimension::Provider,
    }
}

/// The label of a row in this grouping.
fn group_label(row: &CostRow, by: CostGroupArg) -> String {
    let (text, none) = match by {
        CostGroupArg::Day => (row.day.clone(), "-"),
        CostGroupArg::Tenant => (row.tenant.as_ref().map(ToString::to_string), "-"),
        CostGroupArg::Key => (row.key.clone(), "(no key)"),
        CostGroupArg::Workflow => (row.workflow.clone(), "(no workflow)"),
        CostGroupArg::Agent => (row.agent.clone(), "(no agent)"),
        CostGroupArg::Profile => (row.profile.clone(), "(no profile)"),
        CostGroupArg::Model => (row.model.clone(), "(unknown)"),
        CostGroupArg::Provider => (row.provider.clone(), "(unknown)"),
    };
    text.filter(|text| !text.is_empty()).unwrap_or_else(|| none.to_owned())
}

fn print_costs(rows: &[CostRow], args: &CostsShowArgs) {
    if rows.is_empty() {
        print::line("nothing was spent");
        return;
    }
    for row in rows {
        let parts: String = args.by.iter().map(|by| format!("{:<24} ", group_label(row, *by))).collect();
        let answered = row.success_rate() * 100.0;
        let guessed = if row.estimated > 0 { format!("  ({} guessed)", row.estimated) } else { String::new() };
        let saved = if row.saved > Usd::ZERO { format!("  ({} saved)", row.saved) } else { String::new() };
        print::line(format_args!(
            "{parts}{:>14}  {:>8} calls  {:>12} tokens  {answered:>5.1} % answered{guessed}{saved}",
            row.cost.to_string(),
            row.calls,
            row.tokens(),
        ));
    }
    let total: Usd = rows.iter().map(|row| row.cost).sum();
    if rows.len() > 1 {
        print::line(format_args!("{} in all", print::paint("1", &total.to_string())));
    }
}
