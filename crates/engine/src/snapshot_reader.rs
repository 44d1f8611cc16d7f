//! Reads the current state of an aggregate from its newest snapshot and the entries after it.
//!
//! The amount read is bounded by the distance between snapshots, however long the journal is.

use std::sync::Arc;

use baton_core::id::{RunId, TenantId};
use baton_core::run::{FOLD_VERSION, Run, RunEntry};
use baton_ports::journal::AggregateId;
use baton_ports::read::ReadModel;

use crate::owner::versions_of;
use crate::{EngineError, WorkflowCache};

/// Entries per read.
const PAGE: usize = 500;

/// Reads on from a sequence number, page by page; from a snapshot if there is a later one.
pub(crate) struct SnapshotReader<'a> {
    read: &'a dyn ReadModel,
    tenant: &'a TenantId,
    id: &'a AggregateId,
    seq: u64,
    /// Whether there may be a later snapshot: more than one page is left, or nothing was read yet.
    may_have_snapshot: bool,
}

/// The next part of a journal.
pub(crate) enum JournalPage {
    /// A snapshot that includes everything before it.
    Snapshot(Arc<[u8]>),
    Entries(Vec<Arc<[u8]>>),
}

impl<'a> SnapshotReader<'a> {
    /// The first `seq` entries are known already.
    pub fn new(read: &'a dyn ReadModel, tenant: &'a TenantId, id: &'a AggregateId, seq: u64) -> Self {
        Self { read, tenant, id, seq, may_have_snapshot: seq == 0 }
    }

    /// `None` once everything is read.
    pub async fn next_page(&mut self) -> Result<Option<JournalPage>, EngineError> {
        if std::mem::replace(&mut self.may_have_snapshot, true)
            && let Some(snapshot) = self.read.snapshot(self.tenant, self.id, FOLD_VERSION, self.seq).await?
        {
            self.seq = snapshot.seq;
            return Ok(Some(JournalPage::Snapshot(snapshot.state)));
        }
        let entries = self.read.entries(self.tenant, self.id, self.seq, PAGE).await?;
        self.seq += entries.len() as u64;
        Ok((!entries.is_empty()).then_some(JournalPage::Entries(entries)))
    }

    /// Number of entries that are known now.
    pub fn seq(&self) -> u64 {
        self.seq
    }
}

/// The current state of a run. To learn how the run got there, read it [whole](crate::FollowedRun::read).
pub async fn read_run(
    read: &dyn ReadModel,
    library: &WorkflowCache,
    tenant: &TenantId,
    id: &RunId,
) -> Result<Run, EngineError> {
    let (mut run, mut behind) = (Run::new(), SnapshotReader::new(read, tenant, id, 0));
    while let Some(page) = behind.next_page().await? {
        match page {
            JournalPage::Snapshot(state) => {
                run = serde_json::from_slice(&state)?;
                load_versions(&mut run, library, &[]).await?;
            }
            JournalPage::Entries(entries) => {
                let entries = entries.iter().map(|entry| crate::decode(entry)).collect::<Result<Vec<RunEntry>, _>>()?;
                load_versions(&mut run, library, &entries).await?;
                entries.iter().for_each(|entry| run.fold(entry));
            }
        }
    }
    Ok(run)
}

/// Loads the version that the run is on, and those that these entries name.
async fn load_versions(run: &mut Run, library: &WorkflowCache, entries: &[RunEntry]) -> Result<(), EngineError> {
    for hash in versions_of(entries, &[], Some(run)) {
        let workflow = library.version(&hash).await?;
        run.add_version(hash, workflow);
    }
    Ok(())
}
