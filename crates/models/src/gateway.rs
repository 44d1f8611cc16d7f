//! The room's answer to the port: choose a model, ask it, and the next one where it fails.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baton_core::circuit::Stand;
use baton_core::id::TenantId;
use baton_core::model::{Profile, Reply, Request};
use baton_core::money::Quote;
use baton_core::run::ModelFault;
use baton_core::time::Time;
use baton_ports::circuits::Circuits;
use baton_ports::clock::Clock;
use baton_ports::decisions::{Decisions, Filter};
use baton_ports::models::{Asker, Listed, Models, Piece, Pieces};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::budget::Purse;
use crate::cache::{Cache, Key};
use crate::catalogue::{Entry, Spec};
use crate::chain::{Call, Chain};
use crate::config::{Config, Keys};
use crate::error::Error;
use crate::need::Need;
use crate::neighbours::Neighbours;
use crate::profile::{self, Rules};
use crate::providers::Ask;
use crate::providers::script::{Script, ScriptFile};
use crate::record;
use crate::recorder::Recorder;
use crate::router::{Books, Model, Reason, Router};
use crate::served::Providers;
use crate::till;

/// Attempts of one call that are explained.
const EXPLAINED_MAX: usize = 100;

/// Chooses and asks. Cheap to share behind an `Arc`; calls share no lock that is held while one waits.
pub struct Gateway {
    router: Arc<Router>,
    chain: Chain,
    cache: Option<Cache>,
    keys: Keys,
    clock: Arc<dyn Clock>,
}

impl Gateway {
    /// Checks the settings, the catalogue and the scripts, all of them, whoever will answer. Connects to nothing.
    ///
    /// # Errors
    /// A setting, a catalogue or a script that cannot be used, with its place.
    pub fn new(config: &Config, scripts: &[ScriptFile], clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let script = Script::new(scripts)?;
        let providers = Providers::new(config.plans()?, script, &clock)?;
        Self::over(config, providers, clock)
    }

    pub(crate) fn over(config: &Config, providers: Providers, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let books = Books::new(config, &providers)?;
        let router = Arc::new(Router::new(books, providers));
        warn_of_unpriced(&router);
        let first_token = config.first_token_timeout_ms.map(Duration::from_millis);
        let chain = Chain { first_token, recorder: None, neighbours: None, purse: None };
        Ok(Self { router, chain, cache: Cache::new(&config.cache), keys: config.keys, clock })
    }

    /// Keeps why each model was asked, and what came of it.
    #[must_use]
    pub fn recording(mut self, port: Arc<dyn Decisions>) -> Self {
        self.chain.recorder = Some(Recorder::new(port));
        self
    }

    /// Shares what is known of failing models with other processes.
    #[must_use]
    pub fn sharing(mut self, port: Arc<dyn Circuits>) -> Self {
        self.chain.neighbours = Some(Neighbours::new(port, Arc::clone(&self.router)));
        self
    }

    /// Reserves what each attempt may cost before it goes out, and settles what it did cost.
    #[must_use]
    pub fn spending(mut self, purse: Purse) -> Self {
        self.chain.purse = Some(purse);
        self
    }

    /// Whether replies come from files: whoever shows them should say so.
    pub fn is_scripted(&self) -> bool {
        self.router.providers().is_scripted()
    }

    /// Hears what other processes said of circuits; calls do so by themselves.
    pub async fn listen(&self) {
        if let Some(neighbours) = &self.chain.neighbours {
            neighbours.listen(self.clock.now()).await;
        }
    }

    /// Hands over records that still wait for their batch.
    pub fn flush(&self) {
        if let Some(recorder) = &self.chain.recorder {
            recorder.flush();
        }
    }

    /// How the models fare that were asked in this process, by name.
    pub fn fares(&self) -> Vec<Fare> {
        let now = self.clock.now();
        let mut all: Vec<Fare> = self.router.books().all().iter().map(|model| Fare::of(model, now)).collect();
        all.sort_by(|a, b| a.model.cmp(&b.model));
        all.dedup_by(|a, b| a.model == b.model);
        all
    }

    /// Every model a tenant may name, with its facts and with what stands against it now.
    pub fn models(&self, tenant: &TenantId) -> Vec<Listed> {
        let listed = |(model, reason): (Arc<Model>, Option<Reason>)| Listed {
            name: model.name.clone(),
            provider: model.provider.clone(),
            facts: model.spec.as_ref().map(|spec| json!(Entry::from(spec))),
            unusable: reason.map(|reason| reason.to_string()),
        };
        self.router.listed(tenant, self.bounds(tenant, None), self.clock.now()).into_iter().map(listed).collect()
    }

    /// One model's facts.
    pub fn facts(&self, tenant: &TenantId, model: &str) -> Option<Spec> {
        self.router.books().of(tenant).find(model)?.spec.clone()
    }

    /// What a profile means for a tenant.
    pub fn rules(&self, tenant: &TenantId, profile: Profile) -> Rules {
        self.router.books().of(tenant).plan(profile).rules.clone()
    }

    /// A profile for programs: its rules, and whom it would ask now for a text of so many tokens.
    pub fn profile(&self, tenant: &TenantId, wanted: Profile, tokens: u64) -> Value {
        let rules = self.rules(tenant, wanted);
        json!({
            "profile": profile::word(wanted), "models": rules.groups, "max_cost_usd": rules.max_cost.as_f64(),
            "max_latency_ms": u64::try_from(rules.max_latency.as_millis()).unwrap_or(u64::MAX),
            "weights": rules.weights, "choice": self.preview(tenant, wanted, tokens),
        })
    }

    /// Whom a profile would ask now for a text of so many tokens, and why: the choice as it is kept of a call.
    pub fn preview(&self, tenant: &TenantId, profile: Profile, tokens: u64) -> Value {
        let choice = self.router.for_profile(tenant, profile, Need::of_text(tokens), self.clock.now());
        // It was just written as JSON.
        serde_json::from_str(&choice.explained()).unwrap_or_default()
    }

    async fn answer(&self, call: &Call<'_>) -> Result<Reply, ModelFault> {
        if !call.choice.viable.is_empty() {
            return self.chain.ask(call).await;
        }
        let fault = call.choice.nobody();
        self.keep(|| record::of_nobody(call, &fault, self.clock.now()));
        Err(fault)
    }

    /// From the cache, where the same was asked before; else as ever, and kept.
    async fn answer_once(&self, cache: &Cache, call: &Call<'_>) -> Result<Reply, ModelFault> {
        let key = Key::of(&call.asker.tenant, call.request);
        if is_asked_again(call.asker) {
            let reply = self.answer(call).await?;
            cache.keep(key, &reply, self.clock.now());
            return Ok(reply);
        }
        let now = || self.clock.now();
        let (reply, is_kept) = cache.reply(key, call.deadline, now, async || self.answer(call).await).await?;
        if is_kept {
            self.keep(|| record::of_cached(call, &reply, self.clock.now()));
            tell(call.pieces, &reply).await;
        }
        Ok(reply)
    }

    /// Whether a budget bounds what a tenant's or a key's calls may cost.
    fn bounds(&self, tenant: &TenantId, key_id: Option<&str>) -> bool {
        self.chain.purse.as_ref().is_some_and(|purse| purse.bounds(tenant, key_id))
    }

    fn keep(&self, record: impl FnOnce() -> crate::recorder::Record) {
        if let Some(recorder) = &self.chain.recorder {
            recorder.record(record());
        }
    }
}

#[async_trait]
impl Models for Gateway {
    async fn ask(
        &self,
        asker: &Asker,
        request: &Request,
        limit: Duration,
        pieces: Option<&Pieces>,
    ) -> Result<Reply, ModelFault> {
        let deadline = Instant::now() + limit;
        let asker = &*self.keys.of(asker)?;
        self.listen().await;
        let is_bounded = asker.most.is_some() || self.bounds(&asker.tenant, asker.key_id.as_deref());
        let streaming = pieces.is_some() && !asker.reads_along;
        let choice = Arc::new(self.router.choose(asker, request, streaming, is_bounded, self.clock.now()));
        let call = Call { asker, request, pieces, deadline, clock: &*self.clock, choice };
        match &self.cache {
            Some(cache) => Box::pin(self.answer_once(cache, &call)).await,
            None => self.answer(&call).await,
        }
    }

    /// Profiles, then models that can be asked.
    fn names(&self) -> Vec<String> {
        let profiles = profile::ALL.into_iter().map(|profile| profile::word(profile).to_owned());
        let models = self.router.books().everyones().models().filter(|model| model.served.is_some());
        profiles.chain(models.map(|model| model.name.clone())).collect()
    }

    fn holds(&self, asker: &Asker, request: &Request) -> bool {
        let choice = self.router.choose(asker, request, true, false, self.clock.now());
        choice.viable.iter().all(|candidate| {
            let model = &candidate.model;
            model.served.as_ref().is_some_and(|served| {
                served.provider.holds(&Ask {
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

    /// Of whichever model answers.
    fn quote(&self, tenant: &TenantId, request: &Request) -> Quote {
        let choice = self.router.for_request(tenant, request, self.clock.now());
        let quotes = choice.within_reach().filter_map(|model| till::quote(model, request, choice.tokens_max));
        quotes.map(|(quote, _)| quote).reduce(Quote::or).unwrap_or_default()
    }

    fn budget_notice(&self, asker: &Asker) -> Option<String> {
        let nearly = self.chain.purse.as_ref()?.nearly_used(&asker.tenant, asker.key_id.as_deref())?;
        Some(format!("{} % of the {} budget is spent", nearly.percent, nearly.window.adjective()))
    }

    fn models(&self, tenant: &TenantId) -> Vec<Listed> {
        Self::models(self, tenant)
    }

    fn profiles(&self, tenant: &TenantId, tokens: u64) -> Vec<Value> {
        profile::ALL.into_iter().map(|wanted| self.profile(tenant, wanted, tokens)).collect()
    }

    async fn explain(&self, tenant: &TenantId, key: &str) -> Option<Value> {
        let recorder = self.chain.recorder.as_ref()?;
        recorder.flush();
        let filter = Filter { key: Some(key.to_owned()), limit: EXPLAINED_MAX, ..Filter::default() };
        let records = recorder.port().decisions(tenant, filter).await;
        let records = records.inspect_err(|error| tracing::warn!(%error, "a choice cannot be explained")).ok()?;
        record::explanation(key, &records)
    }
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").field("providers", self.router.providers()).finish_non_exhaustive()
    }
}

/// How a model fares, for people and metrics.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fare {
    pub model: String,
    pub provider: String,
    pub circuit: CircuitState,
    /// When it may be tried again, where it is left alone and not by a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// Learned in this process; the catalogue's where nothing was.
    pub latency_ms: u64,
    /// From 0 to 1.
    pub error_rate: f64,
    /// Calls of this process that taught something.
    pub calls: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CircuitState {
    Closed,
    Open,
    /// The next call finds out.
    HalfOpen,
}

impl Fare {
    fn of(model: &Model, now: Time) -> Self {
        let seen = model.health.seen(model.expected(), now);
        let whole = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let (circuit, retry_after) = match seen.stand {
            Stand::Closed => (CircuitState::Closed, None),
            Stand::Due => (CircuitState::HalfOpen, None),
            Stand::Open(retry_after) => (CircuitState::Open, retry_after),
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

/// A run that asks again after a failure wants another reply than the one that did not help: the last number of its
/// key, the generation, has risen.
fn is_asked_again(asker: &Asker) -> bool {
    let generation = asker.key.rsplit('/').next().and_then(|part| part.parse::<u32>().ok());
    asker.run.is_some() && generation.is_some_and(|generation| generation > 0)
}

/// Tells a kept reply to whoever listens, as the pieces it is made of.
async fn tell(pieces: Option<&Pieces>, reply: &Reply) {
    let Some(pieces) = pieces else { return };
    let text = (!reply.content.is_empty()).then(|| Piece::Text(reply.content.clone()));
    let calls = reply.tool_calls.iter().enumerate().map(|(index, call)| Piece::ToolCall {
        index,
        id: Some(call.id.clone()),
        name: Some(call.name.clone()),
        arguments: call.arguments.to_string(),
    });
    for piece in text.into_iter().chain(calls) {
        if pieces.send(piece).await.is_err() {
            // Nobody listens any more; the reply itself is still returned.
            return;
        }
    }
}

fn warn_of_unpriced(router: &Router) {
    if router.providers().is_scripted() {
        return;
    }
    for model in router.books().everyones().models().filter(|model| model.spec.is_none()) {
        tracing::warn!(
            model = model.name,
            "nobody states the price of this model: wherever a budget or max_cost_usd bounds a call it is refused, until \
             models.yaml has it"
        );
    }
}

#[cfg(test)]
mod faults;
#[cfg(test)]
mod tests;
