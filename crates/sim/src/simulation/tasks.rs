//! Awake runs: their owners are fed, and what they ask for is carried out, as the engine's own shell does it.

use std::collections::BTreeMap;
use std::time::Duration;

use baton_core::id::RunId;
use baton_core::run::FOLD_VERSION;
use baton_core::time::Time;
use baton_engine::dispatcher::Left;
use baton_engine::owner::{Input, Output, Owner, versions_of};
use baton_ports::journal::{Append, Error, InboxItem, Ownership};

use super::script::Stage;
use super::{Happening, Simulation, tell};
use crate::case::{Fault, Instant};
use crate::coverage::Column;
use crate::process::{Place, State, Stop, Task};
use crate::think::Thinker;

/// Of a hundred states, how many are compared with the fold of their whole journal: it costs as much as a run.
pub(super) const COMPARED: u64 = 15;
/// What snapshots of another fold begin with.
pub(super) const OTHER_FOLD: &[u8] = b"another fold: ";

impl Simulation<'_> {
    pub(super) fn begin_task(&mut self, process: usize, run: &RunId, owner: Owner, items: Vec<InboxItem>) {
        let number = self.number();
        let task = Task {
            number,
            owner,
            looked_at: Time::EPOCH,
            permits: BTreeMap::new(),
            out: BTreeMap::new(),
            wake_at: None,
            under_way: None,
            recorded: None,
        };
        self.processes[process].tasks.insert(run.clone(), task);
        self.renew_soon(process);
        let nudged = self.processes[process].dispatcher.woke(run);
        self.feed(process, run, Input::Items(items));
        if nudged {
            self.look_into_inbox(process, run);
        }
    }

    pub(super) fn feed(&mut self, process: usize, run: &RunId, input: Input) {
        let Some(task) = self.processes[process].tasks.get_mut(run) else { return };
        let number = task.number;
        if self.story.is_some() {
            let line = format!("p{process} {run} ← {}", shown(&input));
            self.tell(line);
        }
        let now = self.clocks(process);
        let Some(task) = self.processes[process].tasks.get_mut(run) else { return };
        task.looked_at = now.wall;
        let outputs = task.owner.handle(input, now, &Thinker, &self.options);
        let ownership = task.owner.ownership();
        let place = self.place(process, run, number);
        for output in outputs {
            let let_out = match &output {
                Output::Send(send) | Output::LookUp(send) => Some(&send.effect),
                Output::Perform { effect, .. } => Some(effect),
                _ => None,
            };
            if let Some(effect) = let_out {
                let checked = self.witness.lets_out(run, effect, ownership);
                self.heed(checked);
            }
            self.sleeps(process, run, ownership, &output);
            self.carry_out(&place, output);
        }
        self.leave_if_idle(&place);
    }

    /// One output; between any two the process may be killed, or stand still.
    pub(super) fn carry_out(&mut self, place: &Place, output: Output) {
        if self.processes[place.process].incarnation != place.incarnation {
            return;
        }
        self.stop_midway(place);
        let found = &mut self.processes[place.process];
        match found.state {
            State::Up if found.incarnation == place.incarnation => {}
            State::Frozen { .. } => return found.todo.push_back((place.clone(), output)),
            State::Up | State::Down => return,
        }
        if !found.has(place) {
            return;
        }
        match output {
            Output::Append(append) => self.begin_append(place, *append),
            Output::Send(send) => self.check(place, send),
            Output::Perform { effect, until } => self.perform(place, &effect, until),
            Output::LookUp(send) => self.begin_look_up(place, send),
            Output::Drop { effect } => self.drop_call(place, effect),
            Output::Refused { item, refusal } => {
                tell!(self, "p{} {} refuses item {item}: {refusal}", place.process, place.run);
                if let Some(script) = &mut self.script {
                    script.refused.push(refusal.to_string());
                }
                if let Some(ownership) = self.ownership(place) {
                    self.witness.refused(&place.run, ownership, item);
                }
            }
            // How agents do is nothing that a run depends on.
            Output::Noted(_) => {}
            Output::Announce(run) => {
                if !self.storm.loses_hint(&mut self.rng) {
                    let (process, incarnation) = (place.process, place.incarnation);
                    self.soon(0, 5, Happening::Nudged { process, incarnation, run });
                }
            }
            Output::WakeAt(at) => self.wake_at(place, at),
            Output::Released => {
                self.compare(place);
                self.end_task(place, Left::Gone);
            }
            Output::Fallen => self.end_task(place, Left::Unsettled { moved: true }),
            Output::Release { wake_at } => self.release(place, wake_at),
        }
    }

    /// A run that goes to sleep past its time is named as due at every poll, and nothing ever comes of it.
    pub(super) fn sleeps(&mut self, process: usize, run: &RunId, ownership: Ownership, output: &Output) {
        let wake_at = match output {
            Output::Append(append) if append.release => append.wake_at,
            Output::Release { wake_at } if self.witness.is_owner(run, &ownership) => *wake_at,
            _ => None,
        };
        let wall = self.clocks(process).wall;
        if let Some(at) = wake_at.filter(|at| *at <= wall) {
            self.violate("spin", format!("`{run}` goes to sleep, and was to be woken at {at}"));
        }
    }

    fn stop_midway(&mut self, place: &Place) {
        let found = &mut self.processes[place.process];
        let Some((left, stop)) = found.stops_after.as_mut() else { return };
        if let Some(less) = left.checked_sub(1) {
            *left = less;
            return;
        }
        let stop = *stop;
        found.stops_after = None;
        match stop {
            Stop::Killed => {
                let noticed = self.rng.chance(50);
                let after = Duration::from_secs(self.rng.between(1, 30));
                self.kill(place.process, noticed, after);
            }
            Stop::Frozen => self.freeze(place.process, 60, true),
        }
    }

    fn begin_append(&mut self, place: &Place, append: Append) {
        self.witness.proposed(&append);
        if let Some(under_way) = self.processes[place.process].under_way(place) {
            *under_way = Some((append.entry.clone().unwrap_or_default(), false));
        }
        let faults = self.storm.due(Instant::BeforeAppend);
        let mut delay = Duration::from_millis(self.rng.between(1, 5));
        let mut lost = false;
        for fault in faults {
            match fault {
                Fault::SlowWrite { seconds } => {
                    self.cover(place, Column::SlowWrite);
                    delay = Duration::from_secs(seconds);
                }
                Fault::FailWrite { .. } => {
                    self.cover(place, Column::FailedWrite);
                    lost = true;
                }
                fault => self.strike(place, fault),
            }
        }
        tell!(self, "p{} {} appends {}: {}", place.process, place.run, append.expected_seq + 1, entry_of(&append));
        self.put(self.now + delay, Happening::Arrives { place: place.clone(), append: Box::new(append), lost });
    }

    pub(super) fn arrives(&mut self, place: Place, mut append: Append, lost: bool) {
        // What a killed process had not handed over is lost with it.
        if self.processes[place.process].incarnation != place.incarnation && self.coin(50) {
            return;
        }
        if lost {
            let answer = Err(Error::Unwritable { reason: "the disk is full".to_owned() });
            return self.soon(1, 3, Happening::Answered { place, answer });
        }
        self.fold_otherwise(&place, &mut append);
        let kept = append.clone();
        let taken = self.books.peek(&kept);
        let mut answer = self.books.append(append);
        let mut delay = Duration::from_millis(self.rng.between(1, 3));
        if answer.is_ok() {
            tell!(self, "p{} {} is at {}", place.process, place.run, kept.expected_seq + 1);
            if let Some(Some((_, committed))) = self.processes[place.process].under_way(&place) {
                *committed = true;
            }
            self.stirred = true;
            self.committed(&place, &kept, &taken);
            self.cue_entry(&place, kept.entry.as_deref(), Stage::Marked);
            for fault in self.storm.due(Instant::AfterAppend) {
                match fault {
                    Fault::FailWrite { .. } => {
                        self.cover(&place, Column::FailedWrite);
                        answer = Err(Error::Unwritable { reason: "nobody knows".to_owned() });
                    }
                    Fault::SlowWrite { seconds } => {
                        self.cover(&place, Column::SlowWrite);
                        delay = Duration::from_secs(seconds);
                    }
                    fault => self.strike(&place, fault),
                }
            }
        } else {
            tell!(self, "p{} {} is refused its append {}: {answer:?}", place.process, place.run, kept.expected_seq + 1);
        }
        self.put(self.now + delay, Happening::Answered { place, answer });
    }

    /// What an owner decided is what its journal folds to.
    fn compare(&mut self, place: &Place) {
        if !self.rng.chance(COMPARED) {
            return;
        }
        self.compare_kept(place);
        let Some(task) = self.processes[place.process].tasks.get(&place.run) else { return };
        let checked = self.witness.folded(&place.run, task.owner.run(), task.owner.seq());
        self.heed(checked);
    }

    /// A binary with another fold writes snapshots that this one cannot read.
    pub(super) fn fold_otherwise(&self, place: &Place, append: &mut Append) {
        let fold_version = self.processes[place.process].fold_version;
        if let Some(snapshot) = append.snapshot.as_mut().filter(|_| fold_version != FOLD_VERSION) {
            snapshot.fold_version = fold_version;
            snapshot.state = [OTHER_FOLD, &snapshot.state].concat().into();
        }
    }

    fn committed(&mut self, place: &Place, append: &Append, taken: &[InboxItem]) {
        if self.witness.talks.has(&append.aggregate) {
            return self.kept(append, taken);
        }
        let checked = self.witness.committed(append, taken, &self.services, self.catalog);
        self.heed(checked);
        let asks = self.processes[place.process].task_mut(place).map(|task| task.owner.run().asks());
        if let Some(asks) = asks {
            let checked = self.witness.desk(&append.aggregate, &asks, &self.books);
            self.heed(checked);
        }
        if append.entry.is_some() {
            self.react(append);
        }
    }

    pub(super) fn answered(&mut self, place: &Place, answer: Result<(), Error>) {
        if self.processes[place.process].keeping_mut(place).is_some() {
            return self.answered_kept(place, answer);
        }
        let Some(task) = self.processes[place.process].task_mut(place) else { return };
        task.recorded = task.under_way.take().map(|(entry, _)| entry);
        let recorded = task.recorded.clone();
        let ownership = task.owner.ownership();
        match answer {
            Ok(()) => {
                self.witness.acknowledged(&place.run, ownership);
                self.feed(place.process, &place.run, Input::Appended);
                // One that stopped in the middle has not said all it refused.
                if self.is_up(place.process, place.incarnation) && self.processes[place.process].todo.is_empty() {
                    let checked = self.witness.settled_items(&place.run, ownership);
                    self.heed(checked);
                }
                self.cue_entry(place, recorded.as_deref(), Stage::Recorded);
                for fault in self.storm.due(Instant::Recorded) {
                    self.strike(place, fault);
                }
            }
            Err(_) => self.end_task(place, Left::Unsettled { moved: true }),
        }
    }

    pub(super) fn ownership(&mut self, place: &Place) -> Option<Ownership> {
        self.processes[place.process].ownership(place)
    }

    fn wake_at(&mut self, place: &Place, at: Time) {
        let found = &mut self.processes[place.process];
        let of_keeping = found.keeping_mut(place).map(|keeping| &mut keeping.wake_at).is_some();
        let wake_at = match of_keeping {
            true => found.keeping_mut(place).map(|keeping| &mut keeping.wake_at),
            false => found.task_mut(place).map(|task| &mut task.wake_at),
        };
        if let Some(wake_at) = wake_at
            && *wake_at != Some(at)
        {
            *wake_at = Some(at);
            self.wakes(place, at);
        }
    }

    /// By its own time, which goes on as the world's does unless somebody sets the clock.
    pub(super) fn wakes(&mut self, place: &Place, at: Time) {
        let now = self.clocks(place.process);
        let found = &mut self.processes[place.process];
        let wait = match found.task_mut(place) {
            Some(task) => Some(task.owner.time_until(at, now)),
            None => found.keeping_mut(place).and_then(|keeping| keeping.kept.time_left(now)),
        };
        if let Some(wait) = wait {
            self.put(self.now + wait, Happening::Woken { place: place.clone(), at });
        }
    }

    fn release(&mut self, place: &Place, wake_at: Option<Time>) {
        let Some(ownership) = self.ownership(place) else { return };
        let fails = self.storm.fails();
        let released = if fails == Some(false) { None } else { Some(self.books.release(ownership, wake_at)) };
        if matches!(released, Some(Ok(()))) {
            self.witness.released(&place.run, ownership);
        }
        let is_gone = fails.is_none() && matches!(released, Some(Ok(())));
        self.end_task(place, if is_gone { Left::Gone } else { Left::Unsettled { moved: true } });
    }

    pub(super) fn woken(&mut self, place: &Place, at: Time) {
        if self.processes[place.process].keeping_mut(place).is_some() {
            return self.woken_kept(place, at);
        }
        let now = self.clocks(place.process);
        let Some(task) = self.processes[place.process].task_mut(place) else { return };
        if task.wake_at == Some(at) {
            if !task.owner.time_until(at, now).is_zero() {
                return self.wakes(place, at);
            }
            task.wake_at = None;
            self.feed(place.process, &place.run, Input::Wake);
        }
    }

    /// Items that came from others, with the versions they name.
    pub(super) fn look_into_inbox(&mut self, process: usize, run: &RunId) {
        if self.processes[process].keepings.contains_key(run) {
            return self.nudged_kept(process, run);
        }
        // One that is still being claimed is told by its dispatcher when it is done.
        let Some(task) = self.processes[process].tasks.get(run) else { return };
        let (handle, seen) = (task.owner.ownership().handle, task.owner.inbox_seen());
        self.processes[process].dispatcher.seen(run);
        if self.storm.fails().is_some() {
            // It reads again before long.
            let incarnation = self.processes[process].incarnation;
            return self.soon(900, 1_000, Happening::Nudged { process, incarnation, run: run.clone() });
        }
        let items = self.books.inbox(handle, seen);
        let named = versions_of(&[], &items, None);
        let known: Vec<_> = named.into_iter().filter_map(|hash| self.version(hash)).collect();
        if let Some(task) = self.processes[process].tasks.get_mut(run) {
            task.owner.know(known);
        }
        self.feed(process, run, Input::Items(items));
    }

    pub(super) fn end_task(&mut self, place: &Place, left: Left) {
        let found = &mut self.processes[place.process];
        if !found.has(place) {
            return;
        }
        found.tasks.remove(&place.run);
        found.keepings.remove(&place.run);
        tell!(
            self,
            "p{} lets go of {}{}",
            place.process,
            place.run,
            if left != Left::Gone { " and claims it afresh" } else { "" }
        );
        self.left(place.process, &place.run, left);
        self.leave_if_idle(place);
    }
}

fn shown(input: &Input) -> String {
    match input {
        Input::Items(items) => {
            let ids: Vec<&str> = items.iter().map(|item| item.command_id.as_str()).collect();
            format!("items {ids:?}")
        }
        Input::Outcome { effect, outcome, .. } => format!("{effect}: {outcome:?}"),
        Input::KeyGiven => "a key is given".to_owned(),
        Input::Permitted { effect } => format!("{effect} may go out"),
        Input::Appended => "appended".to_owned(),
        Input::Wake => "wake".to_owned(),
        Input::Lease { .. } => "lease".to_owned(),
    }
}

fn entry_of(append: &Append) -> String {
    let entry = append.entry.as_deref().map_or("nothing".into(), String::from_utf8_lossy);
    let done = if append.inbox_done.is_empty() { String::new() } else { format!(" items {:?}", append.inbox_done) };
    format!("{entry}{done}{}", if append.release { " and lets go" } else { "" })
}
