//! Settings of this crate, written in `baton.toml` under `[tools]`. They are parsed once, and errors are reported
//! then.

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

/// The settings. Every field has a default: with an empty table, every shipped tool works without any external
/// service.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ToolsConfig {
    /// The time zone of a tenant's dates and hours, unless the tenant sets its own.
    pub zone: Option<IanaZone>,
    /// The language for customers whose own language is not known.
    pub language: CustomerLanguage,
    /// Calls at or above this risk require an approval.
    pub approval_from: Option<ToolRisk>,
    /// Who may approve a call, and how many approvals it needs.
    pub approvers: Option<ApproverPolicy>,
    /// How often one tenant may call tools, all tools together.
    pub rate: Option<CallRate>,
    /// By tool: built in, defined or a preset.
    pub tool: BTreeMap<String, ToolSettings>,
    pub calendar: calendar::CalendarConfig,
    pub payment: payment::PaymentConfig,
    pub email: email::EmailConfig,
    pub composio: composio::ComposioConfig,
    /// E-mail templates by name.
    pub templates: BTreeMap<String, email::EmailTemplate>,
    pub message: message::MessageConfig,
    pub crm: crm::CrmConfig,
    pub tickets: ticket::TicketConfig,
    pub knowledge: knowledge::KnowledgeConfig,
    pub outbound: outbound::OutboundConfig,
    /// The databases of `query_database`, by the name that a call uses.
    pub databases: BTreeMap<String, query_database::DatabaseConfig>,
    pub web_search: web_search::WebSearchConfig,
    /// The values of `{{ secrets.NAME }}` in the headers and bodies of defined tools.
    pub secrets: BTreeMap<String, BoundSecret>,
    /// Approval settings for the calls of a workflow, by its name.
    pub workflows: BTreeMap<String, WorkflowApprovals>,
    pub tenants: BTreeMap<TenantId, TenantToolsConfig>,
}

impl ToolsConfig {
    /// Resolves relative paths against this folder, the project's.
    pub fn within(mut self, folder: &Path) -> Self {
        self.databases.values_mut().for_each(|database| database.within(folder));
        let of_tenants = self.tenants.values_mut().filter_map(|tenant| tenant.email.as_mut());
        of_tenants.chain([&mut self.email]).for_each(|email| email.within(folder));
        self
    }

    /// The settings for sources that are added while the system runs. No private address is allowed merely because it
    /// is named. Only the project's own tenant keeps secrets, and only those that are bound to origins.
    #[must_use]
    pub fn for_added_sources(&self, is_own_tenant: bool) -> Self {
        let mut settings = self.clone();
        settings.outbound.trusts_nobody = true;
        settings.secrets.retain(|_, secret| is_own_tenant && secret.is_bound());
        settings
    }

    /// Disables every external service, for tests of workflows.
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

/// The settings that differ for one tenant.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TenantToolsConfig {
    pub zone: Option<IanaZone>,
    pub language: Option<CustomerLanguage>,
    pub approval_from: Option<ToolRisk>,
    pub approvers: Option<ApproverPolicy>,
    /// By workflow. Replaces the shared settings of the same name.
    pub workflows: BTreeMap<String, WorkflowApprovals>,
    pub rate: Option<CallRate>,
    pub tool: BTreeMap<String, ToolPermission>,
    /// Replaces the shared calendar; the two are not merged.
    pub calendar: Option<calendar::CalendarConfig>,
    /// Replaces the shared payment rules; the two are not merged.
    pub payment: Option<payment::PaymentConfig>,
    /// Replaces the shared e-mail settings; the two are not merged.
    pub email: Option<email::EmailConfig>,
    /// The tenant's own templates. Each replaces the shared one of its name.
    pub templates: BTreeMap<String, email::EmailTemplate>,
    /// Replaces the shared message settings; the two are not merged.
    pub message: Option<message::MessageConfig>,
    /// Replaces the shared contact settings; the two are not merged.
    pub crm: Option<crm::CrmConfig>,
    /// Replaces the shared ticket settings; the two are not merged.
    pub tickets: Option<ticket::TicketConfig>,
    /// Replaces the shared knowledge base; the two are not merged.
    pub knowledge: Option<knowledge::KnowledgeConfig>,
}

/// The settings of a tool that hold for all tenants.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ToolSettings {
    /// The default time-out of one attempt, in milliseconds. Pinned with a version when it is saved.
    pub timeout_ms: Option<u64>,
    /// The price of one call, in US dollars.
    pub cost_usd: Option<f64>,
    /// What happens while its service is down: `empty`, `unavailable`, `queue`, `provider NAME` or `manual`. Pinned
    /// with a version when it is saved.
    pub on_unavailable: Option<OnUnavailable>,
    pub enabled: Option<bool>,
    pub approval: Option<bool>,
    pub approvers: Option<ApproverPolicy>,
    pub rate: Option<CallRate>,
    pub cache_seconds: Option<u64>,
    pub defaults: Map<String, Value>,
    pub overrides: Map<String, Value>,
}

/// Approval settings for the calls of one workflow.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkflowApprovals {
    /// Whether each call with side effects requires an approval, whatever its risk.
    pub approval: Option<bool>,
    /// Calls at or above this risk require an approval.
    pub approval_from: Option<ToolRisk>,
    pub approvers: Option<ApproverPolicy>,
}

/// Who may approve a call, how many approvals it needs, and until when.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApproverPolicy {
    /// The number of different people who must approve.
    pub need: NonZeroU32,
    /// The approvers by name. If empty, anybody except the person who requested the call.
    pub from: Vec<String>,
    /// How long they have, in seconds.
    pub deadline_seconds: Option<NonZeroU64>,
    /// What happens at the deadline: `reject` or `approve`.
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

    /// Returns whether meeting this policy also meets the other: at least as many approvals, from the same people or
    /// fewer, and no later deadline.
    fn is_within(&self, other: &Self) -> bool {
        let of_them =
            other.from.is_empty() || (!self.from.is_empty() && self.from.iter().all(|name| other.from.contains(name)));
        let in_time =
            other.deadline_seconds.is_none_or(|theirs| self.deadline_seconds.is_some_and(|own| own <= theirs));
        let rejects = self.on_deadline == OnExpiry::Reject || other.on_deadline == OnExpiry::Approve;
        self.need >= other.need && of_them && in_time && rejects
    }

    /// Returns why the policy can never be met, or `None` if it can.
    pub(crate) fn unsatisfiable_reason(&self) -> Option<String> {
        let (need, have) = (self.need.get() as usize, self.from.iter().collect::<BTreeSet<_>>().len());
        (have > 0 && need > have).then(|| format!("`approvers` needs {need} people and names {have}"))
    }
}

/// The settings of a tool for one tenant. A field that is not set falls back to the settings for all tenants.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ToolPermission {
    pub enabled: Option<bool>,
    /// Whether each call requires an approval, whatever its risk.
    pub approval: Option<bool>,
    /// Who may approve it, and how many approvals it needs.
    pub approvers: Option<ApproverPolicy>,
    /// How often the tenant may call it.
    pub rate: Option<CallRate>,
    /// Further rates that the tenant sets itself. Each rate counts in its own window.
    #[serde(skip)]
    pub(crate) also: BTreeSet<CallRate>,
    /// How long a result stays cached, in seconds; 0 disables the cache. Calls with side effects are never answered
    /// from the cache.
    pub cache_seconds: Option<u64>,
    /// Arguments used if the call does not set them.
    pub defaults: Map<String, Value>,
    /// Arguments used whatever the call sets.
    pub overrides: Map<String, Value>,
}

impl ToolPermission {
    /// Parses the settings as a tenant sets them.
    ///
    /// # Errors
    /// The reason why the value is invalid.
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

    /// Reduces a tenant's own rule to the parts that restrict the settings; it never loosens them. `are_named`: the
    /// settings say who approves the call. `cache`: how long the tool's results are cached.
    pub(crate) fn restricted_for_tenant(self, are_named: bool, cache: Option<Duration>) -> Self {
        Self {
            approval: self.approval.filter(|is_asked| *is_asked),
            approvers: self.approvers.filter(|_| !are_named),
            rate: None,
            also: self.also.into_iter().chain(self.rate).collect(),
            cache_seconds: self.cache_seconds.map(|own| cache.map_or(own, |cache| own.min(cache.as_secs()))),
            ..self
        }
    }

    /// Keeps a rate that a higher role set before: it continues to count, however often a stricter one is set.
    #[must_use]
    pub fn with_floor(mut self, floor: &Self) -> Self {
        self.also.extend(floor.rate);
        self
    }

    /// Returns the first field that permits more than the other rule, which a tenant set too. `None` if this rule is
    /// as strict or stricter.
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

    /// Combines two rules of a tenant, this one for something more specific: no part of the result is looser than the
    /// general rule.
    pub(crate) fn tightened_by(self, general: &Self) -> Self {
        let approvers = match (&self.approvers, &general.approvers) {
            (Some(own), Some(theirs)) if !own.is_within(theirs) => Some(theirs.clone()),
            _ => self.approvers.clone(),
        };
        let rate = match (self.rate, general.rate) {
            (Some(own), Some(theirs)) if !own.is_within(theirs) => Some(theirs),
            (own, _) => own,
        };
        // The general rate also keeps counting beneath a stricter one. Otherwise, setting the specific rate again
        // would start a new count.
        let also = self.also.iter().copied().chain(general.rate).collect();
        let mut overrides = self.overrides.clone();
        overrides.extend(general.overrides.clone());
        Self { approvers, rate, also, overrides, ..self }.intersect(general)
    }

    /// Forbids every call of the tool.
    pub fn denied() -> Self {
        Self { enabled: Some(false), ..Self::default() }
    }

    /// Combines two rules for the same subject: a denial by either applies, and an approval is required if either
    /// asks for it.
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

    /// Fills unset fields from a more general rule.
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
    /// Returns what in it can never be met, with the table it is in.
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
    /// Finds a zone by its IANA name.
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
