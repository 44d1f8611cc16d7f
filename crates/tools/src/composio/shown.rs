//! Apps and actions as people look at them, and accounts as they connect them.

use std::collections::BTreeMap;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_ports::connections::{self, App, Connections, Link, Wish};
use futures::future::join_all;
use serde_json::{Map, Value, json};

use super::account::State;
use super::action::Action;
use super::api::Toolkit;
use super::entity::Entity;
use super::{Composio, Fault};
use crate::registry::Registry;

/// Tools of a search that are looked through for actions.
const SEARCHED_MAX: usize = 200;

impl Composio {
    /// The chosen actions of a toolkit that are kept for a tenant.
    async fn chosen_actions(&self, tenant: &TenantId, app: &super::App) -> Result<Vec<Action>, Fault> {
        let mut actions = self.shelf().actions(tenant, &app.slug).await?;
        actions.retain(|action| action.name.split_once('.').is_some_and(|(_, bare)| app.wants(bare)));
        Ok(actions)
    }

    async fn app(&self, tenant: &TenantId, app: &super::App, connected: &[String]) -> Result<App, Fault> {
        let actions = self.chosen_actions(tenant, app).await?;
        // What only Composio knows of it; without it the app is there all the same.
        let Toolkit { name, meta, .. } = match self.has_key() {
            true => self.api.toolkit(&app.slug).await.unwrap_or_default(),
            false => Toolkit::default(),
        };
        let category =
            meta.categories.into_iter().next().map(|category| category.slug.or(category.id).unwrap_or(category.name));
        Ok(App {
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

fn bare(action: &Action) -> &str {
    action.name.split_once('.').map_or(action.name.as_str(), |(_, bare)| bare)
}

fn shown(action: &Action) -> connections::Action {
    let (app, bare) = action.name.split_once('.').unwrap_or_default();
    connections::Action {
        app_name: app.to_owned(),
        action_name: bare.to_owned(),
        display_name: title(bare),
        description: action.description.clone(),
        parameters: parameters(&action.parameters),
        requires_auth: !action.no_auth,
    }
}

/// `send_email` is *Send Email*.
fn title(name: &str) -> String {
    let words = name.split(['_', '-']).filter(|word| !word.is_empty()).map(|word| {
        let mut chars = word.chars();
        chars.next().map(|first| first.to_uppercase().chain(chars).collect::<String>()).unwrap_or_default()
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Parameters by name, as the seed writes them: what the schema says of each, with whether it is required.
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

/// As it is written in requests: whatever is no entity's text is a user's id.
fn entity(text: &str) -> Entity {
    Entity::parse(text).unwrap_or_else(|| Entity::User(text.to_owned()))
}

fn unused() -> Fault {
    let reason = "the project uses no toolkit of Composio: write `toolkits = [\"shopify\"]` under `[tools.composio]`";
    Fault::Refused { reason: reason.to_owned() }
}

#[async_trait]
impl Connections for Registry {
    async fn apps(&self, tenant: &TenantId) -> Result<Vec<App>, Fault> {
        let Some(composio) = self.composio() else { return Ok(Vec::new()) };
        let all = composio.kept_connections(tenant).await?;
        let active = all.into_iter().filter(|connection| connection.state == State::Active);
        let connected: Vec<String> = active.map(|connection| connection.app).collect();
        join_all(composio.apps.values().map(|app| composio.app(tenant, app, &connected))).await.into_iter().collect()
    }

    async fn actions(&self, tenant: &TenantId, app: Option<&str>) -> Result<Vec<connections::Action>, Fault> {
        let composio = self.composio().ok_or_else(unused)?;
        let mut all = Vec::new();
        match app {
            Some(app) => all.extend(composio.chosen_actions(tenant, composio.chosen(app)?).await?.iter().map(shown)),
            None => {
                for app in composio.apps.values() {
                    all.extend(composio.chosen_actions(tenant, app).await?.iter().map(shown));
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
    ) -> Result<(Vec<connections::Action>, Option<String>), Fault> {
        let actions = Connections::actions(self, tenant, None).await?;
        let mut by_tool: BTreeMap<String, connections::Action> =
            actions.into_iter().map(|action| (format!("{}.{}", action.app_name, action.action_name), action)).collect();
        let (found, fault) = Self::search(self, tenant, words, SEARCHED_MAX).await;
        let found = found.iter().filter_map(|tool| by_tool.remove(&*tool.name)).take(limit).collect();
        Ok((found, fault.map(|fault| fault.to_string())))
    }

    async fn connect(&self, tenant: &TenantId, wish: Wish<'_>) -> Result<Link, Fault> {
        let composio = self.composio().ok_or_else(unused)?;
        let Wish { app, entity: whose, callback, state } = wish;
        let link = match callback {
            None if composio.has_door() => composio.connect_by_door(tenant, app, entity(whose), state).await?,
            callback => composio.connect(tenant, app, entity(whose), callback).await?,
        };
        let connection_id = link.account().to_owned();
        Ok(Link { authorization_url: link.redirect_url, connection_id, expires_at: link.expires_at })
    }

    async fn accounts(&self, tenant: &TenantId, asks: bool) -> Result<Vec<Value>, Fault> {
        let Some(composio) = self.composio() else { return Ok(Vec::new()) };
        let all = match asks {
            true => composio.check_connections(tenant).await?,
            false => composio.kept_connections(tenant).await?,
        };
        Ok(all.iter().map(|connection| json!(connection)).collect())
    }

    async fn disconnect(&self, tenant: &TenantId, app: &str, whose: &str) -> Result<Option<Value>, Fault> {
        let composio = self.composio().ok_or_else(unused)?;
        Ok(composio.disconnect(tenant, app, entity(whose)).await?.map(|connection| json!(connection)))
    }

    async fn refresh(&self, tenant: &TenantId, newest: bool) -> Result<Vec<Value>, Fault> {
        let composio = self.composio().ok_or_else(unused)?;
        let found = composio.discover(tenant, newest).await?;
        self.learn(tenant).await?;
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
        assert_eq!(entity("cust_789"), Entity::User("cust_789".to_owned()));
        assert_eq!(entity("company"), Entity::Company);
        assert_eq!(entity("agent:clerk"), Entity::Agent("clerk".to_owned()));
    }
}
