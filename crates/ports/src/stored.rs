//! Aggregates as stored, for verifying that everything derived from a journal agrees with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use baton_core::id::{RunId, TenantId};
use baton_core::run::RunState;
use baton_core::time::Time;

use crate::conversations::ConversationHead;
use crate::journal::{AggregateId, AggregateKind, StateSnapshot, TaskItem};

/// One aggregate with everything derived from its journal, read at one instant.
#[derive(Clone, Debug)]
pub struct StoredAggregate {
    pub name: AggregateId,
    pub tenant: TenantId,
    pub kind: AggregateKind,
    /// The number of entries according to its head.
    pub seq: u64,
    /// A run as shown in lists.
    pub workflow: String,
    pub parent: Option<RunId>,
    pub state: Option<RunState>,
    pub started_at: Option<Time>,
    pub ended_at: Option<Time>,
    pub cost_nanos: i64,
    pub fault: Option<String>,
    /// The search values of a run: its customer's hash and its version. `None` for a run started by a program that
    /// stored neither.
    pub customer: Option<String>,
    pub bundle: Option<String>,
    /// Its encoded entries in order, or what is wrong with them.
    pub entries: Result<Vec<Arc<[u8]>>, String>,
    pub snapshot: Option<StateSnapshot>,
    /// Its open task inbox items by id, or why one cannot be read.
    pub open_items: BTreeMap<String, Result<TaskItem, String>>,
    /// A conversation as shown in lists.
    pub conversation: Option<ConversationHead>,
    /// The status by which a conversation is found.
    pub status: Option<String>,
}
