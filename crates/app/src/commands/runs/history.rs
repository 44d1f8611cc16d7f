//! The history of a run: its calls over time, its counts and its events.

use std::time::Duration;

use baton_core::run::{RunEvent, summary as count, timeline as calls};
use serde_json::{Value, json};

use super::record::{self, RecordedRun};
use crate::cli::RunSelectorArgs;
use crate::progress::status_line;
use crate::project::Project;
use crate::{CommandExit, print};

/// Maximum number of characters of an event to print.
const SHOWN_MAX: usize = 160;

pub async fn timeline(project: &Project, args: &RunSelectorArgs) -> anyhow::Result<CommandExit> {
    let record = RecordedRun::read(&record::system(project)?, &args.run).await?;
    let rows = calls(&record.followed.entries);
    if args.json {
        print::pretty(&json!(rows));
        return Ok(CommandExit::Completed);
    }
    let nodes = rows.iter().map(|row| row.step_id.to_string().chars().count()).max().unwrap_or(0);
    let tools = rows.iter().map(|row| row.tool_name.chars().count()).max().unwrap_or(0);
    for row in &rows {
        let (colour, sign) = match (&row.completed_at, row.success) {
            (None, _) => ("34", "…"),
            (Some(_), true) if row.undo => ("32", "↶"),
            (Some(_), true) => ("32", "✓"),
            (Some(_), false) => ("31", "✗"),
        };
        let took = row.duration_ms.map(|ms| print::format_duration(Duration::from_millis(ms))).unwrap_or_default();
        let error = row.error.as_deref().unwrap_or_default();
        let (node, tool) = (row.step_id.to_string(), &row.tool_name);
        let text = format!("{:<24} {node:<nodes$}  {tool:<tools$}  {took:>9}  {error}", row.started_at);
        print::line(format_args!("{} {}", print::paint(colour, sign), text.trim_end()));
    }
    if rows.is_empty() {
        print::line("no calls");
    }
    Ok(CommandExit::Completed)
}

pub async fn summary(project: &Project, args: &RunSelectorArgs) -> anyhow::Result<CommandExit> {
    let record = RecordedRun::read(&record::system(project)?, &args.run).await?;
    let counts = count(record.run(), &record.followed.entries);
    if args.json {
        print::pretty(&counts);
        return Ok(CommandExit::Completed);
    }
    let number = |name: &str| counts[name].as_u64().unwrap_or_default();
    let time = |name: &str| print::format_duration(Duration::from_millis(number(name)));
    print::line(format_args!("run {} of {}", record.head.run, record.head.workflow));
    print::line(format_args!("  {}", status_line(record.run())));
    print::line(format_args!(
        "  calls: {}; {} done, {} failed, {} open",
        number("total_steps"),
        number("successful"),
        number("failed"),
        number("in_progress")
    ));
    print::line(format_args!("  in them: {}, {} a call", time("total_duration_ms"), time("avg_step_duration_ms")));
    Ok(CommandExit::Completed)
}

/// Prints one line for each event. With `--json` one line for each entry, so that a long journal can be streamed.
pub async fn journal(project: &Project, args: &RunSelectorArgs) -> anyhow::Result<CommandExit> {
    let record = RecordedRun::read(&record::system(project)?, &args.run).await?;
    for (place, entry) in record.followed.entries.iter().enumerate() {
        let seq = place + 1;
        if args.json {
            print::json(&json!({ "seq": seq, "at": entry.at.to_string(), "events": entry.events }));
            continue;
        }
        for event in &entry.events {
            let (word, text) = describe_event(event);
            print::line(format_args!("{seq:>5}  {}  {word:<16} {text}", entry.at));
        }
    }
    Ok(CommandExit::Completed)
}

/// The kind of an event, and a summary of the rest.
fn describe_event(event: &RunEvent) -> (String, String) {
    let (word, rest) = match serde_json::to_value(event) {
        Ok(Value::Object(fields)) => match fields.into_iter().next() {
            Some((word, rest)) => (word, rest.to_string()),
            None => (String::new(), String::new()),
        },
        Ok(Value::String(word)) => (word, String::new()),
        Ok(other) => (String::new(), other.to_string()),
        Err(error) => ("unreadable".to_owned(), error.to_string()),
    };
    let shown = match rest.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}…", &rest[..end]),
        None => rest,
    };
    (word, shown)
}
