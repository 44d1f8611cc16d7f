//! Tests with two stores on one file, and with two real processes.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use baton_ports::clock::MonotonicTime;
use baton_ports::journal::{JournalAppend, JournalError, JournalStore, LEASE, ProcessId};
use baton_ports::read::ReadModel;
use baton_sim::conformance::fixtures::{FOLD, at, bytes, claimed, entry, join, message, owned, parked, steady, tenant};

use super::super::{SqliteStore, StoreOptions};
use super::TestDatabase;

#[tokio::test]
async fn an_owner_that_is_gone_is_noticed_at_once() {
    let database = TestDatabase::new();
    let (gone, left) = (database.open(), database.open());
    let (dead, living) = (join(&gone).await, join(&left).await);
    let ownership = owned(&gone, "flying", dead).await;
    gone.append(JournalAppend { inbox_done: vec![1], ..entry("flying", ownership, 0) }).await.unwrap();
    assert_eq!(left.due(living, at(1), steady(1), 10).await.unwrap(), []);
    assert_eq!(left.claim(&"flying".into(), living, FOLD, steady(1)).await.unwrap(), None);

    drop(gone);
    assert_eq!(left.due(living, at(1), steady(1), 10).await.unwrap(), ["flying".into()]);
    let taken = claimed(&left, "flying", living, steady(1)).await;
    assert_eq!((taken.seq, taken.ownership.process), (1, living));
    left.append(JournalAppend { release: true, ..entry("flying", taken.ownership, 1) }).await.unwrap();

    let owners = || fs::read_dir(database.path.with_file_name("baton.db.owners")).unwrap().count();
    assert_eq!(owners(), 2);
    left.renew(living, steady(2)).await.unwrap();
    assert_eq!(owners(), 1, "nothing is left of the dead");
    let leases: u32 = database.raw().query_row("SELECT count(*) FROM lease", [], |row| row.get(0)).unwrap();
    assert_eq!(leases, 1);
}

#[tokio::test]
async fn a_frozen_owners_append_is_refused_in_the_other_process() {
    let database = TestDatabase::new();
    let (frozen, next) = (database.open(), database.open());
    let (one, two) = (join(&frozen).await, join(&next).await);
    let stale = owned(&frozen, "run", one).await;
    let late = steady(0) + LEASE;
    let taken = claimed(&next, "run", two, late).await;
    next.append(entry("run", taken.ownership, 0)).await.unwrap();
    for seq in 0..2 {
        let refused = frozen.append(entry("run", stale, seq)).await;
        assert!(matches!(refused, Err(JournalError::LeaseLost { .. })), "{refused:?}");
    }
    let refused = frozen.renew(one, late).await;
    assert!(matches!(refused, Err(JournalError::LeaseEnded { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_lease_of_another_boot_is_over_and_one_of_an_older_program_is_left_to_its_lock() {
    let database = TestDatabase::new();
    let (theirs, ours) = (database.open(), database.open());
    let (other, own) = (join(&theirs).await, join(&ours).await);
    owned(&theirs, "run", other).await;
    let owner_is_taken_for_dead = async || ours.due(own, at(0), steady(0), 10).await.unwrap() == ["run".into()];
    let beat = |beat: Option<i64>| {
        let changed = database.raw().execute("UPDATE lease SET beat = ?1 WHERE process = ?2", (beat, other.0));
        assert_eq!(changed.unwrap(), 1);
    };
    assert!(!owner_is_taken_for_dead().await);
    beat(None);
    assert!(!owner_is_taken_for_dead().await, "its lock is held");
    beat(Some((steady(1) + LEASE).as_ms()));
    assert!(!owner_is_taken_for_dead().await, "it was renewed since the time was read");
    beat(Some((steady(1) + LEASE * 2).as_ms()));
    assert!(owner_is_taken_for_dead().await, "it ends much later than any that is taken now");
    beat(None);
    fs::remove_file(database.path.with_file_name("baton.db.owners").join(other.0.to_string())).unwrap();
    assert!(owner_is_taken_for_dead().await, "there is no lock to ask");
}

#[tokio::test]
async fn a_message_from_another_process_finds_its_run() {
    let database = TestDatabase::new();
    let (serving, door) = (database.open(), database.open());
    let process = join(&serving).await;
    parked(&serving, "parked", process, None).await;
    owned(&serving, "awake", process).await;
    for run in ["parked", "awake"] {
        door.submit(message(run, "hello")).await.unwrap();
    }
    assert_eq!(serving.due(process, at(0), steady(0), 10).await.unwrap(), ["parked".into()]);
    assert_eq!(serving.with_new_items(process, 10).await.unwrap(), ["awake".into()]);
}

/// Each of several processes claims what it can, appends, and keeps some of it beyond its lease.
async fn scramble(store: SqliteStore, rounds: i64, step: Duration) -> BTreeMap<String, u64> {
    let mut appended = BTreeMap::new();
    let mut kept = Vec::new();
    let mut process = store.join(steady(0)).await.unwrap().process;
    for round in 0..rounds {
        let passed = step * u32::try_from(round).unwrap();
        let (wall, now) = (at(0) + passed, steady(0) + passed);
        process = renewed(&store, process, now, round).await;
        for run in store.due(process, wall, now, 4).await.unwrap() {
            let Ok(Some(claimed)) = store.claim(&run, process, FOLD, now).await else { continue };
            kept.push((run, claimed.ownership, claimed.seq));
        }
        for (run, ownership, mut seq) in std::mem::take(&mut kept) {
            let keep = (round + ownership.handle.0) % 3 != 0;
            let text = bytes(&format!("{} {}", ownership.process.0, ownership.epoch));
            let wake_at = (!keep).then_some(wall);
            let append =
                JournalAppend { entry: Some(text), release: !keep, wake_at, ..entry(run.as_str(), ownership, seq) };
            match store.append(append).await {
                Ok(()) => {
                    *appended.entry(run.to_string()).or_default() += 1;
                    seq += 1;
                    if keep {
                        kept.push((run, ownership, seq));
                    }
                }
                Err(JournalError::LeaseLost { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
    }
    appended
}

/// Renews occasionally, so that the lease ends in between, and joins again once that was noticed.
async fn renewed(store: &SqliteStore, process: ProcessId, now: MonotonicTime, round: i64) -> ProcessId {
    if round % 7 != 0 {
        return process;
    }
    match store.renew(process, now).await {
        Ok(_) => process,
        Err(JournalError::LeaseEnded { .. }) => store.join(now).await.unwrap().process,
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn no_two_processes_ever_move_one_aggregate() {
    const RUNS: usize = 12;
    let database = TestDatabase::new();
    let store = database.open();
    let process = join(&store).await;
    for number in 0..RUNS {
        parked(&store, &format!("run-{number}"), process, Some(at(0))).await;
    }
    // Time passes at different speeds, so that each sometimes takes the other for dead.
    let steps = [LEASE / 5, LEASE / 3, LEASE / 2];
    let scrambling = steps.map(|step| tokio::spawn(scramble(database.open(), 60, step)));
    let mut acknowledged = BTreeMap::<String, u64>::new();
    for task in scrambling {
        for (run, count) in task.await.unwrap() {
            *acknowledged.entry(run).or_default() += count;
        }
    }
    assert_eq!(acknowledged.len(), RUNS, "everything moved");
    let mut takeovers = 0;
    for (run, count) in acknowledged {
        let entries = store.entries(&tenant(), &run.as_str().into(), 0, 500).await.unwrap();
        assert_eq!(entries.len() as u64, count + 1, "{run}: what was acknowledged is there once");
        let owners: Vec<(u64, u64)> = entries[1..].iter().map(|entry| owner(entry)).collect();
        assert!(owners.is_sorted_by_key(|(_, epoch)| *epoch), "{run}: epochs rise");
        for pair in owners.windows(2) {
            assert!(pair[0].1 != pair[1].1 || pair[0].0 == pair[1].0, "{run}: one owner in one epoch");
            takeovers += usize::from(pair[0].0 != pair[1].0);
        }
    }
    assert!(takeovers > 0, "nothing changed hands");
}

fn owner(entry: &[u8]) -> (u64, u64) {
    let text = std::str::from_utf8(entry).unwrap();
    let (process, epoch) = text.split_once(' ').unwrap();
    (process.parse().unwrap(), epoch.parse().unwrap())
}

/// The path of the database, for the other process of the next test.
const DATABASE: &str = "BATON_STORE_TEST_DATABASE";

#[test]
#[ignore = "the other process of `a_killed_process_is_noticed_at_once`"]
fn another_process() {
    let Ok(path) = std::env::var(DATABASE) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let _store = runtime.block_on(async {
        let store = SqliteStore::open(Path::new(&path), StoreOptions::default()).unwrap();
        let process = join(&store).await;
        let ownership = owned(&store, "run", process).await;
        store.append(JournalAppend { inbox_done: vec![1], ..entry("run", ownership, 0) }).await.unwrap();
        store
    });
    println!("\nready");
    loop {
        std::thread::park();
    }
}

/// Starts this program again as the process above, and waits until it owns a run.
fn spawn(database: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "sqlite::tests::two_processes::another_process"])
        .env(DATABASE, database)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line == "ready"), "it got ready");
    child
}

#[tokio::test]
async fn a_killed_process_is_noticed_at_once() {
    let database = TestDatabase::new();
    let store = database.open();
    let process = join(&store).await;
    let mut child = spawn(&database.path);
    assert_eq!(store.due(process, at(0), steady(0), 10).await.unwrap(), []);
    assert_eq!(store.claim(&"run".into(), process, FOLD, steady(0)).await.unwrap(), None);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(store.due(process, at(0), steady(0), 10).await.unwrap(), ["run".into()]);
    let taken = claimed(&store, "run", process, steady(0)).await;
    assert_eq!(taken.tail, [bytes("run 1")]);
    store.append(entry("run", taken.ownership, 1)).await.unwrap();
}
