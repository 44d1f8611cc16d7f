//! Tests of tool state shared by processes: rate limits, cached answers, circuits.

use std::sync::Arc;
use std::time::Duration;

use baton_ports::circuits::ServiceCircuitStore as _;
use baton_ports::rate_limits::{RateDecision, RateLimit, RateLimitStore as _};
use baton_ports::tool_cache::{ANSWER_BYTES_MAX, BYTES_MAX, CachedAnswer, ToolCache as _};
use baton_sim::conformance::fixtures::{at, tenant};
use serde_json::json;

use super::super::{SqliteStore, StoreOptions};
use super::TestDatabase;

#[tokio::test]
async fn two_stores_on_one_file_let_a_limit_through_once() {
    let database = TestDatabase::new();
    let stores = [database.open(), database.open()];
    let limits = [RateLimit { name: "tool".into(), calls: 10, per: Duration::from_secs(60) }];
    let (limits, tenant) = (&limits, tenant());
    let asks = (0..40).map(|number: usize| {
        let (store, tenant) = (&stores[number % 2], &tenant);
        async move { store.take(tenant, &number.to_string(), limits, at(0)).await.unwrap() }
    });
    let turns = futures::future::join_all(asks).await;
    assert_eq!(turns.iter().filter(|turn| **turn == RateDecision::Now).count(), 10, "{turns:?}");
    let raw = database.raw();
    let count = |sql: &str| raw.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!((count("SELECT count(*) FROM rate_window"), count("SELECT taken FROM rate_window")), (1, 40));
    assert_eq!(count("SELECT count(*) FROM rate_turn"), 10, "as many as the limit counts");
}

#[tokio::test]
async fn windows_that_are_over_go_when_a_new_one_begins() {
    let database = TestDatabase::new();
    let store = database.open();
    let limit = |name: &str| [RateLimit { name: name.into(), calls: 2, per: Duration::from_secs(1) }];
    for key in ["a", "b", "c"] {
        store.take(&tenant(), key, &limit("old"), at(0)).await.unwrap();
    }
    // A past window that starts again together with a new one is kept.
    let both = [limit("again"), limit("new")].concat();
    store.take(&tenant(), "d", &limit("again"), at(0)).await.unwrap();
    store.take(&tenant(), "e", &both, at(3_600_000)).await.unwrap();
    let raw = database.raw();
    let count =
        |table: &str| raw.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!((count("rate_window"), count("rate_turn"), count("rate_reservation")), (2, 3, 0));
}

#[tokio::test]
async fn a_circuit_that_one_store_opened_is_read_by_the_other() {
    let database = TestDatabase::new();
    let (one, other) = (database.open(), database.open());
    assert_eq!(one.record_failure(&tenant(), "smtp", at(0)).await.unwrap(), 1);
    assert_eq!(other.record_failure(&tenant(), "smtp", at(1)).await.unwrap(), 2);
    one.set_service_circuit(&tenant(), "smtp", Some(at(60_001)), at(1)).await.unwrap();
    let read = other.service_circuits(at(2)).await.unwrap();
    assert_eq!((read.len(), read[0].open_until, read[0].failures), (1, Some(at(60_001)), 0));
}

fn answer(number: u32, bytes: usize) -> CachedAnswer {
    let mut key = [0; 32];
    key[..4].copy_from_slice(&number.to_be_bytes());
    CachedAnswer {
        tenant: tenant(),
        tool: "lookup".into(),
        key,
        output: Arc::new(json!("x".repeat(bytes))),
        memory_bytes: bytes,
        user_id: Some("ana".into()),
        conversation_id: None,
        created_at: at(i64::from(number)),
        expires_at: at(3_600_000),
    }
}

#[tokio::test]
async fn kept_answers_are_bounded_and_the_oldest_make_room() {
    let store = SqliteStore::in_memory(StoreOptions::default()).unwrap();
    let large = ANSWER_BYTES_MAX - 2;
    let fit = u32::try_from(BYTES_MAX / ANSWER_BYTES_MAX as u64).unwrap();
    for number in 0..fit + 2 {
        store.keep(answer(number, large)).await.unwrap();
    }
    store.keep(answer(1_000, large + 1)).await.unwrap();
    let mut found = Vec::new();
    for number in [0, 1, 2, fit + 1, 1_000] {
        found.push(store.find(&tenant(), &answer(number, 0).key, at(1_000)).await.unwrap().is_some());
    }
    assert_eq!(found, [false, false, true, true, false], "the first two made room, one that is too large is not kept");
}

#[tokio::test]
async fn whoever_deletes_an_answer_gives_its_room_back() {
    let database = TestDatabase::new();
    let store = database.open();
    for number in 0..3 {
        store.keep(answer(number, 10)).await.unwrap();
    }
    let raw = database.raw();
    raw.execute(
        "DELETE FROM tool_answer WHERE tenant = ?1 AND user_id = 'ana' AND created_at < ?2",
        (tenant().as_str(), at(2).as_ms()),
    )
    .unwrap();
    let size = raw.query_row("SELECT answers, bytes FROM tool_answer_size", [], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
    });
    assert_eq!(size.unwrap(), (1, 12));
}
