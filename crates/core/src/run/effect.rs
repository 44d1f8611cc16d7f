//! What the world must do: derived from state, so a crash loses none.

use std::time::Duration;

use super::address::EffectId;
use super::event::Request;
use crate::time::Time;
use crate::tool::{Class, Reply};

#[derive(Clone, Debug, PartialEq)]
pub enum Effect<'run> {
    /// One attempt of a call, now.
    Send {
        effect: EffectId,
        request: &'run Request,
        class: Class,
        timeout: Duration,
        attempt: u32,
        /// When it was scheduled.
        at: Time,
        approved: Option<&'run str>,
        /// What people answered to what it asked.
        replies: &'run [Reply],
    },
    /// Ask the service what became of a call.
    LookUp { effect: EffectId, request: &'run Request, timeout: Duration, at: Time },
}
