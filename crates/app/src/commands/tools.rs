//! `baton tools`: what can be called, and what of the project's documents cannot.

mod call;
mod connections;
mod report;
mod usage;

use std::path::Path;
use std::sync::Arc;

use baton_core::expr::nearest;
use baton_core::id::TenantId;
use baton_ports::catalogue::{Catalogue, Listed, Wanted};
use baton_ports::tools::Tools as _;
use baton_store::sqlite::{Options, Store};
use baton_tools::{Description, Registry, Risk};
use serde_json::json;

use crate::cli::{Tools, ToolsList, ToolsRefresh, ToolsSearch};
use crate::project::Project;
use crate::wire::System;
use crate::{Exit, Misuse, print};

/// Columns of a description on one line.
const DESCRIPTION_MAX: usize = 70;

pub async fn run(folder: &Path, args: Tools) -> anyhow::Result<Exit> {
    let project = Project::open(folder)?;
    match args {
        Tools::List(args) => list(&registry(&project).await?, &args),
        Tools::Search(args) => search(&registry(&project).await?, &args).await,
        Tools::Show { name, json } => show(&registry(&project).await?, &name, json)?,
        Tools::Unsupported { json } => unsupported(&project, json),
        Tools::Call(args) => return call::run(&project, &args).await,
        Tools::Refresh(args) => return refresh(&project, &args).await,
        Tools::Connect(args) => return connections::connect(&project, args).await,
        Tools::Connections(args) => return connections::list(&project, &args).await,
        Tools::Disconnect(args) => return connections::disconnect(&project, args).await,
        Tools::Usage(args) => usage::run(&project, &args).await?,
        Tools::Report(args) => report::run(&project, &args).await?,
    }
    Ok(Exit::Completed)
}

/// The tools of the project's tenant. Looking makes no database, but where the actions of Composio are kept in it.
async fn registry(project: &Project) -> anyhow::Result<(Arc<Registry>, TenantId)> {
    if project.settings.tools.composio.toolkits.is_empty() && !project.has_database() {
        let system = System::over(project, Store::in_memory(Options::default())?)?;
        return Ok((system.tools, system.tenant));
    }
    let mut system = System::open(project)?;
    system.learn_tools().await?;
    Ok((system.tools, system.tenant))
}

async fn search((registry, tenant): &(Arc<Registry>, TenantId), args: &ToolsSearch) {
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let (tools, fault) = registry.search(tenant, &args.words.join(" "), limit).await;
    if let Some(fault) = fault {
        print::note(format_args!("note: {fault}"));
    }
    let tools: Vec<Listed> = tools.into_iter().map(|tool| Listed { tool, aliases: Vec::new() }).collect();
    if args.json {
        print::pretty(&json!({ "tools": tools }));
    } else if tools.is_empty() {
        print::line("no tools");
    } else {
        tell(&tools);
    }
}

async fn refresh(project: &Project, args: &ToolsRefresh) -> anyhow::Result<Exit> {
    let system = System::open(project)?;
    let composio = connections::of(&system)?;
    let found = composio.discover(&system.tenant, args.newest).await.map_err(connections::told)?;
    if args.json {
        print::pretty(&json!({ "toolkits": found }));
        return Ok(Exit::Completed);
    }
    for toolkit in &found {
        let doubts = toolkit.doubts.len();
        print::line(format_args!("{}: {} actions, version {}", toolkit.toolkit, toolkit.actions, toolkit.version));
        toolkit.doubts.iter().for_each(|doubt| print::line(format_args!("    {}: {}", doubt.slug, doubt.reason)));
        if doubts > 0 {
            print::note(format_args!("note: {doubts} of them are no tool, or not fully"));
        }
    }
    Ok(Exit::Completed)
}

fn list((registry, tenant): &(Arc<Registry>, TenantId), args: &ToolsList) {
    let words = args.search.as_deref().unwrap_or_default();
    let tools = registry.list(tenant, &Wanted { category: args.category.as_deref(), ..Wanted::with_words(words) });
    if args.json {
        print::pretty(&json!({ "tools": tools }));
    } else if tools.is_empty() {
        print::line("no tools");
    } else {
        tell(&tools);
    }
}

/// A line each.
fn tell(tools: &[Listed]) {
    let widest = |of: fn(&Description) -> usize, title: &str| {
        tools.iter().map(|listed| of(&listed.tool)).max().unwrap_or(0).max(title.len())
    };
    let name = widest(|tool| tool.name.len(), "TOOL");
    let category = widest(|tool| tool.category.len(), "CATEGORY");
    let provider = widest(|tool| tool.provider.len(), "PROVIDER");
    let title =
        format!("{:<name$}  {:<category$}  {:<provider$}  {:<6}  DESCRIPTION", "TOOL", "CATEGORY", "PROVIDER", "RISK");
    print::line(print::paint("1", &title));
    for Listed { tool, aliases } in tools {
        let also = if aliases.is_empty() { String::new() } else { format!("  (also {})", aliases.join(", ")) };
        let said = tool.facts.description.lines().next().unwrap_or_default();
        let cut = said.floor_char_boundary(DESCRIPTION_MAX);
        let more = if cut < said.len() { "…" } else { "" };
        print::line(format_args!(
            "{:<name$}  {:<category$}  {:<provider$}  {:<6}  {}{more}{also}",
            tool.name,
            tool.category,
            tool.provider,
            word(tool.risk),
            said.get(..cut).unwrap_or_default(),
        ));
    }
}

fn word(risk: Risk) -> &'static str {
    match risk {
        Risk::Low => "low",
        Risk::Medium => "medium",
        Risk::High => "high",
    }
}

fn show((registry, tenant): &(Arc<Registry>, TenantId), name: &str, as_json: bool) -> anyhow::Result<()> {
    let Some(tool) = registry.describe(tenant, name) else {
        let hint = meant(name, &registry.names_for(tenant));
        return Err(Misuse::new(format!("there is no tool `{name}`")).hint(hint).into());
    };
    if !as_json {
        let listed: Vec<Listed> =
            registry.all(tenant).into_iter().filter(|listed| listed.tool.name == tool.name).collect();
        tell(&listed);
        print::line(format_args!("\n{}\n", tool.facts.description));
    }
    print::pretty(&json!({ "tool": tool }));
    Ok(())
}

/// Which tool may have been meant by a name that none has.
fn meant(name: &str, names: &[String]) -> String {
    match nearest(name, names.iter().map(String::as_str)) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => "`baton tools list` shows what there is".to_owned(),
    }
}

/// Where nothing was found of a tool that there is not: that there is none, and which may have been meant. One that was
/// there before may have been used then, so it is no mistake to ask.
pub fn note_unknown(registry: &Registry, tenant: &TenantId, name: &str) {
    let names = registry.names_for(tenant);
    if registry.facts_for(tenant, name).is_none() {
        print::note(format_args!("note: there is no tool `{name}`: {}", meant(name, &names)));
    }
}

fn unsupported(project: &Project, as_json: bool) {
    if as_json {
        let part = |(file, part): &(String, baton_tools::Unsupported)| json!({ "file": file, "place": part.place, "reason": part.reason });
        let parts: Vec<_> = project.unsupported.iter().map(part).collect();
        print::pretty(&json!({ "unsupported": parts }));
        return;
    }
    if project.unsupported.is_empty() {
        print::line(
            "every part of every document in tools/ can be called; GET /api/v1/sources tells it of those added there",
        );
    }
    for (file, part) in &project.unsupported {
        print::line(format_args!("{file}: {}: {}", part.place, part.reason));
    }
}
