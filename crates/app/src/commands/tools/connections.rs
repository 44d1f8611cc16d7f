//! Accounts of Composio's apps: connected, looked at, disconnected.

use std::sync::Arc;

use baton_tools::composio::{Composio, Connection, Entity, Fault, State};
use serde_json::json;

use crate::cli::{ToolsConnect, ToolsConnections, ToolsDisconnect, Whose};
use crate::project::Project;
use crate::wire::System;
use crate::{Exit, Misuse, print};

/// Of the state that tells a person's return from anybody else's.
const STATE_BYTES: usize = 32;

pub async fn connect(project: &Project, args: ToolsConnect) -> anyhow::Result<Exit> {
    let system = System::open(project)?;
    let (whose, composio) = (entity(args.whose), of(&system)?);
    let link = match args.callback {
        None if composio.has_door() => {
            composio.connect_by_door(&system.tenant, &args.app, whose, &random_state()?).await
        }
        callback => composio.connect(&system.tenant, &args.app, whose, callback.as_deref()).await,
    };
    let link = link.map_err(told)?;
    if args.json {
        print::pretty(&json!(link));
        return Ok(Exit::Completed);
    }
    let Connection { app, entity, .. } = &link.connection;
    let until = link.expires_at.map(|at| format!(", good until {at}")).unwrap_or_default();
    print::line(format_args!("To connect `{app}` for {entity}, open this address and sign in{until}:"));
    print::line(format_args!("  {}", link.redirect_url));
    print::note(format_args!("`{} tools connections` says when it is done", system.command));
    Ok(Exit::Completed)
}

/// What nobody can guess.
fn random_state() -> anyhow::Result<String> {
    let mut random = [0; STATE_BYTES];
    getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no random bytes can be had: {error}"))?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

pub async fn list(project: &Project, args: &ToolsConnections) -> anyhow::Result<Exit> {
    let system = System::open(project)?;
    let composio = of(&system)?;
    let all = match args.kept {
        true => composio.kept_connections(&system.tenant).await,
        false => composio.check_connections(&system.tenant).await,
    };
    let all = all.map_err(told)?;
    if args.json {
        print::pretty(&json!({ "connections": all }));
    } else if all.is_empty() {
        print::line(format_args!("no account is connected; `{} tools connect APP` connects one", system.command));
    }
    if !args.json {
        all.iter().for_each(tell);
    }
    Ok(Exit::Completed)
}

pub async fn disconnect(project: &Project, args: ToolsDisconnect) -> anyhow::Result<Exit> {
    let system = System::open(project)?;
    let whose = entity(args.whose);
    let gone = of(&system)?.disconnect(&system.tenant, &args.app, whose.clone()).await.map_err(told)?;
    let Some(connection) = gone else {
        let message = format!("{whose} has connected no account of `{}`", args.app);
        return Err(Misuse::new(message).hint("`baton tools connections --kept` names those there are").into());
    };
    if args.json {
        print::pretty(&json!({ "disconnected": connection }));
    } else {
        print::line(format_args!("{} for {}: disconnected", connection.app, connection.entity));
    }
    Ok(Exit::Completed)
}

/// A line each.
fn tell(connection: &Connection) {
    let Connection { app, entity, account, state, reason, .. } = connection;
    let colour = match state {
        State::Active => "32",
        State::Initializing | State::Initiated | State::Unknown => "33",
        State::Failed | State::Expired | State::Inactive => "31",
    };
    let why = reason.as_ref().map(|reason| format!("  {reason}")).unwrap_or_default();
    print::line(format_args!(
        "{app:<20}  {:<24}  {account:<20}  {}{why}",
        entity.to_string(),
        print::paint(colour, state.word())
    ));
    if *state != State::Active {
        print::line(format_args!("    hint: {}", connection.command()));
    }
}

/// The source, where the project has it.
pub fn of(system: &System) -> anyhow::Result<&Arc<Composio>> {
    system.tools.composio().ok_or_else(|| {
        let hint = "write `toolkits = [\"shopify\"]` under `[tools.composio]`";
        Misuse::new("the project uses no toolkit of Composio").hint(hint).into()
    })
}

/// What the caller can correct is told as wrong usage, the rest as a failure.
pub fn told(fault: Fault) -> anyhow::Error {
    match fault {
        Fault::Refused { reason } => Misuse::new(reason).into(),
        Fault::Unavailable { .. } | Fault::Storage { .. } => anyhow::Error::msg(fault.to_string()),
    }
}

fn entity(whose: Whose) -> Entity {
    let Whose { user, conversation, agent, name } = whose;
    let user = user.map(Entity::User).or_else(|| conversation.map(Entity::Conversation));
    user.or_else(|| agent.map(Entity::Agent)).or_else(|| name.map(Entity::Named)).unwrap_or(Entity::Company)
}
