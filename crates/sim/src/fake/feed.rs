//! What was recorded, in the order in which it was: in memory.

use std::collections::BTreeSet;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_ports::feed::{Feed, Laid, Space, Talked};
use baton_ports::journal::{Error, Kind};

use super::Store;
use super::books::{Aggregate, Books};

/// Entries looked at in one piece.
const PIECE: usize = 100;

/// Where an entry lies: of which aggregate, in which place of its journal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub aggregate: usize,
    pub entry: usize,
}

impl Books {
    /// Entries behind a place, with their ids; and up to which id they go.
    fn piece(&self, after: i64) -> (Vec<(i64, &Aggregate, usize)>, i64) {
        let first = usize::try_from(after).unwrap_or_default();
        let last = first.saturating_add(PIECE).min(self.laid.len());
        let places = self.laid.iter().enumerate().take(last).skip(first);
        let entries = places.map(|(id, place)| (number(id + 1), &self.aggregates[place.aggregate], place.entry));
        (entries.collect(), number(last).max(after))
    }
}

fn number(id: usize) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}

#[async_trait]
impl Feed for Store {
    async fn tenants(&self, space: Space) -> Result<Vec<TenantId>, Error> {
        let spaces: &[&str] = match space {
            Space::Schedules => &["schedule"],
            Space::Subscriptions => &["subscription"],
            Space::Deliveries => &["webhook_pending"],
            Space::Secrets => &["secrets", "hook_secret", "subscription_secret"],
        };
        let tenants: BTreeSet<TenantId> =
            self.with(|inner| spaces.iter().flat_map(|space| inner.cabinet.tenants(space)).collect());
        Ok(tenants.into_iter().collect())
    }

    async fn newest(&self) -> Result<i64, Error> {
        Ok(self.with(|inner| number(inner.books.laid.len())))
    }

    async fn talked(&self, after: i64) -> Result<(Vec<Talked>, i64), Error> {
        Ok(self.with(|inner| {
            let (entries, up_to) = inner.books.piece(after);
            let talks = entries.into_iter().filter(|(_, found, _)| found.kind == Kind::Conversation);
            let talked = talks.map(|(id, found, _)| Talked {
                id,
                tenant: found.tenant.clone(),
                conversation: found.name.clone(),
            });
            (talked.collect(), up_to)
        }))
    }

    async fn laid(&self, tenant: &TenantId, after: i64) -> Result<(Vec<Laid>, i64), Error> {
        Ok(self.with(|inner| {
            let (entries, up_to) = inner.books.piece(after);
            let theirs =
                entries.into_iter().filter(|(_, found, _)| found.tenant == *tenant && found.kind != Kind::Desk);
            let laid = theirs.map(|(id, found, entry)| Laid {
                id,
                kind: found.kind,
                run: found.name.clone(),
                workflow: found.workflow.clone(),
                is_child: found.parent.is_some(),
                entry: found.journal[entry].clone(),
            });
            (laid.collect(), up_to)
        }))
    }
}
