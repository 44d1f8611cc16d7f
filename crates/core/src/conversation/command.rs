//! What is asked of a conversation, and what it asks of others.

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
    /// From the customer.
    Message(InboundMessage),
    /// A person speaks to the customer, quoting the number they own the conversation under.
    Post {
        by: String,
        number: u64,
        text: String,
    },
    /// A person writes down what the customer does not see.
    Note {
        by: String,
        text: String,
    },
    TakeOver {
        by: String,
    },
    /// Back to the AI, whose next run is told the note.
    GiveBack {
        by: String,
        #[serde(default)]
        note: String,
    },
    Resolve {
        by: String,
    },
    /// Back into the desk's queue.
    Reopen {
        by: String,
    },
    /// The customer's word on how it went, 1 to 5.
    Rate {
        score: u8,
        #[serde(default)]
        comment: String,
    },
    /// From a run: it says something to the customer, or waits for them.
    RunAsked(RunUpdate),
    RunEnded(Box<RunResult>),
    /// From a run that has ended: it takes no more, and never took this.
    RunReturned {
        run: RunId,
        sequence: u64,
    },
    /// A person promises something else of it; what is left out stays as it is.
    ServiceLevel {
        by: String,
        service: ServiceLevel,
    },
    /// From the desk: it has no room for it now.
    NotQueued {
        /// The number it was to be enqueued under.
        stay: u64,
        reason: String,
    },
    /// From the desk: this person owns it, under this number.
    Assigned {
        /// The number it was enqueued under.
        stay: u64,
        number: u64,
        person: String,
    },
    /// From the desk: who owned it is gone, and it waits again, under this number.
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

/// A conversation to begin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewConversation {
    pub conversation: RunId,
    pub tenant: TenantId,
    /// Who the customer is, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// `web`, `mobile`, `api`, or another.
    pub channel: String,
    /// On whose behalf its runs act.
    #[serde(default)]
    pub caller: Caller,
    /// What its runs find as their context.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub context: Value,
    /// What is promised of it, should it wait for a person.
    #[serde(default, skip_serializing_if = "ServiceLevel::is_usual")]
    pub service: ServiceLevel,
    pub version: PinnedVersion,
}

/// What a conversation's next run runs on: the version that was active when the customer last wrote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PinnedVersion {
    pub workflow: String,
    pub bundle: bundle::ContentHash,
    #[serde(default)]
    pub hil: HandoverPolicy,
}

/// A message of the customer's, as it comes in. It is told from others by its item's `command_id`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InboundMessage {
    pub message_id: String,
    /// Who sent it; orders `sequence`.
    #[serde(default)]
    pub source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    pub text: String,
    pub version: PinnedVersion,
}

/// What a run tells its conversation while it goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunUpdate {
    pub run: RunId,
    /// What it says to the customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// It waits for the customer's next message.
    pub waits: bool,
    /// Of the messages it was handed: the sequence up to which they came in, and of those the ones it has not taken.
    pub arrived: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<u64>,
    #[serde(default)]
    pub cost: Usd,
}

/// What a run tells its conversation as it ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    pub heard: RunUpdate,
    pub state: run::RunState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    /// What it says to the customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<String>,
    /// It asks for a person: why, and who can help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handover: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skills: Vec<String>,
    /// And how soon.
    #[serde(default, skip_serializing_if = "ServiceLevel::is_usual")]
    pub service: ServiceLevel,
    /// How sure it is, 0 to 1; the lowest that any of its nodes says where its output says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// Something it did could not be undone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not_undone: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tried: Vec<AttemptedStep>,
    /// It had ended before, and was rolled back on request.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rolled_back: bool,
}

/// What a conversation tells the desk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoutingRequest {
    /// It waits for a person.
    Enqueue {
        conversation: RunId,
        number: u64,
        wants: HandoverRequirements,
        waiting_since: Time,
        #[serde(default, skip_serializing_if = "ServiceLevel::is_usual")]
        service: ServiceLevel,
    },
    /// Something else is promised of it.
    ServiceLevel { conversation: RunId, number: u64, service: ServiceLevel },
    /// A person has answered the customer.
    Answered { conversation: RunId, number: u64 },
    /// It needs nobody of the desk's any more.
    Left { conversation: RunId, number: u64 },
}

/// What whoever takes it over must bring.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HandoverRequirements {
    pub skills: Vec<String>,
    /// A code (`es`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
}

/// Keys of an output that hold words for the customer, the first that is there counts.
const REPLY_KEYS: [&str; 8] = ["text", "reply", "answer", "message", "response", "customer", "output", "summary"];

/// What a run's output says to the customer: its text, or the words under a key that holds such.
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
