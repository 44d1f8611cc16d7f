//! What was accepted is consumed once, and leaves a trace or is refused.

use std::collections::{BTreeMap, BTreeSet};

use baton_core::id::RunId;
use baton_core::run::{Entry, Event, Incoming};
use baton_ports::journal::InboxItem;

use super::{Violation, broken};

#[derive(Debug, Default)]
pub struct Inbox {
    consumed: BTreeSet<i64>,
    /// Items of the last append, with the trace each should have left.
    last: Vec<(i64, &'static str)>,
    /// Traces in the last append.
    traces: BTreeMap<&'static str, u32>,
    refused: BTreeSet<i64>,
    is_acknowledged: bool,
    /// The epoch that wrote the last append.
    epoch: u64,
}

impl Inbox {
    pub fn taken(&mut self, run: &RunId, epoch: u64, items: &[InboxItem], entry: &Entry) -> Result<(), Violation> {
        self.forget();
        self.epoch = epoch;
        for item in items {
            if !self.consumed.insert(item.item) {
                return broken("inbox", format!("`{run}` consumed item {} twice", item.item));
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

    /// Nobody will tell any more what was refused of the last append.
    pub fn forget(&mut self) {
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

    pub fn settle(&mut self, run: &RunId, epoch: u64) -> Result<(), Violation> {
        if !self.is_acknowledged || self.epoch != epoch {
            return Ok(());
        }
        let last = std::mem::take(&mut self.last);
        for (item, trace) in last.into_iter().filter(|(item, _)| !self.refused.contains(item)) {
            let left = self.traces.entry(trace).or_default();
            match left.checked_sub(1) {
                Some(less) => *left = less,
                None => {
                    return broken("inbox", format!("`{run}` consumed item {item} without a trace of `{trace}`"));
                }
            }
        }
        self.forget();
        Ok(())
    }

    pub fn consumed(&self) -> usize {
        self.consumed.len()
    }
}

/// The trace an item leaves where it is not refused; `None` where it may leave none.
fn trace_of(item: &InboxItem) -> Option<&'static str> {
    match serde_json::from_slice::<Incoming>(&item.payload).ok()? {
        Incoming::Start(_) => Some("start"),
        // A number that was seen before is dropped in silence.
        Incoming::Signal(signal) => signal.sequence.is_none().then_some("signal"),
        Incoming::Answer { .. } => Some("answer"),
        Incoming::Approve { .. } => Some("approve"),
        Incoming::Fill { .. } => Some("fill"),
        Incoming::Resolve { .. } => Some("resolve"),
        Incoming::ChildEnded { .. } => Some("child ended"),
        Incoming::ChildUndone { .. } => Some("child undone"),
        Incoming::Pause { .. } => Some("pause"),
        Incoming::Resume { .. } => Some("resume"),
        Incoming::Cancel { .. } => Some("cancel"),
        Incoming::Retry { .. } | Incoming::Rollback { .. } => Some("reopen"),
        Incoming::Fork { .. } => Some("fork"),
    }
}

fn traces_of(event: &Event) -> &'static [&'static str] {
    match event {
        Event::Started(_) => &["start"],
        Event::SignalKept { .. } | Event::SignalHeld { .. } => &["signal"],
        Event::Answered { .. } => &["answer"],
        Event::UndoneByHand { .. } | Event::UndoAgain { .. } => &["resolve"],
        Event::Replied { .. } => &["fill", "approve"],
        Event::Unblocked { .. } | Event::Approved { .. } => &["approve"],
        Event::NotDone { .. } | Event::NotUndone { .. } | Event::Doubted { .. } => &["approve"],
        Event::Resolved { .. } => &["resolve"],
        Event::Done(_) => &["child ended"],
        Event::ChildUndone { .. } => &["child undone"],
        Event::Paused { .. } => &["pause"],
        Event::Resumed { .. } => &["resume"],
        Event::Winding { .. } => &["cancel"],
        Event::Reopened(_) => &["reopen"],
        Event::Forked(_) => &["fork"],
        _ => &[],
    }
}
