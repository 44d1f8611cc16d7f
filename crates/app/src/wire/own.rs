//! What tenants set while the system runs, into the hands of those who go by it.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_engine::settings::{Hands, Setting, TENANT, Topic};
use baton_models::budget::{Limits, Own, Purse};
use baton_tools::{Permission, Registry};

use crate::sources::{self, Added};

/// Whoever goes by it in one process.
pub struct All {
    pub tools: Arc<Registry>,
    pub purse: Purse,
    pub added: Arc<Added>,
    /// The project's own tenant.
    pub house: TenantId,
}

#[async_trait]
impl Hands for All {
    fn check(&self, topic: Topic, value: &serde_json::Value) -> Result<(), String> {
        match topic {
            Topic::Tool => Permission::read(value).map(drop),
            Topic::Budget => Limits::read(value).map(drop),
            Topic::Source => sources::check(value),
        }
    }

    fn loosens(&self, topic: Topic, from: &serde_json::Value, to: &serde_json::Value) -> Option<String> {
        match topic {
            Topic::Tool => match (Permission::read(from), Permission::read(to)) {
                (Ok(from), Ok(to)) => to.loosens(&from),
                // One that cannot be read lets nothing through.
                (Err(_), _) => Some("what was set cannot be read here".to_owned()),
                (_, Err(why)) => Some(why),
            },
            // Admins alone set these.
            Topic::Budget | Topic::Source => (from != to).then(|| "an admin sets these".to_owned()),
        }
    }

    async fn take(&self, all: &[Setting]) {
        let mut rules: BTreeMap<TenantId, BTreeMap<Arc<str>, Permission>> = BTreeMap::new();
        let mut own = Own { house: Some(self.house.clone()), ..Own::default() };
        let mut added = Vec::new();
        for setting in all {
            match setting.topic {
                Topic::Tool => {
                    // What a newer binary wrote and this one cannot read lets nothing through.
                    let rule = read(setting, Permission::read).unwrap_or_else(Permission::none);
                    let floor = setting.floor.as_ref().map(|floor| Permission::read(&floor.value));
                    let rule = match floor {
                        Some(Ok(floor)) => rule.above(&floor),
                        Some(Err(_)) => Permission::none(),
                        None => rule,
                    };
                    rules.entry(setting.tenant.clone()).or_default().insert(setting.name.as_str().into(), rule);
                }
                Topic::Budget => {
                    let Some(limits) = read(setting, Limits::read) else { continue };
                    match setting.name == TENANT {
                        true => own.tenants.insert(setting.tenant.to_string(), limits),
                        false => own.keys.insert(setting.name.clone(), limits),
                    };
                }
                Topic::Source => added.push(setting),
            }
        }
        self.tools.rule(rules);
        self.purse.limits().set(&own);
        self.added.take(&added).await;
    }
}

fn read<T>(setting: &Setting, read: impl Fn(&serde_json::Value) -> Result<T, String>) -> Option<T> {
    read(&setting.value)
        .inspect_err(
            |why| tracing::warn!(tenant = %setting.tenant, name = setting.name, why, "a setting cannot be read"),
        )
        .ok()
}
