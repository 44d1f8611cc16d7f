//! Asking a model.

use std::time::Duration;

use async_trait::async_trait;
use baton_core::id::{RunId, TenantId};
use baton_core::model::{Reply, Request};
use baton_core::run::ModelFault;

/// On whose behalf a model is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Asker {
    pub tenant: TenantId,
    pub run: RunId,
    /// The effect's key, for holds and records.
    pub key: String,
}

#[async_trait]
pub trait Models: Send + Sync {
    /// One attempt, given up after `limit`.
    async fn ask(&self, asker: &Asker, request: &Request, limit: Duration) -> Result<Reply, ModelFault>;
}
