//! A tenant's settings of the routing queue.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ESCALATION_STEPS_MAX;
use super::escalation::{EscalationAction, EscalationStep};
use super::refusal::RoutingRefusal;
use crate::time::duration_ms;

const MINUTE: Duration = Duration::from_secs(60);
/// Minimum deadline.
pub(super) const DEADLINE_MIN: Duration = Duration::from_secs(1);
/// Maximum deadline: 30 days.
pub(super) const DEADLINE_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The limits and chains of a routing queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RoutingSettings {
    /// A person without a sign of life for this long is offline.
    #[serde(rename = "unheard_after_ms", with = "duration_ms")]
    pub unheard_after: Duration,
    /// Deadline of a person's first answer, if a conversation has no deadline of its own.
    #[serde(rename = "first_response_ms", with = "duration_ms")]
    pub first_response: Duration,
    /// Deadline of its resolution, if a conversation has no deadline of its own.
    #[serde(rename = "resolution_ms", with = "duration_ms")]
    pub resolution: Duration,
    /// How long a conversation whose skills no person has waits for a person who has them.
    #[serde(rename = "nobody_for_ms", with = "duration_ms")]
    pub nobody_for: Duration,
    /// Steps after a missed first response.
    pub late_response: Vec<EscalationStep>,
    /// Steps after a missed resolution.
    pub late_resolution: Vec<EscalationStep>,
    /// Steps if no person has the skills. One of them waives the skills, so that the conversation does not wait
    /// forever.
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
