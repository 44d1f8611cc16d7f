//! Implements the ports that show apps and actions, and connect accounts.

use std::collections::BTreeMap;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_ports::connections::{self, AppConnections, AppListing, AuthorizationLink, ConnectionRequest};
use futures::future::join_all;
use serde_json::{Map, Value, json};

use super::account::ConnectionStatus;
use super::action::ToolkitAction;
use super::api::ToolkitDetails;
use super::entity::ComposioEntity;
use super::{ComposioSource, ConnectionError};
use crate::registry::ToolRegistry;

/// Maximum number of search results that are scanned for actions.
const SEARCHED_MAX: usize = 200;

impl ComposioSource {
    /// The included actions of a toolkit that are stored for a tenant.
    async fn chosen_actions(
        &self,
        tenant: &TenantId,
        app: &super::ConfiguredApp,
    ) -> Result<Vec<ToolkitAction>, ConnectionError> {
        let mut actions = self.action_store().actions(tenant, &app.slug).await?;
        actions.retain(|action| action.name.split_once('.').is_some_and(|(_, bare)| app.includes(bare)));
        Ok(actions)
    }

    async fn app(
        &self,
        tenant: &TenantId,
        app: &super::ConfiguredApp,
        connected: &[String],
    ) -> Result<AppListing, ConnectionError> {
        let actions = self.chosen_actions(tenant, app).await?;
        // Details that only Composio knows; without them the app is still listed.
        let ToolkitDetails { name, meta, .. } = match self.has_key() {
            true => self.api.toolkit(&app.slug).await.unwrap_or_default(),
            false => ToolkitDetails::default(),
        };
        let category =
            meta.categories.into_iter().next().map(|category| category.slug.or(category.id).unwrap_or(category.name));
        Ok(AppListing {
            name: app.slug.clone(),
            display_name: Some(name).filter(|name| !name.is_empty()).unwrap_or_else(|| title(&app.slug)),
            description: meta.description,
            category: category.unwrap_or_default(),
            total_actions: actions.len(),
            available_actions: actions.iter().map(|action| bare(action).to_owned()).collect(),
            is_connected: connected.contains(&app.slug),
            logo_url: meta.logo,
        })
    }
}

fn bare(action: &ToolkitAction) -> &str {
    action.name.split_once('.').map_or(action.name.as_str(), |(_, bare)| bare)
}

fn to_port_action(action: &ToolkitAction) -> connections::AppAction {
    let (app, bare) = action.name.split_once('.').unwrap_or_default();
    connections::AppAction {
        app_name: app.to_owned(),
        action_name: bare.to_owned(),
        display_name: title(bare),
        description: action.description.clone(),
        parameters: parameters(&action.parameters),
        requires_auth: !action.no_auth,
    }
}

/// Turns `send_email` into *Send Email*.
fn title(name: &str) -> String {
    let words = name.split(['_', '-']).filter(|word| !word.is_empty()).map(|word| {
        let mut chars = word.chars();
        chars.next().map(|first| first.to_uppercase().chain(chars).collect::<String>()).unwrap_or_default()
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Parameters by name, in the format of the seed: each property's schema, with whether it is required.
fn parameters(schema: &Value) -> Value {
    let required = schema["required"].as_array().map(Vec::as_slice).unwrap_or_default();
    let properties = schema["properties"].as_object().cloned().unwrap_or_default();
    let with = |(name, said): (String, Value)| {
        let mut fields: Map<String, Value> = said.as_object().cloned().unwrap_or_default();
        fields.insert("required".to_owned(), json!(required.iter().any(|one| *one == *name)));
        (name, Value::Object(fields))
    };
    Value::Object(properties.into_iter().map(with).collect())
}

/// Parses an entity from a request. Text that is not an entity's form is a user's id.
fn entity(text: &str) -> ComposioEntity {
    ComposioEntity::parse(text).unwrap_or_else(|| ComposioEntity::User(text.to_owned()))
}

fn not_configured() -> ConnectionError {
    let reason = "the project uses no toolkit of Composio: write `toolkits = [\"shopify\"]` under `[tools.composio]`";
    ConnectionError::Rejected { reason: reason.to_owned() }
}

#[async_trait]
impl AppConnections for ToolRegistry {
    async fn apps(&self, tenant: &TenantId) -> Result<Vec<AppListing>, ConnectionError> {
        let Some(composio) = self.composio() else { return Ok(Vec::new()) };
        let all = composio.stored_connections(tenant).await?;
        let active = all.into_iter().filter(|connection| connection.state == ConnectionStatus::Active);
        let connected: Vec<String> = active.map(|connection| connection.app).collect();
        join_all(composio.apps.values().map(|app| composio.app(tenant, app, &connected))).await.into_iter().collect()
    }

    async fn actions(
        &self,
        tenant: &TenantId,
        app: Option<&str>,
    ) -> Result<Vec<connections::AppAction>, ConnectionError> {
        let composio = self.composio().ok_or_else(not_configured)?;
        let mut all = Vec::new();
        match app {
            Some(app) => all.extend(
                composio.chosen_actions(tenant, composio.configured_app(app)?).await?.iter().map(to_port_action),
            ),
            None => {
                for app in composio.apps.values() {
                    all.extend(composio.chosen_actions(tenant, app).await?.iter().map(to_port_action));
                }
            }
        }
        all.sort_by(|a, b| (&a.app_name, &a.action_name).cmp(&(&b.app_name, &b.action_name)));
        Ok(all)
    }

    async fn search(
        &self,
        tenant: &TenantId,
        words: &str,
        limit: usize,
    ) -> Result<(Vec<connections::AppAction>, Option<String>), ConnectionError> {
        let actions = AppConnections::actions(self, tenant, None).await?;
        let mut by_tool: BTreeMap<String, connections::AppAction> =
            actions.into_iter().map(|action| (format!("{}.{}", action.app_name, action.action_name), action)).collect();
        let (found, fault) = Self::search(self, tenant, words, SEARCHED_MAX).await;
        let found = found.iter().filter_map(|tool| by_tool.remove(&*tool.name)).take(limit).collect();
        Ok((found, fault.map(|fault| fault.to_string())))
    }

    async fn connect(
        &self,
        tenant: &TenantId,
        wish: ConnectionRequest<'_>,
    ) -> Result<AuthorizationLink, ConnectionError> {
        let composio = self.composio().ok_or_else(not_configured)?;
        let ConnectionRequest { app, entity: whose, callback, state } = wish;
        let link = match callback {
            None if composio.has_callback() => {
                composio.connect_with_callback(tenant, app, entity(whose), state).await?
            }
            callback => composio.connect(tenant, app, entity(whose), callback).await?,
        };
        let connection_id = link.account().to_owned();
        Ok(AuthorizationLink { authorization_url: link.redirect_url, connection_id, expires_at: link.expires_at })
    }

    async fn accounts(&self, tenant: &TenantId, asks: bool) -> Result<Vec<Value>, ConnectionError> {
        let Some(composio) = self.composio() else { return Ok(Vec::new()) };
        let all = match asks {
            true => composio.check_connections(tenant).await?,
            false => composio.stored_connections(tenant).await?,
        };
        Ok(all.iter().map(|connection| json!(connection)).collect())
    }

    async fn disconnect(&self, tenant: &TenantId, app: &str, whose: &str) -> Result<Option<Value>, ConnectionError> {
        let composio = self.composio().ok_or_else(not_configured)?;
        Ok(composio.disconnect(tenant, app, entity(whose)).await?.map(|connection| json!(connection)))
    }

    async fn refresh(&self, tenant: &TenantId, newest: bool) -> Result<Vec<Value>, ConnectionError> {
        let composio = self.composio().ok_or_else(not_configured)?;
        let found = composio.discover(tenant, newest).await?;
        self.load_discovered(tenant).await?;
        Ok(found.iter().map(|toolkit| json!(toolkit)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_told_as_the_seed_writes_them() {
        let schema = json!({
            "type": "object", "properties": {"to": {"type": "string"}, "cc": {"type": "string"}}, "required": ["to"],
        });
        assert_eq!(
            parameters(&schema),
            json!({"to": {"type": "string", "required": true}, "cc": {"type": "string", "required": false}})
        );
        assert_eq!(parameters(&json!({"type": "object"})), json!({}));
        assert_eq!(title("send_email"), "Send Email");
    }

    #[test]
    fn what_is_no_entitys_text_is_a_users_id() {
        assert_eq!(entity("cust_789"), ComposioEntity::User("cust_789".to_owned()));
        assert_eq!(entity("company"), ComposioEntity::Company);
        assert_eq!(entity("agent:clerk"), ComposioEntity::Agent("clerk".to_owned()));
    }
}
