//! Stage: the current provider promises at least the class that the call relies on.
//!
//! What may be done after an unknown outcome is fixed when a version is saved, but the provider may have been
//! reconfigured since. Example: a message sent through the outbox may be repeated; a message that now goes to a
//! person must not be.

use std::sync::Arc;

use serde_json::json;

use super::EarlyOutcome;
use crate::catalogue::ToolEntry;
use crate::code;
use crate::providers::rest::INTERNAL;
use crate::request::PreparedRequest;

pub(super) fn check(request: &PreparedRequest, entry: &Arc<ToolEntry>) -> Result<(), EarlyOutcome> {
    let call = &request.call;
    // An act in this installation's own tables is undone there, even if the provider was changed since. The caller
    // controls the argument, but the tool itself decides that no external service is called.
    let stays_inside = || entry.performer_of(call).tool.service(request).is_none();
    if request.text("at") == Some(INTERNAL) && stays_inside() {
        return Ok(());
    }
    let now = match entry.current_class(call) {
        Some(now) if call.class.has_side_effects() && now > call.class => now,
        Some(_) | None => return Ok(()),
    };
    let (before, now, by) = (json!(call.class), json!(now), entry.performer_of(call).provider);
    let message = format!(
        "`{}` was {before} when the run's version was saved, and is {now} now that `{by}` performs it",
        call.tool
    );
    Err(EarlyOutcome::refused(code::PROVIDER_CHANGED, message, entry))
}

#[cfg(test)]
mod tests;
