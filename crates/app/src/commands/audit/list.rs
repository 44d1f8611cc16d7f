//! `baton audit list`.

use baton_core::audit::AuditEntry;
use baton_core::tool::AuditStatus;
use baton_ports::audit::{AuditFilter, AuditOrder, AuditTrail};
use baton_ports::read::PAGE_MAX;
use serde_json::{Value, json};

use super::TenantTrail;
use crate::cli::{self, AuditListArgs};
use crate::commands::tools::print_unknown_tool;
use crate::{CommandExit, print};

pub async fn run(trail: &mut TenantTrail, args: &AuditListArgs) -> anyhow::Result<CommandExit> {
    let entries = read(trail, args).await?;
    let next = entries.last().filter(|_| entries.len() == args.limit as usize).map(|entry| entry.seq);
    if let (Some(tool), Some(system), true) = (&args.tool, &mut trail.system, entries.is_empty())
        && system.tenant == trail.tenant
        // Only the note needs the tools: a service that does not respond must not affect the list.
        && system.load_tools().await.is_ok()
    {
        print_unknown_tool(&system.tools, &trail.tenant, tool);
    }
    if args.of.json {
        let rows: Vec<Value> = entries.iter().map(AuditEntry::as_json).collect();
        print::pretty(&json!({ "rows": rows, "next": next }));
        return Ok(CommandExit::Completed);
    }
    if entries.is_empty() {
        print::line("no rows");
    } else {
        print_entries(&entries);
    }
    if let Some(next) = next {
        print::note(format_args!("older rows: --before {next}"));
    }
    Ok(CommandExit::Completed)
}

/// Reads pages up to the requested number of entries.
async fn read(trail: &TenantTrail, args: &AuditListArgs) -> anyhow::Result<Vec<AuditEntry>> {
    let Some(system) = &trail.system else { return Ok(Vec::new()) };
    let mut filter = AuditFilter {
        run: args.run.as_deref().map(Into::into),
        action: args.tool.clone(),
        person: args.person.clone(),
        status: args.status.map(status),
        from: args.from,
        to: args.to,
        order: AuditOrder::NewestFirst,
        cursor: args.before,
        limit: 0,
    };
    let mut entries: Vec<AuditEntry> = Vec::new();
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

fn status(status: cli::AuditStatusArg) -> AuditStatus {
    match status {
        cli::AuditStatusArg::Success => AuditStatus::Success,
        cli::AuditStatusArg::Error => AuditStatus::Error,
        cli::AuditStatusArg::Compensated => AuditStatus::Compensated,
    }
}

/// Prints one line for each entry, in columns as wide as their contents.
pub fn print_entries(entries: &[AuditEntry]) {
    let widest =
        |title: &str, of: &dyn Fn(&AuditEntry) -> usize| entries.iter().map(of).max().unwrap_or(0).max(title.len());
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

fn person_of(entry: &AuditEntry) -> &str {
    match entry.erased_at {
        Some(_) => "(erased)",
        None => entry.row.user_id.as_deref().unwrap_or_default(),
    }
}

/// The decision of a person or a deadline, if the row records one. A rejection succeeds as an action, as an approval
/// does.
fn decision_of(entry: &AuditEntry) -> Option<&str> {
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
