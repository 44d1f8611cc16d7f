//! How an aggregate stands, looked at: from its newest snapshot, and the entries behind it.
//!
//! What is read is bounded by how far apart snapshots are, however long the journal is.

use std::sync::Arc;

use baton_core::id::{RunId, TenantId};
use baton_core::run::{Entry, FOLD_VERSION, Run};
use baton_ports::journal::AggregateId;
use baton_ports::read::Read;

use crate::owner::versions_of;
use crate::{Error, Library};

/// Entries read at once.
const PAGE: usize = 500;

/// Reads on from a place, page by page; from a snapshot where one is farther.
pub(crate) struct Behind<'a> {
    read: &'a dyn Read,
    tenant: &'a TenantId,
    id: &'a AggregateId,
    seq: u64,
    /// Whether a snapshot may be farther: there is more than one page to read, or nothing was read yet.
    is_far: bool,
}

/// What comes next.
pub(crate) enum Page {
    /// All that came before it is in it.
    Snapshot(Arc<[u8]>),
    Entries(Vec<Arc<[u8]>>),
}

impl<'a> Behind<'a> {
    /// `seq` entries are known already.
    pub fn new(read: &'a dyn Read, tenant: &'a TenantId, id: &'a AggregateId, seq: u64) -> Self {
        Self { read, tenant, id, seq, is_far: seq == 0 }
    }

    /// Nothing once all is read.
    pub async fn next(&mut self) -> Result<Option<Page>, Error> {
        if std::mem::replace(&mut self.is_far, true)
            && let Some(snapshot) = self.read.snapshot(self.tenant, self.id, FOLD_VERSION, self.seq).await?
        {
            self.seq = snapshot.seq;
            return Ok(Some(Page::Snapshot(snapshot.state)));
        }
        let entries = self.read.entries(self.tenant, self.id, self.seq, PAGE).await?;
        self.seq += entries.len() as u64;
        Ok((!entries.is_empty()).then_some(Page::Entries(entries)))
    }

    /// Entries that are known now.
    pub fn seq(&self) -> u64 {
        self.seq
    }
}

/// A run as it stands. Who wants to know how it came there reads it [whole](crate::Followed::read).
pub async fn run(read: &dyn Read, library: &Library, tenant: &TenantId, id: &RunId) -> Result<Run, Error> {
    let (mut run, mut behind) = (Run::new(), Behind::new(read, tenant, id, 0));
    while let Some(page) = behind.next().await? {
        match page {
            Page::Snapshot(state) => {
                run = serde_json::from_slice(&state)?;
                learn(&mut run, library, &[]).await?;
            }
            Page::Entries(entries) => {
                let entries = entries.iter().map(|entry| crate::decode(entry)).collect::<Result<Vec<Entry>, _>>()?;
                learn(&mut run, library, &entries).await?;
                entries.iter().for_each(|entry| run.fold(entry));
            }
        }
    }
    Ok(run)
}

/// Brings the versions that it is on, and that these entries name.
async fn learn(run: &mut Run, library: &Library, entries: &[Entry]) -> Result<(), Error> {
    for hash in versions_of(entries, &[], Some(run)) {
        let workflow = library.version(&hash).await?;
        run.know(hash, workflow);
    }
    Ok(())
}
