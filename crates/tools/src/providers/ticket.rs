//! `create_ticket` and `close_ticket`: support tickets, at an external service if one is configured, otherwise stored
//! in this installation.

mod rest;

use std::sync::Arc;

use async_trait::async_trait;
use baton_core::tool::{EffectClass, ToolCompensation, ToolContract};
use baton_ports::clock::Clock;
use baton_ports::records::{RecordError, RecordOp, RecordStore};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::account_binding::{AccountBoundTool, ProviderAccount};
use crate::by_tenant::ByTenant;
use crate::catalogue::{ActionSpec, ProviderOption, ToolEntry, ToolPerformer, ToolRisk};
use crate::code;
use crate::config::ToolsConfig;
use crate::error::ToolSetupError;
use crate::idempotency::{ActError, IdempotentAct};
use crate::outbound::OutboundClient;
use crate::providers::rest::{self as service, INTERNAL, RestClient, RestConfig, check_same_place};
use crate::request::PreparedRequest;
use crate::tool::ToolHandler;
use crate::tool_error::ToolError;
use crate::tool_set::TIMEOUT;

const SPACE: &str = "tickets";
const SUBJECT_BYTES_MAX: usize = 500;
const TEXT_BYTES_MAX: usize = 20_000;
/// Maximum number of attempts when a concurrent writer changes the ticket.
const TRIES_MAX: usize = 3;

/// Where tickets are stored. Default: the external service, if one is configured.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TicketConfig {
    pub rest: Option<RestConfig>,
}

const OFFERED: &[ProviderOption] = &[
    ProviderOption::free(INTERNAL, &[]),
    ProviderOption::free(service::NAME, &["tickets.rest.base_url", "tickets.rest.token"]),
];
/// The prefix of the ids of this installation's tickets.
const PREFIX: &str = "tk";

pub(crate) fn entries(
    config: &ToolsConfig,
    records: &Arc<dyn RecordStore>,
    clock: &Arc<dyn Clock>,
    outbound: &Arc<OutboundClient>,
) -> Result<Vec<ToolEntry>, ToolSetupError> {
    let settings = ByTenant::read(config, config.tickets.clone(), |tenant| tenant.tickets.clone());
    let create: Arc<dyn ToolHandler> = Arc::new(CreateTicket { records: records.clone(), clock: clock.clone() });
    let close: Arc<dyn ToolHandler> = Arc::new(CloseTicket { records: records.clone(), clock: clock.clone() });
    let by = |internal: &Arc<dyn ToolHandler>, closes: bool| {
        settings.try_map(|place, settings| {
            let Some(chosen) = &settings.rest else {
                let tool =
                    AccountBoundTool::bind_to_account(internal.clone(), ProviderAccount::Internal, records, clock);
                return Ok(ToolPerformer::new(INTERNAL, EffectClass::Keyed, tool));
            };
            let class = if closes || chosen.idempotency_key { EffectClass::Keyed } else { EffectClass::Once };
            let token = match RestClient::token(chosen, &format!("{place}.tickets"), &config.secrets) {
                Ok(token) => token,
                Err(setting) => return Ok(ToolPerformer::unavailable(service::NAME, class, setting)),
            };
            let account = ProviderAccount::of(service::NAME, &chosen.base_url, &token);
            let rest = RestClient::new(chosen, token, rest::ONE, outbound.clone());
            let rest = rest.map_err(|reason| ToolSetupError::Setting { place: "tickets.rest", reason })?;
            let rest = Arc::new(rest);
            let tool: Arc<dyn ToolHandler> = match closes {
                true => Arc::new(rest::CloseRestTicket { rest, internal: internal.clone() }),
                false => Arc::new(rest::CreateRestTicket(rest)),
            };
            Ok::<_, ToolSetupError>(ToolPerformer::new(
                service::NAME,
                class,
                AccountBoundTool::bind_to_account(tool, account, records, clock),
            ))
        })
    };
    let entry = |name: &str, facts, performers| {
        ToolEntry::with_performers(name, "support", performers, ActionSpec::new(facts, "ticket", ToolRisk::Medium))
            .with_offers(OFFERED)
    };
    Ok(vec![
        entry("create_ticket", create_facts(), by(&create, false)?),
        entry("close_ticket", close_facts(), by(&close, true)?),
    ])
}

fn create_facts() -> ToolContract {
    ToolContract {
        description: "Opens a support ticket".to_owned(),
        compensation: Some(ToolCompensation {
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
        ..ToolContract::new(EffectClass::Keyed, TIMEOUT)
    }
}

fn close_facts() -> ToolContract {
    ToolContract {
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
        ..ToolContract::new(EffectClass::Keyed, TIMEOUT)
    }
}

struct CreateTicket {
    records: Arc<dyn RecordStore>,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl ToolHandler for CreateTicket {
    async fn attempt(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        let act = IdempotentAct::new(&*self.records, request);
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
        let ops = vec![RecordOp::Insert { space: SPACE.to_owned(), key: id.clone(), value: ticket }];
        act.commit(ops, output, now).await.map_err(|rejected| match rejected {
            ActError::Failed(failure) => failure,
            ActError::Conflict { .. } => {
                ToolError::transient(code::STORAGE_UNAVAILABLE, format!("the ticket `{id}` is there already"))
            }
        })
    }
}

struct CloseTicket {
    records: Arc<dyn RecordStore>,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl ToolHandler for CloseTicket {
    async fn attempt(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        check_same_place(request, INTERNAL)?;
        let tenant = &request.call.tenant;
        let id = request.text("ticket_id").unwrap_or_default();
        for _ in 0..TRIES_MAX {
            let ticket = self.records.get(tenant, SPACE, id).await.map_err(|error| ToolError::from_read(&error))?;
            let Some(ticket) = ticket else {
                return Err(ToolError::permanent(code::TICKET_NOT_FOUND, format!("there is no ticket `{id}`")));
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
            let set =
                RecordOp::CompareAndSet { space: SPACE.to_owned(), key: id.to_owned(), version: ticket.version, value };
            match self.records.commit(tenant, vec![set], now).await {
                Ok(()) => return Ok(output),
                Err(RecordError::Conflict { .. }) => {}
                Err(error) => return Err(ToolError::from_write(&error)),
            }
        }
        Err(ToolError::transient(code::STORAGE_UNAVAILABLE, format!("the ticket `{id}` keeps changing")))
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
