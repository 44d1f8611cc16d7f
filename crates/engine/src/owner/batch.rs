//! The content of one append.

use std::sync::Arc;

use baton_core::mutant::{Mutant, planted};
use baton_core::run::{FOLD_VERSION, RunEntry, RunEvent, RunRefusal};
use baton_core::time::Time;
use baton_core::tool::AuditRow;
use baton_ports::budget::CallSpend;
use baton_ports::journal::{InboxSubmission, JournalAppend, ProjectionRow, RunHeadUpdate, StateSnapshot};

use super::{PendingAppend, RunOwner, savings};
use crate::{EngineOptions, agent_registry, messages, projections};

/// The content of the next append.
#[derive(Default)]
pub(super) struct AppendBatch {
    pub(super) events: Vec<RunEvent>,
    pub(super) items: Vec<i64>,
    pub(super) refused: Vec<(i64, RunRefusal)>,
    pub(super) outbox: Vec<InboxSubmission>,
    pub(super) audit: Vec<AuditRow>,
    pub(super) spends: Vec<CallSpend>,
}

impl AppendBatch {
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty() && self.has_no_entry()
    }

    /// Whether the append only consumes items: refused items leave no entry in the journal.
    pub(super) fn has_no_entry(&self) -> bool {
        self.events.is_empty() && self.audit.is_empty() && self.spends.is_empty()
    }
}

impl RunOwner {
    pub(super) fn build_append(
        &mut self,
        decided: Time,
        now: Time,
        options: &EngineOptions,
        batch: AppendBatch,
    ) -> Result<JournalAppend, serde_json::Error> {
        let at = decided.max(self.run.now());
        let mut batch = batch;
        savings::record_savings(self, &mut batch, at);
        let is_recorded = !batch.has_no_entry();
        let mut outbox = messages::run_messages(&self.tenant, &self.run, &batch.events, at)?;
        outbox.extend(batch.outbox);
        let mut projections = self.open_tasks.follow(&self.tenant, &self.run, &batch.events, at);
        projections.extend(projections::run_begun(&self.id, &self.tenant, &self.run, &batch.events));
        if planted(Mutant::OutboxLost) {
            outbox.clear();
        }
        if planted(Mutant::DeskLeftOpen) {
            projections.retain(|projection| !matches!(projection, ProjectionRow::TaskClosed { .. }));
        }
        let noted = batch.events.iter().filter_map(agent_registry::AgentOutcome::of).collect();
        let entry = is_recorded.then(|| Arc::new(RunEntry { at, events: batch.events }));
        let bytes: Option<Arc<[u8]>> = match &entry {
            Some(entry) => Some(serde_json::to_vec(&**entry)?.into()),
            None => None,
        };
        let release = self.will_sleep(now, options);
        let head = self.head_if_changed(release);
        let snapshot = match &bytes {
            Some(bytes) => {
                self.since_snapshot.0 += 1;
                self.since_snapshot.1 += bytes.len();
                self.snapshot_if_due(options)?
            }
            None => None,
        };
        let announce = outbox.iter().map(|submit: &InboxSubmission| submit.aggregate.clone()).collect();
        self.pending_append =
            Some(PendingAppend { entry, agent_outcomes: noted, announce, refused: batch.refused, released: release });
        let append = JournalAppend {
            ownership: self.ownership,
            aggregate: self.id.clone(),
            tenant: self.tenant.clone(),
            expected_seq: self.seq,
            at,
            entry: bytes,
            wake_at: self.wakes_at(now),
            release,
            head,
            inbox_done: batch.items,
            outbox,
            projections,
            audit: if planted(Mutant::AuditLost) { Vec::new() } else { batch.audit },
            spends: batch.spends,
            snapshot,
        };
        self.seq += u64::from(is_recorded);
        Ok(append)
    }

    /// The instant of the next wake-up, in wall-clock time. It is computed from `now` and not from the entry's time,
    /// which is earlier if the decision was held back: effects due between the two would be forgotten.
    pub(super) fn wakes_at(&self, now: Time) -> Option<Time> {
        self.run.wake_at(now).map(|at| self.time.to_wall(at))
    }

    /// Whether nothing is left to do here once the append is durable.
    pub(super) fn will_sleep(&self, now: Time, options: &EngineOptions) -> bool {
        if self.run.state().is_end() {
            return self.in_flight.is_empty();
        }
        let soon = self.run.wake_at(now).is_some_and(|at| at <= now + options.keep_awake);
        self.in_flight.is_empty() && !soon && !self.run.has_more_work() && self.run.pending(now).next().is_none()
    }

    pub(super) fn head_if_changed(&mut self, release: bool) -> Option<RunHeadUpdate> {
        let state = self.run.state();
        let same = self.head.as_ref().is_some_and(|head| head.state == state);
        if same && !release {
            return None;
        }
        let head = RunHeadUpdate {
            state,
            started_at: self.run.started().map(|_| self.run.started_at()),
            ended_at: state.is_end().then(|| self.run.now()),
            cost_nanos: self.run.cost().as_nanos(),
            fault: self.run.fault().map(ToString::to_string),
        };
        if self.head.as_ref() == Some(&head) {
            return None;
        }
        self.head = Some(head.clone());
        Some(head)
    }

    /// A snapshot is worth its size once that many bytes were journaled since the last one.
    pub(super) fn snapshot_if_due(
        &mut self,
        options: &EngineOptions,
    ) -> Result<Option<StateSnapshot>, serde_json::Error> {
        let (entries, bytes) = self.since_snapshot;
        if entries < options.snapshot_entries || bytes < self.snapshot_bytes {
            return Ok(None);
        }
        let state: Arc<[u8]> = serde_json::to_vec(&self.run)?.into();
        self.since_snapshot = (0, 0);
        self.snapshot_bytes = state.len();
        let seq = self.seq + u64::from(!planted(Mutant::SnapshotSeqWrong));
        Ok(Some(StateSnapshot { fold_version: FOLD_VERSION, seq, state }))
    }
}
