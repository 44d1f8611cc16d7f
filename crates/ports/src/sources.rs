//! Where tools come from that Baton neither ships nor has from one file each: OpenAPI documents and MCP servers.

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::time::Time;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::records;

/// Sources of one tenant that were added while the system ran.
pub const SOURCES_MAX: usize = 50;

/// Tools that these may have in all.
pub const TOOLS_MAX: usize = 5_000;

/// What a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    Openapi,
    Mcp,
}

impl SourceKind {
    pub fn word(self) -> &'static str {
        match self {
            Self::Openapi => "openapi",
            Self::Mcp => "mcp",
        }
    }
}

/// A part of it that no tool can use, or not fully.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceDiagnostic {
    /// Where in its document, or in its list: `paths./pets.post.requestBody`.
    pub place: String,
    pub reason: String,
}

/// A source as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceListing {
    pub name: String,
    pub kind: SourceKind,
    /// The project's file that defines it, whose tools are everybody's; nothing: the tenant added it for itself.
    pub file: Option<String>,
    /// Where it is asked, without what may be secret; nothing: nobody is asked, or a program.
    pub address: Option<String>,
    /// Whether it answered when it was asked last; nothing where nobody is asked.
    pub is_reachable: Option<bool>,
    pub asked_at: Option<Time>,
    /// Why it did not answer, or its tools cannot be used.
    pub last_error: Option<String>,
    /// Names, in their order.
    pub tools: Vec<String>,
    pub unsupported: Vec<SourceDiagnostic>,
    /// As it was added, a document that was sent aside.
    pub definition: Option<Value>,
    /// Rises with each change of one that was added.
    pub changes: Option<u64>,
}

/// A source to add, or to put in another's place.
#[derive(Clone, Debug)]
pub struct SourceDefinition {
    pub name: String,
    /// As a file says it, without its name.
    pub fields: Map<String, Value>,
}

/// Why it was not done, by what the caller does next.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SourceError {
    #[error("there is no source `{name}`")]
    Unknown { name: String, nearest: Option<String> },
    /// Correct what is asked.
    #[error("{reason}")]
    Rejected { reason: String, hint: Option<String> },
    /// Another has the name.
    #[error("there is a source `{name}` already")]
    Taken { name: String },
    /// The project's files define it.
    #[error("`{name}` is defined by {file}, and is changed there")]
    DefinedByFile { name: String, file: String },
    #[error("`{name}` was changed since it was read")]
    Stale { name: String },
    #[error("a tenant adds at most {SOURCES_MAX} sources")]
    TooMany,
    #[error(
        "`{name}` has {tools} tools and the tenant's other sources have {others}; those that a tenant adds have at most \
         {TOOLS_MAX} in all"
    )]
    TooManyTools { name: String, tools: usize, others: usize },
    /// It does not answer: try again, or look at what it says.
    #[error("`{name}` cannot be asked: {reason}")]
    Unavailable { name: String, reason: String },
    #[error("what is kept of sources cannot be used: {reason}")]
    Storage { reason: String },
}

impl From<records::RecordError> for SourceError {
    fn from(error: records::RecordError) -> Self {
        Self::Storage { reason: error.to_string() }
    }
}

#[async_trait]
pub trait SourceStore: Send + Sync {
    /// Those of the project's files and the tenant's own, by name.
    async fn list(&self, tenant: &TenantId) -> Result<Vec<SourceListing>, SourceError>;

    /// One of them.
    async fn find(&self, tenant: &TenantId, name: &str) -> Result<SourceListing, SourceError>;

    /// Adds one for the tenant: it is asked for its tools, and kept if it answers.
    async fn add(&self, tenant: &TenantId, new: SourceDefinition) -> Result<SourceListing, SourceError>;

    /// Puts one in place of one that was added, which is as it was where that fails; where `expected` is told, only of what
    /// has changed so often.
    async fn replace(
        &self,
        tenant: &TenantId,
        new: SourceDefinition,
        expected: Option<u64>,
    ) -> Result<SourceListing, SourceError>;

    /// Asks it now. One that does not answer keeps the tools it had, and says why.
    async fn refresh(&self, tenant: &TenantId, name: &str) -> Result<SourceListing, SourceError>;

    /// Takes out one that was added, with its tools; where `expected` is told, only one that has changed so often.
    async fn remove(&self, tenant: &TenantId, name: &str, expected: Option<u64>) -> Result<(), SourceError>;
}
