//! Tests with a full disk: nothing is acknowledged that is not stored, and writing continues once there is room.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use baton_ports::journal::{JournalAppend, JournalError, JournalStore, Ownership};
use baton_ports::read::{ReadModel, RunFilter};
use baton_sim::conformance::fixtures::{entry, join, owned, start, steady, tenant};
use futures::future::join_all;

use super::super::erasure::scrub::scrub;
use super::super::{SqliteStore, StoreOptions};
use super::TestDatabase;

/// Appends 20 kB to each of eight runs concurrently until writes are refused. Returns how many appends of each run were
/// acknowledged.
async fn fill(store: &SqliteStore, owners: &[Ownership]) -> Vec<u64> {
    let mut acknowledged = vec![0; owners.len()];
    for _ in 0..10_000 {
        let append = |number: usize| {
            let large = vec![b'x'; 20_000].into();
            JournalAppend {
                entry: Some(large),
                ..entry(&format!("run-{number}"), owners[number], acknowledged[number])
            }
        };
        let outcomes = join_all((0..owners.len()).map(|number| store.append(append(number)))).await;
        for (count, outcome) in acknowledged.iter_mut().zip(&outcomes) {
            match outcome {
                Ok(()) => *count += 1,
                Err(JournalError::Unwritable { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
        if outcomes.iter().all(Result::is_err) {
            return acknowledged;
        }
    }
    panic!("200 MB for each run did not fill it");
}

async fn owners(store: &SqliteStore) -> Vec<Ownership> {
    let process = join(store).await;
    let mut owners = Vec::new();
    for number in 0..8 {
        owners.push(owned(store, &format!("run-{number}"), process).await);
    }
    owners
}

/// Exactly what was acknowledged is stored: nothing is missing, and nothing else is there.
async fn kept(store: &SqliteStore, acknowledged: &[u64]) {
    for (number, count) in acknowledged.iter().enumerate() {
        let shown = store.run(&tenant(), &format!("run-{number}").into()).await.unwrap().unwrap();
        assert_eq!(shown.seq, *count, "run {number}");
    }
}

/// Fills a store, makes room, and expects it to continue by itself and to have kept every guarantee.
async fn check(path: &Path, options: StoreOptions, make_room: impl AsyncFn(&SqliteStore)) {
    let store = SqliteStore::open(path, options).unwrap();
    let owners = owners(&store).await;
    let mut acknowledged = fill(&store, &owners).await;
    assert!(acknowledged.iter().all(|count| *count > 3), "{acknowledged:?}");
    kept(&store, &acknowledged).await;
    let refused = store.submit(start("too-much", None)).await;
    let large = JournalAppend { entry: Some(vec![b'x'; 4 << 20].into()), ..entry("run-0", owners[0], acknowledged[0]) };
    let still_refused = store.append(large).await;
    assert!(matches!(still_refused, Err(JournalError::Unwritable { .. })), "{still_refused:?}");

    make_room(&store).await;
    for (number, ownership) in owners.iter().enumerate() {
        store.append(entry(&format!("run-{number}"), *ownership, acknowledged[number])).await.unwrap();
        acknowledged[number] += 1;
    }
    kept(&store, &acknowledged).await;
    drop(store);

    let store = SqliteStore::open(path, StoreOptions::default()).unwrap();
    kept(&store, &acknowledged).await;
    let runs = store.runs(&tenant(), RunFilter::default()).await.unwrap();
    let names: BTreeSet<_> = runs.iter().map(|run| run.run.as_str()).collect();
    assert_eq!(names.contains("too-much"), refused.is_ok(), "a refused start is not there, an accepted one is");
    store.join(steady(0)).await.unwrap();
}

#[tokio::test]
async fn a_store_at_its_size_limit_loses_nothing_and_goes_on_when_the_limit_is_raised() {
    let database = TestDatabase::new();
    let options = StoreOptions { bytes_max: Some(4 << 20), ..StoreOptions::default() };
    check(&database.path, options, async |store| store.limit_bytes(None).await.unwrap()).await;
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_the_store_goes_on_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let disk = match TestDisk::mount(folder.path(), "4m") {
        Ok(disk) => disk,
        Err(reason) => return println!("skipped: a small disk cannot be mounted here: {reason}"),
    };
    check(&disk.0.join("baton.db"), StoreOptions::default(), async |_| disk.grow("64m")).await;
}

#[tokio::test]
async fn a_scrub_without_the_room_to_write_the_database_anew_cuts_the_log_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let disk = match TestDisk::mount(folder.path(), "4m") {
        Ok(disk) => disk,
        Err(reason) => return println!("skipped: a small disk cannot be mounted here: {reason}"),
    };
    let path = disk.0.join("baton.db");
    let store = SqliteStore::open(&path, StoreOptions::default()).unwrap();
    let owners = owners(&store).await;
    fill(&store, &owners).await;
    // The content of the log is in the database, which uses more than half of the disk then.
    disk.grow("16m");
    scrub(&path, 0, Duration::from_secs(5)).unwrap();
    let size = std::fs::metadata(&path).unwrap().len();
    disk.grow(&format!("{}k", (size + size / 2) / 1024));
    let cramped = scrub(&path, u64::MAX, Duration::from_secs(5)).unwrap();
    assert!(!cramped.vacuumed && cramped.log_truncated, "{cramped:?}");
    assert!(cramped.unfinished.as_deref().is_some_and(|reason| reason.contains("written anew")), "{cramped:?}");
    disk.grow("64m");
    let done = scrub(&path, u64::MAX, Duration::from_secs(5)).unwrap();
    assert!(done.vacuumed && done.unfinished.is_none(), "{done:?}");
}

/// An in-memory file system of limited size.
struct TestDisk(PathBuf);

impl TestDisk {
    fn mount(at: &Path, size: &str) -> Result<Self, String> {
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(at))?;
        Ok(Self(at.to_owned()))
    }

    fn grow(&self, size: &str) {
        run(Command::new("mount").args(["-o", &format!("remount,size={size}")]).arg(&self.0)).unwrap();
    }
}

impl Drop for TestDisk {
    fn drop(&mut self) {
        let _ = run(Command::new("umount").arg(&self.0));
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()) }
}
