//! Recorded entries, in the order of their appends: in memory.

use std::collections::BTreeSet;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_ports::feed::{ConversationActivity, FeedEntry, FeedSpace, JournalFeed};
use baton_ports::journal::{AggregateKind, JournalError};

use super::FakeStore;
use super::journal::{FakeAggregate, FakeJournal};

/// Number of entries examined at a time.
const PIECE: usize = 100;

/// The location of an entry: its aggregate, and its index in the journal.
#[derive(Clone, Copy, Debug)]
pub(super) struct EntryLocation {
    pub aggregate: usize,
    pub entry: usize,
}

impl FakeJournal {
    /// The entries after a position, with their ids, and the last id examined.
    fn piece(&self, after: i64) -> (Vec<(i64, &FakeAggregate, usize)>, i64) {
        let first = usize::try_from(after).unwrap_or_default();
        let last = first.saturating_add(PIECE).min(self.commit_order.len());
        let places = self.commit_order.iter().enumerate().take(last).skip(first);
        let entries = places.map(|(id, place)| (number(id + 1), &self.aggregates[place.aggregate], place.entry));
        (entries.collect(), number(last).max(after))
    }
}

fn number(id: usize) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}

#[async_trait]
impl JournalFeed for FakeStore {
    async fn tenants(&self, space: FeedSpace) -> Result<Vec<TenantId>, JournalError> {
        let spaces: &[&str] = match space {
            FeedSpace::Schedules => &["schedule"],
            FeedSpace::Subscriptions => &["subscription"],
            FeedSpace::Deliveries => &["webhook_pending"],
            FeedSpace::Secrets => &["secrets", "hook_secret", "subscription_secret"],
        };
        let tenants: BTreeSet<TenantId> =
            self.with(|inner| spaces.iter().flat_map(|space| inner.records.tenants(space)).collect());
        Ok(tenants.into_iter().collect())
    }

    async fn newest(&self) -> Result<i64, JournalError> {
        Ok(self.with(|inner| number(inner.journal.commit_order.len())))
    }

    async fn conversation_activity(&self, after: i64) -> Result<(Vec<ConversationActivity>, i64), JournalError> {
        Ok(self.with(|inner| {
            let (entries, up_to) = inner.journal.piece(after);
            let talks = entries.into_iter().filter(|(_, found, _)| found.kind == AggregateKind::Conversation);
            let talked = talks.map(|(id, found, _)| ConversationActivity {
                id,
                tenant: found.tenant.clone(),
                conversation: found.name.clone(),
            });
            (talked.collect(), up_to)
        }))
    }

    async fn journal_entries(&self, tenant: &TenantId, after: i64) -> Result<(Vec<FeedEntry>, i64), JournalError> {
        Ok(self.with(|inner| {
            let (entries, up_to) = inner.journal.piece(after);
            let theirs = entries
                .into_iter()
                .filter(|(_, found, _)| found.tenant == *tenant && found.kind != AggregateKind::Desk);
            let laid = theirs.map(|(id, found, entry)| FeedEntry {
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
