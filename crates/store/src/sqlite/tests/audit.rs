use baton_core::audit::{BreakReason, ChainBreak, ChainTip};
use baton_core::tool::AuditRow;
use baton_ports::audit::{AuditFilter, AuditTrail, ErasureSubject};
use baton_ports::journal::{JournalAppend, JournalStore};
use baton_sim::conformance::fixtures::{at, audit, entry, join, owned, tenant};
use rusqlite::Connection;

use super::super::SqliteStore;
use super::TestDatabase;

/// Some rows, and a direct connection without the triggers, as an attacker with the file could open.
async fn filled(database: &TestDatabase, rows: &[&str]) -> (SqliteStore, Connection) {
    let store = database.open();
    let process = join(&store).await;
    let ownership = owned(&store, "run", process).await;
    let audit = rows.iter().map(|action| audit("run", action)).collect();
    store.append(JournalAppend { audit, ..entry("run", ownership, 0) }).await.unwrap();
    (store, database.raw())
}

fn disarm(raw: &Connection) {
    raw.execute_batch("DROP TRIGGER audit_trail_keeps_its_rows; DROP TRIGGER audit_trail_loses_no_row").unwrap();
}

#[tokio::test]
async fn audit_rows_can_be_neither_changed_nor_removed_not_even_past_the_store() {
    let database = TestDatabase::new();
    let (_store, raw) = filled(&database, &["calculator"]).await;
    let erased = "user_id = NULL, conversation_id = NULL, details = NULL, salt = NULL, erased_at = 1";
    for sql in [
        "UPDATE audit_trail SET status = 'error'".to_owned(),
        "UPDATE audit_trail SET user_id = NULL".to_owned(),
        format!("UPDATE audit_trail SET {erased}, action = 'other'"),
        "DELETE FROM audit_trail".to_owned(),
    ] {
        let refused = raw.execute(&sql, []).unwrap_err();
        assert!(refused.to_string().contains("append-only"), "{refused}");
    }
    let rows: u32 =
        raw.query_row("SELECT count(*) FROM audit_trail WHERE status = 'success'", [], |r| r.get(0)).unwrap();
    assert_eq!(rows, 1);
}

#[tokio::test]
async fn a_row_that_was_changed_removed_or_moved_past_the_store_is_found() {
    let moved = "UPDATE audit_trail SET seq = 99 WHERE seq = 2; UPDATE audit_trail SET seq = 2 WHERE seq = 3; \
                 UPDATE audit_trail SET seq = 3 WHERE seq = 99";
    let cases = [
        ("UPDATE audit_trail SET action = 'other' WHERE seq = 2", 2, BreakReason::Changed),
        ("UPDATE audit_trail SET details = '{}' WHERE seq = 3", 3, BreakReason::Personal),
        ("UPDATE audit_trail SET user_id = NULL, details = NULL, salt = NULL WHERE seq = 1", 1, BreakReason::Personal),
        ("DELETE FROM audit_trail WHERE seq = 1", 1, BreakReason::Missing),
        ("DELETE FROM audit_trail WHERE seq = 2", 2, BreakReason::Missing),
        ("DELETE FROM audit_trail WHERE seq = 3", 3, BreakReason::Missing),
        ("DELETE FROM audit_trail", 1, BreakReason::Missing),
        (moved, 2, BreakReason::Changed),
        (
            "UPDATE audit_trail SET user_id = NULL, details = NULL, salt = NULL, erased_at = 1 WHERE seq = 2",
            2,
            BreakReason::Emptied,
        ),
        ("UPDATE audit_tip SET hash = zeroblob(32)", 3, BreakReason::Changed),
    ];
    for (sql, seq, why) in cases {
        let database = TestDatabase::new();
        let (store, raw) = filled(&database, &["a", "b", "c"]).await;
        disarm(&raw);
        raw.execute_batch(sql).unwrap();
        assert_eq!(store.verify(&tenant()).await.unwrap().broken, Some(ChainBreak { seq, reason: why }), "{sql}");
    }
}

#[tokio::test]
async fn what_was_erased_is_in_no_file() {
    let database = TestDatabase::new();
    let store = database.open();
    let process = join(&store).await;
    let ownership = owned(&store, "run", process).await;
    let row = AuditRow {
        user_id: Some("marta-the-customer".into()),
        details: serde_json::json!({ "note": "allergic-to-penicillin" }).into(),
        ..audit("run", "calculator")
    };
    store.append(JournalAppend { audit: vec![row], ..entry("run", ownership, 0) }).await.unwrap();
    assert_eq!(store.erase(&tenant(), &ErasureSubject::of("marta-the-customer"), "olga", at(9)).await.unwrap(), 1);
    assert_eq!(store.verify(&tenant()).await.unwrap().broken, None);
    drop(store);
    let bytes = std::fs::read(&database.path).unwrap();
    for word in ["marta-the-customer", "allergic-to-penicillin"] {
        assert!(!bytes.windows(word.len()).any(|window| window == word.as_bytes()), "{word}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn two_processes_write_one_chain() {
    const EACH: u64 = 200;
    let database = TestDatabase::new();
    let writing = ["one", "two"].map(|run| {
        let store = database.open();
        tokio::spawn(async move {
            let process = join(&store).await;
            let ownership = owned(&store, run, process).await;
            for seq in 0..EACH {
                let rows = vec![audit(run, "calculator"), audit(run, "send_email")];
                store.append(JournalAppend { audit: rows, ..entry(run, ownership, seq) }).await.unwrap();
            }
        })
    });
    for task in writing {
        task.await.unwrap();
    }
    let store = database.open();
    let verdict = store.verify(&tenant()).await.unwrap();
    assert_eq!((verdict.tip.seq, verdict.broken), (4 * EACH, None));
    let mixed = store.trail(&tenant(), AuditFilter { limit: 500, ..AuditFilter::default() }).await.unwrap();
    let changes = mixed.windows(2).filter(|pair| pair[0].row.run != pair[1].row.run).count();
    assert!(changes > 1, "they wrote beside each other");
}

#[tokio::test]
async fn an_empty_chain_holds() {
    let database = TestDatabase::new();
    let verdict = database.open().verify(&tenant()).await.unwrap();
    assert_eq!((verdict.tip, verdict.broken), (ChainTip::NONE, None));
}
