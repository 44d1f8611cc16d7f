//! Chooses the models that may answer a request, and their order. Candidates come from the profile; those that cannot
//! or must not be used are dropped with a reason; the rest is ranked by group and by score.

mod choice;
mod explanation;
mod model_index;

pub(crate) use choice::{DropReason, DroppedModel, ModelCandidate, ModelChoice};
pub(crate) use explanation::ExplanationCache;
pub(crate) use model_index::{ModelIndex, RoutableModel};

use std::sync::Arc;
use std::time::Duration;

use baton_core::circuit::CircuitStatus;
use baton_core::id::TenantId;
use baton_core::model::{ModelProfile, ModelRequest, TokenUsage};
use baton_core::money::Usd;
use baton_core::time::Time;
use baton_ports::models::ModelCaller;

use crate::config::ProviderKind;
use crate::health::HealthSnapshot;
use crate::price;
use crate::profile::RoutingRules;
use crate::provider_registry::{ProviderRegistry, ServedProvider};
use crate::requirements::ModelRequirements;
use crate::score::{ModelScore, ScoreInputs, score};

/// The usable fraction of a model's context for input: the estimate may be low, and a reply needs room.
const CONTEXT_PART: f64 = 0.8;

/// Chooses models. Holds no lock, never waits, and examines only the models that the profile names.
#[derive(Debug)]
pub(crate) struct ModelRouter {
    index: ModelIndex,
    providers: ProviderRegistry,
}

/// The inputs of a choice.
struct RoutingContext<'a> {
    need: ModelRequirements,
    now: Time,
    scripted: bool,
    /// The caller named the model itself, over HTTP, and expects an error if it does not exist.
    reports_unknown: bool,
    /// A budget or limit bounds the call's cost, so that its price must be known.
    is_bounded: bool,
    /// The provider of the consumer's key; `None` if the consumer brought none.
    key_provider: Option<Option<&'a Arc<ServedProvider>>>,
}

impl ModelRouter {
    pub fn new(books: ModelIndex, providers: ProviderRegistry) -> Self {
        Self { index: books, providers }
    }

    pub fn providers(&self) -> &ProviderRegistry {
        &self.providers
    }

    pub fn index(&self) -> &ModelIndex {
        &self.index
    }

    /// `streaming`: a listener receives the reply as a stream. `is_bounded`: a budget or limit bounds its cost.
    pub fn choose(
        &self,
        asker: &ModelCaller,
        request: &ModelRequest,
        streaming: bool,
        is_bounded: bool,
        now: Time,
    ) -> ModelChoice {
        let consumers = asker.api_key.as_ref().map(|key| self.providers.for_key(key));
        let at_door = asker.run.is_none();
        let case = RoutingContext {
            key_provider: consumers,
            reports_unknown: at_door,
            is_bounded,
            ..self.context(ModelRequirements::of(request, streaming), now)
        };
        match &request.model {
            Some(name) => self.check_named(&asker.tenant, name, request.profile, &case),
            None => self.rank_profile(&asker.tenant, request.profile, &case),
        }
    }

    /// Chooses for a request whose caller is not known yet.
    pub fn for_request(&self, tenant: &TenantId, request: &ModelRequest, now: Time) -> ModelChoice {
        let case = self.context(ModelRequirements::of(request, false), now);
        match &request.model {
            Some(name) => self.check_named(tenant, name, request.profile, &case),
            None => self.rank_profile(tenant, request.profile, &case),
        }
    }

    /// Chooses for given requirements, without a request.
    pub fn for_profile(
        &self,
        tenant: &TenantId,
        profile: ModelProfile,
        need: ModelRequirements,
        now: Time,
    ) -> ModelChoice {
        self.rank_profile(tenant, profile, &self.context(need, now))
    }

    /// Every model of a tenant, with what prevents its use for any request.
    pub fn list_models(
        &self,
        tenant: &TenantId,
        is_bounded: bool,
        now: Time,
    ) -> Vec<(Arc<RoutableModel>, Option<DropReason>)> {
        let case = RoutingContext { is_bounded, ..self.context(ModelRequirements::of_text(0), now) };
        let listed = |model: &Arc<RoutableModel>| {
            let seen = model.health.snapshot(model.expected(), now);
            (
                Arc::clone(model),
                permanent_drop_reason(model, &case).or_else(|| temporary_drop_reason(model, &seen, &case)),
            )
        };
        self.index.for_tenant(tenant).models().map(listed).collect()
    }

    fn context(&self, need: ModelRequirements, now: Time) -> RoutingContext<'_> {
        RoutingContext {
            need,
            now,
            scripted: self.providers.is_scripted(),
            reports_unknown: false,
            is_bounded: false,
            key_provider: None,
        }
    }

    /// The profile's models, best first.
    fn rank_profile(&self, tenant: &TenantId, profile: ModelProfile, case: &RoutingContext<'_>) -> ModelChoice {
        let plan = self.index.for_tenant(tenant).plan(profile);
        let mut choice = ModelChoice::new(profile, None, &case.need, plan.rules.weights);
        for (group, models) in plan.groups.iter().enumerate() {
            for model in models {
                let seen = model.health.snapshot(model.expected(), case.now);
                let cost = expected_cost(model, &case.need);
                let over =
                    (cost > plan.rules.max_cost).then_some(DropReason::Cost { cost, limit: plan.rules.max_cost });
                match permanent_drop_reason(model, case).or(over).or_else(|| temporary_drop_reason(model, &seen, case))
                {
                    Some(reason) => choice.dropped.push(DroppedModel { model: Arc::clone(model), reason }),
                    None => choice.viable.push(candidate(model, group, cost, &seen, &plan.rules)),
                }
            }
        }
        choice.viable.sort_by(|a, b| a.group.cmp(&b.group).then(b.score.total.total_cmp(&a.score.total)));
        choice
    }

    /// A model by name: not scored, but checked like any other.
    fn check_named(
        &self,
        tenant: &TenantId,
        name: &str,
        profile: ModelProfile,
        case: &RoutingContext<'_>,
    ) -> ModelChoice {
        let book = self.index.for_tenant(tenant);
        let rules = &book.plan(profile).rules;
        let mut choice = ModelChoice::new(profile, Some(name), &case.need, rules.weights);
        let known = book.find(name);
        let is_known = known.is_some();
        let model = match known {
            Some(model) if model.served.is_some() => model,
            known => self.index.ad_hoc_model(name, known, &self.providers),
        };
        let nowhere = case.reports_unknown
            && !is_known
            && model.served.as_ref().is_some_and(|served| !served.provider.knows(&model.upstream));
        let seen = model.health.snapshot(model.expected(), case.now);
        let unknown = nowhere.then_some(DropReason::Unknown);
        match unknown
            .or_else(|| permanent_drop_reason(&model, case))
            .or_else(|| temporary_drop_reason(&model, &seen, case))
        {
            Some(reason) => choice.dropped.push(DroppedModel { model, reason }),
            None => {
                let cost = expected_cost(&model, &case.need);
                choice.viable.push(candidate(&model, 0, cost, &seen, rules));
            }
        }
        choice
    }
}

fn candidate(
    model: &Arc<RoutableModel>,
    group: usize,
    cost: Usd,
    seen: &HealthSnapshot,
    rules: &RoutingRules,
) -> ModelCandidate {
    // A model without facts scores zero, so that such models come last, in the order in which they were written.
    let score = model.spec.as_ref().map_or_else(ModelScore::default, |spec| {
        let facts = ScoreInputs { latency: seen.latency, cost, quality: spec.quality, error_rate: seen.error_rate };
        score(&facts, rules)
    });
    ModelCandidate { model: Arc::clone(model), group, score, cost, latency: seen.latency, error_rate: seen.error_rate }
}

/// The expected cost of the call; zero if no price is known.
fn expected_cost(model: &RoutableModel, need: &ModelRequirements) -> Usd {
    let usage =
        TokenUsage { input_tokens: need.tokens, output_tokens: need.expected_reply_tokens(), ..TokenUsage::default() };
    model.spec.as_ref().map_or(Usd::ZERO, |spec| price::cost(spec, &usage))
}

/// Why a model can never answer this request.
fn permanent_drop_reason(model: &RoutableModel, case: &RoutingContext<'_>) -> Option<DropReason> {
    if !case.scripted {
        let Some(served) = &model.served else {
            return Some(DropReason::NotConfigured { provider: model.provider.clone() });
        };
        match case.key_provider {
            Some(whose) if !whose.is_some_and(|whose| Arc::ptr_eq(whose, served)) => {
                return Some(DropReason::ForeignKey { provider: served.name.clone() });
            }
            None if !served.works_without_key => return Some(DropReason::NoKey { provider: served.name.clone() }),
            Some(_) | None => {}
        }
        let retired = model.retires.filter(|retires| served.is_public && case.now >= retires.at);
        if let Some(retires) = retired {
            return Some(DropReason::Retired { on: retires.on });
        }
    }
    let is_script = model.served.as_ref().is_some_and(|served| served.kind == ProviderKind::Script);
    let Some(spec) = &model.spec else {
        return (case.is_bounded && !case.scripted && !is_script).then_some(DropReason::Unpriced);
    };
    let need = &case.need;
    if let Some(context) = spec.context_tokens {
        #[expect(clippy::cast_precision_loss, reason = "contexts are far below 2^53 tokens")]
        let is_too_long = need.tokens as f64 > context as f64 * CONTEXT_PART;
        if is_too_long || need.tokens.saturating_add(need.reply_max.unwrap_or(0)) > context {
            return Some(DropReason::Context { tokens: need.tokens, reply_max: need.reply_max, context });
        }
    }
    let lacks = [
        (need.tools && !spec.tools, "tools"),
        (need.vision && !spec.vision, "images"),
        (need.schema && spec.structured == crate::catalogue::StructuredOutput::None, "structured output"),
        (need.streaming && !spec.streaming, "streaming"),
    ];
    lacks.into_iter().find(|(lacks, _)| *lacks).map(|(_, what)| DropReason::MissingCapability { what })
}

/// Why a model cannot be called at the moment.
fn temporary_drop_reason(
    model: &RoutableModel,
    seen: &HealthSnapshot,
    case: &RoutingContext<'_>,
) -> Option<DropReason> {
    if case.scripted || model.served.as_ref().is_some_and(|served| served.kind == ProviderKind::Script) {
        return None;
    }
    if let CircuitStatus::Open(retry_after) = seen.stand {
        return Some(DropReason::CircuitOpen { retry_after });
    }
    (seen.exhausted_for > Duration::ZERO).then_some(DropReason::RateLimited { retry_after: seen.exhausted_for })
}

#[cfg(test)]
mod tests;
