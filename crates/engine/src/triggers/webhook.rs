//! Incoming webhooks: signed requests of other services that start runs.

use std::time::Duration;

use baton_core::actor;
use baton_core::id::{RunId, TenantId};
use baton_core::time::Time;
use baton_ports::records::{RecordOp, RecordStore};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::signature::SignatureScheme;
use super::{
    NamedDefinition, TriggerError, TriggerService, TriggeredRun, check_name, find, render_input, save, trigger_run_id,
};

/// Record space of the secrets, which are stored apart from the definitions.
pub const SECRETS: &str = "hook_secret";
/// Default for the maximum age of a request, or its lead, in seconds.
pub const TOLERANCE_S: u32 = 300;
const TOLERANCE_S_MAX: u32 = 3_600;
/// Maximum size of a request body, in bytes.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// Maximum number of hours that an old secret stays valid after a rotation: thirty days.
pub const OVERLAP_HOURS_MAX: u32 = 720;
/// Length of a user-chosen secret, in bytes.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 16..=200;
/// The secret that a request is compared with if the webhook does not exist, so that the response takes as long.
const DUMMY_SECRET: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
/// Names that an input's templates may use.
const NAMES: [&str; 4] = ["body", "delivery_id", "hook", "received_at"];

/// Runs a workflow for each delivery.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookTrigger {
    pub name: String,
    pub workflow: String,
    #[serde(default)]
    pub form: SignatureScheme,
    #[serde(default = "tolerance")]
    pub tolerance_s: u32,
    /// The workflow's input; may contain templates with `body`, `delivery_id`, `hook` and `received_at`. Default: the
    /// body itself.
    #[serde(default = "whole")]
    pub input: Value,
    #[serde(default)]
    pub context: Map<String, Value>,
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Defined by the project's folder, which controls its changes.
    #[serde(default)]
    pub from_project: bool,
    #[serde(default)]
    pub created_at: Time,
    /// The name of the key that last set it over HTTP: that person counts as the requester of its runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_by: Option<String>,
}

fn tolerance() -> u32 {
    TOLERANCE_S
}

fn whole() -> Value {
    "{{ body }}".into()
}

fn yes() -> bool {
    true
}

impl NamedDefinition for WebhookTrigger {
    const KIND: &'static str = "webhook";
    const SPACE: &'static str = "hook";
    const MAX: usize = 500;

    fn name(&self) -> &str {
        &self.name
    }
}

/// The signing secrets; after a rotation the old one stays valid for a while.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SigningSecrets {
    current: String,
    /// The previous secret, and until when it is valid.
    before: Option<(String, Time)>,
}

impl SigningSecrets {
    pub fn new(secret: String) -> Self {
        Self { current: secret, before: None }
    }

    /// The secrets valid at this time.
    pub fn valid_at(&self, now: Time) -> Vec<String> {
        let before = self.before.iter().filter(|(_, until)| now < *until).map(|(secret, _)| secret.clone());
        std::iter::once(self.current.clone()).filter(|secret| !secret.is_empty()).chain(before).collect()
    }

    /// Replaces the secret; both are valid for the overlap.
    #[must_use]
    pub fn rotated(self, secret: String, overlap: Duration, now: Time) -> Self {
        let before = (!overlap.is_zero() && !self.current.is_empty()).then(|| (self.current, now + overlap));
        Self { current: secret, before }
    }

    pub async fn read(
        records: &dyn RecordStore,
        tenant: &TenantId,
        space: &str,
        name: &str,
    ) -> Result<Self, TriggerError> {
        let record = records.get(tenant, space, name).await?;
        Ok(record.and_then(|record| serde_json::from_value(record.value).ok()).unwrap_or_default())
    }

    pub fn put(&self, space: &str, name: &str) -> RecordOp {
        RecordOp::Put { space: space.to_owned(), key: name.to_owned(), value: json!(self) }
    }
}

/// Checks a user-provided secret, which may have been chosen by another service.
pub fn check_secret(secret: &str) -> Result<(), TriggerError> {
    let is_one = SECRET_BYTES.contains(&secret.len()) && secret.chars().all(|c| c.is_ascii_graphic());
    if is_one {
        return Ok(());
    }
    let (least, most) = (SECRET_BYTES.start(), SECRET_BYTES.end());
    Err(TriggerError::invalid("secret", format!("it has {least} to {most} visible characters of ASCII")))
}

/// The reason why a request starts nothing.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The webhook does not exist or is disabled, or the signature is not valid now; the caller is not told which.
    #[error("no hook takes this request: its address, its signature or its time is not right")]
    NotSigned,
    #[error("the tenant `{0}` is disabled: nothing is begun for it")]
    Disabled(TenantId),
    #[error("the body is no JSON: {0}")]
    InvalidJson(serde_json::Error),
    #[error(transparent)]
    Trigger(#[from] TriggerError),
}

impl TriggerService {
    /// Creates or replaces a webhook. A new one gets `secret`.
    ///
    /// # Errors
    /// A field is invalid, or the workflow does not exist.
    pub async fn save_webhook(
        &self,
        tenant: &TenantId,
        before: Option<(u64, WebhookTrigger)>,
        mut hook: WebhookTrigger,
        secret: Option<String>,
        now: Time,
    ) -> Result<WebhookTrigger, TriggerError> {
        check_name(&hook.name)?;
        if !(1..=TOLERANCE_S_MAX).contains(&hook.tolerance_s) {
            return Err(TriggerError::invalid("tolerance_s", format!("it is 1 to {TOLERANCE_S_MAX} seconds")));
        }
        if hook.context.contains_key("api_key") {
            return Err(TriggerError::invalid(
                "context",
                "an `api_key` is written nowhere, so a webhook cannot have one",
            ));
        }
        let params = baton_expr::ParamsTemplate::parse(&hook.input, baton_expr::ParamsDialect::Edges);
        let params = params.map_err(|error| TriggerError::invalid("input", error.message))?;
        if let Some(unknown) = params.roots().iter().find(|root| !NAMES.contains(&root.as_str())) {
            let why = format!("unknown name `{unknown}`; there are `{}`", NAMES.join("`, `"));
            return Err(TriggerError::invalid("input", why));
        }
        self.version(tenant, &hook.workflow).await?;
        hook.created_at = before.as_ref().map_or(now, |(_, before)| before.created_at);
        let beside = secret.map(|secret| SigningSecrets::new(secret).put(SECRETS, &hook.name)).into_iter().collect();
        save(&*self.records, tenant, before.map(|(version, _)| version), &hook, beside, now).await?;
        Ok(hook)
    }

    /// Gives a webhook a new secret; the previous one stays valid for the overlap.
    pub async fn rotate_webhook(
        &self,
        tenant: &TenantId,
        name: &str,
        secret: String,
        overlap: Duration,
        now: Time,
    ) -> Result<(), TriggerError> {
        let (version, hook) = find::<WebhookTrigger>(&*self.records, tenant, name).await?;
        let secrets = SigningSecrets::read(&*self.records, tenant, SECRETS, name).await?.rotated(secret, overlap, now);
        save(&*self.records, tenant, Some(version), &hook, vec![secrets.put(SECRETS, name)], now).await
    }

    /// Starts the run of a delivery: durable when this returns, and one run however often it is delivered.
    ///
    /// # Errors
    /// [`WebhookError::NotSigned`] before anything in the body is trusted.
    pub async fn receive<'h>(
        &self,
        tenant: &TenantId,
        name: &str,
        header: impl Fn(&str) -> Option<&'h str>,
        body: &[u8],
        now: Time,
    ) -> Result<RunId, WebhookError> {
        let hook = match find::<WebhookTrigger>(&*self.records, tenant, name).await {
            Ok((_, hook)) => Some(hook).filter(|hook| hook.enabled),
            Err(TriggerError::Unknown { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        // The response time must not reveal whether a webhook exists.
        let secrets = SigningSecrets::read(&*self.records, tenant, SECRETS, name).await?.valid_at(now);
        let nobodys = vec![DUMMY_SECRET.to_owned()];
        let (form, tolerance) =
            hook.as_ref().map_or((SignatureScheme::Standard, TOLERANCE_S), |hook| (hook.form, hook.tolerance_s));
        let tolerance = Duration::from_secs(tolerance.into());
        let against = if secrets.is_empty() { &nobodys } else { &secrets };
        let delivery = form.verify(header, body, against, (now, tolerance));
        let (Some(hook), Some(delivery), false) = (hook, delivery, secrets.is_empty()) else {
            return Err(WebhookError::NotSigned);
        };
        // Revealed only to a sender with a valid signature.
        if !self.engine.agent_registry().tenants().is_enabled(tenant, now).await.map_err(TriggerError::from)? {
            return Err(WebhookError::Disabled(tenant.clone()));
        }
        let said: Value = serde_json::from_slice(body).map_err(WebhookError::InvalidJson)?;
        let run = trigger_run_id("hook", tenant, name, hook.created_at, &delivery.id);
        let names = json!({
            "body": said, "delivery_id": delivery.id, "hook": name, "received_at": now.to_string(),
        });
        let input = render_input(&hook.input, &names, now)?;
        let mut context = hook.context;
        context.insert("hook".to_owned(), name.into());
        context.insert("delivery_id".to_owned(), delivery.id.into());
        let by = format!("{} {name}", actor::WEBHOOK);
        let set_up_by = hook.set_by.into_iter().collect();
        let firing = TriggeredRun { run: run.clone(), workflow: &hook.workflow, input, context, by, set_up_by };
        self.begin(tenant, firing).await?;
        Ok(run)
    }
}
