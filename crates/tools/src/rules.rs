//! The settings that apply to one tenant.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use baton_core::id::TenantId;
use baton_core::tool::{Caller, ToolInvocation};

use crate::catalogue::{ToolEntry, ToolIndex, ToolRisk};
use crate::config::{ApproverPolicy, TenantToolsConfig, ToolPermission, ToolsConfig, WorkflowApprovals};
use crate::language::CustomerLanguage;
use crate::rate::CallRate;

/// The rules of every tenant, computed once.
#[derive(Clone, Debug)]
pub(crate) struct ToolRules {
    shared: TenantRules,
    tenants: BTreeMap<TenantId, TenantRules>,
}

/// The rules of one tenant.
#[derive(Clone, Debug)]
pub(crate) struct TenantRules {
    zone: Option<Arc<str>>,
    utc: Arc<str>,
    language: CustomerLanguage,
    pub(crate) approval_from: Option<ToolRisk>,
    pub(crate) approvers: Option<ApproverPolicy>,
    workflows: BTreeMap<String, WorkflowApprovals>,
    /// How often the tenant may call tools, all tools together.
    pub(crate) rate: Option<CallRate>,
    tools: BTreeMap<Arc<str>, ToolPermission>,
    /// Rules that the tenant itself has set.
    tenant_permissions: BTreeMap<Arc<str>, ToolPermission>,
}

impl ToolRules {
    pub(crate) fn new(config: &ToolsConfig) -> Self {
        let permission = |tool: &crate::config::ToolSettings| ToolPermission {
            enabled: tool.enabled,
            approval: tool.approval,
            approvers: tool.approvers.clone(),
            rate: tool.rate,
            also: BTreeSet::new(),
            cache_seconds: tool.cache_seconds,
            defaults: tool.defaults.clone(),
            overrides: tool.overrides.clone(),
        };
        let shared = TenantRules {
            zone: config.zone.as_ref().map(|zone| zone.name().into()),
            utc: "UTC".into(),
            language: config.language,
            approval_from: config.approval_from,
            approvers: config.approvers.clone(),
            workflows: config.workflows.clone(),
            rate: config.rate,
            tools: config.tool.iter().map(|(name, tool)| (name.as_str().into(), permission(tool))).collect(),
            tenant_permissions: BTreeMap::new(),
        };
        let tenants = config.tenants.iter().map(|(id, tenant)| (id.clone(), shared.with(tenant))).collect();
        Self { shared, tenants }
    }

    /// Returns the same rules, with those that tenants have set themselves.
    pub(crate) fn with_tenant_permissions(&self, own: BTreeMap<TenantId, BTreeMap<Arc<str>, ToolPermission>>) -> Self {
        let mut rules = self.clone();
        for (tenant, own) in own {
            let of_files = self.of(&tenant).clone();
            rules.tenants.insert(tenant, TenantRules { tenant_permissions: own, ..of_files });
        }
        rules
    }

    pub(crate) fn of(&self, tenant: &TenantId) -> &TenantRules {
        self.tenants.get(tenant).unwrap_or(&self.shared)
    }
}

impl TenantRules {
    fn with(&self, tenant: &TenantToolsConfig) -> Self {
        let mut rules = self.clone();
        rules.zone = tenant.zone.as_ref().map(|zone| zone.name().into()).or(rules.zone);
        rules.language = tenant.language.unwrap_or(rules.language);
        rules.approval_from = tenant.approval_from.or(rules.approval_from);
        rules.approvers = tenant.approvers.clone().or(rules.approvers);
        rules.workflows.extend(tenant.workflows.clone());
        rules.rate = tenant.rate.or(rules.rate);
        for (name, own) in &tenant.tool {
            let rule = rules.tools.entry(name.as_str().into()).or_default();
            rule.enabled = own.enabled.or(rule.enabled);
            rule.approval = own.approval.or(rule.approval);
            rule.approvers = own.approvers.clone().or_else(|| rule.approvers.take());
            rule.rate = own.rate.or(rule.rate);
            rule.cache_seconds = own.cache_seconds.or(rule.cache_seconds);
            rule.defaults.extend(own.defaults.clone());
            rule.overrides.extend(own.overrides.clone());
        }
        rules
    }

    /// Returns the rule for a call, whatever name of the tool the settings use. Rules for equivalent names all apply.
    /// Rules for the tool that this is a preset of, or for all tools of its app (`app.*`), apply to fields not set
    /// more specifically. The tenant's own rules apply in addition: they may restrict the settings, but never extend
    /// them.
    pub(crate) fn tool(
        &self,
        catalogue: &ToolIndex,
        call: &ToolInvocation,
        entry: &ToolEntry,
    ) -> Option<Cow<'_, ToolPermission>> {
        let of_files = permission_for(
            &self.tools,
            catalogue,
            call,
            entry,
            (ToolPermission::intersect, ToolPermission::with_fallback),
        );
        // A specific rule permits nothing that the tenant's more general rule forbids.
        let Some(own) = permission_for(
            &self.tenant_permissions,
            catalogue,
            call,
            entry,
            (ToolPermission::tightened_by, ToolPermission::tightened_by),
        ) else {
            return of_files;
        };
        let by_tool = of_files.as_ref().is_some_and(|files| files.approvers.is_some());
        let by_workflow = self.workflow(&call.workflow).is_some_and(|rule| rule.approvers.is_some());
        let own =
            own.into_owned().restricted_for_tenant(by_tool || by_workflow || self.approvers.is_some(), entry.cache);
        Some(Cow::Owned(of_files.map_or_else(ToolPermission::default, Cow::into_owned).intersect(&own)))
    }

    /// Returns the rule for the calls of a workflow.
    pub(crate) fn workflow(&self, name: &str) -> Option<&WorkflowApprovals> {
        self.workflows.get(name)
    }

    /// Returns the tenant's zone; if the settings have none, the zone of the run is used.
    pub(crate) fn zone(&self, caller: &Caller) -> Arc<str> {
        match (&self.zone, &caller.zone) {
            (None, Some(zone)) => zone.as_str().into(),
            (Some(zone), _) => zone.clone(),
            (None, None) => self.utc.clone(),
        }
    }

    /// Returns the caller's own language if messages exist in it, else the tenant's.
    pub(crate) fn language(&self, caller: &Caller) -> CustomerLanguage {
        caller.language.as_deref().and_then(CustomerLanguage::of_tag).unwrap_or(self.language)
    }
}

/// Merges two rules.
type PermissionMerge = fn(ToolPermission, &ToolPermission) -> ToolPermission;

/// Merges the rules for a call, by every name of what it does: equivalent names, and more general ones.
fn permission_for<'r>(
    said: &'r BTreeMap<Arc<str>, ToolPermission>,
    catalogue: &ToolIndex,
    call: &ToolInvocation,
    entry: &ToolEntry,
    (same, general): (PermissionMerge, PermissionMerge),
) -> Option<Cow<'r, ToolPermission>> {
    if said.is_empty() {
        return None;
    }
    let of = |name: &str| said.get(name);
    let own = catalogue.equivalent_names(call, entry).into_iter().filter_map(of);
    let own = own.map(Cow::Borrowed).reduce(|all, one| Cow::Owned(same(all.into_owned(), &one)));
    let base = (entry.base != entry.name).then(|| of(&entry.base)).flatten();
    let app = entry.name.split_once('.').and_then(|(app, _)| of(&format!("{app}.*")));
    let generals = base.into_iter().chain(app).map(Cow::Borrowed);
    own.into_iter().chain(generals).reduce(|special, one| Cow::Owned(general(special.into_owned(), &one)))
}

#[cfg(test)]
mod tests;
