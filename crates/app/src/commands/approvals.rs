//! `baton approvals`: what waits for people's leave, and giving it.

use std::path::Path;

use baton_core::id::RunId;
use baton_ports::desk::About;
use baton_ports::journal::DeskItem;
use serde_json::Value;

use super::desk;
use super::runs::act;
use super::runs::record::Record;
use crate::cli::{Approvals, ApprovalsDecide, RunsAct};
use crate::project::Project;
use crate::wire::System;
use crate::{Exit, print};

pub async fn run(folder: &Path, args: Approvals) -> anyhow::Result<Exit> {
    let project = Project::open(folder)?;
    match args {
        Approvals::List { json } => list(&project, json).await,
        Approvals::Show { id, json } => show(&project, &id, json).await,
        Approvals::Approve(args) => decide(&project, args, true).await,
        Approvals::Reject(args) => decide(&project, args, false).await,
    }
}

/// A request that is open.
struct Request {
    item: DeskItem,
    run: RunId,
    about: About,
}

impl Request {
    fn of(item: DeskItem) -> Option<Self> {
        let (run, about) = (item.run.clone()?, item.request()?);
        Some(Self { item, run, about })
    }
}

/// All that are open, oldest first.
async fn open(project: &Project) -> anyhow::Result<Vec<DeskItem>> {
    let items = desk::open(project).await?;
    Ok(items.into_iter().filter(|item| item.request().is_some()).collect())
}

async fn find(project: &Project, id: &str) -> anyhow::Result<Request> {
    let item = desk::pick(project, open(project).await?, id, "request")?;
    Request::of(item).ok_or_else(|| anyhow::anyhow!("`{id}` is no request"))
}

async fn list(project: &Project, as_json: bool) -> anyhow::Result<Exit> {
    let open = open(project).await?;
    if as_json {
        print::pretty(&Value::Array(open.iter().map(DeskItem::as_json).collect()));
        return Ok(Exit::Completed);
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
    Ok(Exit::Completed)
}

async fn show(project: &Project, id: &str, as_json: bool) -> anyhow::Result<Exit> {
    let request = find(project, id).await?;
    let system = System::open(project)?;
    let record = Record::read(&system, request.run.as_str()).await?;
    let run = record.run();
    let given = request.about.approved_by(run);
    let shown = request.about.as_json(&request.item, run);
    if !as_json {
        print::line(print::paint("1", &request.item.title));
    }
    print::pretty(&shown);
    if !as_json {
        let but: Vec<&str> = given.iter().map(String::as_str).chain(run.asked_by()).collect();
        print::line(desk::decide(&request.item, &project.command(), &but));
    }
    Ok(Exit::Completed)
}

async fn decide(project: &Project, args: ApprovalsDecide, approved: bool) -> anyhow::Result<Exit> {
    let request = find(project, &args.id).await?;
    let ApprovalsDecide { by, reason: note, detach, json, .. } = args;
    let incoming = request.about.decided(by.clone().into(), approved, note);
    let act = RunsAct { run: request.run.to_string(), by, detach, json };
    act::run(project, &act, incoming).await
}
