//! Workflow versions and what they pin.

use std::sync::Arc;

use async_trait::async_trait;
use baton_core::bundle::Hash;
use baton_core::id::TenantId;
use baton_core::time::Time;
use serde::Serialize;

use crate::journal::Error;

/// One immutable version of a workflow.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Version {
    pub workflow: String,
    /// 1 for the first; rises by one with each save of a changed bundle.
    pub revision: u32,
    /// The text version, kept as a label.
    pub label: String,
    pub bundle: Hash,
    pub active: bool,
    pub created_at: Time,
}

#[async_trait]
pub trait Registry: Send + Sync {
    /// Keeps a bundle and makes it the active version of its workflow; saving what is active already changes nothing.
    async fn save(
        &self,
        tenant: &TenantId,
        workflow: &str,
        label: &str,
        bundle: Arc<[u8]>,
        hash: &Hash,
        now: Time,
    ) -> Result<Version, Error>;

    async fn active(&self, tenant: &TenantId, workflow: &str) -> Result<Option<Version>, Error>;

    /// The active version of each workflow, in the order of their names.
    async fn workflows(&self, tenant: &TenantId) -> Result<Vec<Version>, Error>;

    /// Newest first.
    async fn versions(&self, tenant: &TenantId, workflow: &str) -> Result<Vec<Version>, Error>;

    async fn bundle(&self, hash: &Hash) -> Result<Option<Arc<[u8]>>, Error>;
}
