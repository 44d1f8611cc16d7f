//! Applies settings that tenants change while the system runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_engine::settings::{SettingConsumer, SettingTopic, TENANT, TenantSetting};
use baton_models::budget::{BudgetLedger, SpendLimits, TenantBudgets};
use baton_tools::{ToolPermission, ToolRegistry};

use crate::sources::{self, TenantSources};

/// The components of one process that use tenant settings.
pub struct SettingConsumers {
    pub tools: Arc<ToolRegistry>,
    pub budget: BudgetLedger,
    pub tenant_sources: Arc<TenantSources>,
    /// The project's own tenant.
    pub own_tenant: TenantId,
}

#[async_trait]
impl SettingConsumer for SettingConsumers {
    fn check(&self, topic: SettingTopic, value: &serde_json::Value) -> Result<(), String> {
        match topic {
            SettingTopic::Tool => ToolPermission::read(value).map(drop),
            SettingTopic::Budget => SpendLimits::read(value).map(drop),
            SettingTopic::Source => sources::check(value),
        }
    }

    fn loosens(&self, topic: SettingTopic, from: &serde_json::Value, to: &serde_json::Value) -> Option<String> {
        match topic {
            SettingTopic::Tool => match (ToolPermission::read(from), ToolPermission::read(to)) {
                (Ok(from), Ok(to)) => to.loosened_field(&from),
                // A setting that cannot be read rejects everything.
                (Err(_), _) => Some("what was set cannot be read here".to_owned()),
                (_, Err(why)) => Some(why),
            },
            // Only admins change these.
            SettingTopic::Budget | SettingTopic::Source => (from != to).then(|| "an admin sets these".to_owned()),
        }
    }

    async fn apply(&self, all: &[TenantSetting]) {
        let mut rules: BTreeMap<TenantId, BTreeMap<Arc<str>, ToolPermission>> = BTreeMap::new();
        let mut own = TenantBudgets { server_tenant: Some(self.own_tenant.clone()), ..TenantBudgets::default() };
        let mut added = Vec::new();
        for setting in all {
            match setting.topic {
                SettingTopic::Tool => {
                    // A setting that a newer binary wrote and this one cannot read rejects everything.
                    let rule = read(setting, ToolPermission::read).unwrap_or_else(ToolPermission::denied);
                    let floor = setting.floor.as_ref().map(|floor| ToolPermission::read(&floor.value));
                    let rule = match floor {
                        Some(Ok(floor)) => rule.with_floor(&floor),
                        Some(Err(_)) => ToolPermission::denied(),
                        None => rule,
                    };
                    rules.entry(setting.tenant.clone()).or_default().insert(setting.name.as_str().into(), rule);
                }
                SettingTopic::Budget => {
                    let Some(limits) = read(setting, SpendLimits::read) else { continue };
                    match setting.name == TENANT {
                        true => own.tenants.insert(setting.tenant.to_string(), limits),
                        false => own.keys.insert(setting.name.clone(), limits),
                    };
                }
                SettingTopic::Source => added.push(setting),
            }
        }
        self.tools.set_tenant_permissions(rules);
        self.budget.limits().set(&own);
        self.tenant_sources.apply_settings(&added).await;
    }
}

fn read<T>(setting: &TenantSetting, read: impl Fn(&serde_json::Value) -> Result<T, String>) -> Option<T> {
    read(&setting.value)
        .inspect_err(
            |why| tracing::warn!(tenant = %setting.tenant, name = setting.name, why, "a setting cannot be read"),
        )
        .ok()
}
