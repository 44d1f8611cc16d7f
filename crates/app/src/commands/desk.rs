//! `baton desk`: the task inbox, with everything that waits for a person in one list.

use std::path::Path;

use baton_core::run::{DoubtResolution, EffectId, IncomingCommand};
use baton_expr::nearest;
use baton_ports::journal::{TaskItem, TaskItemKind};
use baton_ports::read::ReadModel;
use serde_json::{Value, json};

use super::runs::{act, resolution};
use crate::cli::{RunActionArgs, TaskInboxCommand, TaskResolveArgs};
use crate::project::{Project, shell_quote};
use crate::wiring::ProjectSystem;
use crate::{CommandExit, UsageError, print, progress};

pub async fn run(folder: &Path, args: TaskInboxCommand) -> anyhow::Result<CommandExit> {
    let project = Project::open(folder)?;
    match args {
        TaskInboxCommand::List { kind, json } => list(&project, kind.as_deref(), json).await,
        TaskInboxCommand::Show { id, json } => show(&project, &id, json).await,
        TaskInboxCommand::Resolve(args) => resolve(&project, args).await,
    }
}

/// All open items, oldest first. Does not create a database if nothing has run.
pub async fn open(project: &Project) -> anyhow::Result<Vec<TaskItem>> {
    if !project.has_database() {
        return Ok(Vec::new());
    }
    let system = ProjectSystem::open(project)?;
    Ok(system.store.open_tasks(&system.tenant, None).await?)
}

/// Finds an item by its id or a unique prefix of it. `what` names the kind of item in messages.
pub fn find_by_prefix(project: &Project, mut items: Vec<TaskItem>, id: &str, what: &str) -> anyhow::Result<TaskItem> {
    let ids: Vec<String> = items.iter().map(|item| item.id.clone()).collect();
    let begun: Vec<usize> = (0..ids.len()).filter(|place| ids[*place].starts_with(id)).collect();
    let exact = ids.iter().position(|found| found == id);
    if let Some(place) = exact.or(match begun.as_slice() {
        [place] => Some(*place),
        _ => None,
    }) {
        return Ok(items.swap_remove(place));
    }
    if begun.is_empty() {
        let hint = match nearest(id, ids.iter().map(String::as_str)) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => format!("`{} desk list` shows all that waits", project.command()),
        };
        return Err(UsageError::new(format!("no {what} `{id}` waits; it may be settled already")).hint(hint).into());
    }
    let which: Vec<String> = begun.iter().map(|place| format!("`{}`", ids[*place])).collect();
    Err(UsageError::new(format!("`{id}` is the beginning of several")).hint(which.join(", ")).into())
}

async fn list(project: &Project, kind: Option<&str>, as_json: bool) -> anyhow::Result<CommandExit> {
    let items = open(project).await?;
    let items: Vec<TaskItem> =
        items.into_iter().filter(|item| kind.is_none_or(|kind| word(item.kind) == kind)).collect();
    if as_json {
        print::pretty(&Value::Array(items.iter().map(TaskItem::as_json).collect()));
        return Ok(CommandExit::Completed);
    }
    if items.is_empty() {
        print::line("nothing waits for anybody");
    }
    for item in &items {
        let until = item.deadline.map(|at| format!("  until {at}")).unwrap_or_default();
        let kind = print::paint("33", &format!("{:<13}", word(item.kind)));
        print::line(format_args!("{kind}  {}  {}{until}", item.id, item.title));
    }
    Ok(CommandExit::Completed)
}

async fn show(project: &Project, id: &str, as_json: bool) -> anyhow::Result<CommandExit> {
    let item = find_by_prefix(project, open(project).await?, id, "item")?;
    if !as_json {
        print::line(print::paint("1", &item.title));
    }
    print::pretty(&item.as_json());
    if !as_json {
        print::line(next_command(&item, &project.command()));
    }
    Ok(CommandExit::Completed)
}

/// The command that settles the item.
pub fn next_command(item: &TaskItem, command: &str) -> String {
    if let Some(own) = item.details.get("command").and_then(Value::as_str) {
        return format!("{own}  # makes it go away");
    }
    let id = shell_quote(&item.id);
    let run = item.run.as_ref().map_or_else(String::new, |run| shell_quote(run.as_str()));
    match item.kind {
        TaskItemKind::Approval | TaskItemKind::ToolApproval => decide_command(item, command, &[]),
        TaskItemKind::Doubt => {
            format!("{command} desk resolve {id} --not-done  # or --done JSON, or --repeat unless it is ending")
        }
        TaskItemKind::NotUndone => {
            format!("{command} desk resolve {id} --again  # or --undone, once somebody undid it at the service")
        }
        TaskItemKind::Form | TaskItemKind::Question | TaskItemKind::OverBudget | TaskItemKind::NeedsKey => {
            match item.detail::<EffectId>("effect") {
                Some(effect) if item.kind == TaskItemKind::Form => {
                    let effect = shell_quote(&effect.to_string());
                    format!("{command} runs answer {run} {effect} --form JSON  # or --reject")
                }
                Some(_) | None => format!("{command} runs show {run}  # says how it goes on"),
            }
        }
        TaskItemKind::Late => {
            format!("{command} serve  # somebody takes the conversation over on the page, or over HTTP")
        }
        TaskItemKind::Connection => format!("{command} tools connections  # says which account to connect again"),
        TaskItemKind::Budget => {
            format!("{command} budgets  # says how they stand now, and which setting to raise")
        }
    }
}

/// The command that decides a request. If not everybody may decide, it names the first permitted person who is not in
/// `but`.
pub fn decide_command(item: &TaskItem, command: &str, but: &[&str]) -> String {
    let asked = ["from", "assignees"].into_iter().find_map(|key| item.details.get(key));
    let (by, who) = progress::decider_flag("--as", asked.unwrap_or(&Value::Null), but);
    let who = if who.is_empty() { who } else { format!("; {who}") };
    format!("{command} approvals approve {}{by}  # or reject, with --reason TEXT{who}", shell_quote(&item.id))
}

pub fn word(kind: TaskItemKind) -> String {
    json!(kind).as_str().unwrap_or_default().to_owned()
}

async fn resolve(project: &Project, args: TaskResolveArgs) -> anyhow::Result<CommandExit> {
    let item = find_by_prefix(project, open(project).await?, &args.id, "item")?;
    let resolution = match item.kind {
        TaskItemKind::NotUndone if args.undone => DoubtResolution::Done { output: Value::Null },
        TaskItemKind::NotUndone if args.again => DoubtResolution::Repeat,
        TaskItemKind::NotUndone => {
            let hint = "--again has it tried once more; or undo it at the service, and say --undone then";
            return Err(UsageError::new(format!("`{}` could not be undone", item.id)).hint(hint).into());
        }
        TaskItemKind::Doubt if !args.undone && !args.again => {
            let done = args.done.as_deref().map(|done| super::json::parse_argument("--done", done)).transpose()?;
            resolution(done, args.not_done, args.repeat)?
        }
        _ => {
            let hint = next_command(&item, &project.command());
            return Err(UsageError::new(format!("`{}` is not settled this way", item.id)).hint(hint).into());
        }
    };
    let (Some(effect), Some(run)) = (item.detail::<EffectId>("effect"), item.run) else {
        anyhow::bail!("the item `{}` names no call", item.id);
    };
    let act = RunActionArgs { run: run.to_string(), by: args.by.clone(), detach: args.detach, json: args.json };
    act::run(project, &act, IncomingCommand::Resolve { effect, by: args.by, resolution }).await
}
