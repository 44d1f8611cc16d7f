//! What was done is undone in reverse order, once, with the arguments that were stored when it was done.

use std::collections::BTreeSet;

use baton_core::run::{Address, CallId, Done, Event, Path, Reopened, Request, Role, State, Undo};

use super::{Chronicle, Violation, broken};

/// One effect and how its undoing stands.
struct Entry {
    done: Done,
    undo: Undo,
    at: Standing,
    /// A merge cut its branch off and wants it undone.
    is_wanted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Kept,
    Underway,
    Undone,
    Failed,
}

/// Whether a node, or one whose body it is in, was cut off.
fn is_cut(cut: &BTreeSet<Address>, node: &Address) -> bool {
    let mut at = node.clone();
    loop {
        if cut.contains(&at) {
            return true;
        }
        match at.scope.parent() {
            Some((scope, node, _)) => at = Address::new(scope, node),
            None => return false,
        }
    }
}

#[derive(Default)]
struct Walk {
    entries: Vec<Entry>,
    rolls_back: bool,
    cut: BTreeSet<Address>,
}

pub fn check(chronicle: &Chronicle) -> Result<(), Violation> {
    let mut walk = Walk::default();
    for event in chronicle.events() {
        walk.event(event).or_else(|what| broken("saga", format!("`{}`: {what}", chronicle.run)))?;
    }
    match &chronicle.finished {
        Some(finished) => {
            walk.end(finished.state).or_else(|what| broken("saga", format!("`{}`: {what}", chronicle.run)))
        }
        None => Ok(()),
    }
}

impl Walk {
    fn event(&mut self, event: &Event) -> Result<(), String> {
        match event {
            Event::Done(done) if done.effect.call.role == Role::Undo => {
                return self.settle(&done.effect.call, Standing::Undone);
            }
            Event::Done(done) | Event::ArrivedLate(done) => self.push(done),
            Event::Scheduled(scheduled) if scheduled.effect.call.role == Role::Undo => {
                return self.begin(&scheduled.effect.call, &scheduled.request);
            }
            Event::ChildUndoing { effect, .. } => return self.begin_any(&effect.call).map(drop),
            Event::ChildUndone { effect, fault } => {
                let at = if fault.is_none() { Standing::Undone } else { Standing::Failed };
                return self.settle(&effect.call, at);
            }
            Event::NotUndone { effect, .. } => return self.settle(&effect.call, Standing::Failed),
            Event::UndoAgain { effect, .. } => return self.try_again(&effect.call),
            Event::BranchesCut { scope, nodes, undo: true } => self.cut_off(scope, nodes),
            Event::Compensating => self.rolls_back = true,
            Event::Reopened(reopened) if matches!(**reopened, Reopened::Rollback { .. }) => self.rolls_back = true,
            _ => {}
        }
        Ok(())
    }

    fn push(&mut self, done: &Done) {
        let Some(undo) = &done.undo else { return };
        let is_wanted = is_cut(&self.cut, &done.effect.call.node);
        self.entries.push(Entry { done: done.clone(), undo: (**undo).clone(), at: Standing::Kept, is_wanted });
    }

    fn cut_off(&mut self, scope: &Path, nodes: &[baton_core::id::NodeId]) {
        self.cut.extend(nodes.iter().map(|node| Address::new(scope.clone(), node.clone())));
        for entry in &mut self.entries {
            entry.is_wanted |= is_cut(&self.cut, &entry.done.effect.call.node);
        }
    }

    fn begin(&mut self, call: &CallId, request: &Request) -> Result<(), String> {
        let entry = self.begin_any(call)?;
        let Request::Tool { tool: name, arguments: given, .. } = request else {
            return Err(format!("{call:?} is undone by a model"));
        };
        match &entry.undo {
            Undo::Call { tool, arguments, .. } if tool == name && *arguments == **given => Ok(()),
            stored => Err(format!("{call:?} is undone by {name} {given}, and {stored:?} was stored")),
        }
    }

    /// The undoing of an effect begins: nothing newer may be left.
    fn begin_any(&mut self, call: &CallId) -> Result<&Entry, String> {
        let rolls_back = self.rolls_back;
        let is_work = |entry: &Entry| !matches!(entry.undo, Undo::Irreversible { .. });
        let Some(place) = self.place_of(call).filter(|place| self.entries[*place].at == Standing::Kept) else {
            return Err(format!("{call:?} is undone, and there is nothing to undo"));
        };
        let is_due = |entry: &Entry| (rolls_back || entry.is_wanted) && is_work(entry);
        if !is_due(&self.entries[place]) {
            return Err(format!("{call:?} is undone, and nobody asked for it"));
        }
        let newer = self.entries[place + 1..].iter().find(|entry| is_due(entry) && entry.at == Standing::Kept);
        if let Some(newer) = newer {
            return Err(format!("{call:?} is undone before the newer {}", newer.done.effect));
        }
        self.entries[place].at = Standing::Underway;
        Ok(&self.entries[place])
    }

    fn settle(&mut self, call: &CallId, at: Standing) -> Result<(), String> {
        // What cannot be undone for want of arguments fails without having begun.
        let is_open = |entry: &Entry| {
            let is_broken = matches!(entry.undo, Undo::Broken { .. }) && at == Standing::Failed;
            entry.at == Standing::Underway || (is_broken && entry.at == Standing::Kept)
        };
        match self.place_of(call).filter(|place| is_open(&self.entries[*place])) {
            Some(place) => {
                self.entries[place].at = at;
                Ok(())
            }
            None => Err(format!("{call:?} is {at:?}, and was not being undone")),
        }
    }

    /// Only what was not undone is tried again, and only where something can be asked.
    fn try_again(&mut self, call: &CallId) -> Result<(), String> {
        let is_left = |entry: &Entry| entry.at == Standing::Failed && !matches!(entry.undo, Undo::Broken { .. });
        match self.place_of(call).filter(|place| is_left(&self.entries[*place])) {
            Some(place) => {
                self.entries[place].at = Standing::Kept;
                self.entries[place].is_wanted = true;
                Ok(())
            }
            None => Err(format!("{call:?} is tried again, and nothing of it is left")),
        }
    }

    /// A compensation's call number is the place of what it undoes.
    fn place_of(&self, call: &CallId) -> Option<usize> {
        let place = usize::try_from(call.call).ok()?;
        let entry = self.entries.get(place)?;
        (entry.done.effect.call.node == call.node && call.role == Role::Undo).then_some(place)
    }

    fn end(&self, state: State) -> Result<(), String> {
        let is_work = |entry: &&Entry| !matches!(entry.undo, Undo::Irreversible { .. });
        let left = |entry: &&Entry| entry.at != Standing::Undone;
        match state {
            State::Compensated => match self.entries.iter().filter(is_work).find(left) {
                Some(entry) => Err(format!("{} is {:?}, and the run is compensated", entry.done.effect, entry.at)),
                None => Ok(()),
            },
            _ => {
                match self.entries.iter().filter(is_work).find(|entry| entry.is_wanted && entry.at == Standing::Kept) {
                    Some(entry) => Err(format!("{} lost its race, and was never undone", entry.done.effect)),
                    None => Ok(()),
                }
            }
        }
    }
}
