//! Contacts at an external service.
//!
//! The previous values are read before the change and stored under the effect's key, so that a retry after a lost
//! response does not mistake the change itself for the previous values.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use baton_core::tool::EffectClass;
use baton_ports::clock::Clock;
use baton_ports::records::{RecordError, RecordOp, RecordStore};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{changed, names_of};
use crate::code;
use crate::providers::rest::{INTERNAL, NAME, RestClient, check_same_place};
use crate::request::PreparedRequest;
use crate::tool::ToolHandler;
use crate::tool_error::ToolError;

/// Default path of a contact.
pub(super) const ONE: &str = "contacts/{id}";
/// The record space of previous values, by the effect's key.
const SPACE: &str = "contacts_before";

pub(super) struct UpdateRestCrm {
    pub(super) rest: RestClient,
    pub(super) records: Arc<dyn RecordStore>,
    pub(super) clock: Arc<dyn Clock>,
    /// For changes made before the service was configured.
    pub(super) internal: Arc<dyn ToolHandler>,
}

#[async_trait]
impl ToolHandler for UpdateRestCrm {
    async fn attempt(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        if request.text("at") == Some(INTERNAL) {
            return self.internal.attempt(request).await;
        }
        let id = request.text("contact_id").unwrap_or_default();
        let before = self.snapshot_before(request, id).await?;
        let fields = request.argument("fields").as_object().cloned().unwrap_or_default();
        let ask =
            self.rest.request_one(self.rest.config.change.method(), id).json(&self.rest.to_service_fields(&fields));
        let ask = if self.rest.config.idempotency_key { ask.idempotency_key(&request.call.key) } else { ask };
        ask.send(request.call.class).await?;
        Ok(self.output(request, id, &before))
    }

    /// Looks up whether the contact has the requested values.
    async fn look_up(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        if request.text("at") == Some(INTERNAL) {
            return self.internal.look_up(request).await;
        }
        let id = request.text("contact_id").unwrap_or_default();
        let Some(before) = self.stored_snapshot(request).await.map_err(ToolError::into_unknown)? else {
            return Err(ToolError::transient(code::SERVICE_UNAVAILABLE, "nothing was sent"));
        };
        let (contact, _) = self.contact(id).await.map_err(ToolError::into_unknown)?;
        let wanted = request.argument("fields").as_object().into_iter().flatten();
        if let Some((name, _)) = wanted.into_iter().find(|(name, value)| self.rest.field(&contact, name) != *value) {
            return Err(ToolError::transient(code::SERVICE_UNAVAILABLE, format!("`{name}` of `{id}` was not changed")));
        }
        Ok(self.output(request, id, &before))
    }

    fn service<'a>(&'a self, request: &'a PreparedRequest) -> Option<Cow<'a, str>> {
        (request.text("at") != Some(INTERNAL)).then(|| Cow::Owned(self.rest.at()))
    }
}

impl UpdateRestCrm {
    /// Returns the values before this call changed anything, as read the first time.
    async fn snapshot_before(&self, request: &PreparedRequest, id: &str) -> Result<Value, ToolError> {
        check_same_place(request, &self.rest.at())?;
        if let Some(kept) = self.stored_snapshot(request).await? {
            return Ok(kept);
        }
        let (contact, is_there) = self.contact(id).await?;
        let of = |name: &String| (name.clone(), self.rest.field(&contact, name).clone());
        let expected = request.argument("expected");
        let current: Map<String, Value> = names_of(expected).map(of).collect();
        if let Some(reason) = changed(expected, &current) {
            return Err(ToolError::permanent(code::CONTACT_CHANGED, format!("`{id}`: {reason}")));
        }
        let previous: Map<String, Value> = names_of(request.argument("fields")).map(of).collect();
        let value = json!({"run": request.call.run, "previous": previous, "created": !is_there});
        let (space, key) = (SPACE.to_owned(), request.call.key.clone());
        let row = RecordOp::Insert { space, key, value: value.clone() };
        match self.records.commit(&request.call.tenant, vec![row], self.clock.now()).await {
            Ok(()) => Ok(value),
            Err(RecordError::Conflict { found: Some(found), .. }) => Ok(found.value),
            // Nothing has been sent.
            Err(error) => Err(ToolError::transient(code::STORAGE_UNAVAILABLE, error.to_string())),
        }
    }

    async fn stored_snapshot(&self, request: &PreparedRequest) -> Result<Option<Value>, ToolError> {
        let row = self.records.get(&request.call.tenant, SPACE, &request.call.key).await;
        Ok(row.map_err(|error| ToolError::from_read(&error))?.map(|row| row.value))
    }

    /// Returns the contact at the service, and whether it exists.
    async fn contact(&self, id: &str) -> Result<(Value, bool), ToolError> {
        let answer = self.rest.request_one(Method::GET, id).accepting(&[404, 410]).send(EffectClass::Read).await?;
        if matches!(answer.status, 404 | 410) {
            return Ok((Value::Null, false));
        }
        match answer.value() {
            contact @ Value::Object(_) => Ok((contact, true)),
            _ => {
                let message = format!("{} answered {} and no JSON object", answer.from, answer.status);
                Err(ToolError::transient(code::SERVICE_UNAVAILABLE, message))
            }
        }
    }

    fn output(&self, request: &PreparedRequest, id: &str, before: &Value) -> Value {
        json!({
            "contact_id": id, "id": id, "updated": request.argument("fields"), "previous": before["previous"],
            "created": before["created"], "provider": NAME, "at": self.rest.at(),
        })
    }
}
