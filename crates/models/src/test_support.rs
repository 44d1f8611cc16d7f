//! Test helpers of this crate: a clock that follows the runtime's, ports that record, and programmable providers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::model::{FinishReason, ModelReply, TokenUsage};
use baton_core::money::Usd;
use baton_core::time::Time;
use baton_ports::circuits::{ModelCircuit, ModelCircuitStore};
use baton_ports::clock::Clock;
use baton_ports::decisions::{DecisionFilter, DecisionLog, DecisionSum, ModelDecision};
use baton_ports::journal::JournalError;
use baton_ports::models::ReplyDelta;
use tokio::time::Instant;

use crate::config::{ModelsConfig, ProviderKind};
use crate::fault::{code, transient};
use crate::gateway::ModelGateway;
use crate::provider_registry::{ProviderRegistry, ServedProvider};
use crate::providers::{AttemptSpend, ModelProvider, ProviderError, ProviderReply, ProviderRequest};

/// The time of the paused runtime.
pub(crate) struct PausedTokioClock(Instant);

impl PausedTokioClock {
    pub fn new() -> Arc<Self> {
        Arc::new(Self(Instant::now()))
    }
}

impl Clock for PausedTokioClock {
    fn now(&self) -> Time {
        // A day in 2026, when some models of the catalogue are retired and others are not.
        Time::from_ms(1_795_000_000_000) + self.0.elapsed()
    }
}

/// Records that were written.
#[derive(Default)]
pub(crate) struct DecisionCapture(Mutex<Vec<Vec<ModelDecision>>>);

impl DecisionCapture {
    /// Sizes of the batches.
    pub fn batches(&self) -> Vec<usize> {
        self.0.lock().unwrap().iter().map(Vec::len).collect()
    }

    pub fn all(&self) -> Vec<ModelDecision> {
        self.0.lock().unwrap().concat()
    }
}

#[async_trait]
impl DecisionLog for DecisionCapture {
    fn record(&self, batch: Vec<ModelDecision>) -> Result<(), JournalError> {
        self.0.lock().unwrap().push(batch);
        Ok(())
    }

    async fn decisions(&self, tenant: &TenantId, filter: DecisionFilter) -> Result<Vec<ModelDecision>, JournalError> {
        let is_wanted =
            |found: &ModelDecision| found.tenant == *tenant && filter.key.as_ref().is_none_or(|key| *key == found.key);
        Ok(self.all().into_iter().rev().filter(is_wanted).take(filter.limit).collect())
    }

    async fn sums(&self, _tenant: &TenantId, _since: Time) -> Result<Vec<DecisionSum>, JournalError> {
        Ok(Vec::new())
    }
}

/// Circuit changes that were published.
#[derive(Default)]
pub(crate) struct CircuitCapture(Mutex<Vec<ModelCircuit>>);

impl CircuitCapture {
    pub fn all(&self) -> Vec<ModelCircuit> {
        self.0.lock().unwrap().clone()
    }
}

#[async_trait]
impl ModelCircuitStore for CircuitCapture {
    async fn set(&self, circuit: ModelCircuit) -> Result<(), JournalError> {
        self.0.lock().unwrap().push(circuit);
        Ok(())
    }

    async fn circuits(&self) -> Result<Vec<ModelCircuit>, JournalError> {
        Ok(self.all())
    }
}

/// What a provider does when it is called.
#[derive(Clone, Debug)]
pub(crate) enum FakeBehavior {
    Answers(Duration),
    /// Answers, and reports that its quota is exhausted for this long.
    IsFull(Duration),
    Fails(&'static str),
    /// Fails and requests this delay.
    Waits(Duration),
    Hangs,
    /// Answers, and counts no tokens.
    CountsNothing,
    /// Sends a delta and breaks off.
    BreaksOff,
}

/// A provider that records which models it was called for, with the API key of the call.
#[derive(Debug)]
pub(crate) struct FakeProvider {
    /// One-time behaviours, then the permanent one.
    behavior: Mutex<(VecDeque<FakeBehavior>, FakeBehavior)>,
    requests: Mutex<Vec<(String, Option<String>)>>,
    /// The reply limit of each request.
    replies: Mutex<Vec<Option<u32>>>,
}

impl FakeProvider {
    pub fn new(always: FakeBehavior) -> Arc<Self> {
        Arc::new(Self {
            behavior: Mutex::new((VecDeque::new(), always)),
            requests: Mutex::default(),
            replies: Mutex::default(),
        })
    }

    /// Sets the behaviour from now on.
    pub fn set_behavior(&self, always: FakeBehavior) {
        self.behavior.lock().unwrap().1 = always;
    }

    /// Sets the behaviour of the next call only.
    pub fn behave_once(&self, first: FakeBehavior) {
        self.behavior.lock().unwrap().0.push_back(first);
    }

    pub fn requested_models(&self) -> Vec<String> {
        self.requests.lock().unwrap().iter().map(|(model, _)| model.clone()).collect()
    }

    /// The reply limit of each request.
    pub fn replies(&self) -> Vec<Option<u32>> {
        self.replies.lock().unwrap().clone()
    }

    pub fn keys(&self) -> Vec<Option<String>> {
        self.requests.lock().unwrap().iter().map(|(_, key)| key.clone()).collect()
    }
}

#[derive(Debug)]
struct FakeProviderHandle(Arc<FakeProvider>);

#[async_trait]
impl ModelProvider for FakeProviderHandle {
    async fn ask(&self, ask: &ProviderRequest<'_>) -> Result<ProviderReply, ProviderError> {
        let key = ask.key.map(|key| key.secret().to_owned());
        self.0.requests.lock().unwrap().push((ask.model.to_owned(), key));
        self.0.replies.lock().unwrap().push(ask.request.max_tokens);
        let does = {
            let mut does = self.0.behavior.lock().unwrap();
            does.0.pop_front().unwrap_or_else(|| does.1.clone())
        };
        let failed = |code| transient(code, format!("`{}` failed", ask.model));
        match does {
            FakeBehavior::Answers(after) if after < ask.limit => {
                tokio::time::sleep(after).await;
                Ok(ProviderReply { reply: reply(ask.model), exhausted_for: None, is_counted: true })
            }
            FakeBehavior::IsFull(full_for) => {
                Ok(ProviderReply { reply: reply(ask.model), exhausted_for: Some(full_for), is_counted: true })
            }
            FakeBehavior::CountsNothing => {
                Ok(ProviderReply { reply: reply(ask.model), exhausted_for: None, is_counted: false })
            }
            FakeBehavior::Fails(code) => Err(failed(code).into()),
            FakeBehavior::Waits(wait) => {
                let retry_after = u64::try_from(wait.as_millis()).ok();
                let full = failed(code::RATE_LIMIT_EXCEEDED);
                Err(baton_core::run::ModelCallError { retry_after, ..full }.into())
            }
            FakeBehavior::BreaksOff => {
                if let Some(pieces) = ask.pieces {
                    pieces.send(ReplyDelta::Text("half".into())).await.unwrap();
                }
                Err(ProviderError {
                    fault: failed(code::MALFORMED_REPLY),
                    has_streamed: ask.pieces.is_some(),
                    spent: AttemptSpend::Unknown,
                })
            }
            FakeBehavior::Answers(_) | FakeBehavior::Hangs => {
                tokio::time::sleep(ask.limit).await;
                Err(ProviderError { spent: AttemptSpend::Unknown, ..failed(code::TIMEOUT).into() })
            }
        }
    }
}

pub(crate) fn reply(model: &str) -> ModelReply {
    ModelReply {
        content: "whole".into(),
        tool_calls: Vec::new(),
        thinking: None,
        finish: FinishReason::Stop,
        usage: TokenUsage { input_tokens: 10, output_tokens: 5, ..TokenUsage::default() },
        model: model.to_owned(),
        provider: "puppet".into(),
        cost: Usd::from_nanos(1_000),
        latency_ms: 1,
    }
}

/// A registered provider over a fake one.
pub(crate) fn fake_provider(name: &str, kind: ProviderKind, fake: &Arc<FakeProvider>) -> ServedProvider {
    let provider = Box::new(FakeProviderHandle(Arc::clone(fake)));
    ServedProvider { name: name.to_owned(), kind, provider, works_without_key: true, is_public: false }
}

/// A gateway over these providers, with settings written as JSON.
pub(crate) fn gateway(settings: serde_json::Value, providers: Vec<ServedProvider>) -> ModelGateway {
    let config: ModelsConfig = serde_json::from_value(settings).expect("settings");
    ModelGateway::with_providers(&config, ProviderRegistry::of(providers), PausedTokioClock::new()).expect("a gateway")
}
