//! Facts about models: price, context, speed, quality and capabilities, and the models of each profile.
//!
//! The catalogue is built of layers, the later over the earlier, key by key: the shipped one (`models.yaml` of this
//! crate), the project's own `models.yaml`, the settings, and a tenant's part of either.

mod entry;
mod file;
mod layer;
mod to_yaml;

use std::collections::BTreeMap;

use baton_core::model::ModelProfile;
use baton_core::money::Usd;
use baton_expr::nearest;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

pub use entry::{CatalogueEntry, PriceTier, TokenPrice};
pub use file::CatalogueFile;
pub use layer::CatalogueLayer;

use crate::error::ModelsError;
use crate::profile::{self, RoutingRules};

/// The shipped layer.
const SHIPPED: &str = include_str!("../models.yaml");
/// The default provider of a model.
pub(crate) const PROVIDER: &str = "openai";

/// Facts about one model.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelSpec {
    /// The provider: a name of the settings' providers.
    pub provider: String,
    /// The model's name at the provider, if it differs from the catalogue's.
    pub upstream: Option<String>,
    pub prices: TokenPrices,
    /// Prices of calls with a larger input, smallest input first.
    pub long_input_prices: Vec<LongInputPrices>,
    /// Maximum tokens of input and output together; not checked if unknown.
    pub context_tokens: Option<u64>,
    /// Maximum tokens of one reply.
    pub output_tokens: Option<u64>,
    /// The usual latency of a call, in milliseconds; 0 if unknown.
    pub latency_ms: u64,
    /// From 0 to 10.
    pub quality: f64,
    pub structured: StructuredOutput,
    /// Whether the model accepts a temperature; if unknown, its name decides.
    pub sampling: Option<bool>,
    pub tools: bool,
    pub vision: bool,
    pub streaming: bool,
    /// The date from which the provider's public API no longer serves the model.
    pub retires: Option<Date>,
}

impl ModelSpec {
    /// Returns the prices of a call by its whole input, cached or not.
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
    /// Input that the provider read from its cache; by default at the price of other input.
    pub cached: Option<Usd>,
    /// Input that the provider wrote to its cache; by default at the price of other input.
    pub cache_write: Option<Usd>,
    /// The same for input that is cached for an hour instead of minutes.
    pub cache_write_hour: Option<Usd>,
}

/// The prices of all tokens of a call whose input is larger than this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongInputPrices {
    pub above_tokens: u64,
    pub prices: TokenPrices,
}

/// How a model can be constrained to a JSON Schema. Agents validate replies in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StructuredOutput {
    /// The provider enforces the schema.
    #[default]
    JsonSchema,
    /// The provider enforces a JSON object; the prompt contains the schema.
    JsonObject,
    /// Only the prompt contains the schema.
    Prompt,
    /// Not possible: the router skips the model.
    None,
}

/// Models by name, and profiles.
#[derive(Clone, Debug)]
pub struct ModelCatalogue {
    models: BTreeMap<String, ModelSpec>,
    profiles: BTreeMap<ModelProfile, RoutingRules>,
}

impl ModelCatalogue {
    /// Builds the shipped catalogue with these layers over it.
    ///
    /// # Errors
    /// The first problem that makes the catalogue unusable, naming the layer: a model without a price, a profile
    /// without a model.
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
                // An entry that lacks the facts of every known model is usually the misspelt name of a known model.
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

    /// Returns the shipped catalogue.
    ///
    /// # Errors
    /// None, as the tests of this crate show.
    pub fn shipped() -> Result<Self, ModelsError> {
        Self::with([])
    }

    /// Returns all models with their names.
    pub fn models(&self) -> impl Iterator<Item = (&str, &ModelSpec)> {
        self.models.iter().map(|(name, spec)| (name.as_str(), spec))
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.models.keys().map(String::as_str)
    }

    pub fn find(&self, model: &str) -> Option<&ModelSpec> {
        self.models.get(model)
    }

    /// Returns the rules of a profile.
    pub fn rules(&self, profile: ModelProfile) -> Option<&RoutingRules> {
        self.profiles.get(&profile)
    }
}

#[cfg(test)]
mod tests;
