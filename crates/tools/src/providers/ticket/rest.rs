//! Tickets at a service of somebody else's.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use baton_core::fault::Fault;
use baton_core::tool::Class;
use serde_json::{Map, Value, json};

use super::PREFIX;
use crate::code;
use crate::failure::Failure;
use crate::providers::rest::{INTERNAL, NAME, Rest, stays};
use crate::request::Request;
use crate::tool::Tool;

/// Where tickets are, and one of them, unless the settings say.
const ALL: &str = "tickets";
pub(super) const ONE: &str = "tickets/{id}";
/// What the service is told of a ticket, where the call says it.
const TOLD: [&str; 6] = ["subject", "description", "priority", "category", "customer", "order_id"];

pub(super) struct Create(pub(super) Arc<Rest>);

#[async_trait]
impl Tool for Create {
    async fn attempt(&self, request: &Request) -> Result<Value, Failure> {
        let Self(rest) = self;
        let said = |name: &&str| {
            Some(((*name).to_owned(), request.argument(name).clone())).filter(|(_, value)| !value.is_null())
        };
        let fields: Map<String, Value> = TOLD.iter().filter_map(said).collect();
        let ask = rest.all(ALL).json(&rest.told(&fields));
        let ask = if rest.config.idempotency_key { ask.keyed(&request.call.key) } else { ask };
        let class = request.call.class;
        let answer = ask.send(class).await?;
        let id = rest.id(&answer);
        if id.is_none() && class == Class::Keyed {
            // Asked again under the same key, it may say which it was.
            let message = format!("{} answered {} and no id of the ticket", answer.from, answer.status);
            return Err(Failure::unclear(class, Fault::new(code::OUTCOME_UNKNOWN, message)));
        }
        Ok(json!({
            "ticket_id": id, "id": id, "status": "open", "provider": NAME, "at": rest.at(),
            "subject": request.argument("subject"), "priority": request.argument("priority"),
        }))
    }

    fn service<'a>(&'a self, _request: &'a Request) -> Option<Cow<'a, str>> {
        Some(Cow::Owned(self.0.at()))
    }
}

pub(super) struct Close {
    pub(super) rest: Arc<Rest>,
    /// For tickets that were opened before the service was chosen.
    pub(super) internal: Arc<dyn Tool>,
}

#[async_trait]
impl Tool for Close {
    async fn attempt(&self, request: &Request) -> Result<Value, Failure> {
        if is_internal(request) {
            return self.internal.attempt(request).await;
        }
        stays(request, &self.rest.at())?;
        let rest = &self.rest;
        let id = request.text("ticket_id").unwrap_or_default();
        let close = rest.config.close.clone();
        let close =
            close.map_or_else(|| rest.told(&Map::from_iter([("status".to_owned(), "closed".into())])), Value::Object);
        let ask = rest.one(rest.config.change.method(), id).json(&close).accepting(&[404, 410]);
        let ask = if rest.config.idempotency_key { ask.keyed(&request.call.key) } else { ask };
        // Closed twice it is closed once, whoever asks.
        let answer = ask.send(Class::Keyed).await?;
        match answer.status {
            404 => Err(Failure::refused(code::TICKET_NOT_FOUND, format!("{} has no ticket `{id}`", rest.at()))),
            _ => Ok(json!({
                "ticket_id": id, "id": id, "status": "closed", "closed_at": request.call.at.to_string(), "provider": NAME,
                "at": rest.at(),
            })),
        }
    }

    fn service<'a>(&'a self, request: &'a Request) -> Option<Cow<'a, str>> {
        (!is_internal(request)).then(|| Cow::Owned(self.rest.at()))
    }
}

/// Whether it was opened in this installation.
fn is_internal(request: &Request) -> bool {
    let own =
        || request.text("ticket_id").and_then(|id| id.strip_prefix(PREFIX)).is_some_and(|rest| rest.starts_with('_'));
    match request.text("at") {
        Some(at) => at == INTERNAL,
        None => own(),
    }
}
