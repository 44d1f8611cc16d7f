//! Stage: the tenant is within its rate limits, for the tool and overall.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_core::tool::ToolInvocation;
use baton_ports::journal::JournalError;
use baton_ports::rate_limits::{RateDecision, RateLimit, RateLimitStore, check_names};

use super::EarlyOutcome;
use crate::catalogue::ToolEntry;
use crate::config::ToolPermission;
use crate::rate::{CallRate, CallRateWindow};
use crate::rules::TenantRules;

/// Maximum number of tenants with tracked rates; beyond it, idle tenants are evicted.
const TENANTS_MAX: usize = 10_000;
/// When to retry if the rate limit could not be read.
const UNKNOWN_WAIT: Duration = Duration::from_secs(1);

pub(super) async fn check(
    counter: &dyn RateLimitStore,
    rules: &TenantRules,
    permission: Option<&ToolPermission>,
    call: &ToolInvocation,
    entry: &ToolEntry,
    now: Time,
) -> Result<(), EarlyOutcome> {
    let limits = limits(rules, permission, entry);
    if limits.is_empty() {
        return Ok(());
    }
    match counter.take(&call.tenant, &call.key, &limits, now).await {
        Ok(RateDecision::Now) => Ok(()),
        Ok(RateDecision::After(retry_after)) => Err(EarlyOutcome::RateLimited { retry_after }),
        // A call that cannot be counted is not performed, because the limit may be used up.
        Err(error) => {
            tracing::warn!(%error, tool = call.tool, "the rate limit cannot be counted; the call waits");
            let retry_after = match error {
                JournalError::Busy { retry_after } => retry_after,
                _ => UNKNOWN_WAIT,
            };
            Err(EarlyOutcome::RateLimited { retry_after })
        }
    }
}

/// The rate limits that count this call. Empty if the call is unlimited.
fn limits(rules: &TenantRules, permission: Option<&ToolPermission>, entry: &ToolEntry) -> Vec<RateLimit> {
    let own = permission.and_then(|permission| permission.rate).or(entry.rate).unwrap_or(CallRate::Free);
    let (group, of_group) =
        entry.group_rate.as_ref().map_or((&entry.base, CallRate::Free), |(group, rate)| (group, *rate));
    // Each rate has its own window, so a changed rate starts a new count while the others continue.
    let also = permission.into_iter().flat_map(|permission| &permission.also);
    let also = also.filter_map(|also| also.limit(|| format!("{} {also:?}", entry.base).into()));
    let of_tool = own.limit(|| entry.base.clone());
    // A group that has the same name as a tool still has its own window.
    let of_group = of_group.limit(|| match *group == entry.base {
        true => format!("{group} together").into(),
        false => group.clone(),
    });
    let of_all = rules.rate.unwrap_or(CallRate::Free).limit(|| Arc::from(""));
    of_tool.into_iter().chain(of_group).chain(also).chain(of_all).collect()
}

/// Rate-limit windows of this process, for a registry that shares nothing with other processes.
#[derive(Default)]
pub(crate) struct RateLimiters {
    tenants: Mutex<HashMap<TenantId, HashMap<Arc<str>, CallRateWindow>>>,
}

#[async_trait]
impl RateLimitStore for RateLimiters {
    async fn take(
        &self,
        tenant: &TenantId,
        key: &str,
        limits: &[RateLimit],
        now: Time,
    ) -> Result<RateDecision, JournalError> {
        check_names(limits)?;
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if !tenants.contains_key(tenant) {
            if tenants.len() >= TENANTS_MAX {
                tenants.retain(|_, paces| !paces.values().all(|pace| pace.is_idle(now)));
            }
            tenants.insert(tenant.clone(), HashMap::new());
        }
        let Some(paces) = tenants.get_mut(tenant) else { return Ok(RateDecision::Now) };
        for limit in limits {
            let pace = paces.entry(limit.name.clone()).or_insert_with(|| CallRateWindow::of(limit));
            pace.adopt(limit, now);
            if !pace.has_turn(key, now) {
                return Ok(pace.reserve(key, now));
            }
        }
        for limit in limits {
            if let Some(pace) = paces.get_mut(&limit.name) {
                pace.reserve(key, now);
            }
        }
        Ok(RateDecision::Now)
    }
}

#[cfg(test)]
mod tests {
    use baton_sim::conformance;

    use super::RateLimiters;

    #[tokio::test]
    async fn one_process_alone_counts_as_the_store_does() {
        conformance::rate_limits(async || RateLimiters::default()).await;
    }
}
