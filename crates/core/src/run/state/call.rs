//! An open call, and how far it has come.

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
    /// Sends whose outcome was recorded.
    pub attempts: u32,
    pub request: EffectRequest,
    pub class: EffectClass,
    #[serde(with = "duration_ms")]
    pub timeout: Duration,
    pub progress: CallProgress,
    /// A send of this generation may have acted.
    pub unknown: bool,
    /// The hash that was allowed.
    pub approved: Option<String>,
    /// Who has allowed it, while more must.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_by: Vec<String>,
    /// What it asked, and what was said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replies: Vec<QuestionReply>,
    /// About what it may cost.
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

/// A send that was given up although it may yet be answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::run) struct AbandonedSend {
    pub call: OpenCall,
    /// A merge cut its node off and wants undone what it did; kept here, since the node's scope may be gone by then.
    pub lost: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::run) enum CallProgress {
    /// Goes out now, or is out.
    Ready,
    /// The marker is written: it may be out.
    Marked {
        epoch: u64,
        deadline: Time,
    },
    /// Goes out then, or is out since.
    Waiting {
        at: Time,
    },
    /// The service is asked then what became of it.
    LookUp {
        at: Time,
        tries: u32,
    },
    /// A person decides.
    Doubt,
    Blocked(BlockReason),
}

/// What holds a call back that goes out by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldReason {
    /// Its tool was called as often as its rate limit lets it.
    Rate,
    /// Its service failed several times running and is left alone.
    Circuit,
    /// Its service is down; the call is queued.
    Outage,
    /// The time between two attempts.
    Retry,
    /// Its outcome is unknown, and its service is asked what became of it.
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
    /// Whether nothing of it can have reached the world, or what reached it changed nothing.
    pub fn is_harmless(&self, now: Time) -> bool {
        if !self.class.has_side_effects() || planted(Mutant::ActDropped) {
            return true;
        }
        // Without a marker a call that may go out may be out.
        let may_be_out = match &self.progress {
            CallProgress::Marked { .. } | CallProgress::LookUp { .. } | CallProgress::Doubt => true,
            CallProgress::Ready | CallProgress::Waiting { .. } | CallProgress::Blocked(_) => {
                self.may_be_out_unmarked(now)
            }
        };
        !self.unknown && !may_be_out
    }

    /// Whether it acts and may go out without a marker, so that it may be out.
    pub fn may_be_out_unmarked(&self, now: Time) -> bool {
        self.class.has_side_effects() && !self.class.needs_marker() && self.is_sendable(now)
    }

    /// Whether an outcome that comes now is that of a send, not of looking into an earlier one.
    pub fn is_from_send(&self) -> bool {
        !matches!(self.progress, CallProgress::LookUp { .. } | CallProgress::Doubt)
    }

    /// Whether an attempt may go out at `now`.
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

    /// From when on the agent that asked for it works, not a person or the calendar; `None` where no time says so.
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

    /// Whether it is out, or goes out by itself.
    pub fn is_in_motion(&self) -> bool {
        match &self.progress {
            CallProgress::Ready | CallProgress::Marked { .. } | CallProgress::LookUp { .. } => true,
            // It is waited for a service that is down, which may take a day.
            CallProgress::Waiting { .. } => self.queued_until.is_none(),
            CallProgress::Blocked(BlockReason::RateLimit { .. } | BlockReason::Circuit { .. }) => true,
            // Its time comes, and yet it waits for people: days may pass before.
            CallProgress::Blocked(
                BlockReason::Approval(_) | BlockReason::Question { .. } | BlockReason::Budget { .. } | BlockReason::Key,
            )
            | CallProgress::Doubt => false,
        }
    }

    /// Until when it is held back, and by what, where no person is needed: a call that goes out by itself then.
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

    /// Whether it waits for people, whose time may be over: a deadline of its own, not the call's.
    pub fn waits_for_people(&self) -> bool {
        matches!(self.progress, CallProgress::Blocked(BlockReason::Approval(_) | BlockReason::Question { .. }))
    }

    /// Whether it waits for the answer to what it asked.
    pub fn awaits_answer(&self) -> bool {
        matches!(self.progress, CallProgress::Blocked(BlockReason::Question { .. }))
    }

    /// A person does what its service could not: it certainly did not act, and that person may.
    pub fn is_manual(&self) -> bool {
        self.progress == CallProgress::Doubt && !self.unknown
    }

    /// When it is to be looked at again.
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
