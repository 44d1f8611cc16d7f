//! What becomes of a command. It folds as it goes: each rule sees what the one before it set.

use std::sync::Arc;

use serde_json::Value;

use super::command::{Arrived, Command, Heard, Over, Version};
use super::event::{Author, Event, Line};
use super::handover::{Handover, Trigger};
use super::refusal::Refusal;
use super::state::{Conversation, Owner, State};
use super::{ASKS_AGAIN_AFTER, IDLE, QUEUE_MAX, SENDERS_MAX, TEXT_BYTES_MAX};
use crate::desk::{SKILLS_MAX, ServiceLevel};
use crate::fault::Fault;
use crate::id::RunId;
use crate::mutant::{Mutant, planted};
use crate::run::{Arrival, MESSAGE, Signal, State as RunState};
use crate::time::Time;

/// Faults that say that money ran out.
const OUT_OF_MONEY: [&str; 2] = ["BUDGET_EXCEEDED", crate::fault::code::COST_LIMIT];
/// What a customer is told when a run fails and has no words for it.
const SORRY: [(&str, &str); 2] = [
    ("en", "Something went wrong on our side. Please say that again, or ask for a person."),
    ("es", "Algo salió mal de nuestro lado. Dígalo otra vez, por favor, o pida hablar con una persona."),
];
/// Characters of a run's words that are not posted whole.
const CUT: &str = "…";

impl Arrived {
    /// As the sender's order knows it.
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

/// A decision under way.
struct Draft<'c> {
    it: &'c mut Conversation,
    now: Time,
    events: Vec<Event>,
}

impl Conversation {
    /// Decides, and leaves the conversation as if the events had just been applied. `now` never goes back.
    pub fn decide(&mut self, command: Command, now: Time) -> Result<Vec<Event>, Refusal> {
        let now = now.max(self.now);
        let mut draft = Draft { it: self, now, events: Vec::new() };
        draft.take(command)?;
        draft.go_on();
        Ok(draft.events)
    }

    /// When it must be looked at if nothing happens before.
    pub fn wake_at(&self) -> Option<Time> {
        let gap = self.signals.waits_until();
        let again = self.asks_again_at.filter(|_| self.state == State::PendingHuman);
        let is_idle = self.owner == Owner::Ai
            && matches!(self.state, State::New | State::AiProcessing | State::BackToAi)
            && self.rests();
        let idle = (self.begun.is_some() && is_idle).then(|| self.now + IDLE);
        gap.into_iter().chain(again).chain(idle).min()
    }

    fn hil(&self) -> Option<&super::Hil> {
        self.version.as_deref().map(|version| &version.hil)
    }
}

impl Draft<'_> {
    fn emit(&mut self, event: Event) {
        self.it.apply(self.now, &event);
        self.events.push(event);
    }

    fn take(&mut self, command: Command) -> Result<(), Refusal> {
        if self.it.begun.is_none() && !matches!(command, Command::Begin(_) | Command::Wake) {
            return Err(Refusal::NotBegun);
        }
        match command {
            Command::Begin(_) if self.it.begun.is_some() => return Err(Refusal::Begun),
            Command::Begin(begun) => {
                fits_the_desk(begun.service)?;
                self.emit(Event::Begun(begun));
            }
            Command::Message(message) => self.message(message)?,
            Command::Post { by, number, text } => self.post(by, number, text)?,
            Command::Note { by, text } => {
                fits("a note", text.len(), TEXT_BYTES_MAX)?;
                self.say(Author::Note { name: by }, text, None);
            }
            Command::TakeOver { by } => self.take_over(by)?,
            Command::GiveBack { by, note } => {
                fits("a note", note.len(), TEXT_BYTES_MAX)?;
                self.must_own(&by)?;
                let (number, left) = (self.it.number + 1, self.it.at_desk);
                self.emit(Event::GivenBack { number, by, note, left });
            }
            Command::Resolve { by } => {
                match self.it.state {
                    State::PendingHuman => {}
                    State::HumanActive => self.must_own(&by)?,
                    _ => return Err(self.wrong("resolved; only a person who owns it resolves it")),
                }
                let (number, left) = (self.it.number + 1, self.it.at_desk);
                self.emit(Event::Resolved { number, by, left });
            }
            Command::Reopen { by } => {
                if !matches!(self.it.state, State::Resolved | State::Finished) {
                    return Err(self.wrong("opened again: it is open"));
                }
                let number = self.it.number + 1;
                self.emit(Event::Reopened { number, by: Some(by.clone()) });
                self.hand_over(Trigger::Person, format!("{by} opened it again"), Default::default(), None);
            }
            Command::ServiceLevel { by, service } => {
                if matches!(self.it.state, State::Resolved | State::Finished) {
                    return Err(self.wrong("promised anything: it is over"));
                }
                fits_the_desk(service)?;
                let service = service.or(self.it.service);
                if service != self.it.service {
                    self.emit(Event::ServiceLevelSet { by, service, change: self.it.service_changes + 1 });
                }
            }
            Command::Rate { score, comment } => self.rate(score, comment)?,
            Command::RunAsked(heard) => self.heard(heard),
            Command::RunEnded(over) => self.over(*over),
            Command::RunReturned { run, sequence } => {
                let is_awaited = |one: &super::state::Returning| one.run == run && one.sequence == sequence;
                if !self.it.returning.iter().any(is_awaited) {
                    return Err(Refusal::Impossible { reason: format!("nothing of `{run}` is to come back") });
                }
                self.emit(Event::Returned { run, sequence });
            }
            Command::NotQueued { stay, reason } => {
                self.is_of_the_desk(State::PendingHuman, stay, stay + 1)?;
                let again_at = self.now + ASKS_AGAIN_AFTER;
                self.emit(Event::NotQueued { number: stay, reason, again_at });
            }
            Command::Assigned { stay, number, person } => {
                self.is_of_the_desk(State::PendingHuman, stay, number)?;
                self.emit(Event::Assigned { number, person });
            }
            Command::Requeued { stay, number } => {
                self.is_of_the_desk(State::HumanActive, stay, number)?;
                self.emit(Event::Requeued { number });
            }
            Command::Wake => self.wake(),
        }
        Ok(())
    }

    fn wrong(&self, what: &'static str) -> Refusal {
        Refusal::WrongState { state: self.it.state, what }
    }

    fn must_own(&self, by: &str) -> Result<(), Refusal> {
        match &self.it.owner {
            Owner::Person(owner) if owner == by => Ok(()),
            owner => Err(Refusal::Owned { owner: owner.to_string(), number: self.it.number }),
        }
    }

    /// The customer's message: kept in its sender's order.
    fn message(&mut self, message: Arrived) -> Result<(), Refusal> {
        fits("a message", message.text.len(), TEXT_BYTES_MAX)?;
        fits("the messages that wait", self.it.queue.len() + self.it.early.len() + 1, QUEUE_MAX)?;
        if message.sequence.is_some() && !self.it.signals.knows(&message.source) {
            fits("the senders with numbers of their own", self.it.signals.senders() + 1, SENDERS_MAX)?;
        }
        let arrival = self.it.signals.arrival(message.signal(), self.now);
        if let (Arrival::Seen, Some(number)) = (&arrival, message.sequence) {
            return Err(Refusal::Seen { source_name: message.source, number });
        }
        if self.it.version.as_deref() != Some(&message.version) {
            self.emit(Event::Versioned(Box::new(message.version.clone())));
        }
        match arrival {
            Arrival::Early { .. } if planted(Mutant::EarlyDropped) => {}
            Arrival::Early { .. } if planted(Mutant::GapIgnored) => self.receive(message, true),
            Arrival::Early { until } => self.emit(Event::Held { message, until }),
            Arrival::InOrder(signals) => {
                let mut first = Some(message);
                for signal in signals {
                    let message = first.take().or_else(|| self.early(&signal));
                    if let Some(message) = message {
                        self.receive(message, signal.after_gap);
                    }
                }
            }
            Arrival::Seen => {}
        }
        Ok(())
    }

    fn early(&self, signal: &Signal) -> Option<Arrived> {
        let is_it = |held: &&Arrived| held.source == signal.source && held.sequence == signal.sequence;
        self.it.early.iter().find(is_it).cloned()
    }

    /// A message whose turn has come.
    fn receive(&mut self, message: Arrived, after_gap: bool) {
        let Arrived { message_id, source, sequence, text, version: _ } = message;
        let asks = self.it.hil().and_then(|hil| hil.asks_for_a_person(&text)).map(str::to_owned);
        let line = Line {
            number: self.it.lines + 1,
            at: self.now,
            from: Author::Customer,
            text,
            owned: None,
            message_id: Some(message_id),
            source,
            sequence,
            after_gap,
        };
        self.emit(Event::Said { line });
        if self.it.state == State::Resolved {
            self.emit(Event::Reopened { number: self.it.number + 1, by: None });
        }
        if let Some(phrase) = asks.filter(|_| self.it.owner == Owner::Ai) {
            self.hand_over(Trigger::ExplicitRequest, format!("the customer said “{phrase}”"), Default::default(), None);
        }
    }

    fn post(&mut self, by: String, number: u64, text: String) -> Result<(), Refusal> {
        fits("a post", text.len(), TEXT_BYTES_MAX)?;
        self.must_own(&by)?;
        if number != self.it.number && !planted(Mutant::StalePosted) {
            return Err(Refusal::Stale { quoted: number, number: self.it.number });
        }
        self.say(Author::Person { name: by }, text, Some(number));
        Ok(())
    }

    fn take_over(&mut self, by: String) -> Result<(), Refusal> {
        match (&self.it.state, &self.it.owner) {
            (State::Resolved, _) => return Err(self.wrong("taken over: open it again first")),
            (_, Owner::Person(owner)) if *owner == by => return Ok(()),
            (_, Owner::Person(_)) => self.must_own(&by)?,
            _ => {}
        }
        let was_the_ais = self.it.owner == Owner::Ai;
        let why = || format!("{by} took it over");
        let context = was_the_ais.then(|| Handover::of(self.it, Trigger::Person, why(), Default::default(), None));
        let (number, left) = (self.it.number + 1, self.it.at_desk);
        self.emit(Event::TakenOver { number, by, left, handover: context.map(Box::new) });
        Ok(())
    }

    fn rate(&mut self, score: u8, comment: String) -> Result<(), Refusal> {
        fits("a comment", comment.len(), TEXT_BYTES_MAX)?;
        if !(1..=5).contains(&score) {
            return Err(Refusal::Impossible { reason: format!("a score is 1 to 5, not {score}") });
        }
        if !matches!(self.it.state, State::Resolved | State::Finished) {
            return Err(self.wrong("rated before it is over"));
        }
        if self.it.rating.is_some() {
            return Err(self.wrong("rated twice"));
        }
        self.emit(Event::Rated { score, comment });
        Ok(())
    }

    /// Whether the desk speaks of what is so still: of an earlier stay, or of an owner before, it is heard no more.
    fn is_of_the_desk(&self, state: State, stay: u64, number: u64) -> Result<(), Refusal> {
        let is_so = self.it.state == state && self.it.at_desk == Some(stay) && number > self.it.number;
        if is_so || planted(Mutant::EarlierStayHeard) {
            Ok(())
        } else {
            Err(Refusal::Stale { quoted: number, number: self.it.number })
        }
    }

    fn wake(&mut self) {
        let due = self.it.wake_at().is_some_and(|at| at <= self.now);
        let sources: Vec<String> = self.it.signals.late(self.now);
        let has_gap = !sources.is_empty();
        for source in sources {
            for signal in self.it.signals.overdue(&source, self.now) {
                if let Some(message) = self.early(&signal) {
                    self.receive(message, signal.after_gap);
                }
            }
        }
        if let Some(again) = self.it.asks_again_at.filter(|_| self.it.state == State::PendingHuman) {
            if again <= self.now {
                let (number, attempt) = (self.it.number, self.it.asked_again + 1);
                self.emit(Event::AskedAgain { number, attempt });
            }
            return;
        }
        if due && !has_gap && self.it.rests() {
            let run = self.it.active.as_ref().map(|active| active.run.clone());
            self.emit(Event::Closed { run });
        }
    }

    fn heard(&mut self, heard: Heard) {
        let Heard { run, question, waits, arrived, kept, cost: _ } = heard;
        self.emit(Event::RunHeard { run: run.clone(), waits, arrived, kept });
        if let Some(question) = question {
            self.run_says(&run, question);
        }
    }

    /// The words of a run: the AI's where it still speaks for it, else a note for people.
    fn run_says(&mut self, run: &RunId, text: String) {
        let run = run.clone();
        match self.may_speak(&run) {
            Some(number) => self.say(Author::Ai { run }, text, Some(number)),
            None => self.say(Author::Suggestion { run }, text, None),
        }
    }

    fn may_speak(&self, run: &RunId) -> Option<u64> {
        let active = self.it.active.as_ref().filter(|active| active.run == *run)?;
        let is_its = self.it.owner == Owner::Ai && active.number == self.it.number;
        (is_its || planted(Mutant::SpeaksUnowned)).then_some(active.number)
    }

    fn over(&mut self, over: Over) {
        let Over {
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
        let speaks = self.may_speak(&run);
        let muted = self.it.active.as_ref().filter(|active| active.run == run).and_then(|active| active.muted);
        let failed = matches!(state, RunState::Failed | RunState::TimedOut | RunState::Compensated);
        if rolled_back {
            return;
        }
        let ended = Event::RunOver {
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
                self.say(Author::Suggestion { run }, text, None);
            }
            return;
        };
        let why = self.why(handover, not_undone, fault.as_ref(), confidence, failed);
        if let Some((trigger, reason)) = why.filter(|(trigger, _)| muted != Some(*trigger)) {
            // An agent that asks for a person says so in its own words; an answer nobody trusts is kept for the person.
            let keeps = trigger != Trigger::AgentDecision;
            if let Some(text) = reply.take_if(|_| !keeps) {
                self.say(Author::Ai { run: run.clone() }, text, Some(number));
            }
            if let Some(text) = &reply {
                self.say(Author::Suggestion { run }, text.clone(), None);
            }
            return self.hand_over(trigger, reason, (skills, service), reply);
        }
        let words = reply.or_else(|| self.sorry(fault.as_ref(), failed));
        if let Some(text) = words {
            self.say(Author::Ai { run }, text, Some(number));
        }
        if self.it.queue.is_empty() && self.it.returning.is_empty() {
            self.emit(Event::Finished);
        }
    }

    /// What hands it over now, if anything does.
    fn why(
        &self,
        handover: Option<String>,
        not_undone: bool,
        fault: Option<&Fault>,
        confidence: Option<f64>,
        failed: bool,
    ) -> Option<(Trigger, String)> {
        let hil = self.it.hil()?;
        let lack = confidence.zip(hil.confidence).filter(|(confidence, least)| confidence < least && !failed);
        let broke = fault.filter(|fault| OUT_OF_MONEY.contains(&fault.code.as_ref()));
        let errors = hil.consecutive_errors.filter(|most| self.it.errors >= *most);
        let all = [
            handover.map(|reason| (Trigger::AgentDecision, reason)),
            not_undone.then(|| (Trigger::FailedCompensation, "something could not be undone".to_owned())),
            broke.map(|fault| (Trigger::Budget, fault.to_string())),
            lack.map(|(confidence, least)| {
                (Trigger::ConfidenceThreshold, format!("a confidence of {confidence:.2}, below {least:.2}"))
            }),
            errors.map(|_| (Trigger::ErrorThreshold, format!("{} errors in a row", self.it.errors))),
        ];
        all.into_iter().flatten().find(|(trigger, _)| hil.has(*trigger))
    }

    /// Words for a run that had none and owes the customer some.
    fn sorry(&self, fault: Option<&Fault>, failed: bool) -> Option<String> {
        let of_fault = fault.and_then(|fault| fault.customer.as_deref().map(str::to_owned));
        let language = self.it.begun.as_ref().and_then(|begun| begun.caller.language.as_deref()).unwrap_or("en");
        let usual = || SORRY.iter().find(|(tag, _)| language.split('-').next() == Some(*tag)).unwrap_or(&SORRY[0]).1;
        of_fault.or_else(|| failed.then(|| usual().to_owned()))
    }

    fn hand_over(
        &mut self,
        trigger: Trigger,
        reason: String,
        (mut skills, service): (Vec<String>, ServiceLevel),
        suggested: Option<String>,
    ) {
        skills.truncate(SKILLS_MAX);
        let handover = Handover::of(self.it, trigger, reason, (skills.clone(), service), suggested);
        let number = self.it.number + 1;
        self.emit(Event::HandedOver { handover: Box::new(handover), number });
        self.emit(Event::Enqueued { number, skills });
    }

    fn say(&mut self, from: Author, text: String, owned: Option<u64>) {
        let line = Line {
            number: self.it.lines + 1,
            at: self.now,
            from,
            text: within(text),
            owned,
            message_id: None,
            source: String::new(),
            sequence: None,
            after_gap: false,
        };
        self.emit(Event::Said { line });
    }

    /// What waits goes to whoever handles it now: the AI's run, one by one, or people, all of it.
    fn go_on(&mut self) {
        if self.it.owner != Owner::Ai {
            let messages: Vec<u64> = self.it.queue.keys().copied().collect();
            if !messages.is_empty() {
                self.emit(Event::ToPeople { messages });
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
                self.emit(Event::Given { run, sequence, message, note });
            }
            Some(_) => {}
            // What comes back is older than what is here.
            None if !self.it.returning.is_empty() => {}
            None => {
                let (Some(begun), Some(version)) = (&self.it.begun, &self.it.version) else { return };
                let run = RunId::new(format!("{}.{}", begun.conversation, self.it.runs + 1));
                let version: Box<Version> = version.clone();
                self.emit(Event::RunBegun { run, message, version, note });
            }
        }
    }
}

fn fits(what: &'static str, size: usize, limit: usize) -> Result<(), Refusal> {
    if size > limit { Err(Refusal::TooMuch { what, size, limit }) } else { Ok(()) }
}

/// What the desk would refuse is promised to nobody.
fn fits_the_desk(service: ServiceLevel) -> Result<(), Refusal> {
    service.check().map_err(|refusal| Refusal::Impossible { reason: refusal.to_string() })
}

/// As much of a run's words as one line takes.
fn within(mut text: String) -> String {
    if text.len() > TEXT_BYTES_MAX {
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX - CUT.len()));
        text.push_str(CUT);
    }
    text
}
