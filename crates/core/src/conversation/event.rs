//! Events of a conversation.

use serde::{Deserialize, Serialize};

use super::command::{InboundMessage, NewConversation, PinnedVersion};
use super::handover::{AttemptedStep, Handover};
use crate::id::RunId;
use crate::money::Usd;
use crate::routing::ServiceLevel;
use crate::run::RunState;
use crate::time::Time;

/// The content of one append.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConversationEntry {
    pub at: Time,
    pub events: Vec<ConversationEvent>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConversationEvent {
    Begun(Box<NewConversation>),
    /// The next run uses another version.
    Versioned(Box<PinnedVersion>),
    /// A sender's message arrived before others with lower numbers.
    Held {
        message: InboundMessage,
        until: Time,
    },
    /// A line was added to the transcript. A customer's message waits to be handled.
    Said {
        line: ConversationLine,
    },
    /// People handle these messages.
    ToPeople {
        messages: Vec<u64>,
    },
    RunBegun {
        run: RunId,
        message: u64,
        version: Box<PinnedVersion>,
        /// A person's note for the AI.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    /// A waiting run receives a message.
    Given {
        run: RunId,
        sequence: u64,
        message: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    RunHeard {
        run: RunId,
        waits: bool,
        arrived: u64,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        kept: Vec<u64>,
    },
    RunOver {
        run: RunId,
        state: RunState,
        arrived: u64,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        kept: Vec<u64>,
        cost: Usd,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        confidence: Option<f64>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tried: Vec<AttemptedStep>,
        failed: bool,
    },
    /// Messages given to a run that has ended are returned.
    Returned {
        run: RunId,
        sequence: u64,
    },
    /// The AI has answered all messages.
    Finished,
    HandedOver {
        handover: Box<Handover>,
        number: u64,
    },
    /// The conversation is in the routing queue.
    Enqueued {
        number: u64,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        skills: Vec<String>,
    },
    /// The routing queue is full: the conversation is not in it, and asks again at this time.
    NotQueued {
        number: u64,
        reason: String,
        again_at: Time,
    },
    /// Asks the routing queue once more, for the `attempt`th time.
    AskedAgain {
        number: u64,
        attempt: u64,
    },
    Assigned {
        number: u64,
        person: String,
    },
    /// The person who owned it is gone: it waits again, at the position it would have had without the assignment.
    Requeued {
        number: u64,
    },
    TakenOver {
        number: u64,
        by: String,
        /// The ownership number under which it waited for, or belonged to, a person of the routing queue.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        left: Option<u64>,
        handover: Option<Box<Handover>>,
    },
    GivenBack {
        number: u64,
        by: String,
        note: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        left: Option<u64>,
    },
    Resolved {
        number: u64,
        by: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        left: Option<u64>,
    },
    /// By the customer, or by a person.
    Reopened {
        number: u64,
        by: Option<String>,
    },
    /// The service level changed.
    ServiceLevelSet {
        by: String,
        /// The complete service level now.
        service: ServiceLevel,
        /// Increments by one with each change.
        change: u64,
    },
    Rated {
        score: u8,
        comment: String,
    },
    /// The conversation was silent for too long. A waiting run is asked to end.
    Closed {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<RunId>,
    },
}

/// The author of a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineAuthor {
    Customer,
    Ai {
        run: RunId,
    },
    Person {
        name: String,
    },
    /// A note by a person, for other people.
    Note {
        name: String,
    },
    /// A text by the AI when it did not own the conversation: only people see it.
    Suggestion {
        run: RunId,
    },
}

impl LineAuthor {
    pub fn word(&self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Ai { .. } => "ai",
            Self::Person { .. } => "person",
            Self::Note { .. } => "note",
            Self::Suggestion { .. } => "suggestion",
        }
    }

    /// Returns whether the customer sees it.
    pub fn is_public(&self) -> bool {
        matches!(self, Self::Customer | Self::Ai { .. } | Self::Person { .. })
    }
}

/// One line of the transcript.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConversationLine {
    /// Increments by one with each line of a conversation, from 1.
    pub number: u64,
    pub at: Time,
    pub from: LineAuthor,
    pub text: String,
    /// The ownership number of its author.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owned: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// It came after a gap in its sender's numbers that was never filled.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub after_gap: bool,
}
