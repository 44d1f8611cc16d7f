//! What a vendor's refusal means, where its own words say more than the HTTP status.

use baton_core::fault::Fault;
use baton_core::redact;
use baton_core::tool::Class;
use serde_json::Value;

use crate::code;
use crate::failure::Failure;
use crate::outbound::{Answer, judge};

/// Characters of a vendor's own message that are told.
const MESSAGE_CHARS_MAX: usize = 500;

/// An error in the vendor's own words.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Complaint {
    pub(crate) message: String,
    pub(crate) meaning: Meaning,
}

/// What it says of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// What its HTTP status says.
    AsStatus,
    /// It was not done and will not be, under this code.
    Refused(&'static str),
    /// It was not done and may be another time, under this code.
    Later(&'static str),
    /// Nobody can tell: another request with the same key is still at it, for one.
    Unclear,
}

impl Complaint {
    /// The message at the first of these places of a JSON answer, with what the status says.
    pub(crate) fn worded(answer: &Answer, places: &[&str]) -> Option<Self> {
        let body = answer.value();
        let message = places.iter().find_map(|place| body.pointer(place).and_then(Value::as_str))?;
        Some(Self { message: message.to_owned(), meaning: Meaning::AsStatus })
    }
}

/// The failure that an answer other than 2xx is. `hide` takes out what no message may carry.
pub(super) fn failure(
    answer: &Answer,
    class: Class,
    complaint: Option<Complaint>,
    hide: impl Fn(String) -> String,
) -> Failure {
    let status = answer.status;
    let by_status = judge(answer, class).err().unwrap_or_else(|| {
        // What was to be taken away is not there: whether that will do is for who asks to say, by accepting the status.
        Failure::refused(code::SERVICE_REJECTED, format!("{} answered {status}", answer.from))
    });
    let Some(Complaint { message, meaning }) = complaint else {
        return by_status.map_fault(|fault| Fault { message: clipped(&hide(fault.message)), ..fault });
    };
    let message = format!("{} answered {status}: {}", answer.from, clipped(&hide(message)));
    match meaning {
        Meaning::AsStatus => by_status.map_fault(|fault| Fault { message, ..fault }),
        Meaning::Refused(code) => Failure::refused(code, message),
        Meaning::Later(code) => {
            Failure::NotDone { fault: Fault::new(code, message), retryable: true, retry_after: answer.retry_after() }
        }
        Meaning::Unclear => Failure::unclear(class, Fault::new(code::OUTCOME_UNKNOWN, message)),
    }
}

/// On one line, without personal data.
pub(crate) fn clipped(message: &str) -> String {
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let clipped: String = line.chars().take(MESSAGE_CHARS_MAX).collect();
    redact::text(&clipped).into_owned()
}
