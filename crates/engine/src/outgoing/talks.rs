//! What conversations have to tell: that something happened, and never what was said.

use baton_core::conversation::{Entry, Event};
use baton_core::id::TenantId;
use baton_ports::feed::Laid;
use serde_json::{Value, json};

use super::Told;

/// What an entry of a conversation has to tell, in its order.
pub(super) fn told(tenant: &TenantId, laid: &Laid) -> Vec<Told> {
    let Ok(entry) = serde_json::from_slice::<Entry>(&laid.entry) else { return Vec::new() };
    let about = json!({ "conversation_id": laid.run, "workflow_id": laid.workflow, "tenant": tenant });
    let of = entry.events.iter().filter_map(of_event);
    of.map(|(event, more)| Told::new(event, entry.at, &about, more)).collect()
}

fn of_event(event: &Event) -> Option<(&'static str, Value)> {
    let owned = |number: &u64, by: &str| json!({ "number": number, "assigned_agent_id": by });
    Some(match event {
        Event::Begun(begun) => ("conversation.begun", json!({ "user_id": begun.user, "channel": begun.channel })),
        // Notes and what the AI would have said are for people of the desk.
        Event::Said { line } if line.from.is_public() => {
            ("conversation.message", json!({ "message": line.number, "from": line.from.word() }))
        }
        Event::HandedOver { handover, number } => (
            "conversation.handed_over",
            json!({ "number": number, "hil_reason": handover.trigger, "required_skills": handover.skills }),
        ),
        Event::Assigned { number, person } => ("conversation.assigned", owned(number, person)),
        Event::TakenOver { number, by, .. } => ("conversation.assigned", owned(number, by)),
        Event::GivenBack { number, by, .. } => ("conversation.given_back", owned(number, by)),
        Event::Resolved { number, by, .. } => ("conversation.resolved", owned(number, by)),
        Event::Finished | Event::Closed { .. } => ("conversation.finished", json!({})),
        Event::Reopened { number, by } => {
            ("conversation.reopened", json!({ "number": number, "by": by.as_deref().unwrap_or("customer") }))
        }
        Event::Rated { score, .. } => ("conversation.rated", json!({ "score": score })),
        Event::Said { .. }
        | Event::Versioned(_)
        | Event::Held { .. }
        | Event::ToPeople { .. }
        | Event::RunBegun { .. }
        | Event::Given { .. }
        | Event::RunHeard { .. }
        | Event::RunOver { .. }
        | Event::Returned { .. }
        | Event::Enqueued { .. }
        | Event::NotQueued { .. }
        | Event::AskedAgain { .. }
        | Event::ServiceLevelSet { .. }
        | Event::Requeued { .. } => return None,
    })
}
