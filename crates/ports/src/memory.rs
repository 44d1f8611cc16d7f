//! What agents remember: recent words (short-term), documents (long-term), and what was tried before (episodic).

use std::time::Duration;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::money::Usd;
use baton_core::time::Time;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::embed;
use crate::index::{self, Collection, Document, Filter, Head};
use crate::models::Asker;
use crate::records;

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

/// How the two ways of searching are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Both, fused by reciprocal rank.
    #[default]
    Hybrid,
    Vector,
    Text,
}

/// A question to long-term memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    pub query: String,
    pub collection: Collection,
    /// At most [`TOP_MAX`].
    pub top: usize,
    pub filter: Filter,
    pub mode: Mode,
}

impl Search {
    /// The tenant's knowledge, by both ways.
    pub fn knowledge(query: impl Into<String>) -> Self {
        Self {
            query: query.into(),
            collection: Collection::Knowledge,
            top: TOP_DEFAULT,
            filter: Filter::default(),
            mode: Mode::Hybrid,
        }
    }
}

/// What a search found, best first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    pub passages: Vec<Cited>,
    /// Why this is less than it could be: one way of searching could not be used.
    pub degraded: Option<String>,
}

/// A passage with where it is from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cited {
    pub content: String,
    /// Higher is better; comparable within one answer only.
    pub score: f64,
    /// The document's name and title.
    pub document: String,
    pub title: String,
    /// The headings it stands under.
    pub heading: String,
    /// The number of the passage in its document.
    pub chunk: u32,
    /// `content` is bytes `begins..ends` of the document's text.
    pub begins: u32,
    pub ends: u32,
    pub metadata: Map<String, Value>,
}

/// A question that is searched for in rounds: a model judges whether what was found answers it, and if not, words the
/// next search.
#[derive(Clone, Debug, PartialEq)]
pub struct Inquiry {
    pub question: String,
    /// Passages of each round, at most [`ROUND_TOP_MAX`].
    pub top: usize,
    /// At most [`ROUNDS_MAX`].
    pub rounds: usize,
    pub filter: Filter,
}

/// What an inquiry came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inquired {
    /// Each once, in the order it was found; the judge knew them by these places, from 1.
    pub passages: Vec<Cited>,
    pub rounds: Vec<Round>,
    pub stopped: Stopped,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub degraded: Option<String>,
    /// What the judging cost.
    pub cost: Usd,
}

/// One search of an inquiry.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Round {
    pub query: String,
    /// Passages that no earlier round had found.
    pub new: usize,
    /// Whether everything found so far answers the question; none where nobody judged.
    pub sufficient: Option<bool>,
    /// What the judge still missed.
    pub missing: Option<String>,
}

/// Why an inquiry went no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stopped {
    Sufficient,
    /// The last search found nothing new, or the judge knew nothing else to look for.
    NothingNew,
    Rounds,
    /// No model could judge.
    Unjudged,
}

/// What adding a document came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Added {
    pub revision: u64,
    pub pieces: usize,
    /// The very same document was there; nothing was done.
    pub unchanged: bool,
}

/// Who said something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Speaker {
    Customer,
    Agent,
    /// A person who answers.
    Human,
    System,
}

impl Speaker {
    pub fn word(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Agent => "agent",
            Self::Human => "human",
            Self::System => "system",
        }
    }
}

/// Something said in a conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// A message of an id that was among the last [`RECENT_MAX`] is not kept again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(rename = "role")]
    pub speaker: Speaker,
    pub content: String,
    pub at: Time,
}

/// A conversation's short-term memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Thread {
    pub conversation: String,
    pub customer: Option<String>,
    /// What was said before the messages that are not yet in it.
    pub summary: Option<Summary>,
    /// Facts of this session, an object.
    pub session: Value,
    /// Messages said so far, those that gave way included.
    pub messages: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub text: String,
    /// Messages it covers, from the first.
    pub covers: u64,
    pub by: Summarised,
}

/// Who wrote a summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Summarised {
    Model,
    /// No model could be asked: the customer's first words and the last that were said.
    Excerpt,
    /// It was given.
    Caller,
}

/// How a conversation ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Closing {
    /// One word or a few: `success`, `escalated`, …
    pub outcome: String,
    /// In place of one that is made.
    pub summary: Option<String>,
}

/// Which memories a context is made of (seed 004).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    ShortOnly,
    LongOnly,
    #[default]
    Hybrid,
}

impl Strategy {
    pub fn has_short(self) -> bool {
        matches!(self, Self::ShortOnly | Self::Hybrid)
    }

    pub fn has_long(self) -> bool {
        matches!(self, Self::LongOnly | Self::Hybrid)
    }
}

/// A context that is asked for. Counts of 0 leave a part out.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    pub conversation: Option<String>,
    /// What documents and conversations are searched by.
    pub message: String,
    pub strategy: Strategy,
    pub recent: usize,
    pub documents: usize,
    pub conversations: usize,
    /// For everything together, by estimate; unless said, as the settings say.
    pub tokens: Option<usize>,
    /// Which documents may be used.
    pub filter: Filter,
}

impl Wanted {
    pub fn new(conversation: Option<String>, message: impl Into<String>) -> Self {
        Self {
            conversation,
            message: message.into(),
            strategy: Strategy::Hybrid,
            recent: RECENT_DEFAULT,
            documents: TOP_DEFAULT,
            conversations: SIMILAR_DEFAULT,
            tokens: None,
            filter: Filter::default(),
        }
    }
}

/// What an agent is told before it thinks, in the words of seed 004.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Context {
    pub summary: Option<String>,
    pub session: Value,
    /// Oldest first.
    pub recent_messages: Vec<Message>,
    pub relevant_documents: Vec<Cited>,
    pub similar_conversations: Vec<SimilarConversation>,
    /// Estimated tokens of all of it.
    pub tokens: usize,
    /// What was found and did not fit.
    pub left_out: LeftOut,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub degraded: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    pub messages: usize,
    pub documents: usize,
    pub conversations: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SimilarConversation {
    pub conversation_id: String,
    pub summary: String,
    pub outcome: String,
    pub score: f64,
}

/// What an agent was to do, how it went about it, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Execution {
    /// The same id again is the same execution.
    pub id: String,
    pub goal: String,
    pub plan: Value,
    pub results: Value,
    pub success: bool,
    pub agent: Option<String>,
    /// The person it was for.
    pub user: Option<String>,
    pub cost_usd: Option<f64>,
    pub duration_ms: Option<u64>,
    pub iterations: Option<u32>,
    pub at: Time,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SimilarExecution {
    #[serde(flatten)]
    pub execution: Execution,
    pub score: f64,
}

/// What was removed about one person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Forgotten {
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
pub struct Reindexed {
    pub collection: Collection,
    /// The embedder it is searched by now.
    pub embedder: String,
    pub documents: u64,
    pub pieces: u64,
}

/// Sorted by the caller's next move.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    #[error("{what} is {size}, over the limit of {limit}")]
    TooLarge { what: &'static str, size: usize, limit: usize },
    #[error("{what}: {reason}")]
    Invalid { what: String, reason: String },
    #[error("there is no {what} `{name}`")]
    NotFound { what: &'static str, name: String },
    #[error("the collection `{collection}` is full: it holds {limit} pieces; remove documents, or cut larger pieces")]
    Full { collection: Collection, limit: u64 },
    /// What is searched was made by an embedder that these settings do not have.
    #[error(
        "`{collection}` was indexed with the embedder `{space}`, which the settings under `[memory]` do not have; \
         configure it, or run `baton knowledge reindex`"
    )]
    OtherEmbedder { collection: Collection, space: String },
    #[error(transparent)]
    Embedding(#[from] embed::Error),
    /// Try again.
    #[error("memory is overloaded; try again in {} ms", retry_after.as_millis())]
    Busy { retry_after: Duration },
    #[error("memory cannot be written: {reason}")]
    Unwritable { reason: String },
    #[error("memory cannot be read: {reason}")]
    Unreadable { reason: String },
}

impl From<index::Error> for Error {
    fn from(error: index::Error) -> Self {
        match error {
            index::Error::TooLarge { what, size, limit } => Self::TooLarge { what, size, limit },
            index::Error::Full { collection, limit } => Self::Full { collection, limit },
            index::Error::Invalid { what, reason } => Self::Invalid { what, reason },
            index::Error::Busy { retry_after } => Self::Busy { retry_after },
            index::Error::Unwritable { reason } => Self::Unwritable { reason },
            index::Error::Unreadable { reason } => Self::Unreadable { reason },
        }
    }
}

impl From<records::Error> for Error {
    fn from(error: records::Error) -> Self {
        match error {
            records::Error::TooLarge { what, size, limit } => Self::TooLarge { what, size, limit },
            records::Error::Busy { retry_after } => Self::Busy { retry_after },
            records::Error::Unreadable { reason } => Self::Unreadable { reason },
            records::Error::Unwritable { reason } => Self::Unwritable { reason },
            // Whoever changes a thread tries again before this is said.
            records::Error::Conflict { .. } | records::Error::EmptyRange { .. } => {
                Self::Busy { retry_after: RETRY_AFTER }
            }
        }
    }
}

/// When to come back where somebody else keeps being first.
pub const RETRY_AFTER: Duration = Duration::from_millis(50);

/// Everything is one tenant's, and stays apart from every other's.
#[async_trait]
pub trait Memory: Send + Sync {
    // Long-term.

    /// Keeps a document and makes it findable. A changed one of the same name takes its place.
    async fn add(&self, tenant: &TenantId, collection: Collection, document: Document) -> Result<Added, Error>;

    /// Says whether it was there.
    async fn remove(&self, tenant: &TenantId, collection: Collection, name: &str) -> Result<bool, Error>;

    /// Documents by name, behind `after`.
    async fn documents(
        &self,
        tenant: &TenantId,
        collection: Collection,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Head>, Error>;

    async fn search(&self, tenant: &TenantId, search: &Search) -> Result<Found, Error>;

    /// Searches the tenant's knowledge in rounds, on the asker's behalf.
    async fn inquire(&self, asker: &Asker, inquiry: &Inquiry) -> Result<Inquired, Error>;

    /// Builds a collection anew by the settings of now, beside what answers meanwhile, then lets it answer.
    async fn reindex(&self, tenant: &TenantId, collection: Collection) -> Result<Reindexed, Error>;

    // Short-term.

    /// Keeps a message. `customer` is whose conversation it is, where that is known.
    async fn say(
        &self,
        tenant: &TenantId,
        conversation: &str,
        customer: Option<&str>,
        message: Message,
    ) -> Result<(), Error>;

    async fn thread(&self, tenant: &TenantId, conversation: &str) -> Result<Option<Thread>, Error>;

    /// The last messages, oldest first; at most [`RECENT_MAX`].
    async fn recent(&self, tenant: &TenantId, conversation: &str, limit: usize) -> Result<Vec<Message>, Error>;

    /// Lays fields over the session; a null takes one away.
    async fn set_session(
        &self,
        tenant: &TenantId,
        conversation: &str,
        fields: &Map<String, Value>,
    ) -> Result<(), Error>;

    /// Brings the running summary up to the newest messages but `but`.
    async fn summarise(&self, tenant: &TenantId, conversation: &str, but: usize) -> Result<Option<Summary>, Error>;

    /// A conversation is over: its summary and its words become findable, and its messages leave short-term memory. One
    /// that is closed already answers as it did.
    async fn close(&self, tenant: &TenantId, conversation: &str, closing: Closing) -> Result<Summary, Error>;

    // Episodic.

    async fn record_execution(&self, tenant: &TenantId, execution: Execution) -> Result<(), Error>;

    async fn similar_executions(
        &self,
        tenant: &TenantId,
        goal: &str,
        limit: usize,
        success_only: bool,
    ) -> Result<Vec<SimilarExecution>, Error>;

    // All of it.

    /// What an agent should know before it thinks.
    async fn context(&self, tenant: &TenantId, wanted: &Wanted) -> Result<Context, Error>;

    /// Removes everything about one person.
    async fn forget(&self, tenant: &TenantId, customer: &str) -> Result<Forgotten, Error>;
}
