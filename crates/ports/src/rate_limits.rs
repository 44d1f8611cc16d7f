//! Rate limits, counted over all processes of a project.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::time::Time;

use crate::journal::JournalError;

/// Maximum number of limits for one call. More are refused.
pub const LIMITS_MAX: usize = 16;
/// Maximum length of a limit's name, in bytes.
pub const NAME_BYTES_MAX: usize = 1_024;
/// Maximum number of calls that one limit may allow: each is stored.
pub const CALLS_MAX: u32 = 100_000;
/// Maximum number of reserved turns of one limit; calls beyond that get none, and ask again when the next turn is free.
pub const RESERVATIONS_MAX: u32 = 10_000;
/// How long a reserved turn is kept for a call that does not come back.
pub const RESERVED_FOR: Duration = Duration::from_secs(60);
/// A clock that is behind the last call by more than a window, and by more than this, was set back: the window starts
/// again, so that no caller waits for as long as the clock was wrong.
pub const SET_BACK: Duration = Duration::from_secs(60);

/// At most this many calls in any period of this length: a sliding window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// What it counts, among the tenant's limits. One name has one window, whatever its numbers are.
    pub name: Arc<str>,
    /// 1 to [`CALLS_MAX`].
    pub calls: u32,
    pub per: Duration,
}

/// Checks that the limits of one call have distinct names: one window cannot count it twice.
///
/// # Errors
/// [`JournalError::TooLarge`] if two limits have the same name.
pub fn check_names(limits: &[RateLimit]) -> Result<(), JournalError> {
    let of_one_name = |limit: &RateLimit| limits.iter().filter(|other| other.name == limit.name).count();
    match limits.iter().map(of_one_name).max() {
        Some(size) if size > 1 => Err(JournalError::TooLarge { what: "the limits of one name", size, limit: 1 }),
        _ => Ok(()),
    }
}

/// Whether a call may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateDecision {
    /// Now. It counts in every given limit.
    Now,
    /// After this delay; until then its place in the queue of the full limit is reserved.
    After(Duration),
}

/// Counts calls. If two processes ask at the same instant, together they get no more than the limit.
///
/// The time of a call is a parameter, so that tests can set the clock. If it goes back by less than [`SET_BACK`], no
/// caller gets more turns than the limit has.
#[async_trait]
pub trait RateLimitStore: Send + Sync {
    /// Takes a turn for the call `key` in every limit, or in none.
    ///
    /// A call that was told to wait and asks again under the same key gets the turn that was reserved for it: calls
    /// wait in the order of their first request. A reserved turn counts at its own time, even if its call comes up to
    /// [`RESERVED_FOR`] later.
    ///
    /// # Errors
    /// Nothing was counted. Two limits of the same name are refused.
    async fn take(
        &self,
        tenant: &TenantId,
        key: &str,
        limits: &[RateLimit],
        now: Time,
    ) -> Result<RateDecision, JournalError>;
}
