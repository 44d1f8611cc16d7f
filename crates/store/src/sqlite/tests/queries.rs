//! The cost of finding work depends on what is due, not on what is stored.

use baton_ports::journal::JournalStore;
use baton_ports::read::ReadModel;
use baton_sim::conformance::fixtures::{at, join, message, parked, start, steady};
use rusqlite::{Connection, StatementStatus};

use super::super::sql::numbered;
use super::super::{audit, connection, conversations, ownership, read, runs};
use super::TestDatabase;

/// Parked runs: with a timer in the far future, and without one.
const PARKED: i64 = 100_000;

fn fill(connection: &Connection) {
    connection
        .execute_batch(&format!(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {PARKED}) \
             INSERT INTO aggregate (seq, epoch, called, items, name, tenant, kind, workflow, created_at, state, \
             cost_nanos, wake_at) \
             SELECT 4, 1, 0, 1, 'parked-' || i, 'clinic-a', 'run', 'booking', 0, 'waiting', 0, \
             CASE WHEN i % 2 = 0 THEN {} + i END FROM n",
            at(1_000_000).as_ms()
        ))
        .unwrap();
}

/// The steps of a query's plan.
fn plan(connection: &Connection, sql: &str) -> Vec<String> {
    let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {}", numbered(sql))).unwrap();
    let parameters = vec![1; plan.parameter_count()];
    plan.query_map(rusqlite::params_from_iter(parameters), |row| row.get(3)).unwrap().map(Result::unwrap).collect()
}

#[tokio::test]
async fn looking_for_work_uses_an_index_and_scans_nothing() {
    let database = TestDatabase::new();
    drop(database.open());
    let connection = connection::reader(&database.path, 1 << 20).unwrap();
    for sql in ownership::QUERIES {
        let plan = plan(&connection, sql);
        assert!(plan.iter().all(|step| step.starts_with("SEARCH aggregate USING INDEX")), "{sql}: {plan:?}");
    }
}

#[tokio::test]
async fn what_a_wrong_clock_put_to_sleep_is_looked_for_along_the_timers() {
    let database = TestDatabase::new();
    drop(database.open());
    let connection = connection::reader(&database.path, 1 << 20).unwrap();
    let plan = plan(&connection, ownership::LAST_ENTRIES);
    assert!(plan[0].starts_with("SEARCH aggregate USING INDEX aggregate_timers"), "{plan:?}");
    assert!(plan.iter().all(|step| !step.contains("SCAN") && !step.contains("B-TREE")), "{plan:?}");
}

#[tokio::test]
async fn lists_use_the_narrowest_index() {
    let database = TestDatabase::new();
    drop(database.open());
    let connection = connection::reader(&database.path, 1 << 20).unwrap();
    let lists = read::queries().into_iter().chain(audit::queries()).chain(conversations::queries());
    for (sql, index) in lists.chain(runs::queries()) {
        let plan = plan(&connection, &sql);
        assert!(plan[0].starts_with("SEARCH") && plan[0].contains(index), "{sql}: {plan:?}");
    }
    // A page of runs is read in the order of its index: nothing is sorted.
    for (sql, _) in runs::queries() {
        let plan = plan(&connection, &sql);
        assert_eq!(plan.len(), 1, "{sql}: {plan:?}");
    }
}

#[tokio::test]
async fn a_statement_is_prepared_once_whatever_values_it_is_given() {
    let database = TestDatabase::new();
    drop(database.open());
    let connection = connection::reader(&database.path, 1 << 20).unwrap();
    // Tables with partial indexes.
    for sql in [
        "SELECT revision FROM version WHERE tenant = $1 AND workflow = $2 AND active = 1",
        "SELECT value FROM record WHERE tenant = $1 AND space = $2",
    ] {
        let mut statement = connection.prepare(&numbered(sql)).unwrap();
        for values in [["one", "schedule"], ["another", "2"], ["1", "subscription"]] {
            assert!(!statement.exists(values).unwrap());
        }
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0, "{sql}");
    }
}

#[tokio::test]
async fn a_hundred_thousand_parked_runs_are_not_looked_at() {
    let database = TestDatabase::new();
    let store = database.open();
    fill(&database.raw());
    let process = join(&store).await;
    parked(&store, "due", process, Some(at(5))).await;
    store.submit(message("parked-77", "hello")).await.unwrap();
    store.submit(start("new", None)).await.unwrap();

    let mut due = store.due(process, at(10), steady(10), 100).await.unwrap();
    due.sort();
    assert_eq!(due, ["due".into(), "new".into(), "parked-77".into()]);
    let steps = steps(&database.raw());
    assert!(steps < 1_000, "{steps} steps of the database's machine for three runs");
    let counts: u64 = store.counts().await.unwrap().into_iter().map(|(_, count)| count).sum();
    assert_eq!(counts, PARKED as u64 + 2);
}

/// The cost of one poll for work, in steps of the database's virtual machine.
fn steps(connection: &Connection) -> i32 {
    let steps = ownership::QUERIES.iter().map(|sql| {
        let mut statement = connection.prepare(&numbered(sql)).unwrap();
        let parameters = vec![at(10).as_ms(); statement.parameter_count()];
        let mut rows = statement.query(rusqlite::params_from_iter(parameters)).unwrap();
        while rows.next().unwrap().is_some() {}
        drop(rows);
        statement.get_status(StatementStatus::VmStep)
    });
    steps.sum()
}
