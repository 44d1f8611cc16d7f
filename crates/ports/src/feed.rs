//! What was recorded of all runs and conversations, in the order in which it was: for who tells others of it.
//!
//! Reading it leaves nothing behind, so whoever reads keeps by itself how far it came.

use std::sync::Arc;

use async_trait::async_trait;
use baton_core::id::{RunId, TenantId};

use crate::journal::{Error, Kind};

/// An entry of a journal, as it was laid down.
#[derive(Clone, Debug, PartialEq)]
pub struct Laid {
    /// Rises in the order of commits, over all runs.
    pub id: i64,
    /// A run, or a conversation.
    pub kind: Kind,
    /// Its id, also where it is a conversation.
    pub run: RunId,
    pub workflow: String,
    /// The run is one that another run began.
    pub is_child: bool,
    pub entry: Arc<[u8]>,
}

/// That something of a conversation was recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Talked {
    /// Of the entry; rises in the order of commits.
    pub id: i64,
    pub tenant: TenantId,
    pub conversation: RunId,
}

/// Records that somebody looks for in all tenants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    Schedules,
    Subscriptions,
    /// Deliveries to be made.
    Deliveries,
    /// Whatever may be sealed: secrets of tools, and what signs webhooks, theirs and ours.
    Secrets,
}

#[async_trait]
pub trait Feed: Send + Sync {
    /// Tenants that have a record there, in order.
    async fn tenants(&self, space: Space) -> Result<Vec<TenantId>, Error>;

    /// The id of the newest entry of all; 0 where there is none.
    async fn newest(&self) -> Result<i64, Error>;

    /// Conversations of all tenants of which something was recorded behind `after`, in that order, as many as are read at
    /// once; and up to which id all were looked at.
    async fn talked(&self, after: i64) -> Result<(Vec<Talked>, i64), Error>;

    /// A tenant's entries behind `after`, in order, as many as are read at once; and up to which id all were looked at.
    async fn laid(&self, tenant: &TenantId, after: i64) -> Result<(Vec<Laid>, i64), Error>;
}
