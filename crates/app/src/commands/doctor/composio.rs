//! Checks of Composio: its key and the connected accounts.

use baton_tools::composio::{AppConnection, ConnectionStatus};

use super::DoctorCheck;
use crate::project::Project;
use crate::wiring::ProjectSystem;

const WHAT: &str = "composio";

/// Empty if the project uses no toolkit.
pub async fn checks(project: &Project) -> Vec<DoctorCheck> {
    if project.settings.tools.composio.toolkits.is_empty() {
        return Vec::new();
    }
    let system = match ProjectSystem::open(project) {
        Ok(system) => system,
        Err(error) => return vec![DoctorCheck::fail(WHAT, format!("{error:#}"), "look at the database")],
    };
    let Some(composio) = system.tools.composio() else { return Vec::new() };
    if !composio.has_key() {
        let hint = "set `COMPOSIO_API_KEY`, or `api_key` under `[tools.composio]`";
        return vec![DoctorCheck::fail(WHAT, "there is no key to call Composio with", hint)];
    }
    if let Err(fault) = composio.ping().await {
        let hint = "look at `[tools.composio]`: `api_key` and `base_url`, the network and the firewall";
        return vec![DoctorCheck::fail(WHAT, fault.to_string(), hint)];
    }
    let toolkits: Vec<&str> = composio.toolkits().collect();
    let answers = DoctorCheck::ok(WHAT, format!("answers, and knows the key; toolkits: {}", toolkits.join(", ")));
    let connections = match composio.check_connections(&system.tenant).await {
        Ok(all) => connections(&all, &system.command),
        Err(fault) => DoctorCheck::fail("accounts", fault.to_string(), "`baton tools connections` shows them"),
    };
    vec![answers, connections]
}

fn connections(all: &[AppConnection], command: &str) -> DoctorCheck {
    let broken: Vec<&AppConnection> =
        all.iter().filter(|connection| connection.state != ConnectionStatus::Active).collect();
    match (all.len(), broken.as_slice()) {
        (0, _) => {
            DoctorCheck::warn("accounts", "none is connected", format!("`{command} tools connect APP` connects one"))
        }
        (all, []) => DoctorCheck::ok("accounts", format!("{all}, all of them active")),
        (all, [first, ..]) => {
            let says = format!(
                "{} of {all} perform nothing; `{}` for {} is {}",
                broken.len(),
                first.app,
                first.entity,
                first.state
            );
            DoctorCheck::warn("accounts", says, format!("`{}` connects it again", first.reconnect_command()))
        }
    }
}
