//! `update_crm`: contacts and their fields, kept in this installation.

use std::sync::Arc;

use async_trait::async_trait;
use baton_core::tool::{Class, Compensation, Facts};
use baton_ports::clock::Clock;
use baton_ports::records::{Op, Records};
use serde_json::{Map, Value, json};

use crate::catalogue::{Action, Entry, Risk};
use crate::code;
use crate::failure::Failure;
use crate::keyed::{Act, Rejected};
use crate::request::Request;
use crate::shipped::TIMEOUT;
use crate::tool::Tool;

const SPACE: &str = "contacts";
/// Fields of one update.
const FIELDS_MAX: usize = 100;
/// How often a contact may change under our hands before we give up.
const TRIES_MAX: usize = 5;

pub(crate) fn entry(records: &Arc<dyn Records>, clock: &Arc<dyn Clock>) -> Entry {
    let facts = Facts {
        description: "Sets fields of a contact; a field set to null is taken away".to_owned(),
        compensation: Some(Compensation {
            tool_name: "update_crm".to_owned(),
            parameters: json!({"contact_id": "{{ output.contact_id }}", "fields": "{{ output.previous }}"}),
        }),
        output_fields: ["contact_id", "id", "updated", "previous", "created", "provider"].map(str::to_owned).into(),
        parameters: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["contact_id", "fields"],
            "properties": {
                "contact_id": {
                    "type": "string", "minLength": 1, "maxLength": 320,
                    "description": "Who: an id, a phone number or an e-mail address",
                },
                "fields": {"type": "object", "maxProperties": FIELDS_MAX},
                "user_id": {"type": ["string", "null"], "maxLength": 200},
            },
        }),
        ..Facts::new(Class::Keyed, TIMEOUT)
    };
    let tool = UpdateCrm { records: records.clone(), clock: clock.clone() };
    Entry::new("update_crm", "crm", "internal", Action::new(facts, "tool_execution", Risk::Medium), Arc::new(tool))
}

struct UpdateCrm {
    records: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl Tool for UpdateCrm {
    async fn attempt(&self, request: &Request) -> Result<Value, Failure> {
        let act = Act::new(&*self.records, request);
        if let Some(output) = act.recorded().await? {
            return Ok(output);
        }
        let id = request.text("contact_id").unwrap_or_default();
        for _ in 0..TRIES_MAX {
            let contact = self.records.get(&request.call.tenant, SPACE, id).await;
            let contact = contact.map_err(|error| Failure::unreadable(&error))?;
            let (version, mut value) =
                contact.map(|contact| (Some(contact.version), contact.value)).unwrap_or_default();
            let fields = value.as_object_mut().map(std::mem::take).unwrap_or_default();
            let (fields, previous) = updated(fields, request.argument("fields"));
            let output = json!({
                "contact_id": id, "id": id, "updated": request.argument("fields"), "previous": previous,
                "created": version.is_none(), "provider": "internal",
            });
            let (space, key, value) = (SPACE.to_owned(), id.to_owned(), Value::Object(fields));
            let op = match version {
                Some(version) => Op::CompareAndSet { space, key, version, value },
                None => Op::Insert { space, key, value },
            };
            match act.commit(vec![op], output, self.clock.now()).await {
                Ok(output) => return Ok(output),
                Err(Rejected::Conflict { .. }) => {}
                Err(Rejected::Failed(failure)) => return Err(failure),
            }
        }
        Err(Failure::later(
            code::CONTACT_CHANGED,
            format!("the contact changed {TRIES_MAX} times while it was written"),
        ))
    }
}

/// The contact's fields with the changes, and what the changed ones were: null where there was nothing, so that setting
/// them to what they were takes them away again.
fn updated(mut fields: Map<String, Value>, changes: &Value) -> (Map<String, Value>, Map<String, Value>) {
    let mut previous = Map::new();
    for (name, value) in changes.as_object().into_iter().flatten() {
        let before = match value {
            Value::Null => fields.remove(name),
            value => fields.insert(name.clone(), value.clone()),
        };
        previous.insert(name.clone(), before.unwrap_or_default());
    }
    (fields, previous)
}

#[cfg(test)]
mod tests;
