//! Model providers, one file each, all behind one trait.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baton_core::model::{ModelReply, ModelRequest};
use baton_core::money::Usd;
use baton_core::run::ModelCallError;
use baton_ports::clock::Clock;
use baton_ports::models::{ConsumerKey, DeltaSender, ModelCaller};

use self::anthropic::AnthropicDialect;
use self::openai::OpenAiDialect;
use self::remote::HttpProvider;
use crate::catalogue::{ModelSpec, StructuredOutput};
use crate::error::ModelsError;

pub(crate) mod anthropic;
#[cfg(test)]
mod corruption;
mod dialect;
mod draft;
mod listener;
pub(crate) mod openai;
mod remote;
mod schema;
pub(crate) mod script;
#[cfg(test)]
pub(crate) mod stub_server;
#[cfg(test)]
pub(crate) mod test_support;
mod tokens;
mod tool_names;

/// Serves models: one call, one attempt. The gateway chooses, retries and falls back.
#[async_trait]
pub(crate) trait ModelProvider: Send + Sync + Debug {
    /// Dropping the future cancels the call at the provider.
    async fn ask(&self, ask: &ProviderRequest<'_>) -> Result<ProviderReply, ProviderError>;

    /// Whether a model that no catalogue knows may be called. A server may have more models than the catalogue.
    fn knows(&self, _model: &str) -> bool {
        true
    }

    /// Whether the provider itself enforces the request's schema on replies, and the parameters of strict tools on
    /// calls.
    fn enforces_schema(&self, _ask: &ProviderRequest<'_>) -> bool {
        false
    }

    /// Maximum tokens of this model's reply if the request sets no limit; `None` if unknown.
    fn reply_max(&self, _model: &str, spec: Option<&ModelSpec>) -> Option<u64> {
        spec.and_then(|spec| spec.output_tokens)
    }

    /// The cost of a request, if it is fixed before the call.
    fn price(&self, _request: &ModelRequest, _spec: Option<&ModelSpec>) -> Option<Usd> {
        None
    }
}

/// One call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProviderRequest<'a> {
    pub asker: &'a ModelCaller,
    pub request: &'a ModelRequest,
    /// The provider's own name of the model.
    pub model: &'a str,
    /// Unknown models are still called; their calls have no price.
    pub spec: Option<&'a ModelSpec>,
    /// The time limit for the whole reply.
    pub limit: Duration,
    /// The time limit for the first token. If it is set, or there is a listener, the reply is streamed.
    pub first_token: Option<Duration>,
    /// The API key of this call; by default the provider's own.
    pub key: Option<&'a ConsumerKey>,
    pub pieces: Option<&'a DeltaSender>,
}

/// A reply with the provider's metadata.
#[derive(Debug, PartialEq)]
pub(crate) struct ProviderReply {
    pub reply: ModelReply,
    /// How long the provider accepts no more requests, if its rate-limit headers say that the quota is exhausted.
    pub exhausted_for: Option<Duration>,
    /// Whether the provider counted the tokens. If not, the usage and the cost are estimates.
    pub is_counted: bool,
}

/// Why there is no reply.
#[derive(Debug, PartialEq)]
pub(crate) struct ProviderError {
    pub fault: ModelCallError,
    /// Whether a part of the reply has reached the listener. Until then another model may answer unnoticed.
    pub has_streamed: bool,
    /// The cost of the failed attempt.
    pub spent: AttemptSpend,
}

/// The cost of an attempt that was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AttemptSpend {
    /// Exactly this amount: zero for requests that never reached the provider or were refused there.
    Exactly(Usd),
    /// The provider accepted the request, and did not report, or not completely, what it did with it.
    Unknown,
}

impl AttemptSpend {
    pub const NOTHING: Self = Self::Exactly(Usd::ZERO);
}

impl From<ModelCallError> for ProviderError {
    /// A failure before anything was streamed or charged.
    fn from(fault: ModelCallError) -> Self {
        Self { fault, has_streamed: false, spent: AttemptSpend::NOTHING }
    }
}

/// The address of an API and how to call it.
#[derive(Clone, Debug)]
pub(crate) struct ProviderSite {
    /// The path of these settings, for messages: `models`, or `models.providers.azure`.
    pub setting_path: String,
    /// The provider's name in replies.
    pub name: String,
    pub api: ProviderApi,
    /// Default: the provider's public URL. Azure has none.
    pub base_url: Option<String>,
    pub key: Option<ConsumerKey>,
    pub connect_timeout: Duration,
    /// How schemas are enforced, for every model; by default as the catalogue states.
    pub structured: Option<StructuredOutput>,
}

/// The API of a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ProviderApi {
    /// Chat completions; the base URL includes the API's version.
    OpenAi,
    /// Chat completions at Azure: the base URL is the resource's. With a dated API version, models are deployments in
    /// its path.
    Azure { api_version: Option<String> },
    /// Messages.
    Anthropic,
}

impl ProviderSite {
    /// Creates the provider for this site. Opens no connection.
    ///
    /// # Errors
    /// A setting that cannot be used.
    pub fn build(&self, clock: Arc<dyn Clock>) -> Result<Box<dyn ModelProvider>, ModelsError> {
        Ok(match &self.api {
            ProviderApi::OpenAi => Box::new(HttpProvider::new(OpenAiDialect::new(self)?, self, clock)?),
            ProviderApi::Azure { api_version } => {
                Box::new(HttpProvider::new(OpenAiDialect::azure(self, api_version.as_deref())?, self, clock)?)
            }
            ProviderApi::Anthropic => Box::new(HttpProvider::new(AnthropicDialect::new(self)?, self, clock)?),
        })
    }

    fn setting_error(&self, setting: &str, problem: impl Into<String>) -> ModelsError {
        ModelsError::Setting { setting: format!("{}.{setting}", self.setting_path), problem: problem.into() }
    }
}
