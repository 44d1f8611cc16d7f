//! What a tenant knows, wherever it is kept: in memory, and in the index outside where the settings name one.

use async_trait::async_trait;
use baton_core::id::TenantId;

use super::{AddResult, ForgetResult, MemoryError};
use crate::index::SourceDocument;

/// Why it was not done everywhere.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum KnowledgeError {
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// A document that is about somebody does not become another's, or everybody's.
    #[error("`{name}` is kept about {person}, who alone finds it")]
    AboutPerson { name: String, person: String },
    /// One that is everybody's does not become one person's.
    #[error("`{name}` is everybody's: said to be about somebody, nobody else would find it")]
    Shared { name: String },
    /// Done in memory, and not outside, or nobody knows: do it again.
    #[error("{reason}")]
    External { reason: String },
}

impl KnowledgeError {
    /// Refuses a document that would become somebody else's, or everybody's, because a word was left out or put in: who finds
    /// it, and with whom it goes, would be others. `kept` is whom the one of its name is about that is kept.
    pub fn check_subject(name: &str, kept: Option<&str>, about: Option<&str>) -> Result<(), Self> {
        match kept {
            kept if kept == about => Ok(()),
            Some(person) => Err(Self::AboutPerson { name: name.to_owned(), person: person.to_owned() }),
            None => Err(Self::Shared { name: name.to_owned() }),
        }
    }
}

#[async_trait]
pub trait KnowledgeStore: Send + Sync {
    async fn put_document(&self, tenant: &TenantId, document: SourceDocument) -> Result<AddResult, KnowledgeError>;

    /// Says whether it was there.
    async fn remove(&self, tenant: &TenantId, name: &str) -> Result<bool, KnowledgeError>;

    /// Removes everything about one person, as [`Memory::forget`](super::MemoryStore::forget) does, and what is known of them
    /// outside. Never says that a person is forgotten where they are not.
    async fn forget(&self, tenant: &TenantId, customer: &str) -> Result<ForgetResult, KnowledgeError>;

    /// What else a person is called by in this installation: mail addresses, phone numbers.
    async fn identifiers(&self, tenant: &TenantId, customer: &str) -> Result<Vec<String>, KnowledgeError>;
}
