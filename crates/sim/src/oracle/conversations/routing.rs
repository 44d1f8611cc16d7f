//! The routing queue by the simplest rule: everybody and everything is checked each time. It knows only the queue's
//! journal.

use std::collections::{BTreeMap, BTreeSet};

use baton_core::id::{PersonId, RunId};
use baton_core::routing::{
    EscalationAction, EscalationStep, PersonProfile, Presence, RoutingEntry, RoutingEvent, RoutingRequirements,
    RoutingSettings, SlaBreach,
};
use baton_core::time::Time;

use super::super::{PromiseViolation, violation};

#[derive(Debug, Default)]
pub struct SimRoutingOracle {
    settings: RoutingSettings,
    people: BTreeMap<PersonId, OracleHumanAgent>,
    tickets: BTreeMap<RunId, OracleTicket>,
}

#[derive(Debug)]
struct OracleHumanAgent {
    profile: PersonProfile,
    is_online: bool,
    conversations: BTreeSet<RunId>,
}

#[derive(Debug)]
struct OracleTicket {
    ticket: u64,
    number: u64,
    wants: RoutingRequirements,
    owner: Option<PersonId>,
    respond_by: Option<Time>,
    resolve_by: Time,
    /// Steps that were taken: the chain, its beginning, and the index of the step.
    steps_taken: BTreeSet<(SlaBreach, Time, usize)>,
}

impl SimRoutingOracle {
    /// Its chains are the drawn ones from the first conversation on: they are set before any message is written.
    pub fn new(settings: RoutingSettings) -> Self {
        Self { settings, ..Self::default() }
    }

    pub fn recorded(&mut self, entry: &RoutingEntry) -> Result<(), PromiseViolation> {
        for event in &entry.events {
            self.apply_event(entry.at, event)?;
        }
        self.check_unassigned()?;
        self.check_deadlines(entry.at)
    }

    fn apply_event(&mut self, at: Time, event: &RoutingEvent) -> Result<(), PromiseViolation> {
        match event {
            RoutingEvent::PersonPut(profile) => {
                let new = || OracleHumanAgent {
                    profile: (**profile).clone(),
                    is_online: false,
                    conversations: BTreeSet::new(),
                };
                self.people.entry(profile.id.clone()).or_insert_with(new).profile = (**profile).clone();
            }
            RoutingEvent::PersonRemoved { person } => {
                if let Some(gone) = self.people.remove(person).filter(|gone| !gone.conversations.is_empty()) {
                    return violation("capacity", format!("{person} is removed with {:?}", gone.conversations));
                }
            }
            RoutingEvent::PresenceSet { person, presence, .. } => {
                if let Some(somebody) = self.people.get_mut(person) {
                    somebody.is_online = *presence == Presence::Online;
                }
            }
            RoutingEvent::Queued { conversation, number, wants, respond_by, resolve_by, .. } => {
                let thing = OracleTicket {
                    ticket: *number,
                    number: *number,
                    wants: (**wants).clone(),
                    owner: None,
                    respond_by: Some(*respond_by),
                    resolve_by: *resolve_by,
                    steps_taken: BTreeSet::new(),
                };
                if self.tickets.insert(conversation.clone(), thing).is_some() {
                    return violation("agreement", format!("`{conversation}` is at the desk twice"));
                }
            }
            RoutingEvent::ServiceLevelSet { conversation, respond_by, resolve_by, .. } => {
                if let Some(thing) = self.tickets.get_mut(conversation) {
                    (thing.respond_by, thing.resolve_by) = (*respond_by, *resolve_by);
                }
            }
            RoutingEvent::Assigned { conversation, number, person, .. } => {
                return self.check_assignment(conversation, *number, person);
            }
            RoutingEvent::Requeued { conversation, number, from, wants, respond_by, .. } => {
                self.release_conversation(from, conversation);
                if let Some(thing) = self.tickets.get_mut(conversation) {
                    thing.owner = None;
                    thing.number = *number;
                    thing.wants = (**wants).clone();
                    thing.respond_by = thing.respond_by.or(*respond_by);
                }
            }
            RoutingEvent::Redirected { conversation, wants } => {
                if let Some(thing) = self.tickets.get_mut(conversation) {
                    thing.wants = (**wants).clone();
                }
            }
            RoutingEvent::Answered { conversation, .. } => {
                if let Some(thing) = self.tickets.get_mut(conversation) {
                    thing.respond_by = None;
                }
            }
            RoutingEvent::Left { conversation, .. } => {
                if let Some(owner) = self.tickets.remove(conversation).and_then(|thing| thing.owner) {
                    self.release_conversation(&owner, conversation);
                }
            }
            RoutingEvent::Escalated { conversation, breach, chain, act, .. } => {
                return self.check_step(at, conversation, (*breach, chain.since, chain.next), *act);
            }
            RoutingEvent::SettingsSet(_) | RoutingEvent::Heard { .. } => {}
        }
        Ok(())
    }

    /// Assigns only to people who are online and have capacity.
    fn check_assignment(
        &mut self,
        conversation: &RunId,
        number: u64,
        person: &PersonId,
    ) -> Result<(), PromiseViolation> {
        let Some(somebody) = self.people.get_mut(person).filter(|somebody| somebody.is_online) else {
            return violation("capacity", format!("`{conversation}` is given to {person}, who is not there"));
        };
        if somebody.conversations.len() >= somebody.profile.max_capacity as usize {
            return violation(
                "capacity",
                format!("`{conversation}` is given to {person}, who has {:?}", somebody.conversations),
            );
        }
        somebody.conversations.insert(conversation.clone());
        if let Some(thing) = self.tickets.get_mut(conversation) {
            (thing.owner, thing.number) = (Some(person.clone()), number);
        }
        Ok(())
    }

    fn release_conversation(&mut self, person: &PersonId, conversation: &RunId) {
        if let Some(somebody) = self.people.get_mut(person) {
            somebody.conversations.remove(conversation);
        }
    }

    /// Once, after the step before it, and not before its time.
    fn check_step(
        &mut self,
        at: Time,
        conversation: &RunId,
        (breach, since, next): (SlaBreach, Time, usize),
        act: EscalationAction,
    ) -> Result<(), PromiseViolation> {
        let what = format!("step {next} of {breach:?} since {since} of `{conversation}`");
        let Some(step) = steps(&self.settings, breach).get(next).filter(|step| step.act == act) else {
            return violation("escalated", format!("{what} is none that was told"));
        };
        if since + step.after > at {
            return violation("escalated", format!("{what} comes too early, at {at}"));
        }
        let Some(thing) = self.tickets.get_mut(conversation) else {
            return violation("escalated", format!("{what} comes, and it has left the desk"));
        };
        let follows = next == 0 || thing.steps_taken.contains(&(breach, since, next - 1));
        if !follows || !thing.steps_taken.insert((breach, since, next)) {
            return violation("escalated", format!("{what} comes again, or before the one before it"));
        }
        if act == EscalationAction::DropSkills {
            thing.wants = RoutingRequirements::default();
        }
        Ok(())
    }

    fn check_unassigned(&self) -> Result<(), PromiseViolation> {
        for (conversation, thing) in self.tickets.iter().filter(|(_, thing)| thing.owner.is_none()) {
            if let Some(person) = self.people.values().find(|somebody| somebody.can_take(&thing.wants)) {
                let id = &person.profile.id;
                return violation("assigned", format!("{id} could take `{conversation}`, and was not given it"));
            }
        }
        Ok(())
    }

    /// Steps for a missed response or resolution are taken when they are due.
    fn check_deadlines(&self, at: Time) -> Result<(), PromiseViolation> {
        for (conversation, thing) in &self.tickets {
            let missed = thing.respond_by.map(|by| (SlaBreach::FirstResponse, by));
            for (breach, since) in missed.into_iter().chain([(SlaBreach::Resolution, thing.resolve_by)]) {
                let due = steps(&self.settings, breach).iter().enumerate().filter(|(_, step)| since + step.after <= at);
                if let Some((next, _)) =
                    due.into_iter().find(|(next, _)| !thing.steps_taken.contains(&(breach, since, *next)))
                {
                    let what = format!("step {next} of {breach:?} since {since}");
                    return violation(
                        "escalated",
                        format!("{what} of `{conversation}` is due, and was not taken at {at}"),
                    );
                }
            }
        }
        Ok(())
    }

    /// Whether the queue still has something to do.
    pub fn is_open(&self) -> bool {
        !self.tickets.is_empty()
    }

    /// The queue ticket of a conversation, its ownership number, and its holder.
    pub fn ticket_of(&self, conversation: &RunId) -> Option<(u64, u64, Option<String>)> {
        let thing = self.tickets.get(conversation)?;
        Some((thing.ticket, thing.number, thing.owner.as_ref().map(PersonId::to_string)))
    }
}

impl OracleHumanAgent {
    fn can_take(&self, wants: &RoutingRequirements) -> bool {
        let PersonProfile { skills, languages, max_capacity, .. } = &self.profile;
        let speaks = wants.language.as_ref().is_none_or(|one| languages.is_empty() || languages.contains(one));
        let has_room = self.conversations.len() < *max_capacity as usize;
        self.is_online && has_room && speaks && wants.skills.iter().all(|skill| skills.contains(skill))
    }
}

fn steps(settings: &RoutingSettings, breach: SlaBreach) -> &[EscalationStep] {
    match breach {
        SlaBreach::FirstResponse => &settings.late_response,
        SlaBreach::Resolution => &settings.late_resolution,
        SlaBreach::Nobody => &settings.nobody,
    }
}
