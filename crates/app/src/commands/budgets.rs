//! `baton budgets`: each line with its limit, what is spent and held of it, and when it begins anew.

use std::collections::BTreeSet;
use std::path::Path;

use baton_core::money::{Usd, Window};
use baton_core::time::Time;
use baton_models::budget::{Config, OnExceeded};
use baton_ports::budget::{Budget, Line, Standing};
use baton_ports::clock::{Clock, SystemClock};
use serde_json::{Value, json};

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
    let standings = match project.database().exists() {
        true => System::open(&project)?.store.standings(&tenant, now).await?,
        false => Vec::new(),
    };
    let config = &project.settings.budgets;
    let keys: BTreeSet<&str> = config
        .keys
        .keys()
        .map(String::as_str)
        .chain(standings.iter().filter_map(|of| of.line.key_id.as_deref()))
        .collect();
    let lines = std::iter::once(None)
        .chain(keys.into_iter().map(Some))
        .flat_map(|key| Window::ALL.map(|window| Line::of(&tenant, key, window, now)));
    let rows: Vec<Row> = lines.map(|line| Row::of(line, &standings, config)).filter(Row::says_something).collect();
    if as_json {
        print::pretty(&Value::Array(rows.iter().map(Row::as_json).collect()));
    } else {
        tell(&rows, now);
    }
    Ok(Exit::Completed)
}

/// One line as it stands.
struct Row {
    line: Line,
    limit: Option<Usd>,
    spent: Usd,
    held: Usd,
    on_exceeded: OnExceeded,
    /// The setting that limits it.
    setting: Option<String>,
}

impl Row {
    fn of(line: Line, standings: &[Standing], config: &Config) -> Self {
        let limit = match &line.key_id {
            None => config.of_tenant(&line.tenant, line.window),
            Some(key) => config.of_key(key, line.window),
        };
        let known = standings.iter().find(|standing| standing.line == line);
        let (spent, held) = known.map_or_else(Default::default, |known| (known.spent, known.held));
        let on_exceeded = config.on_exceeded(&line.tenant, line.key_id.as_deref());
        let setting = config.setting_of(&line);
        Self { line, limit, spent, held, on_exceeded, setting }
    }

    /// A key's line without a limit that nothing was spent of says nothing.
    fn says_something(&self) -> bool {
        self.line.key_id.is_none() || self.limit.is_some() || self.spent > Usd::ZERO
    }

    fn left(&self) -> Option<Usd> {
        self.limit.map(|limit| (limit - self.spent - self.held).max(Usd::ZERO))
    }

    fn as_json(&self) -> Value {
        json!({
            "tenant": self.line.tenant, "key_id": self.line.key_id, "window": self.line.window,
            "begins_at": self.line.begins.to_string(), "resets_at": self.line.ends().to_string(),
            "limit_usd": self.limit.map(Usd::as_f64), "spent_usd": self.spent.as_f64(),
            "held_usd": self.held.as_f64(), "left_usd": self.left().map(Usd::as_f64),
            "on_exceeded": self.on_exceeded, "setting": self.setting,
        })
    }
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
        let of = row.limit.map_or_else(|| format!("{:>12}", "unlimited"), usd);
        let left = row.left().map_or_else(String::new, |left| format!("{} left", usd(left)));
        let held = if row.held > Usd::ZERO { format!("{} held", usd(row.held)) } else { format!("{:>17}", "") };
        let resets = print::took(row.line.ends().since(now));
        print::line(format_args!(
            "  {:<8} {} of {of} spent {held} {left}  anew in {resets:<12}  by {}",
            row.line.window.adjective(),
            usd(row.spent),
            row.setting.as_deref().unwrap_or("default"),
        ));
    }
    print::line("Limits are settings: change them under [budgets] in baton.toml; a process takes them at its start.");
}
