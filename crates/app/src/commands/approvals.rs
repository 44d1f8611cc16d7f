//! `baton approvals`: lists and decides pending approvals.

use std::path::Path;

use baton_core::id::RunId;
use baton_ports::journal::TaskItem;
use baton_ports::task_inbox::ApprovalSubject;
use serde_json::Value;

use super::desk;
use super::runs::act;
use super::runs::record::RecordedRun;
use crate::cli::{ApprovalDecisionArgs, ApprovalsCommand, RunActionArgs};
use crate::project::Project;
use crate::wiring::ProjectSystem;
use crate::{CommandExit, print};

pub async fn run(folder: &Path, args: ApprovalsCommand) -> anyhow::Result<CommandExit> {
    let project = Project::open(folder)?;
    match args {
        ApprovalsCommand::List { json } => list(&project, json).await,
        ApprovalsCommand::Show { id, json } => show(&project, &id, json).await,
        ApprovalsCommand::Approve(args) => decide(&project, args, true).await,
        ApprovalsCommand::Reject(args) => decide(&project, args, false).await,
    }
}

/// A pending approval.
struct OpenApproval {
    item: TaskItem,
    run: RunId,
    about: ApprovalSubject,
}

impl OpenApproval {
    fn of(item: TaskItem) -> Option<Self> {
        let (run, about) = (item.run.clone()?, item.request()?);
        Some(Self { item, run, about })
    }
}

/// All pending approvals, oldest first.
async fn open(project: &Project) -> anyhow::Result<Vec<TaskItem>> {
    let items = desk::open(project).await?;
    Ok(items.into_iter().filter(|item| item.request().is_some()).collect())
}

async fn find(project: &Project, id: &str) -> anyhow::Result<OpenApproval> {
    let item = desk::find_by_prefix(project, open(project).await?, id, "request")?;
    OpenApproval::of(item).ok_or_else(|| anyhow::anyhow!("`{id}` is no request"))
}

async fn list(project: &Project, as_json: bool) -> anyhow::Result<CommandExit> {
    let open = open(project).await?;
    if as_json {
        print::pretty(&Value::Array(open.iter().map(TaskItem::as_json).collect()));
        return Ok(CommandExit::Completed);
    }
    if open.is_empty() {
        print::line("nothing waits for a yes or a no");
    }
    for item in &open {
        let until = item.deadline.map(|at| format!("  until {at}")).unwrap_or_default();
        print::line(format_args!("{}  {}{until}", print::paint("1", &item.id), item.title));
        if let Some(arguments) = item.details.get("arguments").filter(|arguments| !arguments.is_null()) {
            print::line(format_args!("    {}", arguments));
        }
    }
    Ok(CommandExit::Completed)
}

async fn show(project: &Project, id: &str, as_json: bool) -> anyhow::Result<CommandExit> {
    let request = find(project, id).await?;
    let system = ProjectSystem::open(project)?;
    let record = RecordedRun::read(&system, request.run.as_str()).await?;
    let run = record.run();
    let given = request.about.approved_by(run);
    let shown = request.about.as_json(&request.item, run);
    if !as_json {
        print::line(print::paint("1", &request.item.title));
    }
    print::pretty(&shown);
    if !as_json {
        let but: Vec<&str> = given.iter().map(String::as_str).chain(run.requested_by()).collect();
        print::line(desk::decide_command(&request.item, &project.command(), &but));
    }
    Ok(CommandExit::Completed)
}

async fn decide(project: &Project, args: ApprovalDecisionArgs, approved: bool) -> anyhow::Result<CommandExit> {
    let request = find(project, &args.id).await?;
    let ApprovalDecisionArgs { by, reason: note, detach, json, .. } = args;
    let incoming = request.about.decision(by.clone().into(), approved, note);
    let act = RunActionArgs { run: request.run.to_string(), by, detach, json };
    act::run(project, &act, incoming).await
}
