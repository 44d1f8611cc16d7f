//! What is known about models: price, context, speed, quality, what they can do, and what each profile means.
//!
//! It comes in layers, the later over the earlier, key by key: what is shipped (`models.yaml` of this room), the
//! project's own `models.yaml`, the settings, and a tenant's part of either.

mod entry;
mod file;
mod layer;
mod to_yaml;

use std::collections::BTreeMap;

use baton_core::expr::nearest;
use baton_core::model::ModelProfile;
use baton_core::money::Usd;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

pub use entry::{CatalogueEntry, PriceTier, TokenPrice};
pub use file::CatalogueFile;
pub use layer::CatalogueLayer;

use crate::error::ModelsError;
use crate::profile::{self, RoutingRules};

/// The shipped layer.
const SHIPPED: &str = include_str!("../models.yaml");
/// Who serves a model where nothing says so.
pub(crate) const PROVIDER: &str = "openai";

/// Facts of one model.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelSpec {
    /// Who serves it: a name of the settings' providers.
    pub provider: String,
    /// Its name there, where it is not the catalogue's.
    pub upstream: Option<String>,
    pub prices: TokenPrices,
    /// Prices of calls with a larger input, smallest first.
    pub long_input_prices: Vec<LongInputPrices>,
    /// The most tokens of input and output together; not checked where it is not known.
    pub context_tokens: Option<u64>,
    /// The most tokens of one reply.
    pub output_tokens: Option<u64>,
    /// What a call usually takes; 0 where it is not known.
    pub latency_ms: u64,
    /// From 0 to 10.
    pub quality: f64,
    pub structured: StructuredOutput,
    /// Whether it takes a temperature; unless known, its name says it.
    pub sampling: Option<bool>,
    pub tools: bool,
    pub vision: bool,
    pub streaming: bool,
    /// From this day on its provider's public API no longer has it.
    pub retires: Option<Date>,
}

impl ModelSpec {
    /// The prices of a call by its whole input, whatever of it was cached.
    pub fn prices_at(&self, input_tokens: u64) -> &TokenPrices {
        let above = self.long_input_prices.iter().rev().find(|long| input_tokens > long.above_tokens);
        above.map_or(&self.prices, |long| &long.prices)
    }
}

/// US dollars per million tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenPrices {
    pub input: Usd,
    pub output: Usd,
    /// Input the provider had in its cache; unless known, at the price of other input.
    pub cached: Option<Usd>,
    /// Input the provider put into its cache; unless known, at the price of other input.
    pub cache_write: Option<Usd>,
    /// The same where it is kept for an hour and not for minutes.
    pub cache_write_hour: Option<Usd>,
}

/// What all tokens of a call cost whose input is larger than this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongInputPrices {
    pub above_tokens: u64,
    pub prices: TokenPrices,
}

/// How a model can be held to a JSON Schema. Agents check what comes back in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StructuredOutput {
    /// The provider enforces the schema.
    #[default]
    JsonSchema,
    /// The provider enforces that it is a JSON object; the prompt says which.
    JsonObject,
    /// Only the prompt asks for it.
    Prompt,
    /// It cannot be asked for: the router passes the model over.
    None,
}

/// Models by name, and profiles.
#[derive(Clone, Debug)]
pub struct ModelCatalogue {
    models: BTreeMap<String, ModelSpec>,
    profiles: BTreeMap<ModelProfile, RoutingRules>,
}

impl ModelCatalogue {
    /// The shipped catalogue with these layers over it.
    ///
    /// # Errors
    /// What makes the whole unusable, naming the layer: a model without a price, a profile without a model.
    pub fn with<'l>(layers: impl IntoIterator<Item = &'l CatalogueLayer>) -> Result<Self, ModelsError> {
        let shipped = CatalogueFile::read(SHIPPED.as_bytes()).map_err(|found| {
            let place = format!("the shipped models.yaml, line {}", found.span.line);
            ModelsError::Catalogue { place, problem: found.message }
        });
        let mut all = shipped?.layer;
        for layer in layers {
            all.overlay(layer);
        }
        let models = all.models.iter().map(|(name, entry)| {
            let spec = entry.spec().map_err(|problem| {
                // What lacks what every known model has is mostly a known model's name, misspelt.
                let known = all.models.iter().filter(|(_, entry)| entry.spec().is_ok()).map(|(name, _)| name.as_str());
                let near = nearest(name, known).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                ModelsError::Catalogue { place: format!("model `{name}`"), problem: format!("{problem}{near}") }
            })?;
            Ok((name.clone(), spec))
        });
        let profiles = profile::ALL.iter().map(|&profile| {
            let entry = all.profiles.get(&profile).cloned().unwrap_or_default();
            let rules = entry.rules().map_err(|problem| {
                let place = format!("profile `{}`", profile::word(profile));
                ModelsError::Catalogue { place, problem }
            })?;
            Ok((profile, rules))
        });
        Ok(Self {
            models: models.collect::<Result<_, ModelsError>>()?,
            profiles: profiles.collect::<Result<_, ModelsError>>()?,
        })
    }

    /// What is shipped.
    ///
    /// # Errors
    /// None, as the tests of this room show.
    pub fn shipped() -> Result<Self, ModelsError> {
        Self::with([])
    }

    /// All models, by name.
    pub fn models(&self) -> impl Iterator<Item = (&str, &ModelSpec)> {
        self.models.iter().map(|(name, spec)| (name.as_str(), spec))
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.models.keys().map(String::as_str)
    }

    pub fn find(&self, model: &str) -> Option<&ModelSpec> {
        self.models.get(model)
    }

    /// What a profile means.
    pub fn rules(&self, profile: ModelProfile) -> Option<&RoutingRules> {
        self.profiles.get(&profile)
    }
}

#[cfg(test)]
mod tests;
