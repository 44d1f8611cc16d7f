//! Performs an action with the entity's account and the pinned version, and retries once after its credentials were
//! renewed.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::account::ConnectionStatus;
use super::action::ToolkitAction;
use super::app::ConfiguredApp;
use super::config::EntitySource;
use super::connections::{AppConnection, connect_command};
use super::entity::ComposioEntity;
use super::{ComposioSource, ConnectionError, response};
use crate::catalogue::{ToolEntry, ToolRisk};
use crate::code;
use crate::definition::ProfileDefaults;
use crate::request::PreparedRequest;
use crate::tool::ToolHandler;
use crate::tool_error::ToolError;

/// Returns the catalogue entry of an action, or `None` if the settings exclude it.
pub(super) fn entry(composio: &Arc<ComposioSource>, app: &ConfiguredApp, action: ToolkitAction) -> Option<ToolEntry> {
    let (_, bare) = action.name.split_once('.')?;
    if !app.includes(bare) {
        return None;
    }
    let said = app.action_profile(bare, &action.name);
    let class = said.class.unwrap_or_else(|| action.class(app.is_trusted));
    let profile = said.with_defaults(ProfileDefaults {
        description: action.description.clone(),
        category: Some(app.slug.clone()),
        class,
        risk: if class.has_side_effects() { action.risk(app.is_trusted) } else { ToolRisk::Low },
        parameters: action.parameters.clone(),
        output_schema: None,
        version: Some(action.version.clone()).filter(|version| !version.is_empty()),
        timeout_ms: Some(app.timeout_ms),
        irreversible: "Composio does not say how it is undone",
    });
    let service = format!("composio.{}", app.slug);
    let tool =
        ComposioTool { composio: composio.clone(), app: app.slug.clone(), source: app.source.clone(), action, service };
    let entry = profile.entry("composio", Arc::new(tool));
    Some(match &app.rate {
        Some((name, rate)) => entry.with_group_rate(name.clone(), *rate),
        None => entry,
    })
}

struct ComposioTool {
    composio: Arc<ComposioSource>,
    app: String,
    /// Whose account it uses, if the workflow does not say.
    source: EntitySource,
    action: ToolkitAction,
    service: String,
}

#[async_trait]
impl ToolHandler for ComposioTool {
    async fn attempt(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        let entity = self.entity(request)?;
        if self.action.no_auth {
            return self.execute(request, &entity, None).await;
        }
        let mut connection = self.connection(request, &entity).await?;
        match self.execute(request, &entity, Some(&connection)).await {
            // Rejected because of its credentials: nothing was performed, so even an action with side effects may be
            // sent again.
            Err(failure) if failure.fault().code == code::CONNECTION_EXPIRED => {
                self.renew(request, &mut connection, failure).await?;
                match self.execute(request, &entity, Some(&connection)).await {
                    Err(again) if again.fault().code == code::CONNECTION_EXPIRED => {
                        Err(self.request_reconnect(request, &mut connection, again).await)
                    }
                    came_to => came_to,
                }
            }
            came_to => came_to,
        }
    }

    fn service<'a>(&'a self, _request: &'a PreparedRequest) -> Option<Cow<'a, str>> {
        Some(Cow::Borrowed(&self.service))
    }

    async fn account(&self, request: &PreparedRequest) -> Option<String> {
        let entity = self.entity(request).ok()?;
        if self.action.no_auth {
            return Some(self.shown(None));
        }
        // If it cannot be read now, the call finds no account either.
        let found = self.composio.connections(&request.call.tenant).find(&self.app, &entity).await;
        Some(self.shown(found.ok().flatten().as_ref()))
    }
}

impl ComposioTool {
    fn entity(&self, request: &PreparedRequest) -> Result<ComposioEntity, ToolError> {
        let refused = |reason| ToolError::permanent(code::INVALID_PARAMETERS, reason);
        let source = match &request.call.caller.entity_id_source {
            Some(of_workflow) => EntitySource::parse(of_workflow).map_err(refused)?,
            None => self.source.clone(),
        };
        ComposioEntity::of(&source, &request.call).map_err(refused)
    }

    /// Returns the entity's connection, if it can perform actions. A connection that was not finished at the last
    /// check is checked again.
    async fn connection(&self, request: &PreparedRequest, entity: &ComposioEntity) -> Result<AppConnection, ToolError> {
        let tenant = &request.call.tenant;
        let missing = |why: &str| {
            let message = format!("{why}; connect it: `{}`", connect_command(&self.app, entity));
            ToolError::permanent(code::CONNECTION_MISSING, message)
        };
        let found = self.composio.connections(tenant).find(&self.app, entity).await;
        let found = found.map_err(|error| ToolError::from_read(&error))?;
        let none = || missing(&format!("{entity} has connected no account of `{}`", self.app));
        let mut connection = found.ok_or_else(none)?;
        if connection.state != ConnectionStatus::Active {
            let looked = self.composio.refresh_connection(tenant, &mut connection).await;
            looked.map_err(|fault| match fault {
                ConnectionError::Rejected { reason } => missing(&reason),
                ConnectionError::Unavailable { .. } => {
                    ToolError::transient(code::SERVICE_UNAVAILABLE, fault.to_string())
                }
                ConnectionError::Storage { .. } => ToolError::transient(code::STORAGE_UNAVAILABLE, fault.to_string()),
            })?;
        }
        match connection.state {
            ConnectionStatus::Active | ConnectionStatus::Unknown => Ok(connection),
            // It may be renewable without a person.
            ConnectionStatus::Expired => Ok(connection),
            ConnectionStatus::Initializing | ConnectionStatus::Initiated => {
                Err(missing(&format!("{entity} has not finished connecting `{}`", self.app)))
            }
            ConnectionStatus::Failed | ConnectionStatus::Inactive => {
                Err(missing(&format!("the connection of `{}` for {entity} is {}", self.app, connection.state)))
            }
        }
    }

    /// The text shown to people who approve a call. It includes the version, because an action may behave differently
    /// in another version.
    fn shown(&self, connection: Option<&AppConnection>) -> String {
        let account = connection.map_or("no account", |connection| &connection.account);
        format!("{account}, version {}", self.action.version)
    }

    async fn execute(
        &self,
        request: &PreparedRequest,
        entity: &ComposioEntity,
        connection: Option<&AppConnection>,
    ) -> Result<Value, ToolError> {
        let call = &request.call;
        let account = self.shown(connection);
        if let Some(allowed) = request.account.as_ref().filter(|allowed| **allowed != account) {
            let message = format!(
                "`{}` was allowed with {allowed}, and would go out with {account} now; people are asked anew",
                call.tool
            );
            return Err(ToolError::transient(code::APPROVAL_REQUIRED, message));
        }
        let mut body = json!({
            "user_id": entity.composio_user_id(&call.tenant), "version": self.action.version, "arguments": call.arguments,
        });
        if let Some(connection) = connection {
            body["connected_account_id"] = Value::from(connection.account.as_str());
        }
        let api = &self.composio.api;
        let answer = api.execute(&self.action.slug, &body, call.class).await?;
        response::parse_result(&answer, call.class, |text| match api.key() {
            Some(key) if !key.expose().is_empty() => text.replace(key.expose(), "[REDACTED]"),
            Some(_) | None => text,
        })
    }

    /// Renews the credentials, if that needs no person.
    async fn renew(
        &self,
        request: &PreparedRequest,
        connection: &mut AppConnection,
        expired: ToolError,
    ) -> Result<(), ToolError> {
        match self.composio.api.refresh(&connection.account).await {
            Ok(refreshed)
                if ConnectionStatus::parse(&refreshed.status) == ConnectionStatus::Active
                    && refreshed.redirect_url.is_none() =>
            {
                self.record_status(request, connection, ConnectionStatus::Active).await
            }
            // A person must visit the link, or Composio refuses to renew.
            Ok(_) | Err(ToolError::NotDone { retryable: false, .. }) => {
                Err(self.request_reconnect(request, connection, expired).await)
            }
            Err(later) => Err(later),
        }
    }

    /// Nothing was performed and a person must reconnect the account; opens a task for that.
    async fn request_reconnect(
        &self,
        request: &PreparedRequest,
        connection: &mut AppConnection,
        expired: ToolError,
    ) -> ToolError {
        if let Err(failure) = self.record_status(request, connection, ConnectionStatus::Expired).await {
            return failure;
        }
        let told = match self.composio.open_reconnect_task(&request.call.tenant, connection).await {
            Ok(()) => String::new(),
            Err(reason) => format!("; the desk could not be told: {reason}"),
        };
        let message = format!(
            "the connection of `{}` for {} has expired and cannot be renewed without a person ({}); connect it again: \
             `{}`{told}",
            self.app,
            connection.entity,
            expired.fault().message,
            connection.reconnect_command()
        );
        ToolError::permanent(code::CONNECTION_EXPIRED, message)
    }

    async fn record_status(
        &self,
        request: &PreparedRequest,
        connection: &mut AppConnection,
        state: ConnectionStatus,
    ) -> Result<(), ToolError> {
        let asked = connection.account.clone();
        // Nothing was performed yet, so the call may be retried.
        let storage = |fault: ConnectionError| ToolError::transient(code::STORAGE_UNAVAILABLE, fault.to_string());
        self.composio.record_status(&request.call.tenant, connection, state, None).await.map_err(
            |fault| match fault {
                ConnectionError::Rejected { reason } => ToolError::permanent(code::CONNECTION_MISSING, reason),
                fault @ (ConnectionError::Unavailable { .. } | ConnectionError::Storage { .. }) => storage(fault),
            },
        )?;
        if connection.account == asked {
            return Ok(());
        }
        let message = format!("`{}` was connected anew for {} meanwhile", self.app, connection.entity);
        Err(ToolError::transient(code::CONNECTION_EXPIRED, message))
    }
}
