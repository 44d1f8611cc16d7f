//! The fake does what every store must do.

use baton_sim::conformance;
use baton_sim::fake::{FakeIndex, FakeStore};

#[tokio::test]
async fn the_journal_in_memory() {
    conformance::journal(async || FakeStore::new()).await;
}

#[tokio::test]
async fn money_in_memory() {
    conformance::budget(async || FakeStore::new()).await;
}

#[tokio::test]
async fn records_in_memory() {
    conformance::records(async || FakeStore::new()).await;
}

#[tokio::test]
async fn the_registry_in_memory() {
    conformance::registry(async || FakeStore::new()).await;
}

#[tokio::test]
async fn the_index_in_memory() {
    conformance::index(async || FakeIndex::new()).await;
}

#[tokio::test]
async fn the_audit_trail_in_memory() {
    conformance::audit(async || FakeStore::new()).await;
}

#[tokio::test]
async fn the_feed_in_memory() {
    conformance::feed(async || FakeStore::new()).await;
}
