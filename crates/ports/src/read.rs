//! Queries for people and HTTP endpoints. Reads never wait for writes, and runs never decide by them.

use std::sync::Arc;

use async_trait::async_trait;
use baton_core::bundle::ContentHash;
use baton_core::id::{RunId, TenantId};
use baton_core::kpi::ConversationCounts;
use baton_core::money::Usd;
use baton_core::run::{RunState, api_status};
use baton_core::time::Time;
use serde::Serialize;
use serde_json::{Value, json};

use crate::conversations::{ConversationFilter, ConversationHead};
use crate::journal::{AggregateId, JournalError, StateSnapshot, TaskItem};

/// Default number of rows per page.
pub const PAGE_DEFAULT: usize = 50;
/// Maximum number of rows per page.
pub const PAGE_MAX: usize = 500;

/// A run as shown in lists.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunHead {
    pub run: RunId,
    pub tenant: TenantId,
    pub workflow: String,
    pub state: RunState,
    pub parent: Option<RunId>,
    pub created_at: Time,
    pub started_at: Option<Time>,
    pub ended_at: Option<Time>,
    pub cost: Usd,
    pub fault: Option<String>,
    pub wake_at: Option<Time>,
    /// Number of entries in its journal.
    pub seq: u64,
    /// When its contents were erased: its inputs, its outputs and its journal.
    pub erased_at: Option<Time>,
    /// The version it was on, if it was erased.
    pub erased_version: Option<String>,
}

impl RunHead {
    /// A run in lists as JSON, with the field names of the seeds.
    pub fn as_json(&self) -> Value {
        let (status, compensated) = api_status(self.state);
        let took = self.started_at.zip(self.ended_at).map(|(began, ended)| ended.since(began).as_millis());
        json!({
            "execution_id": self.run,
            "workflow_id": self.workflow,
            "status": status,
            "state": self.state,
            "compensated": compensated,
            "parent": self.parent,
            "created_at": self.created_at.to_string(),
            "started_at": self.started_at.map(|at| at.to_string()),
            "completed_at": self.ended_at.map(|at| at.to_string()),
            "wakes_at": self.wake_at.filter(|_| !self.state.is_end()).map(|at| at.to_string()),
            "duration_ms": took.map(|ms| u64::try_from(ms).unwrap_or(u64::MAX)),
            "total_cost_usd": self.cost.as_f64(),
            "error": self.fault,
            "entries": self.seq,
            "erased_at": self.erased_at.map(|at| at.to_string()),
        })
    }

    /// Merges the fields of the head into other data about the run.
    pub fn merge_into(&self, mut shown: Value) -> Value {
        if let (Value::Object(fields), Value::Object(own)) = (&mut shown, self.as_json()) {
            for (name, value) in own {
                fields.entry(name).or_insert(value);
            }
        }
        shown
    }
}

/// Selects runs; an unset field matches every run.
#[derive(Clone, Debug, Default)]
pub struct RunFilter {
    /// In one of these states; empty means any.
    pub states: Vec<RunState>,
    pub workflow: Option<String>,
    /// On one of these versions.
    pub bundles: Option<Vec<ContentHash>>,
    /// The id of the customer that the run was started for.
    pub customer: Option<String>,
    /// Failed with this code.
    pub error_code: Option<String>,
    /// Created at this time or later.
    pub from: Option<Time>,
    /// Created before this time.
    pub until: Option<Time>,
    /// A text in the id, the workflow's name or the error; the case of ASCII letters is ignored.
    pub text: Option<String>,
    /// Runs older than this one, newest first; the cursor of the next page.
    pub before: Option<RunId>,
    pub limit: usize,
}

/// A page of runs, newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunPage {
    pub heads: Vec<RunHead>,
    /// The run after which the next page starts; `None` at the end. A page may have fewer runs than requested, or none,
    /// and still have a next one: no page reads more than some thousand runs.
    pub next: Option<RunId>,
}

/// The hash by which the store finds a customer's runs, so that erasing a person leaves nothing of their id with them.
pub fn customer_hash(tenant: &TenantId, customer: &str) -> String {
    ContentHash::of(format!("{tenant}\n{customer}").as_bytes()).as_str().to_owned()
}

#[async_trait]
pub trait ReadModel: Send + Sync {
    async fn run(&self, tenant: &TenantId, run: &RunId) -> Result<Option<RunHead>, JournalError>;

    /// Newest first: all runs that match the filter, up to its limit.
    async fn runs(&self, tenant: &TenantId, filter: RunFilter) -> Result<Vec<RunHead>, JournalError>;

    /// The same at a bounded cost, for endpoints that any caller can reach.
    async fn run_page(&self, tenant: &TenantId, filter: RunFilter) -> Result<RunPage, JournalError> {
        let limit = if filter.limit == 0 { PAGE_DEFAULT } else { filter.limit.min(PAGE_MAX) };
        let heads = self.runs(tenant, filter).await?;
        let next = heads.last().filter(|_| heads.len() == limit).map(|head| head.run.clone());
        Ok(RunPage { heads, next })
    }

    /// Root runs whose ids have this prefix, ordered by id.
    async fn roots_with_prefix(
        &self,
        tenant: &TenantId,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<RunHead>, JournalError>;

    /// Encoded entries after `after`, in order, at most `limit`.
    async fn entries(
        &self,
        tenant: &TenantId,
        run: &RunId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Arc<[u8]>>, JournalError>;

    /// The snapshot of this fold version, if there is one that contains more than `after` entries.
    async fn snapshot(
        &self,
        tenant: &TenantId,
        id: &AggregateId,
        fold_version: u32,
        after: u64,
    ) -> Result<Option<StateSnapshot>, JournalError>;

    /// Open task inbox items, oldest first.
    async fn open_tasks(&self, tenant: &TenantId, run: Option<&RunId>) -> Result<Vec<TaskItem>, JournalError>;

    async fn conversation(&self, tenant: &TenantId, id: &RunId) -> Result<Option<ConversationHead>, JournalError>;

    /// Newest first.
    async fn conversations(
        &self,
        tenant: &TenantId,
        filter: ConversationFilter,
    ) -> Result<Vec<ConversationHead>, JournalError>;

    /// Counts of conversations that have ended since then.
    async fn conversations_ended(&self, tenant: &TenantId, since: Time) -> Result<ConversationCounts, JournalError>;

    /// Number of runs by state, over all tenants; for metrics and `doctor`.
    async fn counts(&self) -> Result<Vec<(RunState, u64)>, JournalError>;
}
