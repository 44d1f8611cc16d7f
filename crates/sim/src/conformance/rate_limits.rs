use std::time::Duration;

use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::journal::JournalError;
use baton_ports::rate_limits::{RESERVED_FOR, RateDecision, RateLimit, RateLimitStore, SET_BACK};

use super::fixtures::{at, other_tenant, tenant};

const MINUTE: Duration = Duration::from_secs(60);

fn limit(name: &str, calls: u32, per: Duration) -> RateLimit {
    RateLimit { name: name.into(), calls, per }
}

/// `None` if the call is admitted, else the delay in milliseconds.
async fn wait(store: &impl RateLimitStore, of: &TenantId, key: &str, limits: &[RateLimit], now: Time) -> Option<u128> {
    match store.take(of, key, limits, now).await.expect("counts") {
        RateDecision::Now => None,
        RateDecision::After(wait) => Some(wait.as_millis()),
    }
}

async fn ask(store: &impl RateLimitStore, key: &str, limits: &[RateLimit], now: Time) -> Option<u128> {
    wait(store, &tenant(), key, limits, now).await
}

/// How many of these calls, each under a key of its own, are admitted at once.
async fn let_through(
    store: &impl RateLimitStore,
    prefix: &str,
    calls: usize,
    limits: &[RateLimit],
    now: Time,
) -> usize {
    let mut through = 0;
    for call in 0..calls {
        through += usize::from(ask(store, &format!("{prefix}{call}"), limits, now).await.is_none());
    }
    through
}

pub async fn a_limit_lets_its_number_through_and_then_says_when(store: &impl RateLimitStore) {
    let limits = [limit("tool", 2, MINUTE)];
    assert_eq!(ask(store, "a", &limits, at(0)).await, None);
    assert_eq!(ask(store, "b", &limits, at(10_000)).await, None);
    assert_eq!(ask(store, "c", &limits, at(20_000)).await, Some(40_000), "a minute after the first");
    assert_eq!(ask(store, "d", &limits, at(20_000)).await, Some(50_000), "a minute after the second");
    assert_eq!(ask(store, "c", &limits, at(60_000)).await, None);
}

pub async fn no_stretch_of_time_has_more_calls_than_the_limit(store: &impl RateLimitStore) {
    let limits = [limit("tool", 10, Duration::from_secs(1))];
    let mut turns = Vec::new();
    for ms in (0..2_600).step_by(13) {
        if ask(store, "again", &limits, at(ms)).await.is_none() {
            turns.push(ms);
        }
    }
    assert!(turns.windows(11).all(|eleven| eleven[10] - eleven[0] >= 1_000), "{turns:?}");
    assert!(turns.len() >= 24, "nearly all of what the limit allows: {turns:?}");
}

pub async fn calls_that_wait_come_back_once_each_in_the_order_they_asked(store: &impl RateLimitStore) {
    let limits = [limit("tool", 2, Duration::from_secs(1))];
    let mut waits = Vec::new();
    for key in ["a", "b", "c", "d", "e", "f"] {
        waits.push(ask(store, key, &limits, at(0)).await);
    }
    assert_eq!(waits, [None, None, Some(1_000), Some(1_000), Some(2_000), Some(2_000)]);
    assert_eq!(ask(store, "c", &limits, at(400)).await, Some(600), "too early: its turn stands");
    assert_eq!(ask(store, "d", &limits, at(1_000)).await, None);
    assert_eq!(ask(store, "c", &limits, at(1_001)).await, None);
    assert_eq!(
        ask(store, "c", &limits, at(1_001)).await,
        Some(1_999),
        "a turn is spent once: it waits like a new call"
    );
    assert_eq!(ask(store, "g", &limits, at(1_500)).await, Some(1_500), "behind those who asked before");
    assert_eq!(ask(store, "f", &limits, at(2_000)).await, None);
}

pub async fn a_turn_nobody_came_for_lapses(store: &impl RateLimitStore) {
    let limits = [limit("tool", 1, MINUTE)];
    assert_eq!(ask(store, "a", &limits, at(0)).await, None);
    assert_eq!(ask(store, "late", &limits, at(0)).await, Some(60_000));
    let lapsed = at(60_000) + RESERVED_FOR;
    assert_eq!(ask(store, "b", &limits, lapsed).await, None, "the window is free again");
    assert_eq!(ask(store, "late", &limits, lapsed).await, Some(60_000), "it asks anew");
}

pub async fn a_call_one_limit_holds_back_takes_no_turn_of_the_others(store: &impl RateLimitStore) {
    let (tool, whole) = (limit("tool", 1, MINUTE), limit("", 2, MINUTE));
    let both = [tool, whole.clone()];
    assert_eq!(ask(store, "a", &both, at(0)).await, None);
    assert_eq!(ask(store, "b", &both, at(0)).await, Some(60_000));
    assert_eq!(ask(store, "c", &both, at(0)).await, Some(120_000));
    assert_eq!(ask(store, "d", std::slice::from_ref(&whole), at(0)).await, None, "one turn of all was left");
    assert_eq!(ask(store, "e", std::slice::from_ref(&whole), at(0)).await, Some(60_000));
}

pub async fn tenants_and_names_count_apart(store: &impl RateLimitStore) {
    let limits = [limit("tool", 1, MINUTE)];
    assert_eq!(ask(store, "a", &limits, at(0)).await, None);
    assert_eq!(ask(store, "b", &limits, at(0)).await, Some(60_000));
    assert_eq!(wait(store, &other_tenant(), "b", &limits, at(0)).await, None);
    assert_eq!(ask(store, "b", &[limit("other", 1, MINUTE)], at(0)).await, None);
}

pub async fn many_who_ask_at_once_get_the_limit_and_no_more(store: &impl RateLimitStore) {
    let limits = [limit("tool", 10, MINUTE)];
    let keys: Vec<String> = (0..40).map(|key| key.to_string()).collect();
    let all = futures::future::join_all(keys.iter().map(|key| ask(store, key, &limits, at(0)))).await;
    assert_eq!(all.iter().filter(|wait| wait.is_none()).count(), 10);
    for wait_ms in [60_000, 120_000, 180_000] {
        assert_eq!(all.iter().filter(|wait| **wait == Some(wait_ms)).count(), 10, "{all:?}");
    }
}

pub async fn a_limit_that_changes_counts_what_was_before(store: &impl RateLimitStore) {
    let of = |calls| [limit("tool", calls, MINUTE)];
    assert_eq!(let_through(store, "a", 4, &of(4), at(0)).await, 4);
    assert_eq!(let_through(store, "b", 8, &of(6), at(1_000)).await, 2, "looser");
    let other = [limit("other", 4, MINUTE)];
    assert_eq!(let_through(store, "c", 4, &other, at(0)).await, 4);
    assert_eq!(ask(store, "d", &[limit("other", 2, MINUTE)], at(1_000)).await, Some(59_000), "tighter");
}

pub async fn a_clock_that_is_set_back_holds_nobody_up_for_long(store: &impl RateLimitStore) {
    let limits = [limit("tool", 1, MINUTE)];
    let day_ms = 24 * 3_600_000;
    assert_eq!(ask(store, "a", &limits, at(30 * day_ms)).await, None);
    assert_eq!(ask(store, "b", &limits, at(0)).await, None, "the window begins anew");
    assert_eq!(ask(store, "c", &limits, at(0)).await, Some(60_000));
    let back_ms = i64::try_from(SET_BACK.as_millis()).expect("a minute");
    assert_eq!(ask(store, "d", &[limit("other", 1, MINUTE)], at(back_ms)).await, None);
    assert_eq!(
        ask(store, "e", &[limit("other", 1, MINUTE)], at(0)).await,
        Some(120_000),
        "a little back is no more turns"
    );
}

pub async fn two_limits_of_one_name_are_refused_and_nothing_is_counted(store: &impl RateLimitStore) {
    let two = [limit("tool", 1, MINUTE), limit("other", 1, MINUTE), limit("tool", 5, MINUTE)];
    let refused = store.take(&tenant(), "a", &two, at(0)).await.expect_err("one name has one window");
    assert!(matches!(refused, JournalError::TooLarge { .. }), "{refused}");
    assert_eq!(ask(store, "b", &two[..2], at(0)).await, None);
}
