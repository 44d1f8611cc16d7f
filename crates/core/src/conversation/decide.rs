//! Decides commands. Each event is applied as it is decided, so each rule sees the effect of the rules before it.

use std::sync::Arc;

use serde_json::Value;

use super::command::{ConversationCommand, InboundMessage, PinnedVersion, RunResult, RunUpdate};
use super::event::{ConversationEvent, ConversationLine, LineAuthor};
use super::handover::{Handover, HandoverTrigger};
use super::refusal::ConversationRefusal;
use super::state::{Conversation, ConversationOwner, ConversationState};
use super::{ENQUEUE_RETRY_INTERVAL, IDLE_TIMEOUT, QUEUE_MAX, SENDERS_MAX, TEXT_BYTES_MAX};
use crate::fault::Fault;
use crate::id::RunId;
use crate::mutant::{Mutant, planted};
use crate::routing::{SKILLS_MAX, ServiceLevel};
use crate::run::{MESSAGE, RunState, Signal, SignalArrival};
use crate::time::Time;

/// Fault codes which mean that the budget is exhausted.
const BUDGET_CODES: [&str; 2] = ["BUDGET_EXCEEDED", crate::fault::code::COST_LIMIT];
/// What the customer receives when a run fails without a text of its own.
const APOLOGIES: [(&str, &str); 2] = [
    ("en", "Something went wrong on our side. Please say that again, or ask for a person."),
    ("es", "Algo salió mal de nuestro lado. Dígalo otra vez, por favor, o pida hablar con una persona."),
];
/// Marks a text that was cut to the size of one line.
const ELLIPSIS: &str = "…";

impl InboundMessage {
    /// Returns the message as its sender's sequence sees it.
    pub(super) fn signal(&self) -> Signal {
        Signal {
            name: MESSAGE.to_owned(),
            payload: Arc::new(Value::Null),
            source: self.source.clone(),
            sequence: self.sequence,
            after_gap: false,
        }
    }
}

/// A decision in progress.
struct ConversationDraft<'c> {
    it: &'c mut Conversation,
    now: Time,
    events: Vec<ConversationEvent>,
}

impl Conversation {
    /// Decides a command and applies the resulting events to the conversation. `now` never goes back.
    pub fn decide(
        &mut self,
        command: ConversationCommand,
        now: Time,
    ) -> Result<Vec<ConversationEvent>, ConversationRefusal> {
        let now = now.max(self.now);
        let mut draft = ConversationDraft { it: self, now, events: Vec::new() };
        draft.take(command)?;
        draft.dispatch_queue();
        Ok(draft.events)
    }

    /// Returns when the conversation must be woken if nothing happens before.
    pub fn wake_at(&self) -> Option<Time> {
        let gap = self.signals.gap_deadline();
        let again = self.asks_again_at.filter(|_| self.state == ConversationState::PendingHuman);
        let is_idle = self.owner == ConversationOwner::Ai
            && matches!(
                self.state,
                ConversationState::New | ConversationState::AiProcessing | ConversationState::BackToAi
            )
            && self.is_idle();
        let idle = (self.begun.is_some() && is_idle).then(|| self.now + IDLE_TIMEOUT);
        gap.into_iter().chain(again).chain(idle).min()
    }

    fn hil(&self) -> Option<&super::HandoverPolicy> {
        self.version.as_deref().map(|version| &version.hil)
    }
}

impl ConversationDraft<'_> {
    fn emit(&mut self, event: ConversationEvent) {
        self.it.apply(self.now, &event);
        self.events.push(event);
    }

    fn take(&mut self, command: ConversationCommand) -> Result<(), ConversationRefusal> {
        if self.it.begun.is_none() && !matches!(command, ConversationCommand::Begin(_) | ConversationCommand::Wake) {
            return Err(ConversationRefusal::NotBegun);
        }
        match command {
            ConversationCommand::Begin(_) if self.it.begun.is_some() => return Err(ConversationRefusal::Begun),
            ConversationCommand::Begin(begun) => {
                check_service_level(begun.service)?;
                self.emit(ConversationEvent::Begun(begun));
            }
            ConversationCommand::Message(message) => self.message(message)?,
            ConversationCommand::Post { by, number, text } => self.post(by, number, text)?,
            ConversationCommand::Note { by, text } => {
                check_size("a note", text.len(), TEXT_BYTES_MAX)?;
                self.say(LineAuthor::Note { name: by }, text, None);
            }
            ConversationCommand::TakeOver { by } => self.take_over(by)?,
            ConversationCommand::GiveBack { by, note } => {
                check_size("a note", note.len(), TEXT_BYTES_MAX)?;
                self.must_own(&by)?;
                let (number, left) = (self.it.number + 1, self.it.at_desk);
                self.emit(ConversationEvent::GivenBack { number, by, note, left });
            }
            ConversationCommand::Resolve { by } => {
                match self.it.state {
                    ConversationState::PendingHuman => {}
                    ConversationState::HumanActive => self.must_own(&by)?,
                    _ => return Err(self.wrong_state("resolved; only a person who owns it resolves it")),
                }
                let (number, left) = (self.it.number + 1, self.it.at_desk);
                self.emit(ConversationEvent::Resolved { number, by, left });
            }
            ConversationCommand::Reopen { by } => {
                if !matches!(self.it.state, ConversationState::Resolved | ConversationState::Finished) {
                    return Err(self.wrong_state("opened again: it is open"));
                }
                let number = self.it.number + 1;
                self.emit(ConversationEvent::Reopened { number, by: Some(by.clone()) });
                self.hand_over(HandoverTrigger::Person, format!("{by} opened it again"), Default::default(), None);
            }
            ConversationCommand::ServiceLevel { by, service } => {
                if matches!(self.it.state, ConversationState::Resolved | ConversationState::Finished) {
                    return Err(self.wrong_state("promised anything: it is over"));
                }
                check_service_level(service)?;
                let service = service.or(self.it.service);
                if service != self.it.service {
                    self.emit(ConversationEvent::ServiceLevelSet { by, service, change: self.it.service_changes + 1 });
                }
            }
            ConversationCommand::Rate { score, comment } => self.rate(score, comment)?,
            ConversationCommand::RunAsked(heard) => self.run_update(heard),
            ConversationCommand::RunEnded(over) => self.run_result(*over),
            ConversationCommand::RunReturned { run, sequence } => {
                let is_awaited = |one: &super::state::ReturnedMessage| one.run == run && one.sequence == sequence;
                if !self.it.returning.iter().any(is_awaited) {
                    return Err(ConversationRefusal::Impossible {
                        reason: format!("nothing of `{run}` is to come back"),
                    });
                }
                self.emit(ConversationEvent::Returned { run, sequence });
            }
            ConversationCommand::NotQueued { stay, reason } => {
                self.check_queue_ticket(ConversationState::PendingHuman, stay, stay + 1)?;
                let again_at = self.now + ENQUEUE_RETRY_INTERVAL;
                self.emit(ConversationEvent::NotQueued { number: stay, reason, again_at });
            }
            ConversationCommand::Assigned { stay, number, person } => {
                self.check_queue_ticket(ConversationState::PendingHuman, stay, number)?;
                self.emit(ConversationEvent::Assigned { number, person });
            }
            ConversationCommand::Requeued { stay, number } => {
                self.check_queue_ticket(ConversationState::HumanActive, stay, number)?;
                self.emit(ConversationEvent::Requeued { number });
            }
            ConversationCommand::Wake => self.wake(),
        }
        Ok(())
    }

    fn wrong_state(&self, what: &'static str) -> ConversationRefusal {
        ConversationRefusal::WrongState { state: self.it.state, what }
    }

    fn must_own(&self, by: &str) -> Result<(), ConversationRefusal> {
        match &self.it.owner {
            ConversationOwner::Person(owner) if owner == by => Ok(()),
            owner => Err(ConversationRefusal::Owned { owner: owner.to_string(), number: self.it.number }),
        }
    }

    /// Accepts a message from the customer and keeps its sender's order.
    fn message(&mut self, message: InboundMessage) -> Result<(), ConversationRefusal> {
        check_size("a message", message.text.len(), TEXT_BYTES_MAX)?;
        check_size("the messages that wait", self.it.queue.len() + self.it.early.len() + 1, QUEUE_MAX)?;
        if message.sequence.is_some() && !self.it.signals.has_sender(&message.source) {
            check_size("the senders with numbers of their own", self.it.signals.sender_count() + 1, SENDERS_MAX)?;
        }
        let arrival = self.it.signals.arrival(message.signal(), self.now);
        if let (SignalArrival::Seen, Some(number)) = (&arrival, message.sequence) {
            return Err(ConversationRefusal::Seen { source_name: message.source, number });
        }
        if self.it.version.as_deref() != Some(&message.version) {
            self.emit(ConversationEvent::Versioned(Box::new(message.version.clone())));
        }
        match arrival {
            SignalArrival::Early { .. } if planted(Mutant::EarlyDropped) => {}
            SignalArrival::Early { .. } if planted(Mutant::GapIgnored) => self.receive(message, true),
            SignalArrival::Early { until } => self.emit(ConversationEvent::Held { message, until }),
            SignalArrival::InOrder(signals) => {
                let mut first = Some(message);
                for signal in signals {
                    let message = first.take().or_else(|| self.early_message(&signal));
                    if let Some(message) = message {
                        self.receive(message, signal.after_gap);
                    }
                }
            }
            SignalArrival::Seen => {}
        }
        Ok(())
    }

    fn early_message(&self, signal: &Signal) -> Option<InboundMessage> {
        let is_it = |held: &&InboundMessage| held.source == signal.source && held.sequence == signal.sequence;
        self.it.early.iter().find(is_it).cloned()
    }

    /// Handles a message whose turn has come.
    fn receive(&mut self, message: InboundMessage, after_gap: bool) {
        let InboundMessage { message_id, source, sequence, text, version: _ } = message;
        let asks = self.it.hil().and_then(|hil| hil.matching_phrase(&text)).map(str::to_owned);
        let line = ConversationLine {
            number: self.it.lines + 1,
            at: self.now,
            from: LineAuthor::Customer,
            text,
            owned: None,
            message_id: Some(message_id),
            source,
            sequence,
            after_gap,
        };
        self.emit(ConversationEvent::Said { line });
        if self.it.state == ConversationState::Resolved {
            self.emit(ConversationEvent::Reopened { number: self.it.number + 1, by: None });
        }
        if let Some(phrase) = asks.filter(|_| self.it.owner == ConversationOwner::Ai) {
            self.hand_over(
                HandoverTrigger::ExplicitRequest,
                format!("the customer said “{phrase}”"),
                Default::default(),
                None,
            );
        }
    }

    fn post(&mut self, by: String, number: u64, text: String) -> Result<(), ConversationRefusal> {
        check_size("a post", text.len(), TEXT_BYTES_MAX)?;
        self.must_own(&by)?;
        if number != self.it.number && !planted(Mutant::StalePosted) {
            return Err(ConversationRefusal::Stale { quoted: number, number: self.it.number });
        }
        self.say(LineAuthor::Person { name: by }, text, Some(number));
        Ok(())
    }

    fn take_over(&mut self, by: String) -> Result<(), ConversationRefusal> {
        match (&self.it.state, &self.it.owner) {
            (ConversationState::Resolved, _) => return Err(self.wrong_state("taken over: open it again first")),
            (_, ConversationOwner::Person(owner)) if *owner == by => return Ok(()),
            (_, ConversationOwner::Person(_)) => self.must_own(&by)?,
            _ => {}
        }
        let was_the_ais = self.it.owner == ConversationOwner::Ai;
        let why = || format!("{by} took it over");
        let context =
            was_the_ais.then(|| Handover::of(self.it, HandoverTrigger::Person, why(), Default::default(), None));
        let (number, left) = (self.it.number + 1, self.it.at_desk);
        self.emit(ConversationEvent::TakenOver { number, by, left, handover: context.map(Box::new) });
        Ok(())
    }

    fn rate(&mut self, score: u8, comment: String) -> Result<(), ConversationRefusal> {
        check_size("a comment", comment.len(), TEXT_BYTES_MAX)?;
        if !(1..=5).contains(&score) {
            return Err(ConversationRefusal::Impossible { reason: format!("a score is 1 to 5, not {score}") });
        }
        if !matches!(self.it.state, ConversationState::Resolved | ConversationState::Finished) {
            return Err(self.wrong_state("rated before it is over"));
        }
        if self.it.rating.is_some() {
            return Err(self.wrong_state("rated twice"));
        }
        self.emit(ConversationEvent::Rated { score, comment });
        Ok(())
    }

    /// Checks that a message of the routing queue is still current. One about an earlier ticket or an earlier owner is
    /// ignored.
    fn check_queue_ticket(&self, state: ConversationState, stay: u64, number: u64) -> Result<(), ConversationRefusal> {
        let is_so = self.it.state == state && self.it.at_desk == Some(stay) && number > self.it.number;
        if is_so || planted(Mutant::EarlierStayHeard) {
            Ok(())
        } else {
            Err(ConversationRefusal::Stale { quoted: number, number: self.it.number })
        }
    }

    fn wake(&mut self) {
        let due = self.it.wake_at().is_some_and(|at| at <= self.now);
        let sources: Vec<String> = self.it.signals.overdue_senders(self.now);
        let has_gap = !sources.is_empty();
        for source in sources {
            for signal in self.it.signals.overdue(&source, self.now) {
                if let Some(message) = self.early_message(&signal) {
                    self.receive(message, signal.after_gap);
                }
            }
        }
        if let Some(again) = self.it.asks_again_at.filter(|_| self.it.state == ConversationState::PendingHuman) {
            if again <= self.now {
                let (number, attempt) = (self.it.number, self.it.asked_again + 1);
                self.emit(ConversationEvent::AskedAgain { number, attempt });
            }
            return;
        }
        if due && !has_gap && self.it.is_idle() {
            let run = self.it.active.as_ref().map(|active| active.run.clone());
            self.emit(ConversationEvent::Closed { run });
        }
    }

    fn run_update(&mut self, heard: RunUpdate) {
        let RunUpdate { run, question, waits, arrived, kept, cost: _ } = heard;
        self.emit(ConversationEvent::RunHeard { run: run.clone(), waits, arrived, kept });
        if let Some(question) = question {
            self.post_run_text(&run, question);
        }
    }

    /// Posts a run's text: as the AI if the run still speaks for it, otherwise as a note for people.
    fn post_run_text(&mut self, run: &RunId, text: String) {
        let run = run.clone();
        match self.speaking_number(&run) {
            Some(number) => self.say(LineAuthor::Ai { run }, text, Some(number)),
            None => self.say(LineAuthor::Suggestion { run }, text, None),
        }
    }

    fn speaking_number(&self, run: &RunId) -> Option<u64> {
        let active = self.it.active.as_ref().filter(|active| active.run == *run)?;
        let is_its = self.it.owner == ConversationOwner::Ai && active.number == self.it.number;
        (is_its || planted(Mutant::SpeaksUnowned)).then_some(active.number)
    }

    fn run_result(&mut self, over: RunResult) {
        let RunResult {
            heard,
            state,
            fault,
            mut reply,
            handover,
            skills,
            service,
            confidence,
            not_undone,
            tried,
            rolled_back,
        } = over;
        let run = heard.run;
        let speaks = self.speaking_number(&run);
        let muted = self.it.active.as_ref().filter(|active| active.run == run).and_then(|active| active.muted);
        let failed = matches!(state, RunState::Failed | RunState::TimedOut | RunState::Compensated);
        if rolled_back {
            return;
        }
        let ended = ConversationEvent::RunOver {
            run: run.clone(),
            state,
            arrived: heard.arrived,
            kept: heard.kept,
            cost: heard.cost,
            confidence,
            tried,
            failed,
        };
        self.emit(ended);
        let Some(number) = speaks else {
            if let Some(text) = reply {
                self.say(LineAuthor::Suggestion { run }, text, None);
            }
            return;
        };
        let why = self.handover_trigger(handover, not_undone, fault.as_ref(), confidence, failed);
        if let Some((trigger, reason)) = why.filter(|(trigger, _)| muted != Some(*trigger)) {
            // An agent that asks for a person has written the text for that; an answer with low confidence is kept for
            // the person.
            let keeps = trigger != HandoverTrigger::AgentDecision;
            if let Some(text) = reply.take_if(|_| !keeps) {
                self.say(LineAuthor::Ai { run: run.clone() }, text, Some(number));
            }
            if let Some(text) = &reply {
                self.say(LineAuthor::Suggestion { run }, text.clone(), None);
            }
            return self.hand_over(trigger, reason, (skills, service), reply);
        }
        let words = reply.or_else(|| self.apology(fault.as_ref(), failed));
        if let Some(text) = words {
            self.say(LineAuthor::Ai { run }, text, Some(number));
        }
        if self.it.queue.is_empty() && self.it.returning.is_empty() {
            self.emit(ConversationEvent::Finished);
        }
    }

    /// Returns the trigger that hands the conversation over now, if any.
    fn handover_trigger(
        &self,
        handover: Option<String>,
        not_undone: bool,
        fault: Option<&Fault>,
        confidence: Option<f64>,
        failed: bool,
    ) -> Option<(HandoverTrigger, String)> {
        let hil = self.it.hil()?;
        let lack = confidence.zip(hil.confidence).filter(|(confidence, least)| confidence < least && !failed);
        let broke = fault.filter(|fault| BUDGET_CODES.contains(&fault.code.as_ref()));
        let errors = hil.consecutive_errors.filter(|most| self.it.errors >= *most);
        let all = [
            handover.map(|reason| (HandoverTrigger::AgentDecision, reason)),
            not_undone.then(|| (HandoverTrigger::FailedCompensation, "something could not be undone".to_owned())),
            broke.map(|fault| (HandoverTrigger::Budget, fault.to_string())),
            lack.map(|(confidence, least)| {
                (HandoverTrigger::ConfidenceThreshold, format!("a confidence of {confidence:.2}, below {least:.2}"))
            }),
            errors.map(|_| (HandoverTrigger::ErrorThreshold, format!("{} errors in a row", self.it.errors))),
        ];
        all.into_iter().flatten().find(|(trigger, _)| hil.is_enabled(*trigger))
    }

    /// Returns the text for a run that owes the customer a reply and gave none.
    fn apology(&self, fault: Option<&Fault>, failed: bool) -> Option<String> {
        let of_fault = fault.and_then(|fault| fault.customer.as_deref().map(str::to_owned));
        let language = self.it.begun.as_ref().and_then(|begun| begun.caller.language.as_deref()).unwrap_or("en");
        let usual =
            || APOLOGIES.iter().find(|(tag, _)| language.split('-').next() == Some(*tag)).unwrap_or(&APOLOGIES[0]).1;
        of_fault.or_else(|| failed.then(|| usual().to_owned()))
    }

    fn hand_over(
        &mut self,
        trigger: HandoverTrigger,
        reason: String,
        (mut skills, service): (Vec<String>, ServiceLevel),
        suggested: Option<String>,
    ) {
        skills.truncate(SKILLS_MAX);
        let handover = Handover::of(self.it, trigger, reason, (skills.clone(), service), suggested);
        let number = self.it.number + 1;
        self.emit(ConversationEvent::HandedOver { handover: Box::new(handover), number });
        self.emit(ConversationEvent::Enqueued { number, skills });
    }

    fn say(&mut self, from: LineAuthor, text: String, owned: Option<u64>) {
        let line = ConversationLine {
            number: self.it.lines + 1,
            at: self.now,
            from,
            text: truncate_line(text),
            owned,
            message_id: None,
            source: String::new(),
            sequence: None,
            after_gap: false,
        };
        self.emit(ConversationEvent::Said { line });
    }

    /// Passes waiting messages to the current handler: one by one to the AI's run, or all at once to people.
    fn dispatch_queue(&mut self) {
        if self.it.owner != ConversationOwner::Ai {
            let messages: Vec<u64> = self.it.queue.keys().copied().collect();
            if !messages.is_empty() {
                self.emit(ConversationEvent::ToPeople { messages });
            }
            return;
        }
        let mut waiting = self.it.queue.keys().copied();
        let next = if planted(Mutant::NewestFirst) { waiting.next_back() } else { waiting.next() };
        let Some(message) = next else { return };
        let note = self.it.note.clone();
        match &self.it.active {
            Some(active) if active.waits => {
                let (run, sequence) = (active.run.clone(), active.handed + 1);
                self.emit(ConversationEvent::Given { run, sequence, message, note });
            }
            Some(_) => {}
            // Returned messages are older than queued ones.
            None if !self.it.returning.is_empty() => {}
            None => {
                let (Some(begun), Some(version)) = (&self.it.begun, &self.it.version) else { return };
                let run = RunId::new(format!("{}.{}", begun.conversation, self.it.runs + 1));
                let version: Box<PinnedVersion> = version.clone();
                self.emit(ConversationEvent::RunBegun { run, message, version, note });
            }
        }
    }
}

fn check_size(what: &'static str, size: usize, limit: usize) -> Result<(), ConversationRefusal> {
    if size > limit { Err(ConversationRefusal::TooMuch { what, size, limit }) } else { Ok(()) }
}

/// A service level that the routing queue would refuse is refused here.
fn check_service_level(service: ServiceLevel) -> Result<(), ConversationRefusal> {
    service.check().map_err(|refusal| ConversationRefusal::Impossible { reason: refusal.to_string() })
}

/// Cuts a run's text to the size of one line.
fn truncate_line(mut text: String) -> String {
    if text.len() > TEXT_BYTES_MAX {
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX - ELLIPSIS.len()));
        text.push_str(ELLIPSIS);
    }
    text
}
