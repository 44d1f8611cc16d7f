//! The feed of everything recorded of all runs and conversations, in commit order, for consumers that report it to
//! others.
//!
//! Reading leaves no trace, so each consumer keeps its own position.

use std::sync::Arc;

use async_trait::async_trait;
use baton_core::id::{RunId, TenantId};

use crate::journal::{AggregateKind, JournalError};

/// An entry of a journal, as it was recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct FeedEntry {
    /// Increases in commit order, over all runs.
    pub id: i64,
    /// A run, or a conversation.
    pub kind: AggregateKind,
    /// The id of the run or conversation.
    pub run: RunId,
    pub workflow: String,
    /// Whether another run started this run.
    pub is_child: bool,
    pub entry: Arc<[u8]>,
}

/// New activity of a conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct ConversationActivity {
    /// The id of the entry; increases in commit order.
    pub id: i64,
    pub tenant: TenantId,
    pub conversation: RunId,
}

/// Record spaces that are searched over all tenants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedSpace {
    Schedules,
    Subscriptions,
    /// Pending webhook deliveries.
    Deliveries,
    /// Everything that may be encrypted: secrets of tools, and the signing secrets of incoming and outgoing webhooks.
    Secrets,
}

#[async_trait]
pub trait JournalFeed: Send + Sync {
    /// Tenants that have a record in the space, in order.
    async fn tenants(&self, space: FeedSpace) -> Result<Vec<TenantId>, JournalError>;

    /// The id of the newest entry of all; 0 if there is none.
    async fn newest(&self) -> Result<i64, JournalError>;

    /// Conversations of all tenants with activity after `after`, in order, one page; and the id up to which all entries
    /// were read.
    async fn conversation_activity(&self, after: i64) -> Result<(Vec<ConversationActivity>, i64), JournalError>;

    /// A tenant's entries after `after`, in order, one page; and the id up to which all entries were read.
    async fn journal_entries(&self, tenant: &TenantId, after: i64) -> Result<(Vec<FeedEntry>, i64), JournalError>;
}
