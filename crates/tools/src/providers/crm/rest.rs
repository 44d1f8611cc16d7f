//! Contacts at a service of somebody else's.
//!
//! What a field was is read before it is changed, and kept under the effect's key: sent again after a lost answer, the
//! change itself is not taken for what was there before.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use baton_core::tool::Class;
use baton_ports::clock::Clock;
use baton_ports::records::{Error, Op, Records};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{changed, names_of};
use crate::code;
use crate::failure::Failure;
use crate::providers::rest::{INTERNAL, NAME, Rest, stays};
use crate::request::Request;
use crate::tool::Tool;

/// Where contacts are unless the settings say.
pub(super) const ONE: &str = "contacts/{id}";
/// What contacts were, by the effect's key.
const SPACE: &str = "contacts_before";

pub(super) struct AtRest {
    pub(super) rest: Rest,
    pub(super) records: Arc<dyn Records>,
    pub(super) clock: Arc<dyn Clock>,
    /// For what was changed before the service was chosen.
    pub(super) internal: Arc<dyn Tool>,
}

#[async_trait]
impl Tool for AtRest {
    async fn attempt(&self, request: &Request) -> Result<Value, Failure> {
        if request.text("at") == Some(INTERNAL) {
            return self.internal.attempt(request).await;
        }
        let id = request.text("contact_id").unwrap_or_default();
        let before = self.before(request, id).await?;
        let fields = request.argument("fields").as_object().cloned().unwrap_or_default();
        let ask = self.rest.one(self.rest.config.change.method(), id).json(&self.rest.told(&fields));
        let ask = if self.rest.config.idempotency_key { ask.keyed(&request.call.key) } else { ask };
        ask.send(request.call.class).await?;
        Ok(self.output(request, id, &before))
    }

    /// Whether the contact is what it was to become.
    async fn look_up(&self, request: &Request) -> Result<Value, Failure> {
        if request.text("at") == Some(INTERNAL) {
            return self.internal.look_up(request).await;
        }
        let id = request.text("contact_id").unwrap_or_default();
        let Some(before) = self.kept(request).await.map_err(Failure::undecided)? else {
            return Err(Failure::later(code::SERVICE_UNAVAILABLE, "nothing was sent"));
        };
        let (contact, _) = self.contact(id).await.map_err(Failure::undecided)?;
        let wanted = request.argument("fields").as_object().into_iter().flatten();
        if let Some((name, _)) = wanted.into_iter().find(|(name, value)| self.rest.field(&contact, name) != *value) {
            return Err(Failure::later(code::SERVICE_UNAVAILABLE, format!("`{name}` of `{id}` was not changed")));
        }
        Ok(self.output(request, id, &before))
    }

    fn service<'a>(&'a self, request: &'a Request) -> Option<Cow<'a, str>> {
        (request.text("at") != Some(INTERNAL)).then(|| Cow::Owned(self.rest.at()))
    }
}

impl AtRest {
    /// What the fields were before this call changed any, as it was read the first time.
    async fn before(&self, request: &Request, id: &str) -> Result<Value, Failure> {
        stays(request, &self.rest.at())?;
        if let Some(kept) = self.kept(request).await? {
            return Ok(kept);
        }
        let (contact, is_there) = self.contact(id).await?;
        let of = |name: &String| (name.clone(), self.rest.field(&contact, name).clone());
        let expected = request.argument("expected");
        let current: Map<String, Value> = names_of(expected).map(of).collect();
        if let Some(reason) = changed(expected, &current) {
            return Err(Failure::refused(code::CONTACT_CHANGED, format!("`{id}`: {reason}")));
        }
        let previous: Map<String, Value> = names_of(request.argument("fields")).map(of).collect();
        let value = json!({"run": request.call.run, "previous": previous, "created": !is_there});
        let (space, key) = (SPACE.to_owned(), request.call.key.clone());
        let row = Op::Insert { space, key, value: value.clone() };
        match self.records.commit(&request.call.tenant, vec![row], self.clock.now()).await {
            Ok(()) => Ok(value),
            Err(Error::Conflict { found: Some(found), .. }) => Ok(found.value),
            // Nothing has been sent.
            Err(error) => Err(Failure::later(code::STORAGE_UNAVAILABLE, error.to_string())),
        }
    }

    async fn kept(&self, request: &Request) -> Result<Option<Value>, Failure> {
        let row = self.records.get(&request.call.tenant, SPACE, &request.call.key).await;
        Ok(row.map_err(|error| Failure::unreadable(&error))?.map(|row| row.value))
    }

    /// The contact as the service has it, and whether it has it.
    async fn contact(&self, id: &str) -> Result<(Value, bool), Failure> {
        let answer = self.rest.one(Method::GET, id).accepting(&[404, 410]).send(Class::Read).await?;
        if matches!(answer.status, 404 | 410) {
            return Ok((Value::Null, false));
        }
        match answer.value() {
            contact @ Value::Object(_) => Ok((contact, true)),
            _ => {
                let message = format!("{} answered {} and no JSON object", answer.from, answer.status);
                Err(Failure::later(code::SERVICE_UNAVAILABLE, message))
            }
        }
    }

    fn output(&self, request: &Request, id: &str, before: &Value) -> Value {
        json!({
            "contact_id": id, "id": id, "updated": request.argument("fields"), "previous": before["previous"],
            "created": before["created"], "provider": NAME, "at": self.rest.at(),
        })
    }
}
