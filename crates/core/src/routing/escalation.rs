//! What is done where a conversation waits too long: chains of steps, one for each thing that went wrong.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::routed_conversation::RoutedConversation;
use super::settings::RoutingSettings;
use crate::time::{Time, duration_ms};

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlaBreach {
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
pub enum EscalationAction {
    /// The conversation becomes urgent.
    RaisePriority,
    /// Anybody may take it.
    DropSkills,
    /// An item is opened for whoever supervises.
    Tell,
}

/// A step of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EscalationStep {
    /// After the breach; the steps of a chain come one after another.
    #[serde(rename = "after_ms", with = "duration_ms")]
    pub after: Duration,
    pub act: EscalationAction,
}

/// How far a chain has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EscalationProgress {
    /// When the breach was.
    pub since: Time,
    /// The step that is next.
    pub next: usize,
}

impl SlaBreach {
    pub const ALL: [Self; 3] = [Self::FirstResponse, Self::Resolution, Self::Nobody];

    pub fn word(self) -> &'static str {
        match self {
            Self::FirstResponse => "first_response",
            Self::Resolution => "resolution",
            Self::Nobody => "nobody",
        }
    }
}

impl EscalationAction {
    pub fn word(self) -> &'static str {
        match self {
            Self::RaisePriority => "raise_priority",
            Self::DropSkills => "drop_skills",
            Self::Tell => "tell",
        }
    }
}

impl RoutingSettings {
    pub(super) fn chain(&self, breach: SlaBreach) -> &[EscalationStep] {
        match breach {
            SlaBreach::FirstResponse => &self.late_response,
            SlaBreach::Resolution => &self.late_resolution,
            SlaBreach::Nobody => &self.nobody,
        }
    }
}

impl RoutedConversation {
    /// Its next step: when, of which chain that began when, and what.
    pub(super) fn next_step(
        &self,
        settings: &RoutingSettings,
    ) -> Option<(Time, SlaBreach, EscalationProgress, EscalationAction)> {
        let steps = SlaBreach::ALL.into_iter().filter_map(|breach| {
            let chain = self.chains.get(&breach).copied();
            let chain =
                chain.or_else(|| Some(EscalationProgress { since: self.breached_at(breach, settings)?, next: 0 }))?;
            let step = settings.chain(breach).get(chain.next)?;
            Some((chain.since + step.after, breach, chain, step.act))
        });
        steps.min_by_key(|(at, breach, ..)| (*at, *breach))
    }

    fn breached_at(&self, breach: SlaBreach, settings: &RoutingSettings) -> Option<Time> {
        match breach {
            SlaBreach::FirstResponse => self.respond_by,
            SlaBreach::Resolution => Some(self.resolve_by),
            SlaBreach::Nobody => Some(self.alone_since? + settings.nobody_for),
        }
    }
}
