//! Why a conversation goes to a person, and what goes along.

use serde::{Deserialize, Serialize};

use super::event::{ConversationLine, LineAuthor};
use super::state::Conversation;
use crate::money::Usd;
use crate::routing::ServiceLevel;

/// Characters of a customer's words that a summary repeats.
const QUOTED_MAX: usize = 300;

/// What hands a conversation over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HandoverTrigger {
    ConfidenceThreshold,
    ExplicitRequest,
    AgentDecision,
    ErrorThreshold,
    Budget,
    FailedCompensation,
    /// A person takes it over, or opens it again.
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

/// What a run did before: a node of it, and how that ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptedStep {
    pub what: String,
    /// The kind of node.
    pub kind: String,
    /// As runs say it: `completed`, `failed`, `waiting`.
    pub outcome: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What goes along to whoever takes over: `handover_context` of seed 004.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Handover {
    pub trigger: HandoverTrigger,
    pub reason: String,
    pub summary: String,
    #[serde(default)]
    pub skills: Vec<String>,
    /// What is promised, where that is not what the desk's settings say.
    #[serde(default, skip_serializing_if = "ServiceLevel::is_usual", rename = "service_level")]
    pub service: ServiceLevel,
    /// Lines of the transcript there are by now.
    pub lines: u64,
    #[serde(default)]
    pub tried: Vec<AttemptedStep>,
    /// What waits for a person's yes or no in the run that goes on.
    #[serde(default)]
    pub pending_approvals: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    pub cost: Usd,
    /// What the AI would have said.
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
    /// What the customer said first and last, and what was said to them last: their own words, nothing made up.
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
