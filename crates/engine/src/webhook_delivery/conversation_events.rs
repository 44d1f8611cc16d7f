//! Events of conversations: they report that something happened, never what was said.

use baton_core::conversation::{ConversationEntry, ConversationEvent};
use baton_core::id::TenantId;
use baton_ports::feed::FeedEntry;
use serde_json::{Value, json};

use super::WebhookEvent;

/// The events of an entry of a conversation, in order.
pub(super) fn conversation_events(tenant: &TenantId, laid: &FeedEntry) -> Vec<WebhookEvent> {
    let Ok(entry) = serde_json::from_slice::<ConversationEntry>(&laid.entry) else { return Vec::new() };
    let about = json!({ "conversation_id": laid.run, "workflow_id": laid.workflow, "tenant": tenant });
    let of = entry.events.iter().filter_map(of_event);
    of.map(|(event, more)| WebhookEvent::new(event, entry.at, &about, more)).collect()
}

fn of_event(event: &ConversationEvent) -> Option<(&'static str, Value)> {
    let owned = |number: &u64, by: &str| json!({ "number": number, "assigned_agent_id": by });
    Some(match event {
        ConversationEvent::Begun(begun) => {
            ("conversation.begun", json!({ "user_id": begun.user, "channel": begun.channel }))
        }
        // Notes and drafts of the AI are only for human agents.
        ConversationEvent::Said { line } if line.from.is_public() => {
            ("conversation.message", json!({ "message": line.number, "from": line.from.word() }))
        }
        ConversationEvent::HandedOver { handover, number } => (
            "conversation.handed_over",
            json!({ "number": number, "hil_reason": handover.trigger, "required_skills": handover.skills }),
        ),
        ConversationEvent::Assigned { number, person } => ("conversation.assigned", owned(number, person)),
        ConversationEvent::TakenOver { number, by, .. } => ("conversation.assigned", owned(number, by)),
        ConversationEvent::GivenBack { number, by, .. } => ("conversation.given_back", owned(number, by)),
        ConversationEvent::Resolved { number, by, .. } => ("conversation.resolved", owned(number, by)),
        ConversationEvent::Finished | ConversationEvent::Closed { .. } => ("conversation.finished", json!({})),
        ConversationEvent::Reopened { number, by } => {
            ("conversation.reopened", json!({ "number": number, "by": by.as_deref().unwrap_or("customer") }))
        }
        ConversationEvent::Rated { score, .. } => ("conversation.rated", json!({ "score": score })),
        ConversationEvent::Said { .. }
        | ConversationEvent::Versioned(_)
        | ConversationEvent::Held { .. }
        | ConversationEvent::ToPeople { .. }
        | ConversationEvent::RunBegun { .. }
        | ConversationEvent::Given { .. }
        | ConversationEvent::RunHeard { .. }
        | ConversationEvent::RunOver { .. }
        | ConversationEvent::Returned { .. }
        | ConversationEvent::Enqueued { .. }
        | ConversationEvent::NotQueued { .. }
        | ConversationEvent::AskedAgain { .. }
        | ConversationEvent::ServiceLevelSet { .. }
        | ConversationEvent::Requeued { .. } => return None,
    })
}
