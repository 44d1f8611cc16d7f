//! The ports between crates: traits and their plain types, without implementations.
//!
//! The engine reaches the outside world only through these. Start at [`journal::JournalStore`], which records all runs.
//! Calls go through [`models::ModelService`] and [`tools::ToolGateway`]; time comes from [`clock::Clock`].
//!
//! Most ports have a conformance suite in `sim`, which runs against the fake and against every real implementation.
//!
//! Deliberately absent: implementations, except for the system clock. They are in `store`, `models`, `tools`, `memory`
//! and `app`, and their fakes in `sim`.

// Journals, the versions that runs execute, and the time.
pub mod clock;
pub mod journal;
pub mod registry;

// Effects: model calls, tool calls, programs and remote agents.
pub mod models;
pub mod remote_agents;
pub mod sandbox;
pub mod tools;

// Money, and limits that protect services.
pub mod backoff;
pub mod budget;
pub mod circuits;
pub mod rate_limits;

// What agents remember.
pub mod embed;
pub mod index;
pub mod memory;

// Queries on runs and conversations.
pub mod conversations;
pub mod feed;
pub mod read;
pub mod stored;
pub mod task_inbox;

// The catalogue of tools, where tools come from, and what they store.
pub mod catalogue;
pub mod connections;
pub mod records;
pub mod sources;
pub mod tool_cache;

// Messages that Baton sends itself.
pub mod mail;
pub mod post;

// Operation: access, the audit trail, model decisions, erasure, outages.
pub mod audit;
pub mod decisions;
pub mod erasure;
pub mod health;
pub mod keys;
