//! Who serves models, one file each, all behind one trait.

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

/// Serves models: one call, one attempt. Choosing, retrying and falling back are the gateway's.
#[async_trait]
pub(crate) trait ModelProvider: Send + Sync + Debug {
    /// Dropping the future ends the call at the provider.
    async fn ask(&self, ask: &ProviderRequest<'_>) -> Result<ProviderReply, ProviderError>;

    /// Whether a model may be asked for that no catalogue knows. A server may have more models than we have heard of.
    fn knows(&self, _model: &str) -> bool {
        true
    }

    /// Whether the provider itself holds replies to the request's schema, and calls to the parameters of strict tools.
    fn enforces_schema(&self, _ask: &ProviderRequest<'_>) -> bool {
        false
    }

    /// Tokens of the longest reply this model gives where the request does not say; nothing where that is not known.
    fn reply_max(&self, _model: &str, spec: Option<&ModelSpec>) -> Option<u64> {
        spec.and_then(|spec| spec.output_tokens)
    }

    /// What a request costs, where that is settled before it is asked.
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
    /// Unknown models are asked all the same; their calls have no price.
    pub spec: Option<&'a ModelSpec>,
    /// For the whole reply.
    pub limit: Duration,
    /// For the beginning of the reply. Where it is set, or somebody listens, the reply is streamed.
    pub first_token: Option<Duration>,
    /// The key this call goes under; unless given, the provider's own.
    pub key: Option<&'a ConsumerKey>,
    pub pieces: Option<&'a DeltaSender>,
}

/// A reply, and what else its provider said.
#[derive(Debug, PartialEq)]
pub(crate) struct ProviderReply {
    pub reply: ModelReply,
    /// How long the provider takes nothing more, where its rate-limit headers say that nothing is left.
    pub exhausted_for: Option<Duration>,
    /// Whether the provider has counted the tokens. Where not, the usage is an estimate, and so is the cost.
    pub is_counted: bool,
}

/// Why there is no reply.
#[derive(Debug, PartialEq)]
pub(crate) struct ProviderError {
    pub fault: ModelCallError,
    /// Whether a piece of the reply has reached the listener. Until then another model may answer unnoticed.
    pub has_streamed: bool,
    /// What the attempt has cost all the same.
    pub spent: AttemptSpend,
}

/// What an attempt has cost that was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AttemptSpend {
    /// This much for certain: nothing, for what never reached the provider or was refused there.
    Exactly(Usd),
    /// The provider took the request, and did not say, or not to the end, what it did with it.
    Unknown,
}

impl AttemptSpend {
    pub const NOTHING: Self = Self::Exactly(Usd::ZERO);
}

impl From<ModelCallError> for ProviderError {
    /// A failure before anything was told or charged.
    fn from(fault: ModelCallError) -> Self {
        Self { fault, has_streamed: false, spent: AttemptSpend::NOTHING }
    }
}

/// Where an API is, and how it is spoken to.
#[derive(Clone, Debug)]
pub(crate) struct ProviderSite {
    /// Where these settings stand, for messages: `models`, or `models.providers.azure`.
    pub setting_path: String,
    /// What replies say as their provider.
    pub name: String,
    pub api: ProviderApi,
    /// Unless given, the provider's public one. Azure has none.
    pub base_url: Option<String>,
    pub key: Option<ConsumerKey>,
    pub connect_timeout: Duration,
    /// How schemas are enforced, for every model; unless given, as the catalogue says.
    pub structured: Option<StructuredOutput>,
}

/// The API that is spoken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ProviderApi {
    /// Chat completions; the base URL has the API's version in it.
    OpenAi,
    /// The same at Azure: the base URL is the resource's. With a dated API version, models are deployments in its path.
    Azure { api_version: Option<String> },
    /// Messages.
    Anthropic,
}

impl ProviderSite {
    /// Whoever serves models there. Connects to nothing.
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
