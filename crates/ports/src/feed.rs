//! What was recorded of all runs and conversations, in the order in which it was: for who tells others of it.
//!
//! Reading it leaves nothing behind, so whoever reads keeps by itself how far it came.

use std::sync::Arc;

use async_trait::async_trait;
use baton_core::id::{RunId, TenantId};

use crate::journal::{AggregateKind, JournalError};

/// An entry of a journal, as it was laid down.
#[derive(Clone, Debug, PartialEq)]
pub struct FeedEntry {
    /// Rises in the order of commits, over all runs.
    pub id: i64,
    /// A run, or a conversation.
    pub kind: AggregateKind,
    /// Its id, also where it is a conversation.
    pub run: RunId,
    pub workflow: String,
    /// The run is one that another run began.
    pub is_child: bool,
    pub entry: Arc<[u8]>,
}

/// That something of a conversation was recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct ConversationActivity {
    /// Of the entry; rises in the order of commits.
    pub id: i64,
    pub tenant: TenantId,
    pub conversation: RunId,
}

/// Records that somebody looks for in all tenants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedSpace {
    Schedules,
    Subscriptions,
    /// Deliveries to be made.
    Deliveries,
    /// Whatever may be sealed: secrets of tools, and what signs webhooks, theirs and ours.
    Secrets,
}

#[async_trait]
pub trait JournalFeed: Send + Sync {
    /// Tenants that have a record there, in order.
    async fn tenants(&self, space: FeedSpace) -> Result<Vec<TenantId>, JournalError>;

    /// The id of the newest entry of all; 0 where there is none.
    async fn newest(&self) -> Result<i64, JournalError>;

    /// Conversations of all tenants of which something was recorded behind `after`, in that order, as many as are read at
    /// once; and up to which id all were looked at.
    async fn conversation_activity(&self, after: i64) -> Result<(Vec<ConversationActivity>, i64), JournalError>;

    /// A tenant's entries behind `after`, in order, as many as are read at once; and up to which id all were looked at.
    async fn journal_entries(&self, tenant: &TenantId, after: i64) -> Result<(Vec<FeedEntry>, i64), JournalError>;
}
