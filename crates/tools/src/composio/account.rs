//! A connected account, as Composio reports it.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

#[derive(Clone, Debug, Deserialize)]
pub(super) struct ComposioAccount {
    pub(super) status: ConnectionStatus,
    #[serde(default)]
    pub(super) is_disabled: bool,
    #[serde(default)]
    pub(super) status_reason: Option<String>,
}

impl ComposioAccount {
    /// The status; a disabled account counts as inactive.
    pub(super) fn state(&self) -> ConnectionStatus {
        if self.is_disabled && self.status == ConnectionStatus::Active {
            ConnectionStatus::Inactive
        } else {
            self.status
        }
    }
}

/// The status of a connection, in Composio's terms. Only an active connection performs actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ConnectionStatus {
    Initializing,
    /// A person has not finished connecting yet.
    Initiated,
    Active,
    Failed,
    /// Its credentials are no longer valid: a person must connect again.
    Expired,
    Inactive,
    /// A status that is unknown to this version; Composio decides whether it performs actions.
    Unknown,
}

impl ConnectionStatus {
    pub(super) fn parse(word: &str) -> Self {
        match word.to_ascii_uppercase().as_str() {
            "INITIALIZING" => Self::Initializing,
            "INITIATED" => Self::Initiated,
            "ACTIVE" => Self::Active,
            "FAILED" => Self::Failed,
            "EXPIRED" => Self::Expired,
            "INACTIVE" => Self::Inactive,
            _ => Self::Unknown,
        }
    }

    /// Returns whether only a person can make it work again.
    pub(super) fn needs_reconnect(self) -> bool {
        matches!(self, Self::Failed | Self::Expired | Self::Inactive)
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Initializing => "INITIALIZING",
            Self::Initiated => "INITIATED",
            Self::Active => "ACTIVE",
            Self::Failed => "FAILED",
            Self::Expired => "EXPIRED",
            Self::Inactive => "INACTIVE",
            Self::Unknown => "UNKNOWN",
        }
    }
}

impl fmt::Display for ConnectionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl<'de> Deserialize<'de> for ConnectionStatus {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(|word| Self::parse(&word))
    }
}
