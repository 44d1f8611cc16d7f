//! What agents remember: recent words (short-term), documents (long-term), and what was tried before (episodic).

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

/// Recent messages of a context unless told otherwise, and at most.
pub const RECENT_DEFAULT: usize = 50;
pub const RECENT_MAX: usize = 100;
/// Passages of a context or a search unless told otherwise, and at most.
pub const TOP_DEFAULT: usize = 5;
pub const TOP_MAX: usize = 50;
/// Rounds of one inquiry, and passages of each.
pub const ROUNDS_MAX: usize = 3;
pub const ROUND_TOP_MAX: usize = 20;
/// Similar conversations or executions unless told otherwise, and at most.
pub const SIMILAR_DEFAULT: usize = 3;
pub const SIMILAR_MAX: usize = 20;
/// Tokens of a context unless the settings or the caller say otherwise, and at most.
pub const CONTEXT_TOKENS_DEFAULT: usize = 4_000;
pub const CONTEXT_TOKENS_MAX: usize = 200_000;
/// Bytes of one query, goal or message that is searched by; what is longer is searched by its beginning.
pub const QUERY_BYTES_MAX: usize = 8 << 10;
/// Bytes of one message.
pub const MESSAGE_BYTES_MAX: usize = 64 << 10;
/// Messages of one conversation that are kept; the oldest give way.
pub const MESSAGES_MAX: u64 = 2_000;
/// Bytes of a conversation's summary.
pub const SUMMARY_BYTES_MAX: usize = 16 << 10;
/// Bytes of a conversation's session as JSON.
pub const SESSION_BYTES_MAX: usize = 64 << 10;
/// Bytes of a conversation's or a customer's id.
pub const ID_BYTES_MAX: usize = 256;

/// What adding a document came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddResult {
    pub revision: u64,
    pub pieces: usize,
    /// The very same document was there; nothing was done.
    pub unchanged: bool,
}

/// What was removed about one person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ForgetResult {
    /// Conversations of short-term memory, and their messages.
    pub threads: u64,
    pub messages: u64,
    /// Documents of each collection of long-term memory.
    pub knowledge: u64,
    pub conversations: u64,
    pub executions: u64,
}

/// What building a collection anew came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReindexResult {
    pub collection: MemoryCollection,
    /// The embedder it is searched by now.
    pub embedder: String,
    pub documents: u64,
    pub pieces: u64,
}

/// When to come back where somebody else keeps being first.
pub const RETRY_AFTER: Duration = Duration::from_millis(50);

/// Everything is one tenant's, and stays apart from every other's.
#[async_trait]
pub trait MemoryStore: Send + Sync {
    // Long-term.

    /// Keeps a document and makes it findable. A changed one of the same name takes its place. Refused where the person
    /// it is about is forgotten meanwhile.
    async fn add(
        &self,
        tenant: &TenantId,
        collection: MemoryCollection,
        document: SourceDocument,
    ) -> Result<AddResult, MemoryError>;

    /// Says whether it was there.
    async fn remove(&self, tenant: &TenantId, collection: MemoryCollection, name: &str) -> Result<bool, MemoryError>;

    /// Documents by name, behind `after`.
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

    /// Builds a collection anew by the settings of now, beside what answers meanwhile, then lets it answer.
    async fn reindex(&self, tenant: &TenantId, collection: MemoryCollection) -> Result<ReindexResult, MemoryError>;

    // Short-term. Where a person is forgotten while these go on, it is as if they had been done just before: nothing of
    // it stays.

    /// Keeps a message. `customer` is whose conversation it is, where that is known.
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

    /// Lays fields over the session; a null takes one away.
    async fn set_session(
        &self,
        tenant: &TenantId,
        conversation: &str,
        fields: &Map<String, Value>,
    ) -> Result<(), MemoryError>;

    /// Brings the running summary of a conversation that goes on up to its newest messages but `but`, on the asker's
    /// behalf; says which is there then. Of several who ask at once, one does; where no model can be asked, it stays as it
    /// was. No message leaves for it.
    async fn summarise(
        &self,
        asker: &ModelCaller,
        conversation: &str,
        but: usize,
    ) -> Result<Option<ThreadSummary>, MemoryError>;

    /// A conversation is over: its summary and its words become findable, and its messages leave short-term memory. One
    /// that is closed already answers as it did. A summary that has to be made is asked for on the asker's behalf; where
    /// it cannot be had, an excerpt takes its place and says why.
    async fn close(
        &self,
        asker: &ModelCaller,
        conversation: &str,
        closing: ConversationClosing,
    ) -> Result<ThreadSummary, MemoryError>;

    // Episodic.

    /// Makes a conversation findable that is over by its own journal; in place of what was kept of it by this before. Says
    /// whether it is kept: not where it was closed here ([`MemoryStore::close`]), nor where nothing was said, nor where the
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

    /// What an agent should know before it thinks.
    async fn context(&self, tenant: &TenantId, wanted: &ContextRequest) -> Result<MemoryContext, MemoryError>;

    /// Removes everything about one person. Once it returns, nothing that began before comes back: no message, summary,
    /// closed conversation, document or execution that was on its way.
    async fn forget(&self, tenant: &TenantId, customer: &str) -> Result<ForgetResult, MemoryError>;
}
