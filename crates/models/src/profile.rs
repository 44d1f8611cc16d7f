//! The definition of a profile: its models in order of preference, its limits and its score weights.

use std::time::Duration;

use baton_core::model::ModelProfile;
use baton_core::money::Usd;
use serde::{Deserialize, Serialize};

/// All profiles, cheapest first.
pub const ALL: [ModelProfile; 3] = [ModelProfile::Fast, ModelProfile::Balanced, ModelProfile::Powerful];
/// The keys of an entry, for "did you mean" hints.
pub(crate) const KEYS: [&str; 4] = ["models", "max_cost_usd", "max_latency_ms", "weights"];
/// Maximum number of models in one profile.
const MODELS_MAX: usize = 64;
const COST_MAX_USD: f64 = 1e6;
const NEAR: f64 = 1e-9;

/// A profile's name in files and requests.
pub const fn word(profile: ModelProfile) -> &'static str {
    match profile {
        ModelProfile::Fast => "fast",
        ModelProfile::Balanced => "balanced",
        ModelProfile::Powerful => "powerful",
    }
}

/// The profile with this name.
pub fn from_word(name: &str) -> Option<ModelProfile> {
    ALL.into_iter().find(|profile| word(*profile) == name)
}

/// A profile in the form that the router uses.
#[derive(Clone, Debug, PartialEq)]
pub struct RoutingRules {
    /// Groups in order of preference; within a group the score decides.
    pub groups: Vec<Vec<String>>,
    /// Maximum estimated cost of one call.
    pub max_cost: Usd,
    /// The latency at which the score for speed is zero.
    pub max_latency: Duration,
    pub weights: ScoreWeights,
}

/// The weight of each part of the score; their sum is 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreWeights {
    pub latency: f64,
    pub cost: f64,
    pub quality: f64,
}

impl ScoreWeights {
    /// Scales the weights so that their sum is 1.
    fn normalized(self) -> Result<Self, String> {
        let parts = [self.latency, self.cost, self.quality];
        let sum: f64 = parts.iter().sum();
        if parts.iter().any(|part| !part.is_finite() || *part < 0.0) || sum <= 0.0 {
            return Err("`weights` are not negative, and not all zero".to_owned());
        }
        // Weights whose sum is already 1 stay as they were written.
        let sum = if (sum - 1.0).abs() < NEAR { 1.0 } else { sum };
        Ok(Self { latency: self.latency / sum, cost: self.cost / sum, quality: self.quality / sum })
    }
}

/// A profile as a file states it: every key is optional.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProfileEntry {
    pub models: Option<ModelGroups>,
    pub max_cost_usd: Option<f64>,
    pub max_latency_ms: Option<u64>,
    pub weights: Option<ScoreWeights>,
}

/// The models among which a profile chooses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "`models` is a model's name, a list of names, or a list of such lists")]
pub enum ModelGroups {
    /// Only this model.
    One(String),
    /// The model with the best score.
    Among(Vec<String>),
    /// The first group first; later ones only if no model of an earlier group is possible.
    InOrder(Vec<Vec<String>>),
}

impl ModelGroups {
    fn groups(&self) -> Vec<Vec<String>> {
        match self {
            Self::One(model) => vec![vec![model.clone()]],
            Self::Among(models) => vec![models.clone()],
            Self::InOrder(groups) => groups.clone(),
        }
    }
}

impl ProfileEntry {
    /// A profile that states only its models.
    pub(crate) fn of(models: ModelGroups) -> Self {
        Self { models: Some(models), ..Self::default() }
    }

    pub(crate) fn overlay(&mut self, over: &Self) {
        let over = over.clone();
        self.models = over.models.or(self.models.take());
        self.max_cost_usd = over.max_cost_usd.or(self.max_cost_usd);
        self.max_latency_ms = over.max_latency_ms.or(self.max_latency_ms);
        self.weights = over.weights.or(self.weights);
    }

    pub(crate) fn rules(&self) -> Result<RoutingRules, String> {
        let mut groups = self.models.as_ref().map(ModelGroups::groups).unwrap_or_default();
        let mut seen = std::collections::BTreeSet::new();
        for group in &mut groups {
            group.retain(|model| !model.trim().is_empty() && seen.insert(model.clone()));
        }
        groups.retain(|group| !group.is_empty());
        if groups.is_empty() {
            return Err("it names no model: write `models`".to_owned());
        }
        if seen.len() > MODELS_MAX {
            return Err(format!("it names {} models, over the limit of {MODELS_MAX}", seen.len()));
        }
        let (Some(cost), Some(latency), Some(weights)) = (self.max_cost_usd, self.max_latency_ms, self.weights) else {
            return Err("it needs `max_cost_usd`, `max_latency_ms` and `weights`".to_owned());
        };
        if !(cost > 0.0 && cost <= COST_MAX_USD) {
            return Err(format!("`max_cost_usd` is above 0 and at most {COST_MAX_USD}, not {cost}"));
        }
        if latency == 0 {
            return Err("`max_latency_ms` is above 0".to_owned());
        }
        Ok(RoutingRules {
            groups,
            max_cost: Usd::from_f64(cost),
            max_latency: Duration::from_millis(latency),
            weights: weights.normalized()?,
        })
    }
}
