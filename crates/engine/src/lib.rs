//! Keeps runs moving: ownership, dispatch, effects, timers, recovery.
//!
//! [`Engine`] is the entry point: it carries accepted work to its end. Inside, [`owner::RunOwner`] moves one run, and
//! [`dispatcher::Dispatcher`] decides which runs are awake. Neither does any IO, so the simulation runs the same code
//! under faults that cannot be produced on a real machine. [`driver`] is the thin asynchronous shell.
//!
//! The order is always the same: decide, append, and only then send effects.
//!
//! Deliberately absent: decisions about a run, which are in `core`, and storage, providers and network, which are
//! behind the ports.

// State machines without IO: which runs are awake, what one run does next, when to poll.
pub mod aggregate_clock;
pub mod dispatcher;
pub mod owner;
pub mod work_poller;

// The asynchronous shell around them.
pub mod driver;
mod effects;
mod error;
mod options;
mod workflow_cache;

// Conversations and routing queues.
pub mod aggregate;

// Rows and messages that are appended together with events.
mod audit;
mod messages;
mod projections;

// How runs start: schedules, webhooks, single calls. Drafts of workflows.
pub mod drafting;
pub mod one_call;
pub mod triggers;

// Reads what was recorded: subscribers, current state, verification.
mod event_bus;
mod follow;
mod reply_stream;
pub mod snapshot_reader;
pub mod verify;

// Passes the journal on: long-term memory, spans, webhooks.
pub mod conversation_index;
pub mod traces;
pub mod webhook_delivery;

// Tenants, their agents, settings and model keys.
pub mod agent_registry;
mod consumer_keys;
pub mod settings;
pub mod tenants;

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
