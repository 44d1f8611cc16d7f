//! The health of one agent.

use std::time::Duration;

use baton_core::fault::code;
use baton_core::run::{AgentWork, NodeEnded, NodeOutcome, RunEvent};
use baton_core::time::Time;
use serde::{Deserialize, Serialize};

/// Weight of the newest outcome against all earlier ones.
const WEIGHT: f64 = 0.1;
/// An agent with a higher error rate is unhealthy.
const ERROR_RATE_MAX: f64 = 0.5;
/// Minimum number of outcomes before an agent's health is judged.
const TASKS_MIN: u64 = 5;
/// How long after its last failure an unhealthy agent is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(60);

/// Failure codes that say nothing about the agent: they concern the run, the tenant's budget or people.
const EXTERNAL_CODES: [&str; 12] = [
    // The crates that return these codes cannot be named here.
    "BUDGET_EXCEEDED",
    "MISSING_API_KEY",
    "NO_MODEL",
    "PRICE_UNKNOWN",
    "SANDBOX_BUSY",
    code::CANCELLED,
    code::COST_LIMIT,
    code::TIER_LIMIT,
    code::EXPRESSION,
    code::DEADLINE,
    code::REJECTED,
    code::JOURNAL_LIMIT,
];

/// The outcome of one task of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentOutcome {
    pub agent: String,
    pub succeeded: bool,
    /// Excludes time spent waiting for people.
    pub work_ms: u64,
}

impl AgentOutcome {
    /// The outcome that an event reports, if it reports one.
    pub fn of(event: &RunEvent) -> Option<Self> {
        let of = |by: &AgentWork, succeeded| Self { agent: by.agent.clone(), succeeded, work_ms: by.work_ms };
        match event {
            RunEvent::AgentReplaced { gave_up, .. } => Some(of(gave_up, false)),
            RunEvent::Ended(ended) => {
                let NodeEnded { how, by: Some(by), .. } = &**ended else { return None };
                match how {
                    NodeOutcome::Answered | NodeOutcome::Completed { .. } => Some(of(by, true)),
                    NodeOutcome::Failed { fault } | NodeOutcome::Caught { fault } => {
                        (!EXTERNAL_CODES.contains(&fault.code.as_ref())).then(|| of(by, false))
                    }
                    NodeOutcome::Skipped | NodeOutcome::Cancelled => None,
                }
            }
            _ => None,
        }
    }
}

/// An agent's health: a weighted average in which the newest outcomes count most.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AgentHealth {
    pub tasks: u64,
    pub errors: u64,
    /// From 0 to 1.
    pub error_rate: f64,
    pub latency_ms: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<Time>,
}

impl AgentHealth {
    pub fn is_healthy(&self, now: Time) -> bool {
        let fails = self.tasks >= TASKS_MIN && self.error_rate > ERROR_RATE_MAX;
        !fails || self.failed_at.is_none_or(|failed| now.since(failed) >= RETRY_AFTER)
    }

    /// Adds the outcome of one more task.
    #[expect(clippy::cast_precision_loss, reason = "a mean of milliseconds")]
    pub fn after(self, outcome: &AgentOutcome, now: Time) -> Self {
        // The first few outcomes count equally: a failure does not weigh more because it came first.
        let weight = WEIGHT.max(1.0 / (self.tasks + 1) as f64);
        let mean = |old: f64, new: f64| old + weight * (new - old);
        Self {
            tasks: self.tasks + 1,
            errors: self.errors + u64::from(!outcome.succeeded),
            error_rate: mean(self.error_rate, if outcome.succeeded { 0.0 } else { 1.0 }),
            latency_ms: mean(self.latency_ms, outcome.work_ms as f64),
            failed_at: if outcome.succeeded { self.failed_at } else { Some(now) },
        }
    }
}
