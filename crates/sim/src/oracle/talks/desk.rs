//! The desk by the plainest rule there is: everybody and everything is looked at each time. It knows of the desk only what
//! its journal says.

use std::collections::{BTreeMap, BTreeSet};

use baton_core::desk::{Act, Breach, Entry, Event, Presence, Profile, Settings, Step, Wants};
use baton_core::id::{PersonId, RunId};
use baton_core::time::Time;

use super::super::{Violation, broken};

#[derive(Debug, Default)]
pub struct Line {
    settings: Settings,
    people: BTreeMap<PersonId, Somebody>,
    things: BTreeMap<RunId, Thing>,
}

#[derive(Debug)]
struct Somebody {
    profile: Profile,
    is_online: bool,
    has: BTreeSet<RunId>,
}

#[derive(Debug)]
struct Thing {
    stay: u64,
    number: u64,
    wants: Wants,
    owner: Option<PersonId>,
    respond_by: Option<Time>,
    resolve_by: Time,
    /// Steps that were taken: of which chain, begun when, which.
    taken: BTreeSet<(Breach, Time, usize)>,
}

impl Line {
    /// Its chains are the drawn ones from the first conversation on: they are told before anybody writes.
    pub fn new(settings: Settings) -> Self {
        Self { settings, ..Self::default() }
    }

    pub fn recorded(&mut self, entry: &Entry) -> Result<(), Violation> {
        for event in &entry.events {
            self.folds(entry.at, event)?;
        }
        self.nothing_is_left_lying()?;
        self.nothing_is_late(entry.at)
    }

    fn folds(&mut self, at: Time, event: &Event) -> Result<(), Violation> {
        match event {
            Event::PersonPut(profile) => {
                let new = || Somebody { profile: (**profile).clone(), is_online: false, has: BTreeSet::new() };
                self.people.entry(profile.id.clone()).or_insert_with(new).profile = (**profile).clone();
            }
            Event::PersonRemoved { person } => {
                if let Some(gone) = self.people.remove(person).filter(|gone| !gone.has.is_empty()) {
                    return broken("capacity", format!("{person} is removed with {:?}", gone.has));
                }
            }
            Event::PresenceSet { person, presence, .. } => {
                if let Some(somebody) = self.people.get_mut(person) {
                    somebody.is_online = *presence == Presence::Online;
                }
            }
            Event::Queued { conversation, number, wants, respond_by, resolve_by, .. } => {
                let thing = Thing {
                    stay: *number,
                    number: *number,
                    wants: (**wants).clone(),
                    owner: None,
                    respond_by: Some(*respond_by),
                    resolve_by: *resolve_by,
                    taken: BTreeSet::new(),
                };
                if self.things.insert(conversation.clone(), thing).is_some() {
                    return broken("agreement", format!("`{conversation}` is at the desk twice"));
                }
            }
            Event::ServiceLevelSet { conversation, respond_by, resolve_by, .. } => {
                if let Some(thing) = self.things.get_mut(conversation) {
                    (thing.respond_by, thing.resolve_by) = (*respond_by, *resolve_by);
                }
            }
            Event::Assigned { conversation, number, person, .. } => return self.given(conversation, *number, person),
            Event::Requeued { conversation, number, from, wants, respond_by, .. } => {
                self.lose(from, conversation);
                if let Some(thing) = self.things.get_mut(conversation) {
                    thing.owner = None;
                    thing.number = *number;
                    thing.wants = (**wants).clone();
                    thing.respond_by = thing.respond_by.or(*respond_by);
                }
            }
            Event::Redirected { conversation, wants } => {
                if let Some(thing) = self.things.get_mut(conversation) {
                    thing.wants = (**wants).clone();
                }
            }
            Event::Answered { conversation, .. } => {
                if let Some(thing) = self.things.get_mut(conversation) {
                    thing.respond_by = None;
                }
            }
            Event::Left { conversation, .. } => {
                if let Some(owner) = self.things.remove(conversation).and_then(|thing| thing.owner) {
                    self.lose(&owner, conversation);
                }
            }
            Event::Escalated { conversation, breach, chain, act, .. } => {
                return self.step(at, conversation, (*breach, chain.since, chain.next), *act);
            }
            Event::SettingsSet(_) | Event::Heard { .. } => {}
        }
        Ok(())
    }

    /// Only to somebody who is there and has room.
    fn given(&mut self, conversation: &RunId, number: u64, person: &PersonId) -> Result<(), Violation> {
        let Some(somebody) = self.people.get_mut(person).filter(|somebody| somebody.is_online) else {
            return broken("capacity", format!("`{conversation}` is given to {person}, who is not there"));
        };
        if somebody.has.len() >= somebody.profile.max_capacity as usize {
            return broken("capacity", format!("`{conversation}` is given to {person}, who has {:?}", somebody.has));
        }
        somebody.has.insert(conversation.clone());
        if let Some(thing) = self.things.get_mut(conversation) {
            (thing.owner, thing.number) = (Some(person.clone()), number);
        }
        Ok(())
    }

    fn lose(&mut self, person: &PersonId, conversation: &RunId) {
        if let Some(somebody) = self.people.get_mut(person) {
            somebody.has.remove(conversation);
        }
    }

    /// Once, behind the step before it, and not before its time.
    fn step(
        &mut self,
        at: Time,
        conversation: &RunId,
        (breach, since, next): (Breach, Time, usize),
        act: Act,
    ) -> Result<(), Violation> {
        let what = format!("step {next} of {breach:?} since {since} of `{conversation}`");
        let Some(step) = steps(&self.settings, breach).get(next).filter(|step| step.act == act) else {
            return broken("escalated", format!("{what} is none that was told"));
        };
        if since + step.after > at {
            return broken("escalated", format!("{what} comes too early, at {at}"));
        }
        let Some(thing) = self.things.get_mut(conversation) else {
            return broken("escalated", format!("{what} comes, and it has left the desk"));
        };
        let follows = next == 0 || thing.taken.contains(&(breach, since, next - 1));
        if !follows || !thing.taken.insert((breach, since, next)) {
            return broken("escalated", format!("{what} comes again, or before the one before it"));
        }
        if act == Act::DropSkills {
            thing.wants = Wants::default();
        }
        Ok(())
    }

    fn nothing_is_left_lying(&self) -> Result<(), Violation> {
        for (conversation, thing) in self.things.iter().filter(|(_, thing)| thing.owner.is_none()) {
            if let Some(person) = self.people.values().find(|somebody| somebody.can_take(&thing.wants)) {
                let id = &person.profile.id;
                return broken("assigned", format!("{id} could take `{conversation}`, and was not given it"));
            }
        }
        Ok(())
    }

    /// Steps of a missed answer or a missed end were taken where their time has come.
    fn nothing_is_late(&self, at: Time) -> Result<(), Violation> {
        for (conversation, thing) in &self.things {
            let missed = thing.respond_by.map(|by| (Breach::FirstResponse, by));
            for (breach, since) in missed.into_iter().chain([(Breach::Resolution, thing.resolve_by)]) {
                let due = steps(&self.settings, breach).iter().enumerate().filter(|(_, step)| since + step.after <= at);
                if let Some((next, _)) =
                    due.into_iter().find(|(next, _)| !thing.taken.contains(&(breach, since, *next)))
                {
                    let what = format!("step {next} of {breach:?} since {since}");
                    return broken(
                        "escalated",
                        format!("{what} of `{conversation}` is due, and was not taken at {at}"),
                    );
                }
            }
        }
        Ok(())
    }

    /// Whether something is with the desk still.
    pub fn is_open(&self) -> bool {
        !self.things.is_empty()
    }

    /// The stay of a conversation, the number of who has it, and who.
    pub fn of(&self, conversation: &RunId) -> Option<(u64, u64, Option<String>)> {
        let thing = self.things.get(conversation)?;
        Some((thing.stay, thing.number, thing.owner.as_ref().map(PersonId::to_string)))
    }
}

impl Somebody {
    fn can_take(&self, wants: &Wants) -> bool {
        let Profile { skills, languages, max_capacity, .. } = &self.profile;
        let speaks = wants.language.as_ref().is_none_or(|one| languages.is_empty() || languages.contains(one));
        let has_room = self.has.len() < *max_capacity as usize;
        self.is_online && has_room && speaks && wants.skills.iter().all(|skill| skills.contains(skill))
    }
}

fn steps(settings: &Settings, breach: Breach) -> &[Step] {
    match breach {
        Breach::FirstResponse => &settings.late_response,
        Breach::Resolution => &settings.late_resolution,
        Breach::Nobody => &settings.nobody,
    }
}
