//! An open call, and how far it has come.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::money::Usd;
use crate::mutant::{Mutant, planted};
use crate::run::event::{Block, Request};
use crate::time::{Time, duration_ms};
use crate::tool::{Class, Reply};

/// An open call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::run) struct Call {
    pub generation: u32,
    pub scheduled_at: Time,
    /// Sends whose outcome was recorded.
    pub attempts: u32,
    pub request: Request,
    pub class: Class,
    #[serde(with = "duration_ms")]
    pub timeout: Duration,
    pub progress: Progress,
    /// A send of this generation may have acted.
    pub unknown: bool,
    /// The hash that was allowed.
    pub approved: Option<String>,
    /// Who has allowed it, while more must.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_by: Vec<String>,
    /// What it asked, and what was said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replies: Vec<Reply>,
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
pub(in crate::run) struct Forgotten {
    pub call: Call,
    /// A merge cut its node off and wants undone what it did; kept here, since the node's scope may be gone by then.
    pub lost: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::run) enum Progress {
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
    Blocked(Block),
}

/// What holds a call back that goes out by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldBy {
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

impl HeldBy {
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

impl Call {
    /// Whether nothing of it can have reached the world, or what reached it changed nothing.
    pub fn is_harmless(&self, now: Time) -> bool {
        if !self.class.acts() || planted(Mutant::ActDropped) {
            return true;
        }
        // Without a marker a call that may go out may be out.
        let may_be_out = match &self.progress {
            Progress::Marked { .. } | Progress::LookUp { .. } | Progress::Doubt => true,
            Progress::Ready | Progress::Waiting { .. } | Progress::Blocked(_) => self.may_be_out_unmarked(now),
        };
        !self.unknown && !may_be_out
    }

    /// Whether it acts and may go out without a marker, so that it may be out.
    pub fn may_be_out_unmarked(&self, now: Time) -> bool {
        self.class.acts() && !self.class.is_marked() && self.is_sendable(now)
    }

    /// Whether an outcome that comes now is that of a send, not of looking into an earlier one.
    pub fn is_of_a_send(&self) -> bool {
        !matches!(self.progress, Progress::LookUp { .. } | Progress::Doubt)
    }

    /// Whether an attempt may go out at `now`.
    pub fn is_sendable(&self, now: Time) -> bool {
        match &self.progress {
            Progress::Ready => true,
            Progress::Waiting { at } => *at <= now,
            Progress::Blocked(Block::RateLimit { until } | Block::Circuit { until } | Block::Budget { until, .. }) => {
                *until <= now
            }
            Progress::Marked { .. } => planted(Mutant::MarkedSentAgain),
            Progress::Blocked(Block::Approval(_) | Block::Question { .. } | Block::Key)
            | Progress::LookUp { .. }
            | Progress::Doubt => false,
        }
    }

    /// From when on the agent that asked for it works, not a person or the calendar; `None` where no time says so.
    pub fn works_from(&self, now: Time) -> Option<Time> {
        match &self.progress {
            Progress::Doubt | Progress::Blocked(Block::Approval(_) | Block::Question { .. } | Block::Key) => None,
            Progress::Blocked(Block::Budget { until, .. }) => Some(now.max(*until)),
            Progress::Waiting { at } if self.queued_until.is_some() => Some(now.max(*at)),
            Progress::Ready
            | Progress::Waiting { .. }
            | Progress::Marked { .. }
            | Progress::LookUp { .. }
            | Progress::Blocked(Block::RateLimit { .. } | Block::Circuit { .. }) => Some(now),
        }
    }

    /// Whether it is out, or goes out by itself.
    pub fn moves(&self) -> bool {
        match &self.progress {
            Progress::Ready | Progress::Marked { .. } | Progress::LookUp { .. } => true,
            // It is waited for a service that is down, which may take a day.
            Progress::Waiting { .. } => self.queued_until.is_none(),
            Progress::Blocked(Block::RateLimit { .. } | Block::Circuit { .. }) => true,
            // Its time comes, and yet it waits for people: days may pass before.
            Progress::Blocked(Block::Approval(_) | Block::Question { .. } | Block::Budget { .. } | Block::Key)
            | Progress::Doubt => false,
        }
    }

    /// Until when it is held back, and by what, where no person is needed: a call that goes out by itself then.
    pub fn held_back(&self) -> Option<(HeldBy, Time)> {
        match &self.progress {
            Progress::Waiting { at } if self.queued_until.is_some() => Some((HeldBy::Outage, *at)),
            Progress::Waiting { at } => Some((HeldBy::Retry, *at)),
            Progress::LookUp { at, .. } => Some((HeldBy::LookUp, *at)),
            Progress::Blocked(Block::RateLimit { until }) => Some((HeldBy::Rate, *until)),
            Progress::Blocked(Block::Circuit { until }) => Some((HeldBy::Circuit, *until)),
            Progress::Ready
            | Progress::Marked { .. }
            | Progress::Doubt
            | Progress::Blocked(Block::Approval(_) | Block::Question { .. } | Block::Budget { .. } | Block::Key) => {
                None
            }
        }
    }

    /// Whether it waits for people, whose time may be over: a deadline of its own, not the call's.
    pub fn is_with_people(&self) -> bool {
        matches!(self.progress, Progress::Blocked(Block::Approval(_) | Block::Question { .. }))
    }

    /// Whether it waits for the answer to what it asked.
    pub fn is_asking(&self) -> bool {
        matches!(self.progress, Progress::Blocked(Block::Question { .. }))
    }

    /// A person does what its service could not: it certainly did not act, and that person may.
    pub fn is_by_hand(&self) -> bool {
        self.progress == Progress::Doubt && !self.unknown
    }

    /// When it is to be looked at again.
    pub fn due(&self) -> Option<Time> {
        match &self.progress {
            Progress::Waiting { at } | Progress::LookUp { at, .. } => Some(*at),
            Progress::Blocked(Block::RateLimit { until } | Block::Circuit { until } | Block::Budget { until, .. }) => {
                Some(*until)
            }
            Progress::Blocked(Block::Approval(leave)) => leave.until,
            Progress::Blocked(Block::Question { until, .. }) => *until,
            Progress::Ready | Progress::Marked { .. } | Progress::Doubt | Progress::Blocked(Block::Key) => None,
        }
    }
}
