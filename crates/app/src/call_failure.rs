//! Terminal output for failed tool calls.

use baton_core::tool::ToolEnvelope;

use crate::print;

/// Why a tool call failed, as one line.
pub fn failure_reason(failed: &ToolEnvelope) -> String {
    let code = failed.error_code.as_deref().unwrap_or_default();
    let details = failed.error_details.as_deref().or(failed.error.as_deref()).unwrap_or_default();
    format!("{code}: {details}")
}

/// Prints that a tool call failed, why, and how to fix it if that is known.
pub fn print_failure(failed: &ToolEnvelope) {
    print::line(format_args!("{}: {}", print::paint("31", "the call failed"), failure_reason(failed)));
    if let Some(action) = &failed.suggested_action {
        print::note(format_args!("hint: {action}"));
    }
}
