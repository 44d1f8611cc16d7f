//! The HTTP server: validates requests, passes them to the ports, and answers them.
//!
//! Start at [`AppState`], which holds everything that the handlers depend on, behind ports: [`RunServices`] to control
//! runs, [`AdminServices`] for operators. [`serve()`] listens until it is told to stop, then lets requests in flight
//! finish. It serves `/api/v1` for programs and people who work with runs, `/v1/chat/completions`, `/v1/responses`,
//! `/v1/embeddings` and `/v1/models` for OpenAI clients, `/health`, `/metrics`, and `/api/v1/composio/callback` for
//! browsers that return from connecting an account. All other paths serve the web page.
//!
//! Deliberately absent: databases, providers, decisions. This crate knows ports and never the implementations
//! behind them.

// The server, its routes, and the state of every handler.
mod middleware;
mod routes;
mod serve;
mod state;

// The endpoints.
mod api;
mod error_pages;
mod openai;
mod readiness;
mod web_assets;

// Authentication and limits.
mod auth;
pub mod jwt;
mod rate_limit;
mod stream_limits;
mod unknown_key_limiter;

// Parts of requests and responses.
mod body;
pub mod code;
mod cors;
mod problem;

// Operations that the command line shares.
pub mod customers;
pub mod report;
pub mod tool_usage;

// Settings, certificates, the access log and metrics.
mod access;
mod config;
mod request_metrics;
pub mod tls;

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
