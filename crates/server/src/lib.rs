//! The HTTP server: validates requests, passes them to the ports, and answers them.
//!
//! Start with [`AppState`], which holds everything the handlers depend on, behind ports. [`serve`] listens until it
//! is told to stop, then lets requests in flight finish. It serves `/api/v1` for programs and people who work with
//! runs, `/v1/chat/completions`, `/v1/responses`, `/v1/embeddings` and `/v1/models` for OpenAI clients, `/health`,
//! `/metrics`, and `/api/v1/composio/callback` for browsers that return from connecting an account. All other paths
//! serve the web page.
//!
//! Deliberately absent: databases, providers, decisions. This crate knows ports and never the implementations
//! behind them.

mod access;
mod api;
mod auth;
mod body;
pub mod code;
mod config;
mod cors;
pub mod customers;
mod error_pages;
pub mod jwt;
mod middleware;
mod openai;
mod problem;
mod rate_limit;
mod readiness;
pub mod report;
mod request_metrics;
mod routes;
mod serve;
mod state;
mod stream_limits;
pub mod tls;
pub mod tool_usage;
mod unknown_key_limiter;
mod web_assets;

pub use api::document;
pub use auth::{GeneratedKey, mint};
pub use config::ServeConfig;
pub use cors::CorsConfig;
pub use readiness::{ReadinessCheck, ReadinessError};
pub use serve::serve;
pub use state::{
    AdminServices, AppState, ConnectCallback, ConnectOutcome, KeyMinter, MetricsRenderer, NewKey, RunServices,
    ServedFiles, ServerLimits, TenantLanguages, TenantZones, WorkflowTemplate,
};
