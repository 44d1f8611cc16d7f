//! How well a model suits a profile: its weights over speed, price and quality, each from 0 to 1, reduced by the
//! model's error rate.

use std::time::Duration;

use baton_core::money::Usd;

use crate::profile::RoutingRules;

const QUALITY_MAX: f64 = 10.0;

/// The inputs of the score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ScoreInputs {
    pub latency: Duration,
    pub cost: Usd,
    /// From 0 to 10.
    pub quality: f64,
    /// From 0 to 1.
    pub error_rate: f64,
}

/// The parts, each from 0 to 1, and the total.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct ModelScore {
    pub latency: f64,
    pub cost: f64,
    pub quality: f64,
    pub total: f64,
}

/// Speed and price are linear up to the profile's limits, where they are zero. An unknown speed is also zero: zero
/// milliseconds would be the best possible.
pub(crate) fn score(facts: &ScoreInputs, rules: &RoutingRules) -> ModelScore {
    let rest = |used: f64, limit: f64| (1.0 - used / limit).clamp(0.0, 1.0);
    let is_known = !facts.latency.is_zero();
    let latency = if is_known { rest(facts.latency.as_secs_f64(), rules.max_latency.as_secs_f64()) } else { 0.0 };
    let cost = rest(facts.cost.as_f64(), rules.max_cost.as_f64());
    let quality = (facts.quality / QUALITY_MAX).clamp(0.0, 1.0);
    let weights = rules.weights;
    let sum = weights.latency * latency + weights.cost * cost + weights.quality * quality;
    ModelScore { latency, cost, quality, total: sum * (1.0 - facts.error_rate.clamp(0.0, 1.0)) }
}

#[cfg(test)]
mod tests {
    use baton_core::model::ModelProfile;

    use super::*;
    use crate::catalogue::ModelCatalogue;

    fn scored(profile: ModelProfile, latency_ms: u64, cost: f64, quality: f64, error_rate: f64) -> f64 {
        let catalogue = ModelCatalogue::shipped().expect("a catalogue");
        let rules = catalogue.rules(profile).expect("rules");
        let facts =
            ScoreInputs { latency: Duration::from_millis(latency_ms), cost: Usd::from_f64(cost), quality, error_rate };
        score(&facts, rules).total
    }

    #[test]
    fn weights_are_the_seeds() {
        let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
        near(scored(ModelProfile::Fast, 100, 0.0, 10.0, 0.0), 0.94);
        near(scored(ModelProfile::Fast, 0, 0.0, 10.0, 0.0), 0.4);
        near(scored(ModelProfile::Fast, 600, 0.005, 7.5, 0.0), 0.6 * 0.4 + 0.3 * 0.5 + 0.1 * 0.75);
        near(scored(ModelProfile::Powerful, 4_000, 0.5, 10.0, 0.0), 0.2 * 0.2 + 0.2 * 0.5 + 0.6);
        near(scored(ModelProfile::Balanced, 30_000, 9.0, 0.0, 0.0), 0.0);
    }

    #[test]
    fn a_model_that_fails_is_worth_less() {
        let (well, ill) =
            (scored(ModelProfile::Fast, 600, 0.005, 7.5, 0.0), scored(ModelProfile::Fast, 600, 0.005, 7.5, 0.5));
        assert!((ill - well / 2.0).abs() < 1e-9);
    }
}
