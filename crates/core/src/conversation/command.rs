//! Commands to a conversation, and its requests to others.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::handover::AttemptedStep;
use super::handover_policy::HandoverPolicy;
use crate::bundle;
use crate::fault::Fault;
use crate::id::{RunId, TenantId};
use crate::money::Usd;
use crate::routing::ServiceLevel;
use crate::run;
use crate::time::Time;
use crate::tool::Caller;

/// The payload of an item in a conversation's inbox.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConversationCommand {
    Begin(Box<NewConversation>),
    /// A message from the customer.
    Message(InboundMessage),
    /// A person writes to the customer, quoting the ownership number.
    Post {
        by: String,
        number: u64,
        text: String,
    },
    /// A person writes a note that the customer does not see.
    Note {
        by: String,
        text: String,
    },
    TakeOver {
        by: String,
    },
    /// Returns the conversation to the AI, whose next run receives the note.
    GiveBack {
        by: String,
        #[serde(default)]
        note: String,
    },
    Resolve {
        by: String,
    },
    /// Puts the conversation back into the routing queue.
    Reopen {
        by: String,
    },
    /// The customer's rating of the conversation, 1 to 5.
    Rate {
        score: u8,
        #[serde(default)]
        comment: String,
    },
    /// From a run: a text for the customer, or the run waits for the customer.
    RunAsked(RunUpdate),
    RunEnded(Box<RunResult>),
    /// From a run that has ended: it takes no more messages, and never took these.
    RunReturned {
        run: RunId,
        sequence: u64,
    },
    /// A person changes the service level; omitted fields stay unchanged.
    ServiceLevel {
        by: String,
        service: ServiceLevel,
    },
    /// From the routing queue: it is full now.
    NotQueued {
        /// The ticket number with which it was to be enqueued.
        stay: u64,
        reason: String,
    },
    /// From the routing queue: this person owns the conversation, under this number.
    Assigned {
        /// The ticket number with which it was enqueued.
        stay: u64,
        number: u64,
        person: String,
    },
    /// From the routing queue: the owner is gone, and the conversation waits again under this number.
    Requeued {
        stay: u64,
        number: u64,
    },
    /// A timer may be due.
    Wake,
}

impl ConversationCommand {
    pub fn word(&self) -> &'static str {
        match self {
            Self::Begin(_) => "begin",
            Self::Message(_) => "message",
            Self::Post { .. } => "post",
            Self::Note { .. } => "note",
            Self::TakeOver { .. } => "take_over",
            Self::GiveBack { .. } => "give_back",
            Self::Resolve { .. } => "resolve",
            Self::Reopen { .. } => "reopen",
            Self::Rate { .. } => "rate",
            Self::RunAsked(_) => "run_asked",
            Self::RunEnded(_) => "run_ended",
            Self::RunReturned { .. } => "run_returned",
            Self::ServiceLevel { .. } => "service_level",
            Self::NotQueued { .. } => "not_queued",
            Self::Assigned { .. } => "assigned",
            Self::Requeued { .. } => "requeued",
            Self::Wake => "wake",
        }
    }
}

/// A request to start a conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewConversation {
    pub conversation: RunId,
    pub tenant: TenantId,
    /// The customer, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// `web`, `mobile`, `api`, or another channel.
    pub channel: String,
    /// The principal for which its runs act.
    #[serde(default)]
    pub caller: Caller,
    /// The context of its runs.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub context: Value,
    /// The service level that applies if it waits for a person.
    #[serde(default, skip_serializing_if = "ServiceLevel::is_usual")]
    pub service: ServiceLevel,
    pub version: PinnedVersion,
}

/// The version for a conversation's next run: the active version when the customer last wrote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PinnedVersion {
    pub workflow: String,
    pub bundle: bundle::ContentHash,
    #[serde(default)]
    pub hil: HandoverPolicy,
}

/// A message from the customer. It is identified by its inbox item's `command_id`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InboundMessage {
    pub message_id: String,
    /// The sender; `sequence` is ordered by it.
    #[serde(default)]
    pub source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    pub text: String,
    pub version: PinnedVersion,
}

/// A run's report to its conversation while it is running.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunUpdate {
    pub run: RunId,
    /// Text for the customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// The run waits for the customer's next message.
    pub waits: bool,
    /// Of the messages that the run received: the sequence up to which they arrived, and those that it has not taken.
    pub arrived: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<u64>,
    #[serde(default)]
    pub cost: Usd,
}

/// A run's report to its conversation when it ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    pub heard: RunUpdate,
    pub state: run::RunState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    /// Text for the customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<String>,
    /// A request for a person: the reason, and who can help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handover: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skills: Vec<String>,
    /// The requested service level.
    #[serde(default, skip_serializing_if = "ServiceLevel::is_usual")]
    pub service: ServiceLevel,
    /// Confidence, 0 to 1; the lowest of any node if the output gives none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// An effect could not be undone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not_undone: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tried: Vec<AttemptedStep>,
    /// The run had ended before, and was rolled back on request.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rolled_back: bool,
}

/// A conversation's request to the routing queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoutingRequest {
    /// The conversation waits for a person.
    Enqueue {
        conversation: RunId,
        number: u64,
        wants: HandoverRequirements,
        waiting_since: Time,
        #[serde(default, skip_serializing_if = "ServiceLevel::is_usual")]
        service: ServiceLevel,
    },
    /// The service level changed.
    ServiceLevel { conversation: RunId, number: u64, service: ServiceLevel },
    /// A person answered the customer.
    Answered { conversation: RunId, number: u64 },
    /// The conversation no longer needs a person from the queue.
    Left { conversation: RunId, number: u64 },
}

/// Requirements for the person who takes over.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HandoverRequirements {
    pub skills: Vec<String>,
    /// A language code (`es`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
}

/// Keys of an output that hold text for the customer; the first one present is used.
const REPLY_KEYS: [&str; 8] = ["text", "reply", "answer", "message", "response", "customer", "output", "summary"];

/// Returns the text for the customer in a run's output: the output itself if it is text, or the text under one of these
/// keys.
pub fn reply_text(output: &Value) -> Option<String> {
    let text = match output {
        Value::String(text) => Some(text.clone()),
        Value::Object(fields) => {
            let of_sink = fields.get("config").filter(|_| fields.contains_key("action")).and_then(reply_text);
            of_sink.or_else(|| REPLY_KEYS.iter().find_map(|key| reply_text(fields.get(*key)?)))
        }
        _ => None,
    };
    text.filter(|text| !text.trim().is_empty())
}
