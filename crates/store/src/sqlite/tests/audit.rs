use baton_core::audit::{Break, Tip, Why};
use baton_core::tool::AuditRow;
use baton_ports::audit::{Audit, Filter, Person};
use baton_ports::journal::{Append, Journal};
use baton_sim::conformance::world::{at, audit, entry, join, owned, tenant};
use rusqlite::Connection;

use super::super::Store;
use super::Database;

/// Some rows, and the database past the store, its triggers gone: what somebody with the file could do.
async fn filled(database: &Database, rows: &[&str]) -> (Store, Connection) {
    let store = database.open();
    let process = join(&store).await;
    let ownership = owned(&store, "run", process).await;
    let audit = rows.iter().map(|action| audit("run", action)).collect();
    store.append(Append { audit, ..entry("run", ownership, 0) }).await.unwrap();
    (store, database.raw())
}

fn disarm(raw: &Connection) {
    raw.execute_batch("DROP TRIGGER audit_trail_keeps_its_rows; DROP TRIGGER audit_trail_loses_no_row").unwrap();
}

#[tokio::test]
async fn audit_rows_can_be_neither_changed_nor_removed_not_even_past_the_store() {
    let database = Database::new();
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
        ("UPDATE audit_trail SET action = 'other' WHERE seq = 2", 2, Why::Changed),
        ("UPDATE audit_trail SET details = '{}' WHERE seq = 3", 3, Why::Personal),
        ("UPDATE audit_trail SET user_id = NULL, details = NULL, salt = NULL WHERE seq = 1", 1, Why::Personal),
        ("DELETE FROM audit_trail WHERE seq = 1", 1, Why::Missing),
        ("DELETE FROM audit_trail WHERE seq = 2", 2, Why::Missing),
        ("DELETE FROM audit_trail WHERE seq = 3", 3, Why::Missing),
        ("DELETE FROM audit_trail", 1, Why::Missing),
        (moved, 2, Why::Changed),
        (
            "UPDATE audit_trail SET user_id = NULL, details = NULL, salt = NULL, erased_at = 1 WHERE seq = 2",
            2,
            Why::Emptied,
        ),
        ("UPDATE audit_tip SET hash = zeroblob(32)", 3, Why::Changed),
    ];
    for (sql, seq, why) in cases {
        let database = Database::new();
        let (store, raw) = filled(&database, &["a", "b", "c"]).await;
        disarm(&raw);
        raw.execute_batch(sql).unwrap();
        assert_eq!(store.verify(&tenant()).await.unwrap().broken, Some(Break { seq, why }), "{sql}");
    }
}

#[tokio::test]
async fn what_was_erased_is_in_no_file() {
    let database = Database::new();
    let store = database.open();
    let process = join(&store).await;
    let ownership = owned(&store, "run", process).await;
    let row = AuditRow {
        user_id: Some("marta-the-customer".into()),
        details: serde_json::json!({ "note": "allergic-to-penicillin" }).into(),
        ..audit("run", "calculator")
    };
    store.append(Append { audit: vec![row], ..entry("run", ownership, 0) }).await.unwrap();
    assert_eq!(store.erase(&tenant(), &Person::of("marta-the-customer"), "olga", at(9)).await.unwrap(), 1);
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
    let database = Database::new();
    let writing = ["one", "two"].map(|run| {
        let store = database.open();
        tokio::spawn(async move {
            let process = join(&store).await;
            let ownership = owned(&store, run, process).await;
            for seq in 0..EACH {
                let rows = vec![audit(run, "calculator"), audit(run, "send_email")];
                store.append(Append { audit: rows, ..entry(run, ownership, seq) }).await.unwrap();
            }
        })
    });
    for task in writing {
        task.await.unwrap();
    }
    let store = database.open();
    let verdict = store.verify(&tenant()).await.unwrap();
    assert_eq!((verdict.tip.seq, verdict.broken), (4 * EACH, None));
    let mixed = store.trail(&tenant(), Filter { limit: 500, ..Filter::default() }).await.unwrap();
    let changes = mixed.windows(2).filter(|pair| pair[0].row.run != pair[1].row.run).count();
    assert!(changes > 1, "they wrote beside each other");
}

#[tokio::test]
async fn an_empty_chain_holds() {
    let database = Database::new();
    let verdict = database.open().verify(&tenant()).await.unwrap();
    assert_eq!((verdict.tip, verdict.broken), (Tip::NONE, None));
}
