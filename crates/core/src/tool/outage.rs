//! What happens to a call while the service of its tool is down.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::fault::Fault;

/// The prefix before the name of another provider.
const PROVIDER: &str = "provider ";

/// Codes that mean that a service is down, not that it rejects the call or limits its rate.
const CODES: [&str; 4] = ["CALENDAR_UNAVAILABLE", CIRCUIT_OPEN, "SERVICE_UNAVAILABLE", "TIMEOUT"];

/// The service failed several times in a row, and its circuit is open for a while.
pub const CIRCUIT_OPEN: &str = "CIRCUIT_OPEN";

/// What a tool does once a call of it certainly did not act and its attempts are spent, or its circuit is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub enum OnUnavailable {
    /// What asks is answered with nothing; what acts fails at once.
    Empty,
    /// What asks is answered that nothing is available; what acts fails at once.
    Unavailable,
    /// It waits for the service, for a day at most.
    Queue,
    /// Another provider of the same tool is asked.
    Provider(String),
    /// A person does it by hand.
    Manual,
}

/// The text is not a valid policy for an unavailable service.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is none of `empty`, `unavailable`, `queue`, `provider NAME` and `manual`")]
pub struct OnUnavailableError(String);

impl TryFrom<String> for OnUnavailable {
    type Error = OnUnavailableError;

    fn try_from(text: String) -> Result<Self, OnUnavailableError> {
        match text.as_str() {
            "empty" => Ok(Self::Empty),
            "unavailable" => Ok(Self::Unavailable),
            "queue" => Ok(Self::Queue),
            "manual" => Ok(Self::Manual),
            other => match other.strip_prefix(PROVIDER).map(str::trim) {
                Some(name) if !name.is_empty() && !name.contains(char::is_whitespace) => {
                    Ok(Self::Provider(name.to_owned()))
                }
                Some(_) | None => Err(OnUnavailableError(text)),
            },
        }
    }
}

impl From<OnUnavailable> for String {
    fn from(way: OnUnavailable) -> Self {
        way.to_string()
    }
}

impl fmt::Display for OnUnavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("empty"),
            Self::Unavailable => f.write_str("unavailable"),
            Self::Queue => f.write_str("queue"),
            Self::Provider(name) => write!(f, "{PROVIDER}{name}"),
            Self::Manual => f.write_str("manual"),
        }
    }
}

/// Returns whether this fault means that a service is down.
pub fn is_outage(fault: &Fault) -> bool {
    CODES.contains(&&*fault.code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_is_written_as_it_is_read() {
        for text in ["empty", "unavailable", "queue", "manual", "provider calendly"] {
            assert_eq!(OnUnavailable::try_from(text.to_owned()).unwrap().to_string(), text);
        }
        for text in ["", "nothing", "provider", "provider ", "provider a b", "Queue"] {
            let error = OnUnavailable::try_from(text.to_owned()).unwrap_err().to_string();
            assert!(error.contains("`provider NAME`"), "{error}");
        }
    }
}
