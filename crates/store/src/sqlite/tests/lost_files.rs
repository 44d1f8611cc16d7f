//! Tests in which files are removed while a store has them open: nothing is acknowledged that cannot be found later.

use std::fs;
use std::path::PathBuf;

use baton_ports::health::STORE_MOVED;
use baton_ports::journal::{JournalError, JournalStore};
use baton_ports::read::ReadModel;
use baton_sim::conformance::fixtures::{entry, join, owned, start, tenant};

use super::super::{BaselineLog, SqliteStore};
use super::TestDatabase;

impl TestDatabase {
    fn beside(&self, end: &str) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(end);
        name.into()
    }
}

fn is_moved<T: std::fmt::Debug>(answer: &Result<T, JournalError>) -> bool {
    matches!(answer, Err(JournalError::Outage(outage)) if outage.code() == STORE_MOVED)
}

/// Removes files between two appends: the first is stored, and none is acknowledged from then on.
async fn check(database: &TestDatabase, take_away: impl Fn()) -> SqliteStore {
    let store = database.open();
    let process = join(&store).await;
    let ownership = owned(&store, "run", process).await;
    store.append(entry("run", ownership, 0)).await.unwrap();
    take_away();
    let appended = store.append(entry("run", ownership, 1)).await;
    assert!(is_moved(&appended), "{appended:?}");
    for number in 0..20 {
        assert!(is_moved(&store.submit(start(&format!("more-{number}"), None)).await));
    }
    assert!(is_moved(&store.renew(process, baton_sim::conformance::fixtures::steady(0)).await));
    store
}

#[cfg(unix)]
#[tokio::test]
async fn without_its_log_nothing_is_acknowledged_and_what_was_is_in_the_database() {
    let database = TestDatabase::new();
    let store = check(&database, || fs::remove_file(database.beside("-wal")).unwrap()).await;
    // What the next process finds after a kill: only the file, without what this store still holds.
    let copy = TestDatabase::new();
    fs::copy(&database.path, &copy.path).unwrap();
    let found = copy.open().run(&tenant(), &"run".into()).await.unwrap().expect("the run is there");
    assert!(found.seq >= 1, "what was acknowledged is there");
    drop(store);
}

#[cfg(unix)]
#[tokio::test]
async fn without_the_index_of_its_log_nothing_is_acknowledged() {
    let database = TestDatabase::new();
    check(&database, || fs::remove_file(database.beside("-shm")).unwrap()).await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_database_in_a_folder_that_was_moved_is_missed() {
    let database = TestDatabase::new();
    let folder = database.path.parent().unwrap().to_owned();
    let aside = folder.with_extension("aside");
    check(&database, || fs::rename(&folder, &aside).unwrap()).await;
    fs::rename(&aside, &folder).unwrap();
    let store = database.open();
    let found = store.run(&tenant(), &"run".into()).await.unwrap().expect("the run is there");
    assert!(found.seq >= 1, "put back, it has what was acknowledged");
}

#[cfg(unix)]
#[tokio::test]
async fn another_file_in_its_place_is_not_taken_for_it() {
    let (database, other) = (TestDatabase::new(), TestDatabase::new());
    drop(other.open());
    check(&database, || fs::rename(&other.path, &database.path).unwrap()).await;
}

#[tokio::test]
async fn an_empty_file_and_a_missing_one_are_not_taken_for_a_new_database() {
    let database = TestDatabase::new();
    let store = database.open();
    let process = join(&store).await;
    store.leave(process).await.unwrap();
    drop(store);
    let refusal = || match SqliteStore::open(&database.path, super::StoreOptions::default()) {
        Err(JournalError::Unopenable { reason }) => reason,
        other => panic!("{other:?}"),
    };
    fs::write(&database.path, "").unwrap();
    assert!(refusal().contains("0 bytes"));
    fs::remove_file(&database.path).unwrap();
    let reason = refusal();
    assert!(reason.contains("baton.db.owners") && reason.contains("baton.db"), "{reason}");
    fs::remove_dir_all(database.beside(".owners")).unwrap();
    drop(database.open());
}

#[tokio::test]
async fn the_log_that_measurements_compare_with_is_made_where_there_is_none() {
    let database = TestDatabase::new();
    BaselineLog::open(&database.path).unwrap().append(vec![1].into()).await.unwrap();
}
