//! Every accepted item is consumed once, and leaves a trace or is refused.

use std::collections::{BTreeMap, BTreeSet};

use baton_core::id::RunId;
use baton_core::run::{IncomingCommand, RunEntry, RunEvent};
use baton_ports::journal::InboxItem;

use super::{PromiseViolation, violation};

#[derive(Debug, Default)]
pub struct InboxOracle {
    consumed: BTreeSet<i64>,
    /// Items of the last append, with the trace that each should have left.
    last: Vec<(i64, &'static str)>,
    /// Traces in the last append.
    traces: BTreeMap<&'static str, u32>,
    refused: BTreeSet<i64>,
    is_acknowledged: bool,
    /// The epoch that wrote the last append.
    epoch: u64,
}

impl InboxOracle {
    pub fn items_consumed(
        &mut self,
        run: &RunId,
        epoch: u64,
        items: &[InboxItem],
        entry: &RunEntry,
    ) -> Result<(), PromiseViolation> {
        self.owner_changed();
        self.epoch = epoch;
        for item in items {
            if !self.consumed.insert(item.item) {
                return violation("inbox", format!("`{run}` consumed item {} twice", item.item));
            }
            if let Some(trace) = trace_of(item) {
                self.last.push((item.item, trace));
            }
        }
        if !self.last.is_empty() {
            for event in &entry.events {
                for trace in traces_of(event) {
                    *self.traces.entry(trace).or_default() += 1;
                }
            }
        }
        Ok(())
    }

    /// The refusals of the last append will never be reported.
    pub fn owner_changed(&mut self) {
        self.last.clear();
        self.traces.clear();
        self.refused.clear();
        self.is_acknowledged = false;
    }

    pub fn acknowledged(&mut self, epoch: u64) {
        self.is_acknowledged = self.epoch == epoch;
    }

    pub fn refused(&mut self, epoch: u64, item: i64) {
        if self.epoch == epoch {
            self.refused.insert(item);
        }
    }

    pub fn settle(&mut self, run: &RunId, epoch: u64) -> Result<(), PromiseViolation> {
        if !self.is_acknowledged || self.epoch != epoch {
            return Ok(());
        }
        let last = std::mem::take(&mut self.last);
        for (item, trace) in last.into_iter().filter(|(item, _)| !self.refused.contains(item)) {
            let left = self.traces.entry(trace).or_default();
            match left.checked_sub(1) {
                Some(less) => *left = less,
                None => {
                    return violation("inbox", format!("`{run}` consumed item {item} without a trace of `{trace}`"));
                }
            }
        }
        self.owner_changed();
        Ok(())
    }

    pub fn consumed(&self) -> usize {
        self.consumed.len()
    }
}

/// The trace of an item that is not refused; `None` if it may leave none.
fn trace_of(item: &InboxItem) -> Option<&'static str> {
    match serde_json::from_slice::<IncomingCommand>(&item.payload).ok()? {
        IncomingCommand::Start(_) => Some("start"),
        // A signal with a known number is dropped silently.
        IncomingCommand::Signal(signal) => signal.sequence.is_none().then_some("signal"),
        IncomingCommand::Answer { .. } => Some("answer"),
        IncomingCommand::Approve { .. } => Some("approve"),
        IncomingCommand::Fill { .. } => Some("fill"),
        IncomingCommand::Resolve { .. } => Some("resolve"),
        IncomingCommand::ChildEnded { .. } => Some("child ended"),
        IncomingCommand::ChildUndone { .. } => Some("child undone"),
        IncomingCommand::Pause { .. } => Some("pause"),
        IncomingCommand::Resume { .. } => Some("resume"),
        IncomingCommand::Cancel { .. } => Some("cancel"),
        IncomingCommand::Retry { .. } | IncomingCommand::Rollback { .. } => Some("reopen"),
        IncomingCommand::Fork { .. } => Some("fork"),
    }
}

fn traces_of(event: &RunEvent) -> &'static [&'static str] {
    match event {
        RunEvent::Started(_) => &["start"],
        RunEvent::SignalKept { .. } | RunEvent::SignalHeld { .. } => &["signal"],
        RunEvent::Answered { .. } => &["answer"],
        RunEvent::UndoneByHand { .. } | RunEvent::UndoAgain { .. } => &["resolve"],
        RunEvent::Replied { .. } => &["fill", "approve"],
        RunEvent::Unblocked { .. } | RunEvent::Approved { .. } => &["approve"],
        RunEvent::NotDone { .. } | RunEvent::NotUndone { .. } | RunEvent::Doubted { .. } => &["approve"],
        RunEvent::Resolved { .. } => &["resolve"],
        RunEvent::Done(_) => &["child ended"],
        RunEvent::ChildUndone { .. } => &["child undone"],
        RunEvent::Paused { .. } => &["pause"],
        RunEvent::Resumed { .. } => &["resume"],
        RunEvent::Winding { .. } => &["cancel"],
        RunEvent::Reopened(_) => &["reopen"],
        RunEvent::Forked(_) => &["fork"],
        _ => &[],
    }
}
