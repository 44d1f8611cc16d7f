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
    let group = entry.group_rate.as_ref().map_or((None, Rate::Free), |(group, rate)| (Some(group), *rate));
    let also = permission.and_then(|permission| permission.also).unwrap_or(Rate::Free);
    // Counted under a name of its own, so that one that is set anew counts anew.
    let name: Option<Arc<str>> = (also != Rate::Free).then(|| format!("{} {also:?}", entry.base).into());
    let limits = [(Some(&entry.base), own), group, (name.as_ref(), also), (None, whole)];
    if limits.iter().all(|(_, rate)| *rate == Rate::Free) {
        return Ok(());
    }
    let asked = paces.ask(&call.tenant, &limits, &call.key, now);
    asked.map_err(|retry_after| Stopped::RateLimited { retry_after })
}

/// What a limit counts, by its name, or all calls together; and the limit.
type Limit<'l> = (Option<&'l Arc<str>>, Rate);

impl Paces {
    /// A turn within every limit, or none.
    fn ask(&self, tenant: &TenantId, limits: &[Limit<'_>], key: &str, now: Time) -> Result<(), Duration> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if !tenants.contains_key(tenant) {
            if tenants.len() >= TENANTS_MAX {
                tenants.retain(|_, paces| !paces.is_idle(now));
            }
            tenants.insert(tenant.clone(), Tenant::default());
        }
        let Some(paces) = tenants.get_mut(tenant) else { return Ok(()) };
        for limit in limits {
            if let Some(full) = paces.pace(*limit).filter(|pace| !pace.has_turn(key, now)) {
                return full.ask(key, now);
            }
        }
        limits.iter().try_for_each(|limit| paces.pace(*limit).map_or(Ok(()), |pace| pace.ask(key, now)))
    }
}

impl Tenant {
    /// The one that is kept, begun where there is none and there is something to count.
    fn pace(&mut self, (name, rate): Limit<'_>) -> Option<&mut Pace> {
        if rate == Rate::Free {
            return None;
        }
        let kept = match name {
            Some(name) => {
                if !self.tools.contains_key(name) {
                    self.tools.insert(name.clone(), None);
                }
                self.tools.get_mut(name)?
            }
            None => &mut self.whole,
        };
        if kept.is_none() {
            *kept = Pace::of(rate);
        }
        kept.as_mut()
    }

    fn is_idle(&self, now: Time) -> bool {
        self.tools.values().chain([&self.whole]).flatten().all(|pace| pace.is_idle(now))
    }
}
