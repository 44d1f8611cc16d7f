//! What happened in a run: its calls in time, its counts, its events.

use baton_core::run::{Event, summary as count, timeline as calls};
use serde_json::{Value, json};

use super::record::{self, Record};
use crate::cli::RunsOne;
use crate::project::Project;
use crate::{Exit, print};

/// Characters of an event that are shown to people.
const SHOWN_MAX: usize = 160;

pub async fn timeline(project: &Project, args: &RunsOne) -> anyhow::Result<Exit> {
    let record = Record::read(&record::system(project)?, &args.run).await?;
    let rows = calls(&record.followed.entries);
    if args.json {
        print::pretty(&json!(rows));
        return Ok(Exit::Completed);
    }
    for row in &rows {
        let (colour, sign) = match (&row.completed_at, row.success) {
            (None, _) => ("34", "…"),
            (Some(_), true) => ("32", "✓"),
            (Some(_), false) => ("31", "✗"),
        };
        let took = row.duration_ms.map(|ms| format!("{ms} ms")).unwrap_or_default();
        let error = row.error.as_deref().unwrap_or_default();
        let text =
            format!("{} {:<24} {:<28} {took:>9}  {error}", row.started_at, row.step_id.to_string(), row.tool_name);
        print::line(format_args!("{} {}", print::paint(colour, sign), text.trim_end()));
    }
    if rows.is_empty() {
        print::line("no calls");
    }
    Ok(Exit::Completed)
}

pub async fn summary(project: &Project, args: &RunsOne) -> anyhow::Result<Exit> {
    let record = Record::read(&record::system(project)?, &args.run).await?;
    let counts = count(record.run(), &record.followed.entries);
    if args.json {
        print::pretty(&counts);
    } else if let Value::Object(fields) = &counts {
        for (name, value) in fields {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            print::line(format_args!("{:<22} {value}", name.replace('_', " ")));
        }
    }
    Ok(Exit::Completed)
}

/// One line an event; with `--json` one line an entry, so that a long journal can be read as it comes.
pub async fn journal(project: &Project, args: &RunsOne) -> anyhow::Result<Exit> {
    let record = Record::read(&record::system(project)?, &args.run).await?;
    for (place, entry) in record.followed.entries.iter().enumerate() {
        let seq = place + 1;
        if args.json {
            print::json(&json!({ "seq": seq, "at": entry.at.to_string(), "events": entry.events }));
            continue;
        }
        for event in &entry.events {
            let (word, text) = told(event);
            print::line(format_args!("{seq:>5}  {}  {word:<16} {text}", entry.at));
        }
    }
    Ok(Exit::Completed)
}

/// An event's kind, and the rest of it in short.
fn told(event: &Event) -> (String, String) {
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
