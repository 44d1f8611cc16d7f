//! Settings of this room, as `baton.toml` writes them under `[tools]`. Parsed once; what is wrong is said there.

use std::collections::BTreeMap;
use std::fmt;

use baton_core::id::TenantId;
use jiff::tz::TimeZone;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::catalogue::Risk;
use crate::language::Language;
use crate::outbound;
use crate::providers::{calendar, email, payment};
use crate::rate::Rate;

/// Everything has a default: an empty table makes every shipped tool work, with nothing outside this process.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The zone in which a tenant's dates and hours are, unless the tenant has its own.
    pub zone: Option<Zone>,
    /// The language customers are spoken to in where their own is not known.
    pub language: Language,
    /// Calls at or above this risk wait for a person.
    pub approval_from: Option<Risk>,
    /// How often one tenant may call tools in all.
    pub rate: Option<Rate>,
    /// By tool: built in, defined or a preset.
    pub tool: BTreeMap<String, Tuning>,
    pub calendar: calendar::Config,
    pub payment: payment::Config,
    pub email: email::Config,
    pub outbound: outbound::Config,
    /// What `{{ secrets.NAME }}` in the headers and bodies of defined tools stands for.
    pub secrets: BTreeMap<String, Secret>,
    pub tenants: BTreeMap<TenantId, Tenant>,
}

/// What one tenant has differently.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tenant {
    pub zone: Option<Zone>,
    pub language: Option<Language>,
    pub approval_from: Option<Risk>,
    pub rate: Option<Rate>,
    pub tool: BTreeMap<String, Permission>,
    /// In place of the shared calendar, not merged with it.
    pub calendar: Option<calendar::Config>,
    /// In place of the shared payment rules, not merged with them.
    pub payment: Option<payment::Config>,
}

/// What may be said of a tool for everybody.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tuning {
    /// The default time-out of one attempt, in milliseconds. Pinned with a version when it is saved.
    pub timeout_ms: Option<u64>,
    /// The price of one call, in US dollars.
    pub cost_usd: Option<f64>,
    pub enabled: Option<bool>,
    pub approval: Option<bool>,
    pub rate: Option<Rate>,
    pub cache_seconds: Option<u64>,
    pub defaults: Map<String, Value>,
    pub overrides: Map<String, Value>,
}

/// What may be said of a tool for one tenant. Unsaid, what holds for everybody holds.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Permission {
    pub enabled: Option<bool>,
    /// Whether each call waits for a person, whatever its risk.
    pub approval: Option<bool>,
    /// How often the tenant may call it.
    pub rate: Option<Rate>,
    /// How long an answer holds, in seconds; 0 keeps none. What acts is never answered from what is kept.
    pub cache_seconds: Option<u64>,
    /// Arguments used where a call does not say.
    pub defaults: Map<String, Value>,
    /// Arguments used whatever a call says.
    pub overrides: Map<String, Value>,
}

/// An IANA time zone.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone(TimeZone);

impl Zone {
    /// By its IANA name.
    pub fn named(name: &str) -> Option<Self> {
        TimeZone::get(name).ok().map(Self)
    }

    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = String::deserialize(from)?;
        Self::named(&name).ok_or_else(|| {
            D::Error::custom(format!("unknown time zone `{name}`; use an IANA name such as `Europe/Madrid`"))
        })
    }
}

/// Text that is never shown: not in logs, errors or debug output.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, for the one call that needs it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[REDACTED]")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn refused(given: Value, expect: &str) {
        let error = serde_json::from_value::<Config>(given).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    }

    #[test]
    fn what_is_not_known_is_refused_by_name() {
        refused(json!({"zoen": "UTC"}), "zoen");
        refused(json!({"zone": "Europe/Madird"}), "unknown time zone `Europe/Madird`");
        refused(json!({"language": "fr"}), "fr");
        refused(json!({"tool": {"send_email": {"timeout": 3}}}), "timeout");
        refused(json!({"calendar": {"hours": {"monday": ["18:00-09:00"]}}}), "18:00-09:00");
    }

    #[test]
    fn a_secret_is_never_shown() {
        let config: Config = serde_json::from_value(json!({"secrets": {"crm": "s3cr3t"}})).unwrap();
        assert!(!format!("{config:?}").contains("s3cr3t"));
    }
}
