//! What has happened to a conversation.

use serde::{Deserialize, Serialize};

use super::command::{InboundMessage, NewConversation, PinnedVersion};
use super::handover::{AttemptedStep, Handover};
use crate::id::RunId;
use crate::money::Usd;
use crate::routing::ServiceLevel;
use crate::run::RunState;
use crate::time::Time;

/// What one append records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConversationEntry {
    pub at: Time,
    pub events: Vec<ConversationEvent>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConversationEvent {
    Begun(Box<NewConversation>),
    /// What the next run runs on is another version.
    Versioned(Box<PinnedVersion>),
    /// A sender's message came before those that its number leaves room for.
    Held {
        message: InboundMessage,
        until: Time,
    },
    /// Somebody said something. A customer's words wait to be handled.
    Said {
        line: ConversationLine,
    },
    /// People handle these messages: they read them.
    ToPeople {
        messages: Vec<u64>,
    },
    RunBegun {
        run: RunId,
        message: u64,
        version: Box<PinnedVersion>,
        /// What a person left for it to know.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    /// A run that waits is handed a message.
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
    /// What a run that has ended was handed comes back.
    Returned {
        run: RunId,
        sequence: u64,
    },
    /// The AI has answered all there was.
    Finished,
    HandedOver {
        handover: Box<Handover>,
        number: u64,
    },
    /// It stands in the desk's queue.
    Enqueued {
        number: u64,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        skills: Vec<String>,
    },
    /// The desk has no room for it: it stands in no queue, and asks again then.
    NotQueued {
        number: u64,
        reason: String,
        again_at: Time,
    },
    /// It asks the desk once more, for the `attempt`th time.
    AskedAgain {
        number: u64,
        attempt: u64,
    },
    Assigned {
        number: u64,
        person: String,
    },
    /// Who had it is gone: it waits again, where it would be had it never left the line.
    Requeued {
        number: u64,
    },
    TakenOver {
        number: u64,
        by: String,
        /// The number it waited for, or was in the hands of, somebody of the desk's under.
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
    /// Something else is promised of it.
    ServiceLevelSet {
        by: String,
        /// All that is promised of it now.
        service: ServiceLevel,
        /// Rises by one with each.
        change: u64,
    },
    Rated {
        score: u8,
        comment: String,
    },
    /// Nobody said anything for so long. A run that waited is told to end.
    Closed {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<RunId>,
    },
}

/// Who said a line.
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
    /// A person, to other people.
    Note {
        name: String,
    },
    /// The AI, when it did not own the conversation: only people see it.
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

    /// Whether the customer sees it.
    pub fn is_public(&self) -> bool {
        matches!(self, Self::Customer | Self::Ai { .. } | Self::Person { .. })
    }
}

/// One line of the transcript.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConversationLine {
    /// Rises by one with each line of a conversation, from 1.
    pub number: u64,
    pub at: Time,
    pub from: LineAuthor,
    pub text: String,
    /// The number its author owned the conversation under.
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
