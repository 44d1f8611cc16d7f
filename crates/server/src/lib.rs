//! Speaks HTTP: what comes in is checked, given to the ports, and answered.
//!
//! The way in is [`Door`]: everything the doors lean on, behind ports. [`serve`] listens until it is told to stop, then
//! lets what is under way finish. There are `/api/v1` for programs and people who work with runs,
//! `/v1/chat/completions`, `/v1/responses`, `/v1/embeddings` and `/v1/models` for any client of OpenAI's, `/health`, `/metrics`, and
//! `/api/v1/composio/callback` for browsers that come back from connecting an account; anywhere else stands the web page.
//!
//! Deliberately absent: databases, providers, decisions. This room knows ports and never what is behind them.

mod access;
mod api;
mod auth;
mod body;
pub mod code;
mod config;
mod cors;
mod count;
pub mod customers;
mod door;
mod error_pages;
mod following;
mod front;
pub mod jwt;
mod openai;
mod page;
mod problem;
mod rate;
mod ready;
pub mod report;
mod routes;
mod serve;
mod strangers;
pub mod tls;
pub mod usage;

pub use api::document;
pub use auth::{Minted, mint};
pub use config::Config;
pub use cors::Cors;
pub use door::{
    Door, Files, House, LanguageOf, Limits, Metrics, Mint, NewKey, Returned, Returning, Template, Work, ZoneOf,
};
pub use ready::{Check, Unready};
pub use serve::serve;
