//! Stage: whoever performs the tool now promises at least what the call counts on.
//!
//! What may be done with an unclear outcome is fixed when a version is saved, and who performs a tool may be chosen
//! anew since: a message that went to the outbox, where it may be sent twice, must not be sent twice to a person.

use std::sync::Arc;

use serde_json::json;

use super::EarlyOutcome;
use crate::catalogue::ToolEntry;
use crate::code;
use crate::providers::rest::INTERNAL;
use crate::request::PreparedRequest;

pub(super) fn check(request: &PreparedRequest, entry: &Arc<ToolEntry>) -> Result<(), EarlyOutcome> {
    let call = &request.call;
    // What our own tables did is undone in them, whoever was chosen since. The argument is the caller's: that nobody
    // outside is asked is the tool's own word.
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
