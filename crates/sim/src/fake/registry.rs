//! Workflow versions in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use baton_core::bundle::ContentHash;
use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::journal::JournalError;
use baton_ports::registry::{ChangeResult, NewVersion, VersionShare, WorkflowChange, WorkflowStatus, WorkflowVersion};

#[derive(Debug, Default)]
pub struct FakeRegistry {
    bundles: BTreeMap<ContentHash, Arc<[u8]>>,
    workflows: BTreeMap<(TenantId, String), FakeWorkflow>,
}

#[derive(Debug, Default)]
struct FakeWorkflow {
    /// Oldest first.
    versions: Vec<WorkflowVersion>,
    changes: u64,
    archived_at: Option<Time>,
    shares: Vec<VersionShare>,
}

impl FakeRegistry {
    pub fn change(
        &mut self,
        tenant: &TenantId,
        workflow: &str,
        change: WorkflowChange,
        expected: Option<u64>,
        now: Time,
    ) -> Result<ChangeResult, JournalError> {
        if let WorkflowChange::Add(new) = &change {
            if ContentHash::of(&new.bundle) != new.hash {
                return Err(JournalError::Unwritable {
                    reason: format!("the bundle is not what {} names", new.hash.short()),
                });
            }
            self.bundles.insert(new.hash.clone(), new.bundle.clone());
        }
        let one = self.workflows.entry((tenant.clone(), workflow.to_owned())).or_default();
        if expected.is_some_and(|expected| expected != one.changes) {
            return Ok(ChangeResult::Stale { changes: one.changes });
        }
        let changed = match change {
            WorkflowChange::Add(new) => match one.identical_version(&new) {
                Some(known) if known.active || !new.activate || new.made_by.is_none() => {
                    return Ok(ChangeResult::Done { version: known, changes: one.changes });
                }
                Some(known) => one.activate(known.revision, now),
                None => Some(one.add(workflow, &new, now)),
            },
            WorkflowChange::Activate { revision } => one.activate(revision, now),
            WorkflowChange::Split(shares) => one.split(shares),
            WorkflowChange::Archive => one.archive(now),
        };
        Ok(match changed {
            Some(version) => {
                one.changes += 1;
                ChangeResult::Done { version, changes: one.changes }
            }
            None => ChangeResult::Missing,
        })
    }

    pub fn standing(&self, tenant: &TenantId, workflow: &str) -> Option<WorkflowStatus> {
        let one = self.workflows.get(&(tenant.clone(), workflow.to_owned())).filter(|one| one.changes > 0)?;
        let split = one.shares.iter().filter_map(|share| Some((one.version(share.revision)?.clone(), share.percent)));
        Some(WorkflowStatus {
            changes: one.changes,
            archived_at: one.archived_at,
            active: one.versions.iter().find(|version| version.active).cloned(),
            split: split.collect(),
        })
    }

    /// By name.
    pub fn workflows(&self, tenant: &TenantId) -> Vec<WorkflowVersion> {
        let of_tenant = self.workflows.iter().filter(|((of, _), one)| of == tenant && one.archived_at.is_none());
        let shown =
            |one: &FakeWorkflow| one.versions.iter().find(|version| version.active).or(one.versions.last()).cloned();
        of_tenant.filter_map(|(_, one)| shown(one)).collect()
    }

    /// Newest first.
    pub fn versions(&self, tenant: &TenantId, workflow: &str) -> Vec<WorkflowVersion> {
        let found = self.workflows.get(&(tenant.clone(), workflow.to_owned()));
        found.into_iter().flat_map(|one| one.versions.iter().rev().cloned()).collect()
    }

    pub fn bundle(&self, hash: &ContentHash) -> Option<Arc<[u8]>> {
        self.bundles.get(hash).cloned()
    }
}

impl FakeWorkflow {
    fn version(&self, revision: u32) -> Option<&WorkflowVersion> {
        self.versions.iter().find(|version| version.revision == revision)
    }

    /// The version that a new one would duplicate.
    fn identical_version(&self, new: &NewVersion) -> Option<WorkflowVersion> {
        let same = |version: &&WorkflowVersion| version.bundle == new.hash;
        let active = self.versions.iter().find(|version| version.active).filter(same);
        let is_from_files = new.made_by.is_none();
        let last =
            || self.versions.iter().rev().find(|version| version.made_by.is_none() == is_from_files).filter(same);
        active.or_else(last).cloned()
    }

    fn add(&mut self, workflow: &str, new: &NewVersion, now: Time) -> WorkflowVersion {
        if new.activate {
            self.versions.iter_mut().for_each(|version| version.active = false);
            self.shares.clear();
        }
        self.archived_at = None;
        let version = WorkflowVersion {
            workflow: workflow.to_owned(),
            revision: self.versions.last().map_or(1, |last| last.revision + 1),
            label: new.label.clone(),
            bundle: new.hash.clone(),
            active: new.activate,
            created_at: now,
            made_by: new.made_by.clone(),
            activated_at: new.activate.then_some(now),
        };
        self.versions.push(version.clone());
        version
    }

    fn activate(&mut self, revision: u32, now: Time) -> Option<WorkflowVersion> {
        self.version(revision)?;
        self.archived_at = None;
        self.shares.clear();
        for version in &mut self.versions {
            version.active = version.revision == revision;
            if version.active {
                version.activated_at = Some(now);
            }
        }
        self.version(revision).cloned()
    }

    fn split(&mut self, shares: Vec<VersionShare>) -> Option<WorkflowVersion> {
        if shares.iter().any(|share| self.version(share.revision).is_none()) {
            return None;
        }
        self.shares = shares;
        self.versions.last().cloned()
    }

    fn archive(&mut self, now: Time) -> Option<WorkflowVersion> {
        self.versions.iter_mut().for_each(|version| version.active = false);
        self.shares.clear();
        let newest = self.versions.last().cloned();
        self.archived_at = newest.as_ref().map(|_| now);
        newest
    }
}
