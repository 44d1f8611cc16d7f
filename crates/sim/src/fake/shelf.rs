//! Workflow versions in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use baton_core::bundle::Hash;
use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::journal::Error;
use baton_ports::registry::{Change, Changed, New, Share, Standing, Version};

#[derive(Debug, Default)]
pub struct Shelf {
    bundles: BTreeMap<Hash, Arc<[u8]>>,
    workflows: BTreeMap<(TenantId, String), Workflow>,
}

#[derive(Debug, Default)]
struct Workflow {
    /// Oldest first.
    versions: Vec<Version>,
    changes: u64,
    archived_at: Option<Time>,
    shares: Vec<Share>,
}

impl Shelf {
    pub fn change(
        &mut self,
        tenant: &TenantId,
        workflow: &str,
        change: Change,
        expected: Option<u64>,
        now: Time,
    ) -> Result<Changed, Error> {
        if let Change::Add(new) = &change {
            if Hash::of(&new.bundle) != new.hash {
                return Err(Error::Unwritable { reason: format!("the bundle is not what {} names", new.hash.short()) });
            }
            self.bundles.insert(new.hash.clone(), new.bundle.clone());
        }
        let one = self.workflows.entry((tenant.clone(), workflow.to_owned())).or_default();
        if expected.is_some_and(|expected| expected != one.changes) {
            return Ok(Changed::Stale { changes: one.changes });
        }
        let changed = match change {
            Change::Add(new) => match one.known(&new) {
                Some(known) if known.active || !new.activate || new.made_by.is_none() => {
                    return Ok(Changed::Done { version: known, changes: one.changes });
                }
                Some(known) => one.activate(known.revision, now),
                None => Some(one.add(workflow, &new, now)),
            },
            Change::Activate { revision } => one.activate(revision, now),
            Change::Split(shares) => one.split(shares),
            Change::Archive => one.archive(now),
        };
        Ok(match changed {
            Some(version) => {
                one.changes += 1;
                Changed::Done { version, changes: one.changes }
            }
            None => Changed::Missing,
        })
    }

    pub fn standing(&self, tenant: &TenantId, workflow: &str) -> Option<Standing> {
        let one = self.workflows.get(&(tenant.clone(), workflow.to_owned())).filter(|one| one.changes > 0)?;
        let split = one.shares.iter().filter_map(|share| Some((one.version(share.revision)?.clone(), share.percent)));
        Some(Standing {
            changes: one.changes,
            archived_at: one.archived_at,
            active: one.versions.iter().find(|version| version.active).cloned(),
            split: split.collect(),
        })
    }

    /// By name.
    pub fn workflows(&self, tenant: &TenantId) -> Vec<Version> {
        let of_tenant = self.workflows.iter().filter(|((of, _), one)| of == tenant && one.archived_at.is_none());
        let shown =
            |one: &Workflow| one.versions.iter().find(|version| version.active).or(one.versions.last()).cloned();
        of_tenant.filter_map(|(_, one)| shown(one)).collect()
    }

    /// Newest first.
    pub fn versions(&self, tenant: &TenantId, workflow: &str) -> Vec<Version> {
        let found = self.workflows.get(&(tenant.clone(), workflow.to_owned()));
        found.into_iter().flat_map(|one| one.versions.iter().rev().cloned()).collect()
    }

    pub fn bundle(&self, hash: &Hash) -> Option<Arc<[u8]>> {
        self.bundles.get(hash).cloned()
    }
}

impl Workflow {
    fn version(&self, revision: u32) -> Option<&Version> {
        self.versions.iter().find(|version| version.revision == revision)
    }

    /// The version that a new one would only repeat.
    fn known(&self, new: &New) -> Option<Version> {
        let same = |version: &&Version| version.bundle == new.hash;
        let active = self.versions.iter().find(|version| version.active).filter(same);
        let is_from_files = new.made_by.is_none();
        let last =
            || self.versions.iter().rev().find(|version| version.made_by.is_none() == is_from_files).filter(same);
        active.or_else(last).cloned()
    }

    fn add(&mut self, workflow: &str, new: &New, now: Time) -> Version {
        if new.activate {
            self.versions.iter_mut().for_each(|version| version.active = false);
            self.shares.clear();
        }
        self.archived_at = None;
        let version = Version {
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

    fn activate(&mut self, revision: u32, now: Time) -> Option<Version> {
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

    fn split(&mut self, shares: Vec<Share>) -> Option<Version> {
        if shares.iter().any(|share| self.version(share.revision).is_none()) {
            return None;
        }
        self.shares = shares;
        self.versions.last().cloned()
    }

    fn archive(&mut self, now: Time) -> Option<Version> {
        self.versions.iter_mut().for_each(|version| version.active = false);
        self.shares.clear();
        let newest = self.versions.last().cloned();
        self.archived_at = newest.as_ref().map(|_| now);
        newest
    }
}
