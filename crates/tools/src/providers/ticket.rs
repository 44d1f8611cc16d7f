//! `create_ticket` and `close_ticket`: support tickets, at a service where one is set up, else kept in this installation.

mod rest;

use std::sync::Arc;

use async_trait::async_trait;
use baton_core::tool::{Class, Compensation, Facts};
use baton_ports::clock::Clock;
use baton_ports::records::{Error, Op, Records};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::bound::{Account, Bound};
use crate::by_tenant::ByTenant;
use crate::catalogue::{Action, Entry, Offered, Performer, Risk};
use crate::code;
use crate::config::Config as Settings;
use crate::error::Error as SettingError;
use crate::failure::Failure;
use crate::keyed::{Act, Rejected};
use crate::outbound::Outbound;
use crate::providers::rest::{self as service, INTERNAL, Rest, RestConfig, stays};
use crate::request::Request;
use crate::shipped::TIMEOUT;
use crate::tool::Tool;

const SPACE: &str = "tickets";
const SUBJECT_BYTES_MAX: usize = 500;
const TEXT_BYTES_MAX: usize = 20_000;
/// How often a ticket may change under our hands before we give up.
const TRIES_MAX: usize = 3;

/// Where tickets are kept; at the service where one is set up, unless told.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub rest: Option<RestConfig>,
}

const OFFERED: &[Offered] =
    &[Offered::free(INTERNAL, &[]), Offered::free(service::NAME, &["tickets.rest.base_url", "tickets.rest.token"])];
/// How ids of our own tickets begin.
const PREFIX: &str = "tk";

pub(crate) fn entries(
    config: &Settings,
    records: &Arc<dyn Records>,
    clock: &Arc<dyn Clock>,
    outbound: &Arc<Outbound>,
) -> Result<Vec<Entry>, SettingError> {
    let settings = ByTenant::read(config, config.tickets.clone(), |tenant| tenant.tickets.clone());
    let create: Arc<dyn Tool> = Arc::new(Create { records: records.clone(), clock: clock.clone() });
    let close: Arc<dyn Tool> = Arc::new(Close { records: records.clone(), clock: clock.clone() });
    let by = |internal: &Arc<dyn Tool>, closes: bool| {
        settings.map(|place, settings| {
            let Some(chosen) = &settings.rest else {
                let tool = Bound::to(internal.clone(), Account::Own, records, clock);
                return Ok(Performer::new(INTERNAL, Class::Keyed, tool));
            };
            let class = if closes || chosen.idempotency_key { Class::Keyed } else { Class::Once };
            let token = match Rest::token(chosen, &format!("{place}.tickets"), &config.secrets) {
                Ok(token) => token,
                Err(setting) => return Ok(Performer::lacking(service::NAME, class, setting)),
            };
            let account = Account::of(service::NAME, &chosen.base_url, &token);
            let rest = Rest::new(chosen, token, rest::ONE, outbound.clone());
            let rest = rest.map_err(|reason| SettingError::Setting { place: "tickets.rest", reason })?;
            let rest = Arc::new(rest);
            let tool: Arc<dyn Tool> = match closes {
                true => Arc::new(rest::Close { rest, internal: internal.clone() }),
                false => Arc::new(rest::Create(rest)),
            };
            Ok::<_, SettingError>(Performer::new(service::NAME, class, Bound::to(tool, account, records, clock)))
        })
    };
    let entry = |name: &str, facts, performers| {
        Entry::by(name, "support", performers, Action::new(facts, "ticket", Risk::Medium)).offered_by(OFFERED)
    };
    Ok(vec![
        entry("create_ticket", create_facts(), by(&create, false)?),
        entry("close_ticket", close_facts(), by(&close, true)?),
    ])
}

fn create_facts() -> Facts {
    Facts {
        description: "Opens a support ticket".to_owned(),
        compensation: Some(Compensation {
            tool_name: "close_ticket".to_owned(),
            parameters: json!({
                "ticket_id": "{{ output.ticket_id }}", "reason": "undone", "at": "{{ output.at }}",
            }),
        }),
        output_fields: ["ticket_id", "id", "status", "subject", "priority", "provider", "at"].map(str::to_owned).into(),
        parameters: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["subject"],
            "properties": {
                "subject": {"type": "string", "minLength": 1, "maxLength": SUBJECT_BYTES_MAX},
                "description": {"type": ["string", "null"], "maxLength": TEXT_BYTES_MAX},
                "priority": {"enum": ["low", "normal", "high", "urgent"], "default": "normal"},
                "category": {"type": ["string", "null"], "maxLength": 200},
                "customer": {"type": ["string", "object", "null"]},
                "user_id": {"type": ["string", "null"], "maxLength": 200},
                "order_id": {"type": ["string", "null"], "maxLength": 200},
            },
        }),
        ..Facts::new(Class::Keyed, TIMEOUT)
    }
}

fn close_facts() -> Facts {
    Facts {
        description: "Closes a support ticket; closing twice is closing once".to_owned(),
        irreversible: Some("a closed ticket stays closed; open another that refers to it".to_owned()),
        output_fields: ["ticket_id", "id", "status", "closed_at", "provider", "at"].map(str::to_owned).into(),
        parameters: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["ticket_id"],
            "properties": {
                "ticket_id": {"type": "string", "minLength": 1, "maxLength": 200},
                "reason": {"type": ["string", "null"], "maxLength": TEXT_BYTES_MAX},
                "at": {
                    "type": ["string", "null"], "maxLength": 2_000,
                    "description": "Where the ticket must be: what opening it said under `at`",
                },
            },
        }),
        ..Facts::new(Class::Keyed, TIMEOUT)
    }
}

struct Create {
    records: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl Tool for Create {
    async fn attempt(&self, request: &Request) -> Result<Value, Failure> {
        let act = Act::new(&*self.records, request);
        if let Some(output) = act.recorded().await? {
            return Ok(output);
        }
        let now = self.clock.now();
        let id = request.id(PREFIX);
        let output = json!({
            "ticket_id": id, "id": id, "status": "open", "provider": INTERNAL, "at": INTERNAL,
            "subject": request.argument("subject"), "priority": request.argument("priority"),
        });
        let ticket = json!({
            "ticket_id": id, "status": "open", "opened_at": now.to_string(), "run": request.call.run,
            "ticket": request.call.arguments,
        });
        let ops = vec![Op::Insert { space: SPACE.to_owned(), key: id.clone(), value: ticket }];
        act.commit(ops, output, now).await.map_err(|rejected| match rejected {
            Rejected::Failed(failure) => failure,
            Rejected::Conflict { .. } => {
                Failure::later(code::STORAGE_UNAVAILABLE, format!("the ticket `{id}` is there already"))
            }
        })
    }
}

struct Close {
    records: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl Tool for Close {
    async fn attempt(&self, request: &Request) -> Result<Value, Failure> {
        stays(request, INTERNAL)?;
        let tenant = &request.call.tenant;
        let id = request.text("ticket_id").unwrap_or_default();
        for _ in 0..TRIES_MAX {
            let ticket = self.records.get(tenant, SPACE, id).await.map_err(|error| Failure::unreadable(&error))?;
            let Some(ticket) = ticket else {
                return Err(Failure::refused(code::TICKET_NOT_FOUND, format!("there is no ticket `{id}`")));
            };
            if ticket.value["status"] == "closed" {
                return Ok(closed(id, &ticket.value));
            }
            let now = self.clock.now();
            let mut value = ticket.value;
            if let Some(fields) = value.as_object_mut() {
                fields.insert("status".to_owned(), "closed".into());
                fields.insert("closed_at".to_owned(), now.to_string().into());
                fields.insert("reason".to_owned(), request.argument("reason").clone());
            }
            let output = closed(id, &value);
            let set = Op::CompareAndSet { space: SPACE.to_owned(), key: id.to_owned(), version: ticket.version, value };
            match self.records.commit(tenant, vec![set], now).await {
                Ok(()) => return Ok(output),
                Err(Error::Conflict { .. }) => {}
                Err(error) => return Err(Failure::unwritten(&error)),
            }
        }
        Err(Failure::later(code::STORAGE_UNAVAILABLE, format!("the ticket `{id}` keeps changing")))
    }
}

fn closed(id: &str, ticket: &Value) -> Value {
    json!({
        "ticket_id": id, "id": id, "status": "closed", "closed_at": ticket["closed_at"], "provider": INTERNAL,
        "at": INTERNAL,
    })
}

#[cfg(test)]
mod tests;
