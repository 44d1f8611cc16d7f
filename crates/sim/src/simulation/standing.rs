//! Where every node of a run stands at this instant: what a fault that strikes now meets.

use std::collections::BTreeSet;

use baton_core::id::RunId;
use baton_core::run::{Address, Event, Run};
use baton_engine::decode;

use super::Simulation;
use crate::case::{Fault, Instant};
use crate::coverage::Column;
use crate::oracle::row_of;
use crate::process::Place;

impl Simulation<'_> {
    /// Counts what a fault meets in every run of the process it strikes.
    pub(super) fn cover_all(&mut self, place: &Place, column: Column) {
        let runs: Vec<RunId> = self.processes[place.process].tasks.keys().cloned().collect();
        for run in runs {
            self.cover_run(place.process, &run, column);
        }
        self.cover_kept(place.process, None, column);
    }

    /// Counts what a fault meets in the run it strikes.
    pub(super) fn cover(&mut self, place: &Place, column: Column) {
        self.cover_run(place.process, &place.run, column);
        self.cover_kept(place.process, Some(&place.run), column);
    }

    /// Counts a fault that strikes one call.
    pub(super) fn cover_call(&mut self, place: &Place, at: &Address, column: Column, instant: Instant) {
        let task = self.processes[place.process].tasks.get(&place.run);
        if let Some(row) = task.and_then(|task| row_of(task.owner.run().workflow()?, at)) {
            self.coverage.hit(row, column, instant);
        }
    }

    fn cover_run(&mut self, process: usize, run: &RunId, column: Column) {
        for (kind, instant) in self.standing(process, run) {
            self.coverage.hit(kind, column, instant);
        }
    }

    /// Counts what a fault meets in one conversation or desk of a process, or in all of them.
    fn cover_kept(&mut self, process: usize, only: Option<&RunId>, column: Column) {
        let kept = self.processes[process].keepings.iter().filter(|(id, _)| only.is_none_or(|only| only == *id));
        let hit = kept.filter_map(|(_, keeping)| {
            let instant = match &keeping.under_way {
                Some((_, true)) => Instant::AfterAppend,
                Some((_, false)) => Instant::BeforeAppend,
                None => keeping.has_recorded.then_some(Instant::Recorded)?,
            };
            Some((keeping.kept.row(), instant))
        });
        for (row, instant) in hit.collect::<Vec<_>>() {
            self.coverage.hit(row, column, instant);
        }
    }

    fn standing(&self, process: usize, run: &RunId) -> BTreeSet<(&'static str, Instant)> {
        let mut found = BTreeSet::new();
        let Some(task) = self.processes[process].tasks.get(run) else { return found };
        let state = task.owner.run();
        let Some(workflow) = state.workflow() else { return found };
        let mut note = |at: &Address, instant: Instant| {
            found.extend(row_of(workflow, at).map(|kind| (kind, instant)));
        };
        if let Some((entry, is_committed)) = &task.under_way {
            let instant = if *is_committed { Instant::AfterAppend } else { Instant::BeforeAppend };
            for at in named(entry, false) {
                note(&at, instant);
            }
        }
        for at in task.recorded.iter().flat_map(|entry| named(entry, true)) {
            note(&at, Instant::Recorded);
        }
        for (effect, out) in &task.out {
            let instant = if out.acted { Instant::Acted } else { Instant::Sent };
            for at in around(&effect.call.node) {
                note(&at, instant);
            }
        }
        let has_mail = self.books.left_in_inbox(run) > 0;
        for at in waiting(state) {
            note(&at, if has_mail { Instant::Acted } else { Instant::Sent });
        }
        found
    }
}

/// The nodes an entry is about, or those it settles.
fn named(entry: &[u8], only_settled: bool) -> BTreeSet<Address> {
    let Ok(entry) = decode(entry) else { return BTreeSet::new() };
    let of = |event: &Event| match event {
        Event::Ended(ended) => Some(ended.node.clone()),
        Event::Done(done) => Some(done.effect.call.node.clone()),
        _ if only_settled => None,
        Event::Scheduled(scheduled) => Some(scheduled.effect.call.node.clone()),
        Event::Began { node, .. } | Event::Answered { node, .. } | Event::Stepped { node, .. } => Some(node.clone()),
        Event::Sending { effect, .. } | Event::NotDone { effect, .. } => Some(effect.call.node.clone()),
        _ => None,
    };
    entry.events.iter().filter_map(of).collect()
}

/// A node and those whose bodies it is in.
fn around(node: &Address) -> Vec<Address> {
    let mut all = vec![node.clone()];
    let mut at = node.clone();
    while let Some((scope, node, _)) = at.scope.parent() {
        at = Address::new(scope, node);
        all.push(at.clone());
    }
    all
}

/// Nodes that wait for a person, a signal, a timer or a child.
fn waiting(run: &Run) -> Vec<Address> {
    let rows = run.nodes().into_iter();
    let waits = rows.filter(|row| row.status == "running" && matches!(row.kind, "human" | "wait" | "subworkflow"));
    waits.map(|row| row.node).collect()
}

/// The column a planned fault is counted in, where it strikes a process or a run.
pub(super) fn column(fault: Fault) -> Option<Column> {
    match fault {
        Fault::Kill { .. } | Fault::KillMidway { .. } => Some(Column::Kill),
        Fault::Freeze { .. } | Fault::FreezeMidway { .. } => Some(Column::Freeze),
        Fault::Leave => Some(Column::Leave),
        Fault::FailWrite { .. } => Some(Column::FailedWrite),
        Fault::SlowWrite { .. } => Some(Column::SlowWrite),
        Fault::FailStore { .. } => Some(Column::FailedStore),
        Fault::SetClock { .. } => Some(Column::SetClock),
        Fault::LoseHints => Some(Column::LostHints),
        Fault::Duplicate => Some(Column::Duplicate),
        Fault::Pause => Some(Column::Pause),
        Fault::Cancel { .. } => Some(Column::Cancel),
        Fault::AnswerTwice | Fault::Call(_) | Fault::Block(_) => None,
    }
}
