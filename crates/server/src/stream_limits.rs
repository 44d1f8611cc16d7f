//! Limits the number of event streams: in total, and per tenant so that others have room.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use baton_core::id::TenantId;

/// Number of open streams, by tenant.
type StreamCounts = Arc<Mutex<BTreeMap<TenantId, usize>>>;

/// The limiter of event streams.
#[derive(Debug)]
pub struct StreamLimiter {
    counts: StreamCounts,
    /// Maximum for all tenants together.
    all: usize,
    /// Maximum for one tenant.
    per_tenant: usize,
}

/// The permit of one stream. Released on drop.
#[derive(Debug)]
pub(crate) struct StreamPermit {
    counts: StreamCounts,
    tenant: TenantId,
}

impl StreamLimiter {
    pub(crate) fn new(all: usize, of_one: usize) -> Self {
        Self { counts: StreamCounts::default(), all, per_tenant: of_one }
    }

    /// Acquires a permit; `None` if the limit of the process or of this tenant is reached.
    pub(crate) fn acquire(&self, tenant: &TenantId) -> Option<StreamPermit> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let of_one = counts.get(tenant).copied().unwrap_or(0);
        if counts.values().sum::<usize>() >= self.all || of_one >= self.per_tenant {
            return None;
        }
        counts.insert(tenant.clone(), of_one + 1);
        Some(StreamPermit { counts: self.counts.clone(), tenant: tenant.clone() })
    }
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.get_mut(&self.tenant) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                counts.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_tenant_leaves_room_for_others_and_places_come_back() {
        let followers = StreamLimiter::new(3, 2);
        let (ours, theirs) = (TenantId::from("ours"), TenantId::from("theirs"));
        let first = followers.acquire(&ours).expect("a place");
        let _second = followers.acquire(&ours).expect("a place");
        assert!(followers.acquire(&ours).is_none(), "as many as one may have");
        let _third = followers.acquire(&theirs).expect("room for others");
        assert!(followers.acquire(&theirs).is_none(), "as many as there are");
        drop(first);
        assert!(followers.acquire(&theirs).is_some());
        assert!(followers.acquire(&ours).is_some());
    }
}
