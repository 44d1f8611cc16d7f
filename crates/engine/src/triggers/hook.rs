//! Hooks: requests of other services, signed, that begin runs.

use std::time::Duration;

use baton_core::actor;
use baton_core::id::{RunId, TenantId};
use baton_core::time::Time;
use baton_ports::records::{Op, Records};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::signature::Form;
use super::{Error, Firing, Named, Triggers, check_name, filled, find, run_of, save};

/// Where secrets are kept, beside what they sign.
pub const SECRETS: &str = "hook_secret";
/// Seconds that a request may be old, or early, unless told.
pub const TOLERANCE_S: u32 = 300;
const TOLERANCE_S_MAX: u32 = 3_600;
/// Bytes of one request's body.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// Hours that an old secret may be good for beside the new one: thirty days.
pub const OVERLAP_HOURS_MAX: u32 = 720;
/// Bytes of a secret that somebody chose.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 16..=200;
/// What a request is compared with where there is no such hook, so that it takes as long.
const NOBODYS: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
/// Names that an input's templates may use.
const NAMES: [&str; 4] = ["body", "delivery_id", "hook", "received_at"];

/// A workflow to be run at each delivery.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hook {
    pub name: String,
    pub workflow: String,
    #[serde(default)]
    pub form: Form,
    #[serde(default = "tolerance")]
    pub tolerance_s: u32,
    /// What the workflow is given; may have templates with `body`, `delivery_id`, `hook` and `received_at`. The body itself
    /// unless told.
    #[serde(default = "whole")]
    pub input: Value,
    #[serde(default)]
    pub context: Map<String, Value>,
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Defined by the project's folder, which says what becomes of it.
    #[serde(default)]
    pub from_project: bool,
    #[serde(default)]
    pub created_at: Time,
    /// The name of the key that set it last, over HTTP: what it begins is their request.
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

impl Named for Hook {
    const KIND: &'static str = "webhook";
    const SPACE: &'static str = "hook";
    const MAX: usize = 500;

    fn name(&self) -> &str {
        &self.name
    }
}

/// What signs; the old one for a while beside the new one.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Secrets {
    current: String,
    /// The one before, and until when it is good.
    before: Option<(String, Time)>,
}

impl Secrets {
    pub fn new(secret: String) -> Self {
        Self { current: secret, before: None }
    }

    /// Those that are good.
    pub fn good(&self, now: Time) -> Vec<String> {
        let before = self.before.iter().filter(|(_, until)| now < *until).map(|(secret, _)| secret.clone());
        std::iter::once(self.current.clone()).filter(|secret| !secret.is_empty()).chain(before).collect()
    }

    /// Puts another in its place, and lets both be good for so long.
    #[must_use]
    pub fn rotated(self, secret: String, overlap: Duration, now: Time) -> Self {
        let before = (!overlap.is_zero() && !self.current.is_empty()).then(|| (self.current, now + overlap));
        Self { current: secret, before }
    }

    pub async fn read(records: &dyn Records, tenant: &TenantId, space: &str, name: &str) -> Result<Self, Error> {
        let record = records.get(tenant, space, name).await?;
        Ok(record.and_then(|record| serde_json::from_value(record.value).ok()).unwrap_or_default())
    }

    pub fn put(&self, space: &str, name: &str) -> Op {
        Op::Put { space: space.to_owned(), key: name.to_owned(), value: json!(self) }
    }
}

/// A secret that somebody brings: of another service, which chose it.
pub fn check_secret(secret: &str) -> Result<(), Error> {
    let is_one = SECRET_BYTES.contains(&secret.len()) && secret.chars().all(|c| c.is_ascii_graphic());
    if is_one {
        return Ok(());
    }
    let (least, most) = (SECRET_BYTES.start(), SECRET_BYTES.end());
    Err(Error::invalid("secret", format!("it has {least} to {most} visible characters of ASCII")))
}

/// Why a request begins nothing.
#[derive(Debug, thiserror::Error)]
pub enum Rejected {
    /// No such hook, one that is not enabled, or nobody who signed for it now: which is not told.
    #[error("no hook takes this request: its address, its signature or its time is not right")]
    NotSigned,
    #[error("the tenant `{0}` is disabled: nothing is begun for it")]
    Disabled(TenantId),
    #[error("the body is no JSON: {0}")]
    NoJson(serde_json::Error),
    #[error(transparent)]
    Begins(#[from] Error),
}

impl Triggers {
    /// Keeps a hook, new or in place of another. A new one has `secret`.
    ///
    /// # Errors
    /// A field that is not what it may be, or a workflow that is not there.
    pub async fn save_hook(
        &self,
        tenant: &TenantId,
        before: Option<(u64, Hook)>,
        mut hook: Hook,
        secret: Option<String>,
        now: Time,
    ) -> Result<Hook, Error> {
        check_name(&hook.name)?;
        if !(1..=TOLERANCE_S_MAX).contains(&hook.tolerance_s) {
            return Err(Error::invalid("tolerance_s", format!("it is 1 to {TOLERANCE_S_MAX} seconds")));
        }
        if hook.context.contains_key("api_key") {
            return Err(Error::invalid("context", "an `api_key` is written nowhere, so a webhook cannot have one"));
        }
        let params = baton_core::expr::Params::parse(&hook.input, baton_core::expr::Dialect::Edges);
        let params = params.map_err(|error| Error::invalid("input", error.message))?;
        if let Some(unknown) = params.roots().iter().find(|root| !NAMES.contains(&root.as_str())) {
            let why = format!("unknown name `{unknown}`; there are `{}`", NAMES.join("`, `"));
            return Err(Error::invalid("input", why));
        }
        self.version(tenant, &hook.workflow).await?;
        hook.created_at = before.as_ref().map_or(now, |(_, before)| before.created_at);
        let beside = secret.map(|secret| Secrets::new(secret).put(SECRETS, &hook.name)).into_iter().collect();
        save(&*self.records, tenant, before.map(|(version, _)| version), &hook, beside, now).await?;
        Ok(hook)
    }

    /// Gives a hook another secret; the one before stays good for so long.
    pub async fn rotate_hook(
        &self,
        tenant: &TenantId,
        name: &str,
        secret: String,
        overlap: Duration,
        now: Time,
    ) -> Result<(), Error> {
        let (version, hook) = find::<Hook>(&*self.records, tenant, name).await?;
        let secrets = Secrets::read(&*self.records, tenant, SECRETS, name).await?.rotated(secret, overlap, now);
        save(&*self.records, tenant, Some(version), &hook, vec![secrets.put(SECRETS, name)], now).await
    }

    /// Begins the run of a delivery: durable when this returns, and one run however often it is delivered.
    ///
    /// # Errors
    /// [`Rejected::NotSigned`] before anything of the body is believed.
    pub async fn receive<'h>(
        &self,
        tenant: &TenantId,
        name: &str,
        header: impl Fn(&str) -> Option<&'h str>,
        body: &[u8],
        now: Time,
    ) -> Result<RunId, Rejected> {
        let hook = match find::<Hook>(&*self.records, tenant, name).await {
            Ok((_, hook)) => Some(hook).filter(|hook| hook.enabled),
            Err(Error::Unknown { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        // Whoever asks for a hook that is not there is not to know it by the time it takes.
        let secrets = Secrets::read(&*self.records, tenant, SECRETS, name).await?.good(now);
        let nobodys = vec![NOBODYS.to_owned()];
        let (form, tolerance) =
            hook.as_ref().map_or((Form::Standard, TOLERANCE_S), |hook| (hook.form, hook.tolerance_s));
        let tolerance = Duration::from_secs(tolerance.into());
        let against = if secrets.is_empty() { &nobodys } else { &secrets };
        let delivery = form.verify(header, body, against, (now, tolerance));
        let (Some(hook), Some(delivery), false) = (hook, delivery, secrets.is_empty()) else {
            return Err(Rejected::NotSigned);
        };
        // Told only to who signed.
        if !self.engine.roster().tenants().is_open(tenant, now).await.map_err(Error::from)? {
            return Err(Rejected::Disabled(tenant.clone()));
        }
        let said: Value = serde_json::from_slice(body).map_err(Rejected::NoJson)?;
        let run = run_of("hook", tenant, name, hook.created_at, &delivery.id);
        let names = json!({
            "body": said, "delivery_id": delivery.id, "hook": name, "received_at": now.to_string(),
        });
        let input = filled(&hook.input, &names, now)?;
        let mut context = hook.context;
        context.insert("hook".to_owned(), name.into());
        context.insert("delivery_id".to_owned(), delivery.id.into());
        let by = format!("{} {name}", actor::WEBHOOK);
        let set_up_by = hook.set_by.into_iter().collect();
        let firing = Firing { run: run.clone(), workflow: &hook.workflow, input, context, by, set_up_by };
        self.begin(tenant, firing).await?;
        Ok(run)
    }
}
