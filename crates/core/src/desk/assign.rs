//! Who is given what.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::case::{Place, Wants};
use super::event::Event;
use super::state::Desk;
use crate::id::PersonId;
use crate::time::Time;

/// What has changed since everything was given out that could be.
#[derive(Clone, Debug, Default)]
pub(super) enum Changed {
    #[default]
    Nothing,
    /// One person can take what they could not.
    Person(PersonId),
    /// One line has got longer.
    Line(Arc<Wants>),
    /// More than that.
    Much,
}

impl Desk {
    /// Gives out what can be given out.
    ///
    /// Only the lines are looked at that have changed, and of each only its first: where nobody can take that one, nobody
    /// can take those behind it, since they want the same. What one command changes is bounded, so what is given out is too.
    pub(super) fn assign(&mut self, changed: &Changed, now: Time, events: &mut Vec<Event>) {
        let mut heads = self.heads(changed);
        while let Some((place, wants)) = heads.pop_first() {
            let Some(person) = self.best(&wants, changed) else { continue };
            self.give(&place, person, now, events);
            if let Some(next) = self.index.lines.get(&wants).and_then(|line| line.first()) {
                heads.insert(next.clone(), wants);
            }
        }
    }

    /// The first of each line that may move.
    fn heads(&self, changed: &Changed) -> BTreeMap<Place, Arc<Wants>> {
        let all = self.index.lines.iter().filter_map(|(wants, line)| Some((line.first()?.clone(), wants.clone())));
        match changed {
            Changed::Nothing => BTreeMap::new(),
            Changed::Much => all.collect(),
            Changed::Person(id) => match self.kept.people.get(id).filter(|person| person.is_free()) {
                Some(person) => all.filter(|(_, wants)| person.profile.can(wants)).collect(),
                None => BTreeMap::new(),
            },
            Changed::Line(wants) => {
                let first = self.index.lines.get(wants).and_then(|line| line.first());
                first.map(|place| (place.clone(), wants.clone())).into_iter().collect()
            }
        }
    }

    /// Who should take what wants this. Where only one person has changed, nobody else could take anything before.
    fn best(&self, wants: &Wants, changed: &Changed) -> Option<PersonId> {
        let able = |id: &&PersonId| {
            self.kept.people.get(*id).is_some_and(|person| person.is_free() && person.profile.can(wants))
        };
        match changed {
            Changed::Person(id) => Some(id).filter(able).cloned(),
            Changed::Nothing | Changed::Line(_) | Changed::Much => {
                self.index.free.iter().map(|(.., id)| id).find(able).cloned()
            }
        }
    }

    fn give(&mut self, place: &Place, person: PersonId, now: Time, events: &mut Vec<Event>) {
        let Some(case) = self.kept.cases.get(&place.2) else { return };
        let (conversation, stay, number) = (case.conversation.clone(), case.stay, case.number + 1);
        self.emit(Event::Assigned { conversation, stay, number, person }, now, events);
    }
}
