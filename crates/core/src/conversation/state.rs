//! The state of a conversation, folded from its events.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::command::{InboundMessage, NewConversation, PinnedVersion};
use super::event::ConversationLine;
use super::handover::{AttemptedStep, Handover, HandoverTrigger};
use crate::id::RunId;
use crate::money::Usd;
use crate::routing::ServiceLevel;
use crate::run::SignalBuffer;
use crate::time::Time;

/// The states of seed 004.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConversationState {
    #[default]
    New,
    AiProcessing,
    Finished,
    /// Transient: the same append puts it in the routing queue.
    Handover,
    PendingHuman,
    HumanActive,
    Resolved,
    BackToAi,
}

impl ConversationState {
    pub const ALL: [Self; 8] = [
        Self::New,
        Self::AiProcessing,
        Self::Finished,
        Self::Handover,
        Self::PendingHuman,
        Self::HumanActive,
        Self::Resolved,
        Self::BackToAi,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::AiProcessing => "ai_processing",
            Self::Finished => "finished",
            Self::Handover => "handover",
            Self::PendingHuman => "pending_human",
            Self::HumanActive => "human_active",
            Self::Resolved => "resolved",
            Self::BackToAi => "back_to_ai",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }

    /// Returns whether people handle it: `is_hil` of seed 004.
    pub fn is_hil(self) -> bool {
        matches!(self, Self::Handover | Self::PendingHuman | Self::HumanActive)
    }

    pub fn status(self) -> ConversationStatus {
        match self {
            Self::New | Self::AiProcessing | Self::BackToAi => ConversationStatus::Active,
            Self::Handover | Self::PendingHuman | Self::HumanActive => ConversationStatus::Escalated,
            Self::Finished | Self::Resolved => ConversationStatus::Closed,
        }
    }
}

impl fmt::Display for ConversationState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// `conversations.status` of the seeds, derived from the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConversationStatus {
    Active,
    Closed,
    Escalated,
}

impl ConversationStatus {
    pub const ALL: [Self; 3] = [Self::Active, Self::Closed, Self::Escalated];

    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Closed => "closed",
            Self::Escalated => "escalated",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.word() == word)
    }
}

/// Who may post as the owner.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConversationOwner {
    #[default]
    Ai,
    /// It waits for a person, or is closed.
    Nobody,
    Person(String),
}

impl fmt::Display for ConversationOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ai => f.write_str("the AI"),
            Self::Nobody => f.write_str("nobody"),
            Self::Person(name) => write!(f, "`{name}`"),
        }
    }
}

/// The run that handles the conversation now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ActiveRun {
    pub run: RunId,
    /// The ownership number under which the run speaks.
    pub number: u64,
    pub waits: bool,
    /// The sequence of the last message it received.
    pub handed: u64,
    /// The sequence up to which the run reports arrival.
    pub arrived: u64,
    /// The transcript line with which it started.
    pub first: u64,
    /// Messages that it received and has not reported as taken: the message's line, by sequence.
    pub given: BTreeMap<u64, u64>,
    /// The trigger of the last handover, which is off for this run.
    pub muted: Option<HandoverTrigger>,
}

/// A message that an ended run received and never took, until the run reports it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ReturnedMessage {
    pub run: RunId,
    pub sequence: u64,
    pub message: u64,
}

/// One conversation. Its state is bounded, however long it lasts; the journal has the rest.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Conversation {
    pub(super) begun: Option<Box<NewConversation>>,
    pub(super) begun_at: Time,
    /// Never goes back.
    pub(super) now: Time,
    pub(super) state: ConversationState,
    pub(super) owner: ConversationOwner,
    pub(super) number: u64,
    pub(super) version: Option<Box<PinnedVersion>>,
    pub(super) signals: SignalBuffer,
    /// Messages that arrived too early, by sender and number.
    pub(super) early: Vec<InboundMessage>,
    /// Lines of the customer that are not handled yet.
    pub(super) queue: BTreeMap<u64, ConversationLine>,
    pub(super) active: Option<ActiveRun>,
    pub(super) returning: Vec<ReturnedMessage>,
    /// Lines that were given to a run and may be returned, by number.
    pub(super) lent: BTreeMap<u64, ConversationLine>,
    pub(super) runs: u64,
    pub(super) lines: u64,
    pub(super) messages: u64,
    pub(super) recent: VecDeque<ConversationLine>,
    pub(super) first_words: Option<String>,
    pub(super) errors: u32,
    pub(super) muted: Option<HandoverTrigger>,
    pub(super) note: Option<String>,
    pub(super) handover: Option<Box<Handover>>,
    pub(super) handovers: u64,
    /// The number with which it was last enqueued, while the routing queue holds it.
    pub(super) at_desk: Option<u64>,
    /// If the routing queue was full: when it asks again, and how often it has asked.
    #[serde(default)]
    pub(super) asks_again_at: Option<Time>,
    #[serde(default)]
    pub(super) asked_again: u64,
    pub(super) waiting_since: Option<Time>,
    pub(super) first_response_at: Option<Time>,
    pub(super) suggested: Option<String>,
    pub(super) tried: VecDeque<AttemptedStep>,
    pub(super) confidence: Option<f64>,
    pub(super) cost: Usd,
    pub(super) reopened: u64,
    pub(super) ended_at: Option<Time>,
    pub(super) rating: Option<(u8, String)>,
    /// The service level that applies if it waits for a person.
    #[serde(default)]
    pub(super) service: ServiceLevel,
    /// How often the service level was changed.
    #[serde(default)]
    pub(super) service_changes: u64,
}

impl Conversation {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn begun(&self) -> Option<&NewConversation> {
        self.begun.as_deref()
    }

    pub fn begun_at(&self) -> Time {
        self.begun_at
    }

    /// Returns the time of the last event.
    pub fn now(&self) -> Time {
        self.now
    }

    pub fn state(&self) -> ConversationState {
        self.state
    }

    pub fn owner(&self) -> &ConversationOwner {
        &self.owner
    }

    /// Returns the current ownership number; each post quotes it.
    pub fn ownership_number(&self) -> u64 {
        self.number
    }

    /// Returns the workflow version of its next run.
    pub fn version(&self) -> Option<&PinnedVersion> {
        self.version.as_deref()
    }

    /// Returns the number of lines in its transcript.
    pub fn line_count(&self) -> u64 {
        self.lines
    }

    /// Returns the number of the customer's messages.
    pub fn message_count(&self) -> u64 {
        self.messages
    }

    pub fn run_count(&self) -> u64 {
        self.runs
    }

    pub fn cost(&self) -> Usd {
        self.cost
    }

    pub fn confidence(&self) -> Option<f64> {
        self.confidence
    }

    /// Returns the context of the last handover.
    pub fn handover(&self) -> Option<&Handover> {
        self.handover.as_deref()
    }

    /// Returns the number of handovers.
    pub fn handover_count(&self) -> u64 {
        self.handovers
    }

    pub fn rating(&self) -> Option<(u8, &str)> {
        self.rating.as_ref().map(|(score, comment)| (*score, comment.as_str()))
    }

    /// Returns the service level; omitted fields follow the settings of the routing queue.
    pub fn service_level(&self) -> ServiceLevel {
        self.service
    }

    /// Returns a line that was given to a run, as long as it may be returned.
    pub fn outstanding_line(&self, message: u64) -> Option<&ConversationLine> {
        self.lent.get(&message)
    }

    /// Returns the last lines, oldest first.
    pub fn recent(&self) -> impl Iterator<Item = &ConversationLine> {
        self.recent.iter()
    }

    /// Returns the number with which it was enqueued, while the routing queue holds it.
    pub fn queue_ticket(&self) -> Option<u64> {
        self.at_desk
    }

    pub fn last_public_line(&self) -> Option<&ConversationLine> {
        self.recent.iter().rev().find(|line| line.from.is_public())
    }

    pub fn first_response_at(&self) -> Option<Time> {
        self.first_response_at
    }

    pub fn waiting_since(&self) -> Option<Time> {
        self.waiting_since
    }

    pub fn reopen_count(&self) -> u64 {
        self.reopened
    }

    pub fn ended_at(&self) -> Option<Time> {
        self.ended_at
    }

    /// Returns the run that handles the conversation, or waits for the customer.
    pub fn active_run(&self) -> Option<&RunId> {
        self.active.as_ref().map(|active| &active.run)
    }

    /// Returns whether nothing happens without a new message: no run is working, and no message waits to be handled.
    pub fn is_idle(&self) -> bool {
        let is_at_work =
            self.active.as_ref().is_some_and(|active| !active.waits && self.owner == ConversationOwner::Ai);
        !is_at_work && self.queue.is_empty() && self.returning.is_empty()
    }
}
