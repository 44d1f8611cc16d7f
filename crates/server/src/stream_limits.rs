//! Who follows something live, counted: so many at once, and of one tenant only so many that others find room.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use baton_core::id::TenantId;

/// How many follow, by tenant.
type StreamCounts = Arc<Mutex<BTreeMap<TenantId, usize>>>;

/// The places of all who follow.
#[derive(Debug)]
pub struct StreamLimiter {
    counts: StreamCounts,
    /// Of all tenants.
    all: usize,
    /// Of one.
    per_tenant: usize,
}

/// Somebody's place; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct StreamPermit {
    counts: StreamCounts,
    tenant: TenantId,
}

impl StreamLimiter {
    pub(crate) fn new(all: usize, of_one: usize) -> Self {
        Self { counts: StreamCounts::default(), all, per_tenant: of_one }
    }

    /// A place; nothing where all are taken, or all of this tenant's.
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
