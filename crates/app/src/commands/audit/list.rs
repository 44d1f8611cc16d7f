//! `baton audit list`.

use baton_core::audit::Entry;
use baton_core::tool::AuditStatus;
use baton_ports::audit::{Audit, Filter, Order};
use baton_ports::read::PAGE_MAX;
use serde_json::{Value, json};

use super::Trail;
use crate::cli::{self, AuditList};
use crate::commands::tools::note_unknown;
use crate::{Exit, print};

pub async fn run(trail: &mut Trail, args: &AuditList) -> anyhow::Result<Exit> {
    let entries = read(trail, args).await?;
    let next = entries.last().filter(|_| entries.len() == args.limit as usize).map(|entry| entry.seq);
    if let (Some(tool), Some(system), true) = (&args.tool, &mut trail.system, entries.is_empty())
        && system.tenant == trail.tenant
        // Only a note: a service that does not answer takes nothing from the list.
        && system.learn_tools().await.is_ok()
    {
        note_unknown(&system.tools, &trail.tenant, tool);
    }
    if args.of.json {
        let rows: Vec<Value> = entries.iter().map(Entry::as_json).collect();
        print::pretty(&json!({ "rows": rows, "next": next }));
        return Ok(Exit::Completed);
    }
    if entries.is_empty() {
        print::line("no rows");
    } else {
        tell(&entries);
    }
    if let Some(next) = next {
        print::note(format_args!("older rows: --before {next}"));
    }
    Ok(Exit::Completed)
}

/// Page by page, up to as many as were asked for.
async fn read(trail: &Trail, args: &AuditList) -> anyhow::Result<Vec<Entry>> {
    let Some(system) = &trail.system else { return Ok(Vec::new()) };
    let mut filter = Filter {
        run: args.run.as_deref().map(Into::into),
        action: args.tool.clone(),
        person: args.person.clone(),
        status: args.status.map(status),
        from: args.from,
        to: args.to,
        order: Order::NewestFirst,
        cursor: args.before,
        limit: 0,
    };
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        filter.limit = (args.limit as usize - entries.len()).min(PAGE_MAX);
        let page = match args.latest {
            true => system.store.latest(&trail.tenant, filter.clone()).await?,
            false => system.store.trail(&trail.tenant, filter.clone()).await?,
        };
        let is_last = page.len() < filter.limit;
        entries.extend(page);
        filter.cursor = entries.last().map(|entry| entry.seq);
        if is_last || entries.len() >= args.limit as usize {
            return Ok(entries);
        }
    }
}

fn status(status: cli::AuditStatus) -> AuditStatus {
    match status {
        cli::AuditStatus::Success => AuditStatus::Success,
        cli::AuditStatus::Error => AuditStatus::Error,
        cli::AuditStatus::Compensated => AuditStatus::Compensated,
    }
}

/// A line each, in columns as wide as what stands in them.
pub fn tell(entries: &[Entry]) {
    let widest = |title: &str, of: &dyn Fn(&Entry) -> usize| entries.iter().map(of).max().unwrap_or(0).max(title.len());
    let tool = widest("ACTION", &|entry| entry.row.action.len());
    let kind = widest("TYPE", &|entry| entry.row.action_type.len());
    let person = widest("PERSON", &|entry| person_of(entry).len());
    let title = format!(
        "{:>6}  {:<24}  {:<kind$}  {:<tool$}  {:<11}  {:>8}  {:<person$}  RUN",
        "SEQ", "AT", "TYPE", "ACTION", "STATUS", "MS", "PERSON"
    );
    print::line(print::paint("1", &title));
    for entry in entries {
        let row = &entry.row;
        let status = print::paint(colour(row.status), &format!("{:<11}", word(row.status)));
        let line = format!(
            "{:>6}  {:<24}  {:<kind$}  {:<tool$}  {status}  {:>8}  {:<person$}  {}{}",
            entry.seq,
            row.at.to_string(),
            row.action_type,
            row.action,
            row.duration_ms,
            person_of(entry),
            row.run.as_ref().map_or("", |run| run.as_str()),
            [row.error_code.as_deref(), decision_of(entry)]
                .into_iter()
                .flatten()
                .map(|word| format!("  {word}"))
                .collect::<String>(),
        );
        print::line(line.trim_end());
    }
}

fn person_of(entry: &Entry) -> &str {
    match entry.erased_at {
        Some(_) => "(erased)",
        None => entry.row.user_id.as_deref().unwrap_or_default(),
    }
}

/// What a person or a deadline said, where the row is of that: a no succeeds as well as a yes.
fn decision_of(entry: &Entry) -> Option<&str> {
    entry.row.details.get("decision")?.as_str()
}

fn word(status: AuditStatus) -> &'static str {
    match status {
        AuditStatus::Success => "success",
        AuditStatus::Error => "error",
        AuditStatus::Compensated => "compensated",
    }
}

fn colour(status: AuditStatus) -> &'static str {
    match status {
        AuditStatus::Success => "32",
        AuditStatus::Error => "31",
        AuditStatus::Compensated => "33",
    }
}
