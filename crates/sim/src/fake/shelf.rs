//! Workflow versions in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use baton_core::bundle::Hash;
use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::journal::Error;
use baton_ports::registry::Version;

#[derive(Debug, Default)]
pub struct Shelf {
    bundles: BTreeMap<Hash, Arc<[u8]>>,
    /// Oldest first; the last is active.
    versions: BTreeMap<(TenantId, String), Vec<Version>>,
}

impl Shelf {
    pub fn save(
        &mut self,
        tenant: &TenantId,
        workflow: &str,
        label: &str,
        bundle: Arc<[u8]>,
        hash: &Hash,
        now: Time,
    ) -> Result<Version, Error> {
        if Hash::of(&bundle) != *hash {
            return Err(Error::Unwritable { reason: format!("the bundle is not what {} names", hash.short()) });
        }
        self.bundles.insert(hash.clone(), bundle);
        let versions = self.versions.entry((tenant.clone(), workflow.to_owned())).or_default();
        if let Some(active) = versions.last().filter(|active| active.bundle == *hash) {
            return Ok(active.clone());
        }
        let version = Version {
            workflow: workflow.to_owned(),
            revision: versions.last().map_or(1, |last| last.revision + 1),
            label: label.to_owned(),
            bundle: hash.clone(),
            active: true,
            created_at: now,
        };
        if let Some(last) = versions.last_mut() {
            last.active = false;
        }
        versions.push(version.clone());
        Ok(version)
    }

    /// Newest first.
    pub fn workflows(&self, tenant: &TenantId) -> Vec<Version> {
        let of_tenant = self.versions.iter().filter(|((of, _), _)| of == tenant);
        of_tenant.flat_map(|(_, all)| all.iter().filter(|version| version.active).cloned()).collect()
    }

    pub fn versions(&self, tenant: &TenantId, workflow: &str) -> Vec<Version> {
        let found = self.versions.get(&(tenant.clone(), workflow.to_owned()));
        found.into_iter().flatten().rev().cloned().collect()
    }

    pub fn bundle(&self, hash: &Hash) -> Option<Arc<[u8]>> {
        self.bundles.get(hash).cloned()
    }
}
