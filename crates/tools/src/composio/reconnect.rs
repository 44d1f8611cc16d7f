//! Telling people that an account must be connected again.

use baton_core::id::TenantId;
use baton_ports::journal::{DeskItem, DeskKind};
use serde_json::json;

use super::Composio;
use super::connections::Connection;

impl Composio {
    /// Puts it on the tenant's desk, once until it is connected again.
    pub(super) async fn ask_to_reconnect(&self, tenant: &TenantId, connection: &Connection) -> Result<(), String> {
        let Some(desk) = &self.desk else { return Ok(()) };
        let Connection { app, entity, account, state, reason, .. } = connection;
        let item = DeskItem {
            id: id(tenant, connection),
            tenant: tenant.clone(),
            run: None,
            kind: DeskKind::Connection,
            title: format!("the connection of `{app}` for {entity} is {state}: connect it again"),
            details: json!({
                "app": app, "entity": entity.to_string(), "account": account, "state": state, "reason": reason,
                "command": connection.command(),
            }),
            opened_at: self.clock.now(),
            deadline: None,
        };
        desk.open(item).await.map(drop).map_err(|error| error.to_string())
    }

    pub(super) async fn reconnected(&self, tenant: &TenantId, connection: &Connection) -> Result<(), String> {
        self.closed(tenant, connection, "connected again").await
    }

    pub(super) async fn closed(&self, tenant: &TenantId, connection: &Connection, how: &str) -> Result<(), String> {
        let Some(desk) = &self.desk else { return Ok(()) };
        let closed = desk.close(tenant, &id(tenant, connection), how, self.clock.now()).await;
        closed.map_err(|error| error.to_string())
    }
}

fn id(tenant: &TenantId, connection: &Connection) -> String {
    format!("connection/{tenant}/{}/{}", connection.app, connection.entity)
}
