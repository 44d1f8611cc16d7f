//! Aggregates as a store has them, for whoever verifies that all that is derived of a journal agrees with it.

use std::collections::BTreeSet;
use std::sync::Arc;

use baton_core::id::TenantId;
use baton_core::run::State;
use baton_core::time::Time;

use crate::conversations::ConversationHead;
use crate::journal::{AggregateId, Kind, Snapshot};

/// One aggregate with all that is derived of its journal, read at one instant.
#[derive(Clone, Debug)]
pub struct StoredAggregate {
    pub name: AggregateId,
    pub tenant: TenantId,
    pub kind: Kind,
    /// Entries that its head says it has.
    pub seq: u64,
    /// What lists show of a run.
    pub state: Option<State>,
    pub ended_at: Option<Time>,
    pub cost_nanos: i64,
    /// Its encoded entries in order, or what is wrong with them.
    pub entries: Result<Vec<Arc<[u8]>>, String>,
    pub snapshot: Option<Snapshot>,
    /// Ids of its items that wait for a person.
    pub open_items: BTreeSet<String>,
    /// What lists show of a conversation.
    pub conversation: Option<ConversationHead>,
}
