//! Accounts of Composio's apps: connects, inspects and disconnects them.

use std::sync::Arc;

use baton_tools::composio::{AppConnection, ComposioEntity, ComposioSource, ConnectionError, ConnectionStatus};
use serde_json::json;

use crate::cli::{AccountOwnerArgs, ToolConnectArgs, ToolConnectionsArgs, ToolDisconnectArgs};
use crate::project::Project;
use crate::wiring::ProjectSystem;
use crate::{CommandExit, UsageError, print};

/// Length in bytes of the state that identifies the returning user.
const STATE_BYTES: usize = 32;

pub async fn connect(project: &Project, args: ToolConnectArgs) -> anyhow::Result<CommandExit> {
    let system = ProjectSystem::open(project)?;
    let (whose, composio) = (entity(args.whose), of(&system)?);
    let link = match args.callback {
        None if composio.has_callback() => {
            composio.connect_with_callback(&system.tenant, &args.app, whose, &random_state()?).await
        }
        callback => composio.connect(&system.tenant, &args.app, whose, callback.as_deref()).await,
    };
    let link = link.map_err(connection_error)?;
    if args.json {
        print::pretty(&json!(link));
        return Ok(CommandExit::Completed);
    }
    let AppConnection { app, entity, .. } = &link.connection;
    let until = link.expires_at.map(|at| format!(", good until {at}")).unwrap_or_default();
    print::line(format_args!("To connect `{app}` for {entity}, open this address and sign in{until}:"));
    print::line(format_args!("  {}", link.redirect_url));
    print::note(format_args!("`{} tools connections` says when it is done", system.command));
    Ok(CommandExit::Completed)
}

/// A random value that cannot be guessed.
fn random_state() -> anyhow::Result<String> {
    let mut random = [0; STATE_BYTES];
    getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no random bytes can be had: {error}"))?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

pub async fn list(project: &Project, args: &ToolConnectionsArgs) -> anyhow::Result<CommandExit> {
    let system = ProjectSystem::open(project)?;
    let composio = of(&system)?;
    let all = match args.kept {
        true => composio.stored_connections(&system.tenant).await,
        false => composio.check_connections(&system.tenant).await,
    };
    let all = all.map_err(connection_error)?;
    if args.json {
        print::pretty(&json!({ "connections": all }));
    } else if all.is_empty() {
        print::line(format_args!("no account is connected; `{} tools connect APP` connects one", system.command));
    }
    if !args.json {
        all.iter().for_each(print_connection);
    }
    Ok(CommandExit::Completed)
}

pub async fn disconnect(project: &Project, args: ToolDisconnectArgs) -> anyhow::Result<CommandExit> {
    let system = ProjectSystem::open(project)?;
    let whose = entity(args.whose);
    let gone = of(&system)?.disconnect(&system.tenant, &args.app, whose.clone()).await.map_err(connection_error)?;
    let Some(connection) = gone else {
        let message = format!("{whose} has connected no account of `{}`", args.app);
        return Err(UsageError::new(message).hint("`baton tools connections --kept` names those there are").into());
    };
    if args.json {
        print::pretty(&json!({ "disconnected": connection }));
    } else {
        print::line(format_args!("{} for {}: disconnected", connection.app, connection.entity));
    }
    Ok(CommandExit::Completed)
}

/// Prints one connection on one line.
fn print_connection(connection: &AppConnection) {
    let AppConnection { app, entity, account, state, reason, .. } = connection;
    let colour = match state {
        ConnectionStatus::Active => "32",
        ConnectionStatus::Initializing | ConnectionStatus::Initiated | ConnectionStatus::Unknown => "33",
        ConnectionStatus::Failed | ConnectionStatus::Expired | ConnectionStatus::Inactive => "31",
    };
    let why = reason.as_ref().map(|reason| format!("  {reason}")).unwrap_or_default();
    print::line(format_args!(
        "{app:<20}  {:<24}  {account:<20}  {}{why}",
        entity.to_string(),
        print::paint(colour, state.word())
    ));
    if *state != ConnectionStatus::Active {
        print::line(format_args!("    hint: {}", connection.reconnect_command()));
    }
}

/// The source, if the project has it.
pub fn of(system: &ProjectSystem) -> anyhow::Result<&Arc<ComposioSource>> {
    system.tools.composio().ok_or_else(|| {
        let hint = "write `toolkits = [\"shopify\"]` under `[tools.composio]`";
        UsageError::new("the project uses no toolkit of Composio").hint(hint).into()
    })
}

/// Errors that the caller can correct become usage errors. The others are failures.
pub fn connection_error(fault: ConnectionError) -> anyhow::Error {
    match fault {
        ConnectionError::Rejected { reason } => UsageError::new(reason).into(),
        ConnectionError::Unavailable { .. } | ConnectionError::Storage { .. } => anyhow::Error::msg(fault.to_string()),
    }
}

fn entity(whose: AccountOwnerArgs) -> ComposioEntity {
    let AccountOwnerArgs { user, conversation, agent, name } = whose;
    let user = user.map(ComposioEntity::User).or_else(|| conversation.map(ComposioEntity::Conversation));
    user.or_else(|| agent.map(ComposioEntity::Agent))
        .or_else(|| name.map(ComposioEntity::Named))
        .unwrap_or(ComposioEntity::Company)
}
