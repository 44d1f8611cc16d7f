//! What the desk makes of a command.

use std::sync::Arc;
use std::time::Duration;

use super::assign::Changed;
use super::case::{Case, Wants};
use super::command::{Command, Enqueue, To};
use super::event::{Event, Why};
use super::person::{Presence, Profile, names};
use super::refusal::Refusal;
use super::service::ServiceLevel;
use super::state::Desk;
use super::{BATCH_MAX, CASES_MAX, PEOPLE_MAX};
use crate::id::{PersonId, RunId};
use crate::mutant::{Mutant, planted};
use crate::time::Time;

impl Desk {
    /// Chooses what happens, and folds it. Refused, nothing has changed.
    pub fn decide(&mut self, command: Command, now: Time) -> Result<Vec<Event>, Refusal> {
        let now = now.max(self.kept.now);
        let mut events = Vec::new();
        let changed = match command {
            Command::Settings(settings) => {
                settings.check()?;
                if settings != self.kept.settings {
                    self.emit(Event::SettingsSet(Box::new(settings)), now, &mut events);
                }
                Changed::Nothing
            }
            Command::PutPerson(profile) => self.put(profile, now, &mut events)?,
            Command::RemovePerson { person } => {
                self.known(&person)?;
                self.give_back(&person, Why::Removed, now, &mut events);
                self.emit(Event::PersonRemoved { person }, now, &mut events);
                Changed::Much
            }
            Command::Presence { person, presence } => self.present(person, presence, now, &mut events)?,
            Command::Heard { person } => {
                self.heard(person, now, &mut events)?;
                Changed::Nothing
            }
            Command::Enqueue(enqueue) => self.enqueue(enqueue, now, &mut events)?,
            Command::Left { conversation, number } => self.left(conversation, number, now, &mut events),
            Command::Answered { conversation, number } => {
                let open = self.stay_of(&conversation, number).filter(|case| case.respond_by.is_some());
                if let Some(stay) = open.map(|case| case.stay) {
                    self.emit(Event::Answered { conversation, stay }, now, &mut events);
                }
                Changed::Nothing
            }
            Command::Transfer { conversation, number, to } => {
                self.transfer(conversation, number, to, now, &mut events)?
            }
            Command::ServiceLevel { conversation, number, service } => {
                self.promise(&conversation, number, service, now, &mut events)?
            }
            Command::Tick => self.tick(now, &mut events),
        };
        self.assign(&changed, now, &mut events);
        Ok(events)
    }

    pub(super) fn emit(&mut self, event: Event, now: Time, events: &mut Vec<Event>) {
        self.apply(now, &event);
        events.push(event);
    }

    fn known(&self, person: &PersonId) -> Result<&super::Person, Refusal> {
        self.kept.people.get(person).ok_or_else(|| Refusal::NoSuchPerson { person: person.to_string() })
    }

    /// The conversation, where this number is none of an earlier stay.
    fn stay_of(&self, conversation: &RunId, number: u64) -> Option<&Case> {
        self.kept.cases.get(conversation).filter(|case| case.stay <= number)
    }

    fn put(&mut self, profile: Profile, now: Time, events: &mut Vec<Event>) -> Result<Changed, Refusal> {
        profile.check()?;
        let before = self.kept.people.get(&profile.id);
        if before.is_some_and(|person| person.profile == profile) {
            return Ok(Changed::Nothing);
        }
        if before.is_none() && self.kept.people.len() >= PEOPLE_MAX {
            return Err(Refusal::TooManyPeople { limit: PEOPLE_MAX });
        }
        if let Some(of) = self.index.emails.get(&profile.email.to_lowercase()).filter(|of| **of != profile.id) {
            return Err(Refusal::EmailTaken { email: profile.email, of: of.to_string() });
        }
        let person = profile.id.clone();
        self.emit(Event::PersonPut(Box::new(profile)), now, events);
        Ok(Changed::Person(person))
    }

    fn present(
        &mut self,
        person: PersonId,
        presence: Presence,
        now: Time,
        events: &mut Vec<Event>,
    ) -> Result<Changed, Refusal> {
        if self.known(&person)?.presence == presence {
            self.heard(person, now, events)?;
            return Ok(Changed::Nothing);
        }
        self.emit(Event::PresenceSet { person: person.clone(), presence, unheard: false }, now, events);
        match presence {
            Presence::Online if planted(Mutant::LeftLying) => Ok(Changed::Nothing),
            Presence::Online => Ok(Changed::Person(person)),
            Presence::Away => Ok(Changed::Nothing),
            Presence::Offline => {
                self.give_back(&person, Why::Offline, now, events);
                Ok(Changed::Much)
            }
        }
    }

    fn heard(&mut self, person: PersonId, now: Time, events: &mut Vec<Event>) -> Result<(), Refusal> {
        self.known(&person)?;
        if self.should_hear(&person, now) {
            self.emit(Event::Heard { person }, now, events);
        }
        Ok(())
    }

    fn enqueue(&mut self, enqueue: Enqueue, now: Time, events: &mut Vec<Event>) -> Result<Changed, Refusal> {
        let Enqueue { conversation, number, wants, priority, waiting_since, first_response_by, resolve_by, service } =
            enqueue;
        service.check()?;
        let wants = wants.possible();
        let mut changed = None;
        match self.kept.cases.get(&conversation) {
            // Told twice.
            Some(case) if number <= case.stay => return Ok(Changed::Nothing),
            // It came back before it was heard that it had left.
            Some(_) => changed = Some(self.left(conversation.clone(), number, now, events)),
            None if self.kept.cases.len() >= CASES_MAX => return Err(Refusal::Full { limit: CASES_MAX }),
            None => {}
        }
        let wants = Arc::new(wants);
        let settings = &self.kept.settings;
        // Nobody has waited since tomorrow.
        let waiting_since = waiting_since.min(now);
        let promised = |within: Option<Duration>| within.map(|within| waiting_since + within);
        let queued = Event::Queued {
            conversation,
            number,
            wants: wants.clone(),
            priority: service.priority.unwrap_or(priority),
            waiting_since,
            respond_by: first_response_by
                .or(promised(service.first_response()))
                .unwrap_or(now + settings.first_response),
            resolve_by: resolve_by.or(promised(service.resolution())).unwrap_or(now + settings.resolution),
            service,
        };
        self.emit(queued, now, events);
        Ok(match changed {
            None | Some(Changed::Nothing) => Changed::Line(wants),
            Some(_) => Changed::Much,
        })
    }

    /// Something else is promised of a conversation: counted from when it began to wait.
    fn promise(
        &mut self,
        conversation: &RunId,
        number: u64,
        service: ServiceLevel,
        now: Time,
        events: &mut Vec<Event>,
    ) -> Result<Changed, Refusal> {
        service.check()?;
        let Some(case) = self.stay_of(conversation, number) else { return Ok(Changed::Nothing) };
        let since = case.again_since.unwrap_or(case.waiting_since);
        let respond_by = match (case.respond_by, service.first_response()) {
            (Some(_), Some(within)) => Some(since + within),
            (respond_by, _) => respond_by,
        };
        let set = Event::ServiceLevelSet {
            conversation: conversation.clone(),
            stay: case.stay,
            service: service.or(case.service),
            priority: service.priority.unwrap_or(case.priority),
            respond_by,
            resolve_by: service.resolution().map_or(case.resolve_by, |within| case.waiting_since + within),
        };
        let changed = Changed::Line(case.wants.clone());
        self.emit(set, now, events);
        Ok(changed)
    }

    fn left(&mut self, conversation: RunId, number: u64, now: Time, events: &mut Vec<Event>) -> Changed {
        let Some(case) = self.stay_of(&conversation, number) else { return Changed::Nothing };
        let (owner, stay) = (case.owner.clone(), case.stay);
        self.emit(Event::Left { conversation, stay }, now, events);
        owner.map(Changed::Person).unwrap_or_default()
    }

    fn transfer(
        &mut self,
        conversation: RunId,
        quoted: u64,
        to: To,
        now: Time,
        events: &mut Vec<Event>,
    ) -> Result<Changed, Refusal> {
        let Some(case) = self.kept.cases.get(&conversation) else {
            return Err(Refusal::NoSuchConversation { conversation: conversation.to_string() });
        };
        let Case { number, stay, .. } = *case;
        if number != quoted {
            return Err(Refusal::ChangedHands { conversation: conversation.to_string(), number, quoted });
        }
        let (from, before) = (case.owner.clone(), case.wants.clone());
        match to {
            To::Person(person) => {
                self.may_take(&person, from.as_ref())?;
                if let Some(from) = &from {
                    self.requeue(&conversation, from, Why::Transferred, before, now, events);
                }
                let number = number + 1 + u64::from(from.is_some());
                self.emit(Event::Assigned { conversation, stay, number, person }, now, events);
                Ok(from.map(Changed::Person).unwrap_or_default())
            }
            To::Skills(skills) => {
                names("skills", &skills)?;
                let wants = Arc::new(Wants { skills, language: before.language.clone() });
                match from {
                    Some(from) => self.requeue(&conversation, &from, Why::Transferred, wants, now, events),
                    None => self.emit(Event::Redirected { conversation, wants }, now, events),
                }
                Ok(Changed::Much)
            }
        }
    }

    fn may_take(&self, person: &PersonId, from: Option<&PersonId>) -> Result<(), Refusal> {
        let cannot = |reason: String| Err(Refusal::CannotTake { person: person.to_string(), reason });
        let known = self.known(person)?;
        if from == Some(person) {
            return cannot("it is theirs already".to_owned());
        }
        if known.presence != Presence::Online {
            return cannot(format!("they are {}", known.presence.word()));
        }
        if !known.has_room() {
            return cannot(format!("they have {} conversations and may have no more", known.load()));
        }
        Ok(())
    }

    /// Puts back into the line what somebody has.
    fn give_back(&mut self, person: &PersonId, why: Why, now: Time, events: &mut Vec<Event>) {
        let has: Vec<RunId> =
            self.kept.people.get(person).into_iter().flat_map(|person| &person.has).cloned().collect();
        for conversation in has {
            let Some(wants) = self.kept.cases.get(&conversation).map(|case| case.wants.clone()) else { continue };
            self.requeue(&conversation, person, why, wants, now, events);
        }
    }

    fn requeue(
        &mut self,
        conversation: &RunId,
        from: &PersonId,
        why: Why,
        wants: Arc<Wants>,
        now: Time,
        events: &mut Vec<Event>,
    ) {
        let Some(case) = self.kept.cases.get(conversation) else { return };
        // The customer waits for somebody new.
        let within = case.service.first_response().unwrap_or(self.kept.settings.first_response);
        let respond_by = case.respond_by.is_none().then(|| now + within);
        let (conversation, from) = (conversation.clone(), from.clone());
        let event =
            Event::Requeued { conversation, stay: case.stay, number: case.number + 1, from, why, wants, respond_by };
        self.emit(event, now, events);
    }

    /// Everything whose time has come, as far as one decision goes; what is left is due at once.
    fn tick(&mut self, now: Time, events: &mut Vec<Event>) -> Changed {
        while events.len() < BATCH_MAX {
            let Some((_, person)) = self.index.unheard.first().filter(|(at, _)| *at <= now).cloned() else { break };
            let presence = Presence::Offline;
            self.emit(Event::PresenceSet { person: person.clone(), presence, unheard: true }, now, events);
            self.give_back(&person, Why::Unheard, now, events);
        }
        while events.len() < BATCH_MAX {
            let Some((_, conversation)) = self.index.steps.first().filter(|(at, _)| *at <= now) else { break };
            let Some(case) = self.kept.cases.get(conversation) else { break };
            let Some((_, breach, chain, act)) = case.next_step(&self.kept.settings) else { break };
            let (conversation, stay, number) = (conversation.clone(), case.stay, case.number);
            self.emit(Event::Escalated { conversation, stay, number, breach, chain, act }, now, events);
        }
        if events.is_empty() { Changed::Nothing } else { Changed::Much }
    }
}
