//! The context of an agent: selected from all memories, within a token budget.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{CitedPassage, RECENT_DEFAULT, SIMILAR_DEFAULT, TOP_DEFAULT, ThreadMessage};
use crate::index::DocumentFilter;

/// The memories that a context uses.
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

/// A request for a context. A count of 0 omits a part.
#[derive(Clone, Debug, PartialEq)]
pub struct ContextRequest {
    pub conversation: Option<String>,
    /// The text by which documents and conversations are searched.
    pub message: String,
    pub strategy: ContextStrategy,
    pub recent: usize,
    pub documents: usize,
    pub conversations: usize,
    /// Estimated tokens for everything together; default: that of the settings.
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

/// The context that an agent receives before its step.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct MemoryContext {
    pub summary: Option<String>,
    pub session: Value,
    /// Oldest first.
    pub recent_messages: Vec<ThreadMessage>,
    pub relevant_documents: Vec<CitedPassage>,
    pub similar_conversations: Vec<SimilarConversation>,
    /// Estimated number of tokens in total.
    pub tokens: usize,
    /// What was found and did not fit.
    pub left_out: OmittedCounts,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub degraded: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OmittedCounts {
    pub messages: usize,
    /// Messages of the conversation that are neither included nor in its summary, although they may be kept.
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
