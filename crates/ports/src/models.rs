//! The port for model calls.

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

/// Maximum number of buffered deltas of one reply.
pub const DELTAS_WAITING_MAX: usize = 64;

/// The caller on whose behalf a model is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelCaller {
    pub tenant: TenantId,
    /// `None` for a call outside a run, through the gateway.
    pub run: Option<RunId>,
    /// The effect's key, or the gateway's own id for the call: for reservations and records.
    pub key: String,
    /// For sums by workflow.
    pub workflow: Option<String>,
    /// The type of the agent that asks; `None` if no run's agent does.
    pub agent_type: Option<baton_core::agent::AgentKind>,
    /// The id of the API key that made the call: for budgets by key.
    pub key_id: Option<String>,
    /// The consumer's own key for the provider. Never stored, never logged.
    pub api_key: Option<ConsumerKey>,
    /// Whether the subscriber accepts [`ReplyDelta::Reset`], so that it can discard what it received. It then also
    /// accepts a model that cannot stream, whose reply arrives as a whole. Otherwise only models that can stream are
    /// asked, and a reply that breaks off after its first delta is an error.
    pub accepts_reset: bool,
    /// The consumer brought its own key, which is no longer here: no other key may pay instead.
    pub key_is_missing: bool,
    /// The cost limit for all attempts of the call together; `None` if only budgets limit it.
    pub cost_limit: Option<Usd>,
    /// IETF language tag of the customer, if known.
    pub language: Option<String>,
    /// Where its cost is charged; `None` leaves that to the service.
    pub charges: Option<ChargeCollector>,
    /// The span of the call, for the called service ([`baton_core::trace::SpanContext`]).
    pub traceparent: Option<String>,
}

impl ModelCaller {
    /// A tenant's call under a key, outside a run, without a consumer's key, charged by the service.
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

/// A provider's key that a consumer brought. It is never shown: it has no `Serialize`, and `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct ConsumerKey(String);

impl ConsumerKey {
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The key itself, only for the header that carries it.
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ConsumerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(hidden)")
    }
}

/// A part of a reply as it arrives. Provisional: only the reply that [`ModelService::ask`] returns counts.
#[derive(Clone, Debug, PartialEq)]
pub enum ReplyDelta {
    Text(String),
    /// A part of the tool call at this position of the reply. `id` and `name` come with its first part; `arguments` is
    /// JSON text to be concatenated.
    ToolCall {
        index: usize,
        id: Option<String>,
        name: Option<String>,
        arguments: String,
    },
    /// Another attempt begins: discard what was received so far.
    Reset,
}

/// Receives deltas; at most [`DELTAS_WAITING_MAX`] are buffered. A subscriber that stops listening drops the receiver.
pub type DeltaSender = mpsc::Sender<ReplyDelta>;

/// A model that can be named.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelListing {
    pub name: String,
    pub provider: String,
    /// Prices, context, quality, capabilities, by name; `None` if the model is in no catalogue.
    pub facts: Option<Value>,
    /// Why it cannot be asked now.
    pub unusable: Option<String>,
}

/// Resolves a name to the model's own name: a model may be named with its provider as prefix.
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
    /// Makes one call, which is abandoned after `limit`; dropping the future ends the call at the provider. With
    /// `pieces` the reply is also streamed, if its provider supports that.
    async fn ask(
        &self,
        asker: &ModelCaller,
        request: &ModelRequest,
        limit: Duration,
        pieces: Option<&DeltaSender>,
    ) -> Result<ModelReply, ModelCallError>;

    /// Names that can be used in a request: models and profiles. For the lists of HTTP endpoints.
    fn names(&self) -> Vec<String>;

    /// Every model that a tenant may name, with its facts and with why it cannot be used now.
    fn models(&self, _tenant: &TenantId) -> Vec<ModelListing> {
        Vec::new()
    }

    /// What each profile means for a tenant, and which model it would select now for a text of this many tokens. For
    /// people.
    fn profiles(&self, _tenant: &TenantId, _tokens: u64) -> Vec<Value> {
        Vec::new()
    }

    /// Whether every model that may answer enforces the request's schema on its reply, and the parameters of strict
    /// tools on its calls: then deltas may be passed on unchecked. Does not block and makes no request.
    fn enforces_schema(&self, _asker: &ModelCaller, _request: &ModelRequest) -> bool {
        false
    }

    /// What a call may cost, before the model is known; empty if that is unknown. Does not block and makes no request.
    fn quote(&self, _tenant: &TenantId, _request: &ModelRequest) -> PriceQuote {
        PriceQuote::default()
    }

    /// How much of its budgets the asker has used, in words, once that is worth a notice; `None` before. Does not block
    /// and makes no request.
    fn budget_notice(&self, _asker: &ModelCaller) -> Option<String> {
        None
    }

    /// Why the model that answered the call of this key was chosen, if that is still known.
    async fn explain(&self, tenant: &TenantId, key: &str) -> Option<Value>;
}
