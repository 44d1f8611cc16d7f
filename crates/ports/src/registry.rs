//! The workflow registry: versions and what they pin, which one is active, how runs are split among several, and which
//! workflows are archived.

use std::sync::Arc;

use async_trait::async_trait;
use baton_core::bundle::ContentHash;
use baton_core::id::TenantId;
use baton_core::time::Time;
use serde::{Deserialize, Serialize};

use crate::journal::JournalError;

/// Maximum number of versions that share a workflow's runs.
pub const SHARES_MAX: usize = 10;
/// The sum of all shares of a workflow's runs.
pub const PERCENT: u32 = 100;

/// One immutable version of a workflow.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WorkflowVersion {
    pub workflow: String,
    /// 1 for the first; increases by one with each save of a changed bundle.
    pub revision: u32,
    /// The version text of the definition, kept as a label.
    pub label: String,
    pub bundle: ContentHash,
    pub active: bool,
    pub created_at: Time,
    /// Who created it; `None` if it came from the project's files.
    pub made_by: Option<String>,
    /// When it last became the active one; `None` if it never did.
    pub activated_at: Option<Time>,
}

/// A version's share of a workflow's runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VersionShare {
    pub revision: u32,
    /// Of [`PERCENT`].
    pub percent: u32,
}

/// The state of a workflow.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkflowStatus {
    /// Increases with each change of the workflow, from 1.
    pub changes: u64,
    /// `None` if it is not archived.
    pub archived_at: Option<Time>,
    pub active: Option<WorkflowVersion>,
    /// The versions that share its runs; if empty, the active version gets all.
    pub split: Vec<(WorkflowVersion, u32)>,
}

impl WorkflowStatus {
    /// The version that runs for a caller. The same caller always gets the same one, as long as the split is unchanged.
    pub fn version_for(&self, whom: &str) -> Option<&WorkflowVersion> {
        let mut below = split_bucket(whom);
        for (version, percent) in &self.split {
            match below.checked_sub(*percent) {
                None => return Some(version),
                Some(rest) => below = rest,
            }
        }
        self.active.as_ref()
    }

    pub fn shares(&self) -> Vec<VersionShare> {
        self.split
            .iter()
            .map(|(version, percent)| VersionShare { revision: version.revision, percent: *percent })
            .collect()
    }
}

/// The caller's bucket among 100, always the same.
fn split_bucket(whom: &str) -> u32 {
    let hash = ContentHash::of(whom.as_bytes());
    let digits = hash.as_str().get(..8).and_then(|digits| u32::from_str_radix(digits, 16).ok());
    digits.unwrap_or_default() % PERCENT
}

/// A version to be stored.
#[derive(Clone, Debug)]
pub struct NewVersion {
    pub label: String,
    pub bundle: Arc<[u8]>,
    /// The hash of the bundle.
    pub hash: ContentHash,
    /// `None` if it comes from the project's files.
    pub made_by: Option<String>,
    /// Whether it becomes the active one, and gets all runs.
    pub activate: bool,
}

/// A change of a workflow.
#[derive(Clone, Debug)]
pub enum WorkflowChange {
    /// Stores a version. One that is active already, or that was the last one from the same kind of source (a person,
    /// or files), stays as it is, so that a restart with the same files does not reactivate what was rolled back or
    /// archived.
    Add(NewVersion),
    /// Makes a version the active one, which gets all runs; unarchives the workflow.
    Activate { revision: u32 },
    /// Splits its runs; if empty, the active version gets all again.
    Split(Vec<VersionShare>),
    /// Archives it: no version is active, and its active runs continue.
    Archive,
}

/// The result of a change.
#[derive(Clone, Debug, PartialEq)]
pub enum ChangeResult {
    /// The version it was about (the newest, if it was about none), and how often the workflow has changed now.
    Done { version: WorkflowVersion, changes: u64 },
    /// It was changed meanwhile; nothing was done.
    Stale { changes: u64 },
    /// There is no such workflow or revision; nothing was done.
    Missing,
}

#[async_trait]
pub trait WorkflowRegistry: Send + Sync {
    /// Changes a workflow only if it has changed `expected` times, if given; 0 means that it must not exist. Durable
    /// when it returns.
    async fn change(
        &self,
        tenant: &TenantId,
        workflow: &str,
        change: WorkflowChange,
        expected: Option<u64>,
        now: Time,
    ) -> Result<ChangeResult, JournalError>;

    /// The state of a workflow; `None` if it does not exist.
    async fn workflow_status(&self, tenant: &TenantId, workflow: &str) -> Result<Option<WorkflowStatus>, JournalError>;

    /// The active version of each workflow, or the newest if none was ever active, ordered by name. Archived workflows
    /// are left out.
    async fn workflows(&self, tenant: &TenantId) -> Result<Vec<WorkflowVersion>, JournalError>;

    /// Newest first.
    async fn versions(&self, tenant: &TenantId, workflow: &str) -> Result<Vec<WorkflowVersion>, JournalError>;

    async fn bundle(&self, hash: &ContentHash) -> Result<Option<Arc<[u8]>>, JournalError>;

    async fn active(&self, tenant: &TenantId, workflow: &str) -> Result<Option<WorkflowVersion>, JournalError> {
        Ok(self.workflow_status(tenant, workflow).await?.and_then(|standing| standing.active))
    }

    /// Stores a bundle of the project's files and makes it the active version of its workflow; one that is active
    /// already, or was the last one from files, stays as it is.
    async fn save(
        &self,
        tenant: &TenantId,
        workflow: &str,
        label: &str,
        bundle: Arc<[u8]>,
        hash: &ContentHash,
        now: Time,
    ) -> Result<WorkflowVersion, JournalError> {
        let new = NewVersion { label: label.to_owned(), bundle, hash: hash.clone(), made_by: None, activate: true };
        match self.change(tenant, workflow, WorkflowChange::Add(new), None, now).await? {
            ChangeResult::Done { version, .. } => Ok(version),
            ChangeResult::Stale { .. } | ChangeResult::Missing => {
                let reason = "a version was neither kept nor refused".to_owned();
                Err(JournalError::Corrupt { aggregate: workflow.into(), reason })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(revision: u32) -> WorkflowVersion {
        WorkflowVersion {
            workflow: "book".to_owned(),
            revision,
            label: String::new(),
            bundle: ContentHash::of(b""),
            active: revision == 2,
            created_at: Time::from_ms(0),
            made_by: None,
            activated_at: None,
        }
    }

    #[test]
    fn runs_are_split_by_who_they_are_for_and_the_same_comes_to_the_same() {
        let split = vec![(version(1), 30), (version(2), 70)];
        let standing = WorkflowStatus { changes: 1, archived_at: None, active: Some(version(2)), split };
        let of = |whom: usize| standing.version_for(&format!("user-{whom}")).map(|version| version.revision);
        let first = (0..1_000).filter(|whom| of(*whom) == Some(1)).count();
        assert!((250..350).contains(&first), "{first} of 1000");
        assert!((0..100).all(|whom| of(whom) == of(whom)));
        let whole = WorkflowStatus { split: Vec::new(), ..standing };
        assert_eq!(whole.version_for("anybody").map(|version| version.revision), Some(2));
    }
}
