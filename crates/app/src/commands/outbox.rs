//! `baton outbox`: messages that were stored instead of sent.

use std::path::Path;

use baton_tools::outbox::{OutboxMessage, newest};
use serde_json::{Value, json};

use crate::cli::{OutboxCommand, OutboxListArgs};
use crate::project::Project;
use crate::wiring::ProjectSystem;
use crate::{CommandExit, UsageError, print};

/// Maximum number of characters of a message in a list.
const SHOWN_CHARS_MAX: usize = 72;
/// How many messages to show when a prefix of an id is ambiguous.
const PREFIX_MATCHES_MAX: usize = 5;

pub async fn run(folder: &Path, args: OutboxCommand) -> anyhow::Result<CommandExit> {
    let project = Project::open(folder)?;
    match args {
        OutboxCommand::List(args) => list(&project, &args).await,
        OutboxCommand::Show { id, json } => show(&project, &id, json).await,
    }
}

/// Does not create a database if nothing has run.
async fn read(
    project: &Project,
    most: usize,
    is_wanted: impl Fn(&OutboxMessage) -> bool,
) -> anyhow::Result<Vec<OutboxMessage>> {
    if !project.has_database() {
        return Ok(Vec::new());
    }
    let system = ProjectSystem::open(project)?;
    Ok(newest(&system.store, &system.tenant, most, is_wanted).await?)
}

async fn list(project: &Project, args: &OutboxListArgs) -> anyhow::Result<CommandExit> {
    let is = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
    let is_to = |message: &OutboxMessage| {
        let Some(wanted) = &args.to else { return true };
        let is_it = |to: &&str| *to == wanted || to.ends_with(&format!("<{wanted}>"));
        recipients(message).iter().any(is_it)
    };
    let messages = read(project, args.limit as usize, |message| {
        is(&args.channel, &message.channel) && is(&args.run, message.run.as_str()) && is_to(message)
    })
    .await?;
    if args.json {
        print::pretty(&json!({ "messages": messages }));
        return Ok(CommandExit::Completed);
    }
    if messages.is_empty() {
        print::line("no message was written down");
    }
    for message in &messages {
        let OutboxMessage { id, channel, at, .. } = message;
        let to = recipients(message).join(", ");
        print::line(format_args!(
            "{at}  {channel:<8}  {}  {to}  {}",
            print::paint("1", id),
            summary_line(&message.message)
        ));
    }
    Ok(CommandExit::Completed)
}

/// The recipients, one or several.
fn recipients(message: &OutboxMessage) -> Vec<&str> {
    match message.message.get("to") {
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(one)) => vec![one],
        _ => Vec::new(),
    }
}

/// The subject of an e-mail, or the beginning of any other message.
fn summary_line(message: &Value) -> String {
    let text = ["subject", "body", "message", "text"].into_iter().find_map(|key| message.get(key)?.as_str());
    let words = text.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words,
    }
}

async fn show(project: &Project, id: &str, as_json: bool) -> anyhow::Result<CommandExit> {
    let begun = read(project, PREFIX_MATCHES_MAX, |message| message.id.starts_with(id)).await?;
    let exact = begun.iter().find(|message| message.id == id);
    let message = match (exact, begun.as_slice()) {
        (Some(message), _) | (None, [message]) => message,
        (None, []) => {
            let hint = format!("`{} outbox list` shows those there are", project.command());
            return Err(UsageError::new(format!("no message `{id}`")).hint(hint).into());
        }
        (None, several) => {
            let which: Vec<String> = several.iter().map(|message| format!("`{}`", message.id)).collect();
            return Err(UsageError::new(format!("`{id}` is the beginning of several")).hint(which.join(", ")).into());
        }
    };
    if !as_json {
        let OutboxMessage { id, channel, run, at, .. } = message;
        print::line(format_args!("{} by {channel}, written down at {at} by run {run}", print::paint("1", id)));
        print::pretty(&message.message);
        return Ok(CommandExit::Completed);
    }
    print::pretty(&json!(message));
    Ok(CommandExit::Completed)
}
