//! Aggregates as a store has them, for whoever verifies that all that is derived of a journal agrees with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use baton_core::id::{RunId, TenantId};
use baton_core::run::RunState;
use baton_core::time::Time;

use crate::conversations::ConversationHead;
use crate::journal::{AggregateId, AggregateKind, StateSnapshot, TaskItem};

/// One aggregate with all that is derived of its journal, read at one instant.
#[derive(Clone, Debug)]
pub struct StoredAggregate {
    pub name: AggregateId,
    pub tenant: TenantId,
    pub kind: AggregateKind,
    /// Entries that its head says it has.
    pub seq: u64,
    /// What lists show of a run.
    pub workflow: String,
    pub parent: Option<RunId>,
    pub state: Option<RunState>,
    pub started_at: Option<Time>,
    pub ended_at: Option<Time>,
    pub cost_nanos: i64,
    pub fault: Option<String>,
    /// What a run is found by: its customer's hash and its version. Nothing of one begun by a program that kept neither.
    pub customer: Option<String>,
    pub bundle: Option<String>,
    /// Its encoded entries in order, or what is wrong with them.
    pub entries: Result<Vec<Arc<[u8]>>, String>,
    pub snapshot: Option<StateSnapshot>,
    /// Its items that wait for a person, by their ids, or why one cannot be read.
    pub open_items: BTreeMap<String, Result<TaskItem, String>>,
    /// What lists show of a conversation.
    pub conversation: Option<ConversationHead>,
    /// The word of the status that a conversation is found under.
    pub status: Option<String>,
}
