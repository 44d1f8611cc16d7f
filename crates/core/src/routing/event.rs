//! Events of the routing queue, and the notices derived from them.

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
        /// Because there was no sign of life for too long, not by request.
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
    /// The service level changed.
    ServiceLevelSet {
        conversation: RunId,
        stay: u64,
        /// The complete service level now.
        service: ServiceLevel,
        priority: Priority,
        /// `None` if it is answered.
        respond_by: Option<Time>,
        resolve_by: Time,
    },
    Assigned {
        conversation: RunId,
        stay: u64,
        number: u64,
        person: PersonId,
    },
    /// It waits again, at the position it would have had without the assignment.
    Requeued {
        conversation: RunId,
        stay: u64,
        number: u64,
        from: PersonId,
        why: RequeueReason,
        /// Its requirements from now on.
        wants: Arc<RoutingRequirements>,
        /// If it was answered before: the deadline for the next answer.
        respond_by: Option<Time>,
    },
    /// It was waiting, and its requirements have changed.
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
        /// The chain before this step.
        chain: EscalationProgress,
        act: EscalationAction,
    },
}

/// Why a conversation lost its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequeueReason {
    /// The person went offline.
    Offline,
    /// There was no sign of life for too long.
    Unheard,
    /// The person was removed from the queue.
    Removed,
    /// It was transferred.
    Transferred,
}

/// A notice to others.
#[derive(Clone, Debug, PartialEq)]
pub enum RoutingNotice<'a> {
    /// To the conversation: this person owns it.
    Assigned { conversation: &'a RunId, stay: u64, number: u64, person: &'a PersonId },
    /// To the conversation: it waits again.
    Requeued { conversation: &'a RunId, stay: u64, number: u64, why: RequeueReason },
    /// To the supervisors.
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
