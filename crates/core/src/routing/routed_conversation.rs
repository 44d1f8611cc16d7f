//! A conversation at the desk.

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

/// Who is first, whenever they came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    Low,
    #[default]
    Normal,
    High,
    Urgent,
}

/// What somebody must bring to take a conversation. Conversations that want the same wait in one line.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RoutingRequirements {
    /// All of them.
    pub skills: BTreeSet<String>,
    /// A code (`es`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
}

/// A conversation that waits for somebody, or is somebody's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoutedConversation {
    pub conversation: RunId,
    /// The number it was enqueued under.
    pub stay: u64,
    /// The number of who has it now, nobody included.
    pub number: u64,
    pub wants: Arc<RoutingRequirements>,
    pub priority: Priority,
    /// Its place in line, also after it was given back.
    pub waiting_since: Time,
    /// When it must be answered by a person; nothing once it was.
    pub respond_by: Option<Time>,
    pub resolve_by: Time,
    /// What is promised of this one.
    #[serde(default, skip_serializing_if = "ServiceLevel::is_usual")]
    pub service: ServiceLevel,
    /// Since when it waits for somebody's first answer, where somebody else had answered before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again_since: Option<Time>,
    pub owner: Option<PersonId>,
    /// Since when nobody of the desk, there or not, has what it wants.
    pub alone_since: Option<Time>,
    /// How far each chain has come that began.
    pub chains: BTreeMap<SlaBreach, EscalationProgress>,
}

/// Where a conversation stands in line: the smallest is first.
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
    /// Without what nobody of a desk can ever bring: a conversation is not turned away for it.
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
