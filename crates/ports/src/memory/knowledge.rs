//! A tenant's knowledge, wherever it is stored: in memory, and in the external index if the settings name one.

use async_trait::async_trait;
use baton_core::id::TenantId;

use super::{AddResult, ForgetResult, MemoryError};
use crate::index::SourceDocument;

/// Why an operation did not succeed everywhere.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum KnowledgeError {
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// A document about a person must not become one about another, or shared.
    #[error("`{name}` is kept about {person}, who alone finds it")]
    AboutPerson { name: String, person: String },
    /// A shared document must not become one about a person.
    #[error("`{name}` is everybody's: said to be about somebody, nobody else would find it")]
    Shared { name: String },
    /// Done in memory, but failed or unknown in the external index: repeat it.
    #[error("{reason}")]
    External { reason: String },
}

impl KnowledgeError {
    /// Refuses a document whose person would change because the field was omitted or added: this would change who finds
    /// it, and with whom it is erased. `kept` is the person of the stored document of the same name.
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

    /// Returns whether it existed.
    async fn remove(&self, tenant: &TenantId, name: &str) -> Result<bool, KnowledgeError>;

    /// Removes everything about one person, as [`MemoryStore::forget`](super::MemoryStore::forget) does, and also from
    /// the external index. Never reports success if something is left.
    async fn forget(&self, tenant: &TenantId, customer: &str) -> Result<ForgetResult, KnowledgeError>;

    /// Other identifiers of the person in this installation: email addresses, phone numbers.
    async fn identifiers(&self, tenant: &TenantId, customer: &str) -> Result<Vec<String>, KnowledgeError>;
}
