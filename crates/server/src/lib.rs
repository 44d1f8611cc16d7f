//! Speaks HTTP: what comes in is checked, given to the ports, and answered.
//!
//! The way in is [`Door`]: everything the doors lean on, behind ports. [`serve`] listens until it is told to stop, then
//! lets what is under way finish. There are `/api/v1` for programs and people who work with runs,
//! `/v1/chat/completions` and `/v1/models` for any client of OpenAI's, `/health`, `/metrics`, and
//! `/api/v1/composio/callback` for browsers that come back from connecting an account; anywhere else stands the web page.
//!
//! Deliberately absent: databases, providers, decisions. This room knows ports and never what is behind them.

mod api;
mod auth;
mod body;
pub mod code;
mod count;
mod door;
mod following;
mod openai;
mod page;
mod problem;
pub mod report;
mod routes;
mod serve;
pub mod usage;

pub use api::document;
pub use auth::{Minted, mint};
pub use door::{Door, Files, House, Limits, Metrics, Mint, NewKey, Returned, Returning, Template, Work, ZoneOf};
pub use serve::serve;
