use std::fs;

use baton_ports::journal::{Error, Journal};
use baton_sim::conformance::world::{at, join, owned, start, steady};

use super::super::connection::Place;
use super::super::{Options, Store, migrations};
use super::Database;

fn refusal(database: &Database) -> String {
    match Store::open(&database.path, Options::default()) {
        Err(Error::Unopenable { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_newer_database_is_refused_naming_the_file_and_both_versions() {
    let database = Database::new();
    drop(database.open());
    database.raw().pragma_update(None, "user_version", 99).unwrap();
    let reason = refusal(&database);
    for part in ["baton.db", "version 99", &format!("up to {}", migrations::LAYOUT)] {
        assert!(reason.contains(part), "{part} in {reason}");
    }
}

#[tokio::test]
async fn whoever_looks_changes_nothing_and_is_told_of_an_older_layout() {
    let database = Database::new();
    drop(database.open());
    let store = Store::open_to_look(&database.path, Options::default()).unwrap();
    assert!(store.numbers(0).await.unwrap().is_empty());
    assert!(matches!(store.submit(start("run", None)).await, Err(Error::Unwritable { .. })));
    drop(store);
    let older = migrations::LAYOUT - 1;
    database.raw().pragma_update(None, "user_version", older).unwrap();
    match Store::open_to_look(&database.path, Options::default()) {
        Err(Error::Unopenable { reason }) => assert!(reason.contains(&format!("version {older}")), "{reason}"),
        other => panic!("{other:?}"),
    }
    let left: u32 = database.raw().pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(left, older);
}

#[tokio::test]
async fn what_is_no_database_is_refused_and_left_alone() {
    let database = Database::new();
    fs::write(&database.path, "a letter to grandmother".repeat(100)).unwrap();
    assert!(refusal(&database).contains("not a database"));
    assert_eq!(fs::read_to_string(&database.path).unwrap(), "a letter to grandmother".repeat(100));
}

#[tokio::test]
async fn another_programs_database_is_refused_and_left_alone() {
    let database = Database::new();
    database.raw().execute_batch("CREATE TABLE theirs (a)").unwrap();
    assert!(refusal(&database).contains("another program's"));
    let mode: String = database.raw().pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    assert_eq!(mode, "delete", "not even its log is changed");
}

#[test]
fn what_is_committed_is_asked_to_reach_the_disk_and_not_only_the_drives_memory() {
    let database = Database::new();
    drop(database.open());
    let place = Place::File(database.path.clone());
    let writer = place.writer(1 << 20).unwrap();
    place.make_durable(&writer).unwrap();
    let is = |pragma: &str| writer.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0)).unwrap();
    const FULL: i64 = 2;
    assert_eq!((is("synchronous"), is("fullfsync"), is("checkpoint_fullfsync")), (FULL, 1, 1));
}

#[tokio::test]
async fn a_missing_folder_is_named() {
    let mut database = Database::new();
    database.path = database.path.with_file_name("nowhere").join("baton.db");
    assert!(refusal(&database).contains("nowhere"));
}

#[tokio::test]
async fn many_may_open_a_new_database_at_once() {
    let database = Database::new();
    let stores: Vec<Store> = std::thread::scope(|scope| {
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
    let database = Database::new();
    let store = database.open();
    let submitted = store.submit(start("run", None));
    let mut submitted = Box::pin(submitted);
    // Asked once, so that it is in the queue, and not waited for.
    assert!(futures::poll!(&mut submitted).is_pending());
    drop(submitted);
    drop(store);
    let found: u32 = database.raw().query_row("SELECT count(*) FROM inbox", [], |row| row.get(0)).unwrap();
    assert_eq!(found, 1);
}

#[tokio::test]
async fn a_closed_store_leaves_one_file() {
    let database = Database::new();
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
