//! What happened at the desk, and what of it others are told.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::escalation::{EscalationAction, EscalationProgress, SlaBreach};
use super::person::{PersonProfile, Presence};
use super::routed_conversation::{Priority, RoutingRequirements};
use super::service::ServiceLevel;
use super::settings::RoutingSettings;
use crate::id::{PersonId, RunId};
use crate::time::Time;

/// One append: everything decided at one instant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoutingEntry {
    pub at: Time,
    pub events: Vec<RoutingEvent>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoutingEvent {
    SettingsSet(Box<RoutingSettings>),
    PersonPut(Box<PersonProfile>),
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
        wants: Arc<RoutingRequirements>,
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
        why: RequeueReason,
        /// What it asks for from here on.
        wants: Arc<RoutingRequirements>,
        /// Where it was answered before: when somebody must answer it anew.
        respond_by: Option<Time>,
    },
    /// It waited for somebody else, and what it asks for has changed.
    Redirected {
        conversation: RunId,
        wants: Arc<RoutingRequirements>,
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
        breach: SlaBreach,
        /// The chain as it is before this step.
        chain: EscalationProgress,
        act: EscalationAction,
    },
}

/// Why a conversation is no longer somebody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequeueReason {
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
pub enum RoutingNotice<'a> {
    /// To the conversation: it is this person's.
    Assigned { conversation: &'a RunId, stay: u64, number: u64, person: &'a PersonId },
    /// To the conversation: it waits again.
    Requeued { conversation: &'a RunId, stay: u64, number: u64, why: RequeueReason },
    /// To whoever supervises.
    Escalated { conversation: &'a RunId, stay: u64, breach: SlaBreach, since: Time, act: EscalationAction },
}

impl RoutingEvent {
    pub fn notice(&self) -> Option<RoutingNotice<'_>> {
        match self {
            Self::Assigned { conversation, stay, number, person } => {
                Some(RoutingNotice::Assigned { conversation, stay: *stay, number: *number, person })
            }
            Self::Requeued { conversation, stay, number, why, .. } => {
                Some(RoutingNotice::Requeued { conversation, stay: *stay, number: *number, why: *why })
            }
            Self::Escalated { conversation, stay, breach, chain, act, .. } => Some(RoutingNotice::Escalated {
                conversation,
                stay: *stay,
                breach: *breach,
                since: chain.since,
                act: *act,
            }),
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

impl RequeueReason {
    pub fn word(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Unheard => "unheard",
            Self::Removed => "removed",
            Self::Transferred => "transferred",
        }
    }
}
