//! What is put before an agent: chosen from all memories, within a number of tokens.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{CitedPassage, RECENT_DEFAULT, SIMILAR_DEFAULT, TOP_DEFAULT, ThreadMessage};
use crate::index::DocumentFilter;

/// Which memories a context is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContextStrategy {
    ShortOnly,
    LongOnly,
    #[default]
    Hybrid,
}

impl ContextStrategy {
    pub fn has_short(self) -> bool {
        matches!(self, Self::ShortOnly | Self::Hybrid)
    }

    pub fn has_long(self) -> bool {
        matches!(self, Self::LongOnly | Self::Hybrid)
    }
}

/// A context that is asked for. Counts of 0 leave a part out.
#[derive(Clone, Debug, PartialEq)]
pub struct ContextRequest {
    pub conversation: Option<String>,
    /// What documents and conversations are searched by.
    pub message: String,
    pub strategy: ContextStrategy,
    pub recent: usize,
    pub documents: usize,
    pub conversations: usize,
    /// For everything together, by estimate; unless said, as the settings say.
    pub tokens: Option<usize>,
    /// Which documents may be used.
    pub filter: DocumentFilter,
}

impl ContextRequest {
    pub fn new(conversation: Option<String>, message: impl Into<String>) -> Self {
        Self {
            conversation,
            message: message.into(),
            strategy: ContextStrategy::Hybrid,
            recent: RECENT_DEFAULT,
            documents: TOP_DEFAULT,
            conversations: SIMILAR_DEFAULT,
            tokens: None,
            filter: DocumentFilter::default(),
        }
    }
}

/// What an agent is told before it thinks.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct MemoryContext {
    pub summary: Option<String>,
    pub session: Value,
    /// Oldest first.
    pub recent_messages: Vec<ThreadMessage>,
    pub relevant_documents: Vec<CitedPassage>,
    pub similar_conversations: Vec<SimilarConversation>,
    /// Estimated tokens of all of it.
    pub tokens: usize,
    /// What was found and did not fit.
    pub left_out: OmittedCounts,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub degraded: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OmittedCounts {
    pub messages: usize,
    /// Messages of the conversation that are neither shown nor in its summary, kept as they may be.
    pub unsummarised: usize,
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
