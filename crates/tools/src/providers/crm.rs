//! `update_crm`: contacts and their fields, at an external service if one is configured, otherwise stored in this
//! installation.

mod rest;

use std::sync::Arc;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::identifier::Identifier;
use baton_core::tool::{EffectClass, ToolCompensation, ToolContract};
use baton_ports::clock::Clock;
use baton_ports::records::{RecordOp, RecordStore};
use serde::Deserialize;
use serde_json::{Map, Value, json};

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

const SPACE: &str = "contacts";
/// Maximum number of fields of one update.
const FIELDS_MAX: usize = 100;
/// Maximum number of attempts when a concurrent writer changes the contact.
const TRIES_MAX: usize = 5;

/// Where contacts are stored. Default: the external service, if one is configured.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CrmConfig {
    pub rest: Option<RestConfig>,
}

const OFFERED: &[ProviderOption] = &[
    ProviderOption::free(INTERNAL, &[]),
    ProviderOption::free(service::NAME, &["crm.rest.base_url", "crm.rest.token"]),
];

pub(crate) fn entry(
    config: &ToolsConfig,
    records: &Arc<dyn RecordStore>,
    clock: &Arc<dyn Clock>,
    outbound: &Arc<OutboundClient>,
) -> Result<ToolEntry, ToolSetupError> {
    let settings = ByTenant::read(config, config.crm.clone(), |tenant| tenant.crm.clone());
    let internal: Arc<dyn ToolHandler> = Arc::new(UpdateCrm { records: records.clone(), clock: clock.clone() });
    let performers = settings.try_map(|place, settings| {
        let Some(chosen) = &settings.rest else {
            let tool = AccountBoundTool::bind_to_account(internal.clone(), ProviderAccount::Internal, records, clock);
            return Ok(ToolPerformer::new(INTERNAL, EffectClass::Keyed, tool));
        };
        let class = if chosen.idempotency_key { EffectClass::Keyed } else { EffectClass::Verify };
        let token = match RestClient::token(chosen, &format!("{place}.crm"), &config.secrets) {
            Ok(token) => token,
            Err(setting) => return Ok(ToolPerformer::unavailable(service::NAME, class, setting)),
        };
        let account = ProviderAccount::of(service::NAME, &chosen.base_url, &token);
        let rest = RestClient::new(chosen, token, rest::ONE, outbound.clone());
        let rest = rest.map_err(|reason| ToolSetupError::Setting { place: "crm.rest", reason })?;
        let (records, clock, internal) = (records.clone(), clock.clone(), internal.clone());
        let tool = rest::UpdateRestCrm { rest, records: records.clone(), clock: clock.clone(), internal };
        Ok::<_, ToolSetupError>(ToolPerformer::new(
            service::NAME,
            class,
            AccountBoundTool::bind_to_account(Arc::new(tool), account, &records, &clock),
        ))
    })?;
    let action = ActionSpec::new(facts(), "tool_execution", ToolRisk::Medium);
    Ok(ToolEntry::with_performers("update_crm", "crm", performers, action).with_offers(OFFERED))
}

fn facts() -> ToolContract {
    let outputs = ["contact_id", "id", "updated", "previous", "created", "provider", "at"];
    ToolContract {
        description: "Sets fields of a contact; a field set to null is taken away".to_owned(),
        compensation: Some(ToolCompensation {
            tool_name: "update_crm".to_owned(),
            parameters: json!({
                "contact_id": "{{ output.contact_id }}", "fields": "{{ output.previous }}",
                "expected": "{{ output.updated }}", "at": "{{ output.at }}",
            }),
        }),
        output_fields: outputs.map(str::to_owned).into(),
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
                "expected": {
                    "type": ["object", "null"], "maxProperties": FIELDS_MAX,
                    "description": "Changes nothing unless these fields are what is said here; null: not there",
                },
                "at": {
                    "type": ["string", "null"], "maxLength": 2_000,
                    "description": "Where the contact must be: what an earlier result says under `at`",
                },
                "user_id": {"type": ["string", "null"], "maxLength": 200},
            },
        }),
        ..ToolContract::new(EffectClass::Keyed, TIMEOUT)
    }
}

/// Fields of a contact that identify a person.
const IDENTIFIERS: &[&str] =
    &["email", "e_mail", "mail", "correo", "phone", "mobile", "whatsapp", "telefono", "teléfono"];

/// Returns other identifiers of a person, from the contact of that id stored in this installation. Values that others
/// may share, such as a four-digit extension, are omitted.
///
/// # Errors
/// The store cannot be read.
pub async fn identifiers_of(
    records: &dyn RecordStore,
    tenant: &TenantId,
    person: &str,
) -> Result<Vec<String>, baton_ports::records::RecordError> {
    let contact = records.get(tenant, SPACE, person).await?.map(|contact| contact.value).unwrap_or_default();
    let fields = contact.as_object().into_iter().flatten();
    let told = fields.filter(|(name, _)| IDENTIFIERS.contains(&name.to_lowercase().as_str()));
    let told = told.filter_map(|(_, value)| value.as_str().map(str::trim));
    Ok(told.filter(|text| Identifier::of(text).is_some()).map(str::to_owned).collect())
}

struct UpdateCrm {
    records: Arc<dyn RecordStore>,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl ToolHandler for UpdateCrm {
    async fn attempt(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        let act = IdempotentAct::new(&*self.records, request);
        if let Some(output) = act.recorded().await? {
            return Ok(output);
        }
        check_same_place(request, INTERNAL)?;
        let id = request.text("contact_id").unwrap_or_default();
        for _ in 0..TRIES_MAX {
            let contact = self.records.get(&request.call.tenant, SPACE, id).await;
            let contact = contact.map_err(|error| ToolError::from_read(&error))?;
            let (version, mut value) =
                contact.map(|contact| (Some(contact.version), contact.value)).unwrap_or_default();
            let fields = value.as_object_mut().map(std::mem::take).unwrap_or_default();
            if let Some(reason) = changed(request.argument("expected"), &fields) {
                return Err(ToolError::permanent(code::CONTACT_CHANGED, format!("`{id}`: {reason}")));
            }
            let (fields, previous) = updated(fields, request.argument("fields"));
            let output = json!({
                "contact_id": id, "id": id, "updated": request.argument("fields"), "previous": previous,
                "created": version.is_none(), "provider": INTERNAL, "at": INTERNAL,
            });
            // If undoing removes the last field, the contact is deleted, as before its first field was set.
            let is_nothing = fields.is_empty() && request.argument("expected").is_object();
            let (space, key, value) = (SPACE.to_owned(), id.to_owned(), Value::Object(fields));
            let op = match version {
                Some(version) => RecordOp::CompareAndSet { space, key, version, value },
                None => RecordOp::Insert { space, key, value },
            };
            let gone = is_nothing.then(|| RecordOp::Delete { space: SPACE.to_owned(), key: id.to_owned() });
            match act.commit(std::iter::once(op).chain(gone).collect(), output, self.clock.now()).await {
                Ok(output) => return Ok(output),
                Err(ActError::Conflict { .. }) => {}
                Err(ActError::Failed(failure)) => return Err(failure),
            }
        }
        Err(ToolError::transient(
            code::CONTACT_CHANGED,
            format!("the contact changed {TRIES_MAX} times while it was written"),
        ))
    }

    /// Called if another tenant's service makes the tool `verify`: the key's row gives a certain answer.
    async fn look_up(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        IdempotentAct::new(&*self.records, request).look_up().await
    }
}

/// The names of the fields, if there are any.
fn names_of(fields: &Value) -> impl Iterator<Item = &String> {
    fields.as_object().into_iter().flat_map(Map::keys)
}

/// Returns the first difference from the expected values, if any.
fn changed(expected: &Value, current: &Map<String, Value>) -> Option<String> {
    let expected = expected.as_object()?;
    let other = expected.iter().find(|(name, value)| current.get(*name).unwrap_or(&Value::Null) != *value);
    other.map(|(name, _)| format!("`{name}` was changed since, and stays as it is"))
}

/// Returns the contact's fields with the changes applied, and the previous values of the changed fields. A field that
/// did not exist has the previous value null, so that restoring it removes the field.
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
