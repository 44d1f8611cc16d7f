//! `baton tools`: the available tools, and the parts of the project's documents that cannot be tools.

mod call;
mod connections;
mod report;
mod usage;

use std::path::Path;
use std::sync::Arc;

use baton_core::id::TenantId;
use baton_expr::nearest;
use baton_ports::catalogue::{ToolCatalogue, ToolFilter, ToolListing};
use baton_ports::tools::ToolGateway as _;
use baton_store::sqlite::{SqliteStore, StoreOptions};
use baton_tools::{ToolDescription, ToolRegistry, ToolRisk};
use serde_json::json;

use crate::cli::{ToolListArgs, ToolRefreshArgs, ToolSearchArgs, ToolsCommand};
use crate::project::Project;
use crate::wiring::ProjectSystem;
use crate::{CommandExit, UsageError, print};

/// Maximum width of a description on one line.
const DESCRIPTION_MAX: usize = 70;

pub async fn run(folder: &Path, args: ToolsCommand) -> anyhow::Result<CommandExit> {
    let project = Project::open(folder)?;
    match args {
        ToolsCommand::List(args) => list(&registry(&project).await?, &args),
        ToolsCommand::Search(args) => search(&registry(&project).await?, &args).await,
        ToolsCommand::Show { name, json } => show(&registry(&project).await?, &name, json)?,
        ToolsCommand::Unsupported { json } => unsupported(&project, json),
        ToolsCommand::Call(args) => return call::run(&project, &args).await,
        ToolsCommand::Refresh(args) => return refresh(&project, &args).await,
        ToolsCommand::Connect(args) => return connections::connect(&project, args).await,
        ToolsCommand::Connections(args) => return connections::list(&project, &args).await,
        ToolsCommand::Disconnect(args) => return connections::disconnect(&project, args).await,
        ToolsCommand::Usage(args) => usage::run(&project, &args).await?,
        ToolsCommand::Report(args) => report::run(&project, &args).await?,
    }
    Ok(CommandExit::Completed)
}

/// The tools of the project's tenant. Creates a database only if actions of Composio must be cached in it.
async fn registry(project: &Project) -> anyhow::Result<(Arc<ToolRegistry>, TenantId)> {
    if project.settings.tools.composio.toolkits.is_empty() && !project.has_database() {
        let system = ProjectSystem::from_store(project, SqliteStore::in_memory(StoreOptions::default())?)?;
        return Ok((system.tools, system.tenant));
    }
    let mut system = ProjectSystem::open(project)?;
    system.load_tools().await?;
    Ok((system.tools, system.tenant))
}

async fn search((registry, tenant): &(Arc<ToolRegistry>, TenantId), args: &ToolSearchArgs) {
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let (tools, fault) = registry.search(tenant, &args.words.join(" "), limit).await;
    if let Some(fault) = fault {
        print::note(format_args!("note: {fault}"));
    }
    let tools: Vec<ToolListing> = tools.into_iter().map(|tool| ToolListing { tool, aliases: Vec::new() }).collect();
    if args.json {
        print::pretty(&json!({ "tools": tools }));
    } else if tools.is_empty() {
        print::line("no tools");
    } else {
        print_tools(&tools);
    }
}

async fn refresh(project: &Project, args: &ToolRefreshArgs) -> anyhow::Result<CommandExit> {
    let system = ProjectSystem::open(project)?;
    let composio = connections::of(&system)?;
    let found = composio.discover(&system.tenant, args.newest).await.map_err(connections::connection_error)?;
    if args.json {
        print::pretty(&json!({ "toolkits": found }));
        return Ok(CommandExit::Completed);
    }
    for toolkit in &found {
        let doubts = toolkit.doubts.len();
        print::line(format_args!("{}: {} actions, version {}", toolkit.toolkit, toolkit.actions, toolkit.version));
        toolkit.doubts.iter().for_each(|doubt| print::line(format_args!("    {}: {}", doubt.slug, doubt.reason)));
        if doubts > 0 {
            print::note(format_args!("note: {doubts} of them are no tool, or not fully"));
        }
    }
    Ok(CommandExit::Completed)
}

fn list((registry, tenant): &(Arc<ToolRegistry>, TenantId), args: &ToolListArgs) {
    let words = args.search.as_deref().unwrap_or_default();
    let tools =
        registry.list(tenant, &ToolFilter { category: args.category.as_deref(), ..ToolFilter::with_words(words) });
    if args.json {
        print::pretty(&json!({ "tools": tools }));
    } else if tools.is_empty() {
        print::line("no tools");
    } else {
        print_tools(&tools);
    }
}

/// Prints one line for each tool.
fn print_tools(tools: &[ToolListing]) {
    let widest = |of: fn(&ToolDescription) -> usize, title: &str| {
        tools.iter().map(|listed| of(&listed.tool)).max().unwrap_or(0).max(title.len())
    };
    let name = widest(|tool| tool.name.len(), "TOOL");
    let category = widest(|tool| tool.category.len(), "CATEGORY");
    let provider = widest(|tool| tool.provider.len(), "PROVIDER");
    let title =
        format!("{:<name$}  {:<category$}  {:<provider$}  {:<6}  DESCRIPTION", "TOOL", "CATEGORY", "PROVIDER", "RISK");
    print::line(print::paint("1", &title));
    for ToolListing { tool, aliases } in tools {
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

fn word(risk: ToolRisk) -> &'static str {
    match risk {
        ToolRisk::Low => "low",
        ToolRisk::Medium => "medium",
        ToolRisk::High => "high",
    }
}

fn show((registry, tenant): &(Arc<ToolRegistry>, TenantId), name: &str, as_json: bool) -> anyhow::Result<()> {
    let Some(tool) = registry.describe(tenant, name) else {
        let hint = suggestion(name, &registry.names_for(tenant));
        return Err(UsageError::new(format!("there is no tool `{name}`")).hint(hint).into());
    };
    if !as_json {
        let listed: Vec<ToolListing> =
            registry.all(tenant).into_iter().filter(|listed| listed.tool.name == tool.name).collect();
        print_tools(&listed);
        print::line(format_args!("\n{}\n", tool.facts.description));
    }
    print::pretty(&json!({ "tool": tool }));
    Ok(())
}

/// A suggestion for an unknown tool name.
fn suggestion(name: &str, names: &[String]) -> String {
    match nearest(name, names.iter().map(String::as_str)) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => "`baton tools list` shows what there is".to_owned(),
    }
}

/// If nothing was found for an unknown tool, prints that it does not exist, and a suggestion. This is not an error,
/// because a tool that was removed may have been used before.
pub fn print_unknown_tool(registry: &ToolRegistry, tenant: &TenantId, name: &str) {
    let names = registry.names_for(tenant);
    if registry.facts_for(tenant, name).is_none() {
        print::note(format_args!("note: there is no tool `{name}`: {}", suggestion(name, &names)));
    }
}

fn unsupported(project: &Project, as_json: bool) {
    if as_json {
        let part = |(file, part): &(String, baton_tools::ImportDiagnostic)| json!({ "file": file, "place": part.place, "reason": part.reason });
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
