//! `baton generate`: a workflow from a goal, drafted by a model, checked like any other, mended until it may run.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use baton_core::definition::{self, Catalog, Diagnostic, Severity, yaml};
use baton_core::graph::Input;
use baton_core::model::{Reply, ToolOffer};
use baton_core::money::Usd;
use baton_engine::{Generation, PLANNER, Usable};
use baton_ports::models::{Asker, Models as _};
use serde_json::{Value, json};

use crate::cli::Generate;
use crate::project::{Project, in_shell, shown};
use crate::wire::System;
use crate::{Exit, Misuse, print};

/// How often a draft is mended before nobody goes on.
const REPAIRS_MAX: usize = 3;
/// How long one reply may take.
const REPLY_TIMEOUT: Duration = Duration::from_secs(120);
const GOAL_CHARS_MAX: usize = 4_000;
/// Tools that a goal's words find at the most.
const TOOLS_FOUND: usize = 100;
/// Where workflows are.
const FOLDER: &str = "workflows";

pub async fn run(folder: &Path, args: Generate) -> anyhow::Result<Exit> {
    let goal = args.goal.trim();
    let chars = goal.chars().count();
    if chars == 0 || chars > GOAL_CHARS_MAX {
        let message = format!("a goal has 1 to {GOAL_CHARS_MAX} characters, not {chars}");
        return Err(Misuse::new(message).hint("baton generate \"Get the weather, and mail me if it rains\"").into());
    }
    let project = Project::open(folder)?;
    if !project.is_there() {
        return Err(project.not_there().into());
    }
    // Before anything is paid for: where it goes must be free, and open to be written.
    if !args.print {
        args.name.iter().try_for_each(|name| refuse_taken(&project, name))?;
        let folder = Some(project.root.join(FOLDER)).filter(|folder| folder.is_dir());
        let folder = folder.unwrap_or_else(|| project.root.clone());
        if std::fs::metadata(&folder).is_ok_and(|about| about.permissions().readonly()) {
            return Err(Misuse::new(format!("{} cannot be written to", shown(&folder))).into());
        }
    }
    let mut system = System::open(&project)?;
    system.learn(&project).await?;
    project.check(&mut system.catalog);
    let drafted = draft(&system, &project, goal, args.name.as_deref()).await;
    system.close().await;
    let drafted = drafted?;
    tell(&project, &args, &drafted)
}

/// What came of all rounds: the last draft, and what is wrong with it.
struct Drafted {
    name: Option<String>,
    definition: Value,
    /// The same in YAML, as it is written and as findings have their places in it.
    text: String,
    /// What a run of it must bring.
    input: Input,
    diagnostics: Vec<Diagnostic>,
    /// Why the last reply holds no draft.
    problem: Option<String>,
    replies: usize,
    cost: Usd,
}

impl Drafted {
    fn may_run(&self) -> bool {
        self.problem.is_none() && !self.diagnostics.iter().any(keeps_from_running)
    }
}

fn keeps_from_running(found: &Diagnostic) -> bool {
    matches!(found.severity, Severity::Error | Severity::Draft)
}

async fn draft(system: &System, project: &Project, goal: &str, name: Option<&str>) -> anyhow::Result<Drafted> {
    let planner = system.catalog.agents.get(PLANNER).cloned();
    let planner = planner.ok_or_else(|| Misuse::new(format!("there is no agent `{PLANNER}`")))?;
    let language = project.settings.tools.language.tag();
    let fault = |fault| anyhow::anyhow!("{fault}");
    let mut generation = Generation::begin(planner, goal, language, &usable(system, goal).await).map_err(fault)?;
    let mut cost = Usd::ZERO;
    for replies in 1.. {
        let reply = ask(system, &generation).await?;
        cost += reply.cost;
        let mut drafted = check(&reply, name, project, &system.catalog);
        (drafted.replies, drafted.cost) = (replies, cost);
        if drafted.may_run() || replies > REPAIRS_MAX {
            return Ok(drafted);
        }
        generation.repair(&reply, &findings(&drafted)).map_err(fault)?;
    }
    anyhow::bail!("no reply was asked for")
}

/// Everything a draft may name, agents that plan excepted. Among thousands of tools the model is shown those that are
/// always there, then those that the goal's words find as `baton tools search` does, then others.
async fn usable(system: &System, goal: &str) -> Usable {
    let (found, fault) = system.tools.search(goal, TOOLS_FOUND).await;
    if let Some(fault) = fault {
        print::note(format_args!("note: {fault}"));
    }
    let catalog = &system.catalog;
    let found = found.iter().map(|tool| &*tool.name);
    let mut told = BTreeSet::new();
    let ordered = system.tools.shipped().chain(found).chain(catalog.tools.keys().map(String::as_str));
    let tool = |name: &str| {
        let facts = catalog.tools.get(name)?;
        Some(ToolOffer {
            name: name.to_owned(),
            description: facts.description.clone(),
            parameters: facts.parameters.clone(),
            strict: None,
        })
    };
    let tools = ordered.filter(|name| told.insert(*name)).filter_map(tool).collect();
    let agents = catalog.agents.values().filter(|agent| agent.name != PLANNER);
    let agents = agents.map(|agent| (agent.name.clone(), agent.description.clone()));
    Usable { tools, agents: agents.collect() }
}

async fn ask(system: &System, generation: &Generation) -> anyhow::Result<Reply> {
    let asker = Asker::of(system.tenant.clone(), format!("generate-{}", uuid::Uuid::now_v7()));
    let reply = system.models.ask(&asker, &generation.request(), REPLY_TIMEOUT, None).await;
    reply.map_err(|failed| {
        let hint =
            failed.fault.suggested_action.as_ref().map(|action| format!("\n  hint: {action}")).unwrap_or_default();
        anyhow::anyhow!("the model cannot be asked: {}{hint}", failed.fault)
    })
}

/// The draft under the name that was asked for; under one that is free where the model names it.
fn check(reply: &Reply, name: Option<&str>, project: &Project, catalog: &Catalog) -> Drafted {
    let nothing = Drafted {
        name: None,
        definition: Value::Null,
        text: String::new(),
        input: Input::default(),
        diagnostics: Vec::new(),
        problem: None,
        replies: 0,
        cost: Usd::ZERO,
    };
    let mut draft = match Generation::draft(reply) {
        Ok(draft) => draft,
        Err(problem) => return Drafted { problem: Some(problem), ..nothing },
    };
    match (name, draft["name"].as_str()) {
        (Some(name), _) => draft["name"] = Value::from(name),
        (None, Some(own)) => draft["name"] = Value::from(free(project, own)),
        (None, None) => {}
    }
    let text = yaml::written(&draft);
    let checked = definition::check(text.as_bytes(), catalog);
    let (name, input) = match checked.ready() {
        Some((workflow, _)) => (Some(workflow.name.clone()), workflow.input.clone()),
        None => (None, Input::default()),
    };
    Drafted { name, definition: draft, text, input, diagnostics: checked.diagnostics, ..nothing }
}

/// What is wrong, in lines that a model can act upon.
fn findings(drafted: &Drafted) -> Vec<String> {
    let line_of = |line: u32| drafted.text.lines().nth(line.saturating_sub(1) as usize).unwrap_or_default().trim();
    let one = |found: &Diagnostic| {
        let hint = found.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("{}: {}{hint}, at: {}", found.severity, found.message, line_of(found.span.line))
    };
    let of_draft = drafted.diagnostics.iter().filter(|found| keeps_from_running(found)).map(one);
    drafted.problem.iter().cloned().chain(of_draft).collect()
}

fn tell(project: &Project, args: &Generate, drafted: &Drafted) -> anyhow::Result<Exit> {
    let file = match &drafted.name {
        Some(name) if drafted.may_run() && !args.print => Some(write(project, name, &drafted.text)?),
        _ => None,
    };
    if args.json {
        print::pretty(&json!({
            "ok": drafted.may_run(),
            "name": drafted.name,
            "file": file.as_deref().map(shown),
            "definition": drafted.definition,
            "diagnostics": drafted.diagnostics,
            "problem": drafted.problem,
            "replies": drafted.replies,
            "cost_usd": drafted.cost.as_f64(),
        }));
        return Ok(if drafted.may_run() { Exit::Completed } else { Exit::Failed });
    }
    let shown_file = file.as_deref().map_or_else(|| "draft".to_owned(), shown);
    for found in &drafted.diagnostics {
        print::note(definition::render(found, &shown_file, &drafted.text).trim_end());
    }
    let spent = format!("{}, {}", print::counted_as(drafted.replies, "reply", "replies"), drafted.cost);
    if !drafted.may_run() {
        let problem = drafted.problem.as_deref().unwrap_or("the last draft may not run");
        let hint = "say more of the goal, or which tools it needs; `workflow_planner` may have a stronger `model`";
        return Err(anyhow::anyhow!("no workflow after {spent}: {problem}\n  hint: {hint}"));
    }
    match (&file, &drafted.name) {
        (Some(file), Some(name)) => {
            print::line(format_args!("{}  ({spent})", shown(file)));
            let (command, sets) = (project.command(), sets(&drafted.input));
            print::line(format_args!("\nNext:\n  {command} graph {name}\n  {command} run {name}{sets}"));
        }
        _ => print::line(drafted.text.trim_end()),
    }
    Ok(Exit::Completed)
}

/// What a command line must say besides, for a run to begin: `-s city=TEXT`.
fn sets(input: &Input) -> String {
    let value = |word: Option<&str>| match word {
        Some(word @ ("string" | "number" | "integer" | "boolean")) => word.replace("string", "text").to_uppercase(),
        _ => "JSON".to_owned(),
    };
    input.wanted().map(|(key, word)| format!(" -s {}={}", in_shell(key), value(word))).collect()
}

fn is_taken(project: &Project, name: &str) -> bool {
    project.workflows.iter().any(|source| source.file.file_stem().is_some_and(|stem| stem == name))
}

/// The name, or the first of `NAME_2`, `NAME_3`, … that no workflow has.
fn free(project: &Project, name: &str) -> String {
    let numbered = (2_usize..).map(|number| format!("{name}_{number}"));
    std::iter::once(name.to_owned()).chain(numbered).find(|name| !is_taken(project, name)).unwrap_or_default()
}

fn refuse_taken(project: &Project, name: &str) -> Result<(), Misuse> {
    let is_file_name = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\']);
    if !is_file_name {
        let message = format!("`{name}` is no name of a file in {FOLDER}/");
        return Err(Misuse::new(message).hint("leave out `/` and a dot at the beginning"));
    }
    match is_taken(project, name) {
        true => Err(Misuse::new(format!("a workflow `{name}` is there already"))
            .hint("give the new one another name with --name")),
        false => Ok(()),
    }
}

/// Into `workflows/`; never over what is there.
fn write(project: &Project, name: &str, text: &str) -> anyhow::Result<PathBuf> {
    refuse_taken(project, name)?;
    let folder = project.root.join(FOLDER);
    std::fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", shown(&folder)))?;
    let file = folder.join(format!("{name}.yaml"));
    std::fs::write(&file, text).with_context(|| format!("{} cannot be written", shown(&file)))?;
    Ok(file)
}
