//! A reference implementation of the rules that is as simple as possible: it scans all people and conversations each
//! time.
//!
//! It knows only the inputs and outputs of the routing queue, and names the rule that an event breaks.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{
    EscalationAction, PersonProfile, Presence, Priority, RoutingCommand, RoutingEvent, RoutingRequirements,
    TransferTarget,
};
use super::{RoutingFixture, enqueue, profile};
use crate::id::RunId;
use crate::time::Time;

struct OraclePerson {
    profile: PersonProfile,
    online: bool,
    idle_since: Time,
    has: BTreeSet<RunId>,
}

struct OracleConversation {
    /// The index of its requirements among all that ever occurred.
    wants: usize,
    priority: Priority,
    since: Time,
    owner: Option<String>,
    number: u64,
}

#[derive(Default)]
pub(super) struct AssignmentOracle {
    people: BTreeMap<String, OraclePerson>,
    things: BTreeMap<RunId, OracleConversation>,
    /// All requirements that ever occurred.
    wants: Vec<RoutingRequirements>,
    /// Number of assignments.
    pub given: usize,
    seen: usize,
}

impl AssignmentOracle {
    /// Checks the events of a command against the rules.
    pub fn check_events(&mut self, command: &RoutingCommand, events: &[RoutingEvent], now: Time) -> Result<(), String> {
        let chosen = match command {
            RoutingCommand::Transfer { conversation, to: TransferTarget::Person(person), .. } => {
                Some((conversation, person))
            }
            _ => None,
        };
        for event in events {
            match event {
                RoutingEvent::Assigned { conversation, person, .. } if chosen != Some((conversation, person)) => {
                    self.is_next(conversation, person.as_str())?;
                }
                _ => {}
            }
            self.apply_event(event, now)?;
        }
        self.seen += 1;
        // With thousands of conversations it is checked only from time to time, because it takes long.
        if self.things.len() > 1_000 && !self.seen.is_multiple_of(16) {
            return Ok(());
        }
        self.check_nothing_assignable()
    }

    fn number_of(&mut self, wants: &RoutingRequirements) -> usize {
        self.wants.iter().position(|known| known == wants).unwrap_or_else(|| {
            self.wants.push(wants.clone());
            self.wants.len() - 1
        })
    }

    /// For all requirements that ever occurred, whether a person can take them now.
    fn takers(&self) -> Vec<bool> {
        self.wants.iter().map(|wants| self.can(wants).next().is_some()).collect()
    }

    fn can(&self, wants: &RoutingRequirements) -> impl Iterator<Item = (&String, &OraclePerson)> {
        self.people.iter().filter(move |(_, somebody)| {
            let PersonProfile { skills, languages, max_capacity, .. } = &somebody.profile;
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

    fn apply_event(&mut self, event: &RoutingEvent, now: Time) -> Result<(), String> {
        match event {
            RoutingEvent::PersonPut(profile) => {
                let new = || OraclePerson {
                    profile: (**profile).clone(),
                    online: false,
                    idle_since: now,
                    has: BTreeSet::new(),
                };
                self.people.entry(profile.id.to_string()).or_insert_with(new).profile = (**profile).clone();
            }
            RoutingEvent::PersonRemoved { person } => {
                let gone = self.people.remove(person.as_str()).ok_or("nobody is removed")?;
                if !gone.has.is_empty() {
                    return Err(format!("{person} went with {:?}", gone.has));
                }
            }
            RoutingEvent::PresenceSet { person, presence, .. } => {
                let somebody = self.people.get_mut(person.as_str()).ok_or("nobody's presence")?;
                let online = *presence == Presence::Online;
                if online && !somebody.online {
                    somebody.idle_since = now;
                }
                somebody.online = online;
            }
            RoutingEvent::Queued { conversation, number, wants, priority, waiting_since, .. } => {
                let (wants, since) = (self.number_of(wants), *waiting_since);
                let thing = OracleConversation { wants, priority: *priority, since, owner: None, number: *number };
                if self.things.insert(conversation.clone(), thing).is_some() {
                    return Err(format!("{conversation} is at the desk twice"));
                }
            }
            RoutingEvent::ServiceLevelSet { conversation, priority, .. } => {
                self.things.get_mut(conversation).ok_or("nothing is promised")?.priority = *priority;
            }
            RoutingEvent::Assigned { conversation, number, person, .. } => {
                self.given += 1;
                self.change_owner(conversation, *number, Some(person.as_str()))?;
                let somebody = self.people.get_mut(person.as_str()).ok_or("given to nobody")?;
                somebody.has.insert(conversation.clone());
                somebody.idle_since = now;
                if !somebody.online || somebody.has.len() > somebody.profile.max_capacity as usize {
                    return Err(format!("{person} cannot have {conversation}"));
                }
            }
            RoutingEvent::Requeued { conversation, number, from, wants, .. } => {
                self.change_owner(conversation, *number, None)?;
                self.unassign(from.as_str(), conversation, now)?;
                let wants = self.number_of(wants);
                self.things.get_mut(conversation).ok_or("nothing is given back")?.wants = wants;
            }
            RoutingEvent::Redirected { conversation, wants } => {
                let wants = self.number_of(wants);
                self.things.get_mut(conversation).ok_or("nothing is redirected")?.wants = wants;
            }
            RoutingEvent::Left { conversation, .. } => {
                let thing = self.things.remove(conversation).ok_or("nothing leaves")?;
                if let Some(owner) = thing.owner {
                    self.unassign(&owner, conversation, now)?;
                }
            }
            RoutingEvent::Escalated { conversation, act, .. } => {
                let anybody = self.number_of(&RoutingRequirements::default());
                let thing = self.things.get_mut(conversation).ok_or("nothing is escalated")?;
                match act {
                    EscalationAction::RaisePriority => thing.priority = Priority::Urgent,
                    EscalationAction::DropSkills => thing.wants = anybody,
                    EscalationAction::Tell => {}
                }
            }
            RoutingEvent::SettingsSet(_) | RoutingEvent::Heard { .. } | RoutingEvent::Answered { .. } => {}
        }
        Ok(())
    }

    /// Each owner has its own number, and always follows no owner.
    fn change_owner(&mut self, conversation: &RunId, number: u64, to: Option<&str>) -> Result<(), String> {
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

    fn unassign(&mut self, person: &str, conversation: &RunId, now: Time) -> Result<(), String> {
        let somebody = self.people.get_mut(person).ok_or("nobody loses it")?;
        somebody.idle_since = now;
        somebody.has.remove(conversation).then_some(()).ok_or_else(|| format!("{person} never had {conversation}"))
    }

    fn check_nothing_assignable(&self) -> Result<(), String> {
        let takers = self.takers();
        match self.things.iter().find(|(_, thing)| thing.owner.is_none() && takers[thing.wants]) {
            Some((conversation, _)) => Err(format!("somebody could take {conversation}, and was not given it")),
            None => Ok(()),
        }
    }
}

/// The oracle's report if it is given an outcome that breaks a rule.
fn broken(
    prepare: impl Fn(&mut RoutingFixture),
    command: impl Fn(&RoutingFixture) -> RoutingCommand,
    falsify: impl Fn(&mut Vec<RoutingEvent>),
) -> String {
    let (mut w, mut oracle) = (RoutingFixture::new(), AssignmentOracle::default());
    prepare(&mut w);
    for (at, event) in &w.journal {
        oracle.apply_event(event, *at).unwrap();
    }
    let command = command(&w);
    let mut events = w.submit(command.clone());
    falsify(&mut events);
    oracle.check_events(&command, &events, w.now).unwrap_err()
}

fn comes(id: &'static str, skills: &'static [&'static str]) -> impl Fn(&RoutingFixture) -> RoutingCommand {
    move |w| RoutingCommand::Enqueue(enqueue(id, 1, skills, Priority::Normal, w.now))
}

fn given_to(other: &'static str) -> impl Fn(&mut Vec<RoutingEvent>) {
    move |events| {
        for event in events {
            if let RoutingEvent::Assigned { person, .. } = event {
                *person = other.into();
            }
        }
    }
}

#[test]
fn the_oracle_finds_every_rule_that_is_broken() {
    let skilled = |w: &mut RoutingFixture| {
        w.joins("ana", &["x"], 5).joins("bob", &[], 5);
    };
    assert_eq!(broken(skilled, comes("c", &["x"]), given_to("bob")), "c is for Some(\"ana\"), not bob");
    let loaded = |w: &mut RoutingFixture| {
        w.joins("ana", &[], 5).comes("a", &[]).joins("bob", &[], 5);
    };
    assert_eq!(broken(loaded, comes("c", &[]), given_to("ana")), "c is for Some(\"bob\"), not ana");
    let idle = |w: &mut RoutingFixture| {
        w.joins("bob", &[], 5).advance_time(super::minutes(1)).joins("ana", &[], 5);
    };
    assert_eq!(broken(idle, comes("c", &[]), given_to("ana")), "c is for Some(\"bob\"), not ana");
    let full = |w: &mut RoutingFixture| {
        w.joins("ana", &[], 1).comes("a", &[]).joins("bob", &[], 1);
    };
    assert_eq!(broken(full, comes("c", &[]), given_to("ana")), "c is for Some(\"bob\"), not ana");
    let away = |w: &mut RoutingFixture| {
        w.joins("ana", &[], 5).is("ana", Presence::Away).joins("bob", &[], 5);
    };
    assert_eq!(broken(away, comes("c", &[]), given_to("ana")), "c is for Some(\"bob\"), not ana");

    let waits = |w: &mut RoutingFixture| {
        w.comes("old", &[]).advance_time(super::minutes(1)).comes("young", &[]);
        w.submit(RoutingCommand::PutPerson(profile("ana", &[], 1)));
    };
    let online = |_: &RoutingFixture| RoutingCommand::Presence { person: "ana".into(), presence: Presence::Online };
    let jumps = |events: &mut Vec<RoutingEvent>| {
        for event in events {
            if let RoutingEvent::Assigned { conversation, .. } = event {
                *conversation = "young".into();
            }
        }
    };
    assert_eq!(broken(waits, online, jumps), "old is before young");
    let forgotten =
        |events: &mut Vec<RoutingEvent>| events.retain(|event| !matches!(event, RoutingEvent::Assigned { .. }));
    assert!(broken(waits, online, forgotten).starts_with("somebody could take"));
    let twice = |events: &mut Vec<RoutingEvent>| events.extend(events.last().cloned());
    assert!(broken(waits, online, twice).contains("can take"));

    let owned = |w: &mut RoutingFixture| {
        w.joins("ana", &[], 5).comes("a", &[]);
    };
    let removed = |_: &RoutingFixture| RoutingCommand::RemovePerson { person: "ana".into() };
    let kept = |events: &mut Vec<RoutingEvent>| events.retain(|event| !matches!(event, RoutingEvent::Requeued { .. }));
    assert!(broken(owned, removed, kept).starts_with("ana went with"));
    let number = |events: &mut Vec<RoutingEvent>| {
        for event in events {
            if let RoutingEvent::Requeued { number, .. } = event {
                *number += 1;
            }
        }
    };
    assert_eq!(broken(owned, removed, number), "a is at 2, not 4");
}
