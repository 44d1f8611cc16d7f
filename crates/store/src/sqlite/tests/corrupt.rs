use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};

use baton_ports::health::STORE_DAMAGED;
use baton_ports::journal::{BLOB_BYTES_MIN, JournalAppend, JournalError, JournalStore};
use baton_ports::read::{ReadModel, RunFilter};
use baton_ports::records::{self, RecordOp, RecordStore};
use baton_sim::conformance::fixtures::{FOLD, at, entry, join, owned, start, steady, tenant};

use super::super::{CheckDepth, check as look_through};
use super::TestDatabase;

/// Damages a run of three entries, the second of them large, and expects both readers to report the run and the reason.
async fn check(damage: &str, expect: &str) {
    let database = TestDatabase::new();
    let store = database.open();
    let process = join(&store).await;
    let ownership = owned(&store, "run", process).await;
    for seq in 0..3 {
        let size = if seq == 1 { BLOB_BYTES_MIN + 1 } else { 10 };
        store
            .append(JournalAppend { entry: Some(vec![1; size].into()), ..entry("run", ownership, seq) })
            .await
            .unwrap();
    }
    assert_eq!(database.raw().execute(damage, []).unwrap(), 1, "{damage}");

    let claimed = store.claim(&"run".into(), process, FOLD, steady(0)).await.map(|claimed| claimed.is_some());
    let read = store.entries(&tenant(), &"run".into(), 0, 10).await.map(|_| true);
    for outcome in [claimed, read] {
        assert!(
            matches!(&outcome, Err(JournalError::Corrupt { aggregate, reason })
                if aggregate.as_str() == "run" && reason.contains(expect)),
            "{damage}: {outcome:?}"
        );
    }
    store.append(entry("run", ownership, 3)).await.expect("a claim that could not be read took nothing over");
}

#[tokio::test]
async fn a_journal_with_a_hole_is_corrupt() {
    check("DELETE FROM journal WHERE seq = 1", "entry 1 is missing").await;
    check("DELETE FROM journal WHERE seq = 2", "entry 2 is missing").await;
}

#[tokio::test]
async fn a_journal_cut_short_is_corrupt() {
    check("DELETE FROM journal WHERE seq = 3", "entry 3 is missing").await;
}

#[tokio::test]
async fn a_journal_without_its_large_payload_is_corrupt() {
    check("DELETE FROM blobs", "large payload of entry 2").await;
}

impl TestDatabase {
    /// Fills the first page of a table or index with zeroes, while the database is closed.
    fn zero(&self, name: &str) {
        let raw = self.raw();
        let ask = |sql: &str| raw.query_row(sql, [], |row| row.get::<_, u64>(0)).unwrap();
        let size = ask("PRAGMA page_size");
        let page = ask(&format!("SELECT rootpage FROM sqlite_schema WHERE name = '{name}'"));
        raw.close().unwrap();
        let mut file = OpenOptions::new().write(true).open(&self.path).unwrap();
        file.seek(SeekFrom::Start((page - 1) * size)).unwrap();
        file.write_all(&vec![0; usize::try_from(size).unwrap()]).unwrap();
    }
}

fn is_damage<T: std::fmt::Debug>(answer: &Result<T, JournalError>) -> bool {
    matches!(answer, Err(JournalError::Outage(outage)) if outage.code() == STORE_DAMAGED)
}

#[tokio::test]
async fn once_damage_is_met_nothing_is_acknowledged_and_what_can_be_read_is_read() {
    let database = TestDatabase::new();
    let store = database.open();
    let process = join(&store).await;
    let ownership = owned(&store, "run", process).await;
    store.leave(process).await.unwrap();
    drop(store);
    database.zero("journal");

    let store = database.open();
    let process = join(&store).await;
    let submitted = store.submit(start("before", Some(process))).await.unwrap();
    assert_eq!(store.outage(), None, "nobody has met it yet");
    let claimed = store.claim(&"run".into(), process, FOLD, steady(0)).await;
    let ownership = claimed.ok().flatten().map_or(ownership, |claimed| claimed.ownership);
    let refused = store.append(entry("run", ownership, 0)).await;
    assert!(is_damage(&refused), "{refused:?} after {submitted:?}");

    assert!(is_damage(&store.submit(start("after", None)).await));
    assert!(is_damage(&store.renew(process, steady(0)).await));
    let op = RecordOp::Put { space: "s".into(), key: "k".into(), value: 1.into() };
    let put = store.commit(&tenant(), vec![op], at(0)).await;
    assert!(matches!(put, Err(records::RecordError::Outage(_))), "{put:?}");
    let runs = store.runs(&tenant(), RunFilter::default()).await.unwrap();
    assert_eq!(runs.len(), 2, "lists lie on pages that are well");
    assert!(store.outage().is_some());
}

#[tokio::test]
async fn a_reader_that_meets_damage_stops_what_writes() {
    let database = TestDatabase::new();
    drop(database.open());
    database.zero("desk_open");
    let store = database.open();
    store.submit(start("before", None)).await.unwrap();
    let read = store.open_tasks(&tenant(), None).await;
    assert!(is_damage(&read), "{read:?}");
    assert!(is_damage(&store.submit(start("after", None)).await));
}

#[tokio::test]
async fn a_look_through_finds_what_nobody_has_met() {
    let database = TestDatabase::new();
    let store = database.open();
    let process = join(&store).await;
    owned(&store, "run", process).await;
    assert_eq!(look_through(&database.path, CheckDepth::Full).unwrap(), Vec::<String>::new(), "beside a store at work");
    drop(store);
    assert_eq!(look_through(&database.path, CheckDepth::Quick).unwrap(), Vec::<String>::new());
    database.zero("journal");
    for depth in [CheckDepth::Quick, CheckDepth::Full] {
        assert_ne!(look_through(&database.path, depth).unwrap(), Vec::<String>::new());
    }
}
