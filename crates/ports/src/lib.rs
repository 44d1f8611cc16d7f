//! The ports between crates: traits and their plain types, without implementations.
//!
//! The engine reaches the outside world only through these. Each port has one conformance suite in `sim`, which runs
//! against the fake and against every real implementation.

pub mod audit;
pub mod backoff;
pub mod budget;
pub mod catalogue;
pub mod circuits;
pub mod clock;
pub mod connections;
pub mod conversations;
pub mod decisions;
pub mod embed;
pub mod erasure;
pub mod feed;
pub mod health;
pub mod index;
pub mod journal;
pub mod keys;
pub mod mail;
pub mod memory;
pub mod models;
pub mod post;
pub mod rate_limits;
pub mod read;
pub mod records;
pub mod registry;
pub mod remote_agents;
pub mod sandbox;
pub mod sources;
pub mod stored;
pub mod task_inbox;
pub mod tool_cache;
pub mod tools;
