//! Notifies people that an account must be reconnected.

use baton_core::id::TenantId;
use baton_ports::journal::{TaskItem, TaskItemKind};
use serde_json::json;

use super::ComposioSource;
use super::connections::AppConnection;

impl ComposioSource {
    /// Opens an item in the tenant's task inbox, once until the account is connected again.
    pub(super) async fn open_reconnect_task(
        &self,
        tenant: &TenantId,
        connection: &AppConnection,
    ) -> Result<(), String> {
        let Some(desk) = &self.desk else { return Ok(()) };
        let AppConnection { app, entity, account, state, reason, .. } = connection;
        let item = TaskItem {
            id: id(tenant, connection),
            tenant: tenant.clone(),
            run: None,
            kind: TaskItemKind::Connection,
            title: format!("the connection of `{app}` for {entity} is {state}: connect it again"),
            details: json!({
                "app": app, "entity": entity.to_string(), "account": account, "state": state, "reason": reason,
                "command": connection.reconnect_command(),
            }),
            opened_at: self.clock.now(),
            deadline: None,
        };
        desk.open_task(item).await.map(drop).map_err(|error| error.to_string())
    }

    pub(super) async fn complete_reconnect_task(
        &self,
        tenant: &TenantId,
        connection: &AppConnection,
    ) -> Result<(), String> {
        self.close_reconnect_task(tenant, connection, "connected again").await
    }

    pub(super) async fn close_reconnect_task(
        &self,
        tenant: &TenantId,
        connection: &AppConnection,
        how: &str,
    ) -> Result<(), String> {
        let Some(desk) = &self.desk else { return Ok(()) };
        let closed = desk.close_task(tenant, &id(tenant, connection), how, self.clock.now()).await;
        closed.map_err(|error| error.to_string())
    }
}

fn id(tenant: &TenantId, connection: &AppConnection) -> String {
    format!("connection/{tenant}/{}/{}", connection.app, connection.entity)
}
