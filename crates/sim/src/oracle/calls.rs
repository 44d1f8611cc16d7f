//! Every call's way through the journal, and what may leave for the world because of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use baton_core::id::RunId;
use baton_core::run::{CallId, Detour, EffectId, Event, InDoubt, Request, Resolution, Role};
use baton_core::time::Time;
use baton_core::tool::Class;
use baton_engine::owner::Send;
use baton_ports::journal::Ownership;
use serde::Serialize;
use serde_json::Value;

use super::{Violation, broken};
use crate::services::{Asked, Services, Told, asks_for};

#[derive(Debug, Default)]
pub struct Calls {
    known: BTreeMap<CallId, Known>,
    /// Generations that a person gave up on: they may have acted all the same.
    pub given_up: BTreeSet<EffectId>,
    /// Answers that came after that.
    pub late: BTreeSet<EffectId>,
    /// Generations that are recorded as done.
    pub done: BTreeSet<EffectId>,
}

#[derive(Debug)]
struct Known {
    class: Class,
    tool: String,
    arguments: Option<Arc<Value>>,
    generation: u32,
    /// Attempts that were recorded as not done, and are followed by another.
    repeated: u32,
    is_open: bool,
    /// A process took the run over while it could be out under its key.
    was_left: bool,
    markers: BTreeMap<u32, Marker>,
}

#[derive(Clone, Copy, Debug)]
struct Marker {
    epoch: u64,
    deadline: Time,
}

/// What the journal holds of a request, as whoever is asked must see it, whoever sends it and however often.
fn whole(request: &impl Serialize) -> Option<Arc<Value>> {
    serde_json::to_value(request).ok().map(Arc::new)
}

impl Calls {
    pub fn recorded(
        &mut self,
        run: &RunId,
        event: &Event,
        services: &Services,
        most: &dyn Fn(&EffectId, &str) -> Option<u32>,
    ) -> Result<(), Violation> {
        match event {
            Event::Scheduled(scheduled) => {
                let (tool, arguments) = match &scheduled.request {
                    Request::Tool { tool, arguments, .. } => (tool.clone(), Some(arguments.clone())),
                    Request::Model(request) => (String::new(), whole(request)),
                    Request::Code { program, .. } => (String::new(), whole(program)),
                    // Its task and what it has seen are the state's.
                    Request::Step { .. } => (String::new(), None),
                };
                let known = Known {
                    class: scheduled.class,
                    tool,
                    arguments,
                    generation: scheduled.effect.generation,
                    repeated: 0,
                    is_open: true,
                    was_left: false,
                    markers: BTreeMap::new(),
                };
                let effect = &scheduled.effect;
                match self.known.insert(effect.call.clone(), known) {
                    // What could not be undone is tried again, under a key of its own.
                    Some(before)
                        if effect.call.role == Role::Undo
                            && !before.is_open
                            && before.generation < effect.generation =>
                    {
                        Ok(())
                    }
                    Some(_) => broken("scheduled once", format!("{effect} of `{run}` was scheduled twice")),
                    None => Ok(()),
                }
            }
            Event::Sending { effect, epoch, deadline } => {
                let known = self.open(run, effect)?;
                known.markers.insert(effect.generation, Marker { epoch: *epoch, deadline: *deadline });
                Ok(())
            }
            Event::Done(done) => {
                // A child's end is recorded as a call that was never scheduled.
                if self.known.contains_key(&done.effect.call) {
                    self.open(run, &done.effect)?.is_open = false;
                }
                self.done.insert(done.effect.clone());
                Ok(())
            }
            Event::ArrivedLate(done) => {
                self.late.insert(done.effect.clone());
                Ok(())
            }
            Event::NotDone { effect, again_at, .. } => self.not_done(run, effect, again_at.is_some(), most),
            Event::Degraded { effect, attempted, detour, .. } => self.degraded(run, effect, *attempted, detour),
            Event::NotUndone { effect, .. } => {
                let undo = CallId { role: Role::Undo, ..effect.call.clone() };
                if let Some(known) = self.known.get_mut(&undo) {
                    known.is_open = false;
                }
                Ok(())
            }
            Event::TakenOver { .. } => {
                self.known.values_mut().filter(|known| known.is_open).for_each(|known| known.was_left = true);
                Ok(())
            }
            Event::Replied { effect, same_key, .. } => {
                let known = self.open(run, effect)?;
                known.generation += u32::from(!same_key);
                known.was_left &= *same_key;
                Ok(())
            }
            Event::Doubted { effect, next, .. } => self.doubted(run, effect, next),
            Event::Resolved { effect, resolution, .. } => self.resolved(run, effect, resolution),
            Event::Abandoned { call } => self.abandoned(run, call, services),
            _ => Ok(()),
        }
    }

    fn open(&mut self, run: &RunId, effect: &EffectId) -> Result<&mut Known, Violation> {
        match self.known.get_mut(&effect.call) {
            Some(known) if known.is_open && known.generation == effect.generation => Ok(known),
            found => broken("recorded once", format!("{effect} of `{run}` is recorded, and is {found:?}")),
        }
    }

    fn not_done(
        &mut self,
        run: &RunId,
        effect: &EffectId,
        again: bool,
        most: &dyn Fn(&EffectId, &str) -> Option<u32>,
    ) -> Result<(), Violation> {
        let known = self.open(run, effect)?;
        if !again {
            known.is_open = false;
            return Ok(());
        }
        known.generation += 1;
        known.was_left = false;
        known.repeated += 1;
        // What a look-up found undone may be sent once more whatever may be repeated else.
        let least = if known.class == Class::Verify { 2 } else { 1 };
        match most(effect, &known.tool).map(|most| most.max(least)) {
            Some(most) if known.repeated >= most => {
                broken("retries", format!("{effect} of `{run}` goes out again after {} of {most}", known.repeated))
            }
            _ => Ok(()),
        }
    }

    /// What a tool says for times when its service is down: nothing that acts is answered for, and what was attempted goes
    /// out again under the next generation only.
    fn degraded(&mut self, run: &RunId, effect: &EffectId, attempted: bool, detour: &Detour) -> Result<(), Violation> {
        let known = self.open(run, effect)?;
        known.generation += u32::from(attempted);
        known.was_left &= !attempted;
        match detour {
            Detour::Answered { .. } if known.class.acts() => {
                broken("outage", format!("{effect} of `{run}` acts, and is answered for"))
            }
            Detour::Answered { .. } | Detour::Refused => {
                known.is_open = false;
                Ok(())
            }
            Detour::Provider { .. } => {
                known.repeated = 0;
                Ok(())
            }
            Detour::Queued { .. } | Detour::Person => Ok(()),
        }
    }

    fn doubted(&mut self, run: &RunId, effect: &EffectId, next: &InDoubt) -> Result<(), Violation> {
        let known = self.open(run, effect)?;
        let may = match next {
            InDoubt::SendAgain { .. } => known.class == Class::Keyed,
            InDoubt::LookUp { .. } => known.class == Class::Verify,
            InDoubt::Person => known.class.acts(),
        };
        if may {
            Ok(())
        } else {
            broken("class", format!("{effect} of `{run}` is {:?}, and then {next:?}", known.class))
        }
    }

    fn resolved(&mut self, run: &RunId, effect: &EffectId, resolution: &Resolution) -> Result<(), Violation> {
        let known = self.open(run, effect)?;
        match resolution {
            Resolution::Done { .. } => {}
            Resolution::NotDone => {
                self.given_up.insert(effect.clone());
            }
            Resolution::Repeat => {
                known.generation += 1;
                known.was_left = false;
                self.given_up.insert(effect.clone());
            }
        }
        Ok(())
    }

    /// Only what cannot have changed the world may be dropped.
    fn abandoned(&mut self, run: &RunId, call: &CallId, services: &Services) -> Result<(), Violation> {
        let Some(known) = self.known.get_mut(call) else { return Ok(()) };
        known.is_open = false;
        let key = EffectId { call: call.clone(), generation: known.generation }.key(run);
        if known.class.acts() && services.did(&key).is_some() {
            return broken("in flight", format!("`{key}` acted, and was dropped"));
        }
        Ok(())
    }

    /// Whether an answer to this call, which was given up, would be news.
    pub fn wants_late(&self, effect: &EffectId) -> bool {
        self.given_up.contains(effect) && !self.late.contains(effect)
    }

    /// Effects whose marker is written and whose outcome is not recorded.
    pub fn marked(&self) -> BTreeSet<EffectId> {
        let open =
            self.known.iter().filter(|(_, known)| known.is_open && known.markers.contains_key(&known.generation));
        open.map(|(call, known)| EffectId { call: call.clone(), generation: known.generation }).collect()
    }

    /// A call leaves for the world.
    pub fn leaves(
        &self,
        run: &RunId,
        send: &Send,
        ownership: Ownership,
        is_owner: bool,
        now: Time,
        services: &Services,
    ) -> Result<(), Violation> {
        let effect = &send.effect;
        let Some(known) = self.known.get(&effect.call) else {
            return broken("append before effects", format!("{effect} of `{run}` left before it was scheduled"));
        };
        // A process that stood still may send what its successor has settled: nothing but a key guards against that.
        if is_owner && (!known.is_open || known.generation != effect.generation) {
            return broken("recorded once", format!("{effect} of `{run}` went out, and is {known:?}"));
        }
        if known.class.is_marked() {
            return self.may_leave_marked(known, run, effect, ownership, now, services);
        }
        let key = effect.key(run);
        let before: Vec<&Asked> =
            services.ledger.iter().filter(|asked| asked.key == key && !asked.is_look_up).collect();
        let arguments = asks_for(&send.what);
        let is_as_scheduled = known.arguments.as_ref().is_none_or(|scheduled| **scheduled == arguments);
        if !is_as_scheduled || before.iter().any(|asked| asked.arguments != arguments) {
            return broken("arguments", format!("`{key}` goes out with other arguments than were scheduled"));
        }
        let is_in_doubt = known.was_left || before.iter().any(|asked| matches!(asked.told, None | Some(Told::Unknown)));
        let may = |last: &Asked| match last.told {
            Some(Told::Unknown) => true,
            Some(Told::NotDone | Told::Declined) => is_in_doubt && known.class == Class::Keyed,
            Some(Told::Done | Told::NotFound) | None => false,
        };
        if let Some(last) = before.last().filter(|last| last.epoch == ownership.epoch && !may(last)) {
            return broken("sent again", format!("`{key}` goes out again, and the last answer was {:?}", last.told));
        }
        self.leaves_none_behind(known, run, effect, services)
    }

    /// A call that acts does not go out under another key while one under an earlier may have acted.
    fn leaves_none_behind(
        &self,
        known: &Known,
        run: &RunId,
        effect: &EffectId,
        services: &Services,
    ) -> Result<(), Violation> {
        let is_older = |asked: &&Asked| {
            let of = &asked.effect;
            asked.run == *run && of.call == effect.call && of.generation < effect.generation
        };
        // What a process that stood still sends comes to nobody, whatever its successor was told.
        let mut older = services.ledger.iter().filter(is_older).filter(|asked| asked.was_owner);
        match older.find(|asked| known.class.acts() && !self.is_cleared(known.class, asked, services)) {
            Some(asked) => {
                broken("in doubt", format!("{effect} of `{run}` goes out while {} is unknown", asked.effect))
            }
            None => Ok(()),
        }
    }

    fn may_leave_marked(
        &self,
        known: &Known,
        run: &RunId,
        effect: &EffectId,
        ownership: Ownership,
        now: Time,
        services: &Services,
    ) -> Result<(), Violation> {
        match known.markers.get(&effect.generation) {
            Some(marker) if marker.epoch == ownership.epoch && now <= marker.deadline => {}
            found => {
                let epoch = ownership.epoch;
                return broken("marker", format!("{effect} of `{run}` leaves under epoch {epoch}, marked {found:?}"));
            }
        }
        let of_call = |asked: &&Asked| asked.run == *run && asked.effect.call == effect.call && !asked.is_look_up;
        for asked in services.ledger.iter().filter(of_call) {
            if asked.effect.generation == effect.generation {
                return broken("once", format!("{effect} of `{run}` is sent twice under one key"));
            }
            if !self.is_cleared(known.class, asked, services) {
                return broken("once", format!("{effect} of `{run}` is sent while {} is unknown", asked.effect));
            }
        }
        Ok(())
    }

    /// Whether an earlier generation is known not to have acted, or somebody decided that it does not matter.
    fn is_cleared(&self, class: Class, asked: &Asked, services: &Services) -> bool {
        let was_missed = || {
            let is_it = |look_up: &&Asked| look_up.is_look_up && look_up.key == asked.key;
            services.ledger.iter().filter(is_it).any(|look_up| look_up.told == Some(Told::NotFound))
        };
        // Whoever says no for good under a key has looked up what became of it.
        let was_declined = || {
            let is_it = |later: &&Asked| !later.is_look_up && later.key == asked.key && later.at >= asked.at;
            services.ledger.iter().filter(is_it).any(|later| later.told == Some(Told::Declined))
        };
        matches!(asked.told, Some(Told::NotDone | Told::Declined))
            || (class == Class::Keyed && was_declined())
            || self.given_up.contains(&asked.effect)
            || (class == Class::Verify && was_missed())
    }

    /// A service is asked what became of a call only once its sender has certainly given up.
    pub fn looks_up(&self, effect: &EffectId, now: Time) -> Result<(), Violation> {
        let marker = self.known.get(&effect.call).and_then(|known| known.markers.get(&effect.generation));
        match marker {
            Some(marker) if marker.deadline <= now => Ok(()),
            found => broken("look-up", format!("{effect} is looked up at {now}, and its marker is {found:?}")),
        }
    }
}
