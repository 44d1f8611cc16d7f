//! The state of every node of a run at this instant: what a fault that strikes now meets.

use std::collections::BTreeSet;

use baton_core::id::RunId;
use baton_core::run::{NodeAddress, Run, RunEvent};
use baton_engine::decode;

use super::Simulation;
use crate::case::{FaultPoint, SimFault};
use crate::coverage::CoverageColumn;
use crate::oracle::row_of;
use crate::process::TaskAddress;

impl Simulation<'_> {
    /// Counts what a fault meets in every run of the process that it strikes.
    pub(super) fn cover_all(&mut self, place: &TaskAddress, column: CoverageColumn) {
        let runs: Vec<RunId> = self.processes[place.process].tasks.keys().cloned().collect();
        for run in runs {
            self.cover_run(place.process, &run, column);
        }
        self.cover_aggregate(place.process, None, column);
    }

    /// Counts what a fault meets in the run that it strikes.
    pub(super) fn cover(&mut self, place: &TaskAddress, column: CoverageColumn) {
        self.cover_run(place.process, &place.run, column);
        self.cover_aggregate(place.process, Some(&place.run), column);
    }

    /// Counts a fault that strikes one call.
    pub(super) fn cover_call(
        &mut self,
        place: &TaskAddress,
        at: &NodeAddress,
        column: CoverageColumn,
        instant: FaultPoint,
    ) {
        let task = self.processes[place.process].tasks.get(&place.run);
        if let Some(row) = task.and_then(|task| row_of(task.owner.run().workflow()?, at)) {
            self.coverage.hit(row, column, instant);
        }
    }

    fn cover_run(&mut self, process: usize, run: &RunId, column: CoverageColumn) {
        for (kind, instant) in self.node_states(process, run) {
            self.coverage.hit(kind, column, instant);
        }
    }

    /// Counts what a fault meets in one conversation or routing queue of a process, or in all of them.
    fn cover_aggregate(&mut self, process: usize, only: Option<&RunId>, column: CoverageColumn) {
        let kept = self.processes[process].aggregate_tasks.iter().filter(|(id, _)| only.is_none_or(|only| only == *id));
        let hit = kept.filter_map(|(_, aggregate_task)| {
            let instant = match &aggregate_task.pending_append {
                Some((_, true)) => FaultPoint::AfterAppend,
                Some((_, false)) => FaultPoint::BeforeAppend,
                None => aggregate_task.has_recorded.then_some(FaultPoint::Recorded)?,
            };
            Some((aggregate_task.aggregate.row(), instant))
        });
        for (row, instant) in hit.collect::<Vec<_>>() {
            self.coverage.hit(row, column, instant);
        }
    }

    fn node_states(&self, process: usize, run: &RunId) -> BTreeSet<(&'static str, FaultPoint)> {
        let mut found = BTreeSet::new();
        let Some(task) = self.processes[process].tasks.get(run) else { return found };
        let state = task.owner.run();
        let Some(workflow) = state.workflow() else { return found };
        let mut note = |at: &NodeAddress, instant: FaultPoint| {
            found.extend(row_of(workflow, at).map(|kind| (kind, instant)));
        };
        if let Some((entry, is_committed)) = &task.pending_append {
            let instant = if *is_committed { FaultPoint::AfterAppend } else { FaultPoint::BeforeAppend };
            for at in entry_nodes(entry, false) {
                note(&at, instant);
            }
        }
        for at in task.last_recorded.iter().flat_map(|entry| entry_nodes(entry, true)) {
            note(&at, FaultPoint::Recorded);
        }
        for (effect, out) in &task.attempts {
            let instant = if out.acted { FaultPoint::Acted } else { FaultPoint::Sent };
            for at in enclosing_nodes(&effect.call.node) {
                note(&at, instant);
            }
        }
        let has_mail = self.journal.inbox_len(run) > 0;
        for at in waiting(state) {
            note(&at, if has_mail { FaultPoint::Acted } else { FaultPoint::Sent });
        }
        found
    }
}

/// The nodes that an entry concerns, or those that it settles.
fn entry_nodes(entry: &[u8], only_settled: bool) -> BTreeSet<NodeAddress> {
    let Ok(entry) = decode(entry) else { return BTreeSet::new() };
    let of = |event: &RunEvent| match event {
        RunEvent::Ended(ended) => Some(ended.node.clone()),
        RunEvent::Done(done) => Some(done.effect.call.node.clone()),
        _ if only_settled => None,
        RunEvent::Scheduled(scheduled) => Some(scheduled.effect.call.node.clone()),
        RunEvent::Began { node, .. } | RunEvent::Answered { node, .. } | RunEvent::Stepped { node, .. } => {
            Some(node.clone())
        }
        RunEvent::Sending { effect, .. } | RunEvent::NotDone { effect, .. } => Some(effect.call.node.clone()),
        _ => None,
    };
    entry.events.iter().filter_map(of).collect()
}

/// A node and those whose bodies contain it.
fn enclosing_nodes(node: &NodeAddress) -> Vec<NodeAddress> {
    let mut all = vec![node.clone()];
    let mut at = node.clone();
    while let Some((scope, node, _)) = at.scope.parent() {
        at = NodeAddress::new(scope, node);
        all.push(at.clone());
    }
    all
}

/// Nodes that wait for a person, a signal, a timer or a child.
fn waiting(run: &Run) -> Vec<NodeAddress> {
    let rows = run.nodes().into_iter();
    let waits = rows.filter(|row| row.status == "running" && matches!(row.kind, "human" | "wait" | "subworkflow"));
    waits.map(|row| row.node).collect()
}

/// The column in which a planned fault is counted, if it strikes a process or a run.
pub(super) fn column(fault: SimFault) -> Option<CoverageColumn> {
    match fault {
        SimFault::Kill { .. } | SimFault::KillMidway { .. } => Some(CoverageColumn::Kill),
        SimFault::Freeze { .. } | SimFault::FreezeMidway { .. } => Some(CoverageColumn::Freeze),
        SimFault::Leave => Some(CoverageColumn::Leave),
        SimFault::FailWrite { .. } => Some(CoverageColumn::FailedWrite),
        SimFault::SlowWrite { .. } => Some(CoverageColumn::SlowWrite),
        SimFault::FailStore { .. } => Some(CoverageColumn::FailedStore),
        SimFault::SetClock { .. } => Some(CoverageColumn::SetClock),
        SimFault::LoseHints => Some(CoverageColumn::LostHints),
        SimFault::Duplicate => Some(CoverageColumn::Duplicate),
        SimFault::Pause => Some(CoverageColumn::Pause),
        SimFault::Cancel { .. } => Some(CoverageColumn::Cancel),
        SimFault::AnswerTwice | SimFault::Call(_) | SimFault::Block(_) => None,
    }
}
