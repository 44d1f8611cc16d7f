//! `baton agents`: who the tenant's agents are, and how each has done.

use std::collections::BTreeMap;
use std::path::Path;

use baton_core::agent::{Agent, CostTier};
use baton_core::expr::nearest;
use baton_engine::roster::{Card, Health, Wanted};
use baton_tools::ENDPOINT_SECRET;
use serde_json::json;

use crate::cli::{Agents, AgentsList, Cost};
use crate::project::{self, Project};
use crate::wire::System;
use crate::{Exit, Misuse, print};

pub async fn run(folder: &Path, args: Agents) -> anyhow::Result<Exit> {
    let project = Project::open(folder)?;
    match args {
        Agents::List(args) => list(&project, &args).await,
        Agents::Show { name, json } => show(&project, &name, json).await,
        Agents::Register { file } => register(&project, &file).await,
        Agents::Remove { name } => remove(&project, &name).await,
    }
}

/// The project's agents with those registered, and how each has done. Looking makes no database.
async fn known(project: &Project) -> anyhow::Result<(BTreeMap<String, Agent>, BTreeMap<String, Health>)> {
    if !project.has_database() {
        return Ok((project.agents.clone(), BTreeMap::new()));
    }
    let mut system = System::open(project)?;
    system.learn(project).await?;
    let health = system.roster.health(&system.tenant).await?;
    Ok((system.catalog.agents, health))
}

async fn list(project: &Project, args: &AgentsList) -> anyhow::Result<Exit> {
    let (agents, health) = known(project).await?;
    let cost_tier = args.cost_tier.map(|cost| match cost {
        Cost::Low => CostTier::Low,
        Cost::Medium => CostTier::Medium,
        Cost::High => CostTier::High,
    });
    let wanted = Wanted { capability: args.capability.clone(), cost_tier, healthy: args.healthy };
    let cards = Card::all(&agents, &health, &wanted, now());
    if args.json {
        print::pretty(&json!({ "agents": cards }));
    } else if cards.is_empty() {
        print::line("no agents");
    } else {
        tell(&cards);
    }
    Ok(Exit::Completed)
}

fn now() -> baton_core::time::Time {
    use baton_ports::clock::Clock as _;
    baton_ports::clock::SystemClock.now()
}

/// A line each.
fn tell(cards: &[Card]) {
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

async fn show(project: &Project, name: &str, as_json: bool) -> anyhow::Result<Exit> {
    let (agents, health) = known(project).await?;
    let Some(agent) = agents.get(name) else { return Err(unknown(name, &agents).into()) };
    let one = BTreeMap::from([(name.to_owned(), agent.clone())]);
    let card = Card::all(&one, &health, &Wanted::default(), now()).pop();
    if as_json {
        print::pretty(&json!({ "agent": agent, "card": card }));
        return Ok(Exit::Completed);
    }
    tell(card.as_slice());
    if !agent.description.is_empty() {
        print::line(format_args!("\n{}", agent.description));
    }
    print::line(format_args!("\n{}", serde_json::to_string_pretty(agent)?));
    Ok(Exit::Completed)
}

async fn register(project: &Project, file: &Path) -> anyhow::Result<Exit> {
    let agents = project::agents_of(file)?;
    let system = System::open(project)?;
    for (name, agent) in agents {
        if project.own_agents.contains(&name) {
            let message = format!("`{name}` is an agent of the project's own files, which would stand in for it");
            return Err(Misuse::new(message).hint("give it another name, or change the file in agents/").into());
        }
        if agent.metadata.contains_key(ENDPOINT_SECRET) {
            let message = format!("`{name}` names a secret, and only agents of the project's own files may");
            let hint = format!("leave `metadata.{ENDPOINT_SECRET}` out, or put the agent into agents/");
            return Err(Misuse::new(message).hint(hint).into());
        }
        let checked = baton_engine::check_agent(&agent);
        checked.map_err(|wrong| Misuse::new(format!("{}: {wrong}", project::shown(file))))?;
        system.roster.register(&system.tenant, &agent, system.clock.now()).await?;
        print::line(format_args!("`{name}` is registered with {}", system.tenant));
    }
    Ok(Exit::Completed)
}

async fn remove(project: &Project, name: &str) -> anyhow::Result<Exit> {
    let was_there = match project.has_database() {
        true => {
            let system = System::open(project)?;
            system.roster.remove(&system.tenant, name, system.clock.now()).await?
        }
        false => false,
    };
    if !was_there {
        let message = format!("no agent `{name}` is registered");
        return Err(Misuse::new(message)
            .hint("`baton agents list` shows all; those of files are removed there")
            .into());
    }
    print::line(format_args!("`{name}` is no longer registered"));
    Ok(Exit::Completed)
}

fn unknown(name: &str, agents: &BTreeMap<String, Agent>) -> Misuse {
    let hint = match nearest(name, agents.keys().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`baton agents list` shows all".to_owned(),
    };
    Misuse::new(format!("there is no agent `{name}`")).hint(hint)
}
