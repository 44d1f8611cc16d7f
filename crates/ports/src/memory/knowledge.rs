//! What a tenant knows, wherever it is kept: in memory, and in the index outside where the settings name one.

use async_trait::async_trait;
use baton_core::id::TenantId;

use super::{Added, Error, Forgotten};
use crate::index::Document;

/// Why it was not done everywhere.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Unkept {
    #[error(transparent)]
    Memory(#[from] Error),
    /// A document that is about somebody does not become everybody's because a word was left out.
    #[error("`{name}` is kept about {person}: without saying about whom it is, everybody would find it")]
    IsAbout { name: String, person: String },
    /// Done in memory, and not outside, or nobody knows: do it again.
    #[error("{reason}")]
    Outside { reason: String },
}

#[async_trait]
pub trait Knowledge: Send + Sync {
    async fn keep(&self, tenant: &TenantId, document: Document) -> Result<Added, Unkept>;

    /// Says whether it was there.
    async fn remove(&self, tenant: &TenantId, name: &str) -> Result<bool, Unkept>;

    /// Removes everything about one person, as [`Memory::forget`](super::Memory::forget) does, and what is known of them
    /// outside. Never says that a person is forgotten where they are not.
    async fn forget(&self, tenant: &TenantId, customer: &str) -> Result<Forgotten, Unkept>;

    /// What else a person is called by in this installation: mail addresses, phone numbers.
    async fn identifiers(&self, tenant: &TenantId, customer: &str) -> Result<Vec<String>, Unkept>;
}
