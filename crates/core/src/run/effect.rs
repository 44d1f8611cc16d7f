//! Effects: the work to perform for a run. They are derived from state, so a crash loses none.

use std::time::Duration;

use super::address::EffectId;
use super::event::EffectRequest;
use crate::time::Time;
use crate::tool::{EffectClass, QuestionReply};

#[derive(Clone, Debug, PartialEq)]
pub enum Effect<'run> {
    /// Send one attempt of a call, now.
    Send {
        effect: EffectId,
        request: &'run EffectRequest,
        class: EffectClass,
        timeout: Duration,
        attempt: u32,
        /// The time when it was scheduled.
        at: Time,
        approved: Option<&'run str>,
        /// People's answers to its questions.
        replies: &'run [QuestionReply],
    },
    /// Ask the service for the outcome of a call.
    LookUp { effect: EffectId, request: &'run EffectRequest, timeout: Duration, at: Time },
}
