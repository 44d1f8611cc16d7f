//! What the world must do: derived from state, so a crash loses none.

use std::time::Duration;

use super::address::{Address, EffectId};
use super::event::Request;
use crate::agent;
use crate::tool::Class;

#[derive(Clone, Debug, PartialEq)]
pub enum Effect<'run> {
    /// One attempt of a call, now.
    Send {
        effect: EffectId,
        request: &'run Request,
        class: Class,
        timeout: Duration,
        attempt: u32,
        approved: Option<&'run str>,
    },
    /// Ask the service what became of a call.
    LookUp { effect: EffectId, request: &'run Request, timeout: Duration },
    /// Ask the agent's step function; it is pure, so it runs before the append that records it.
    Think { node: &'run Address, task: &'run agent::Task, seen: &'run [agent::Seen] },
}
