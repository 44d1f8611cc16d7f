//! `baton approvals`: what waits for people's leave, and giving it.

use std::path::Path;

use baton_core::id::RunId;
use baton_core::run::{Address, Decision, EffectId, Incoming};
use baton_ports::journal::{DeskItem, DeskKind};
use serde_json::{Value, json};

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

/// What it is about.
enum About {
    /// A tool's call.
    Call(EffectId),
    /// A `human` node.
    Node(Address),
}

impl Request {
    fn of(item: DeskItem) -> Option<Self> {
        let run = item.run.clone()?;
        let about = match item.kind {
            DeskKind::ToolApproval => About::Call(serde_json::from_value(item.details.get("effect")?.clone()).ok()?),
            DeskKind::Approval => About::Node(serde_json::from_value(item.details.get("node")?.clone()).ok()?),
            DeskKind::Form
            | DeskKind::Doubt
            | DeskKind::NotUndone
            | DeskKind::Question
            | DeskKind::Budget
            | DeskKind::OverBudget
            | DeskKind::NeedsKey
            | DeskKind::Connection => return None,
        };
        Some(Self { item, run, about })
    }
}

/// All that are open, oldest first.
async fn open(project: &Project) -> anyhow::Result<Vec<DeskItem>> {
    let items = desk::open(project).await?;
    Ok(items.into_iter().filter(|item| Request::of(item.clone()).is_some()).collect())
}

async fn find(project: &Project, id: &str) -> anyhow::Result<Request> {
    let item = desk::pick(project, open(project).await?, id, "request")?;
    Request::of(item).ok_or_else(|| anyhow::anyhow!("`{id}` is no request"))
}

async fn list(project: &Project, as_json: bool) -> anyhow::Result<Exit> {
    let open = open(project).await?;
    if as_json {
        print::pretty(&Value::Array(open.iter().map(desk::shown).collect()));
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
    let (tool, given) = match &request.about {
        About::Call(effect) => {
            let given = run.leave_for(effect).map(|(_, given)| given.to_vec()).unwrap_or_default();
            (run.tool_of(&effect.call).map(str::to_owned), given)
        }
        About::Node(node) => (None, run.approved_by(node)),
    };
    let mut shown = desk::shown(&request.item);
    if let Value::Object(fields) = &mut shown {
        fields.insert("tool".to_owned(), json!(tool));
        fields.insert("approved_by".to_owned(), json!(given));
        fields.insert("asked_by".to_owned(), json!(run.asked_by()));
    }
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
    let incoming = match request.about {
        About::Call(effect) => Incoming::Approve { effect, by: by.clone(), approved, note },
        About::Node(node) => {
            let decision = if approved { Decision::Approve { note } } else { Decision::Reject { note } };
            Incoming::Answer { node, by: by.clone(), decision }
        }
    };
    let act = RunsAct { run: request.run.to_string(), by, detach, json };
    act::run(project, &act, incoming).await
}
