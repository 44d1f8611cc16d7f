//! What is promised of one conversation, where that is not what the desk's settings say of all.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::refusal::RoutingRefusal;
use super::routed_conversation::Priority;
use super::settings::{DEADLINE_MAX, DEADLINE_MIN};

/// A conversation's own urgency and deadlines; what is left out is as the desk's settings say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceLevel {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// From when it begins to wait for a person until one has answered; 1,000 to 2,592,000,000 (30 days).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_response_ms: Option<u64>,
    /// From when it begins to wait for a person until it is resolved; in the same limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution_ms: Option<u64>,
}

impl ServiceLevel {
    /// Whether nothing is said of this one.
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    pub fn first_response(&self) -> Option<Duration> {
        self.first_response_ms.map(Duration::from_millis)
    }

    pub fn resolution(&self) -> Option<Duration> {
        self.resolution_ms.map(Duration::from_millis)
    }

    /// What is said now, and where nothing is, what was said before.
    #[must_use]
    pub fn or(self, before: Self) -> Self {
        Self {
            priority: self.priority.or(before.priority),
            first_response_ms: self.first_response_ms.or(before.first_response_ms),
            resolution_ms: self.resolution_ms.or(before.resolution_ms),
        }
    }

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

    /// What an output says of it beside its reason: nobody is turned away for what cannot be read, and what is out of the
    /// limits is brought within them.
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
