//! Sources of tools that are neither built in nor defined by one file each: OpenAPI documents and MCP servers.

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::time::Time;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::records;

/// Maximum number of sources that a tenant may add at run time.
pub const SOURCES_MAX: usize = 50;

/// Maximum number of tools of these in total.
pub const TOOLS_MAX: usize = 5_000;

/// The kind of a source.
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

/// A part of the source that no tool can use, or not fully.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceDiagnostic {
    /// The position in its document or list: `paths./pets.post.requestBody`.
    pub place: String,
    pub reason: String,
}

/// The state of a source.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceListing {
    pub name: String,
    pub kind: SourceKind,
    /// The project's file that defines it, whose tools are shared; `None` if the tenant added it.
    pub file: Option<String>,
    /// The address, without secret parts; `None` for a program, or if there is nothing to call.
    pub address: Option<String>,
    /// Whether it answered the last request; `None` if there is nothing to call.
    pub is_reachable: Option<bool>,
    pub asked_at: Option<Time>,
    /// Why it did not answer, or why its tools cannot be used.
    pub last_error: Option<String>,
    /// Tool names, in their order.
    pub tools: Vec<String>,
    pub unsupported: Vec<SourceDiagnostic>,
    /// The definition as it was added, without an attached document.
    pub definition: Option<Value>,
    /// Increases with each change of an added source.
    pub changes: Option<u64>,
}

/// A source to add, or to replace another.
#[derive(Clone, Debug)]
pub struct SourceDefinition {
    pub name: String,
    /// The fields as in a file, without its name.
    pub fields: Map<String, Value>,
}

/// Errors by what the caller should do next.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SourceError {
    #[error("there is no source `{name}`")]
    Unknown { name: String, nearest: Option<String> },
    /// Correct the request.
    #[error("{reason}")]
    Rejected { reason: String, hint: Option<String> },
    /// The name is taken.
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
    /// It does not answer: try again, or read its message.
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

    /// One source, by name.
    async fn find(&self, tenant: &TenantId, name: &str) -> Result<SourceListing, SourceError>;

    /// Adds a source for the tenant: its tools are requested, and it is stored if it answers.
    async fn add(&self, tenant: &TenantId, new: SourceDefinition) -> Result<SourceListing, SourceError>;

    /// Replaces an added source, which stays as it was if that fails; with `expected`, only if it has changed that many
    /// times.
    async fn replace(
        &self,
        tenant: &TenantId,
        new: SourceDefinition,
        expected: Option<u64>,
    ) -> Result<SourceListing, SourceError>;

    /// Requests its tools now. A source that does not answer keeps the tools it had, and reports why.
    async fn refresh(&self, tenant: &TenantId, name: &str) -> Result<SourceListing, SourceError>;

    /// Removes an added source, with its tools; with `expected`, only if it has changed that many times.
    async fn remove(&self, tenant: &TenantId, name: &str, expected: Option<u64>) -> Result<(), SourceError>;
}
