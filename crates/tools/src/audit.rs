//! The row the audit keeps of an attempt, redacted.

use std::time::Duration;

use baton_core::redact::{self, Bounds};
use baton_core::time::Time;
use baton_core::tool::{AuditRow, AuditStatus, Call, Details, INPUT_REQUIRED, Object, Outcome};

use crate::catalogue::Entry;
use crate::count;

/// What an action is called where the catalogue does not know the tool.
const UNKNOWN_TYPE: &str = "tool_execution";

/// `entry` is `None` for a tool that does not exist: asking for it is worth a row too. `sent` is how long the tool took,
/// where it was asked. The call is used up: what it names goes into the row as it is.
pub(crate) fn row(call: Call, entry: Option<&Entry>, outcome: &Outcome, at: Time, sent: Option<Duration>) -> AuditRow {
    let variant = entry.map(|entry| entry.variant(&call.arguments));
    let performer = entry.map(|entry| entry.performer_of(&call));
    let mut details = Details::object();
    details.say_redacted("parameters", &call.arguments, Bounds::AUDIT);
    details.say("key", call.key);
    details.say("attempt", call.attempt);
    if let (Some(performer), Some(variant)) = (performer, variant) {
        details.say("provider", performer.provider);
        details.say("compensable", variant.compensable);
    }
    came_to(outcome, &mut details);
    let row = AuditRow {
        at,
        company_id: call.tenant,
        run: Some(call.run),
        // The run knows which call this attempt is of.
        call: None,
        changes: false,
        user_id: call.caller.user_id,
        agent_name: call.agent,
        conversation_id: call.caller.conversation_id,
        action_type: variant.map_or(UNKNOWN_TYPE, |variant| &variant.audit_type).to_owned(),
        action: call.tool,
        details: details.end(),
        status: match outcome {
            Outcome::Done { .. } => AuditStatus::Success,
            Outcome::NotDone { .. } | Outcome::Unknown { .. } | Outcome::Asks { .. } => AuditStatus::Error,
        },
        sent: sent.is_some(),
        error_code: match outcome {
            Outcome::Asks { .. } => Some(INPUT_REQUIRED.to_owned()),
            outcome => outcome.fault().map(|fault| fault.code.to_string()),
        },
        cost: outcome.cost(),
        duration_ms: u64::try_from(sent.unwrap_or_default().as_millis()).unwrap_or(u64::MAX),
        erases: Vec::new(),
    };
    count::used(&row, sent, performer.map(|performer| performer.cost));
    row
}

fn came_to(outcome: &Outcome, details: &mut Object) {
    match outcome {
        Outcome::Done { output, cost, .. } => {
            details.say_redacted("result", output, Bounds::AUDIT);
            if cost.as_nanos() != 0 {
                details.say("cost_usd", cost.as_f64());
            }
        }
        Outcome::NotDone { fault, .. } => {
            details.say("error_code", &*fault.code);
            details.say("error", &*redact::text(&fault.message));
        }
        Outcome::Unknown { fault } => {
            details.say("error_code", &*fault.code);
            details.say("error", &*redact::text(&fault.message));
            details.say("outcome", "unknown");
        }
        Outcome::Asks { question, .. } => {
            details.say("error_code", INPUT_REQUIRED);
            details.say_redacted("asks", &question.message.as_str().into(), Bounds::AUDIT);
        }
    }
}

#[cfg(test)]
mod tests {
    use baton_core::tool::Question;
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{NOW, World};

    #[test]
    fn a_question_is_kept_redacted_and_no_longer_than_anything_else() {
        let call = World::new().call("run/node/0/0", "far.book", json!({}));
        let message = format!("Is it ana@clinic.example? {}", "é".repeat(30_000));
        let question = Box::new(Question { message, schema: json!({}), resume: Value::Null });
        let row = row(call, None, &Outcome::Asks { question, within: None }, NOW.parse().unwrap(), None);
        let asks = row.details["asks"].as_str().unwrap();
        assert!(asks.starts_with("Is it [REDACTED_EMAIL]? é"), "{asks}");
        assert!(asks.len() < Bounds::AUDIT.string_bytes + 100, "{} bytes", asks.len());
    }
}
