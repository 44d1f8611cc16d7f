//! Performing an action: as the entity's account, in the pinned version, and once more where its credentials were renewed.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::account::State;
use super::action::Action;
use super::app::App;
use super::config::EntitySource;
use super::connections::{Connection, command};
use super::entity::Entity;
use super::{Composio, Fault, verdict};
use crate::catalogue::{Entry, Risk};
use crate::code;
use crate::definition::Said;
use crate::failure::Failure;
use crate::request::Request;
use crate::tool::Tool;

/// The catalogue's entry of an action; nothing where the settings leave it out.
pub(super) fn entry(composio: &Arc<Composio>, app: &App, action: Action) -> Option<Entry> {
    let (_, bare) = action.name.split_once('.')?;
    if !app.wants(bare) {
        return None;
    }
    let said = app.said(bare, &action.name);
    let class = said.class.unwrap_or_else(|| action.class(app.is_trusted));
    let profile = said.or(Said {
        description: action.description.clone(),
        category: Some(app.slug.clone()),
        class,
        risk: if class.acts() { action.risk(app.is_trusted) } else { Risk::Low },
        parameters: action.parameters.clone(),
        output_schema: None,
        version: Some(action.version.clone()).filter(|version| !version.is_empty()),
        timeout_ms: Some(app.timeout_ms),
        irreversible: "Composio does not say how it is undone",
    });
    let service = format!("composio.{}", app.slug);
    let tool =
        Performs { composio: composio.clone(), app: app.slug.clone(), source: app.source.clone(), action, service };
    let entry = profile.entry("composio", Arc::new(tool));
    Some(match &app.rate {
        Some((name, rate)) => entry.together_at_most(name.clone(), *rate),
        None => entry,
    })
}

struct Performs {
    composio: Arc<Composio>,
    app: String,
    /// Whose account it uses, where the workflow does not say.
    source: EntitySource,
    action: Action,
    service: String,
}

#[async_trait]
impl Tool for Performs {
    async fn attempt(&self, request: &Request) -> Result<Value, Failure> {
        let entity = self.entity(request)?;
        if self.action.no_auth {
            return self.execute(request, &entity, None).await;
        }
        let mut connection = self.connection(request, &entity).await?;
        match self.execute(request, &entity, Some(&connection)).await {
            // Refused for its credentials: nothing was done, so it may be sent again, also if it acts.
            Err(failure) if failure.fault().code == code::CONNECTION_EXPIRED => {
                self.renew(request, &mut connection, failure).await?;
                match self.execute(request, &entity, Some(&connection)).await {
                    Err(again) if again.fault().code == code::CONNECTION_EXPIRED => {
                        Err(self.give_up(request, &mut connection, again).await)
                    }
                    came_to => came_to,
                }
            }
            came_to => came_to,
        }
    }

    fn service<'a>(&'a self, _request: &'a Request) -> Option<Cow<'a, str>> {
        Some(Cow::Borrowed(&self.service))
    }

    async fn account(&self, request: &Request) -> Option<String> {
        let entity = self.entity(request).ok()?;
        if self.action.no_auth {
            return Some(self.shown(None));
        }
        // Where it cannot be read now, the call finds no account either.
        let found = self.composio.connections(&request.call.tenant).find(&self.app, &entity).await;
        Some(self.shown(found.ok().flatten().as_ref()))
    }
}

impl Performs {
    fn entity(&self, request: &Request) -> Result<Entity, Failure> {
        let refused = |reason| Failure::refused(code::INVALID_PARAMETERS, reason);
        let source = match &request.call.caller.entity_id_source {
            Some(of_workflow) => EntitySource::parse(of_workflow).map_err(refused)?,
            None => self.source.clone(),
        };
        Entity::of(&source, &request.call).map_err(refused)
    }

    /// The entity's connection, if it can perform something. One that a person had not finished is looked at again.
    async fn connection(&self, request: &Request, entity: &Entity) -> Result<Connection, Failure> {
        let tenant = &request.call.tenant;
        let missing = |why: &str| {
            let message = format!("{why}; connect it: `{}`", command(&self.app, entity));
            Failure::refused(code::CONNECTION_MISSING, message)
        };
        let found = self.composio.connections(tenant).find(&self.app, entity).await;
        let found = found.map_err(|error| Failure::unreadable(&error))?;
        let none = || missing(&format!("{entity} has connected no account of `{}`", self.app));
        let mut connection = found.ok_or_else(none)?;
        if connection.state != State::Active {
            let looked = self.composio.look_after(tenant, &mut connection).await;
            looked.map_err(|fault| match fault {
                Fault::Refused { reason } => missing(&reason),
                Fault::Unavailable { .. } => Failure::later(code::SERVICE_UNAVAILABLE, fault.to_string()),
                Fault::Storage { .. } => Failure::later(code::STORAGE_UNAVAILABLE, fault.to_string()),
            })?;
        }
        match connection.state {
            State::Active | State::Unknown => Ok(connection),
            // It may be renewed without a person.
            State::Expired => Ok(connection),
            State::Initializing | State::Initiated => {
                Err(missing(&format!("{entity} has not finished connecting `{}`", self.app)))
            }
            State::Failed | State::Inactive => {
                Err(missing(&format!("the connection of `{}` for {entity} is {}", self.app, connection.state)))
            }
        }
    }

    /// As people see it who allow a call: an action in another version may do something else.
    fn shown(&self, connection: Option<&Connection>) -> String {
        let account = connection.map_or("no account", |connection| &connection.account);
        format!("{account}, version {}", self.action.version)
    }

    async fn execute(
        &self,
        request: &Request,
        entity: &Entity,
        connection: Option<&Connection>,
    ) -> Result<Value, Failure> {
        let call = &request.call;
        let account = self.shown(connection);
        if let Some(allowed) = request.account.as_ref().filter(|allowed| **allowed != account) {
            let message = format!(
                "`{}` was allowed with {allowed}, and would go out with {account} now; people are asked anew",
                call.tool
            );
            return Err(Failure::later(code::APPROVAL_REQUIRED, message));
        }
        let mut body = json!({
            "user_id": entity.at_composio(&call.tenant), "version": self.action.version, "arguments": call.arguments,
        });
        if let Some(connection) = connection {
            body["connected_account_id"] = Value::from(connection.account.as_str());
        }
        let api = &self.composio.api;
        let answer = api.execute(&self.action.slug, &body, call.class).await?;
        verdict::performed(&answer, call.class, |text| match api.key() {
            Some(key) if !key.expose().is_empty() => text.replace(key.expose(), "[REDACTED]"),
            Some(_) | None => text,
        })
    }

    /// Renews the credentials, if that takes no person.
    async fn renew(&self, request: &Request, connection: &mut Connection, expired: Failure) -> Result<(), Failure> {
        match self.composio.api.refresh(&connection.account).await {
            Ok(refreshed) if State::parse(&refreshed.status) == State::Active && refreshed.redirect_url.is_none() => {
                self.stands(request, connection, State::Active).await
            }
            // A person must go there, or Composio will not.
            Ok(_) | Err(Failure::NotDone { retryable: false, .. }) => {
                Err(self.give_up(request, connection, expired).await)
            }
            Err(later) => Err(later),
        }
    }

    /// Nothing was done, and a person must connect again: they are told.
    async fn give_up(&self, request: &Request, connection: &mut Connection, expired: Failure) -> Failure {
        if let Err(failure) = self.stands(request, connection, State::Expired).await {
            return failure;
        }
        let told = match self.composio.ask_to_reconnect(&request.call.tenant, connection).await {
            Ok(()) => String::new(),
            Err(reason) => format!("; the desk could not be told: {reason}"),
        };
        let message = format!(
            "the connection of `{}` for {} has expired and cannot be renewed without a person ({}); connect it again: \
             `{}`{told}",
            self.app,
            connection.entity,
            expired.fault().message,
            connection.command()
        );
        Failure::refused(code::CONNECTION_EXPIRED, message)
    }

    async fn stands(&self, request: &Request, connection: &mut Connection, state: State) -> Result<(), Failure> {
        let asked = connection.account.clone();
        // Nothing was done yet: it may be tried again.
        let storage = |fault: Fault| Failure::later(code::STORAGE_UNAVAILABLE, fault.to_string());
        self.composio.stands(&request.call.tenant, connection, state, None).await.map_err(|fault| match fault {
            Fault::Refused { reason } => Failure::refused(code::CONNECTION_MISSING, reason),
            fault @ (Fault::Unavailable { .. } | Fault::Storage { .. }) => storage(fault),
        })?;
        if connection.account == asked {
            return Ok(());
        }
        let message = format!("`{}` was connected anew for {} meanwhile", self.app, connection.entity);
        Err(Failure::later(code::CONNECTION_EXPIRED, message))
    }
}
