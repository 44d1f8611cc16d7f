//! Asking a model.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use baton_core::id::{RunId, TenantId};
use baton_core::model::{ModelReply, ModelRequest};
use baton_core::money::{PriceQuote, Usd};
use baton_core::run::ModelCallError;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::budget::ChargeCollector;

/// Pieces of one reply that wait for whoever listens.
pub const DELTAS_WAITING_MAX: usize = 64;

/// On whose behalf a model is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelCaller {
    pub tenant: TenantId,
    /// None for a call that is no run's: one that came by the gateway.
    pub run: Option<RunId>,
    /// The effect's key, or the gateway's own id for the call: for holds and records.
    pub key: String,
    /// For sums by workflow.
    pub workflow: Option<String>,
    /// Of what type the agent is that asks; nothing where no run's agent does.
    pub agent_type: Option<baton_core::agent::AgentKind>,
    /// The API key it came under, by its id: for budgets by key.
    pub key_id: Option<String>,
    /// The consumer's own key for the provider. Never stored, never logged.
    pub api_key: Option<ConsumerKey>,
    /// Whether its listener only reads along: it can take back what it was told ([`ReplyDelta::Reset`]), and hears the whole
    /// from a model that cannot tell it part by part. Where not, only models that can are asked, and a reply that breaks
    /// off after its first piece is an error.
    pub accepts_reset: bool,
    /// The consumer brought its own key, and it is not here any more: another must not pay in its stead.
    pub key_is_missing: bool,
    /// The most that all attempts of the call may cost together; nothing where only budgets bound it.
    pub cost_limit: Option<Usd>,
    /// IETF language tag of the customer it is for, where that is known.
    pub language: Option<String>,
    /// Where what it costs is charged; nothing leaves that to whoever serves the call.
    pub charges: Option<ChargeCollector>,
    /// The span that the call is, for whoever is asked ([`baton_core::trace::SpanContext`]).
    pub traceparent: Option<String>,
}

impl ModelCaller {
    /// A tenant's call under a key, of no run, with no key of its own, charged by whoever serves it.
    pub fn of(tenant: TenantId, key: impl Into<String>) -> Self {
        Self {
            tenant,
            run: None,
            key: key.into(),
            workflow: None,
            agent_type: None,
            key_id: None,
            api_key: None,
            accepts_reset: false,
            key_is_missing: false,
            cost_limit: None,
            language: None,
            charges: None,
            traceparent: None,
        }
    }
}

/// A provider's key that a consumer brought. Shown to nobody: it has no `Serialize`, and `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct ConsumerKey(String);

impl ConsumerKey {
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The key itself, for the header it goes into and for nothing else.
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ConsumerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(hidden)")
    }
}

/// A part of a reply, as it comes. Provisional: the reply that [`ModelService::ask`] returns is the one that counts.
#[derive(Clone, Debug, PartialEq)]
pub enum ReplyDelta {
    Text(String),
    /// A part of the tool call at this place of the reply; `id` and `name` come with its first part, `arguments` is
    /// JSON text to be joined.
    ToolCall {
        index: usize,
        id: Option<String>,
        name: Option<String>,
        arguments: String,
    },
    /// Another attempt begins: what came so far is void.
    Reset,
}

/// Where pieces go; at most [`DELTAS_WAITING_MAX`] wait there. Whoever does not listen any more drops its end.
pub type DeltaSender = mpsc::Sender<ReplyDelta>;

/// A model that may be named.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelListing {
    pub name: String,
    pub provider: String,
    /// Prices, context, quality, capabilities, by name; nothing where no catalogue knows it.
    pub facts: Option<Value>,
    /// Why it cannot be asked now.
    pub unusable: Option<String>,
}

/// The model that a person means, under its own name: one that is named with its provider is meant by that.
pub fn resolve_name<'m>(models: &'m [ModelListing], named: &'m str) -> &'m str {
    if models.iter().any(|model| model.name == named) {
        return named;
    }
    let with_provider = models.iter().find(|model| {
        named.strip_prefix(&*model.provider).and_then(|rest| rest.strip_prefix('/')) == Some(&model.name)
    });
    with_provider.map_or(named, |model| &model.name)
}

#[async_trait]
pub trait ModelService: Send + Sync {
    /// One call, given up after `limit`; dropping the future ends the call at the provider. With `pieces`, the reply is
    /// also told part by part, where its provider can.
    async fn ask(
        &self,
        asker: &ModelCaller,
        request: &ModelRequest,
        limit: Duration,
        pieces: Option<&DeltaSender>,
    ) -> Result<ModelReply, ModelCallError>;

    /// What can be asked by name: models, profiles. For lists that doors show.
    fn names(&self) -> Vec<String>;

    /// Every model a tenant may name, with its facts and with what stands against it now.
    fn models(&self, _tenant: &TenantId) -> Vec<ModelListing> {
        Vec::new()
    }

    /// What each profile means for a tenant, and whom it would ask now for a text of so many tokens. For people.
    fn profiles(&self, _tenant: &TenantId, _tokens: u64) -> Vec<Value> {
        Vec::new()
    }

    /// Whether every model that may answer holds its reply to the request's schema, and its calls to the parameters of
    /// strict tools, by itself: then pieces may be passed on unread. Asks nobody and waits for nothing.
    fn enforces_schema(&self, _asker: &ModelCaller, _request: &ModelRequest) -> bool {
        false
    }

    /// What a call may cost, before it is known which model answers; nothing where that cannot be said. Asks nobody and
    /// waits for nothing.
    fn quote(&self, _tenant: &TenantId, _request: &ModelRequest) -> PriceQuote {
        PriceQuote::default()
    }

    /// How much of its budgets the asker has used, in words, once that is worth telling; nothing before. Asks nobody and
    /// waits for nothing.
    fn budget_notice(&self, _asker: &ModelCaller) -> Option<String> {
        None
    }

    /// Why the model that answered the call of this key was chosen, where that is still known.
    async fn explain(&self, tenant: &TenantId, key: &str) -> Option<Value>;
}
