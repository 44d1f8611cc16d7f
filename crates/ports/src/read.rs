//! Queries: what people and doors look at. Reading never waits for writing, and is never how a run decides.

use std::sync::Arc;

use async_trait::async_trait;
use baton_core::id::{RunId, TenantId};
use baton_core::money::Usd;
use baton_core::run::State;
use baton_core::time::Time;
use serde::Serialize;

use crate::journal::{DeskItem, Error};

/// Rows of one page unless told.
pub const PAGE_DEFAULT: usize = 50;
/// Rows of one page at the most.
pub const PAGE_MAX: usize = 500;

/// A run as lists show it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunHead {
    pub run: RunId,
    pub tenant: TenantId,
    pub workflow: String,
    pub state: State,
    pub parent: Option<RunId>,
    pub created_at: Time,
    pub started_at: Option<Time>,
    pub ended_at: Option<Time>,
    pub cost: Usd,
    pub fault: Option<String>,
    pub wake_at: Option<Time>,
    /// Entries in its journal.
    pub seq: u64,
}

#[derive(Clone, Debug, Default)]
pub struct RunFilter {
    pub state: Option<State>,
    pub workflow: Option<String>,
    /// Runs older than this one, newest first; the cursor of the next page.
    pub before: Option<RunId>,
    pub limit: usize,
}

#[async_trait]
pub trait Read: Send + Sync {
    async fn run(&self, tenant: &TenantId, run: &RunId) -> Result<Option<RunHead>, Error>;

    /// Newest first.
    async fn runs(&self, tenant: &TenantId, filter: RunFilter) -> Result<Vec<RunHead>, Error>;

    /// Encoded entries behind `after`, in order, at most `limit`.
    async fn entries(&self, tenant: &TenantId, run: &RunId, after: u64, limit: usize) -> Result<Vec<Arc<[u8]>>, Error>;

    /// Open desk items, oldest first.
    async fn desk(&self, tenant: &TenantId, run: Option<&RunId>) -> Result<Vec<DeskItem>, Error>;

    /// Runs by state, all tenants; for metrics and `doctor`.
    async fn counts(&self) -> Result<Vec<(State, u64)>, Error>;
}
