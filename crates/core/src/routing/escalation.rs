//! Escalation of conversations that wait too long: chains of steps, one chain for each kind of breach.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::routed_conversation::RoutedConversation;
use super::settings::RoutingSettings;
use crate::time::{Time, duration_ms};

/// The kind of breach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlaBreach {
    /// No person answered in time.
    FirstResponse,
    /// It was not resolved in time.
    Resolution,
    /// It waits, and no person in the queue meets its requirements.
    Nobody,
}

/// The action of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EscalationAction {
    /// The conversation becomes urgent.
    RaisePriority,
    /// Any person may take it.
    DropSkills,
    /// Creates a task for the supervisors.
    Tell,
}

/// A step of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EscalationStep {
    /// Time after the breach; the steps of a chain run in order.
    #[serde(rename = "after_ms", with = "duration_ms")]
    pub after: Duration,
    pub act: EscalationAction,
}

/// The progress of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EscalationProgress {
    /// The time of the breach.
    pub since: Time,
    /// Index of the next step.
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
    /// Returns the next step: its time, its chain with the start of that, and its action.
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
