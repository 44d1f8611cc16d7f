//! Statements that are not queries, or do more than read. The checker alone is tested here; the sibling files test
//! what reaches a database.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::statement::{SqlDialect, SqlStatement, StatementError};

fn read(dialect: SqlDialect, query: &str) -> Result<SqlStatement, StatementError> {
    SqlStatement::read(dialect, query, &Value::Null, &BTreeSet::new())
}

/// Refused in both dialects.
const BOTH: &[&str] = &[
    "",
    ";",
    "-- nothing",
    "INSERT INTO t VALUES (1)",
    "UPDATE t SET a = 1",
    "DELETE FROM t",
    "DROP TABLE t",
    "CREATE TABLE t (a int)",
    "ALTER TABLE t ADD b int",
    "TRUNCATE t",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT a",
    "VACUUM",
    "ANALYZE t",
    "EXPLAIN SELECT 1",
    "SELECT 1; DROP TABLE t",
    "SELECT 1;; DELETE FROM t",
    "SELECT 1 -- \n; DELETE FROM t",
    "SELECT 1 /* ; */ ; DELETE FROM t",
    "SELECT '; --' ; DELETE FROM t",
    "WITH gone AS (DELETE FROM t RETURNING *) SELECT * FROM gone",
    "WITH made AS (INSERT INTO t VALUES (1) RETURNING *) SELECT * FROM made",
    "WITH changed AS (UPDATE t SET a = 1 RETURNING *) SELECT * FROM changed",
    "WITH a AS (WITH b AS (DELETE FROM t RETURNING *) SELECT * FROM b) SELECT * FROM a",
    "WITH a AS (SELECT 1) DELETE FROM t",
    "WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a",
    "SELECT * FROM t FOR UPDATE",
    "SELECT * FROM (SELECT * FROM t FOR SHARE) AS u",
    "SELECT 1 UNION SELECT a FROM t FOR UPDATE",
    "SELECT load_extension('x')",
    "SELECT nosuchfunction(1)",
    "SELECT * FROM t WHERE a = (SELECT nosuchfunction(1))",
    "SELECT CASE WHEN true THEN nosuchfunction(1) END",
    "SELECT * FROM t ORDER BY nosuchfunction(a)",
    "SELECT * FROM t LIMIT nosuchfunction(1)",
    "SELECT count(*) FILTER (WHERE nosuchfunction(a)) FROM t",
    "SELECT sum(a) OVER (PARTITION BY nosuchfunction(a)) FROM t",
    "SELECT * FROM t JOIN u ON nosuchfunction(t.a)",
    "SELECT * FROM nosuchfunction(1)",
    "SELECT 1\0; DROP TABLE t",
    "SELECT 'unterminated",
    "SELECT \"unterminated",
    "SELECT /* unterminated",
    "SELEKT 1",
    // Look-alike letters are different letters.
    "SELECT ｐg_sleep(1)",
    "ＳＥＬＥＣＴ 1; DROP TABLE t",
    "SELECT loa\u{200b}d_extension('x')",
];

const SQLITE: &[&str] = &[
    "ATTACH DATABASE 'other.db' AS other",
    "DETACH DATABASE other",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA table_info(t)",
    "SELECT * FROM pragma_table_info('t')",
    "SELECT * FROM pragma_database_list",
    "SELECT readfile('/etc/passwd')",
    "SELECT writefile('/tmp/x', 'y')",
    "SELECT edit('x')",
    "SELECT fts3_tokenizer('x')",
    "VACUUM INTO '/tmp/copy.db'",
    "REINDEX",
    "REPLACE INTO t VALUES (1)",
];

const POSTGRES: &[&str] = &[
    "COPY t TO PROGRAM 'id'",
    "COPY (SELECT 1) TO '/tmp/x'",
    "SET search_path = evil",
    "SET LOCAL role = postgres",
    "RESET ALL",
    "SHOW ALL",
    "LISTEN a",
    "NOTIFY a",
    "LOCK TABLE t",
    "DO $$ BEGIN PERFORM pg_sleep(1); END $$",
    "CALL p()",
    "PREPARE a AS SELECT 1",
    "EXECUTE a",
    "TABLE t",
    "SELECT * INTO copy FROM t",
    "SELECT * INTO TEMP copy FROM t",
    "SELECT pg_sleep(100)",
    "SELECT PG_SLEEP(100)",
    "SELECT \"pg_sleep\"(100)",
    "SELECT pg_catalog.pg_sleep(100)",
    "SELECT pg_catalog . \"pg_sleep\" (100)",
    "SELECT pg_/**/sleep(1)",
    "SELECT/**/pg_sleep(1)",
    "SELECT pg_sleep/* why not */(1)",
    "SELECT * FROM pg_sleep(100)",
    "SELECT * FROM t, LATERAL pg_sleep(a)",
    "SELECT * FROM ROWS FROM (pg_sleep(1))",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_read_binary_file('/etc/passwd')",
    "SELECT pg_ls_dir('/')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT lo_export(1, '/tmp/x')",
    "SELECT lo_unlink(1)",
    "SELECT * FROM dblink('host=evil', 'SELECT 1') AS t(a int)",
    "SELECT dblink_exec('DROP TABLE t')",
    "SELECT nextval('s')",
    "SELECT setval('s', 1)",
    "SELECT currval('s')",
    "SELECT set_config('role', 'postgres', false)",
    "SELECT current_setting('data_directory')",
    "SELECT pg_terminate_backend(1)",
    "SELECT pg_cancel_backend(1)",
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_reload_conf()",
    "SELECT pg_notify('a', 'b')",
    "SELECT query_to_xml('DELETE FROM t', true, true, '')",
    "SELECT * FROM ts_stat('DELETE FROM t')",
    "SELECT txid_current()",
    "SELECT * FROM pg_authid",
    "SELECT * FROM pg_catalog.pg_shadow",
    "SELECT * FROM \"pg_authid\"",
    "SELECT * FROM pg_stat_activity",
    "SELECT public.lower('x')",
    "SELECT evil.now()",
    "SELECT \"LOWER\"('x')",
    "SELECT 1 OPERATOR(evil.+) 1",
    "SELECT E'\\'; DROP TABLE t; --'; DROP TABLE t",
    "SELECT $a$ x $a$; DROP TABLE t",
    "SELECT U&'\\0027; DROP TABLE t; --'; DROP TABLE t",
];

#[test]
fn what_does_more_than_read_is_refused() {
    let own =
        |dialect: SqlDialect, queries: &'static [&'static str]| queries.iter().map(move |query| (dialect, *query));
    let both = own(SqlDialect::Sqlite, BOTH).chain(own(SqlDialect::Postgres, BOTH));
    for (dialect, query) in both.chain(own(SqlDialect::Sqlite, SQLITE)).chain(own(SqlDialect::Postgres, POSTGRES)) {
        assert!(read(dialect, query).is_err(), "{dialect:?} let through: {query}");
    }
}

#[test]
fn what_only_reads_is_written_out_without_comments() {
    for (dialect, query, expect) in [
        (SqlDialect::Sqlite, "select 1;", "SELECT 1"),
        (SqlDialect::Postgres, "SELECT a -- why\n FROM t /* ; DROP TABLE t */", "SELECT a FROM t"),
        (SqlDialect::Postgres, "SELECT 'it''s', '\\', 'a\\''b'", "SELECT 'it''s', '\\', 'a\\''b'"),
        (SqlDialect::Postgres, "SELECT 'a''''b'", "SELECT 'a''''b'"),
        (SqlDialect::Postgres, "SELECT lower(\"Na\"\"me\") FROM \"T\"", "SELECT lower(\"Na\"\"me\") FROM \"T\""),
        (SqlDialect::Postgres, "VALUES (1), (2)", "VALUES (1), (2)"),
    ] {
        assert_eq!(read(dialect, query).map(|read| read.sql), Ok(expect.to_owned()));
    }
    for query in [
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 9) SELECT * FROM n",
        "SELECT DISTINCT ON (a) a, b FROM t ORDER BY a, b DESC NULLS LAST LIMIT 5 OFFSET 2",
        "SELECT a::text, b ->> 'x', c @> '{}'::jsonb, d AT TIME ZONE 'UTC' FROM t",
        "SELECT x FROM generate_series(1, 10) AS g(x)",
        "SELECT u.v FROM t, LATERAL unnest(t.list) AS u(v)",
        "SELECT date_trunc('day', at), extract(year FROM at), interval '1 day' FROM t GROUP BY 1, 2",
        "SELECT rank() OVER (PARTITION BY a ORDER BY b) FROM t",
        "SELECT count(*) FILTER (WHERE a > 1), array_agg(b ORDER BY c) FROM t GROUP BY GROUPING SETS ((a), (b))",
        "SELECT pg_catalog.lower('X'), CURRENT_DATE, now()",
        "SELECT E'a\\nb', $$it's$$, U&'\\00e9'",
        "SELECT * FROM information_schema.columns",
        "SELECT * FROM t WHERE name ILIKE '%x%' AND a = ANY(ARRAY[1, 2]) AND b BETWEEN 1 AND 2",
    ] {
        assert!(read(SqlDialect::Postgres, query).is_ok(), "{query}: {:?}", read(SqlDialect::Postgres, query));
    }
}

#[test]
fn a_function_of_ones_own_is_called_where_the_settings_name_it() {
    let own = BTreeSet::from(["tax_of".to_owned(), "shop.net".to_owned()]);
    let read = |query: &str| SqlStatement::read(SqlDialect::Postgres, query, &Value::Null, &own);
    assert!(read("SELECT TAX_OF(1), shop.net(1)").is_ok());
    assert!(
        matches!(read("SELECT other.tax_of(1)"), Err(StatementError::NotAllowed(reason)) if reason.contains("other.tax_of"))
    );
}

#[track_caller]
fn bound(dialect: SqlDialect, query: &str, params: Value, sql: &str, values: Value) {
    let read = SqlStatement::read(dialect, query, &params, &BTreeSet::new()).unwrap();
    assert_eq!((read.sql.as_str(), Value::Array(read.values)), (sql, values));
}

#[test]
fn values_are_bound_by_place_or_by_name() {
    use SqlDialect::{Postgres, Sqlite};
    let (two, named) = (json!(["x", "y"]), json!({"name": "x", "b": 2}));
    bound(Postgres, "SELECT $2, $1, $2", two.clone(), "SELECT $1, $2, $1", json!(["y", "x"]));
    bound(Postgres, "SELECT :name, :b", named.clone(), "SELECT $1, $2", json!(["x", 2]));
    bound(Sqlite, "SELECT ?, ?", two.clone(), "SELECT ?1, ?2", two.clone());
    bound(Sqlite, "SELECT ?2, @1", two.clone(), "SELECT ?1, ?2", json!(["y", "x"]));
    bound(Sqlite, "SELECT :name LIMIT $b", named, "SELECT ?1 LIMIT ?2", json!(["x", 2]));
    bound(
        Sqlite,
        "SELECT ltrim(?, ?) LIMIT ? OFFSET ?",
        json!([1, 2, 3, 4]),
        "SELECT ltrim(?1, ?2) LIMIT ?3 OFFSET ?4",
        json!([1, 2, 3, 4]),
    );
    bound(Postgres, "SELECT ':name', '$1'", Value::Null, "SELECT ':name', '$1'", json!([]));
    for (query, params, expect) in [
        ("SELECT $2", json!([1]), "no value for `$2`"),
        ("SELECT $0", json!([1]), "no value for `$0`"),
        ("SELECT :b", json!({"a": 1}), "no value for `:b`"),
        ("SELECT :b", json!([1]), "no value for `:b`"),
        ("SELECT $1", Value::Null, "no value for `$1`"),
        ("SELECT 1", json!([1]), "no place for the value `1`"),
        ("SELECT :a", json!({"a": 1, "c": 2}), "no place for the value `c`"),
    ] {
        let refused = SqlStatement::read(Postgres, query, &params, &BTreeSet::new());
        assert!(
            matches!(&refused, Err(StatementError::Values(reason)) if reason.contains(expect)),
            "{query}: {refused:?}"
        );
    }
}

#[test]
fn a_query_as_deep_as_it_is_long_is_read_or_refused_and_breaks_nothing() {
    let long = |part: &str, times: usize| format!("SELECT 1{}", part.repeat(times));
    for query in [
        long("+1", 3_900),
        long(" OR 1", 3_900),
        long("+1", 16_000),
        format!("SELECT {}1{}", "(".repeat(10_000), ")".repeat(10_000)),
        format!("SELECT {}1", "NOT ".repeat(7_000)),
        format!("SELECT {}1", "- ".repeat(7_000)),
        format!("{}SELECT 1{}", "(".repeat(5_000), ")".repeat(5_000)),
        long(" UNION ALL SELECT 1", 1_600),
        format!("SELECT 1 {}", "::text".repeat(3_000)),
    ] {
        for dialect in [SqlDialect::Sqlite, SqlDialect::Postgres] {
            drop(read(dialect, &query));
        }
    }
    assert!(read(SqlDialect::Postgres, &long("+1", 3_900)).is_ok());
}
