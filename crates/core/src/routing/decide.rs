//! Decides commands to the routing queue.

use std::sync::Arc;
use std::time::Duration;

use super::assign::RoutingChange;
use super::command::{EnqueueRequest, RoutingCommand, TransferTarget};
use super::event::{RequeueReason, RoutingEvent};
use super::person::{PersonProfile, Presence, names};
use super::refusal::RoutingRefusal;
use super::routed_conversation::{RoutedConversation, RoutingRequirements};
use super::service::ServiceLevel;
use super::state::RoutingQueue;
use super::{CONVERSATIONS_MAX, PEOPLE_MAX, STEPS_PER_TICK_MAX};
use crate::id::{PersonId, RunId};
use crate::mutant::{Mutant, planted};
use crate::time::Time;

impl RoutingQueue {
    /// Decides a command and applies the resulting events. If it is refused, nothing has changed.
    pub fn decide(&mut self, command: RoutingCommand, now: Time) -> Result<Vec<RoutingEvent>, RoutingRefusal> {
        let now = now.max(self.kept.now);
        let mut events = Vec::new();
        let changed = match command {
            RoutingCommand::Settings(settings) => {
                settings.check()?;
                if settings != self.kept.settings {
                    self.emit(RoutingEvent::SettingsSet(Box::new(settings)), now, &mut events);
                }
                RoutingChange::Nothing
            }
            RoutingCommand::PutPerson(profile) => self.put_profile(profile, now, &mut events)?,
            RoutingCommand::RemovePerson { person } => {
                self.require_person(&person)?;
                self.give_back(&person, RequeueReason::Removed, now, &mut events);
                self.emit(RoutingEvent::PersonRemoved { person }, now, &mut events);
                RoutingChange::Much
            }
            RoutingCommand::Presence { person, presence } => self.set_presence(person, presence, now, &mut events)?,
            RoutingCommand::Heard { person } => {
                self.heartbeat(person, now, &mut events)?;
                RoutingChange::Nothing
            }
            RoutingCommand::Enqueue(enqueue) => self.enqueue(enqueue, now, &mut events)?,
            RoutingCommand::Left { conversation, number } => self.handle_left(conversation, number, now, &mut events),
            RoutingCommand::Answered { conversation, number } => {
                let open = self.current_ticket(&conversation, number).filter(|case| case.respond_by.is_some());
                if let Some(stay) = open.map(|case| case.stay) {
                    self.emit(RoutingEvent::Answered { conversation, stay }, now, &mut events);
                }
                RoutingChange::Nothing
            }
            RoutingCommand::Transfer { conversation, number, to } => {
                self.transfer(conversation, number, to, now, &mut events)?
            }
            RoutingCommand::ServiceLevel { conversation, number, service } => {
                self.set_service_level(&conversation, number, service, now, &mut events)?
            }
            RoutingCommand::Tick => self.tick(now, &mut events),
        };
        self.assign(&changed, now, &mut events);
        Ok(events)
    }

    pub(super) fn emit(&mut self, event: RoutingEvent, now: Time, events: &mut Vec<RoutingEvent>) {
        self.apply(now, &event);
        events.push(event);
    }

    fn require_person(&self, person: &PersonId) -> Result<&super::HumanAgent, RoutingRefusal> {
        self.kept.people.get(person).ok_or_else(|| RoutingRefusal::NoSuchPerson { person: person.to_string() })
    }

    /// Returns the conversation, unless this number belongs to an earlier ticket.
    fn current_ticket(&self, conversation: &RunId, number: u64) -> Option<&RoutedConversation> {
        self.kept.cases.get(conversation).filter(|case| case.stay <= number)
    }

    fn put_profile(
        &mut self,
        profile: PersonProfile,
        now: Time,
        events: &mut Vec<RoutingEvent>,
    ) -> Result<RoutingChange, RoutingRefusal> {
        profile.check()?;
        let before = self.kept.people.get(&profile.id);
        if before.is_some_and(|person| person.profile == profile) {
            return Ok(RoutingChange::Nothing);
        }
        if before.is_none() && self.kept.people.len() >= PEOPLE_MAX {
            return Err(RoutingRefusal::TooManyPeople { limit: PEOPLE_MAX });
        }
        if let Some(of) = self.index.emails.get(&profile.email.to_lowercase()).filter(|of| **of != profile.id) {
            return Err(RoutingRefusal::EmailTaken { email: profile.email, of: of.to_string() });
        }
        let person = profile.id.clone();
        self.emit(RoutingEvent::PersonPut(Box::new(profile)), now, events);
        Ok(RoutingChange::Person(person))
    }

    fn set_presence(
        &mut self,
        person: PersonId,
        presence: Presence,
        now: Time,
        events: &mut Vec<RoutingEvent>,
    ) -> Result<RoutingChange, RoutingRefusal> {
        if self.require_person(&person)?.presence == presence {
            self.heartbeat(person, now, events)?;
            return Ok(RoutingChange::Nothing);
        }
        self.emit(RoutingEvent::PresenceSet { person: person.clone(), presence, unheard: false }, now, events);
        match presence {
            Presence::Online if planted(Mutant::LeftLying) => Ok(RoutingChange::Nothing),
            Presence::Online => Ok(RoutingChange::Person(person)),
            Presence::Away => Ok(RoutingChange::Nothing),
            Presence::Offline => {
                self.give_back(&person, RequeueReason::Offline, now, events);
                Ok(RoutingChange::Much)
            }
        }
    }

    fn heartbeat(&mut self, person: PersonId, now: Time, events: &mut Vec<RoutingEvent>) -> Result<(), RoutingRefusal> {
        self.require_person(&person)?;
        if self.needs_heartbeat(&person, now) {
            self.emit(RoutingEvent::Heard { person }, now, events);
        }
        Ok(())
    }

    fn enqueue(
        &mut self,
        enqueue: EnqueueRequest,
        now: Time,
        events: &mut Vec<RoutingEvent>,
    ) -> Result<RoutingChange, RoutingRefusal> {
        let EnqueueRequest {
            conversation,
            number,
            wants,
            priority,
            waiting_since,
            first_response_by,
            resolve_by,
            service,
        } = enqueue;
        service.check()?;
        let wants = wants.sanitized();
        let mut changed = None;
        match self.kept.cases.get(&conversation) {
            // A duplicate.
            Some(case) if number <= case.stay => return Ok(RoutingChange::Nothing),
            // It was enqueued again before the notice that it had left.
            Some(_) => changed = Some(self.handle_left(conversation.clone(), number, now, events)),
            None if self.kept.cases.len() >= CONVERSATIONS_MAX => {
                return Err(RoutingRefusal::Full { limit: CONVERSATIONS_MAX });
            }
            None => {}
        }
        let wants = Arc::new(wants);
        let settings = &self.kept.settings;
        // Waiting cannot have started in the future.
        let waiting_since = waiting_since.min(now);
        let promised = |within: Option<Duration>| within.map(|within| waiting_since + within);
        let queued = RoutingEvent::Queued {
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
            None | Some(RoutingChange::Nothing) => RoutingChange::Line(wants),
            Some(_) => RoutingChange::Much,
        })
    }

    /// Changes the service level of a conversation; deadlines count from when it started to wait.
    fn set_service_level(
        &mut self,
        conversation: &RunId,
        number: u64,
        service: ServiceLevel,
        now: Time,
        events: &mut Vec<RoutingEvent>,
    ) -> Result<RoutingChange, RoutingRefusal> {
        service.check()?;
        let Some(case) = self.current_ticket(conversation, number) else { return Ok(RoutingChange::Nothing) };
        let since = case.again_since.unwrap_or(case.waiting_since);
        let respond_by = match (case.respond_by, service.first_response()) {
            (Some(_), Some(within)) => Some(since + within),
            (respond_by, _) => respond_by,
        };
        let set = RoutingEvent::ServiceLevelSet {
            conversation: conversation.clone(),
            stay: case.stay,
            service: service.or(case.service),
            priority: service.priority.unwrap_or(case.priority),
            respond_by,
            resolve_by: service.resolution().map_or(case.resolve_by, |within| case.waiting_since + within),
        };
        let changed = RoutingChange::Line(case.wants.clone());
        self.emit(set, now, events);
        Ok(changed)
    }

    fn handle_left(
        &mut self,
        conversation: RunId,
        number: u64,
        now: Time,
        events: &mut Vec<RoutingEvent>,
    ) -> RoutingChange {
        let Some(case) = self.current_ticket(&conversation, number) else { return RoutingChange::Nothing };
        let (owner, stay) = (case.owner.clone(), case.stay);
        self.emit(RoutingEvent::Left { conversation, stay }, now, events);
        owner.map(RoutingChange::Person).unwrap_or_default()
    }

    fn transfer(
        &mut self,
        conversation: RunId,
        quoted: u64,
        to: TransferTarget,
        now: Time,
        events: &mut Vec<RoutingEvent>,
    ) -> Result<RoutingChange, RoutingRefusal> {
        let Some(case) = self.kept.cases.get(&conversation) else {
            return Err(RoutingRefusal::NoSuchConversation { conversation: conversation.to_string() });
        };
        let RoutedConversation { number, stay, .. } = *case;
        if number != quoted {
            return Err(RoutingRefusal::ChangedHands { conversation: conversation.to_string(), number, quoted });
        }
        let (from, before) = (case.owner.clone(), case.wants.clone());
        match to {
            TransferTarget::Person(person) => {
                self.check_can_take(&person, from.as_ref())?;
                if let Some(from) = &from {
                    self.requeue(&conversation, from, RequeueReason::Transferred, before, now, events);
                }
                let number = number + 1 + u64::from(from.is_some());
                self.emit(RoutingEvent::Assigned { conversation, stay, number, person }, now, events);
                Ok(from.map(RoutingChange::Person).unwrap_or_default())
            }
            TransferTarget::Skills(skills) => {
                names("skills", &skills)?;
                let wants = Arc::new(RoutingRequirements { skills, language: before.language.clone() });
                match from {
                    Some(from) => self.requeue(&conversation, &from, RequeueReason::Transferred, wants, now, events),
                    None => self.emit(RoutingEvent::Redirected { conversation, wants }, now, events),
                }
                Ok(RoutingChange::Much)
            }
        }
    }

    fn check_can_take(&self, person: &PersonId, from: Option<&PersonId>) -> Result<(), RoutingRefusal> {
        let cannot = |reason: String| Err(RoutingRefusal::CannotTake { person: person.to_string(), reason });
        let known = self.require_person(person)?;
        if from == Some(person) {
            return cannot("it is theirs already".to_owned());
        }
        if known.presence != Presence::Online {
            return cannot(format!("they are {}", known.presence.word()));
        }
        if !known.has_capacity() {
            return cannot(format!("they have {} conversations and may have no more", known.load()));
        }
        Ok(())
    }

    /// Returns a person's conversations to the queue.
    fn give_back(&mut self, person: &PersonId, why: RequeueReason, now: Time, events: &mut Vec<RoutingEvent>) {
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
        why: RequeueReason,
        wants: Arc<RoutingRequirements>,
        now: Time,
        events: &mut Vec<RoutingEvent>,
    ) {
        let Some(case) = self.kept.cases.get(conversation) else { return };
        // The customer waits for a new person.
        let within = case.service.first_response().unwrap_or(self.kept.settings.first_response);
        let respond_by = case.respond_by.is_none().then(|| now + within);
        let (conversation, from) = (conversation.clone(), from.clone());
        let event = RoutingEvent::Requeued {
            conversation,
            stay: case.stay,
            number: case.number + 1,
            from,
            why,
            wants,
            respond_by,
        };
        self.emit(event, now, events);
    }

    /// Handles everything that is due, up to the limit of one decision; the rest is due at once.
    fn tick(&mut self, now: Time, events: &mut Vec<RoutingEvent>) -> RoutingChange {
        while events.len() < STEPS_PER_TICK_MAX {
            let Some((_, person)) = self.index.unheard.first().filter(|(at, _)| *at <= now).cloned() else { break };
            let presence = Presence::Offline;
            self.emit(RoutingEvent::PresenceSet { person: person.clone(), presence, unheard: true }, now, events);
            self.give_back(&person, RequeueReason::Unheard, now, events);
        }
        while events.len() < STEPS_PER_TICK_MAX {
            let Some((_, conversation)) = self.index.steps.first().filter(|(at, _)| *at <= now) else { break };
            let Some(case) = self.kept.cases.get(conversation) else { break };
            let Some((_, breach, chain, act)) = case.next_step(&self.kept.settings) else { break };
            let (conversation, stay, number) = (conversation.clone(), case.stay, case.number);
            self.emit(RoutingEvent::Escalated { conversation, stay, number, breach, chain, act }, now, events);
        }
        if events.is_empty() { RoutingChange::Nothing } else { RoutingChange::Much }
    }
}
