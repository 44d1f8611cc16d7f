//! `baton tools`: what can be called, and what of the project's documents cannot.

use std::path::Path;

use baton_core::expr::nearest;
use baton_ports::tools::Tools as _;
use baton_store::sqlite::{Options, Store};
use baton_tools::{Description, Registry, Risk};
use serde_json::json;

use crate::cli::{Tools, ToolsList};
use crate::project::Project;
use crate::wire::System;
use crate::{Exit, Misuse, print};

/// Columns of a description on one line.
const DESCRIPTION_MAX: usize = 70;

pub async fn run(folder: &Path, args: Tools) -> anyhow::Result<Exit> {
    let project = Project::open(folder)?;
    match args {
        Tools::List(args) => list(&*registry(&project)?, &args),
        Tools::Show { name, json } => show(&*registry(&project)?, &name, json)?,
        Tools::Unsupported { json } => unsupported(&project, json),
    }
    Ok(Exit::Completed)
}

/// Looking makes no database.
fn registry(project: &Project) -> anyhow::Result<std::sync::Arc<Registry>> {
    Ok(System::over(project, Store::in_memory(Options::default())?)?.tools)
}

fn list(registry: &Registry, args: &ToolsList) {
    let words: Vec<String> =
        args.search.iter().flat_map(|words| words.split_whitespace()).map(str::to_lowercase).collect();
    let is_wanted = |tool: &Description| {
        let text = format!("{} {}", tool.name, tool.facts.description).to_lowercase();
        args.category.as_ref().is_none_or(|category| *category == tool.category)
            && words.iter().all(|word| text.contains(word))
    };
    let tools: Vec<Description> =
        registry.names().iter().filter_map(|name| registry.describe(name)).filter(is_wanted).collect();
    if args.json {
        print::pretty(&json!({ "tools": tools }));
    } else if tools.is_empty() {
        print::line("no tools");
    } else {
        tell(&tools);
    }
}

/// A line each.
fn tell(tools: &[Description]) {
    let widest = |of: fn(&Description) -> usize, title: &str| tools.iter().map(of).max().unwrap_or(0).max(title.len());
    let name = widest(|tool| tool.name.len(), "TOOL");
    let category = widest(|tool| tool.category.len(), "CATEGORY");
    let provider = widest(|tool| tool.provider.len(), "PROVIDER");
    let title =
        format!("{:<name$}  {:<category$}  {:<provider$}  {:<6}  DESCRIPTION", "TOOL", "CATEGORY", "PROVIDER", "RISK");
    print::line(print::paint("1", &title));
    for tool in tools {
        let said = tool.facts.description.lines().next().unwrap_or_default();
        let cut = said.floor_char_boundary(DESCRIPTION_MAX);
        let more = if cut < said.len() { "…" } else { "" };
        print::line(format_args!(
            "{:<name$}  {:<category$}  {:<provider$}  {:<6}  {}{more}",
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

fn show(registry: &Registry, name: &str, as_json: bool) -> anyhow::Result<()> {
    let Some(tool) = registry.describe(name) else {
        let names = registry.names();
        let hint = match nearest(name, names.iter().map(String::as_str)) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => "`baton tools list` shows what there is".to_owned(),
        };
        return Err(Misuse::new(format!("there is no tool `{name}`")).hint(hint).into());
    };
    if !as_json {
        tell(std::slice::from_ref(&tool));
        print::line(format_args!("\n{}\n", tool.facts.description));
    }
    print::pretty(&json!({ "tool": tool }));
    Ok(())
}

fn unsupported(project: &Project, as_json: bool) {
    if as_json {
        let part = |(file, part): &(String, baton_tools::Unsupported)| json!({ "file": file, "place": part.place, "reason": part.reason });
        let parts: Vec<_> = project.unsupported.iter().map(part).collect();
        print::pretty(&json!({ "unsupported": parts }));
        return;
    }
    if project.unsupported.is_empty() {
        print::line("every part of every document can be called");
    }
    for (file, part) in &project.unsupported {
        print::line(format_args!("{file}: {}: {}", part.place, part.reason));
    }
}
