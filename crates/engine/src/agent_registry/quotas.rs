//! Rate limits of tenants: requests and started runs per minute and per hour of UTC, over all processes.
//!
//! A process reserves part of a window as a slice, durably and before it uses it, and never more than the window has
//! left. All processes together therefore admit no more than the limit. What a process reserved and did not use is lost
//! when the window ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::records::{self, RecordOp, RecordStore};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::Mutex;

use super::tiers::TierRate;

const SPACE: &str = "tier_rate";
/// A process reserves at most this fraction of a window at once.
const SLICE_PART: u32 = 16;
/// Attempts to reserve a slice under concurrent reservations.
const ATTEMPTS_MAX: u32 = 20;
/// Number of tenants with cached slices above which slices of past windows are dropped.
const SLICES_MAX: usize = 10_000;

/// A limit and its current state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaStatus {
    /// Requests per window.
    pub limit: u32,
    /// `minute` or `hour`.
    pub per: &'static str,
    /// Requests left in the window, as far as this process knows.
    pub remaining: u32,
    /// Time until the next window starts.
    pub resets_in: Duration,
}

/// The reason why no quota was granted.
#[derive(Debug, thiserror::Error)]
pub enum QuotaError {
    #[error(
        "the tier `{tier}` lets this tenant ask {} times in one {}, and that is used up; the next turn is in {} s",
        .standing.limit, .standing.per, .standing.resets_in.as_millis().div_ceil(1_000)
    )]
    Exceeded { tier: String, standing: QuotaStatus },
    #[error("how often this tenant has asked cannot be told: {0}")]
    Records(#[from] records::RecordError),
}

/// The slices that this process has reserved.
pub(super) struct TierQuotas {
    records: Arc<dyn RecordStore>,
    slices: Mutex<BTreeMap<(TenantId, &'static str), QuotaSlice>>,
}

#[derive(Clone, Copy, Default)]
struct QuotaSlice {
    begins: Time,
    /// Units reserved by this process and not used yet.
    reserved: u32,
    /// Units of the window that no process had reserved at the last read.
    unreserved: u32,
}

/// The stored state of a window.
#[derive(Default, Serialize, Deserialize)]
struct QuotaRecord {
    begins_ms: i64,
    taken: u32,
}

#[derive(Clone, Copy)]
struct QuotaWindow {
    per: &'static str,
    lasts: Duration,
    limit: u32,
}

impl QuotaWindow {
    fn begins(self, now: Time) -> Time {
        let lasts = i64::try_from(self.lasts.as_millis()).unwrap_or(i64::MAX);
        Time::from_ms(now.as_ms().div_euclid(lasts) * lasts)
    }

    fn status(self, slice: QuotaSlice, now: Time) -> QuotaStatus {
        let (limit, per) = (self.limit, self.per);
        let remaining = slice.reserved.saturating_add(slice.unreserved).min(limit);
        QuotaStatus { limit, per, remaining, resets_in: (slice.begins + self.lasts).since(now) }
    }
}

impl TierQuotas {
    pub(super) fn new(records: Arc<dyn RecordStore>) -> Self {
        Self { records, slices: Mutex::default() }
    }

    /// Takes one unit from every window that has a limit. Returns the window with the least left, or the one that is
    /// used up.
    pub(super) async fn take(
        &self,
        tenant: &TenantId,
        rate: TierRate,
        now: Time,
    ) -> Result<Option<Result<QuotaStatus, QuotaStatus>>, records::RecordError> {
        let minute = rate.per_minute.map(|limit| ("minute", 60, limit));
        let hour = rate.per_hour.map(|limit| ("hour", 60 * 60, limit));
        let windows = [minute, hour].into_iter().flatten();
        let windows: Vec<QuotaWindow> = windows
            .map(|(per, seconds, limit)| QuotaWindow { per, lasts: Duration::from_secs(seconds), limit: limit.get() })
            .collect();
        if windows.is_empty() {
            return Ok(None);
        }
        let mut slices = self.slices.lock().await;
        if slices.len() >= SLICES_MAX {
            slices.retain(|_, slice| slice.begins + Duration::from_secs(60 * 60) > now);
        }
        for window in &windows {
            let slice = slices.entry((tenant.clone(), window.per)).or_default();
            if slice.begins < window.begins(now) || slice.reserved == 0 {
                *slice = self.reserve_slice(tenant, *window, now).await?;
            }
            if slice.reserved == 0 {
                return Ok(Some(Err(window.status(*slice, now))));
            }
        }
        let mut least: Option<QuotaStatus> = None;
        for window in windows {
            if let Some(slice) = slices.get_mut(&(tenant.clone(), window.per)) {
                slice.reserved -= 1;
                let standing = window.status(*slice, now);
                least = Some(least.filter(|least| least.remaining <= standing.remaining).unwrap_or(standing));
            }
        }
        Ok(least.map(Ok))
    }

    /// Reserves a slice of a window durably. Returns `None` if nothing is left.
    async fn reserve_slice(
        &self,
        tenant: &TenantId,
        window: QuotaWindow,
        now: Time,
    ) -> Result<QuotaSlice, records::RecordError> {
        let mut lost = None;
        for _ in 0..ATTEMPTS_MAX {
            let row = self.records.get(tenant, SPACE, window.per).await?;
            let known = row.as_ref().and_then(|row| QuotaRecord::deserialize(&row.value).ok()).unwrap_or_default();
            // A process whose clock is ahead has started the next window: this process uses that window too.
            let begins = window.begins(now).max(Time::from_ms(known.begins_ms));
            let taken = if begins.as_ms() == known.begins_ms { known.taken } else { 0 };
            let left = window.limit.saturating_sub(taken);
            let ours = left.min((window.limit / SLICE_PART).max(1));
            let slice = QuotaSlice { begins, reserved: ours, unreserved: left - ours };
            if ours == 0 {
                return Ok(slice);
            }
            let (space, key) = (SPACE.to_owned(), window.per.to_owned());
            let value = json!(QuotaRecord { begins_ms: begins.as_ms(), taken: taken + ours });
            let op = match row {
                None => RecordOp::Insert { space, key, value },
                Some(row) => RecordOp::CompareAndSet { space, key, version: row.version, value },
            };
            match self.records.commit(tenant, vec![op], now).await {
                Ok(()) => return Ok(slice),
                Err(error @ records::RecordError::Conflict { .. }) => lost = Some(error),
                Err(error) => return Err(error),
            }
        }
        lost.map_or(Ok(QuotaSlice::default()), Err)
    }
}
