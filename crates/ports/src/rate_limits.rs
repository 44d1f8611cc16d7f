//! How often something may be done, counted for all processes of a project together.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::time::Time;

use crate::journal::JournalError;

/// Limits of one call. More is refused.
pub const LIMITS_MAX: usize = 16;
/// Bytes of a limit's name.
pub const NAME_BYTES_MAX: usize = 1_024;
/// Calls that one limit may count: each is remembered.
pub const CALLS_MAX: u32 = 100_000;
/// Calls of one limit that may have a reserved turn; those beyond get none and ask again when the next turn is free.
pub const RESERVATIONS_MAX: u32 = 10_000;
/// How long a reserved turn is kept for a call that does not come back.
pub const RESERVED_FOR: Duration = Duration::from_secs(60);
/// A clock that is behind the last call by more than a window, and by more than this, was set back: the window begins
/// anew, so nobody waits for as long as the clock was wrong.
pub const SET_BACK: Duration = Duration::from_secs(60);

/// At most so many calls in any stretch of time: a sliding window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// What it counts, among the tenant's limits. One name has one window, whatever its numbers are.
    pub name: Arc<str>,
    /// 1 to [`CALLS_MAX`].
    pub calls: u32,
    pub per: Duration,
}

/// Limits of one call have names of their own: one window cannot count it twice.
///
/// # Errors
/// [`JournalError::TooLarge`] where two have one name.
pub fn check_names(limits: &[RateLimit]) -> Result<(), JournalError> {
    let of_one_name = |limit: &RateLimit| limits.iter().filter(|other| other.name == limit.name).count();
    match limits.iter().map(of_one_name).max() {
        Some(size) if size > 1 => Err(JournalError::TooLarge { what: "the limits of one name", size, limit: 1 }),
        _ => Ok(()),
    }
}

/// Whether a call may go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateDecision {
    /// Now. It counts in every limit that was asked.
    Now,
    /// After this; until then its place among those that wait is kept, at the limit that is full.
    After(Duration),
}

/// Counts calls. Two processes that ask at the same instant are told apart: together they get no more than the limit.
///
/// The time of a call comes in, so a test sets the clock. Where it goes back by less than [`SET_BACK`], nobody gets more
/// turns than the limit has.
#[async_trait]
pub trait RateLimitStore: Send + Sync {
    /// A turn for the call `key` within every limit, or none in any.
    ///
    /// A call that is told to wait and asks again under the same key gets the turn that was reserved for it: calls wait
    /// in the order in which they first asked. A reserved turn counts at its time, though its call come up to
    /// [`RESERVED_FOR`] later.
    ///
    /// # Errors
    /// Nothing was counted. Two limits of one name are refused.
    async fn take(
        &self,
        tenant: &TenantId,
        key: &str,
        limits: &[RateLimit],
        now: Time,
    ) -> Result<RateDecision, JournalError>;
}
