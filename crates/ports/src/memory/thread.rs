//! A conversation: what was said, its summary, its session, its end.

use baton_core::time::Time;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Who said something.
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

/// Something said in a conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ThreadMessage {
    /// A message of an id that was among the last [`RECENT_MAX`] is not kept again.
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
    /// What was said before the messages that are not yet in it.
    pub summary: Option<ThreadSummary>,
    /// Facts of this session, an object.
    pub session: Value,
    /// Messages said so far, those that gave way included.
    pub messages: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ThreadSummary {
    pub text: String,
    /// Messages it covers, from the first.
    pub covers: u64,
    pub by: SummarySource,
    /// Why it is an excerpt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Who wrote a summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SummarySource {
    Model,
    /// No model could be asked: the customer's first words and the last that were said.
    Excerpt,
    /// It was given.
    Caller,
}

/// A conversation that is over, as its own journal has it.
#[derive(Clone, Debug, PartialEq)]
pub struct EndedConversation {
    pub conversation: String,
    pub customer: Option<String>,
    /// What the customer saw, oldest first; at most [`MESSAGES_MAX`](super::MESSAGES_MAX).
    pub messages: Vec<ThreadMessage>,
    pub outcome: String,
    /// Who is forgotten after this stays forgotten.
    pub ended_at: Time,
}

/// How a conversation ended.
#[derive(Clone, Debug, PartialEq)]
pub struct ConversationClosing {
    /// One word or a few: `success`, `escalated`, …
    pub outcome: String,
    /// In place of one that is made.
    pub summary: Option<String>,
}
