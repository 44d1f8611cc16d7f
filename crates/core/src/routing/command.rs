//! Commands to the routing queue.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::person::{PersonProfile, Presence};
use super::routed_conversation::{Priority, RoutingRequirements};
use super::service::ServiceLevel;
use super::settings::RoutingSettings;
use crate::id::{PersonId, RunId};
use crate::time::Time;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoutingCommand {
    Settings(RoutingSettings),
    /// Adds a person, or changes their profile.
    PutPerson(PersonProfile),
    RemovePerson {
        person: PersonId,
    },
    Presence {
        person: PersonId,
        presence: Presence,
    },
    /// The person was active.
    Heard {
        person: PersonId,
    },
    /// A conversation waits for a person.
    Enqueue(EnqueueRequest),
    /// A conversation no longer needs a person.
    Left {
        conversation: RunId,
        number: u64,
    },
    /// A person has answered the conversation.
    Answered {
        conversation: RunId,
        number: u64,
    },
    /// Transfers the conversation. `number` is the ownership number that the requester has seen.
    Transfer {
        conversation: RunId,
        number: u64,
        to: TransferTarget,
    },
    /// Changes the service level; omitted fields stay unchanged.
    ServiceLevel {
        conversation: RunId,
        number: u64,
        service: ServiceLevel,
    },
    /// Time has passed.
    Tick,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnqueueRequest {
    pub conversation: RunId,
    /// The current ownership number; it has no owner, since it waits.
    pub number: u64,
    #[serde(default)]
    pub wants: RoutingRequirements,
    #[serde(default)]
    pub priority: Priority,
    pub waiting_since: Time,
    /// `None`: by the settings of the routing queue.
    #[serde(default)]
    pub first_response_by: Option<Time>,
    /// `None`: by the settings of the routing queue.
    #[serde(default)]
    pub resolve_by: Option<Time>,
    /// The service level, which applies where no instant is given.
    #[serde(default, skip_serializing_if = "ServiceLevel::is_usual")]
    pub service: ServiceLevel,
}

/// The target of a transfer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransferTarget {
    /// A person who is online and has capacity, whatever their skills.
    Person(PersonId),
    /// Back to the queue, for people with these skills.
    Skills(BTreeSet<String>),
}

impl RoutingCommand {
    pub fn word(&self) -> &'static str {
        match self {
            Self::Settings(_) => "settings",
            Self::PutPerson(_) => "put_person",
            Self::RemovePerson { .. } => "remove_person",
            Self::Presence { .. } => "presence",
            Self::Heard { .. } => "heard",
            Self::Enqueue(_) => "enqueue",
            Self::Left { .. } => "left",
            Self::Answered { .. } => "answered",
            Self::Transfer { .. } => "transfer",
            Self::ServiceLevel { .. } => "service_level",
            Self::Tick => "tick",
        }
    }
}
