//! A tenant's desk, as the driver moves it: what it tells conversations, and whoever supervises.

use baton_core::conversation::Command as ToConversation;
use baton_core::desk::{Act, Breach, Command, Desk, Enqueue, Event, Refusal, Told};
use baton_core::id::{RunId, TenantId};
use baton_core::time::Time;
use baton_ports::journal::{AggregateId, DeskItem, DeskKind, Projection, Submit};
use serde_json::json;

use super::{Answer, Plain};

/// What becomes of an item where somebody saw to the conversation.
const SEEN_TO: &str = "seen to";

impl Plain for Desk {
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn wake() -> Command {
        Command::Tick
    }

    fn decide(&mut self, command: Command, now: Time) -> Result<Vec<Event>, Refusal> {
        Self::decide(self, command, now)
    }

    fn apply(&mut self, at: Time, event: &Event) {
        Self::apply(self, at, event);
    }

    fn wake_at(&self) -> Option<Time> {
        Self::wake_at(self)
    }

    fn code(refusal: &Refusal) -> &'static str {
        refusal.code()
    }

    /// Each owner of a conversation has a number of their own in each stay, so the message that names it is told once.
    fn messages(
        &self,
        tenant: &TenantId,
        id: &AggregateId,
        events: &[Event],
        now: Time,
    ) -> Result<Vec<Submit>, serde_json::Error> {
        let mut messages = Vec::new();
        for told in events.iter().filter_map(Event::told) {
            let (conversation, stay, number, said) = match told {
                Told::Assigned { conversation, stay, number, person } => {
                    (conversation, stay, number, ToConversation::Assigned { stay, number, person: person.to_string() })
                }
                Told::Requeued { conversation, stay, number, .. } => {
                    (conversation, stay, number, ToConversation::Requeued { stay, number })
                }
                Told::Escalated { .. } => continue,
            };
            messages.push(Submit {
                aggregate: conversation.clone(),
                tenant: tenant.clone(),
                command_id: format!("{id}/owner/{stay}/{number}"),
                payload: serde_json::to_vec(&said)?.into(),
                at: now,
                creates: None,
            });
        }
        Ok(messages)
    }

    /// A conversation that the desk has no room for is told so, and asks again: none is dropped.
    fn refused(command: Command, refusal: &Refusal) -> Result<Option<Answer>, serde_json::Error> {
        let Command::Enqueue(Enqueue { conversation, number, .. }) = command else { return Ok(None) };
        let not_queued = ToConversation::NotQueued { stay: number, reason: refusal.to_string() };
        Ok(Some(Answer { to: conversation, payload: serde_json::to_vec(&not_queued)? }))
    }

    fn projections(&self, tenant: &TenantId, id: &AggregateId, events: &[Event], now: Time) -> Vec<Projection> {
        let mut shown = Vec::new();
        for event in events {
            match event {
                Event::Left { conversation, stay } => {
                    shown.extend(Breach::ALL.map(|breach| closed(id, conversation, *stay, breach, now)));
                }
                Event::Answered { conversation, stay } => {
                    shown.push(closed(id, conversation, *stay, Breach::FirstResponse, now));
                }
                Event::Assigned { conversation, stay, .. } => {
                    shown.push(closed(id, conversation, *stay, Breach::Nobody, now));
                }
                Event::Escalated { conversation, stay, number, breach, chain, act: Act::Tell } => {
                    shown.push(Projection::DeskOpened(DeskItem {
                        id: item(id, conversation, *stay, *breach),
                        tenant: tenant.clone(),
                        run: None,
                        kind: DeskKind::Late,
                        title: format!("conversation `{conversation}` {}", what(*breach)),
                        details: json!({
                            "conversation": conversation, "number": number, "breach": breach, "since": chain.since.to_string(),
                        }),
                        opened_at: now,
                        deadline: None,
                    }));
                }
                _ => {}
            }
        }
        shown
    }
}

fn what(breach: Breach) -> &'static str {
    match breach {
        Breach::FirstResponse => "waits for a person's first answer",
        Breach::Resolution => "is not resolved in time",
        Breach::Nobody => "asks for skills that nobody has",
    }
}

fn item(desk: &AggregateId, conversation: &RunId, stay: u64, breach: Breach) -> String {
    format!("{desk}/{conversation}/{stay}/{}", breach.word())
}

fn closed(desk: &AggregateId, conversation: &RunId, stay: u64, breach: Breach, at: Time) -> Projection {
    Projection::DeskClosed { id: item(desk, conversation, stay, breach), at, outcome: SEEN_TO.to_owned() }
}
