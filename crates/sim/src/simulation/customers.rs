//! Customers: they begin conversations, write messages in an order of their own, and reply to questions.

use std::time::Duration;

use baton_core::conversation::{ConversationCommand, InboundMessage};
use baton_core::id::RunId;
use baton_ports::journal::{AggregateKind, InboxSubmission, NewAggregate, TaskItem, TaskItemKind};

use super::{SimEvent, Simulation, tenant};
use crate::case::FaultPoint;
use crate::conversation_plan::{LATER_NUMBERS, inbound_message};
use crate::coverage::CoverageColumn;

/// The sender of replies.
const WRITER: &str = "s0";
/// Maximum number of messages that one customer writes in addition to the planned ones, during the storm.
const LATER_MAX: u64 = 6;

impl Simulation<'_> {
    /// Schedules the planned conversations.
    pub(super) fn schedule_conversations(&mut self) {
        let Some(talks) = &self.case.conversations else { return };
        for begun in &talks.conversations {
            let workflow = begun.version.workflow.clone();
            let creates = NewAggregate { kind: AggregateKind::Conversation, workflow, parent: None, owner: None };
            let begins = ConversationCommand::Begin(Box::new(begun.clone()));
            self.submit_to_conversation(
                &begun.conversation,
                "start".to_owned(),
                &begins,
                Some(creates),
                Duration::from_millis(50),
            );
        }
        for letter in &talks.messages {
            let message = ConversationCommand::Message(letter.message.clone());
            if letter.message.sequence.is_some() {
                self.coverage.hit("conversation", CoverageColumn::OutOfOrder, FaultPoint::Sent);
            }
            self.submit_to_conversation(&letter.conversation, letter.command_id.clone(), &message, None, letter.after);
        }
        self.schedule_people();
    }

    /// Submits a command to a conversation after a delay.
    pub(super) fn submit_to_conversation(
        &mut self,
        to: &RunId,
        command_id: String,
        said: &impl serde::Serialize,
        creates: Option<NewAggregate>,
        after: Duration,
    ) {
        let payload = match serde_json::to_vec(said) {
            Ok(payload) => payload.into(),
            Err(error) => return self.record_violation("codec", format!("an inbox item cannot be written: {error}")),
        };
        let submit =
            InboxSubmission { aggregate: to.clone(), tenant: tenant(), command_id, payload, at: self.now, creates };
        self.schedule(self.now + after, SimEvent::SubmitItem { submit: Box::new(submit) });
    }

    /// The conversation whose customer is asked this.
    pub(super) fn asking_conversation(&self, item: &TaskItem) -> Option<RunId> {
        let run = item.run.as_ref().filter(|_| item.kind == TaskItemKind::Question)?;
        self.oracle.conversations.conversation_of(run)
    }

    /// The customer usually writes again.
    pub(super) fn write_back(&mut self, conversation: &RunId) {
        let written = self.last_messages.get(conversation).copied().unwrap_or_default();
        if written >= LATER_MAX || self.is_over() || !self.rng.chance(85) {
            return;
        }
        let after = Duration::from_millis(self.rng.between(100, 12_000));
        self.write_later(conversation, after);
    }

    /// A message in addition to the planned ones.
    pub(super) fn write_later(&mut self, conversation: &RunId, after: Duration) {
        let Some(talks) = &self.case.conversations else { return };
        let begun = talks.conversations.iter().find(|begun| begun.conversation == *conversation);
        let Some(version) = begun.map(|begun| begun.version.clone()) else { return };
        let written = self.last_messages.entry(conversation.clone()).or_default();
        *written += 1;
        let number = LATER_NUMBERS + *written;
        let arrived: InboundMessage = inbound_message(WRITER, None, number, false, &version);
        let command_id = format!("{WRITER}/{number}");
        self.submit_to_conversation(conversation, command_id, &ConversationCommand::Message(arrived), None, after);
    }
}
