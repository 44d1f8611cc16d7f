//! Who serves models, one file each, all behind one trait.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baton_core::model::{Reply, Request};
use baton_core::money::Usd;
use baton_core::run::ModelFault;
use baton_ports::clock::Clock;
use baton_ports::models::{ApiKey, Asker, Pieces};

use self::anthropic::Anthropic;
use self::openai::OpenAi;
use self::remote::Remote;
use crate::catalogue::{Spec, Structured};
use crate::error::Error;

pub(crate) mod anthropic;
mod dialect;
mod draft;
mod listener;
mod names;
pub(crate) mod openai;
#[cfg(test)]
pub(crate) mod rehearsal;
mod remote;
mod schema;
pub(crate) mod script;
#[cfg(test)]
pub(crate) mod server;
mod tokens;
#[cfg(test)]
mod torn;

/// Serves models: one call, one attempt. Choosing, retrying and falling back are the gateway's.
#[async_trait]
pub(crate) trait Provider: Send + Sync + Debug {
    /// Dropping the future ends the call at the provider.
    async fn ask(&self, ask: &Ask<'_>) -> Result<Answered, Failure>;

    /// Whether a model may be asked for that no catalogue knows. A server may have more models than we have heard of.
    fn knows(&self, _model: &str) -> bool {
        true
    }

    /// Whether the provider itself holds replies to the request's schema, and calls to the parameters of strict tools.
    fn holds(&self, _ask: &Ask<'_>) -> bool {
        false
    }

    /// Tokens of the longest reply this model gives where the request does not say; nothing where that is not known.
    fn reply_max(&self, _model: &str, spec: Option<&Spec>) -> Option<u64> {
        spec.and_then(|spec| spec.output_tokens)
    }

    /// What a request costs, where that is settled before it is asked.
    fn price(&self, _request: &Request, _spec: Option<&Spec>) -> Option<Usd> {
        None
    }
}

/// One call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    pub asker: &'a Asker,
    pub request: &'a Request,
    /// The provider's own name of the model.
    pub model: &'a str,
    /// Unknown models are asked all the same; their calls have no price.
    pub spec: Option<&'a Spec>,
    /// For the whole reply.
    pub limit: Duration,
    /// For the beginning of the reply. Where it is set, or somebody listens, the reply is streamed.
    pub first_token: Option<Duration>,
    /// The key this call goes under; unless given, the provider's own.
    pub key: Option<&'a ApiKey>,
    pub pieces: Option<&'a Pieces>,
}

/// A reply, and what else its provider said.
#[derive(Debug, PartialEq)]
pub(crate) struct Answered {
    pub reply: Reply,
    /// How long the provider takes nothing more, where its rate-limit headers say that nothing is left.
    pub full_for: Option<Duration>,
    /// Whether the provider has counted the tokens. Where not, the usage is an estimate, and so is the cost.
    pub is_counted: bool,
}

/// Why there is no reply.
#[derive(Debug, PartialEq)]
pub(crate) struct Failure {
    pub fault: ModelFault,
    /// Whether a piece of the reply has reached the listener. Until then another model may answer unnoticed.
    pub told: bool,
    /// What the attempt has cost all the same.
    pub spent: Spent,
}

/// What an attempt has cost that was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spent {
    /// This much for certain: nothing, for what never reached the provider or was refused there.
    Exactly(Usd),
    /// The provider took the request, and did not say, or not to the end, what it did with it.
    Unknown,
}

impl Spent {
    pub const NOTHING: Self = Self::Exactly(Usd::ZERO);
}

impl From<ModelFault> for Failure {
    /// A failure before anything was told or charged.
    fn from(fault: ModelFault) -> Self {
        Self { fault, told: false, spent: Spent::NOTHING }
    }
}

/// Where an API is, and how it is spoken to.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    /// Where these settings stand, for messages: `models`, or `models.providers.azure`.
    pub place: String,
    /// What replies say as their provider.
    pub name: String,
    pub api: Api,
    /// Unless given, the provider's public one. Azure has none.
    pub base_url: Option<String>,
    pub key: Option<ApiKey>,
    pub connect_timeout: Duration,
    /// How schemas are enforced, for every model; unless given, as the catalogue says.
    pub structured: Option<Structured>,
}

/// The API that is spoken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    /// Chat completions; the base URL has the API's version in it.
    OpenAi,
    /// The same at Azure: the base URL is the resource's. With a dated API version, models are deployments in its path.
    Azure { api_version: Option<String> },
    /// Messages.
    Anthropic,
}

impl Site {
    /// Whoever serves models there. Connects to nothing.
    ///
    /// # Errors
    /// A setting that cannot be used.
    pub fn open(&self, clock: Arc<dyn Clock>) -> Result<Box<dyn Provider>, Error> {
        Ok(match &self.api {
            Api::OpenAi => Box::new(Remote::new(OpenAi::new(self)?, self, clock)?),
            Api::Azure { api_version } => {
                Box::new(Remote::new(OpenAi::azure(self, api_version.as_deref())?, self, clock)?)
            }
            Api::Anthropic => Box::new(Remote::new(Anthropic::new(self)?, self, clock)?),
        })
    }

    fn wrong(&self, setting: &str, problem: impl Into<String>) -> Error {
        Error::Setting { setting: format!("{}.{setting}", self.place), problem: problem.into() }
    }
}
