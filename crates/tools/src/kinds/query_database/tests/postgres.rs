//! Tests against a real server: `POSTGRES_FOR_TESTS` is its address, with a superuser. `cargo xtask test` starts one
//! if PostgreSQL is installed.

use std::time::Duration;

use baton_core::tool::ToolOutcome;
use serde_json::{Value, json};
use tokio_postgres::{Client, NoTls};

use crate::testing::ToolsFixture;

const VARIABLE: &str = "POSTGRES_FOR_TESTS";
/// Environment variable with the file of the certificate authority of the server.
const CA: &str = "POSTGRES_CA_FOR_TESTS";

/// A schema on the server that belongs to one test.
struct PostgresFixture {
    world: ToolsFixture,
    url: String,
    schema: &'static str,
    admin: Client,
}

impl PostgresFixture {
    /// Returns `None` if there is no server; the test then prints that and checks nothing.
    async fn find(schema: &'static str, more: Value) -> Option<Self> {
        let Ok(url) = std::env::var(VARIABLE) else {
            eprintln!("skipped: {VARIABLE} names no PostgreSQL; `cargo xtask test` starts one where it is installed");
            return None;
        };
        let (admin, connection) = tokio_postgres::connect(&format!("{url}?sslmode=disable"), NoTls).await.unwrap();
        tokio::spawn(connection);
        let make = format!(
            "DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema};
             CREATE TABLE {schema}.orders (id bigint PRIMARY KEY, customer text, total numeric(20, 4));
             INSERT INTO {schema}.orders VALUES (1, 'Ana', 19.9), (2, 'O''Brien; DROP TABLE orders', 0.0001);
             CREATE FUNCTION {schema}.sly() RETURNS int LANGUAGE sql AS 'DELETE FROM {schema}.orders; SELECT 1';
             CREATE FUNCTION {schema}.slow() RETURNS int LANGUAGE sql AS 'SELECT pg_sleep(60); SELECT 1'"
        );
        admin.batch_execute(&make).await.unwrap();
        let mut database = json!({"url": format!("{url}?sslmode=disable&options=-csearch_path%3D{schema}")});
        database.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let world = ToolsFixture::with(json!({"databases": {"shop": database}}));
        Some(Self { world, url, schema, admin })
    }

    async fn ask(&self, query: &str, params: Value) -> Value {
        self.world.done("k", "query_database", json!({"query": query, "params": params})).await
    }

    async fn refused(&self, query: &str) -> (String, String) {
        self.world.refused("k", "query_database", json!({"query": query})).await
    }

    async fn orders(&self) -> i64 {
        let row = self.admin.query_one(&format!("SELECT count(*) FROM {}.orders", self.schema), &[]).await.unwrap();
        row.get(0)
    }
}

#[tokio::test]
async fn rows_of_postgres_come_with_every_digit() {
    let Some(server) = PostgresFixture::find("every_digit", json!({})).await else { return };
    let query =
        "SELECT 9223372036854775807 AS big, 12345678901234567890.1234567890::numeric AS exact, 0.1::float8 AS real,
        'NaN'::float8 AS nan, true AS yes, NULL AS nothing, 'x' AS word, '\\x00ff'::bytea AS bytes,
        '2025-01-15 10:00+01'::timestamptz AT TIME ZONE 'UTC' AS at, '2025-01-15'::date AS day,
        '{\"a\": [1, null]}'::jsonb AS doc, ARRAY[1, NULL, 3] AS list, ARRAY[0.1, 12345678901234567890.5] AS exacts,
        '1 day'::interval AS span, ROW(1, 'a') AS pair, 1 AS word";
    let answer = server.ask(query, json!([])).await;
    assert_eq!(
        answer["rows"][0],
        json!({
            "big": i64::MAX, "exact": "12345678901234567890.1234567890", "real": 0.1, "nan": "NaN", "yes": true,
            "nothing": null, "word": "x", "bytes": "AP8=", "at": "2025-01-15T09:00:00", "day": "2025-01-15",
            "doc": {"a": [1, null]}, "list": [1, null, 3], "exacts": ["0.1", "12345678901234567890.5"], "span": "1 day",
            "pair": {"f1": 1, "f2": "a"}, "word_2": 1,
        })
    );
    assert_eq!(answer["columns"][1], json!({"name": "exact", "type": "numeric", "as": "decimal text"}));
    assert_eq!(answer["columns"][7], json!({"name": "bytes", "type": "bytea", "as": "base64"}));
}

#[tokio::test]
async fn postgres_reads_a_value_as_the_type_of_its_place() {
    let Some(server) = PostgresFixture::find("bound", json!({})).await else { return };
    let query = "SELECT id FROM orders WHERE customer = :who";
    assert_eq!(server.ask(query, json!({"who": "O'Brien; DROP TABLE orders"})).await["rows"], json!([{"id": 2}]));
    assert_eq!(server.ask(query, json!({"who": "' OR '1'='1"})).await["count"], 0);
    let query = "SELECT id FROM orders WHERE id = ANY($1) AND total < $2 AND ($3::text IS NULL OR customer LIKE $3) ORDER BY id DESC LIMIT $4";
    assert_eq!(server.ask(query, json!([[1, 2], "20.5", null, 1])).await["rows"], json!([{"id": 2}]));
    let typed = "SELECT $1::jsonb -> 'a' AS a, $2::date + 1 AS day, $3::bool AS yes, $4::text AS word";
    let found = server.ask(typed, json!([{"a": 1}, "2025-01-31", true, 5])).await;
    assert_eq!(found["rows"], json!([{"a": 1, "day": "2025-02-01", "yes": true, "word": "5"}]));
    let (code, message) =
        server.world.refused("k", "query_database", json!({"query": "SELECT $1::int", "params": ["x"]})).await;
    assert_eq!((code.as_str(), message.contains("invalid input syntax")), ("QUERY_FAILED", true), "{message}");
}

#[tokio::test]
async fn postgres_itself_refuses_what_the_settings_let_through() {
    let Some(server) = PostgresFixture::find("sly", json!({"functions": ["sly", "nextval"]})).await else { return };
    let (code, message) = server.refused("SELECT sly()").await;
    assert_eq!((code.as_str(), message.contains("read-only")), ("QUERY_REFUSED", true), "{message}");
    server.admin.batch_execute("CREATE SEQUENCE sly.numbers").await.unwrap();
    let (code, message) = server.refused("SELECT nextval('numbers')").await;
    assert_eq!((code.as_str(), message.contains("read-only")), ("QUERY_REFUSED", true), "{message}");
    assert_eq!(server.orders().await, 2);
}

#[tokio::test]
async fn hostile_queries_leave_postgres_as_it_was() {
    let Some(server) = PostgresFixture::find("hostile", json!({})).await else { return };
    for query in [
        "SELECT 1; DELETE FROM orders",
        "WITH gone AS (DELETE FROM orders RETURNING *) SELECT * FROM gone",
        "SELECT pg_sleep(60)",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT * FROM orders FOR UPDATE",
        "SELECT set_config('statement_timeout', '0', false)",
        "SELECT 1) AS baton(c1); DELETE FROM orders; SELECT (1",
        "SELECT * FROM pg_catalog.pg_authid",
        "SELECT U&\"\\0070g_sleep\"(60)",
        "SELECT '\\'; DELETE FROM orders; --'",
        "SELECT 'a\\'''; DELETE FROM orders; --'",
    ] {
        let outcome =
            server.world.send(&server.world.call("k", "query_database", json!({"query": query}))).await.outcome;
        if let ToolOutcome::Done { output, .. } = &outcome {
            // Text that only looks like a statement is returned as text.
            assert!(output["rows"][0].to_string().contains("DELETE FROM orders"), "{query}: {outcome:?}");
        }
    }
    assert_eq!(server.orders().await, 2);
}

#[tokio::test]
async fn rows_and_bytes_of_postgres_are_bounded_by_the_server() {
    let Some(server) = PostgresFixture::find("bounded", json!({"rows_max": 3, "bytes_max": 1_000})).await else {
        return;
    };
    let answer =
        server.ask("WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n", json!([])).await;
    assert_eq!((&answer["count"], &answer["truncated"]), (&json!(3), &json!(true)));
    let answer = server.ask("SELECT repeat('x', 100000000) AS long, 1 AS a", json!([])).await;
    assert_eq!(answer["rows"], json!([{"long": null, "a": 1}]));
    assert_eq!((&answer["truncated"], &answer["values_left_out"]), (&json!(true), &json!(1)));
    let answer = server.ask("SELECT repeat('x', 600) AS y FROM generate_series(1, 5)", json!([])).await;
    assert_eq!((&answer["count"], &answer["truncated"]), (&json!(1), &json!(true)));
}

/// Number of queries of this kind that the server is running.
async fn running(server: &PostgresFixture) -> i64 {
    let query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'baton' AND state = 'active' AND query LIKE '%forever%'";
    server.admin.query_one(query, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn a_query_that_nobody_waits_for_is_cancelled_in_the_server() {
    let Some(server) = PostgresFixture::find("forever", json!({"functions": ["slow"]})).await else { return };
    let call = server.world.call("k", "query_database", json!({"query": "SELECT slow() AS forever"}));
    let outcome = server.world.send_within(&call, Duration::from_millis(700)).await.outcome;
    assert!(matches!(&outcome, ToolOutcome::NotDone { fault, .. } if fault.code == "TIMEOUT"), "{outcome:?}");
    let gone = async {
        while running(&server).await > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone).await.expect("the server stopped it");
}

#[tokio::test]
async fn a_postgres_that_is_not_there_or_does_not_let_us_in_is_told_without_its_password() {
    let gone = ToolsFixture::with(json!({"databases": {"gone": {"url": "postgres://me:s3cr3t@127.0.0.1:1/x"}}}));
    let (code, message) = gone.refused("k", "query_database", json!({"query": "SELECT 1"})).await;
    assert_eq!((code.as_str(), message.contains("s3cr3t")), ("SERVICE_UNAVAILABLE", false), "{message}");
    let Some(server) = PostgresFixture::find("let_in", json!({})).await else { return };
    let url = format!("{}_not_there?sslmode=disable", server.url);
    let unknown = ToolsFixture::with(json!({"databases": {"unknown": {"url": url}}}));
    let (code, message) = unknown.refused("k", "query_database", json!({"query": "SELECT 1"})).await;
    assert_eq!((code.as_str(), message.contains("does not exist")), ("SERVICE_REJECTED", true), "{message}");
}

#[tokio::test]
async fn the_servers_certificate_is_checked() {
    let (Ok(ca), Some(server)) = (std::env::var(CA), PostgresFixture::find("encrypted", json!({})).await) else {
        return;
    };
    let over_tls = |ca: Option<&str>| {
        let mut database = json!({"url": format!("{}?sslmode=require", server.url)});
        if let Some(ca) = ca {
            database["ca"] = json!(ca);
        }
        ToolsFixture::with(json!({"databases": {"shop": database}}))
    };
    let query = json!({"query": "SELECT 1 AS one"});
    assert_eq!(over_tls(Some(&ca)).done("k", "query_database", query.clone()).await["rows"], json!([{"one": 1}]));
    let (code, message) = over_tls(None).refused("k", "query_database", query).await;
    assert_eq!(code, "SERVICE_UNAVAILABLE", "{message}");
}
