//! What is asked of the desk.

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
    /// Somebody new, or what has changed of somebody.
    PutPerson(PersonProfile),
    RemovePerson {
        person: PersonId,
    },
    Presence {
        person: PersonId,
        presence: Presence,
    },
    /// They did something.
    Heard {
        person: PersonId,
    },
    /// A conversation waits for somebody.
    Enqueue(EnqueueRequest),
    /// A conversation needs nobody any more.
    Left {
        conversation: RunId,
        number: u64,
    },
    /// A person has answered it.
    Answered {
        conversation: RunId,
        number: u64,
    },
    /// It goes to somebody else. `number` is the one that whoever asks has seen.
    Transfer {
        conversation: RunId,
        number: u64,
        to: TransferTarget,
    },
    /// Something else is promised of it; what is left out stays as it is.
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
    /// The number of who has it now: nobody, since it waits.
    pub number: u64,
    #[serde(default)]
    pub wants: RoutingRequirements,
    #[serde(default)]
    pub priority: Priority,
    pub waiting_since: Time,
    /// Nothing: by the desk's settings.
    #[serde(default)]
    pub first_response_by: Option<Time>,
    /// Nothing: by the desk's settings.
    #[serde(default)]
    pub resolve_by: Option<Time>,
    /// What is promised of it, where it says no instant.
    #[serde(default, skip_serializing_if = "ServiceLevel::is_usual")]
    pub service: ServiceLevel,
}

/// Where a conversation goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransferTarget {
    /// To somebody who is online and has room, whatever their skills.
    Person(PersonId),
    /// To the line, for whoever has these.
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
