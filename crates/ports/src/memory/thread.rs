//! A conversation in short-term memory: its messages, summary, session and end.

use baton_core::time::Time;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The author of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageSpeaker {
    Customer,
    Agent,
    /// A person who answers.
    Human,
    System,
}

impl MessageSpeaker {
    pub fn word(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Agent => "agent",
            Self::Human => "human",
            Self::System => "system",
        }
    }
}

/// A message of a conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ThreadMessage {
    /// A message whose id is among the last [`RECENT_MAX`] is not stored again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(rename = "role")]
    pub speaker: MessageSpeaker,
    pub content: String,
    pub at: Time,
}

/// A conversation's short-term memory.
#[derive(Clone, Debug, PartialEq)]
pub struct MessageThread {
    pub conversation: String,
    pub customer: Option<String>,
    /// Summarises the messages before those that it does not cover yet.
    pub summary: Option<ThreadSummary>,
    /// Facts of this session, an object.
    pub session: Value,
    /// Number of messages so far, including removed ones.
    pub messages: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ThreadSummary {
    pub text: String,
    /// Number of messages it covers, from the first.
    pub covers: u64,
    pub by: SummarySource,
    /// Why it is an excerpt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// The author of a summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SummarySource {
    Model,
    /// No model could be asked: the customer's first message and the last messages.
    Excerpt,
    /// It was given by the caller.
    Caller,
}

/// A conversation that is over, from its own journal.
#[derive(Clone, Debug, PartialEq)]
pub struct EndedConversation {
    pub conversation: String,
    pub customer: Option<String>,
    /// What the customer saw, oldest first; at most [`MESSAGES_MAX`](super::MESSAGES_MAX).
    pub messages: Vec<ThreadMessage>,
    pub outcome: String,
    /// A person forgotten after this time stays forgotten.
    pub ended_at: Time,
}

/// How a conversation ended.
#[derive(Clone, Debug, PartialEq)]
pub struct ConversationClosing {
    /// One word or a few: `success`, `escalated`, …
    pub outcome: String,
    /// Replaces a generated summary.
    pub summary: Option<String>,
}
