//! The audit row of an attempt, redacted.

use std::time::Duration;

use baton_core::redact::{self, RedactionBounds};
use baton_core::time::Time;
use baton_core::tool::{
    AuditDetails, AuditRow, AuditStatus, DetailsWriter, INPUT_REQUIRED, ToolInvocation, ToolOutcome,
};

use crate::catalogue::ToolEntry;
use crate::usage_metrics;

/// The action type recorded for a tool that the catalogue does not know.
const UNKNOWN_TYPE: &str = "tool_execution";

/// Builds the audit row of one attempt. `entry` is `None` for a tool that does not exist; such a call is recorded
/// too. `sent` is how long the tool took, if it was called. Consumes the call, so its fields move into the row
/// without a copy.
pub(crate) fn row(
    call: ToolInvocation,
    entry: Option<&ToolEntry>,
    outcome: &ToolOutcome,
    at: Time,
    sent: Option<Duration>,
) -> AuditRow {
    let variant = entry.map(|entry| entry.variant(&call.arguments));
    let performer = entry.map(|entry| entry.performer_of(&call));
    let mut details = AuditDetails::object();
    details.redacted_field("parameters", &call.arguments, RedactionBounds::AUDIT);
    details.field("key", call.key);
    details.field("attempt", call.attempt);
    if let (Some(performer), Some(variant)) = (performer, variant) {
        details.field("provider", performer.provider);
        details.field("compensable", variant.compensable);
    }
    add_outcome(outcome, &mut details);
    let row = AuditRow {
        at,
        company_id: call.tenant,
        run: Some(call.run),
        // The run knows which call this attempt belongs to.
        call: None,
        changes: false,
        user_id: call.caller.user_id,
        agent_name: call.agent,
        conversation_id: call.caller.conversation_id,
        action_type: variant.map_or(UNKNOWN_TYPE, |variant| &variant.audit_type).to_owned(),
        action: call.tool,
        details: details.finish(),
        status: match outcome {
            ToolOutcome::Done { .. } => AuditStatus::Success,
            ToolOutcome::NotDone { .. } | ToolOutcome::Unknown { .. } | ToolOutcome::Asks { .. } => AuditStatus::Error,
        },
        sent: sent.is_some(),
        error_code: match outcome {
            ToolOutcome::Asks { .. } => Some(INPUT_REQUIRED.to_owned()),
            outcome => outcome.fault().map(|fault| fault.code.to_string()),
        },
        cost: outcome.cost(),
        duration_ms: u64::try_from(sent.unwrap_or_default().as_millis()).unwrap_or(u64::MAX),
        erases: Vec::new(),
    };
    usage_metrics::record_use(&row, sent, performer.map(|performer| performer.cost));
    row
}

fn add_outcome(outcome: &ToolOutcome, details: &mut DetailsWriter) {
    match outcome {
        ToolOutcome::Done { output, cost, .. } => {
            details.redacted_field("result", output, RedactionBounds::AUDIT);
            if cost.as_nanos() != 0 {
                details.field("cost_usd", cost.as_f64());
            }
        }
        ToolOutcome::NotDone { fault, .. } => {
            details.field("error_code", &*fault.code);
            details.field("error", &*redact::text(&fault.message));
        }
        ToolOutcome::Unknown { fault } => {
            details.field("error_code", &*fault.code);
            details.field("error", &*redact::text(&fault.message));
            details.field("outcome", "unknown");
        }
        ToolOutcome::Asks { question, .. } => {
            details.field("error_code", INPUT_REQUIRED);
            details.redacted_field("asks", &question.message.as_str().into(), RedactionBounds::AUDIT);
        }
    }
}

#[cfg(test)]
mod tests {
    use baton_core::tool::ToolQuestion;
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{NOW, ToolsFixture};

    #[test]
    fn a_question_is_kept_redacted_and_no_longer_than_anything_else() {
        let call = ToolsFixture::new().call("run/node/0/0", "far.book", json!({}));
        let message = format!("Is it ana@clinic.example? {}", "é".repeat(30_000));
        let question = Box::new(ToolQuestion { message, schema: json!({}), resume: Value::Null });
        let row = row(call, None, &ToolOutcome::Asks { question, within: None }, NOW.parse().unwrap(), None);
        let asks = row.details["asks"].as_str().unwrap();
        assert!(asks.starts_with("Is it [REDACTED_EMAIL]? é"), "{asks}");
        assert!(asks.len() < RedactionBounds::AUDIT.string_bytes + 100, "{} bytes", asks.len());
    }
}
