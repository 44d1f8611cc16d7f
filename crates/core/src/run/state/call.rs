//! An open call, and its progress.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::money::Usd;
use crate::mutant::{Mutant, planted};
use crate::run::event::{BlockReason, EffectRequest};
use crate::time::{Time, duration_ms};
use crate::tool::{EffectClass, QuestionReply};

/// An open call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::run) struct OpenCall {
    pub generation: u32,
    pub scheduled_at: Time,
    /// Number of sends with a recorded outcome.
    pub attempts: u32,
    pub request: EffectRequest,
    pub class: EffectClass,
    #[serde(with = "duration_ms")]
    pub timeout: Duration,
    pub progress: CallProgress,
    /// A send of this generation may have acted.
    pub unknown: bool,
    /// The approved hash.
    pub approved: Option<String>,
    /// The people who have approved it, while more are required.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_by: Vec<String>,
    /// Its questions, with the replies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replies: Vec<QuestionReply>,
    /// Its approximate maximum cost.
    #[serde(default, skip_serializing_if = "is_free")]
    pub hold: Usd,
    /// Its service was down on the way.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub degraded: bool,
    /// It waits for its service, until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued_until: Option<Time>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_free(cost: &Usd) -> bool {
    *cost == Usd::ZERO
}

/// An abandoned send that may still be answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::run) struct AbandonedSend {
    pub call: OpenCall,
    /// A merge cancelled its node and requested that its effects are undone; stored here, since the node's scope may be
    /// gone by then.
    pub lost: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::run) enum CallProgress {
    /// Is sent now, or is in flight.
    Ready,
    /// The marker is written: it may be in flight.
    Marked {
        epoch: u64,
        deadline: Time,
    },
    /// Is sent then, or has been in flight since.
    Waiting {
        at: Time,
    },
    /// The service is queried for its outcome then.
    LookUp {
        at: Time,
        tries: u32,
    },
    /// A person decides.
    Doubt,
    Blocked(BlockReason),
}

/// Why a call is held back that is later sent without a person's action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldReason {
    /// Its tool has reached its rate limit.
    Rate,
    /// Its service failed several times in a row, and its circuit is open.
    Circuit,
    /// Its service is down; the call is queued.
    Outage,
    /// The wait between two attempts.
    Retry,
    /// Its outcome is unknown, and its service is queried for it.
    LookUp,
}

impl HoldReason {
    pub fn word(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Circuit => "circuit",
            Self::Outage => "outage",
            Self::Retry => "retry",
            Self::LookUp => "look_up",
        }
    }
}

impl OpenCall {
    /// Returns whether it cannot have changed anything: nothing was sent, or what was sent has no side effects.
    pub fn is_harmless(&self, now: Time) -> bool {
        if !self.class.has_side_effects() || planted(Mutant::ActDropped) {
            return true;
        }
        // A call without a marker that may be sent may be in flight.
        let may_be_out = match &self.progress {
            CallProgress::Marked { .. } | CallProgress::LookUp { .. } | CallProgress::Doubt => true,
            CallProgress::Ready | CallProgress::Waiting { .. } | CallProgress::Blocked(_) => {
                self.may_be_out_unmarked(now)
            }
        };
        !self.unknown && !may_be_out
    }

    /// Returns whether it acts and may be sent without a marker, so that it may be in flight.
    pub fn may_be_out_unmarked(&self, now: Time) -> bool {
        self.class.has_side_effects() && !self.class.needs_marker() && self.is_sendable(now)
    }

    /// Returns whether an outcome that arrives now is that of a send, not of a look-up of an earlier one.
    pub fn is_from_send(&self) -> bool {
        !matches!(self.progress, CallProgress::LookUp { .. } | CallProgress::Doubt)
    }

    /// Returns whether an attempt may be sent at `now`.
    pub fn is_sendable(&self, now: Time) -> bool {
        match &self.progress {
            CallProgress::Ready => true,
            CallProgress::Waiting { at } => *at <= now,
            CallProgress::Blocked(
                BlockReason::RateLimit { until } | BlockReason::Circuit { until } | BlockReason::Budget { until, .. },
            ) => *until <= now,
            CallProgress::Marked { .. } => planted(Mutant::MarkedSentAgain),
            CallProgress::Blocked(BlockReason::Approval(_) | BlockReason::Question { .. } | BlockReason::Key)
            | CallProgress::LookUp { .. }
            | CallProgress::Doubt => false,
        }
    }

    /// Returns the time from which the requesting agent is working, rather than waiting for a person or a date; `None`
    /// if there is no such time.
    pub fn agent_works_from(&self, now: Time) -> Option<Time> {
        match &self.progress {
            CallProgress::Doubt
            | CallProgress::Blocked(BlockReason::Approval(_) | BlockReason::Question { .. } | BlockReason::Key) => None,
            CallProgress::Blocked(BlockReason::Budget { until, .. }) => Some(now.max(*until)),
            CallProgress::Waiting { at } if self.queued_until.is_some() => Some(now.max(*at)),
            CallProgress::Ready
            | CallProgress::Waiting { .. }
            | CallProgress::Marked { .. }
            | CallProgress::LookUp { .. }
            | CallProgress::Blocked(BlockReason::RateLimit { .. } | BlockReason::Circuit { .. }) => Some(now),
        }
    }

    /// Returns whether it is in flight, or will be sent without input.
    pub fn is_in_motion(&self) -> bool {
        match &self.progress {
            CallProgress::Ready | CallProgress::Marked { .. } | CallProgress::LookUp { .. } => true,
            // It waits for a service that is down, which may take a day.
            CallProgress::Waiting { .. } => self.queued_until.is_none(),
            CallProgress::Blocked(BlockReason::RateLimit { .. } | BlockReason::Circuit { .. }) => true,
            // It has a deadline, but it waits for people, which may take days.
            CallProgress::Blocked(
                BlockReason::Approval(_) | BlockReason::Question { .. } | BlockReason::Budget { .. } | BlockReason::Key,
            )
            | CallProgress::Doubt => false,
        }
    }

    /// Returns until when and why it is held back, if no person is needed: it is sent then.
    pub fn held_until(&self) -> Option<(HoldReason, Time)> {
        match &self.progress {
            CallProgress::Waiting { at } if self.queued_until.is_some() => Some((HoldReason::Outage, *at)),
            CallProgress::Waiting { at } => Some((HoldReason::Retry, *at)),
            CallProgress::LookUp { at, .. } => Some((HoldReason::LookUp, *at)),
            CallProgress::Blocked(BlockReason::RateLimit { until }) => Some((HoldReason::Rate, *until)),
            CallProgress::Blocked(BlockReason::Circuit { until }) => Some((HoldReason::Circuit, *until)),
            CallProgress::Ready
            | CallProgress::Marked { .. }
            | CallProgress::Doubt
            | CallProgress::Blocked(
                BlockReason::Approval(_) | BlockReason::Question { .. } | BlockReason::Budget { .. } | BlockReason::Key,
            ) => None,
        }
    }

    /// Returns whether it waits for people with a deadline of their own, which is not the call's.
    pub fn waits_for_people(&self) -> bool {
        matches!(self.progress, CallProgress::Blocked(BlockReason::Approval(_) | BlockReason::Question { .. }))
    }

    /// Returns whether it waits for the answer to its question.
    pub fn awaits_answer(&self) -> bool {
        matches!(self.progress, CallProgress::Blocked(BlockReason::Question { .. }))
    }

    /// Returns whether a person does what its service could not: it certainly did not act, and that person may.
    pub fn is_manual(&self) -> bool {
        self.progress == CallProgress::Doubt && !self.unknown
    }

    /// Returns when it must be handled again.
    pub fn due_at(&self) -> Option<Time> {
        match &self.progress {
            CallProgress::Waiting { at } | CallProgress::LookUp { at, .. } => Some(*at),
            CallProgress::Blocked(
                BlockReason::RateLimit { until } | BlockReason::Circuit { until } | BlockReason::Budget { until, .. },
            ) => Some(*until),
            CallProgress::Blocked(BlockReason::Approval(leave)) => leave.until,
            CallProgress::Blocked(BlockReason::Question { until, .. }) => *until,
            CallProgress::Ready
            | CallProgress::Marked { .. }
            | CallProgress::Doubt
            | CallProgress::Blocked(BlockReason::Key) => None,
        }
    }
}
