//! What one append says.

use std::sync::Arc;

use baton_core::mutant::{Mutant, planted};
use baton_core::run::{Entry, Event, FOLD_VERSION, Refusal};
use baton_core::time::Time;
use baton_core::tool::AuditRow;
use baton_ports::budget::Spend;
use baton_ports::journal::{Append, Head, Projection, Snapshot, Submit};

use super::{Owner, UnderWay, saved};
use crate::{Options, messages, projections, roster};

/// What one append will say.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) events: Vec<Event>,
    pub(super) items: Vec<i64>,
    pub(super) refused: Vec<(i64, Refusal)>,
    pub(super) outbox: Vec<Submit>,
    pub(super) audit: Vec<AuditRow>,
    pub(super) spends: Vec<Spend>,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty() && self.records_nothing()
    }

    /// Whether all there is to write is that items were taken: what was refused leaves no entry in the journal.
    pub(super) fn records_nothing(&self) -> bool {
        self.events.is_empty() && self.audit.is_empty() && self.spends.is_empty()
    }
}

impl Owner {
    pub(super) fn append(
        &mut self,
        decided: Time,
        now: Time,
        options: &Options,
        batch: Batch,
    ) -> Result<Append, serde_json::Error> {
        let at = decided.max(self.run.now());
        let mut batch = batch;
        saved::note(self, &mut batch, at);
        let is_recorded = !batch.records_nothing();
        let mut outbox = messages::of(&self.tenant, &self.run, &batch.events, at)?;
        outbox.extend(batch.outbox);
        let mut projections = self.desk.follow(&self.tenant, &self.run, &batch.events, at);
        projections.extend(projections::begun(&self.id, &self.tenant, &self.run, &batch.events));
        if planted(Mutant::OutboxLost) {
            outbox.clear();
        }
        if planted(Mutant::DeskLeftOpen) {
            projections.retain(|projection| !matches!(projection, Projection::DeskClosed { .. }));
        }
        let noted = batch.events.iter().filter_map(roster::Outcome::of).collect();
        let entry = is_recorded.then(|| Arc::new(Entry { at, events: batch.events }));
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
        let announce = outbox.iter().map(|submit: &Submit| submit.aggregate.clone()).collect();
        self.under_way = Some(UnderWay { entry, noted, announce, refused: batch.refused, released: release });
        let append = Append {
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

    /// When it must be looked at again, as the wall's clock will show it. `now` and not the entry's time, which is earlier
    /// where what was decided was held back: what goes out between the two would be forgotten.
    pub(super) fn wakes_at(&self, now: Time) -> Option<Time> {
        self.run.wake_at(now).map(|at| self.time.on_the_wall(at))
    }

    /// Whether nothing will be left to do here once the append is durable.
    pub(super) fn will_sleep(&self, now: Time, options: &Options) -> bool {
        if self.run.state().is_end() {
            return self.in_flight.is_empty();
        }
        let soon = self.run.wake_at(now).is_some_and(|at| at <= now + options.keep_awake);
        self.in_flight.is_empty() && !soon && !self.run.has_more() && self.run.pending(now).next().is_none()
    }

    pub(super) fn head_if_changed(&mut self, release: bool) -> Option<Head> {
        let state = self.run.state();
        let same = self.head.as_ref().is_some_and(|head| head.state == state);
        if same && !release {
            return None;
        }
        let head = Head {
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

    /// A snapshot is worth its bytes once as many were journaled since the last.
    pub(super) fn snapshot_if_due(&mut self, options: &Options) -> Result<Option<Snapshot>, serde_json::Error> {
        let (entries, bytes) = self.since_snapshot;
        if entries < options.snapshot_entries || bytes < self.snapshot_bytes {
            return Ok(None);
        }
        let state: Arc<[u8]> = serde_json::to_vec(&self.run)?.into();
        self.since_snapshot = (0, 0);
        self.snapshot_bytes = state.len();
        let seq = self.seq + u64::from(!planted(Mutant::SnapshotSeqWrong));
        Ok(Some(Snapshot { fold_version: FOLD_VERSION, seq, state }))
    }
}
