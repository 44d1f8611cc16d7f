//! `baton agents`: the tenant's agents and their health.

use std::collections::BTreeMap;
use std::path::Path;

use baton_core::agent::{AgentDefinition, CostTier};
use baton_engine::agent_registry::{AgentFilter, AgentHealth, AgentListing};
use baton_expr::nearest;
use baton_tools::ENDPOINT_SECRET;
use serde_json::json;

use crate::cli::{AgentsCommand, AgentsListArgs, CostClassArg};
use crate::project::{self, Project};
use crate::wiring::ProjectSystem;
use crate::{CommandExit, UsageError, print};

pub async fn run(folder: &Path, args: AgentsCommand) -> anyhow::Result<CommandExit> {
    let project = Project::open(folder)?;
    match args {
        AgentsCommand::List(args) => list(&project, &args).await,
        AgentsCommand::Show { name, json } => show(&project, &name, json).await,
        AgentsCommand::Register { file } => register(&project, &file).await,
        AgentsCommand::Remove { name } => remove(&project, &name).await,
    }
}

/// The project's agents and the registered ones, with their health. Does not create a database.
async fn agents_with_health(
    project: &Project,
) -> anyhow::Result<(BTreeMap<String, AgentDefinition>, BTreeMap<String, AgentHealth>)> {
    if !project.has_database() {
        return Ok((project.agents.clone(), BTreeMap::new()));
    }
    let mut system = ProjectSystem::open(project)?;
    system.load_extensions(project).await?;
    let health = system.agent_registry.health(&system.tenant).await?;
    Ok((system.catalog.agents, health))
}

async fn list(project: &Project, args: &AgentsListArgs) -> anyhow::Result<CommandExit> {
    let (agents, health) = agents_with_health(project).await?;
    let cost_tier = args.cost_tier.map(|cost| match cost {
        CostClassArg::Low => CostTier::Low,
        CostClassArg::Medium => CostTier::Medium,
        CostClassArg::High => CostTier::High,
    });
    let wanted = AgentFilter { capability: args.capability.clone(), cost_tier, healthy: args.healthy };
    let cards = AgentListing::all(&agents, &health, &wanted, now());
    if args.json {
        print::pretty(&json!({ "agents": cards }));
    } else if cards.is_empty() {
        print::line("no agents");
    } else {
        print_cards(&cards);
    }
    Ok(CommandExit::Completed)
}

fn now() -> baton_core::time::Time {
    use baton_ports::clock::Clock as _;
    baton_ports::clock::SystemClock.now()
}

/// Prints one line for each agent.
fn print_cards(cards: &[AgentListing]) {
    let widest = cards.iter().map(|card| card.name.len()).max().unwrap_or(0).max("AGENT".len());
    let title = format!(
        "{:<widest$}  {:<9}  {:<6}  {:>5}  {:>7}  {:>9}  CAPABILITIES",
        "AGENT", "TYPE", "COST", "TASKS", "ERRORS", "LATENCY"
    );
    print::line(print::paint("1", &title));
    for card in cards {
        let errors = if card.tasks == 0 { "–".to_owned() } else { format!("{:.0} %", card.error_rate * 100.0) };
        let latency = card.avg_latency_ms.map_or_else(|| "–".to_owned(), |ms| format!("{ms} ms"));
        let line = format!(
            "{:<widest$}  {:<9}  {:<6}  {:>5}  {errors:>7}  {latency:>9}  {}{}",
            card.name,
            card.kind.word(),
            card.cost_tier.word(),
            card.tasks,
            card.capabilities.join(", "),
            if card.is_healthy { "" } else { "  not well" },
        );
        print::line(if card.is_healthy { line } else { print::paint("31", &line) });
    }
}

async fn show(project: &Project, name: &str, as_json: bool) -> anyhow::Result<CommandExit> {
    let (agents, health) = agents_with_health(project).await?;
    let Some(agent) = agents.get(name) else { return Err(unknown_agent(name, &agents).into()) };
    let one = BTreeMap::from([(name.to_owned(), agent.clone())]);
    let card = AgentListing::all(&one, &health, &AgentFilter::default(), now()).pop();
    if as_json {
        print::pretty(&json!({ "agent": agent, "card": card }));
        return Ok(CommandExit::Completed);
    }
    print_cards(card.as_slice());
    if !agent.description.is_empty() {
        print::line(format_args!("\n{}", agent.description));
    }
    print::line(format_args!("\n{}", serde_json::to_string_pretty(agent)?));
    Ok(CommandExit::Completed)
}

async fn register(project: &Project, file: &Path) -> anyhow::Result<CommandExit> {
    let agents = project::agents_of(file)?;
    let system = ProjectSystem::open(project)?;
    for (name, agent) in agents {
        if project.own_agents.contains(&name) {
            let message = format!("`{name}` is an agent of the project's own files, which would stand in for it");
            return Err(UsageError::new(message).hint("give it another name, or change the file in agents/").into());
        }
        if agent.metadata.contains_key(ENDPOINT_SECRET) {
            let message = format!("`{name}` names a secret, and only agents of the project's own files may");
            let hint = format!("leave `metadata.{ENDPOINT_SECRET}` out, or put the agent into agents/");
            return Err(UsageError::new(message).hint(hint).into());
        }
        let checked = baton_engine::check_agent(&agent);
        checked.map_err(|wrong| UsageError::new(format!("{}: {wrong}", project::display_path(file))))?;
        system.agent_registry.register(&system.tenant, &agent, system.clock.now()).await?;
        print::line(format_args!("`{name}` is registered with {}", system.tenant));
    }
    Ok(CommandExit::Completed)
}

async fn remove(project: &Project, name: &str) -> anyhow::Result<CommandExit> {
    let was_there = match project.has_database() {
        true => {
            let system = ProjectSystem::open(project)?;
            system.agent_registry.remove(&system.tenant, name, system.clock.now()).await?
        }
        false => false,
    };
    if !was_there {
        let message = format!("no agent `{name}` is registered");
        return Err(UsageError::new(message)
            .hint("`baton agents list` shows all; those of files are removed there")
            .into());
    }
    print::line(format_args!("`{name}` is no longer registered"));
    Ok(CommandExit::Completed)
}

fn unknown_agent(name: &str, agents: &BTreeMap<String, AgentDefinition>) -> UsageError {
    let hint = match nearest(name, agents.keys().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`baton agents list` shows all".to_owned(),
    };
    UsageError::new(format!("there is no agent `{name}`")).hint(hint)
}
