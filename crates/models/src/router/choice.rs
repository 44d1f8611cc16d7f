//! The result of routing: the models that may be called, best first, and those that were dropped and why.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use baton_core::model::ModelProfile;
use baton_core::money::Usd;
use baton_core::run::ModelCallError;
use jiff::civil::Date;

use super::RoutableModel;
use crate::fault::{code, lasting, transient};
use crate::profile::{self, ScoreWeights};
use crate::requirements::ModelRequirements;
use crate::score::ModelScore;

/// What to do about a model without a known price.
const UNPRICED_HINT: &str =
    "write the model with its prices in models.yaml, 0 where it costs nothing, or run `baton models import FILE`";

#[derive(Debug)]
pub(crate) struct ModelChoice {
    pub profile: ModelProfile,
    /// The model requested by name.
    pub asked: Option<String>,
    /// Estimated tokens of the input.
    pub tokens: u64,
    pub reply_tokens: u64,
    /// Upper bound of the tokens of the input.
    pub tokens_max: u64,
    pub weights: ScoreWeights,
    /// Best first.
    pub viable: Vec<ModelCandidate>,
    pub dropped: Vec<DroppedModel>,
}

/// A model that may answer.
#[derive(Clone, Debug)]
pub(crate) struct ModelCandidate {
    pub model: Arc<RoutableModel>,
    /// Its index among the profile's groups.
    pub group: usize,
    pub score: ModelScore,
    /// Expected cost of the call.
    pub cost: Usd,
    pub latency: Duration,
    pub error_rate: f64,
}

/// A model that was dropped.
#[derive(Clone, Debug)]
pub(crate) struct DroppedModel {
    pub model: Arc<RoutableModel>,
    pub reason: DropReason,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum DropReason {
    /// Neither the catalogue nor a provider knows it.
    Unknown,
    /// Its provider is not configured.
    NotConfigured {
        provider: String,
    },
    NoKey {
        provider: String,
    },
    /// The consumer brought a key that is not for this provider.
    ForeignKey {
        provider: String,
    },
    Retired {
        on: Date,
    },
    Context {
        tokens: u64,
        reply_max: Option<u64>,
        context: u64,
    },
    Cost {
        cost: Usd,
        limit: Usd,
    },
    MissingCapability {
        what: &'static str,
    },
    /// `None`: until a person closes it.
    CircuitOpen {
        retry_after: Option<Duration>,
    },
    /// Its provider reported that the quota is exhausted.
    RateLimited {
        retry_after: Duration,
    },
    /// Its price is unknown, and a budget or limit bounds the call's cost.
    Unpriced,
}

impl DropReason {
    /// The name for programs.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::NotConfigured { .. } => "provider_not_set_up",
            Self::NoKey { .. } => "no_key",
            Self::ForeignKey { .. } => "consumers_key",
            Self::Retired { .. } => "retired",
            Self::Context { .. } => "context",
            Self::Cost { .. } => "cost",
            Self::MissingCapability { .. } => "capability",
            Self::CircuitOpen { .. } => "circuit_open",
            Self::RateLimited { .. } => "rate_limited",
            Self::Unpriced => "price_unknown",
        }
    }

    /// How long until it may end by itself.
    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::CircuitOpen { retry_after } => *retry_after,
            Self::RateLimited { retry_after } => Some(*retry_after),
            Self::Unknown
            | Self::NotConfigured { .. }
            | Self::NoKey { .. }
            | Self::ForeignKey { .. }
            | Self::Retired { .. }
            | Self::Context { .. }
            | Self::Cost { .. }
            | Self::MissingCapability { .. }
            | Self::Unpriced => None,
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("no catalogue has it, and no scripted reply names it"),
            Self::NotConfigured { provider } => write!(f, "no provider `{provider}` is set up"),
            Self::NoKey { provider } => write!(f, "there is no key for `{provider}`"),
            Self::ForeignKey { provider } => write!(f, "the consumer's key is not for `{provider}`"),
            Self::Retired { on } => write!(f, "its provider has retired it on {on}"),
            Self::Context { tokens, reply_max: Some(reply), context } => {
                write!(f, "about {tokens} tokens and a reply of {reply} are too many for a context of {context}")
            }
            Self::Context { tokens, reply_max: None, context } => {
                write!(f, "about {tokens} tokens are more than 80 % of a context of {context}")
            }
            Self::Cost { cost, limit } => write!(f, "a call of about {cost} is over the profile's limit of {limit}"),
            Self::MissingCapability { what } => write!(f, "it has no {what}"),
            Self::CircuitOpen { retry_after: Some(wait) } => {
                write!(f, "it failed lately; it is tried again in {} s", wait.as_secs().max(1))
            }
            Self::CircuitOpen { retry_after: None } => f.write_str("somebody has taken it out of use"),
            Self::RateLimited { retry_after } => {
                write!(f, "its provider takes nothing more for {} ms", retry_after.as_millis())
            }
            Self::Unpriced => f.write_str("nobody states its price, and a budget or `max_cost_usd` bounds the call"),
        }
    }
}

impl ModelChoice {
    /// The models that may be called now, or once a circuit closes, a limit has passed or the consumer's key is
    /// available.
    pub fn reachable_models(&self) -> impl Iterator<Item = &Arc<RoutableModel>> {
        let is_near = |dropped: &&DroppedModel| match dropped.reason {
            DropReason::CircuitOpen { .. }
            | DropReason::RateLimited { .. }
            | DropReason::NoKey { .. }
            | DropReason::ForeignKey { .. } => true,
            DropReason::Unknown
            | DropReason::NotConfigured { .. }
            | DropReason::Retired { .. }
            | DropReason::Context { .. }
            | DropReason::Cost { .. }
            | DropReason::MissingCapability { .. }
            | DropReason::Unpriced => false,
        };
        let viable = self.viable.iter().map(|candidate| &candidate.model);
        viable.chain(self.dropped.iter().filter(is_near).map(|dropped| &dropped.model))
    }

    pub fn new(profile: ModelProfile, asked: Option<&str>, need: &ModelRequirements, weights: ScoreWeights) -> Self {
        Self {
            profile,
            asked: asked.map(str::to_owned),
            tokens: need.tokens,
            reply_tokens: need.expected_reply_tokens(),
            tokens_max: need.tokens_max,
            weights,
            viable: Vec::new(),
            dropped: Vec::new(),
        }
    }

    /// The error if no model may answer, with the reason for each. Retryable if waiting helps one of them.
    pub fn no_candidate_fault(&self) -> ModelCallError {
        let whom = match &self.asked {
            Some(model) => format!("model `{model}` cannot be asked"),
            None => format!("no model of the profile `{}` can be asked", profile::word(self.profile)),
        };
        let each: Vec<String> = match (&self.asked, self.dropped.as_slice()) {
            (Some(_), [dropped]) => vec![dropped.reason.to_string()],
            (_, dropped) => {
                dropped.iter().map(|dropped| format!("`{}`: {}", dropped.model.name, dropped.reason)).collect()
            }
        };
        let message = format!("{whom}: {}", each.join("; "));
        match self.dropped.iter().filter_map(|dropped| dropped.reason.retry_after()).min() {
            Some(wait) => {
                let retry_after = u64::try_from(wait.as_millis()).ok();
                ModelCallError { retry_after, ..transient(code::NO_MODEL, message) }
            }
            None if self.dropped.iter().any(|dropped| dropped.reason == DropReason::Unknown) => {
                lasting(code::MODEL_NOT_FOUND, message)
            }
            None if self.dropped.iter().any(|dropped| dropped.reason == DropReason::Unpriced) => {
                let mut fault = lasting(code::PRICE_UNKNOWN, message);
                fault.fault.suggested_action = Some(UNPRICED_HINT.into());
                fault
            }
            None => lasting(code::NO_MODEL, message),
        }
    }
}
