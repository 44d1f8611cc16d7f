//! Sends a model request to the right provider at the right price.
//!
//! The way in is [`Gateway`], which answers the port [`Models`](baton_ports::models::Models): one attempt at one model,
//! chosen by the request's profile or by name. Retries, waiting and counting attempts belong to the run.
//!
//! - `script`: replies from files, by agent, match and turn; a function of the request, so that what is asked again
//!   after a crash is answered the same.
//! - `openai`: any server that speaks OpenAI's chat completions, Azure's and Ollama's among them.
//! - `anthropic`: Anthropic's messages API.
//!
//! Costs are exact ([`price`]): whole nano-dollars from the provider's own token counts. Keys appear in no error, no
//! log and no `Debug`.
//!
//! Deliberately absent: environment variables and files (the app reads them), budgets, circuits and scoring (they come
//! behind the one `choose`), the content of any message in a log.

mod catalogue;
mod choose;
mod config;
mod error;
mod fault;
mod gateway;
pub mod price;
pub mod profile;
mod providers;

pub use catalogue::{Above, Catalogue, Entry, File as CatalogueFile, Layer, Long, Price, Prices, Spec, Structured};
pub use config::{ApiKey, Config, Provider, Tiers};
pub use error::Error;
pub use fault::code;
pub use gateway::Gateway;
pub use providers::script::ScriptFile;
