//! The meaning of a vendor's error, where its own message is more precise than the HTTP status.

use baton_core::fault::Fault;
use baton_core::redact;
use baton_core::tool::EffectClass;
use serde_json::Value;

use crate::code;
use crate::outbound::{OutboundResponse, check_status};
use crate::tool_error::ToolError;

/// Maximum length of a vendor's own message that is shown, in characters.
const MESSAGE_CHARS_MAX: usize = 500;

/// An error in the vendor's own words.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct VendorError {
    pub(crate) message: String,
    pub(crate) meaning: VendorErrorMeaning,
}

/// What it says about the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VendorErrorMeaning {
    /// The same as its HTTP status.
    AsStatus,
    /// It was not performed and will not be, under this code.
    Refused(&'static str),
    /// It was not performed and may succeed later, under this code.
    RetryLater(&'static str),
    /// The outcome is unknown, for example because another request with the same key is still in progress.
    Unclear,
}

impl VendorError {
    /// Returns the message at the first of these places in a JSON response, with the meaning of the status.
    pub(crate) fn from_response(answer: &OutboundResponse, places: &[&str]) -> Option<Self> {
        let body = answer.value();
        let message = places.iter().find_map(|place| body.pointer(place).and_then(Value::as_str))?;
        Some(Self { message: message.to_owned(), meaning: VendorErrorMeaning::AsStatus })
    }
}

/// Maps a response other than 2xx to a failure. `hide` removes what no message may contain.
pub(super) fn failure(
    answer: &OutboundResponse,
    class: EffectClass,
    complaint: Option<VendorError>,
    hide: impl Fn(String) -> String,
) -> ToolError {
    let status = answer.status;
    let by_status = check_status(answer, class).err().unwrap_or_else(|| {
        // The object to delete does not exist. The caller decides whether that is a success, by accepting the status.
        ToolError::permanent(code::SERVICE_REJECTED, format!("{} answered {status}", answer.from))
    });
    let Some(VendorError { message, meaning }) = complaint else {
        return by_status.map_fault(|fault| Fault { message: clipped(&hide(fault.message)), ..fault });
    };
    let message = format!("{} answered {status}: {}", answer.from, clipped(&hide(message)));
    match meaning {
        VendorErrorMeaning::AsStatus => by_status.map_fault(|fault| Fault { message, ..fault }),
        VendorErrorMeaning::Refused(code) => ToolError::permanent(code, message),
        VendorErrorMeaning::RetryLater(code) => {
            ToolError::NotDone { fault: Fault::new(code, message), retryable: true, retry_after: answer.retry_after() }
        }
        VendorErrorMeaning::Unclear => ToolError::indeterminate(class, Fault::new(code::OUTCOME_UNKNOWN, message)),
    }
}

/// Shortens a message to one line, without personal data.
pub(crate) fn clipped(message: &str) -> String {
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let clipped: String = line.chars().take(MESSAGE_CHARS_MAX).collect();
    redact::text(&clipped).into_owned()
}
