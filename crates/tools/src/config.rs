//! Settings of this room, as `baton.toml` writes them under `[tools]`. Parsed once; what is wrong is said there.

mod secret;

use std::collections::{BTreeMap, BTreeSet};
use std::num::{NonZeroU32, NonZeroU64};
use std::path::Path;
use std::time::Duration;

use baton_core::id::TenantId;
use baton_core::run::OnExpiry;
use baton_core::tool::OnUnavailable;
use jiff::tz::TimeZone;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::catalogue::ToolRisk;
use crate::composio;
use crate::kinds::{query_database, web_search};
use crate::language::CustomerLanguage;
use crate::outbound;
use crate::providers::memory::knowledge;
use crate::providers::{calendar, crm, email, message, payment, ticket};
use crate::rate::CallRate;

pub use secret::{BoundSecret, SecretString, named_secret, secret_env_var};
pub(crate) use secret::{SendableSecrets, origin_of};

/// Everything has a default: an empty table makes every shipped tool work, with nothing outside this process.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ToolsConfig {
    /// The zone in which a tenant's dates and hours are, unless the tenant has its own.
    pub zone: Option<IanaZone>,
    /// The language customers are spoken to in where their own is not known.
    pub language: CustomerLanguage,
    /// Calls at or above this risk wait for a person.
    pub approval_from: Option<ToolRisk>,
    /// Who may allow a call that waits, and how many of them must.
    pub approvers: Option<ApproverPolicy>,
    /// How often one tenant may call tools in all.
    pub rate: Option<CallRate>,
    /// By tool: built in, defined or a preset.
    pub tool: BTreeMap<String, ToolSettings>,
    pub calendar: calendar::CalendarConfig,
    pub payment: payment::PaymentConfig,
    pub email: email::EmailConfig,
    pub composio: composio::ComposioConfig,
    /// Templates of e-mails, by name.
    pub templates: BTreeMap<String, email::EmailTemplate>,
    pub message: message::MessageConfig,
    pub crm: crm::CrmConfig,
    pub tickets: ticket::TicketConfig,
    pub knowledge: knowledge::KnowledgeConfig,
    pub outbound: outbound::OutboundConfig,
    /// What `query_database` may ask, by the name a call says.
    pub databases: BTreeMap<String, query_database::DatabaseConfig>,
    pub web_search: web_search::WebSearchConfig,
    /// What `{{ secrets.NAME }}` in the headers and bodies of defined tools stands for.
    pub secrets: BTreeMap<String, BoundSecret>,
    /// What holds for calls of a workflow, by its name.
    pub workflows: BTreeMap<String, WorkflowApprovals>,
    pub tenants: BTreeMap<TenantId, TenantToolsConfig>,
}

impl ToolsConfig {
    /// Reads relative paths as within this folder: the project's.
    pub fn within(mut self, folder: &Path) -> Self {
        self.databases.values_mut().for_each(|database| database.within(folder));
        let of_tenants = self.tenants.values_mut().filter_map(|tenant| tenant.email.as_mut());
        of_tenants.chain([&mut self.email]).for_each(|email| email.within(folder));
        self
    }

    /// What sources go by that somebody adds while the system runs: no address may be private for being named, and of the
    /// secrets the project's own tenant alone has those that are bound to origins.
    #[must_use]
    pub fn for_added_sources(&self, is_own_tenant: bool) -> Self {
        let mut settings = self.clone();
        settings.outbound.trusts_nobody = true;
        settings.secrets.retain(|_, secret| is_own_tenant && secret.is_bound());
        settings
    }

    /// The same tools with no service outside: what a test of workflows may call.
    pub fn disable_external_services(&mut self) {
        self.email = email::EmailConfig::default();
        self.message = message::MessageConfig::default();
        self.knowledge = knowledge::KnowledgeConfig::default();
        (self.crm, self.tickets) = (crm::CrmConfig::default(), ticket::TicketConfig::default());
        self.payment.force_internal();
        self.calendar.provider = calendar::CalendarProviderKind::Internal;
        for tenant in self.tenants.values_mut() {
            (tenant.email, tenant.message, tenant.knowledge) = (None, None, None);
            (tenant.crm, tenant.tickets) = (None, None);
            tenant.payment.iter_mut().for_each(payment::PaymentConfig::force_internal);
            if let Some(calendar) = &mut tenant.calendar {
                calendar.provider = calendar::CalendarProviderKind::Internal;
            }
        }
        self.composio = composio::ComposioConfig::default();
        self.databases.clear();
        self.web_search = web_search::WebSearchConfig::default();
    }
}

/// What one tenant has differently.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TenantToolsConfig {
    pub zone: Option<IanaZone>,
    pub language: Option<CustomerLanguage>,
    pub approval_from: Option<ToolRisk>,
    pub approvers: Option<ApproverPolicy>,
    /// By workflow; in place of what holds for everybody's of that name.
    pub workflows: BTreeMap<String, WorkflowApprovals>,
    pub rate: Option<CallRate>,
    pub tool: BTreeMap<String, ToolPermission>,
    /// In place of the shared calendar, not merged with it.
    pub calendar: Option<calendar::CalendarConfig>,
    /// In place of the shared payment rules, not merged with them.
    pub payment: Option<payment::PaymentConfig>,
    /// In place of the shared e-mail, not merged with it.
    pub email: Option<email::EmailConfig>,
    /// Templates of the tenant's own, each in place of the shared one of its name.
    pub templates: BTreeMap<String, email::EmailTemplate>,
    /// In place of the shared messages, not merged with them.
    pub message: Option<message::MessageConfig>,
    /// In place of the shared contacts, not merged with them.
    pub crm: Option<crm::CrmConfig>,
    /// In place of the shared tickets, not merged with them.
    pub tickets: Option<ticket::TicketConfig>,
    /// In place of the shared knowledge base, not merged with it.
    pub knowledge: Option<knowledge::KnowledgeConfig>,
}

/// What may be said of a tool for everybody.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ToolSettings {
    /// The default time-out of one attempt, in milliseconds. Pinned with a version when it is saved.
    pub timeout_ms: Option<u64>,
    /// The price of one call, in US dollars.
    pub cost_usd: Option<f64>,
    /// What is done while its service is down: `empty`, `unavailable`, `queue`, `provider NAME` or `manual`. Pinned with a
    /// version when it is saved.
    pub on_unavailable: Option<OnUnavailable>,
    pub enabled: Option<bool>,
    pub approval: Option<bool>,
    pub approvers: Option<ApproverPolicy>,
    pub rate: Option<CallRate>,
    pub cache_seconds: Option<u64>,
    pub defaults: Map<String, Value>,
    pub overrides: Map<String, Value>,
}

/// What may be said of the calls of one workflow.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkflowApprovals {
    /// Whether each call that acts waits for a person, whatever its risk.
    pub approval: Option<bool>,
    /// Calls at or above this risk wait for a person.
    pub approval_from: Option<ToolRisk>,
    pub approvers: Option<ApproverPolicy>,
}

/// Who may allow a call, how many of them must, and until when.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApproverPolicy {
    /// How many different people.
    pub need: NonZeroU32,
    /// Who may, by name; empty: anybody but who asked for the call.
    pub from: Vec<String>,
    /// How long they have.
    pub deadline_seconds: Option<NonZeroU64>,
    /// What holds then: `reject`, or `approve`.
    pub on_deadline: OnExpiry,
}

impl Default for ApproverPolicy {
    fn default() -> Self {
        Self { need: NonZeroU32::MIN, from: Vec::new(), deadline_seconds: None, on_deadline: OnExpiry::Reject }
    }
}

impl ApproverPolicy {
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.deadline_seconds.map(|seconds| Duration::from_secs(seconds.get()))
    }

    /// Whether whoever meets it meets the other too: as many people, of the same or fewer, and no later.
    fn is_within(&self, other: &Self) -> bool {
        let of_them =
            other.from.is_empty() || (!self.from.is_empty() && self.from.iter().all(|name| other.from.contains(name)));
        let in_time =
            other.deadline_seconds.is_none_or(|theirs| self.deadline_seconds.is_some_and(|own| own <= theirs));
        let rejects = self.on_deadline == OnExpiry::Reject || other.on_deadline == OnExpiry::Approve;
        self.need >= other.need && of_them && in_time && rejects
    }

    /// Why nobody could ever meet it, where that is so.
    pub(crate) fn unsatisfiable_reason(&self) -> Option<String> {
        let (need, have) = (self.need.get() as usize, self.from.iter().collect::<BTreeSet<_>>().len());
        (have > 0 && need > have).then(|| format!("`approvers` needs {need} people and names {have}"))
    }
}

/// What may be said of a tool for one tenant. Unsaid, what holds for everybody holds.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ToolPermission {
    pub enabled: Option<bool>,
    /// Whether each call waits for a person, whatever its risk.
    pub approval: Option<bool>,
    /// Who may allow it then, and how many of them must.
    pub approvers: Option<ApproverPolicy>,
    /// How often the tenant may call it.
    pub rate: Option<CallRate>,
    /// How often besides, as the tenant sets itself: each rate that holds counts in a window of its own.
    #[serde(skip)]
    pub(crate) also: BTreeSet<CallRate>,
    /// How long an answer holds, in seconds; 0 keeps none. What acts is never answered from what is kept.
    pub cache_seconds: Option<u64>,
    /// Arguments used where a call does not say.
    pub defaults: Map<String, Value>,
    /// Arguments used whatever a call says.
    pub overrides: Map<String, Value>,
}

impl ToolPermission {
    /// As a tenant sets it.
    ///
    /// # Errors
    /// Why it is none.
    pub fn read(value: &Value) -> Result<Self, String> {
        let read: Self = serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
        if read.approval == Some(false) {
            return Err(
                "`approval`: a tenant may ask for leave where the settings do not, and not the other way".to_owned()
            );
        }
        match &read.approvers {
            Some(approvers) if approvers.on_deadline == OnExpiry::Approve => {
                Err("`approvers`: what nobody decides is rejected; `on_deadline: approve` is for the settings"
                    .to_owned())
            }
            approvers => {
                approvers.as_ref().and_then(ApproverPolicy::unsatisfiable_reason).map_or(Ok(read.clone()), Err)
            }
        }
    }

    /// What of a tenant's own rule holds beside the settings, which it never opens. `are_named`: they say who allows the call;
    /// `cache`: how long the tool's answers hold.
    pub(crate) fn as_tenant_restriction(self, are_named: bool, cache: Option<Duration>) -> Self {
        Self {
            approval: self.approval.filter(|is_asked| *is_asked),
            approvers: self.approvers.filter(|_| !are_named),
            rate: None,
            also: self.also.into_iter().chain(self.rate).collect(),
            cache_seconds: self.cache_seconds.map(|own| cache.map_or(own, |cache| own.min(cache.as_secs()))),
            ..self
        }
    }

    /// The same, where a higher role set this rate before: it goes on counting, however often a stricter one is set anew.
    #[must_use]
    pub fn with_floor(mut self, floor: &Self) -> Self {
        self.also.extend(floor.rate);
        self
    }

    /// What of it lets through that the other, set by a tenant too, does not; nothing where it is as strict or stricter.
    pub fn loosened_field(&self, other: &Self) -> Option<String> {
        let word = |field: &str, why: &str| Some(format!("`{field}`: {why}"));
        if other.enabled == Some(false) && self.enabled != Some(false) {
            return word("enabled", "it stays `false`");
        }
        if other.approval == Some(true) && self.approval != Some(true) {
            return word("approval", "it stays `true`");
        }
        if let Some(theirs) = &other.approvers
            && !self.approvers.as_ref().is_some_and(|own| own.is_within(theirs))
        {
            return word("approvers", "as many people, of the same ones or fewer, within the same time or less");
        }
        if let Some(theirs) = other.rate
            && !self.rate.is_some_and(|own| own.is_within(theirs))
        {
            return word("rate", &format!("it stays `{theirs}` or less"));
        }
        if let Some(theirs) = other.cache_seconds
            && self.cache_seconds.is_none_or(|own| own > theirs)
        {
            return word("cache_seconds", &format!("it stays {theirs} or less"));
        }
        for (field, theirs, own) in
            [("defaults", &other.defaults, &self.defaults), ("overrides", &other.overrides, &self.overrides)]
        {
            if let Some((name, _)) = theirs.iter().find(|(name, value)| own.get(*name) != Some(value)) {
                return word(field, &format!("`{name}` stays as it is"));
            }
        }
        None
    }

    /// What holds where both are a tenant's own and this one is said of something more special: no part of it is looser than
    /// the general one.
    pub(crate) fn tightened_by(self, general: &Self) -> Self {
        let approvers = match (&self.approvers, &general.approvers) {
            (Some(own), Some(theirs)) if !own.is_within(theirs) => Some(theirs.clone()),
            _ => self.approvers.clone(),
        };
        let rate = match (self.rate, general.rate) {
            (Some(own), Some(theirs)) if !own.is_within(theirs) => Some(theirs),
            (own, _) => own,
        };
        // The general one counts on beneath a stricter one, or who sets the special one anew would begin to count anew.
        let also = self.also.iter().copied().chain(general.rate).collect();
        let mut overrides = self.overrides.clone();
        overrides.extend(general.overrides.clone());
        Self { approvers, rate, also, overrides, ..self }.intersect(general)
    }

    /// Keeps a tool from being called.
    pub fn denied() -> Self {
        Self { enabled: Some(false), ..Self::default() }
    }

    /// What holds where both are said of the same: a no of either, and a person's leave where either asks for it.
    pub(crate) fn intersect(self, other: &Self) -> Self {
        let either = |one: Option<bool>, other: Option<bool>, is: bool| match one == Some(is) || other == Some(is) {
            true => Some(is),
            false => one.or(other),
        };
        let cache_seconds = match (self.cache_seconds, other.cache_seconds) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        Self {
            enabled: either(self.enabled, other.enabled, false),
            approval: either(self.approval, other.approval, true),
            cache_seconds,
            ..self.with_fallback(other)
        }
    }

    /// What holds where the other is said of something more general.
    pub(crate) fn with_fallback(mut self, general: &Self) -> Self {
        let fill = |own: &mut Map<String, Value>, general: &Map<String, Value>| {
            for (name, value) in general {
                if !own.contains_key(name) {
                    own.insert(name.clone(), value.clone());
                }
            }
        };
        fill(&mut self.defaults, &general.defaults);
        fill(&mut self.overrides, &general.overrides);
        Self {
            enabled: self.enabled.or(general.enabled),
            approval: self.approval.or(general.approval),
            approvers: self.approvers.or_else(|| general.approvers.clone()),
            rate: self.rate.or(general.rate),
            also: self.also.union(&general.also).copied().collect(),
            cache_seconds: self.cache_seconds.or(general.cache_seconds),
            ..self
        }
    }
}

impl ToolsConfig {
    /// What in it can never be met, by the table it is in.
    pub(crate) fn unsatisfiable_reason(&self) -> Option<String> {
        let own =
            |approvers: &Option<ApproverPolicy>| approvers.as_ref().and_then(ApproverPolicy::unsatisfiable_reason);
        let tools = self.tool.values().map(|tool| &tool.approvers);
        let workflows = self.workflows.values().map(|rule| &rule.approvers);
        let tenants = self.tenants.values().flat_map(|tenant| {
            let tools = tenant.tool.values().map(|tool| &tool.approvers);
            tools.chain(tenant.workflows.values().map(|rule| &rule.approvers)).chain([&tenant.approvers])
        });
        tools.chain(workflows).chain(tenants).chain([&self.approvers]).find_map(own)
    }
}

/// An IANA time zone.
#[derive(Clone, Debug, PartialEq)]
pub struct IanaZone(TimeZone);

impl IanaZone {
    /// By its IANA name.
    pub fn from_name(name: &str) -> Option<Self> {
        TimeZone::get(name).ok().map(Self)
    }

    pub fn zone(&self) -> &TimeZone {
        &self.0
    }

    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }
}

impl<'de> Deserialize<'de> for IanaZone {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = String::deserialize(from)?;
        Self::from_name(&name).ok_or_else(|| {
            D::Error::custom(format!("unknown time zone `{name}`; use an IANA name such as `Europe/Madrid`"))
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn refused(given: Value, expect: &str) {
        let error = serde_json::from_value::<ToolsConfig>(given).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    }

    #[test]
    fn what_is_not_known_is_refused_by_name() {
        refused(json!({"zoen": "UTC"}), "zoen");
        refused(json!({"zone": "Europe/Madird"}), "unknown time zone `Europe/Madird`");
        refused(json!({"language": "fr"}), "fr");
        refused(json!({"tool": {"send_email": {"timeout": 3}}}), "timeout");
        refused(json!({"approvers": {"need": 0}}), "nonzero");
        refused(json!({"workflows": {"booking": {"approve": true}}}), "approve");
        refused(json!({"calendar": {"hours": {"monday": ["18:00-09:00"]}}}), "18:00-09:00");
    }

    #[test]
    fn a_secret_is_never_shown() {
        let config: ToolsConfig = serde_json::from_value(json!({"secrets": {"crm": "s3cr3t"}})).unwrap();
        assert!(!format!("{config:?}").contains("s3cr3t"));
    }
}
