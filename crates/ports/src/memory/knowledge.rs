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
    /// A document that is about somebody does not become another's, or everybody's.
    #[error("`{name}` is kept about {person}, who alone finds it")]
    IsAbout { name: String, person: String },
    /// One that is everybody's does not become one person's.
    #[error("`{name}` is everybody's: said to be about somebody, nobody else would find it")]
    IsEverybodys { name: String },
    /// Done in memory, and not outside, or nobody knows: do it again.
    #[error("{reason}")]
    Outside { reason: String },
}

impl Unkept {
    /// Refuses a document that would become somebody else's, or everybody's, because a word was left out or put in: who finds
    /// it, and with whom it goes, would be others. `kept` is whom the one of its name is about that is kept.
    pub fn other_owner(name: &str, kept: Option<&str>, about: Option<&str>) -> Result<(), Self> {
        match kept {
            kept if kept == about => Ok(()),
            Some(person) => Err(Self::IsAbout { name: name.to_owned(), person: person.to_owned() }),
            None => Err(Self::IsEverybodys { name: name.to_owned() }),
        }
    }
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
