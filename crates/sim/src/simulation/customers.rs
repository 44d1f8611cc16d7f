//! Customers: who begin conversations, write into them in an order of their own, and write back when they are asked.

use std::time::Duration;

use baton_core::conversation::{Arrived, Command};
use baton_core::id::RunId;
use baton_ports::journal::{Create, DeskItem, DeskKind, Kind, Submit};

use super::{Happening, Simulation, tenant};
use crate::case::Instant;
use crate::coverage::Column;
use crate::talks::{LATER, letter};

/// Who writes back.
const WRITER: &str = "s0";
/// Messages that one customer writes beyond what is drawn, while the storm lasts.
const LATER_MAX: u64 = 6;

impl Simulation<'_> {
    /// Puts on the agenda what is drawn of conversations.
    pub(super) fn open_talks(&mut self) {
        let Some(talks) = &self.case.talks else { return };
        for begun in &talks.conversations {
            let workflow = begun.version.workflow.clone();
            let creates = Create { kind: Kind::Conversation, workflow, parent: None, owner: None };
            let begins = Command::Begin(Box::new(begun.clone()));
            self.tell_talk(&begun.conversation, "start".to_owned(), &begins, Some(creates), Duration::from_millis(50));
        }
        for letter in &talks.letters {
            let message = Command::Message(letter.arrived.clone());
            if letter.arrived.sequence.is_some() {
                self.coverage.hit("conversation", Column::OutOfOrder, Instant::Sent);
            }
            self.tell_talk(&letter.conversation, letter.command_id.clone(), &message, None, letter.after);
        }
        self.open_desk_of_talks();
    }

    /// Somebody tells a conversation something, after so long.
    pub(super) fn tell_talk(
        &mut self,
        to: &RunId,
        command_id: String,
        said: &impl serde::Serialize,
        creates: Option<Create>,
        after: Duration,
    ) {
        let payload = match serde_json::to_vec(said) {
            Ok(payload) => payload.into(),
            Err(error) => return self.violate("codec", format!("an inbox item cannot be written: {error}")),
        };
        let submit = Submit { aggregate: to.clone(), tenant: tenant(), command_id, payload, at: self.now, creates };
        self.put(self.now + after, Happening::Submits { submit: Box::new(submit) });
    }

    /// The conversation whose customer is asked this.
    pub(super) fn asked_in_a_talk(&self, item: &DeskItem) -> Option<RunId> {
        let run = item.run.as_ref().filter(|_| item.kind == DeskKind::Question)?;
        self.witness.talks.of_run(run)
    }

    /// The customer writes once more, most of the time.
    pub(super) fn write_back(&mut self, conversation: &RunId) {
        let written = self.written.get(conversation).copied().unwrap_or_default();
        if written >= LATER_MAX || self.is_calm() || !self.rng.chance(85) {
            return;
        }
        let after = Duration::from_millis(self.rng.between(100, 12_000));
        self.write_later(conversation, after);
    }

    /// A message beyond those that are drawn.
    pub(super) fn write_later(&mut self, conversation: &RunId, after: Duration) {
        let Some(talks) = &self.case.talks else { return };
        let begun = talks.conversations.iter().find(|begun| begun.conversation == *conversation);
        let Some(version) = begun.map(|begun| begun.version.clone()) else { return };
        let written = self.written.entry(conversation.clone()).or_default();
        *written += 1;
        let number = LATER + *written;
        let arrived: Arrived = letter(WRITER, None, number, false, &version);
        let command_id = format!("{WRITER}/{number}");
        self.tell_talk(conversation, command_id, &Command::Message(arrived), None, after);
    }
}
