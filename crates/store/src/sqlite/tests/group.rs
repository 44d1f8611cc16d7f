//! Callers that share a commit do not share their failures.

use baton_core::money::Usd;
use baton_core::run::RunState;
use baton_ports::budget::{BudgetStore, CostDimension, CostFilter};
use baton_ports::journal::{JournalAppend, JournalError, JournalStore, StateSnapshot};
use baton_ports::read::ReadModel;
use baton_sim::conformance::fixtures::{
    FOLD, at, bytes, entry, head, join, message, owned, parked, spend, start, steady, tenant,
};
use futures::future::{join_all, try_join_all};

use super::super::{SqliteStore, StoreOptions};
use super::TestDatabase;

#[tokio::test]
async fn what_the_database_rejects_goes_alone() {
    let database = TestDatabase::new();
    let store = database.open();
    let process = join(&store).await;
    let mut owners = Vec::new();
    for number in 0..9 {
        owners.push(owned(&store, &format!("run-{number}"), process).await);
    }
    // One run's next entry exists already, which no store would have written.
    let taken =
        format!("INSERT INTO journal (aggregate, seq, at, payload) VALUES ({}, 1, 0, x'00')", owners[4].handle.0);
    database.raw().execute(&taken, []).unwrap();

    let append = |number: usize| JournalAppend {
        head: Some(head(RunState::Running)),
        ..entry(&format!("run-{number}"), owners[number], 0)
    };
    let outcomes = join_all((0..9).map(|number| store.append(append(number)))).await;
    for (number, outcome) in outcomes.iter().enumerate() {
        assert_eq!(outcome.is_err(), number == 4, "{number}: {outcome:?}");
        let shown = store.run(&tenant(), &format!("run-{number}").into()).await.unwrap().unwrap();
        let expect = if number == 4 { (RunState::Pending, 0) } else { (RunState::Running, 1) };
        assert_eq!((shown.state, shown.seq), expect, "{number}");
    }
}

#[tokio::test]
async fn what_goes_alone_is_not_among_what_its_group_spent() {
    let database = TestDatabase::new();
    let store = database.open();
    let process = join(&store).await;
    let holder = store.open(at(0)).await.unwrap();
    let (one, other) = (owned(&store, "one", process).await, owned(&store, "other", process).await);
    // It is rejected by what is written after its spend.
    let no = format!(
        "CREATE TRIGGER no BEFORE INSERT ON snapshot WHEN NEW.aggregate = {} BEGIN SELECT RAISE(ABORT, 'no'); END",
        other.handle.0
    );
    database.raw().execute_batch(&no).unwrap();

    let snapshot = || Some(StateSnapshot { fold_version: FOLD, seq: 1, state: bytes("state") });
    let append = |run: &str, ownership, cost| JournalAppend {
        spends: vec![spend(holder, cost)],
        snapshot: snapshot(),
        ..entry(run, ownership, 0)
    };
    // While another process writes, nothing leaves the queue: both are in one group.
    let elsewhere = database.raw();
    elsewhere.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut appends = join_all([store.append(append("other", other, 4.0)), store.append(append("one", one, 0.25))]);
    assert!(futures::poll!(&mut appends).is_pending());
    elsewhere.execute_batch("COMMIT").unwrap();
    let [rejected, done] = appends.await.try_into().unwrap();
    assert!(done.is_ok() && rejected.is_err(), "{done:?} {rejected:?}");
    let filter = CostFilter { tenant: Some(tenant()), ..CostFilter::default() };
    let all = store.costs(filter).await.unwrap();
    assert_eq!((all[0].calls, all[0].cost), (1, Usd::from_f64(0.25)));
}

#[tokio::test]
async fn however_many_accounts_a_group_spends_on_each_has_its_own() {
    const RUNS: usize = 70;
    let database = TestDatabase::new();
    let store = database.open();
    let process = join(&store).await;
    let holder = store.open(at(0)).await.unwrap();
    let mut appends = Vec::new();
    for number in 0..RUNS {
        let run = format!("run-{number}");
        let mut spend = spend(holder, 0.25);
        spend.account.agent = run.clone();
        appends.push(JournalAppend { spends: vec![spend], ..entry(&run, owned(&store, &run, process).await, 0) });
    }
    try_join_all(appends.into_iter().map(|append| store.append(append))).await.unwrap();
    let filter = CostFilter { tenant: Some(tenant()), by: vec![CostDimension::Agent], ..CostFilter::default() };
    let all = store.costs(filter).await.unwrap();
    assert_eq!(all.len(), RUNS);
    assert!(all.iter().all(|row| (row.calls, row.cost) == (1, Usd::from_f64(0.25))), "{all:?}");
}

#[tokio::test]
async fn a_full_queue_says_when_to_come_back_and_loses_nothing() {
    let database = TestDatabase::new();
    let options = StoreOptions { waiting_max: 4, ..StoreOptions::default() };
    let store = SqliteStore::open(&database.path, options).unwrap();
    store.submit(start("run", None)).await.unwrap();
    // While another process writes, nothing leaves the queue.
    let other = database.raw();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut waiting: Vec<_> =
        (0..10).map(|number| Box::pin(store.submit(message("run", &number.to_string())))).collect();
    let mut refused = 0;
    let mut pending = Vec::new();
    for mut submit in waiting.drain(..) {
        match futures::poll!(&mut submit) {
            std::task::Poll::Ready(Err(JournalError::Busy { retry_after })) if !retry_after.is_zero() => refused += 1,
            std::task::Poll::Ready(other) => panic!("{other:?}"),
            std::task::Poll::Pending => pending.push(submit),
        }
    }
    assert!(refused >= 1 && pending.len() >= 4, "{refused} refused, {} pending", pending.len());
    other.execute_batch("COMMIT").unwrap();
    let accepted = try_join_all(pending).await.unwrap().len();
    let open: usize = database.raw().query_row("SELECT count(*) FROM inbox", [], |row| row.get(0)).unwrap();
    assert_eq!(open, 1 + accepted);
}

#[tokio::test]
async fn reading_does_not_wait_for_writing() {
    let database = TestDatabase::new();
    let store = database.open();
    store.submit(start("run", None)).await.unwrap();
    let other = database.raw();
    other.execute_batch("BEGIN EXCLUSIVE; UPDATE aggregate SET state = 'failed'").unwrap();
    let shown = store.run(&tenant(), &"run".into()).await.unwrap().unwrap();
    assert_eq!(shown.state, RunState::Pending);
    other.execute_batch("ROLLBACK").unwrap();
}

#[tokio::test]
async fn ownership_that_nobody_received_goes_back() {
    let database = TestDatabase::new();
    let store = database.open();
    let process = join(&store).await;
    parked(&store, "claimed", process, None).await;
    let other = database.raw();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let name = "claimed".into();
    let mut claim = store.claim(&name, process, FOLD, steady(0));
    let mut submit = store.submit(start("started", Some(process)));
    assert!(futures::poll!(&mut claim).is_pending());
    assert!(futures::poll!(&mut submit).is_pending());
    drop((claim, submit));
    other.execute_batch("COMMIT").unwrap();
    // The first of these may share their commit; the writer releases before it performs the second.
    for run in ["one-more", "another"] {
        store.submit(start(run, Some(process))).await.unwrap();
    }
    let mut due = store.due(process, at(0), steady(0), 10).await.unwrap();
    due.sort();
    assert_eq!(due, ["claimed".into(), "started".into()]);
}

#[tokio::test]
async fn an_owner_is_not_told_twice_of_what_came_through_its_own_door() {
    let database = TestDatabase::new();
    let (own, foreign) = (database.open(), database.open());
    let process = join(&own).await;
    let ownership = owned(&own, "run", process).await;
    own.submit(message("run", "by-own")).await.unwrap();
    assert_eq!(own.with_new_items(process, 10).await.unwrap(), []);
    foreign.submit(message("run", "by-foreign")).await.unwrap();
    assert_eq!(own.with_new_items(process, 10).await.unwrap(), ["run".into()]);
    let done = JournalAppend { inbox_done: vec![1, 2, 3], ..entry("run", ownership, 0) };
    own.append(done).await.unwrap();
    assert_eq!(own.with_new_items(process, 10).await.unwrap(), []);
}

#[tokio::test]
async fn a_large_payload_is_kept_once() {
    let database = TestDatabase::new();
    let store = database.open();
    let process = join(&store).await;
    for run in ["one", "two"] {
        let ownership = owned(&store, run, process).await;
        let large = JournalAppend { entry: Some(bytes(&"x".repeat(100_000))), ..entry(run, ownership, 0) };
        store.append(large).await.unwrap();
    }
    let (blobs, inline): (u32, u32) = database
        .raw()
        .query_row("SELECT (SELECT count(*) FROM blobs), (SELECT count(payload) FROM journal)", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    assert_eq!((blobs, inline), (1, 0));
}
