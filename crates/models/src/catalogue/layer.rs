//! One layer of the catalogue: models and profiles that override those of the layers below.

use std::collections::BTreeMap;

use baton_core::model::ModelProfile;

use super::CatalogueEntry;
use crate::profile;

/// The models and profiles of one file, of the settings, or of one tenant's part of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CatalogueLayer {
    pub models: BTreeMap<String, CatalogueEntry>,
    pub profiles: BTreeMap<ModelProfile, profile::ProfileEntry>,
}

impl CatalogueLayer {
    /// Returns what is wrong with the layer by itself, whatever the layers below contain. The layer of a file has
    /// already been checked line by line.
    pub(crate) fn problem(&self) -> Option<String> {
        self.models.iter().find_map(|(name, entry)| Some(format!("model `{name}`: {}", entry.problem()?)))
    }

    /// Overlays another layer, key by key.
    pub(super) fn overlay(&mut self, over: &Self) {
        for (name, entry) in &over.models {
            self.models.entry(name.clone()).or_default().overlay(entry);
        }
        for (profile, entry) in &over.profiles {
            self.profiles.entry(*profile).or_default().overlay(entry);
        }
    }
}
