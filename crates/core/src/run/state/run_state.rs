//! A run's state as one word, for people and lists.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A run's state as people and lists see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "State")]
pub enum RunState {
    Pending,
    Running,
    /// Everything open waits: for a person, a timer, a signal, a child.
    Waiting,
    Paused,
    Completed,
    Failed,
    Compensating,
    Compensated,
    Cancelled,
    TimedOut,
}

impl RunState {
    pub const ALL: [Self; 10] = [
        Self::Pending,
        Self::Running,
        Self::Waiting,
        Self::Paused,
        Self::Completed,
        Self::Failed,
        Self::Compensating,
        Self::Compensated,
        Self::Cancelled,
        Self::TimedOut,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Compensating => "compensating",
            Self::Compensated => "compensated",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed_out",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }

    /// Returns whether this is a final state.
    pub fn is_end(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Compensated | Self::Cancelled | Self::TimedOut)
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
