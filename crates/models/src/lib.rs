//! Sends a model request to the right provider at the right price.
//!
//! The way in is [`ModelGateway`], which answers the port [`Models`](baton_ports::models::ModelService). A request names a profile
//! or a model; the router chooses among the profile's models by their facts ([`ModelCatalogue`]) and by how they fare, and
//! where one fails the next is asked. Retries of the whole, waiting and counting them belong to the run.
//!
//! The way of a call, one file each: `need` (what the request takes) → `router` (who may answer, best first) → `cache`
//! (asked before?) → `chain` (one after the other) → `till` (is there money?) → `providers` (the wire) → `health` (what it taught) → `recorder`.
//!
//! - `script`: replies from files, by agent, match and turn; a function of the request, so that what is asked again
//!   after a crash is answered the same. The router chooses all the same; nothing falls back and no circuit opens.
//! - `openai`: any server that speaks OpenAI's chat completions, Azure's and Ollama's among them.
//! - `anthropic`: Anthropic's messages API.
//!
//! Costs are exact ([`price`]): whole nano-dollars from the provider's own token counts. Keys appear in no error, no
//! log, no record and no `Debug`; a consumer's key goes to the one provider it is for.
//!
//! What a call may cost is reserved before it goes out, and settled after ([`budget`]).
//!
//! Deliberately absent: environment variables and files (the app reads them), the content of any message in a log.

mod attempt_budget;
pub mod budget;
mod cache;
mod call_averages;
mod catalogue;
mod config;
mod counters;
pub mod embeddings;
mod error;
pub mod evaluate;
mod fallback;
mod fault;
mod gateway;
mod health;
pub mod litellm;
pub mod price;
pub mod profile;
mod provider_registry;
mod providers;
mod record;
mod recorder;
mod requirements;
pub mod roi;
mod router;
pub mod savings;
mod score;
mod shared_circuits;
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
