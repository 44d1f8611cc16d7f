//! The rule again, in the plainest way there is: everybody and everything is looked at each time.
//!
//! It knows of the desk only what went in and what came out, and says which rule an event breaks.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Act, Command, Event, Presence, Priority, Profile, To, Wants};
use super::{World, enqueue, profile};
use crate::id::RunId;
use crate::time::Time;

struct Somebody {
    profile: Profile,
    online: bool,
    idle_since: Time,
    has: BTreeSet<RunId>,
}

struct Something {
    /// Its number among all that was ever wanted.
    wants: usize,
    priority: Priority,
    since: Time,
    owner: Option<String>,
    number: u64,
}

#[derive(Default)]
pub(super) struct Oracle {
    people: BTreeMap<String, Somebody>,
    things: BTreeMap<RunId, Something>,
    /// All that was ever wanted.
    wants: Vec<Wants>,
    /// How often anything was given out.
    pub given: usize,
    seen: usize,
}

impl Oracle {
    /// Holds what a command came to against the rules.
    pub fn sees(&mut self, command: &Command, events: &[Event], now: Time) -> Result<(), String> {
        let chosen = match command {
            Command::Transfer { conversation, to: To::Person(person), .. } => Some((conversation, person)),
            _ => None,
        };
        for event in events {
            match event {
                Event::Assigned { conversation, person, .. } if chosen != Some((conversation, person)) => {
                    self.is_next(conversation, person.as_str())?;
                }
                _ => {}
            }
            self.folds(event, now)?;
        }
        self.seen += 1;
        // Of thousands it is looked at now and then: it takes long.
        if self.things.len() > 1_000 && !self.seen.is_multiple_of(16) {
            return Ok(());
        }
        self.nothing_is_left_lying()
    }

    fn number_of(&mut self, wants: &Wants) -> usize {
        self.wants.iter().position(|known| known == wants).unwrap_or_else(|| {
            self.wants.push(wants.clone());
            self.wants.len() - 1
        })
    }

    /// Of all that was ever wanted, whether anybody can take it now.
    fn takers(&self) -> Vec<bool> {
        self.wants.iter().map(|wants| self.can(wants).next().is_some()).collect()
    }

    fn can(&self, wants: &Wants) -> impl Iterator<Item = (&String, &Somebody)> {
        self.people.iter().filter(move |(_, somebody)| {
            let Profile { skills, languages, max_capacity, .. } = &somebody.profile;
            let speaks =
                wants.language.as_ref().is_none_or(|language| languages.is_empty() || languages.contains(language));
            somebody.online
                && somebody.has.len() < *max_capacity as usize
                && speaks
                && wants.skills.iter().all(|skill| skills.contains(skill))
        })
    }

    fn is_next(&self, conversation: &RunId, person: &str) -> Result<(), String> {
        let takers = self.takers();
        let first = self.things.iter().filter(|(_, thing)| thing.owner.is_none() && takers[thing.wants]);
        let first =
            first.max_by(|(a, x), (b, y)| x.priority.cmp(&y.priority).then(y.since.cmp(&x.since)).then(b.cmp(a)));
        let Some((first, thing)) = first else { return Err(format!("nobody can take {conversation}")) };
        if first != conversation {
            return Err(format!("{first} is before {conversation}"));
        }
        let best = self
            .can(&self.wants[thing.wants])
            .min_by_key(|(id, somebody)| (somebody.has.len(), somebody.idle_since, *id));
        match best {
            Some((best, _)) if best == person => Ok(()),
            best => Err(format!("{conversation} is for {:?}, not {person}", best.map(|(id, _)| id))),
        }
    }

    fn folds(&mut self, event: &Event, now: Time) -> Result<(), String> {
        match event {
            Event::PersonPut(profile) => {
                let new =
                    || Somebody { profile: (**profile).clone(), online: false, idle_since: now, has: BTreeSet::new() };
                self.people.entry(profile.id.to_string()).or_insert_with(new).profile = (**profile).clone();
            }
            Event::PersonRemoved { person } => {
                let gone = self.people.remove(person.as_str()).ok_or("nobody is removed")?;
                if !gone.has.is_empty() {
                    return Err(format!("{person} went with {:?}", gone.has));
                }
            }
            Event::PresenceSet { person, presence, .. } => {
                let somebody = self.people.get_mut(person.as_str()).ok_or("nobody's presence")?;
                let online = *presence == Presence::Online;
                if online && !somebody.online {
                    somebody.idle_since = now;
                }
                somebody.online = online;
            }
            Event::Queued { conversation, number, wants, priority, waiting_since, .. } => {
                let (wants, since) = (self.number_of(wants), *waiting_since);
                let thing = Something { wants, priority: *priority, since, owner: None, number: *number };
                if self.things.insert(conversation.clone(), thing).is_some() {
                    return Err(format!("{conversation} is at the desk twice"));
                }
            }
            Event::ServiceLevelSet { conversation, priority, .. } => {
                self.things.get_mut(conversation).ok_or("nothing is promised")?.priority = *priority;
            }
            Event::Assigned { conversation, number, person, .. } => {
                self.given += 1;
                self.changes_hands(conversation, *number, Some(person.as_str()))?;
                let somebody = self.people.get_mut(person.as_str()).ok_or("given to nobody")?;
                somebody.has.insert(conversation.clone());
                somebody.idle_since = now;
                if !somebody.online || somebody.has.len() > somebody.profile.max_capacity as usize {
                    return Err(format!("{person} cannot have {conversation}"));
                }
            }
            Event::Requeued { conversation, number, from, wants, .. } => {
                self.changes_hands(conversation, *number, None)?;
                self.loses(from.as_str(), conversation, now)?;
                let wants = self.number_of(wants);
                self.things.get_mut(conversation).ok_or("nothing is given back")?.wants = wants;
            }
            Event::Redirected { conversation, wants } => {
                let wants = self.number_of(wants);
                self.things.get_mut(conversation).ok_or("nothing is redirected")?.wants = wants;
            }
            Event::Left { conversation, .. } => {
                let thing = self.things.remove(conversation).ok_or("nothing leaves")?;
                if let Some(owner) = thing.owner {
                    self.loses(&owner, conversation, now)?;
                }
            }
            Event::Escalated { conversation, act, .. } => {
                let anybody = self.number_of(&Wants::default());
                let thing = self.things.get_mut(conversation).ok_or("nothing is escalated")?;
                match act {
                    Act::RaisePriority => thing.priority = Priority::Urgent,
                    Act::DropSkills => thing.wants = anybody,
                    Act::Tell => {}
                }
            }
            Event::SettingsSet(_) | Event::Heard { .. } | Event::Answered { .. } => {}
        }
        Ok(())
    }

    /// Each owner has a number of their own, and comes after nobody.
    fn changes_hands(&mut self, conversation: &RunId, number: u64, to: Option<&str>) -> Result<(), String> {
        let thing = self.things.get_mut(conversation).ok_or("nothing changes hands")?;
        if thing.owner.is_some() == to.is_some() {
            return Err(format!("{conversation} goes from {:?} to {to:?}", thing.owner));
        }
        if number != thing.number + 1 {
            return Err(format!("{conversation} is at {}, not {number}", thing.number));
        }
        (thing.owner, thing.number) = (to.map(str::to_owned), number);
        Ok(())
    }

    fn loses(&mut self, person: &str, conversation: &RunId, now: Time) -> Result<(), String> {
        let somebody = self.people.get_mut(person).ok_or("nobody loses it")?;
        somebody.idle_since = now;
        somebody.has.remove(conversation).then_some(()).ok_or_else(|| format!("{person} never had {conversation}"))
    }

    fn nothing_is_left_lying(&self) -> Result<(), String> {
        let takers = self.takers();
        match self.things.iter().find(|(_, thing)| thing.owner.is_none() && takers[thing.wants]) {
            Some((conversation, _)) => Err(format!("somebody could take {conversation}, and was not given it")),
            None => Ok(()),
        }
    }
}

/// What an honest oracle says when something else comes out than did.
fn broken(
    prepare: impl Fn(&mut World),
    command: impl Fn(&World) -> Command,
    falsify: impl Fn(&mut Vec<Event>),
) -> String {
    let (mut w, mut oracle) = (World::new(), Oracle::default());
    prepare(&mut w);
    for (at, event) in &w.journal {
        oracle.folds(event, *at).unwrap();
    }
    let command = command(&w);
    let mut events = w.does(command.clone());
    falsify(&mut events);
    oracle.sees(&command, &events, w.now).unwrap_err()
}

fn comes(id: &'static str, skills: &'static [&'static str]) -> impl Fn(&World) -> Command {
    move |w| Command::Enqueue(enqueue(id, 1, skills, Priority::Normal, w.now))
}

fn given_to(other: &'static str) -> impl Fn(&mut Vec<Event>) {
    move |events| {
        for event in events {
            if let Event::Assigned { person, .. } = event {
                *person = other.into();
            }
        }
    }
}

#[test]
fn the_oracle_finds_every_rule_that_is_broken() {
    let skilled = |w: &mut World| {
        w.joins("ana", &["x"], 5).joins("bob", &[], 5);
    };
    assert_eq!(broken(skilled, comes("c", &["x"]), given_to("bob")), "c is for Some(\"ana\"), not bob");
    let loaded = |w: &mut World| {
        w.joins("ana", &[], 5).comes("a", &[]).joins("bob", &[], 5);
    };
    assert_eq!(broken(loaded, comes("c", &[]), given_to("ana")), "c is for Some(\"bob\"), not ana");
    let idle = |w: &mut World| {
        w.joins("bob", &[], 5).passes(super::minutes(1)).joins("ana", &[], 5);
    };
    assert_eq!(broken(idle, comes("c", &[]), given_to("ana")), "c is for Some(\"bob\"), not ana");
    let full = |w: &mut World| {
        w.joins("ana", &[], 1).comes("a", &[]).joins("bob", &[], 1);
    };
    assert_eq!(broken(full, comes("c", &[]), given_to("ana")), "c is for Some(\"bob\"), not ana");
    let away = |w: &mut World| {
        w.joins("ana", &[], 5).is("ana", Presence::Away).joins("bob", &[], 5);
    };
    assert_eq!(broken(away, comes("c", &[]), given_to("ana")), "c is for Some(\"bob\"), not ana");

    let waits = |w: &mut World| {
        w.comes("old", &[]).passes(super::minutes(1)).comes("young", &[]);
        w.does(Command::PutPerson(profile("ana", &[], 1)));
    };
    let online = |_: &World| Command::Presence { person: "ana".into(), presence: Presence::Online };
    let jumps = |events: &mut Vec<Event>| {
        for event in events {
            if let Event::Assigned { conversation, .. } = event {
                *conversation = "young".into();
            }
        }
    };
    assert_eq!(broken(waits, online, jumps), "old is before young");
    let forgotten = |events: &mut Vec<Event>| events.retain(|event| !matches!(event, Event::Assigned { .. }));
    assert!(broken(waits, online, forgotten).starts_with("somebody could take"));
    let twice = |events: &mut Vec<Event>| events.extend(events.last().cloned());
    assert!(broken(waits, online, twice).contains("can take"));

    let owned = |w: &mut World| {
        w.joins("ana", &[], 5).comes("a", &[]);
    };
    let removed = |_: &World| Command::RemovePerson { person: "ana".into() };
    let kept = |events: &mut Vec<Event>| events.retain(|event| !matches!(event, Event::Requeued { .. }));
    assert!(broken(owned, removed, kept).starts_with("ana went with"));
    let number = |events: &mut Vec<Event>| {
        for event in events {
            if let Event::Requeued { number, .. } = event {
                *number += 1;
            }
        }
    };
    assert_eq!(broken(owned, removed, number), "a is at 2, not 4");
}
