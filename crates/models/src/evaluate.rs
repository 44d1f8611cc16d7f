//! Replays a table of outcomes (each model's score and cost for each prompt) through the router, and compares it with
//! the best single model and with an oracle that knows the outcomes. This evaluates profiles on the user's own data.
//!
//! The router sees only the size of a prompt, as it does for a request. Models that the catalogue does not know get
//! facts from the table itself (mean score and cost) and are marked: for them the evaluation uses the same data as the
//! facts.

mod csv;
mod table;

use std::collections::BTreeMap;
use std::io::BufRead;
use std::sync::Arc;

use baton_core::id::TenantId;
use baton_core::model::ModelProfile;
use baton_core::money::Usd;
use baton_core::time::Time;
use serde::Serialize;

use crate::catalogue::{CatalogueEntry, TokenPrice};
use crate::config::ModelsConfig;
use crate::error::ModelsError;
use crate::profile::{self, ModelGroups};
use crate::provider_registry::ProviderRegistry;
use crate::providers::script::ReplyScript;
use crate::requirements::{ModelRequirements, REPLY_TOKENS};
use crate::router::{ModelIndex, ModelRouter};
pub use table::{OutcomeFormat, OutcomeTable, ROWS_MAX};

use table::{ModelOutcome, PromptRow};

/// Scores are from 0 to 1 in RouterBench; the catalogue's quality is from 0 to 10.
const QUALITY_OF_SCORE: f64 = 10.0;
const MILLION: f64 = 1e6;

/// The result of a replay.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RouterEvaluation {
    pub prompts: usize,
    pub models: Vec<SingleModelResult>,
    /// The model with the highest mean score; on a tie the cheaper one.
    pub best_single: String,
    pub oracle: MeanOutcome,
    pub profiles: Vec<ProfileResult>,
}

/// Quality and cost over all prompts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct MeanOutcome {
    /// The mean score.
    pub quality: f64,
    /// The cost of all prompts together.
    pub cost_usd: f64,
}

/// The result of one model for all prompts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SingleModelResult {
    pub model: String,
    /// The number of prompts with an outcome of this model.
    pub prompts: usize,
    #[serde(flatten)]
    pub mean: MeanOutcome,
    /// The facts come from the table because the catalogue has none.
    pub facts_from_table: bool,
}

/// The result of a profile.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProfileResult {
    pub profile: &'static str,
    #[serde(flatten)]
    pub mean: MeanOutcome,
    /// How often each model was chosen.
    pub chosen: BTreeMap<String, usize>,
    /// Prompts that no model of the profile could answer: each counts as a score of 0.
    pub unanswered: usize,
    /// The profile's own models are not in the table: all models of the table were candidates.
    pub all_were_candidates: bool,
    /// The fraction of the oracle's quality, from 0 to 1.
    pub of_oracle_quality: f64,
    /// The fraction of the best single model's quality.
    pub of_best_single_quality: f64,
    pub of_best_single_cost: f64,
}

/// Replays a table through the router of these settings, for each of these profiles.
///
/// # Errors
/// A catalogue that cannot be used.
pub fn evaluate(
    table: &OutcomeTable,
    config: &ModelsConfig,
    profiles: &[ModelProfile],
    now: Time,
) -> Result<RouterEvaluation, ModelsError> {
    let replay = TableReplay::new(table, config, now)?;
    let singles = replay.singles();
    let oracle = replay.oracle();
    let best = best_single_model(&singles);
    let best_mean = best.map(|single| single.mean).unwrap_or_default();
    let part = |of: f64, whole: f64| if whole > 0.0 { of / whole } else { 0.0 };
    let routed = profiles.iter().map(|profile| {
        let mut routed = replay.routed(*profile)?;
        routed.of_oracle_quality = part(routed.mean.quality, oracle.quality);
        routed.of_best_single_quality = part(routed.mean.quality, best_mean.quality);
        routed.of_best_single_cost = part(routed.mean.cost_usd, best_mean.cost_usd);
        Ok(routed)
    });
    Ok(RouterEvaluation {
        prompts: table.rows.len(),
        best_single: best.map(|single| single.model.clone()).unwrap_or_default(),
        profiles: routed.collect::<Result<_, ModelsError>>()?,
        models: singles,
        oracle,
    })
}

/// Only models with the highest number of answered prompts can be compared.
fn best_single_model(singles: &[SingleModelResult]) -> Option<&SingleModelResult> {
    let most = singles.iter().map(|single| single.prompts).max()?;
    let whole = singles.iter().filter(|single| single.prompts == most);
    whole.max_by(|a, b| a.mean.quality.total_cmp(&b.mean.quality).then(b.mean.cost_usd.total_cmp(&a.mean.cost_usd)))
}

struct TableReplay<'t> {
    table: &'t OutcomeTable,
    config: ModelsConfig,
    /// Indexed by the table's models.
    from_table: Vec<bool>,
    now: Time,
}

impl<'t> TableReplay<'t> {
    fn new(table: &'t OutcomeTable, config: &ModelsConfig, now: Time) -> Result<Self, ModelsError> {
        let router = router(config)?;
        let known =
            |model: &String| router.index().shared_models().find(model).is_some_and(|found| found.spec.is_some());
        let from_table: Vec<bool> = table.models.iter().map(|model| !known(model)).collect();
        let mut config = config.clone();
        for (place, model) in table.models.iter().enumerate().filter(|(place, _)| from_table[*place]) {
            config.catalogue.insert(model.clone(), facts(table, place));
        }
        Ok(Self { table, config, from_table, now })
    }

    fn singles(&self) -> Vec<SingleModelResult> {
        let single = |(place, model): (usize, &String)| {
            let outcomes: Vec<&ModelOutcome> = self.table.rows.iter().filter_map(|row| row.outcome(place)).collect();
            let facts_from_table = self.from_table[place];
            SingleModelResult {
                model: model.clone(),
                prompts: outcomes.len(),
                mean: mean(&outcomes, outcomes.len()),
                facts_from_table,
            }
        };
        self.table.models.iter().enumerate().map(single).collect()
    }

    /// The best outcome of each prompt; on a tie the cheaper one.
    fn oracle(&self) -> MeanOutcome {
        let best = |row: &'t PromptRow| {
            row.outcomes().max_by(|a, b| a.score.total_cmp(&b.score).then(b.cost_usd.total_cmp(&a.cost_usd)))
        };
        mean(&self.table.rows.iter().filter_map(best).collect::<Vec<_>>(), self.table.rows.len())
    }

    fn routed(&self, profile: ModelProfile) -> Result<ProfileResult, ModelsError> {
        let (router, all_were_candidates) = self.router_of(profile)?;
        let tenant = TenantId::from("evaluation");
        let mut outcomes = Vec::new();
        let mut chosen = BTreeMap::new();
        for row in &self.table.rows {
            let choice = router.for_profile(&tenant, profile, ModelRequirements::of_text(row.tokens), self.now);
            let first = choice.viable.iter().find_map(|candidate| {
                let place = self.table.place(&candidate.model.name)?;
                Some((candidate.model.name.clone(), row.outcome(place)?))
            });
            if let Some((model, outcome)) = first {
                *chosen.entry(model).or_default() += 1;
                outcomes.push(outcome);
            }
        }
        Ok(ProfileResult {
            profile: profile::word(profile),
            mean: mean(&outcomes, self.table.rows.len()),
            chosen,
            unanswered: self.table.rows.len() - outcomes.len(),
            all_were_candidates,
            of_oracle_quality: 0.0,
            of_best_single_quality: 0.0,
            of_best_single_cost: 0.0,
        })
    }

    /// A router whose profile chooses among the table's models.
    fn router_of(&self, profile: ModelProfile) -> Result<(ModelRouter, bool), ModelsError> {
        let all = router(&self.config)?;
        let plan = all.index().shared_models().plan(profile);
        let in_table = |group: &Vec<Arc<crate::router::RoutableModel>>| {
            let names = group.iter().map(|model| model.name.clone());
            names.filter(|name| self.table.place(name).is_some()).collect::<Vec<_>>()
        };
        let mut groups: Vec<Vec<String>> = plan.groups.iter().map(in_table).filter(|group| !group.is_empty()).collect();
        let all_were_candidates = groups.is_empty();
        if all_were_candidates {
            groups.push(self.table.models.clone());
        }
        let mut config = self.config.clone();
        config.models.insert(profile, ModelGroups::InOrder(groups));
        Ok((router(&config)?, all_were_candidates))
    }
}

/// A router that calls no provider.
fn router(config: &ModelsConfig) -> Result<ModelRouter, ModelsError> {
    let providers = ProviderRegistry::scripted(ReplyScript::new(&[])?);
    Ok(ModelRouter::new(ModelIndex::new(config, &providers)?, providers))
}

/// Facts about a model from the table: its mean score as quality, its mean cost divided by its mean tokens.
fn facts(table: &OutcomeTable, place: usize) -> CatalogueEntry {
    let with: Vec<(&PromptRow, &ModelOutcome)> =
        table.rows.iter().filter_map(|row| Some((row, row.outcome(place)?))).collect();
    let outcomes: Vec<&ModelOutcome> = with.iter().map(|(_, outcome)| *outcome).collect();
    let mean = mean(&outcomes, outcomes.len());
    let tokens: u64 = with.iter().map(|(row, _)| row.tokens + REPLY_TOKENS).sum();
    #[expect(clippy::cast_precision_loss, reason = "tokens of a table are far below 2^53")]
    let per_million = if tokens == 0 { 0.0 } else { mean.cost_usd / tokens as f64 * MILLION };
    let price = TokenPrice::new(per_million).ok();
    CatalogueEntry {
        input_usd_per_million: price.or(TokenPrice::new(0.0).ok()),
        output_usd_per_million: price.or(TokenPrice::new(0.0).ok()),
        quality: Some((mean.quality * QUALITY_OF_SCORE).clamp(0.0, QUALITY_OF_SCORE)),
        ..CatalogueEntry::default()
    }
}

/// The mean over this number of prompts: those without an outcome count as 0.
fn mean(outcomes: &[&ModelOutcome], prompts: usize) -> MeanOutcome {
    if prompts == 0 {
        return MeanOutcome::default();
    }
    #[expect(clippy::cast_precision_loss, reason = "rows of a table are far below 2^53")]
    let quality = outcomes.iter().map(|outcome| outcome.score).sum::<f64>() / prompts as f64;
    let cost = outcomes.iter().map(|outcome| outcome.cost_usd).sum::<f64>();
    MeanOutcome { quality, cost_usd: Usd::from_f64(cost).as_f64() }
}

/// Reads a table of outcomes.
///
/// # Errors
/// The first problem, with its line.
pub fn read(input: impl BufRead, format: OutcomeFormat) -> Result<OutcomeTable, String> {
    table::read(input, format)
}

#[cfg(test)]
mod tests;
