use std::fs;

use baton_ports::journal::{JournalError, JournalStore};
use baton_sim::conformance::fixtures::{at, join, owned, start, steady};

use super::super::connection::DatabaseLocation;
use super::super::{SqliteStore, StoreOptions, migrations};
use super::TestDatabase;

fn refusal(database: &TestDatabase) -> String {
    match SqliteStore::open(&database.path, StoreOptions::default()) {
        Err(JournalError::Unopenable { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_newer_database_is_refused_naming_the_file_and_both_versions() {
    let database = TestDatabase::new();
    drop(database.open());
    database.raw().pragma_update(None, "user_version", 99).unwrap();
    let reason = refusal(&database);
    for part in ["baton.db", "version 99", &format!("up to {}", migrations::LAYOUT)] {
        assert!(reason.contains(part), "{part} in {reason}");
    }
}

#[tokio::test]
async fn whoever_looks_changes_nothing_and_is_told_of_an_older_layout() {
    let database = TestDatabase::new();
    drop(database.open());
    let store = SqliteStore::open_read_only(&database.path, StoreOptions::default()).unwrap();
    assert!(store.aggregate_numbers(0).await.unwrap().is_empty());
    assert!(matches!(store.submit(start("run", None)).await, Err(JournalError::Unwritable { .. })));
    drop(store);
    let older = migrations::LAYOUT - 1;
    database.raw().pragma_update(None, "user_version", older).unwrap();
    match SqliteStore::open_read_only(&database.path, StoreOptions::default()) {
        Err(JournalError::Unopenable { reason }) => assert!(reason.contains(&format!("version {older}")), "{reason}"),
        other => panic!("{other:?}"),
    }
    let left: u32 = database.raw().pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(left, older);
}

#[tokio::test]
async fn what_is_no_database_is_refused_and_left_alone() {
    let database = TestDatabase::new();
    fs::write(&database.path, "a letter to grandmother".repeat(100)).unwrap();
    assert!(refusal(&database).contains("not a database"));
    assert_eq!(fs::read_to_string(&database.path).unwrap(), "a letter to grandmother".repeat(100));
}

#[tokio::test]
async fn another_programs_database_is_refused_and_left_alone() {
    let database = TestDatabase::new();
    database.raw().execute_batch("CREATE TABLE theirs (a)").unwrap();
    assert!(refusal(&database).contains("another program's"));
    let mode: String = database.raw().pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    assert_eq!(mode, "delete", "not even its log is changed");
}

#[test]
fn what_is_committed_is_asked_to_reach_the_disk_and_not_only_the_drives_memory() {
    let database = TestDatabase::new();
    drop(database.open());
    let place = DatabaseLocation::File(database.path.clone());
    let writer = place.writer(1 << 20).unwrap();
    place.make_durable(&writer).unwrap();
    let is = |pragma: &str| writer.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0)).unwrap();
    const FULL: i64 = 2;
    assert_eq!((is("synchronous"), is("fullfsync"), is("checkpoint_fullfsync")), (FULL, 1, 1));
}

#[tokio::test]
async fn a_missing_folder_is_named() {
    let mut database = TestDatabase::new();
    database.path = database.path.with_file_name("nowhere").join("baton.db");
    assert!(refusal(&database).contains("nowhere"));
}

#[tokio::test]
async fn many_may_open_a_new_database_at_once() {
    let database = TestDatabase::new();
    let stores: Vec<SqliteStore> = std::thread::scope(|scope| {
        let opening: Vec<_> = (0..8).map(|_| scope.spawn(|| database.open())).collect();
        opening.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut processes = Vec::new();
    for store in &stores {
        processes.push(store.join(steady(0)).await.unwrap().process);
    }
    processes.dedup();
    assert_eq!(processes.len(), 8);
}

#[tokio::test]
async fn what_waits_is_written_before_the_store_closes() {
    let database = TestDatabase::new();
    let store = database.open();
    let submitted = store.submit(start("run", None));
    let mut submitted = Box::pin(submitted);
    // Polled once, so that it is in the queue, and not awaited.
    assert!(futures::poll!(&mut submitted).is_pending());
    drop(submitted);
    drop(store);
    let found: u32 = database.raw().query_row("SELECT count(*) FROM inbox", [], |row| row.get(0)).unwrap();
    assert_eq!(found, 1);
}

#[tokio::test]
async fn a_closed_store_leaves_one_file() {
    let database = TestDatabase::new();
    let store = database.open();
    let process = join(&store).await;
    owned(&store, "run", process).await;
    assert_eq!(store.due(process, at(0), steady(0), 10).await.unwrap(), []);
    store.leave(process).await.unwrap();
    drop(store);
    let folder = fs::read_dir(database.path.parent().unwrap()).unwrap();
    let mut left: Vec<_> = folder.map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["baton.db", "baton.db.owners"]);
    assert_eq!(fs::read_dir(database.path.with_file_name("baton.db.owners")).unwrap().count(), 0);
}
