//! Keeps runs moving: ownership, dispatch, effects, timers, recovery.
//!
//! [`Engine`] is the way in: it takes accepted work to its end. Inside, [`owner::Owner`] is what moves one run, and
//! [`dispatcher::Dispatcher`] says which runs are awake; neither does any IO, so the simulation drives the very same
//! code through faults that no real machine could be made to have. [`driver`] is the thin asynchronous shell.
//!
//! The order never changes: decide, append, and only then let effects out.

mod audit;
pub mod closed;
pub mod dispatcher;
pub mod drafting;
pub mod driver;
mod effects;
mod error;
mod follow;
mod keys;
mod library;
pub mod lookout;
mod messages;
pub mod newest;
mod notices;
pub mod one_call;
mod options;
pub mod outgoing;
pub mod own_time;
pub mod owner;
pub mod plain;
mod projections;
pub mod roster;
pub mod settings;
pub mod tenants;
pub mod traces;
pub mod triggers;
pub mod verify;
mod voices;

pub use baton_agents::{
    Agents, Override as Prompt, check as check_agent, put as put_prompt, shipped as shipped_agents,
};
pub use driver::{Engine, Fork, Start};
pub use error::{Error, Unfinished};
pub use follow::{Delivered, Followed, Follower, Tell};
pub use keys::take as take_key;
pub use library::Library;
pub use notices::Recorded;
pub use one_call::{OneCall, OneChoice};
pub use options::Options;
pub use plain::{DeskFollower, Desks, Talk, Told};
pub use roster::Roster;
pub use voices::Said;

/// Entries are JSON, so that a journal can be read with any tool.
pub fn decode(entry: &[u8]) -> Result<baton_core::run::Entry, serde_json::Error> {
    serde_json::from_slice(entry)
}
