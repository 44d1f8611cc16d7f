//! What happened at the desk, and what of it others are told.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::case::{Priority, Wants};
use super::escalation::{Act, Breach, Chain};
use super::person::{Presence, Profile};
use super::service::ServiceLevel;
use super::settings::Settings;
use crate::id::{PersonId, RunId};
use crate::time::Time;

/// One append: everything decided at one instant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub at: Time,
    pub events: Vec<Event>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    SettingsSet(Box<Settings>),
    PersonPut(Box<Profile>),
    PersonRemoved {
        person: PersonId,
    },
    PresenceSet {
        person: PersonId,
        presence: Presence,
        /// Nobody said so: they were not heard of for too long.
        unheard: bool,
    },
    Heard {
        person: PersonId,
    },
    Queued {
        conversation: RunId,
        number: u64,
        wants: Arc<Wants>,
        priority: Priority,
        waiting_since: Time,
        respond_by: Time,
        resolve_by: Time,
        #[serde(default, skip_serializing_if = "ServiceLevel::is_usual")]
        service: ServiceLevel,
    },
    /// Something else is promised of it.
    ServiceLevelSet {
        conversation: RunId,
        stay: u64,
        /// All that is promised of it now.
        service: ServiceLevel,
        priority: Priority,
        /// Nothing where it is answered.
        respond_by: Option<Time>,
        resolve_by: Time,
    },
    Assigned {
        conversation: RunId,
        stay: u64,
        number: u64,
        person: PersonId,
    },
    /// It waits again, where it would be had it never left the line.
    Requeued {
        conversation: RunId,
        stay: u64,
        number: u64,
        from: PersonId,
        why: Why,
        /// What it asks for from here on.
        wants: Arc<Wants>,
        /// Where it was answered before: when somebody must answer it anew.
        respond_by: Option<Time>,
    },
    /// It waited for somebody else, and what it asks for has changed.
    Redirected {
        conversation: RunId,
        wants: Arc<Wants>,
    },
    Answered {
        conversation: RunId,
        stay: u64,
    },
    Left {
        conversation: RunId,
        stay: u64,
    },
    /// A step of a chain was taken.
    Escalated {
        conversation: RunId,
        stay: u64,
        number: u64,
        breach: Breach,
        /// The chain as it is before this step.
        chain: Chain,
        act: Act,
    },
}

/// Why a conversation is no longer somebody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// They went offline.
    Offline,
    /// They were not heard of for too long.
    Unheard,
    /// They are no longer of the desk.
    Removed,
    /// It goes to others.
    Transferred,
}

/// What others are told.
#[derive(Clone, Debug, PartialEq)]
pub enum Told<'a> {
    /// To the conversation: it is this person's.
    Assigned { conversation: &'a RunId, stay: u64, number: u64, person: &'a PersonId },
    /// To the conversation: it waits again.
    Requeued { conversation: &'a RunId, stay: u64, number: u64, why: Why },
    /// To whoever supervises.
    Escalated { conversation: &'a RunId, stay: u64, breach: Breach, since: Time, act: Act },
}

impl Event {
    pub fn told(&self) -> Option<Told<'_>> {
        match self {
            Self::Assigned { conversation, stay, number, person } => {
                Some(Told::Assigned { conversation, stay: *stay, number: *number, person })
            }
            Self::Requeued { conversation, stay, number, why, .. } => {
                Some(Told::Requeued { conversation, stay: *stay, number: *number, why: *why })
            }
            Self::Escalated { conversation, stay, breach, chain, act, .. } => {
                Some(Told::Escalated { conversation, stay: *stay, breach: *breach, since: chain.since, act: *act })
            }
            Self::SettingsSet(_)
            | Self::PersonPut(_)
            | Self::PersonRemoved { .. }
            | Self::PresenceSet { .. }
            | Self::Heard { .. }
            | Self::Queued { .. }
            | Self::ServiceLevelSet { .. }
            | Self::Redirected { .. }
            | Self::Answered { .. }
            | Self::Left { .. } => None,
        }
    }
}

impl Why {
    pub fn word(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Unheard => "unheard",
            Self::Removed => "removed",
            Self::Transferred => "transferred",
        }
    }
}
