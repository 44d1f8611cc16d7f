//! Request rate limits of keys, and of addresses that use unknown keys: token buckets, each stored as one number.
//!
//! A bucket holds one minute's worth of tokens and refills evenly. It stores the instant at which it would be full
//! again (the generic cell rate algorithm), so taking a token is a single atomic exchange without a lock. Each
//! process counts on its own. The limit of a *tenant* is counted across all processes, by its tier.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use baton_core::time::Time;
use baton_engine::agent_registry::{self, QuotaStatus};

const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

const MINUTE_NANOS: i64 = 60_000_000_000;
const MILLI_NANOS: i64 = 1_000_000;
/// Maximum number of buckets of one kind.
const BUCKETS_MAX: usize = 10_000;

/// Which rate limit was exceeded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestRateError {
    #[error(
        "this key may ask {} times in one minute, and that is used up; the next turn is in {} s",
        .0.limit, .0.resets_in.as_millis().div_ceil(1_000)
    )]
    Key(QuotaStatus),
    #[error(transparent)]
    Tenant(#[from] agent_registry::QuotaError),
}

/// One limit of requests per minute.
#[derive(Debug)]
pub(crate) struct TokenBucket {
    per_minute: NonZeroU32,
    /// The instant at which it is full, in nanoseconds of the clock.
    full_at: AtomicI64,
}

impl TokenBucket {
    pub fn full(per_minute: NonZeroU32) -> Self {
        Self { per_minute, full_at: AtomicI64::new(i64::MIN) }
    }

    /// Takes a token and returns the quota. If there is none, the error says when there will be one.
    pub fn take(&self, now: Time) -> Result<QuotaStatus, QuotaStatus> {
        let now = nanos(now);
        let each = MINUTE_NANOS / i64::from(self.per_minute.get());
        let mut before = self.full_at.load(Ordering::Relaxed);
        loop {
            // A clock that is set back blocks a bucket for at most a minute.
            let after = before.clamp(now, now + MINUTE_NANOS) + each;
            let over = after - (now + MINUTE_NANOS);
            if over > 0 {
                return Err(self.standing(0, over));
            }
            match self.full_at.compare_exchange_weak(before, after, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(self.standing(-over / each, after - now)),
                Err(newer) => before = newer,
            }
        }
    }

    fn standing(&self, remaining: i64, resets_in_nanos: i64) -> QuotaStatus {
        QuotaStatus {
            limit: self.per_minute.get(),
            per: "minute",
            remaining: u32::try_from(remaining).unwrap_or_default(),
            resets_in: Duration::from_nanos(u64::try_from(resets_in_nanos).unwrap_or_default()),
        }
    }

    /// Whether the bucket can be dropped without loss.
    fn is_full(&self, now: Time) -> bool {
        self.full_at.load(Ordering::Relaxed) <= nanos(now)
    }
}

fn nanos(now: Time) -> i64 {
    now.as_ms().saturating_mul(MILLI_NANOS).clamp(i64::MIN / 2, i64::MAX / 2)
}

/// Buckets by key. Full ones are dropped first, which loses nothing.
#[derive(Debug)]
pub(crate) struct TokenBuckets<K>(Mutex<BTreeMap<K, Arc<TokenBucket>>>);

impl<K> Default for TokenBuckets<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Ord> TokenBuckets<K> {
    /// The bucket of `of`, with this limit.
    pub fn of(&self, of: K, per_minute: NonZeroU32, now: Time) -> Arc<TokenBucket> {
        // A poisoned lock is safe to use, because each operation leaves the map consistent.
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get(&of).filter(|known| known.per_minute == per_minute) {
            return known.clone();
        }
        if all.len() >= BUCKETS_MAX {
            all.retain(|_, bucket| !bucket.is_full(now));
        }
        if all.len() >= BUCKETS_MAX {
            all.pop_first();
        }
        let bucket = Arc::new(TokenBucket::full(per_minute));
        all.insert(of, bucket.clone());
        bucket
    }
}

/// The quota that is closer to its limit.
pub(crate) fn tighter(a: Option<QuotaStatus>, b: Option<QuotaStatus>) -> Option<QuotaStatus> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if a.remaining <= b.remaining { a } else { b }),
        (a, b) => a.or(b),
    }
}

/// Sets the headers of draft-ietf-httpapi-ratelimit-headers, versions up to 06, for the limit that is closest to
/// being reached.
pub(crate) fn set_headers(headers: &mut HeaderMap, standing: &QuotaStatus) {
    let resets_in = u64::try_from(standing.resets_in.as_millis().div_ceil(1_000)).unwrap_or(u64::MAX);
    for (name, value) in
        [(LIMIT, u64::from(standing.limit)), (REMAINING, u64::from(standing.remaining)), (RESET, resets_in)]
    {
        headers.insert(name, HeaderValue::from(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(per_minute: u32) -> TokenBucket {
        TokenBucket::full(NonZeroU32::new(per_minute).expect("a limit"))
    }

    #[test]
    fn a_full_bucket_gives_its_limit_at_once_and_then_one_by_one() {
        let (bucket, begin) = (bucket(3), Time::from_ms(1_000_000));
        let left: Vec<u32> = (0..3).map(|_| bucket.take(begin).expect("a token").remaining).collect();
        assert_eq!(left, [2, 1, 0]);
        let none = bucket.take(begin).expect_err("empty");
        assert_eq!((none.remaining, none.resets_in), (0, Duration::from_secs(20)));
        assert!(bucket.take(Time::from_ms(1_019_999)).is_err(), "a millisecond too early");
        assert!(bucket.take(Time::from_ms(1_020_000)).is_ok());
        assert!(bucket.take(Time::from_ms(1_020_000)).is_err());
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out_for_longer_than_a_minute() {
        let bucket = bucket(1);
        bucket.take(Time::from_ms(1_000_000_000)).expect("a token");
        assert!(bucket.take(Time::from_ms(0)).is_err());
        assert!(bucket.take(Time::from_ms(60_000)).is_err());
        assert!(bucket.take(Time::from_ms(1_000_060_000)).is_ok());
    }

    #[test]
    fn however_many_take_at_once_no_more_than_the_limit_get_one() {
        let (bucket, now) = (Arc::new(bucket(500)), Time::from_ms(5));
        let takers: Vec<_> = (0..8)
            .map(|_| {
                let bucket = bucket.clone();
                std::thread::spawn(move || (0..200).filter(|_| bucket.take(now).is_ok()).count())
            })
            .collect();
        let got: usize = takers.into_iter().map(|taker| taker.join().expect("ends")).sum();
        assert_eq!(got, 500);
    }

    #[test]
    fn buckets_are_bounded_and_those_in_use_stay() {
        let (buckets, limit, now) = (TokenBuckets::default(), NonZeroU32::new(2).expect("a limit"), Time::from_ms(1));
        let used = buckets.of(0_usize, limit, now);
        used.take(now).expect("a token");
        for stranger in 1..=2 * BUCKETS_MAX {
            buckets.of(stranger, limit, now);
        }
        assert!(buckets.0.lock().expect("a lock").len() <= BUCKETS_MAX);
        assert_eq!(buckets.of(0, limit, now).take(now).expect("a token").remaining, 0, "it is the same bucket");
    }
}
