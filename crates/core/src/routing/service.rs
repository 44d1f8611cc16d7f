//! The service level of one conversation, where it differs from the routing queue's settings.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::refusal::RoutingRefusal;
use super::routed_conversation::Priority;
use super::settings::{DEADLINE_MAX, DEADLINE_MIN};

/// A conversation's own priority and deadlines; omitted fields follow the settings of the routing queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceLevel {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// From when it starts to wait for a person until one has answered; 1,000 to 2,592,000,000 (30 days).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_response_ms: Option<u64>,
    /// From when it starts to wait for a person until it is resolved; within the same limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution_ms: Option<u64>,
}

impl ServiceLevel {
    /// Returns whether nothing is set.
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    pub fn first_response(&self) -> Option<Duration> {
        self.first_response_ms.map(Duration::from_millis)
    }

    pub fn resolution(&self) -> Option<Duration> {
        self.resolution_ms.map(Duration::from_millis)
    }

    /// Returns these settings, with those of `before` for omitted fields.
    #[must_use]
    pub fn or(self, before: Self) -> Self {
        Self {
            priority: self.priority.or(before.priority),
            first_response_ms: self.first_response_ms.or(before.first_response_ms),
            resolution_ms: self.resolution_ms.or(before.resolution_ms),
        }
    }

    /// Checks the limits.
    ///
    /// # Errors
    /// [`RoutingRefusal::Field`]: a deadline out of its limits.
    pub fn check(&self) -> Result<(), RoutingRefusal> {
        let deadlines = [("first_response_ms", self.first_response()), ("resolution_ms", self.resolution())];
        for (field, deadline) in deadlines {
            if deadline.is_some_and(|deadline| !(DEADLINE_MIN..=DEADLINE_MAX).contains(&deadline)) {
                let reason = format!("{} to {} are possible", DEADLINE_MIN.as_millis(), DEADLINE_MAX.as_millis());
                return Err(RoutingRefusal::Field { field, reason });
            }
        }
        Ok(())
    }

    /// Returns the service level in an output, next to its reason. A value that cannot be read is ignored, and one out
    /// of the limits is clamped: a handover never fails for it.
    pub fn from_output(output: &Value) -> Self {
        let deadline = |key: &str| {
            let value = output.get(key)?;
            let ms = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())?;
            Some(ms.clamp(ms_of(DEADLINE_MIN), ms_of(DEADLINE_MAX)))
        };
        Self {
            priority: output.get("priority").and_then(Value::as_str).and_then(|word| Priority::parse(word.trim())),
            first_response_ms: deadline("first_response_ms"),
            resolution_ms: deadline("resolution_ms"),
        }
    }
}

fn ms_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
