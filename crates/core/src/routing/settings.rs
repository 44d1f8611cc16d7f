//! What a tenant says of their desk.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ESCALATION_STEPS_MAX;
use super::escalation::{EscalationAction, EscalationStep};
use super::refusal::RoutingRefusal;
use crate::time::duration_ms;

const MINUTE: Duration = Duration::from_secs(60);
/// Shorter than this nobody is.
pub(super) const DEADLINE_MIN: Duration = Duration::from_secs(1);
/// Longer than this nobody means: 30 days.
pub(super) const DEADLINE_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The desk's limits and chains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RoutingSettings {
    /// Who is not heard of for so long is offline.
    #[serde(rename = "unheard_after_ms", with = "duration_ms")]
    pub unheard_after: Duration,
    /// When a person must have answered, where a conversation brings no deadline of its own.
    #[serde(rename = "first_response_ms", with = "duration_ms")]
    pub first_response: Duration,
    /// When it must be resolved, where a conversation brings no deadline of its own.
    #[serde(rename = "resolution_ms", with = "duration_ms")]
    pub resolution: Duration,
    /// How long a conversation whose skills nobody has waits for somebody who has them.
    #[serde(rename = "nobody_for_ms", with = "duration_ms")]
    pub nobody_for: Duration,
    /// Steps from a missed first response on.
    pub late_response: Vec<EscalationStep>,
    /// Steps from a missed resolution on.
    pub late_resolution: Vec<EscalationStep>,
    /// Steps where nobody has the skills. One of them waives the skills, lest the conversation wait for ever.
    pub nobody: Vec<EscalationStep>,
}

impl Default for RoutingSettings {
    fn default() -> Self {
        let step = |minutes, act| EscalationStep { after: MINUTE * minutes, act };
        Self {
            unheard_after: MINUTE * 5,
            first_response: MINUTE * 5,
            resolution: MINUTE * 240,
            nobody_for: MINUTE * 2,
            late_response: vec![
                step(0, EscalationAction::RaisePriority),
                step(5, EscalationAction::Tell),
                step(15, EscalationAction::DropSkills),
            ],
            late_resolution: vec![step(0, EscalationAction::RaisePriority), step(0, EscalationAction::Tell)],
            nobody: vec![step(0, EscalationAction::Tell), step(5, EscalationAction::DropSkills)],
        }
    }
}

impl RoutingSettings {
    pub(super) fn check(&self) -> Result<(), RoutingRefusal> {
        let durations = [
            ("unheard_after_ms", self.unheard_after),
            ("first_response_ms", self.first_response),
            ("resolution_ms", self.resolution),
            ("nobody_for_ms", self.nobody_for),
        ];
        for (field, duration) in durations {
            if duration < DEADLINE_MIN || duration > DEADLINE_MAX {
                let reason = format!("{} to {} are possible", DEADLINE_MIN.as_millis(), DEADLINE_MAX.as_millis());
                return Err(RoutingRefusal::Field { field, reason });
            }
        }
        let chains = [
            ("late_response", &self.late_response),
            ("late_resolution", &self.late_resolution),
            ("nobody", &self.nobody),
        ];
        for (field, chain) in chains {
            if chain.len() > ESCALATION_STEPS_MAX {
                let reason = format!("it has {} steps, and {ESCALATION_STEPS_MAX} are possible", chain.len());
                return Err(RoutingRefusal::Field { field, reason });
            }
            if !chain.is_sorted_by_key(|step| step.after) || chain.iter().any(|step| step.after > DEADLINE_MAX) {
                let reason = format!(
                    "its steps come one after another, the last after {} ms at the latest",
                    DEADLINE_MAX.as_millis()
                );
                return Err(RoutingRefusal::Field { field, reason });
            }
        }
        if !self.nobody.iter().any(|step| step.act == EscalationAction::DropSkills) {
            let reason =
                "one of its steps must be `drop_skills`, or what nobody can take would wait for ever".to_owned();
            return Err(RoutingRefusal::Field { field: "nobody", reason });
        }
        Ok(())
    }
}
