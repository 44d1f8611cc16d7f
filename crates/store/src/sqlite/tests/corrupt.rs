use baton_ports::journal::{Append, BLOB_BYTES_MIN, Error, Journal};
use baton_ports::read::Read;
use baton_sim::conformance::world::{FOLD, at, entry, join, owned, tenant};

use super::Database;

/// Damages a run of three entries, the second of them large, and expects both readers to name the run and the reason.
async fn check(damage: &str, expect: &str) {
    let database = Database::new();
    let store = database.open();
    let process = join(&store).await;
    let ownership = owned(&store, "run", process).await;
    for seq in 0..3 {
        let size = if seq == 1 { BLOB_BYTES_MIN + 1 } else { 10 };
        store.append(Append { entry: vec![1; size].into(), ..entry("run", ownership, seq) }).await.unwrap();
    }
    assert_eq!(database.raw().execute(damage, []).unwrap(), 1, "{damage}");

    let claimed = store.claim(&"run".into(), process, FOLD, at(0)).await.map(|claimed| claimed.is_some());
    let read = store.entries(&tenant(), &"run".into(), 0, 10).await.map(|_| true);
    for outcome in [claimed, read] {
        assert!(
            matches!(&outcome, Err(Error::Corrupt { aggregate, reason })
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
