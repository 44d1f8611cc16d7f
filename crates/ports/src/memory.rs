//! The memory of agents: recent messages (short-term), documents (long-term), and earlier executions (episodic).

mod context;
mod error;
mod execution;
mod knowledge;
mod search;
mod thread;

use std::time::Duration;

use async_trait::async_trait;
use baton_core::id::TenantId;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::index::{DocumentHeader, MemoryCollection, SourceDocument};
use crate::models::ModelCaller;

pub use context::{ContextRequest, ContextStrategy, MemoryContext, OmittedCounts, SimilarConversation};
pub use error::MemoryError;
pub use execution::{AgentExecution, SimilarExecution};
pub use knowledge::{KnowledgeError, KnowledgeStore};
pub use search::{
    CitedPassage, InquiryEnd, InquiryRequest, InquiryResult, InquiryRound, SearchMode, SearchRequest, SearchResult,
};
pub use thread::{
    ConversationClosing, EndedConversation, MessageSpeaker, MessageThread, SummarySource, ThreadMessage, ThreadSummary,
};

/// Default and maximum number of recent messages in a context.
pub const RECENT_DEFAULT: usize = 50;
pub const RECENT_MAX: usize = 100;
/// Default and maximum number of passages in a context or a search.
pub const TOP_DEFAULT: usize = 5;
pub const TOP_MAX: usize = 50;
/// Maximum number of rounds of one inquiry, and of passages in each.
pub const ROUNDS_MAX: usize = 3;
pub const ROUND_TOP_MAX: usize = 20;
/// Default and maximum number of similar conversations or executions.
pub const SIMILAR_DEFAULT: usize = 3;
pub const SIMILAR_MAX: usize = 20;
/// Default and maximum number of tokens in a context; the settings or the caller may set another.
pub const CONTEXT_TOKENS_DEFAULT: usize = 4_000;
pub const CONTEXT_TOKENS_MAX: usize = 200_000;
/// Maximum size of one query, goal or message used for a search, in bytes; of a longer one only the beginning is used.
pub const QUERY_BYTES_MAX: usize = 8 << 10;
/// Maximum size of one message, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 64 << 10;
/// Maximum number of messages kept of one conversation; the oldest are removed first.
pub const MESSAGES_MAX: u64 = 2_000;
/// Maximum size of a conversation's summary, in bytes.
pub const SUMMARY_BYTES_MAX: usize = 16 << 10;
/// Maximum size of a conversation's session as JSON, in bytes.
pub const SESSION_BYTES_MAX: usize = 64 << 10;
/// Maximum size of a conversation's or a customer's id, in bytes.
pub const ID_BYTES_MAX: usize = 256;

/// The result of adding a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddResult {
    pub revision: u64,
    pub pieces: usize,
    /// The same document was stored already; nothing was done.
    pub unchanged: bool,
}

/// What was removed about one person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ForgetResult {
    /// Conversations of short-term memory, with their messages.
    pub threads: u64,
    pub messages: u64,
    /// Documents of each collection of long-term memory.
    pub knowledge: u64,
    pub conversations: u64,
    pub executions: u64,
}

/// The result of rebuilding a collection.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReindexResult {
    pub collection: MemoryCollection,
    /// The embedder that it is searched with now.
    pub embedder: String,
    pub documents: u64,
    pub pieces: u64,
}

/// When to retry if other writers were first each time.
pub const RETRY_AFTER: Duration = Duration::from_millis(50);

/// Everything belongs to one tenant, and is separated from all others.
#[async_trait]
pub trait MemoryStore: Send + Sync {
    // Long-term.

    /// Stores and indexes a document; replaces a changed one of the same name. Refused if the person it is about is
    /// forgotten meanwhile.
    async fn add(
        &self,
        tenant: &TenantId,
        collection: MemoryCollection,
        document: SourceDocument,
    ) -> Result<AddResult, MemoryError>;

    /// Returns whether it existed.
    async fn remove(&self, tenant: &TenantId, collection: MemoryCollection, name: &str) -> Result<bool, MemoryError>;

    /// Documents by name, after `after`.
    async fn documents(
        &self,
        tenant: &TenantId,
        collection: MemoryCollection,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<DocumentHeader>, MemoryError>;

    async fn search(&self, tenant: &TenantId, search: &SearchRequest) -> Result<SearchResult, MemoryError>;

    /// Searches the tenant's knowledge in rounds, on the asker's behalf.
    async fn inquire(&self, asker: &ModelCaller, inquiry: &InquiryRequest) -> Result<InquiryResult, MemoryError>;

    /// Rebuilds a collection with the current settings, while the old one answers, then makes it live.
    async fn reindex(&self, tenant: &TenantId, collection: MemoryCollection) -> Result<ReindexResult, MemoryError>;

    // Short-term. If a person is forgotten during one of these operations, the result is as if it had finished just
    // before: nothing of it remains.

    /// Stores a message. `customer` is the customer of the conversation, if known.
    async fn add_message(
        &self,
        tenant: &TenantId,
        conversation: &str,
        customer: Option<&str>,
        message: ThreadMessage,
    ) -> Result<(), MemoryError>;

    async fn thread(&self, tenant: &TenantId, conversation: &str) -> Result<Option<MessageThread>, MemoryError>;

    /// The last messages, oldest first; at most [`RECENT_MAX`].
    async fn recent(
        &self,
        tenant: &TenantId,
        conversation: &str,
        limit: usize,
    ) -> Result<Vec<ThreadMessage>, MemoryError>;

    /// Merges fields into the session; a null removes a field.
    async fn set_session(
        &self,
        tenant: &TenantId,
        conversation: &str,
        fields: &Map<String, Value>,
    ) -> Result<(), MemoryError>;

    /// Extends the running summary of an open conversation up to its newest messages but `but`, on the asker's behalf.
    /// Returns the current summary. Of several concurrent calls one does the work; if no model can be asked, the
    /// summary stays as it was. No message is removed.
    async fn summarise(
        &self,
        asker: &ModelCaller,
        conversation: &str,
        but: usize,
    ) -> Result<Option<ThreadSummary>, MemoryError>;

    /// Closes a conversation: its summary and its messages become searchable, and its messages leave short-term memory.
    /// A conversation that is closed already returns the same result. A missing summary is requested on the asker's
    /// behalf; if that fails, an excerpt with the reason is used.
    async fn close(
        &self,
        asker: &ModelCaller,
        conversation: &str,
        closing: ConversationClosing,
    ) -> Result<ThreadSummary, MemoryError>;

    // Episodic.

    /// Indexes a conversation that is over by its own journal; replaces what this method stored of it before. Returns
    /// whether it is stored: not if it was closed here ([`MemoryStore::close`]), if it has no messages, or if the
    /// customer was forgotten after it ended.
    async fn keep_conversation(&self, tenant: &TenantId, over: EndedConversation) -> Result<bool, MemoryError>;

    async fn record_execution(&self, tenant: &TenantId, execution: AgentExecution) -> Result<(), MemoryError>;

    async fn similar_executions(
        &self,
        tenant: &TenantId,
        goal: &str,
        limit: usize,
        success_only: bool,
    ) -> Result<Vec<SimilarExecution>, MemoryError>;

    // All of it.

    /// The context that an agent receives before its step.
    async fn context(&self, tenant: &TenantId, wanted: &ContextRequest) -> Result<MemoryContext, MemoryError>;

    /// Removes everything about one person. Once it returns, nothing that began before can come back: no message,
    /// summary, closed conversation, document or execution in progress.
    async fn forget(&self, tenant: &TenantId, customer: &str) -> Result<ForgetResult, MemoryError>;
}
