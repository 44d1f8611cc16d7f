//! Keeps runs moving: ownership, dispatch, effects, timers, recovery.
//!
//! [`Engine`] is the entry point: it carries accepted work to its end. Inside, [`owner::RunOwner`] moves one run, and
//! [`dispatcher::Dispatcher`] decides which runs are awake. Neither does any IO, so the simulation runs the same code
//! under faults that cannot be produced on a real machine. [`driver`] is the thin asynchronous shell.
//!
//! The order is always the same: decide, append, and only then send effects.

pub mod agent_registry;
pub mod aggregate;
pub mod aggregate_clock;
mod audit;
mod consumer_keys;
pub mod conversation_index;
pub mod dispatcher;
pub mod drafting;
pub mod driver;
mod effects;
mod error;
mod event_bus;
mod follow;
mod messages;
pub mod one_call;
mod options;
pub mod owner;
mod projections;
mod reply_stream;
pub mod settings;
pub mod snapshot_reader;
pub mod tenants;
pub mod traces;
pub mod triggers;
pub mod verify;
pub mod webhook_delivery;
pub mod work_poller;
mod workflow_cache;

pub use agent_registry::AgentRegistry;
pub use aggregate::{ConversationHandle, RoutingQueueFollower, RoutingQueues, SubmitResult};
pub use baton_agents::{
    PromptOverride, StepFunctions, check as check_agent, put as put_prompt, shipped as shipped_agents,
};
pub use consumer_keys::take as take_key;
pub use driver::{Engine, RunFork, RunStart};
pub use error::{EngineError, ShutdownError};
pub use event_bus::Notification;
pub use follow::{DeliveryResult, EntryCallback, FollowedRun, RunFollower};
pub use one_call::{OneCall, OneChoice};
pub use options::EngineOptions;
pub use reply_stream::ReplyChunk;
pub use workflow_cache::WorkflowCache;

/// Entries are JSON, so that any tool can read a journal.
pub fn decode(entry: &[u8]) -> Result<baton_core::run::RunEntry, serde_json::Error> {
    serde_json::from_slice(entry)
}
