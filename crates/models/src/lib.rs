//! Sends a model request to the right provider at the right price.
//!
//! The entry point is [`ModelGateway`], which implements the port [`ModelService`](baton_ports::models::ModelService).
//! A request names a profile or a model. The router chooses among the profile's models by their facts
//! ([`ModelCatalogue`]) and by their health; if one fails, the next is called. The run decides whether to retry the
//! whole call, waits and counts the retries.
//!
//! A call passes through these modules in order: `requirements` (what the request needs) → `router` (which models may
//! answer, best first) → `cache` (is the reply cached?) → `fallback` (one model after the other) → `attempt_budget` (is
//! there enough budget?) → `providers` (the wire) → `health` (what the call showed) → `recorder`.
//!
//! - `script`: replies from files, by agent, match and turn. A reply is a function of the request, so that a request
//!   that is repeated after a crash gets the same reply. The router still chooses; nothing falls back and no circuit
//!   opens.
//! - `openai`: any server that speaks OpenAI's chat completions, including Azure and Ollama.
//! - `anthropic`: Anthropic's messages API.
//!
//! Costs are exact ([`price`]): whole nano-dollars from the provider's own token counts. API keys appear in no error,
//! no log, no record and no `Debug`; a consumer's key is sent only to the provider it is for.
//!
//! The possible cost of a call is reserved before it is sent, and settled afterwards ([`budget`]).
//!
//! Deliberately absent: environment variables and files (the app reads them), and the content of messages in logs.

// The entry point.
mod gateway;

// The stages of a call. The text above lists them in order.
mod attempt_budget;
mod cache;
mod fallback;
mod health;
mod providers;
mod recorder;
mod requirements;
mod router;

// Money: reservations, prices, the cost of embeddings.
pub mod budget;
pub mod embeddings;
pub mod price;

// Facts about models, and the settings that choose among them.
mod catalogue;
mod config;
pub mod litellm;
pub mod profile;
mod provider_registry;
mod score;

// What the stages measure, record and share with other processes.
mod call_averages;
mod counters;
mod record;
mod shared_circuits;

// Errors.
mod error;
mod fault;

// Reports on routing and cost, computed on request.
pub mod evaluate;
pub mod roi;
pub mod savings;

// Helpers for tests.
#[cfg(test)]
mod test_support;

pub use cache::CacheSettings;
pub use catalogue::{
    CatalogueEntry, CatalogueFile, CatalogueLayer, LongInputPrices, ModelCatalogue, ModelSpec, PriceTier,
    StructuredOutput, TokenPrice, TokenPrices,
};
pub use config::{KeyPolicy, ModelsConfig, ProviderApiKey, ProviderKind, ProviderSettings};
pub use error::ModelsError;
pub use fault::code;
pub use gateway::{CircuitState, ModelGateway, ModelHealth};
pub use providers::script::ScriptFile;
