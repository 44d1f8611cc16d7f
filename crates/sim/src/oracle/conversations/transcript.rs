//! What was said in one conversation, by whom, and who handled it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use baton_core::conversation::{ConversationEntry, ConversationEvent, ConversationLine, InboundMessage, LineAuthor};
use baton_core::id::RunId;
use baton_core::time::Time;

use super::super::{PromiseViolation, violation};
use super::ConversationHolder;

/// How long a message that came early waits for those before it.
const REORDER_WINDOW: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, PartialEq, Eq)]
enum OracleOwner {
    Ai,
    Nobody,
    Person(String),
}

/// Where a customer's line is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum LineHandler {
    /// Nobody has handled it yet.
    Unhandled,
    People,
    /// A run was given it: as its first, 0, or under this number.
    Run(RunId, u64),
    /// The run that was given it has ended, and never took it.
    Returned(RunId, u64),
}

#[derive(Debug)]
pub struct TranscriptOracle {
    pub id: RunId,
    /// Events of the last entry.
    pub last: Vec<ConversationEvent>,
    /// What was acknowledged: by message id its text, and its place among those without numbers.
    acknowledged: BTreeMap<String, (String, usize)>,
    message_ids: BTreeSet<String>,
    /// Of each sender with numbers: the newest that was said.
    newest: BTreeMap<String, u64>,
    /// Since when those wait that came before their turn, by sender and number.
    held: BTreeMap<(String, u64), Time>,
    /// The place of the last that was said of those without.
    unnumbered: Option<usize>,
    line_handlers: BTreeMap<u64, LineHandler>,
    owner: OracleOwner,
    number: u64,
    /// The number it stands at the desk under.
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
        // Whoever posts writes down what they quote.
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

    /// It is the next of its sender, who counts from 0 or from 1; or marked as one that was missed, or whose gap was waited
    /// for since the first that came early.
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

    /// Each owner comes under a number of their own, above all before.
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

    /// What is handed out is the oldest that nobody has handled, and nobody had it before.
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
        // People are shown everything, whatever comes back later.
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

    /// Whether somebody must do something still.
    pub fn is_open(&self) -> bool {
        let is_open = |hands: &LineHandler| matches!(hands, LineHandler::Unhandled | LineHandler::Returned(..));
        matches!(self.standing(), ConversationHolder::Waiting | ConversationHolder::Person(_))
            || self.line_handlers.values().any(is_open)
    }

    /// Its stay at the desk, the number of who has it, and who, where that is a person of the desk's.
    pub fn routing_ticket(&self) -> Option<(u64, u64, Option<String>)> {
        let person = if let OracleOwner::Person(name) = &self.owner { Some(name.clone()) } else { None };
        self.ticket.map(|stay| (stay, self.number, person))
    }

    /// In the end everything that was acknowledged was said, and everything that was said was handled.
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

    /// Every run was in fact handed what it is said to have been handed.
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
