//! The routing queue as an aggregate: its messages to conversations and to supervisors.

use baton_core::conversation::ConversationCommand;
use baton_core::id::{RunId, TenantId};
use baton_core::routing::{
    EnqueueRequest, EscalationAction, RoutingCommand, RoutingEvent, RoutingNotice, RoutingQueue, RoutingRefusal,
    SlaBreach,
};
use baton_core::time::Time;
use baton_ports::journal::{AggregateId, InboxSubmission, ProjectionRow, TaskItem, TaskItemKind};
use serde_json::json;

use super::{Aggregate, RefusalReply};

/// The outcome of a task inbox item once a person has handled the conversation.
const HANDLED: &str = "seen to";

impl Aggregate for RoutingQueue {
    type Command = RoutingCommand;
    type Event = RoutingEvent;
    type Refusal = RoutingRefusal;

    fn wake_command() -> RoutingCommand {
        RoutingCommand::Tick
    }

    fn decide(&mut self, command: RoutingCommand, now: Time) -> Result<Vec<RoutingEvent>, RoutingRefusal> {
        Self::decide(self, command, now)
    }

    fn apply(&mut self, at: Time, event: &RoutingEvent) {
        Self::apply(self, at, event);
    }

    fn wake_at(&self) -> Option<Time> {
        Self::wake_at(self)
    }

    fn refusal_code(refusal: &RoutingRefusal) -> &'static str {
        refusal.code()
    }

    /// Each owner of a conversation has a distinct number within each queue ticket, so the message that names the
    /// number is sent once.
    fn messages(
        &self,
        tenant: &TenantId,
        id: &AggregateId,
        events: &[RoutingEvent],
        now: Time,
    ) -> Result<Vec<InboxSubmission>, serde_json::Error> {
        let mut messages = Vec::new();
        for told in events.iter().filter_map(RoutingEvent::notice) {
            let (conversation, stay, number, said) = match told {
                RoutingNotice::Assigned { conversation, stay, number, person } => (
                    conversation,
                    stay,
                    number,
                    ConversationCommand::Assigned { stay, number, person: person.to_string() },
                ),
                RoutingNotice::Requeued { conversation, stay, number, .. } => {
                    (conversation, stay, number, ConversationCommand::Requeued { stay, number })
                }
                RoutingNotice::Escalated { .. } => continue,
            };
            messages.push(InboxSubmission {
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

    /// If the queue has no room for a conversation, the conversation is notified and asks again: none is dropped.
    fn refusal_reply(
        command: RoutingCommand,
        refusal: &RoutingRefusal,
    ) -> Result<Option<RefusalReply>, serde_json::Error> {
        let RoutingCommand::Enqueue(EnqueueRequest { conversation, number, .. }) = command else { return Ok(None) };
        let not_queued = ConversationCommand::NotQueued { stay: number, reason: refusal.to_string() };
        Ok(Some(RefusalReply { to: conversation, payload: serde_json::to_vec(&not_queued)? }))
    }

    fn projections(
        &self,
        tenant: &TenantId,
        id: &AggregateId,
        events: &[RoutingEvent],
        now: Time,
    ) -> Vec<ProjectionRow> {
        let mut shown = Vec::new();
        for event in events {
            match event {
                RoutingEvent::Left { conversation, stay } => {
                    shown.extend(SlaBreach::ALL.map(|breach| breach_closed(id, conversation, *stay, breach, now)));
                }
                RoutingEvent::Answered { conversation, stay } => {
                    shown.push(breach_closed(id, conversation, *stay, SlaBreach::FirstResponse, now));
                }
                RoutingEvent::Assigned { conversation, stay, .. } => {
                    shown.push(breach_closed(id, conversation, *stay, SlaBreach::Nobody, now));
                }
                RoutingEvent::Escalated { conversation, stay, number, breach, chain, act: EscalationAction::Tell } => {
                    shown.push(ProjectionRow::TaskOpened(TaskItem {
                        id: breach_item_id(id, conversation, *stay, *breach),
                        tenant: tenant.clone(),
                        run: None,
                        kind: TaskItemKind::Late,
                        title: format!("conversation `{conversation}` {}", breach_text(*breach)),
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

fn breach_text(breach: SlaBreach) -> &'static str {
    match breach {
        SlaBreach::FirstResponse => "waits for a person's first answer",
        SlaBreach::Resolution => "is not resolved in time",
        SlaBreach::Nobody => "asks for skills that nobody has",
    }
}

fn breach_item_id(desk: &AggregateId, conversation: &RunId, stay: u64, breach: SlaBreach) -> String {
    format!("{desk}/{conversation}/{stay}/{}", breach.word())
}

fn breach_closed(desk: &AggregateId, conversation: &RunId, stay: u64, breach: SlaBreach, at: Time) -> ProjectionRow {
    ProjectionRow::TaskClosed { id: breach_item_id(desk, conversation, stay, breach), at, outcome: HANDLED.to_owned() }
}
