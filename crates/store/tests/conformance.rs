//! Runs the conformance suites against SQLite, in a file and in memory.

use baton_sim::conformance;
use baton_store::sqlite::{SqliteStore, StoreOptions};

/// A store in a temporary folder.
fn file(folders: &std::cell::RefCell<Vec<tempfile::TempDir>>) -> SqliteStore {
    let folder = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(folder.path().join("baton.db"), StoreOptions::default()).expect("opens");
    folders.borrow_mut().push(folder);
    store
}

fn memory() -> SqliteStore {
    SqliteStore::in_memory(StoreOptions::default()).expect("opens")
}

#[tokio::test]
async fn the_journal_in_a_file() {
    let folders = Default::default();
    conformance::journal(async || file(&folders)).await;
}

#[tokio::test]
async fn the_journal_in_memory() {
    conformance::journal(async || memory()).await;
}

#[tokio::test]
async fn money_in_a_file() {
    let folders = Default::default();
    conformance::budget(async || file(&folders)).await;
}

#[tokio::test]
async fn money_in_memory() {
    conformance::budget(async || memory()).await;
}

#[tokio::test]
async fn records_in_a_file() {
    let folders = Default::default();
    conformance::records(async || file(&folders)).await;
}

#[tokio::test]
async fn records_in_memory() {
    conformance::records(async || memory()).await;
}

#[tokio::test]
async fn the_registry_in_a_file() {
    let folders = Default::default();
    conformance::registry(async || file(&folders)).await;
}

#[tokio::test]
async fn the_registry_in_memory() {
    conformance::registry(async || memory()).await;
}

#[tokio::test]
async fn the_desk_in_a_file() {
    let folders = Default::default();
    conformance::desk(async || file(&folders)).await;
}

#[tokio::test]
async fn keys_in_a_file() {
    let folders = Default::default();
    conformance::keys(async || file(&folders)).await;
}

#[tokio::test]
async fn decisions_in_a_file() {
    let folders = Default::default();
    conformance::decisions(async || file(&folders)).await;
}

#[tokio::test]
async fn decisions_in_memory() {
    conformance::decisions(async || memory()).await;
}

#[tokio::test]
async fn circuits_in_a_file() {
    let folders = Default::default();
    conformance::circuits(async || file(&folders)).await;
}

#[tokio::test]
async fn circuits_in_memory() {
    conformance::circuits(async || memory()).await;
}

#[tokio::test]
async fn circuits_of_services_in_a_file() {
    let folders = Default::default();
    conformance::service_circuits(async || file(&folders)).await;
}

#[tokio::test]
async fn circuits_of_services_in_memory() {
    conformance::service_circuits(async || memory()).await;
}

#[tokio::test]
async fn rate_limits_in_a_file() {
    let folders = Default::default();
    conformance::rate_limits(async || file(&folders)).await;
}

#[tokio::test]
async fn rate_limits_in_memory() {
    conformance::rate_limits(async || memory()).await;
}

#[tokio::test]
async fn the_tool_cache_in_a_file() {
    let folders = Default::default();
    conformance::tool_cache(async || file(&folders)).await;
}

#[tokio::test]
async fn the_tool_cache_in_memory() {
    conformance::tool_cache(async || memory()).await;
}

#[tokio::test]
async fn the_index_in_a_file() {
    let folders = Default::default();
    conformance::index(async || file(&folders)).await;
}

#[tokio::test]
async fn the_index_in_memory() {
    conformance::index(async || memory()).await;
}

#[tokio::test]
async fn the_audit_trail_in_a_file() {
    let folders = Default::default();
    conformance::audit(async || file(&folders)).await;
}

#[tokio::test]
async fn the_audit_trail_in_memory() {
    conformance::audit(async || memory()).await;
}

#[tokio::test]
async fn the_feed_in_a_file() {
    let folders = Default::default();
    conformance::feed(async || file(&folders)).await;
}

#[tokio::test]
async fn the_feed_in_memory() {
    conformance::feed(async || memory()).await;
}
