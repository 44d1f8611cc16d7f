//! The implementation of the port [`ModelService`]: chooses a model, calls it, and falls back to the next one if it
//! fails.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baton_core::circuit::CircuitStatus;
use baton_core::id::TenantId;
use baton_core::model::{ModelProfile, ModelReply, ModelRequest};
use baton_core::money::PriceQuote;
use baton_core::run::ModelCallError;
use baton_core::time::Time;
use baton_ports::circuits::ModelCircuitStore;
use baton_ports::clock::Clock;
use baton_ports::decisions::{DecisionFilter, DecisionLog};
use baton_ports::models::{DeltaSender, ModelCaller, ModelListing, ModelService, ReplyDelta};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::attempt_budget;
use crate::budget::BudgetLedger;
use crate::cache::{ReplyCache, ReplyCacheKey};
use crate::catalogue::{CatalogueEntry, ModelSpec};
use crate::config::{KeyPolicy, ModelsConfig};
use crate::error::ModelsError;
use crate::fallback::{FallbackChain, ModelCall};
use crate::profile::{self, RoutingRules};
use crate::provider_registry::ProviderRegistry;
use crate::providers::ProviderRequest;
use crate::providers::script::{ReplyScript, ScriptFile};
use crate::record;
use crate::recorder::DecisionRecorder;
use crate::requirements::ModelRequirements;
use crate::router::{DropReason, ModelIndex, ModelRouter, RoutableModel};
use crate::shared_circuits::SharedCircuits;

/// Maximum number of attempts of one call that are explained.
const EXPLAINED_MAX: usize = 100;

/// Routes and performs model calls. Cheap to share in an `Arc`; no lock is held across an await.
pub struct ModelGateway {
    router: Arc<ModelRouter>,
    chain: FallbackChain,
    cache: Option<ReplyCache>,
    keys: KeyPolicy,
    clock: Arc<dyn Clock>,
}

impl ModelGateway {
    /// Validates the settings, the catalogue and all scripts, whichever of them will be used. Opens no connection.
    ///
    /// # Errors
    /// A setting, a catalogue or a script that cannot be used, with its place.
    pub fn new(config: &ModelsConfig, scripts: &[ScriptFile], clock: Arc<dyn Clock>) -> Result<Self, ModelsError> {
        let script = ReplyScript::new(scripts)?;
        let providers = ProviderRegistry::new(config.plans()?, script, &clock)?;
        Self::with_providers(config, providers, clock)
    }

    pub(crate) fn with_providers(
        config: &ModelsConfig,
        providers: ProviderRegistry,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ModelsError> {
        let books = ModelIndex::new(config, &providers)?;
        let router = Arc::new(ModelRouter::new(books, providers));
        warn_of_unpriced(&router);
        let first_token = config.first_token_timeout_ms.map(Duration::from_millis);
        let chain = FallbackChain { first_token, recorder: None, shared_circuits: None, budget: None };
        Ok(Self { router, chain, cache: ReplyCache::new(&config.cache), keys: config.keys, clock })
    }

    /// Records why each model was called, and its outcome.
    #[must_use]
    pub fn with_decisions(mut self, port: Arc<dyn DecisionLog>) -> Self {
        self.chain.recorder = Some(DecisionRecorder::new(port));
        self
    }

    /// Shares the circuits of failing models with other processes.
    #[must_use]
    pub fn with_circuits(mut self, port: Arc<dyn ModelCircuitStore>) -> Self {
        self.chain.shared_circuits = Some(SharedCircuits::new(port, Arc::clone(&self.router)));
        self
    }

    /// Reserves the possible cost of each attempt before it is sent, and settles its actual cost.
    #[must_use]
    pub fn with_budget(mut self, ledger: BudgetLedger) -> Self {
        self.chain.budget = Some(ledger);
        self
    }

    /// Whether replies come from files. User interfaces should display this.
    pub fn is_scripted(&self) -> bool {
        self.router.providers().is_scripted()
    }

    /// Reads the circuits of other processes. Calls do this by themselves.
    pub async fn sync_circuits(&self) {
        if let Some(neighbours) = &self.chain.shared_circuits {
            neighbours.sync(self.clock.now()).await;
        }
    }

    /// Writes records that still wait for their batch.
    pub fn flush(&self) {
        if let Some(recorder) = &self.chain.recorder {
            recorder.flush();
        }
    }

    /// Returns the health of the models that were called in this process, by name.
    pub fn model_health(&self) -> Vec<ModelHealth> {
        let now = self.clock.now();
        let mut all: Vec<ModelHealth> =
            self.router.index().all().iter().map(|model| ModelHealth::of(model, now)).collect();
        all.sort_by(|a, b| a.model.cmp(&b.model));
        all.dedup_by(|a, b| a.model == b.model);
        all
    }

    /// Returns every model that a tenant may name, with its facts and with what currently prevents its use.
    pub fn models(&self, tenant: &TenantId) -> Vec<ModelListing> {
        let listed = |(model, reason): (Arc<RoutableModel>, Option<DropReason>)| ModelListing {
            name: model.name.clone(),
            provider: model.provider.clone(),
            facts: model.spec.as_ref().map(|spec| json!(CatalogueEntry::from(spec))),
            unusable: reason.map(|reason| reason.to_string()),
        };
        self.router
            .list_models(tenant, self.has_budget_limit(tenant, None), self.clock.now())
            .into_iter()
            .map(listed)
            .collect()
    }

    /// Returns the facts about one model.
    pub fn facts(&self, tenant: &TenantId, model: &str) -> Option<ModelSpec> {
        self.router.index().for_tenant(tenant).find(model)?.spec.clone()
    }

    /// Returns the rules of a profile for a tenant.
    pub fn rules(&self, tenant: &TenantId, profile: ModelProfile) -> RoutingRules {
        self.router.index().for_tenant(tenant).plan(profile).rules.clone()
    }

    /// Describes a profile as JSON: its rules, and the models it would choose now for a text of this number of tokens.
    pub fn profile(&self, tenant: &TenantId, wanted: ModelProfile, tokens: u64) -> Value {
        let rules = self.rules(tenant, wanted);
        json!({
            "profile": profile::word(wanted), "models": rules.groups, "max_cost_usd": rules.max_cost.as_f64(),
            "max_latency_ms": u64::try_from(rules.max_latency.as_millis()).unwrap_or(u64::MAX),
            "weights": rules.weights, "choice": self.preview(tenant, wanted, tokens),
        })
    }

    /// Returns the models that a profile would choose now for a text of this number of tokens, and why, in the form
    /// that is recorded for a call.
    pub fn preview(&self, tenant: &TenantId, profile: ModelProfile, tokens: u64) -> Value {
        let choice = self.router.for_profile(tenant, profile, ModelRequirements::of_text(tokens), self.clock.now());
        // The text was just written as JSON.
        serde_json::from_str(&choice.explain()).unwrap_or_default()
    }

    async fn answer(&self, call: &ModelCall<'_>) -> Result<ModelReply, ModelCallError> {
        if !call.choice.viable.is_empty() {
            return self.chain.ask(call).await;
        }
        let fault = call.choice.no_candidate_fault();
        self.record_decision(|| record::of_no_candidate(call, &fault, self.clock.now()));
        Err(fault)
    }

    /// Returns the cached reply to an identical request; else calls a model and caches its reply.
    async fn answer_cached(&self, cache: &ReplyCache, call: &ModelCall<'_>) -> Result<ModelReply, ModelCallError> {
        let key = ReplyCacheKey::of(&call.asker.tenant, call.request);
        if is_retry(call.asker) {
            let reply = self.answer(call).await?;
            cache.store(key, &reply, self.clock.now());
            return Ok(reply);
        }
        let now = || self.clock.now();
        let (reply, is_kept) = cache.get_or_fetch(key, call.deadline, now, async || self.answer(call).await).await?;
        if is_kept {
            self.record_decision(|| record::of_cached(call, &reply, self.clock.now()));
            replay_pieces(call.pieces, &reply).await;
        }
        Ok(reply)
    }

    /// Whether a budget bounds what the calls of a tenant or key may cost.
    fn has_budget_limit(&self, tenant: &TenantId, key_id: Option<&str>) -> bool {
        self.chain.budget.as_ref().is_some_and(|ledger| ledger.has_limit(tenant, key_id))
    }

    fn record_decision(&self, record: impl FnOnce() -> crate::recorder::DecisionRecord) {
        if let Some(recorder) = &self.chain.recorder {
            recorder.record(record());
        }
    }
}

#[async_trait]
impl ModelService for ModelGateway {
    async fn ask(
        &self,
        asker: &ModelCaller,
        request: &ModelRequest,
        limit: Duration,
        pieces: Option<&DeltaSender>,
    ) -> Result<ModelReply, ModelCallError> {
        let deadline = Instant::now() + limit;
        let asker = &*self.keys.resolve(asker)?;
        self.sync_circuits().await;
        let is_bounded = asker.cost_limit.is_some() || self.has_budget_limit(&asker.tenant, asker.key_id.as_deref());
        let streaming = pieces.is_some() && !asker.accepts_reset;
        let choice = Arc::new(self.router.choose(asker, request, streaming, is_bounded, self.clock.now()));
        let call = ModelCall { asker, request, pieces, deadline, clock: &*self.clock, choice };
        match &self.cache {
            Some(cache) => Box::pin(self.answer_cached(cache, &call)).await,
            None => self.answer(&call).await,
        }
    }

    /// Profiles, then callable models.
    fn names(&self) -> Vec<String> {
        let profiles = profile::ALL.into_iter().map(|profile| profile::word(profile).to_owned());
        let models = self.router.index().shared_models().models().filter(|model| model.served.is_some());
        profiles.chain(models.map(|model| model.name.clone())).collect()
    }

    fn enforces_schema(&self, asker: &ModelCaller, request: &ModelRequest) -> bool {
        let choice = self.router.choose(asker, request, true, false, self.clock.now());
        choice.viable.iter().all(|candidate| {
            let model = &candidate.model;
            model.served.as_ref().is_some_and(|served| {
                served.provider.enforces_schema(&ProviderRequest {
                    asker,
                    request,
                    model: &model.upstream,
                    spec: model.spec.as_ref(),
                    limit: Duration::ZERO,
                    first_token: None,
                    key: None,
                    pieces: None,
                })
            })
        })
    }

    /// Covers whichever model answers.
    fn quote(&self, tenant: &TenantId, request: &ModelRequest) -> PriceQuote {
        let choice = self.router.for_request(tenant, request, self.clock.now());
        let quotes =
            choice.reachable_models().filter_map(|model| attempt_budget::quote(model, request, choice.tokens_max));
        quotes.map(|(quote, _)| quote).reduce(PriceQuote::or).unwrap_or_default()
    }

    fn budget_notice(&self, asker: &ModelCaller) -> Option<String> {
        let nearly = self.chain.budget.as_ref()?.warning(&asker.tenant, asker.key_id.as_deref())?;
        Some(format!("{} % of the {} budget is spent", nearly.percent, nearly.window.adjective()))
    }

    fn models(&self, tenant: &TenantId) -> Vec<ModelListing> {
        Self::models(self, tenant)
    }

    fn profiles(&self, tenant: &TenantId, tokens: u64) -> Vec<Value> {
        profile::ALL.into_iter().map(|wanted| self.profile(tenant, wanted, tokens)).collect()
    }

    async fn explain(&self, tenant: &TenantId, key: &str) -> Option<Value> {
        let recorder = self.chain.recorder.as_ref()?;
        recorder.flush();
        let filter = DecisionFilter { key: Some(key.to_owned()), limit: EXPLAINED_MAX, ..DecisionFilter::default() };
        let records = recorder.port().decisions(tenant, filter).await;
        let records = records.inspect_err(|error| tracing::warn!(%error, "a choice cannot be explained")).ok()?;
        record::explanation(key, &records)
    }
}

impl std::fmt::Debug for ModelGateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModelGateway").field("providers", self.router.providers()).finish_non_exhaustive()
    }
}

/// The health of a model, for people and metrics.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelHealth {
    pub model: String,
    pub provider: String,
    pub circuit: CircuitState,
    /// Milliseconds until the model may be tried again, if its circuit is open and was not opened by a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// Learned in this process; the catalogue's value if nothing was learned.
    pub latency_ms: u64,
    /// From 0 to 1.
    pub error_rate: f64,
    /// The number of calls in this process that changed the averages.
    pub calls: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CircuitState {
    Closed,
    Open,
    /// The next call is a probe.
    HalfOpen,
}

impl ModelHealth {
    fn of(model: &RoutableModel, now: Time) -> Self {
        let seen = model.health.snapshot(model.expected(), now);
        let whole = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let (circuit, retry_after) = match seen.stand {
            CircuitStatus::Closed => (CircuitState::Closed, None),
            CircuitStatus::Due => (CircuitState::HalfOpen, None),
            CircuitStatus::Open(retry_after) => (CircuitState::Open, retry_after),
        };
        Self {
            model: model.name.clone(),
            provider: model.provider.clone(),
            circuit,
            retry_after_ms: retry_after.map(whole),
            latency_ms: whole(seen.latency),
            error_rate: seen.error_rate,
            calls: seen.calls,
        }
    }
}

/// A run that retries after a failure needs a different reply than the one that did not help: the last number of its
/// key, the generation, has risen.
fn is_retry(asker: &ModelCaller) -> bool {
    let generation = asker.key.rsplit('/').next().and_then(|part| part.parse::<u32>().ok());
    asker.run.is_some() && generation.is_some_and(|generation| generation > 0)
}

/// Sends a cached reply to the listener as the deltas it consists of.
async fn replay_pieces(pieces: Option<&DeltaSender>, reply: &ModelReply) {
    let Some(pieces) = pieces else { return };
    let text = (!reply.content.is_empty()).then(|| ReplyDelta::Text(reply.content.clone()));
    let calls = reply.tool_calls.iter().enumerate().map(|(index, call)| ReplyDelta::ToolCall {
        index,
        id: Some(call.id.clone()),
        name: Some(call.name.clone()),
        arguments: call.arguments.to_string(),
    });
    for piece in text.into_iter().chain(calls) {
        if pieces.send(piece).await.is_err() {
            // The listener has gone; the reply itself is still returned.
            return;
        }
    }
}

fn warn_of_unpriced(router: &ModelRouter) {
    if router.providers().is_scripted() {
        return;
    }
    for model in router.index().shared_models().models().filter(|model| model.spec.is_none()) {
        tracing::warn!(
            model = model.name,
            "nobody states the price of this model: wherever a budget or max_cost_usd bounds a call it is refused, until \
             models.yaml has it"
        );
    }
}

#[cfg(test)]
mod fault_injection;
#[cfg(test)]
mod tests;
