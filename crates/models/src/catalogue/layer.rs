//! One layer of the catalogue: models and profiles that lie over those below.

use std::collections::BTreeMap;

use baton_core::model::ModelProfile;

use super::CatalogueEntry;
use crate::profile;

/// What one file, the settings, or one tenant's part of them says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CatalogueLayer {
    pub models: BTreeMap<String, CatalogueEntry>,
    pub profiles: BTreeMap<ModelProfile, profile::ProfileEntry>,
}

impl CatalogueLayer {
    /// What is wrong with it by itself, whatever lies below. A file's layer has been checked by its lines.
    pub(crate) fn problem(&self) -> Option<String> {
        self.models.iter().find_map(|(name, entry)| Some(format!("model `{name}`: {}", entry.problem()?)))
    }

    /// Lays another over this one, key by key.
    pub(super) fn overlay(&mut self, over: &Self) {
        for (name, entry) in &over.models {
            self.models.entry(name.clone()).or_default().overlay(entry);
        }
        for (profile, entry) in &over.profiles {
            self.profiles.entry(*profile).or_default().overlay(entry);
        }
    }
}
