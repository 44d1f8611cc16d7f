//! The transcript of one conversation: the messages, their authors, and who handled them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use baton_core::conversation::{ConversationEntry, ConversationEvent, ConversationLine, InboundMessage, LineAuthor};
use baton_core::id::RunId;
use baton_core::time::Time;

use super::super::{PromiseViolation, violation};
use super::ConversationHolder;

/// How long a message that arrived early waits for those before it.
const REORDER_WINDOW: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, PartialEq, Eq)]
enum OracleOwner {
    Ai,
    Nobody,
    Person(String),
}

/// The handler of a customer's message.
#[derive(Clone, Debug, PartialEq, Eq)]
enum LineHandler {
    /// Not handled yet.
    Unhandled,
    People,
    /// A run received it: as its first message, 0, or under this number.
    Run(RunId, u64),
    /// The run that received it has ended without consuming it.
    Returned(RunId, u64),
}

#[derive(Debug)]
pub struct TranscriptOracle {
    pub id: RunId,
    /// Events of the last entry.
    pub last: Vec<ConversationEvent>,
    /// Acknowledged messages: by message id the text, and the position among those without numbers.
    acknowledged: BTreeMap<String, (String, usize)>,
    message_ids: BTreeSet<String>,
    /// For each sender with numbers: the newest number in the transcript.
    newest: BTreeMap<String, u64>,
    /// Since when messages that arrived early are held, by sender and number.
    held: BTreeMap<(String, u64), Time>,
    /// The position of the last message in the transcript without a number.
    unnumbered: Option<usize>,
    line_handlers: BTreeMap<u64, LineHandler>,
    owner: OracleOwner,
    number: u64,
    /// Its ticket in the routing queue.
    ticket: Option<u64>,
    is_over: bool,
}

impl TranscriptOracle {
    pub fn new(id: RunId) -> Self {
        Self {
            id,
            last: Vec::new(),
            acknowledged: BTreeMap::new(),
            message_ids: BTreeSet::new(),
            newest: BTreeMap::new(),
            held: BTreeMap::new(),
            unnumbered: None,
            line_handlers: BTreeMap::new(),
            owner: OracleOwner::Ai,
            number: 0,
            ticket: None,
            is_over: false,
        }
    }

    pub fn accepted(&mut self, message: InboundMessage) {
        let place = self.acknowledged.len();
        self.acknowledged.entry(message.message_id).or_insert((message.text, place));
    }

    pub fn recorded(&mut self, entry: ConversationEntry) -> Result<(), PromiseViolation> {
        for event in &entry.events {
            match event {
                ConversationEvent::Said { line } => self.check_line(line, entry.at)?,
                ConversationEvent::Held { message, .. } => self.hold_message(message, entry.at),
                event => {
                    self.check_owner_change(event)?;
                    self.check_handling(event)?;
                }
            }
        }
        self.last = entry.events;
        Ok(())
    }

    fn hold_message(&mut self, message: &InboundMessage, at: Time) {
        if let Some(number) = message.sequence {
            self.held.insert((message.source.clone(), number), at);
        }
    }

    fn check_line(&mut self, line: &ConversationLine, at: Time) -> Result<(), PromiseViolation> {
        let speaker = match &line.from {
            LineAuthor::Customer => return self.check_customer_line(line, at),
            LineAuthor::Note { .. } | LineAuthor::Suggestion { .. } => return Ok(()),
            LineAuthor::Ai { .. } => OracleOwner::Ai,
            LineAuthor::Person { name } => OracleOwner::Person(name.clone()),
        };
        if speaker != self.owner || line.owned != Some(self.number) {
            let (id, owner, number) = (&self.id, &self.owner, self.number);
            return violation("speaks", format!("{owner:?} owns `{id}` under {number}, and there speaks {line:?}"));
        }
        // In the simulation, the text of a post contains the number that it quotes.
        if let LineAuthor::Person { name } = &line.from
            && line.text != format!("{name} under {}", self.number)
        {
            return violation("speaks", format!("{name} owns `{}` under {}, and says {line:?}", self.id, self.number));
        }
        Ok(())
    }

    fn check_customer_line(&mut self, line: &ConversationLine, at: Time) -> Result<(), PromiseViolation> {
        let id = &self.id;
        let message_id = line.message_id.clone().unwrap_or_default();
        let Some((text, place)) = self.acknowledged.get(&message_id) else {
            return violation("acknowledged", format!("nobody ever wrote to `{id}` what it has heard: {line:?}"));
        };
        if *text != line.text {
            return violation("acknowledged", format!("`{text}` was written to `{id}`, and it heard {line:?}"));
        }
        let place = *place;
        if !self.message_ids.insert(message_id) {
            return violation("messages", format!("`{id}` heard twice {line:?}"));
        }
        let is_in_order = match line.sequence {
            Some(number) => self.is_next_message(line, number, at),
            None => self.unnumbered.replace(place).is_none_or(|before| before < place),
        };
        if !is_in_order {
            return violation("messages", format!("`{}` heard out of its turn {line:?}", self.id));
        }
        self.line_handlers.insert(line.number, LineHandler::Unhandled);
        Ok(())
    }

    /// It is the next one of its sender, whose numbers begin at 0 or 1; or it is marked as one that follows a gap, or
    /// whose gap was waited for since the first early message.
    fn is_next_message(&mut self, line: &ConversationLine, number: u64, at: Time) -> bool {
        let newest = self.newest.get(&line.source).copied();
        let next = newest.map_or(number.min(1), |newest| newest + 1);
        let is_early = |held: &u64| *held >= number;
        let has_waited = || {
            let early = self.held.iter().filter(|((source, held), _)| *source == line.source && is_early(held));
            early.map(|(_, since)| *since).any(|since| since + REORDER_WINDOW <= at)
        };
        let is_right = match line.after_gap {
            false => number == next,
            true => number < next || (number > next && has_waited()),
        };
        self.newest.insert(line.source.clone(), newest.unwrap_or(number).max(number));
        is_right
    }

    /// Each owner gets a new ownership number, above all earlier ones.
    fn check_owner_change(&mut self, event: &ConversationEvent) -> Result<(), PromiseViolation> {
        let (owner, number) = match event {
            ConversationEvent::Begun(_) => (OracleOwner::Ai, 1),
            ConversationEvent::HandedOver { number, .. } | ConversationEvent::Requeued { number } => {
                (OracleOwner::Nobody, *number)
            }
            ConversationEvent::Resolved { number, .. } => (OracleOwner::Nobody, *number),
            ConversationEvent::Assigned { number, person } => (OracleOwner::Person(person.clone()), *number),
            ConversationEvent::TakenOver { number, by, .. } => (OracleOwner::Person(by.clone()), *number),
            ConversationEvent::GivenBack { number, .. } | ConversationEvent::Reopened { number, by: None } => {
                (OracleOwner::Ai, *number)
            }
            ConversationEvent::Reopened { number, by: Some(_) } => (self.owner.clone(), *number),
            ConversationEvent::Enqueued { number, .. } => {
                self.ticket = Some(*number);
                return Ok(());
            }
            ConversationEvent::Versioned(_)
            | ConversationEvent::Held { .. }
            | ConversationEvent::Said { .. }
            | ConversationEvent::ToPeople { .. }
            | ConversationEvent::RunBegun { .. }
            | ConversationEvent::Given { .. }
            | ConversationEvent::RunHeard { .. }
            | ConversationEvent::RunOver { .. }
            | ConversationEvent::Returned { .. }
            | ConversationEvent::Finished
            | ConversationEvent::NotQueued { .. }
            | ConversationEvent::AskedAgain { .. }
            | ConversationEvent::ServiceLevelSet { .. }
            | ConversationEvent::Rated { .. }
            | ConversationEvent::Closed { .. } => return Ok(()),
        };
        if number <= self.number {
            return violation(
                "speaks",
                format!("`{}` is at {}, and goes to {owner:?} under {number}", self.id, self.number),
            );
        }
        if matches!(
            event,
            ConversationEvent::Resolved { .. }
                | ConversationEvent::TakenOver { .. }
                | ConversationEvent::GivenBack { .. }
        ) {
            self.ticket = None;
        }
        self.is_over = matches!(event, ConversationEvent::Resolved { .. });
        (self.owner, self.number) = (owner, number);
        Ok(())
    }

    /// The message that is handed out is the oldest unhandled one, and no one received it before.
    fn check_handling(&mut self, event: &ConversationEvent) -> Result<(), PromiseViolation> {
        match event {
            ConversationEvent::ToPeople { messages } => {
                for message in messages {
                    self.check_handover(*message, LineHandler::People)?;
                }
            }
            ConversationEvent::RunBegun { run, message, .. } => {
                self.check_handover(*message, LineHandler::Run(run.clone(), 0))?
            }
            ConversationEvent::Given { run, sequence, message, .. } => {
                self.check_handover(*message, LineHandler::Run(run.clone(), *sequence))?;
            }
            ConversationEvent::RunOver { run, arrived, kept, .. } => {
                for hands in self.line_handlers.values_mut() {
                    match hands {
                        LineHandler::Run(of, sequence) if of == run && *sequence > *arrived => {
                            *hands = LineHandler::Returned(run.clone(), *sequence);
                        }
                        LineHandler::Run(of, sequence) if of == run && kept.contains(sequence) => {
                            *hands = LineHandler::Unhandled
                        }
                        _ => {}
                    }
                }
            }
            ConversationEvent::Returned { run, sequence } => {
                let back = LineHandler::Returned(run.clone(), *sequence);
                if let Some(hands) = self.line_handlers.values_mut().find(|hands| **hands == back) {
                    *hands = LineHandler::Unhandled;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn check_handover(&mut self, message: u64, to: LineHandler) -> Result<(), PromiseViolation> {
        let id = &self.id;
        if self.line_handlers.get(&message) != Some(&LineHandler::Unhandled) {
            let has = self.line_handlers.get(&message);
            return violation("messages", format!("line {message} of `{id}` goes to {to:?}, and {has:?} has it"));
        }
        let is_open = |hands: &LineHandler| matches!(hands, LineHandler::Unhandled | LineHandler::Returned(..));
        let older = self.line_handlers.range(..message).find(|(_, hands)| is_open(hands));
        // People see everything, whatever is returned later.
        if let (Some((older, _)), LineHandler::Run(..)) = (older, &to) {
            return violation("messages", format!("line {message} of `{id}` goes to {to:?} before line {older}"));
        }
        self.line_handlers.insert(message, to);
        Ok(())
    }

    pub fn standing(&self) -> ConversationHolder {
        match &self.owner {
            OracleOwner::Person(name) => ConversationHolder::Person(name.clone()),
            OracleOwner::Ai => ConversationHolder::Ai,
            OracleOwner::Nobody if self.is_over => ConversationHolder::Closed,
            OracleOwner::Nobody => ConversationHolder::Waiting,
        }
    }

    /// Whether somebody must still act.
    pub fn is_open(&self) -> bool {
        let is_open = |hands: &LineHandler| matches!(hands, LineHandler::Unhandled | LineHandler::Returned(..));
        matches!(self.standing(), ConversationHolder::Waiting | ConversationHolder::Person(_))
            || self.line_handlers.values().any(is_open)
    }

    /// Its queue ticket, its ownership number, and its holder if that is a human agent of the routing queue.
    pub fn routing_ticket(&self) -> Option<(u64, u64, Option<String>)> {
        let person = if let OracleOwner::Person(name) = &self.owner { Some(name.clone()) } else { None };
        self.ticket.map(|stay| (stay, self.number, person))
    }

    /// In the end every acknowledged message is in the transcript, and every message in it was handled.
    pub fn verdict(&self) -> Result<(), PromiseViolation> {
        let id = &self.id;
        if let Some(lost) = self.acknowledged.keys().find(|message| !self.message_ids.contains(*message)) {
            return violation("acknowledged", format!("`{lost}` was acknowledged, and `{id}` never heard of it"));
        }
        let is_open = |hands: &LineHandler| matches!(hands, LineHandler::Unhandled | LineHandler::Returned(..));
        match self.line_handlers.iter().find(|(_, hands)| is_open(hands)) {
            Some((line, hands)) => {
                violation("messages", format!("nobody ever handled line {line} of `{id}`: {hands:?}"))
            }
            None => Ok(()),
        }
    }

    /// Every run actually received the messages that it is recorded to have handled.
    pub fn check_deliveries(&self, has_arrived: impl Fn(&RunId, u64) -> bool) -> Result<(), PromiseViolation> {
        for (line, hands) in &self.line_handlers {
            if let LineHandler::Run(run, sequence) = hands
                && !has_arrived(run, *sequence)
            {
                return violation(
                    "messages",
                    format!("line {line} of `{}` went to `{run}`, which never got it", self.id),
                );
            }
        }
        Ok(())
    }
}
