//! A conversation in the routing queue.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::SKILLS_MAX;
use super::escalation::{EscalationProgress, SlaBreach};
use super::person::is_name;
use super::service::ServiceLevel;
use crate::id::{PersonId, RunId};
use crate::time::Time;

/// Higher priorities come first, whatever their time of arrival.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    Low,
    #[default]
    Normal,
    High,
    Urgent,
}

/// The requirements for a person to take a conversation. Conversations with the same requirements wait in one line.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RoutingRequirements {
    /// All of them are required.
    pub skills: BTreeSet<String>,
    /// A language code (`es`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
}

/// A conversation that waits for a person or belongs to one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoutedConversation {
    pub conversation: RunId,
    /// The queue ticket: the number with which it was enqueued.
    pub stay: u64,
    /// The current ownership number, also without an owner.
    pub number: u64,
    pub wants: Arc<RoutingRequirements>,
    pub priority: Priority,
    /// Its position in the line, also after it was returned.
    pub waiting_since: Time,
    /// Deadline of the first answer by a person; `None` once answered.
    pub respond_by: Option<Time>,
    pub resolve_by: Time,
    /// The service level of this conversation.
    #[serde(default, skip_serializing_if = "ServiceLevel::is_usual")]
    pub service: ServiceLevel,
    /// Since when it waits for a person's first answer, if another person had answered before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again_since: Option<Time>,
    pub owner: Option<PersonId>,
    /// Since when no person in the queue, online or not, meets its requirements.
    pub alone_since: Option<Time>,
    /// The progress of each chain that has started.
    pub chains: BTreeMap<SlaBreach, EscalationProgress>,
}

/// A conversation's position in the line: the smallest is first.
pub(super) type QueuePosition = (Reverse<Priority>, Time, RunId);

impl Priority {
    pub const ALL: [Self; 4] = [Self::Low, Self::Normal, Self::High, Self::Urgent];

    pub fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Urgent => "urgent",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|priority| priority.word() == word)
    }
}

impl RoutingRequirements {
    /// Removes requirements that no person could ever meet: a conversation is not rejected for them.
    pub(super) fn sanitized(mut self) -> Self {
        self.skills.retain(|skill| is_name(skill));
        while self.skills.len() > SKILLS_MAX {
            self.skills.pop_last();
        }
        self.language = self.language.filter(|language| is_name(language));
        self
    }
}

impl RoutedConversation {
    pub(super) fn queue_position(&self) -> QueuePosition {
        (Reverse(self.priority), self.waiting_since, self.conversation.clone())
    }

    pub fn is_waiting(&self) -> bool {
        self.owner.is_none()
    }
}
