//! Who follows something live, counted: so many at once, and of one tenant only so many that others find room.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use baton_core::id::TenantId;

/// How many follow, by tenant.
type Counts = Arc<Mutex<BTreeMap<TenantId, usize>>>;

/// The places of all who follow.
#[derive(Debug)]
pub struct Followers {
    counts: Counts,
    /// Of all tenants.
    all: usize,
    /// Of one.
    of_one: usize,
}

/// Somebody's place; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Following {
    counts: Counts,
    tenant: TenantId,
}

impl Followers {
    pub(crate) fn new(all: usize, of_one: usize) -> Self {
        Self { counts: Counts::default(), all, of_one }
    }

    /// A place; nothing where all are taken, or all of this tenant's.
    pub(crate) fn place(&self, tenant: &TenantId) -> Option<Following> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let of_one = counts.get(tenant).copied().unwrap_or(0);
        if counts.values().sum::<usize>() >= self.all || of_one >= self.of_one {
            return None;
        }
        counts.insert(tenant.clone(), of_one + 1);
        Some(Following { counts: self.counts.clone(), tenant: tenant.clone() })
    }
}

impl Drop for Following {
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
        let followers = Followers::new(3, 2);
        let (ours, theirs) = (TenantId::from("ours"), TenantId::from("theirs"));
        let first = followers.place(&ours).expect("a place");
        let _second = followers.place(&ours).expect("a place");
        assert!(followers.place(&ours).is_none(), "as many as one may have");
        let _third = followers.place(&theirs).expect("room for others");
        assert!(followers.place(&theirs).is_none(), "as many as there are");
        drop(first);
        assert!(followers.place(&theirs).is_some());
        assert!(followers.place(&ours).is_some());
    }
}
