//! Tickets at an external service.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use baton_core::fault::Fault;
use baton_core::tool::EffectClass;
use serde_json::{Map, Value, json};

use super::PREFIX;
use crate::code;
use crate::providers::rest::{INTERNAL, NAME, RestClient, check_same_place};
use crate::request::PreparedRequest;
use crate::tool::ToolHandler;
use crate::tool_error::ToolError;

/// Default paths of all tickets and of one.
const ALL: &str = "tickets";
pub(super) const ONE: &str = "tickets/{id}";
/// Fields of a ticket that are sent to the service, if the call sets them.
const SENT_FIELDS: [&str; 6] = ["subject", "description", "priority", "category", "customer", "order_id"];

pub(super) struct CreateRestTicket(pub(super) Arc<RestClient>);

#[async_trait]
impl ToolHandler for CreateRestTicket {
    async fn attempt(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        let Self(rest) = self;
        let said = |name: &&str| {
            Some(((*name).to_owned(), request.argument(name).clone())).filter(|(_, value)| !value.is_null())
        };
        let fields: Map<String, Value> = SENT_FIELDS.iter().filter_map(said).collect();
        let ask = rest.request_create(ALL).json(&rest.to_service_fields(&fields));
        let ask = if rest.config.idempotency_key { ask.idempotency_key(&request.call.key) } else { ask };
        let class = request.call.class;
        let answer = ask.send(class).await?;
        let id = rest.id(&answer);
        if id.is_none() && class == EffectClass::Keyed {
            // A retry under the same key may return the id.
            let message = format!("{} answered {} and no id of the ticket", answer.from, answer.status);
            return Err(ToolError::indeterminate(class, Fault::new(code::OUTCOME_UNKNOWN, message)));
        }
        Ok(json!({
            "ticket_id": id, "id": id, "status": "open", "provider": NAME, "at": rest.at(),
            "subject": request.argument("subject"), "priority": request.argument("priority"),
        }))
    }

    fn service<'a>(&'a self, _request: &'a PreparedRequest) -> Option<Cow<'a, str>> {
        Some(Cow::Owned(self.0.at()))
    }
}

pub(super) struct CloseRestTicket {
    pub(super) rest: Arc<RestClient>,
    /// For tickets that were created before the service was configured.
    pub(super) internal: Arc<dyn ToolHandler>,
}

#[async_trait]
impl ToolHandler for CloseRestTicket {
    async fn attempt(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        if is_internal(request) {
            return self.internal.attempt(request).await;
        }
        check_same_place(request, &self.rest.at())?;
        let rest = &self.rest;
        let id = request.text("ticket_id").unwrap_or_default();
        let close = rest.config.close.clone();
        let close = close.map_or_else(
            || rest.to_service_fields(&Map::from_iter([("status".to_owned(), "closed".into())])),
            Value::Object,
        );
        let ask = rest.request_one(rest.config.change.method(), id).json(&close).accepting(&[404, 410]);
        let ask = if rest.config.idempotency_key { ask.idempotency_key(&request.call.key) } else { ask };
        // Closing is idempotent.
        let answer = ask.send(EffectClass::Keyed).await?;
        match answer.status {
            404 => Err(ToolError::permanent(code::TICKET_NOT_FOUND, format!("{} has no ticket `{id}`", rest.at()))),
            _ => Ok(json!({
                "ticket_id": id, "id": id, "status": "closed", "closed_at": request.call.at.to_string(), "provider": NAME,
                "at": rest.at(),
            })),
        }
    }

    fn service<'a>(&'a self, request: &'a PreparedRequest) -> Option<Cow<'a, str>> {
        (!is_internal(request)).then(|| Cow::Owned(self.rest.at()))
    }
}

/// Returns whether it was created in this installation.
fn is_internal(request: &PreparedRequest) -> bool {
    let own =
        || request.text("ticket_id").and_then(|id| id.strip_prefix(PREFIX)).is_some_and(|rest| rest.starts_with('_'));
    match request.text("at") {
        Some(at) => at == INTERNAL,
        None => own(),
    }
}
