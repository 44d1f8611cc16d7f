//! Tests against a real file.

use std::time::Duration;

use baton_core::tool::ToolOutcome;
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::testing::ToolsFixture;

struct SqliteFixture {
    world: ToolsFixture,
    folder: TempDir,
}

impl SqliteFixture {
    fn new() -> Self {
        Self::with(json!({}))
    }

    fn with(more: Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("shop.db");
        let connection = Connection::open(&file).unwrap();
        connection
            .execute_batch(
                "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT, total REAL, seen BLOB, made DATE);
                 INSERT INTO orders VALUES (1, 'Ana', 19.5, x'00ff', '2025-01-15'),
                     (9007199254740993, 'O''Brien; DROP TABLE orders', 0.1, NULL, NULL);
                 CREATE VIEW sly AS SELECT load_extension('x') AS y;",
            )
            .unwrap();
        let mut shop = json!({"url": format!("sqlite:{}", file.display())});
        shop.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Self { world: ToolsFixture::with(json!({"databases": {"shop": shop}})), folder }
    }

    async fn ask(&self, query: &str, params: Value) -> Value {
        self.world.done("k", "query_database", json!({"query": query, "params": params})).await
    }

    async fn refused(&self, query: &str) -> (String, String) {
        self.world.refused("k", "query_database", json!({"query": query})).await
    }
}

#[tokio::test]
async fn rows_come_as_objects_with_their_types() {
    let answer = SqliteFixture::new().ask("SELECT *, total * 2 FROM orders ORDER BY id", json!([])).await;
    assert_eq!(
        answer["rows"],
        json!([
            {"id": 1, "customer": "Ana", "total": 19.5, "seen": {"$base64": "AP8="}, "made": "2025-01-15", "total * 2": 39.0},
            {"id": 9_007_199_254_740_993_i64, "customer": "O'Brien; DROP TABLE orders", "total": 0.1, "seen": null,
             "made": null, "total * 2": 0.2},
        ])
    );
    assert_eq!((&answer["count"], &answer["truncated"]), (&json!(2), &json!(false)));
    assert_eq!(answer["columns"][0], json!({"name": "id", "type": "integer"}));
    assert_eq!(answer["bytes_as"], "base64 under `$base64`");
}

#[tokio::test]
async fn what_a_value_holds_is_never_sql() {
    let shop = SqliteFixture::new();
    let query = "SELECT id FROM orders WHERE customer = :who";
    let found = shop.ask(query, json!({"who": "O'Brien; DROP TABLE orders"})).await;
    assert_eq!(found["rows"], json!([{"id": 9_007_199_254_740_993_i64}]));
    assert_eq!(shop.ask(query, json!({"who": "' OR '1'='1"})).await["count"], 0);
    let kinds = "SELECT typeof(?1) a, typeof(?2) b, typeof(?3) c, typeof(?4) d, ?5 e";
    let found = shop.ask(kinds, json!([1, 1.5, true, null, {"x": [1]}])).await;
    assert_eq!(found["rows"], json!([{"a": "integer", "b": "real", "c": "integer", "d": "null", "e": "{\"x\":[1]}"}]));
}

#[tokio::test]
async fn rows_and_bytes_are_bounded() {
    let shop = SqliteFixture::with(json!({"rows_max": 3, "bytes_max": 200}));
    let many = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n";
    let answer = shop.ask(many, json!([])).await;
    assert_eq!((&answer["count"], &answer["truncated"]), (&json!(3), &json!(true)), "an endless query is left");
    let answer = shop.ask("SELECT printf('%.*c', 150, 'x') FROM orders", json!([])).await;
    assert_eq!((&answer["count"], &answer["truncated"]), (&json!(1), &json!(true)));
    // SQLite refuses a value beyond the limit before it creates it.
    let (code, message) = shop.refused("SELECT zeroblob(1000000000)").await;
    assert_eq!(code, "QUERY_FAILED", "{message}");
}

#[tokio::test]
async fn a_query_that_never_ends_is_stopped_and_its_thread_with_it() {
    let shop = SqliteFixture::new();
    let endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n";
    let call = shop.world.call("k", "query_database", json!({"query": endless}));
    let outcome = shop.world.send_within(&call, Duration::from_millis(100)).await.outcome;
    assert!(matches!(&outcome, ToolOutcome::NotDone { fault, .. } if fault.code == "TIMEOUT"), "{outcome:?}");
    // The runtime of this test ends only when its threads end: an uninterrupted query would block it for ever.
}

#[tokio::test]
async fn sqlite_itself_refuses_what_a_checker_could_have_missed() {
    let shop = SqliteFixture::new();
    // The text of the query itself names nothing forbidden.
    let (code, message) = shop.refused("SELECT y FROM sly").await;
    assert_eq!((code.as_str(), message.contains("unsafe use of load_extension")), ("QUERY_FAILED", true), "{message}");
    for query in super::super::tests::checker_bypasses() {
        let asked = super::super::sqlite::ask_unchecked(&shop.folder.path().join("shop.db"), query);
        assert!(asked.is_err(), "{query}: {asked:?}");
    }
    assert_eq!(shop.ask("SELECT count(*) AS n FROM orders", json!([])).await["rows"], json!([{"n": 2}]));
    let files: Vec<_> = std::fs::read_dir(shop.folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files, ["shop.db"]);
}

#[tokio::test]
async fn what_is_wrong_is_said_in_sqlites_words_and_is_not_tried_again() {
    let shop = SqliteFixture::new();
    let (code, message) = shop.refused("SELECT * FROM ordres").await;
    assert_eq!((code.as_str(), message.contains("no such table: ordres")), ("QUERY_FAILED", true), "{message}");
    let gone = ToolsFixture::with(json!({"databases": {"gone": {"url": "sqlite:/no/such/place.db"}}}));
    let (code, _) = gone.refused("k", "query_database", json!({"query": "SELECT 1"})).await;
    assert_eq!(code, "SERVICE_UNAVAILABLE");
}

#[tokio::test]
async fn an_answer_holds_for_its_time() {
    let shop = SqliteFixture::new();
    let query = json!({"query": "SELECT count(*) AS n FROM orders"});
    let first = shop.world.send(&shop.world.call("a", "query_database", query.clone())).await.outcome;
    assert!(matches!(first, ToolOutcome::Done { cached: false, .. }), "{first:?}");
    let second = shop.world.send(&shop.world.call("b", "query_database", query.clone())).await.outcome;
    assert!(matches!(second, ToolOutcome::Done { cached: true, .. }), "{second:?}");
    shop.world.clock.advance(Duration::from_secs(301));
    let third = shop.world.send(&shop.world.call("c", "query_database", query)).await.outcome;
    assert!(matches!(third, ToolOutcome::Done { cached: false, .. }), "{third:?}");
}

#[tokio::test]
async fn words_are_searched_in_a_full_text_table() {
    let shop = SqliteFixture::new();
    let connection = Connection::open(shop.folder.path().join("shop.db")).unwrap();
    connection
        .execute_batch(
            "CREATE VIRTUAL TABLE notes USING fts5(body); INSERT INTO notes VALUES ('a red lamp'), ('a blue cup');",
        )
        .unwrap();
    drop(connection);
    let found = shop.ask("SELECT body FROM notes WHERE notes MATCH $1 ORDER BY bm25(notes)", json!(["lamp"])).await;
    assert_eq!(found["rows"], json!([{"body": "a red lamp"}]));
}
