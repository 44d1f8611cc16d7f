//! What the world must do: derived from state, so a crash loses none.

use std::time::Duration;

use super::address::EffectId;
use super::event::EffectRequest;
use crate::time::Time;
use crate::tool::{EffectClass, QuestionReply};

#[derive(Clone, Debug, PartialEq)]
pub enum Effect<'run> {
    /// One attempt of a call, now.
    Send {
        effect: EffectId,
        request: &'run EffectRequest,
        class: EffectClass,
        timeout: Duration,
        attempt: u32,
        /// When it was scheduled.
        at: Time,
        approved: Option<&'run str>,
        /// What people answered to what it asked.
        replies: &'run [QuestionReply],
    },
    /// Ask the service what became of a call.
    LookUp { effect: EffectId, request: &'run EffectRequest, timeout: Duration, at: Time },
}
