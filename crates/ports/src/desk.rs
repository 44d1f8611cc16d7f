//! The desk, for what is no run's to say: a connection that a person must make again. What a run has to say goes with
//! its append ([`crate::journal::Projection`]).

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::time::Time;

use crate::journal::{DeskItem, Error};

#[async_trait]
pub trait Desk: Send + Sync {
    /// Opens an item; durable when it returns. One of the same id that is open stays as it is, so that telling the same
    /// again tells nobody twice. Answers whether it was not open.
    async fn open(&self, item: DeskItem) -> Result<bool, Error>;

    /// Closes a tenant's item. One that is closed, or was never opened, stays so.
    async fn close(&self, tenant: &TenantId, id: &str, outcome: &str, at: Time) -> Result<(), Error>;
}
