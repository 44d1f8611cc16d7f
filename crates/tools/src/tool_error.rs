//! Why an attempt has no result.

use std::time::Duration;

use baton_core::fault::Fault;
use baton_core::tool::{EffectClass, ToolQuestion};
use baton_ports::records;

use crate::code;

/// Phrases that clients of services use for a missing response.
const TRANSPORT_ERROR_PHRASES: [&str; 20] = [
    "timed out",
    "timeout",
    "time-out",
    "etimedout",
    "deadline exceeded",
    "connection reset",
    "econnreset",
    "connection aborted",
    "connection closed",
    "remote end closed",
    "socket hang up",
    "broken pipe",
    "epipe",
    "unexpected eof",
    "read error",
    "network error",
    "fetch failed",
    "bad gateway",
    "gateway time",
    "internal server error",
];

/// Grouped by the effect on the world: certainly unchanged, or unknown.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ToolError {
    NotDone {
        fault: Fault,
        retryable: bool,
        /// The delay that the service requested, in milliseconds.
        retry_after: Option<u64>,
    },
    Unknown {
        fault: Fault,
    },
    /// The tool did not act, and may act once a person has answered.
    NeedsInput {
        question: Box<ToolQuestion>,
        /// How long a person has to answer.
        within: Option<Duration>,
        /// The fault that is reported if no person can be asked.
        fault: Fault,
    },
}

impl ToolError {
    /// The tool did not act, and will not with the same arguments.
    pub(crate) fn permanent(code: &'static str, message: impl Into<String>) -> Self {
        Self::NotDone { fault: Fault::new(code, message), retryable: false, retry_after: None }
    }

    /// The tool did not act, and may succeed later.
    pub(crate) fn transient(code: &'static str, message: impl Into<String>) -> Self {
        Self::NotDone { fault: Fault::new(code, message), retryable: true, retry_after: None }
    }

    /// The attempt ended without a definite result. A read may be repeated; an act may have been performed.
    pub(crate) fn indeterminate(class: EffectClass, fault: Fault) -> Self {
        if class.has_side_effects() {
            Self::Unknown { fault }
        } else {
            Self::NotDone { fault, retryable: true, retry_after: None }
        }
    }

    /// The look-up of a call failed, which says nothing about the call.
    pub(crate) fn into_unknown(self) -> Self {
        Self::Unknown { fault: Fault::new(code::OUTCOME_UNKNOWN, self.fault().message.clone()) }
    }

    /// Classifies a failure by the service's own message: if it mentions a missing response, the outcome is unknown.
    pub(crate) fn from_message(class: EffectClass, words: &str, code: &'static str, message: String) -> Self {
        let small = words.to_lowercase();
        match TRANSPORT_ERROR_PHRASES.iter().any(|unclear| small.contains(unclear)) {
            true => Self::indeterminate(class, Fault::new(code::SERVICE_UNAVAILABLE, message)),
            false => Self::permanent(code, message),
        }
    }

    pub(crate) fn fault(&self) -> &Fault {
        match self {
            Self::NotDone { fault, .. } | Self::Unknown { fault } | Self::NeedsInput { fault, .. } => fault,
        }
    }

    /// The delay that the service requested.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::NotDone { retry_after, .. } => retry_after.map(Duration::from_millis),
            Self::Unknown { .. } | Self::NeedsInput { .. } => None,
        }
    }

    pub(crate) fn map_fault(self, change: impl FnOnce(Fault) -> Fault) -> Self {
        match self {
            Self::NotDone { fault, retryable, retry_after } => {
                Self::NotDone { fault: change(fault), retryable, retry_after }
            }
            Self::Unknown { fault } => Self::Unknown { fault: change(fault) },
            Self::NeedsInput { question, within, fault } => Self::NeedsInput { question, within, fault: change(fault) },
        }
    }

    /// A read of internal records failed: nothing was changed.
    pub(crate) fn from_read(error: &records::RecordError) -> Self {
        Self::transient(code::STORAGE_UNAVAILABLE, error.to_string())
    }

    /// A batch of internal records failed for another reason than a conflict.
    pub(crate) fn from_write(error: &records::RecordError) -> Self {
        match error {
            records::RecordError::TooLarge { .. } | records::RecordError::EmptyRange { .. } => {
                Self::permanent(code::INVALID_PARAMETERS, error.to_string())
            }
            records::RecordError::Busy { retry_after } => Self::NotDone {
                fault: Fault::new(code::STORAGE_UNAVAILABLE, error.to_string()),
                retryable: true,
                retry_after: u64::try_from(retry_after.as_millis()).ok(),
            },
            records::RecordError::Conflict { .. } | records::RecordError::Unreadable { .. } => {
                Self::transient(code::STORAGE_UNAVAILABLE, error.to_string())
            }
            // It is unknown whether the batch is on disk; the key row tells when it is sent again.
            records::RecordError::Unwritable { .. } | records::RecordError::Outage(_) => {
                Self::Unknown { fault: Fault::new(code::STORAGE_UNAVAILABLE, error.to_string()) }
            }
        }
    }
}
