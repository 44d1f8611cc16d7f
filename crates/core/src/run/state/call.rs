//! An open call, and how far it has come.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::run::event::{Block, Request};
use crate::time::{Time, duration_ms};
use crate::tool::Class;

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
    /// The hash a person approved.
    pub approved: Option<String>,
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
    /// Goes out then. `unknown`: an earlier send may have acted.
    Waiting {
        at: Time,
        unknown: bool,
    },
    LookUp {
        at: Time,
        tries: u32,
    },
    /// A person decides.
    Doubt,
    Blocked(Block),
}

impl Call {
    /// Whether nothing of it can have reached the world, or what reached it changed nothing.
    pub fn is_harmless(&self) -> bool {
        if !self.class.acts() {
            return true;
        }
        match &self.progress {
            Progress::Ready => self.class.is_marked() && self.attempts == 0,
            Progress::Waiting { unknown, .. } => !unknown,
            Progress::Blocked(_) => true,
            Progress::Marked { .. } | Progress::LookUp { .. } | Progress::Doubt => false,
        }
    }

    /// Whether an attempt may go out at `now`.
    pub fn is_sendable(&self, now: Time) -> bool {
        match &self.progress {
            Progress::Ready => true,
            Progress::Waiting { at, .. } => *at <= now,
            Progress::Blocked(Block::RateLimit { until } | Block::Circuit { until }) => *until <= now,
            Progress::Blocked(Block::Approval { .. })
            | Progress::Marked { .. }
            | Progress::LookUp { .. }
            | Progress::Doubt => false,
        }
    }

    pub fn due(&self) -> Option<Time> {
        match &self.progress {
            Progress::Waiting { at, .. } | Progress::LookUp { at, .. } => Some(*at),
            Progress::Blocked(Block::RateLimit { until } | Block::Circuit { until }) => Some(*until),
            Progress::Ready | Progress::Marked { .. } | Progress::Doubt | Progress::Blocked(Block::Approval { .. }) => {
                None
            }
        }
    }
}
