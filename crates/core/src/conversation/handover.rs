//! Why a conversation is handed to a person, and the context that goes with it.

use serde::{Deserialize, Serialize};

use super::event::{ConversationLine, LineAuthor};
use super::state::Conversation;
use crate::money::Usd;
use crate::routing::ServiceLevel;

/// Maximum length of a customer quote in a summary, in characters.
const QUOTED_MAX: usize = 300;

/// What caused a handover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HandoverTrigger {
    ConfidenceThreshold,
    ExplicitRequest,
    AgentDecision,
    ErrorThreshold,
    Budget,
    FailedCompensation,
    /// A person takes the conversation over, or reopens it.
    Person,
}

impl HandoverTrigger {
    pub fn word(self) -> &'static str {
        match self {
            Self::ConfidenceThreshold => "confidence_threshold",
            Self::ExplicitRequest => "explicit_request",
            Self::AgentDecision => "agent_decision",
            Self::ErrorThreshold => "error_threshold",
            Self::Budget => "budget",
            Self::FailedCompensation => "failed_compensation",
            Self::Person => "person",
        }
    }
}

/// A step that a run attempted: a node, and how it ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptedStep {
    pub what: String,
    /// The kind of node.
    pub kind: String,
    /// The outcome as runs name it: `completed`, `failed`, `waiting`.
    pub outcome: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Context for the person who takes over: `handover_context` of seed 004.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Handover {
    pub trigger: HandoverTrigger,
    pub reason: String,
    pub summary: String,
    #[serde(default)]
    pub skills: Vec<String>,
    /// The service level, where it differs from the routing queue's settings.
    #[serde(default, skip_serializing_if = "ServiceLevel::is_usual", rename = "service_level")]
    pub service: ServiceLevel,
    /// Number of transcript lines so far.
    pub lines: u64,
    #[serde(default)]
    pub tried: Vec<AttemptedStep>,
    /// Pending approvals in the active run.
    #[serde(default)]
    pub pending_approvals: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    pub cost: Usd,
    /// The reply that the AI would have sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggested_reply: Option<String>,
}

impl Handover {
    pub(super) fn of(
        conversation: &Conversation,
        trigger: HandoverTrigger,
        reason: String,
        (skills, service): (Vec<String>, ServiceLevel),
        suggested: Option<String>,
    ) -> Self {
        let waits = |tried: &&AttemptedStep| tried.outcome == "waiting" && tried.kind == "human";
        Self {
            trigger,
            reason,
            summary: conversation.summary(),
            skills,
            service: service.or(conversation.service),
            lines: conversation.lines,
            pending_approvals: conversation.tried.iter().filter(waits).map(|tried| tried.what.clone()).collect(),
            tried: conversation.tried.iter().cloned().collect(),
            confidence: conversation.confidence,
            cost: conversation.cost,
            suggested_reply: suggested.or_else(|| conversation.suggested.clone()),
        }
    }
}

impl Conversation {
    /// Returns the customer's first and last message, and the last reply to them, quoted verbatim.
    fn summary(&self) -> String {
        let mut parts = Vec::new();
        if let Some(first) = &self.first_words {
            parts.push(format!("The customer began: “{}”", quoted(first)));
        }
        let last = |wanted: fn(&LineAuthor) -> bool| {
            self.recent.iter().rev().find(|line: &&ConversationLine| wanted(&line.from))
        };
        if let Some(line) =
            last(|from| *from == LineAuthor::Customer).filter(|line| Some(&line.text) != self.first_words.as_ref())
        {
            parts.push(format!("Last they said: “{}”", quoted(&line.text)));
        }
        if let Some(line) = last(|from| matches!(from, LineAuthor::Ai { .. } | LineAuthor::Person { .. })) {
            parts.push(format!("Last they were told: “{}”", quoted(&line.text)));
        }
        parts.join(" ")
    }
}

fn quoted(text: &str) -> String {
    match text.char_indices().nth(QUOTED_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
