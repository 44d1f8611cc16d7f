//! `baton budgets`: each line with its limit, what is spent and held of it, and when it begins anew.

use std::path::Path;

use baton_core::money::Usd;
use baton_core::time::Time;
use baton_ports::budget::{Budget, Row};
use baton_ports::clock::{Clock, SystemClock};
use serde_json::Value;

use crate::cli::{Budgets, BudgetsCommand};
use crate::project::Project;
use crate::wire::System;
use crate::{Exit, print};

pub async fn run(folder: &Path, args: &Budgets) -> anyhow::Result<Exit> {
    let as_json = match &args.command {
        Some(BudgetsCommand::Show(show)) => show.json,
        None => args.show.json,
    };
    let project = Project::open(folder)?;
    let now = SystemClock.now();
    let tenant = project.tenant()?;
    // Looking makes no database where nothing has run.
    let rows = match project.has_database() {
        true => {
            let system = System::open(&project)?;
            system.settings.take_in().await?;
            let standings = system.store.standings(&tenant, now).await?;
            Row::all(&tenant, &standings, &**system.purse.limits(), |_| true, now)
        }
        false => Row::all(&tenant, &[], &project.settings.budgets, |_| true, now),
    };
    if as_json {
        print::pretty(&Value::Array(rows.iter().map(Row::as_json).collect()));
    } else {
        tell(&rows, now);
    }
    Ok(Exit::Completed)
}

fn tell(rows: &[Row], now: Time) {
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
        let left = row.left().map_or_else(String::new, |left| format!("{} left", usd(left)));
        let held = if row.held > Usd::ZERO { format!("{} held", usd(row.held)) } else { format!("{:>17}", "") };
        let resets = print::took(row.line.ends().since(now));
        print::line(format_args!(
            "  {:<8} {} of {of} spent {held} {left}  anew in {resets:<12}  by {}",
            row.line.window.adjective(),
            usd(row.spent),
            row.allowance.setting.as_deref().unwrap_or("default"),
        ));
    }
    print::line("Limits are settings: change them under [budgets] in baton.toml; a process takes them at its start.");
}
