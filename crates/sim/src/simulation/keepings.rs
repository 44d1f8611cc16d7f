//! Awake conversations and desks: what moves them is fed, and what it asks for is carried out, as the engine's own shell
//! does it.

use baton_core::id::RunId;
use baton_core::run::FOLD_VERSION;
use baton_core::time::Time;
use baton_engine::dispatcher::Left;
use baton_engine::owner::Output;
use baton_ports::journal::{Append, Claimed, Error, InboxItem};

use super::tasks::{COMPARED, OTHER_FOLD};
use super::{Happening, Simulation, tell};
use crate::case::Instant;
use crate::keeping::Keeping;
use crate::process::Place;

impl Simulation<'_> {
    pub(super) fn begin_keeping(&mut self, process: usize, id: &RunId, claimed: &Claimed) {
        let mut claimed = claimed.clone();
        if self.processes[process].fold_version != FOLD_VERSION
            && let Some(snapshot) = &mut claimed.snapshot
            && let Some(own) = snapshot.state.strip_prefix(OTHER_FOLD)
        {
            snapshot.state = own.into();
        }
        let number = self.number();
        let keeping = match Keeping::new(number, id, &claimed, self.clocks(process)) {
            Ok(Some(keeping)) => keeping,
            Ok(None) => return self.violate("codec", format!("`{id}` is a run, and was taken for a conversation")),
            Err(error) => return self.violate("codec", format!("`{id}` cannot be read back: {error}")),
        };
        self.processes[process].keepings.insert(id.clone(), keeping);
        self.renew_soon(process);
        let nudged = self.processes[process].dispatcher.woke(id);
        let place = self.place(process, id, number);
        if claimed.snapshot.is_some() {
            self.compare_kept_sometimes(&place);
        }
        self.go_on_kept(&place);
        if nudged {
            self.look_into_inbox(process, id);
        }
    }

    /// Decides what is in its inbox and what time has brought.
    fn go_on_kept(&mut self, place: &Place) {
        let now = self.clocks(place.process);
        let Some(keeping) = self.processes[place.process].keeping_mut(place) else { return };
        keeping.nudged = false;
        let outputs = keeping.go_on(now, &self.options);
        self.carry_out_kept(place, outputs);
    }

    fn carry_out_kept(&mut self, place: &Place, outputs: Result<Vec<Output>, baton_engine::Error>) {
        let outputs = match outputs {
            Ok(outputs) => outputs,
            Err(error) => return self.violate("codec", format!("`{}` cannot be written: {error}", place.run)),
        };
        let Some(ownership) = self.ownership(place) else { return };
        for output in outputs {
            self.sleeps(place.process, &place.run, ownership, &output);
            self.carry_out(place, output);
        }
        self.leave_if_idle(place);
    }

    pub(super) fn answered_kept(&mut self, place: &Place, answer: Result<(), Error>) {
        let Some(keeping) = self.processes[place.process].keeping_mut(place) else { return };
        keeping.under_way = None;
        match answer {
            Ok(()) => {}
            Err(_) => return self.end_task(place, Left::Unsettled { moved: true }),
        }
        let refused = keeping.refusing().to_vec();
        if !refused.is_empty() {
            tell!(self, "p{} {} refuses items {refused:?}", place.process, place.run);
        }
        let now = self.clocks(place.process);
        let Some(keeping) = self.processes[place.process].keeping_mut(place) else { return };
        let outputs = keeping.appended(now, &self.options);
        for fault in self.storm.due(Instant::Recorded) {
            self.strike(place, fault);
        }
        let lets_go = outputs.iter().flatten().any(|output| matches!(output, Output::Released));
        self.carry_out_kept(place, outputs);
        let is_nudged = self.processes[place.process].keeping_mut(place).is_some_and(|keeping| keeping.nudged);
        // One that was let go of is announced again by its dispatcher.
        if !is_nudged || lets_go {
            return;
        }
        let (process, incarnation, run) = (place.process, place.incarnation, place.run.clone());
        match self.is_up(process, incarnation) {
            true => self.nudged_kept(process, &run),
            // It looks once it goes on.
            false => self.soon(0, 2, Happening::Nudged { process, incarnation, run }),
        }
    }

    pub(super) fn nudged_kept(&mut self, process: usize, id: &RunId) {
        let Some(keeping) = self.processes[process].keepings.get_mut(id) else { return };
        keeping.nudged = true;
        if keeping.is_writing {
            return;
        }
        let (handle, seen, number) = (keeping.kept.ownership().handle, keeping.kept.seen(), keeping.number);
        if self.storm.fails().is_some() {
            let place = self.place(process, id, number);
            return self.end_task(&place, Left::Unsettled { moved: true });
        }
        let items = self.books.inbox(handle, seen);
        tell!(self, "p{process} {id} ← items {:?}", items.iter().map(|item| &item.command_id).collect::<Vec<_>>());
        self.processes[process].dispatcher.seen(id);
        if let Some(keeping) = self.processes[process].keepings.get_mut(id) {
            keeping.items = items;
        }
        let place = self.place(process, id, number);
        self.go_on_kept(&place);
    }

    pub(super) fn woken_kept(&mut self, place: &Place, at: Time) {
        let now = self.clocks(place.process);
        let Some(keeping) = self.processes[place.process].keeping_mut(place) else { return };
        if keeping.wake_at != Some(at) {
            return;
        }
        if keeping.kept.time_left(now).is_some_and(|left| !left.is_zero()) {
            return self.wakes(place, at);
        }
        let Some(keeping) = self.processes[place.process].keeping_mut(place) else { return };
        keeping.wake_at = None;
        // Once its append is durable it looks at the clock by itself.
        if !keeping.is_writing {
            self.go_on_kept(place);
        }
    }

    fn compare_kept_sometimes(&mut self, place: &Place) {
        if self.rng.chance(COMPARED) {
            self.compare_kept(place);
        }
    }

    /// What moves it holds what its journal folds to.
    pub(super) fn compare_kept(&mut self, place: &Place) {
        let Some(keeping) = self.processes[place.process].keepings.get(&place.run) else { return };
        let (seq, state) = keeping.kept.state();
        let checked = self.witness.talks.folded(&place.run, seq, state);
        self.heed(checked);
    }

    /// An append of a conversation's or a desk's was taken.
    pub(super) fn kept(&mut self, append: &Append, taken: &[InboxItem]) {
        let checked = self.witness.talks.committed(append, taken);
        self.heed(checked);
        if append.entry.is_some() {
            self.react_to_talk(&append.aggregate);
        }
    }
}
