//! The stable error codes of this crate, each with its text for the customer and for the operator.
//!
//! Every code has a page in `docs/errors/tools/`. The Spanish texts must not change by a single letter: clients
//! compare them.

mod text;

use baton_core::fault::Fault;

use crate::language::CustomerLanguage;

pub use text::{CodeText, TEXTS};

pub const ADDRESS_NOT_ALLOWED: &str = "ADDRESS_NOT_ALLOWED";
pub const APPROVAL_REQUIRED: &str = "APPROVAL_REQUIRED";
pub const BOOKING_NOT_FOUND: &str = "BOOKING_NOT_FOUND";
pub const CALCULATION_FAILED: &str = "CALCULATION_FAILED";
pub const CALENDAR_NOT_CONFIGURED: &str = "CALENDAR_NOT_CONFIGURED";
pub const CALENDAR_UNAVAILABLE: &str = "CALENDAR_UNAVAILABLE";
pub const CIRCUIT_OPEN: &str = "CIRCUIT_OPEN";
pub const CODE_CALLS: &str = "CODE_CALLS";
pub const CODE_CRASHED: &str = "CODE_CRASHED";
pub const CODE_DENIED: &str = "CODE_DENIED";
pub const CODE_DIFFERS: &str = "CODE_DIFFERS";
pub const CODE_INVALID: &str = "CODE_INVALID";
pub const CODE_MEMORY: &str = "CODE_MEMORY";
pub const CODE_NAMES: &str = "CODE_NAMES";
pub const CODE_NOT_AWAITED: &str = "CODE_NOT_AWAITED";
pub const CODE_OUTPUT: &str = "CODE_OUTPUT";
pub const CODE_RAISED: &str = "CODE_RAISED";
pub const CODE_RECURSION: &str = "CODE_RECURSION";
pub const CODE_STATE: &str = "CODE_STATE";
pub const CODE_TIMEOUT: &str = "CODE_TIMEOUT";
pub const CODE_VALUE: &str = "CODE_VALUE";
pub const CONNECTION_EXPIRED: &str = "CONNECTION_EXPIRED";
pub const CONNECTION_MISSING: &str = "CONNECTION_MISSING";
pub const CONTACT_CHANGED: &str = "CONTACT_CHANGED";
pub const DATABASE_NOT_CONFIGURED: &str = "DATABASE_NOT_CONFIGURED";
pub const DATE_NOT_BOOKABLE: &str = "DATE_NOT_BOOKABLE";
pub const EXPRESSION_FAILED: &str = "EXPRESSION_FAILED";
pub const INPUT_REQUIRED: &str = baton_core::tool::INPUT_REQUIRED;
pub const INVALID_PARAMETERS: &str = "INVALID_PARAMETERS";
pub const KEY_REUSED: &str = "KEY_REUSED";
pub const MESSAGE_REJECTED: &str = "MESSAGE_REJECTED";
pub const NO_SCRIPTED_RESULT: &str = "NO_SCRIPTED_RESULT";
pub const OUTCOME_UNKNOWN: &str = "OUTCOME_UNKNOWN";
pub const OUTSIDE_HOURS: &str = "OUTSIDE_HOURS";
pub const PAYMENT_DECLINED: &str = "PAYMENT_DECLINED";
pub const PAYMENT_NOT_FOUND: &str = "PAYMENT_NOT_FOUND";
pub const PROVIDER_CHANGED: &str = "PROVIDER_CHANGED";
pub const QUERY_FAILED: &str = "QUERY_FAILED";
pub const QUERY_REFUSED: &str = "QUERY_REFUSED";
pub const RATE_LIMIT_EXCEEDED: &str = "RATE_LIMIT_EXCEEDED";
pub const REFUND_TOO_LARGE: &str = "REFUND_TOO_LARGE";
pub const RESPONSE_TOO_LARGE: &str = "RESPONSE_TOO_LARGE";
pub const SANDBOX_BUSY: &str = "SANDBOX_BUSY";
pub const SANDBOX_KILLED: &str = "SANDBOX_KILLED";
pub const SANDBOX_UNAVAILABLE: &str = "SANDBOX_UNAVAILABLE";
pub const SERVICE_DENIED: &str = "SERVICE_DENIED";
pub const SERVICE_NOT_CONFIGURED: &str = "SERVICE_NOT_CONFIGURED";
pub const SERVICE_REJECTED: &str = "SERVICE_REJECTED";
pub const SERVICE_UNAVAILABLE: &str = "SERVICE_UNAVAILABLE";
pub const SLOT_TAKEN: &str = "SLOT_TAKEN";
pub const SNAPSHOT_REFUSED: &str = "SNAPSHOT_REFUSED";
pub const STORAGE_UNAVAILABLE: &str = "STORAGE_UNAVAILABLE";
pub const TICKET_NOT_FOUND: &str = "TICKET_NOT_FOUND";
pub const TIMEOUT: &str = "TIMEOUT";
pub const TOOL_NOT_ALLOWED: &str = "TOOL_NOT_ALLOWED";
pub const TOOL_NOT_FOUND: &str = "TOOL_NOT_FOUND";
pub const WEB_SEARCH_NOT_CONFIGURED: &str = "WEB_SEARCH_NOT_CONFIGURED";

/// Returns the text of a code, in the variant for this category of tools if there is one.
pub fn text(code: &str, category: &str) -> Option<&'static CodeText> {
    let of = |category: Option<&str>| TEXTS.iter().find(|text| text.code == code && text.category == category);
    of(Some(category)).or_else(|| of(None))
}

/// Adds the customer's text and the operator's next step, unless the fault has its own.
pub(crate) fn localize(mut fault: Fault, category: &str, language: CustomerLanguage) -> Fault {
    let Some(text) = text(&fault.code, category) else { return fault };
    fault.customer.get_or_insert_with(|| text.customer(language).into());
    fault.suggested_action.get_or_insert(text.action.into());
    fault
}

#[cfg(test)]
mod tests;
