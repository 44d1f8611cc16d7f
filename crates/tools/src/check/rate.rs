//! Stage: the tenant has a turn, at the tool and in all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_core::tool::Call;

use super::Stopped;
use crate::catalogue::Entry;
use crate::config::Permission;
use crate::rate::{Pace, Rate};
use crate::rules::TenantRules;

/// Tenants whose turns are remembered before the idle are forgotten.
const TENANTS_MAX: usize = 10_000;

/// What tenants have had of their limits, in this process.
#[derive(Default)]
pub(crate) struct Paces {
    tenants: Mutex<HashMap<TenantId, Tenant>>,
}

#[derive(Default)]
struct Tenant {
    whole: Option<Pace>,
    tools: HashMap<Arc<str>, Option<Pace>>,
}

pub(super) fn check(
    paces: &Paces,
    rules: &TenantRules,
    permission: Option<&Permission>,
    call: &Call,
    entry: &Entry,
    now: Time,
) -> Result<(), Stopped> {
    let own = permission.and_then(|permission| permission.rate).or(entry.rate).unwrap_or(Rate::Free);
    let whole = rules.rate.unwrap_or(Rate::Free);
    if own == Rate::Free && whole == Rate::Free {
        return Ok(());
    }
    let asked = paces.ask(&call.tenant, &entry.base, [own, whole], &call.key, now);
    asked.map_err(|retry_after| Stopped::RateLimited { retry_after })
}

impl Paces {
    /// A turn at the tool and one in all, or neither.
    fn ask(
        &self,
        tenant: &TenantId,
        tool: &Arc<str>,
        [own, whole]: [Rate; 2],
        key: &str,
        now: Time,
    ) -> Result<(), Duration> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if !tenants.contains_key(tenant) {
            if tenants.len() >= TENANTS_MAX {
                tenants.retain(|_, paces| !paces.is_idle(now));
            }
            tenants.insert(tenant.clone(), Tenant::default());
        }
        let Some(paces) = tenants.get_mut(tenant) else { return Ok(()) };
        if !paces.tools.contains_key(tool) {
            paces.tools.insert(tool.clone(), None);
        }
        let own = paces.tools.get_mut(tool).and_then(|kept| pace(kept, own));
        let mut both = [own, pace(&mut paces.whole, whole)];
        if let Some(full) = both.iter_mut().flatten().find(|pace| !pace.has_turn(key, now)) {
            return full.ask(key, now);
        }
        both.into_iter().flatten().try_for_each(|pace| pace.ask(key, now))
    }
}

/// The one that is kept, begun where there is none.
fn pace(kept: &mut Option<Pace>, rate: Rate) -> Option<&mut Pace> {
    if kept.is_none() {
        *kept = Pace::of(rate);
    }
    kept.as_mut()
}

impl Tenant {
    fn is_idle(&self, now: Time) -> bool {
        self.tools.values().chain([&self.whole]).flatten().all(|pace| pace.is_idle(now))
    }
}
