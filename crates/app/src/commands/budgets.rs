//! `baton budgets`: each budget line with its limit, its spent and reserved amounts, and when it resets.

use std::path::Path;

use baton_core::money::Usd;
use baton_core::time::Time;
use baton_ports::budget::{BudgetRow, BudgetStore};
use baton_ports::clock::{Clock, SystemClock};
use serde_json::Value;

use crate::cli::{BudgetsArgs, BudgetsCommand};
use crate::project::Project;
use crate::wiring::ProjectSystem;
use crate::{CommandExit, print};

pub async fn run(folder: &Path, args: &BudgetsArgs) -> anyhow::Result<CommandExit> {
    let as_json = match &args.command {
        Some(BudgetsCommand::Show(show)) => show.json,
        None => args.show.json,
    };
    let project = Project::open(folder)?;
    let now = SystemClock.now();
    let tenant = project.tenant()?;
    // Does not create a database if nothing has run.
    let rows = match project.has_database() {
        true => {
            let system = ProjectSystem::open(&project)?;
            system.settings.reload().await?;
            let standings = system.store.standings(&tenant, now).await?;
            BudgetRow::all(&tenant, &standings, &**system.budget.limits(), |_| true, now)
        }
        false => BudgetRow::all(&tenant, &[], &project.settings.budgets, |_| true, now),
    };
    if as_json {
        print::pretty(&Value::Array(rows.iter().map(BudgetRow::as_json).collect()));
    } else {
        print_budgets(&rows, now);
    }
    Ok(CommandExit::Completed)
}

fn print_budgets(rows: &[BudgetRow], now: Time) {
    let mut whose = None;
    for row in rows {
        let name = match &row.line.key_id {
            None => format!("tenant {}", row.line.tenant),
            Some(key) => format!("key {key}"),
        };
        if whose.as_ref() != Some(&name) {
            print::line(&name);
            whose = Some(name);
        }
        let usd = |usd: Usd| format!("{:>12}", usd.to_string());
        let of = row.allowance.limit.map_or_else(|| format!("{:>12}", "unlimited"), usd);
        let left = row.remaining().map_or_else(String::new, |left| format!("{} left", usd(left)));
        let held = if row.held > Usd::ZERO { format!("{} held", usd(row.held)) } else { format!("{:>17}", "") };
        let resets = print::format_duration(row.line.ends().since(now));
        print::line(format_args!(
            "  {:<8} {} of {of} spent {held} {left}  anew in {resets:<12}  by {}",
            row.line.window.adjective(),
            usd(row.spent),
            row.allowance.setting.as_deref().unwrap_or("default"),
        ));
    }
    print::line("Limits are settings: change them under [budgets] in baton.toml; a process takes them at its start.");
}
