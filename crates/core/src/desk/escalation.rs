//! What is done where a conversation waits too long: chains of steps, one for each thing that went wrong.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::case::Case;
use super::settings::Settings;
use crate::time::{Time, duration_ms};

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Breach {
    /// No person answered in time.
    FirstResponse,
    /// It was not resolved in time.
    Resolution,
    /// It waits, and nobody of the desk has what it wants.
    Nobody,
}

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// The conversation becomes urgent.
    RaisePriority,
    /// Anybody may take it.
    DropSkills,
    /// An item is opened for whoever supervises.
    Tell,
}

/// A step of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// After the breach; the steps of a chain come one after another.
    #[serde(rename = "after_ms", with = "duration_ms")]
    pub after: Duration,
    pub act: Act,
}

/// How far a chain has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// When the breach was.
    pub since: Time,
    /// The step that is next.
    pub next: usize,
}

impl Breach {
    pub const ALL: [Self; 3] = [Self::FirstResponse, Self::Resolution, Self::Nobody];

    pub fn word(self) -> &'static str {
        match self {
            Self::FirstResponse => "first_response",
            Self::Resolution => "resolution",
            Self::Nobody => "nobody",
        }
    }
}

impl Act {
    pub fn word(self) -> &'static str {
        match self {
            Self::RaisePriority => "raise_priority",
            Self::DropSkills => "drop_skills",
            Self::Tell => "tell",
        }
    }
}

impl Settings {
    pub(super) fn chain(&self, breach: Breach) -> &[Step] {
        match breach {
            Breach::FirstResponse => &self.late_response,
            Breach::Resolution => &self.late_resolution,
            Breach::Nobody => &self.nobody,
        }
    }
}

impl Case {
    /// Its next step: when, of which chain that began when, and what.
    pub(super) fn next_step(&self, settings: &Settings) -> Option<(Time, Breach, Chain, Act)> {
        let steps = Breach::ALL.into_iter().filter_map(|breach| {
            let chain = self.chains.get(&breach).copied();
            let chain = chain.or_else(|| Some(Chain { since: self.breached_at(breach, settings)?, next: 0 }))?;
            let step = settings.chain(breach).get(chain.next)?;
            Some((chain.since + step.after, breach, chain, step.act))
        });
        steps.min_by_key(|(at, breach, ..)| (*at, *breach))
    }

    fn breached_at(&self, breach: Breach, settings: &Settings) -> Option<Time> {
        match breach {
            Breach::FirstResponse => self.respond_by,
            Breach::Resolution => Some(self.resolve_by),
            Breach::Nobody => Some(self.alone_since? + settings.nobody_for),
        }
    }
}
