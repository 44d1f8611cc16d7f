//! Budget ledgers over the simulation's store.

mod fixture;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use baton_core::run::BlockReason;
use baton_ports::budget::{ChargeCollector, CostDimension, CostFilter};
use futures::future::join_all;
use serde_json::json;

use self::fixture::{BudgetFixture, TENANT, between, call, costing, exactly, gateway, in_run, reserve, soon, usd};
use super::*;
use crate::fault::code;

#[tokio::test(start_paused = true)]
async fn of_a_thousand_calls_at_once_a_budget_for_a_hundred_admits_a_hundred() {
    let world = BudgetFixture::new(json!({"hourly_usd": 1}));
    let ledger = world.ledger();
    let calls = join_all((0..1_000).map(|_| call(&ledger, exactly(0.01), 0.01))).await;
    assert_eq!(calls.iter().filter(|call| call.is_ok()).count(), 100);
    ledger.close().await.expect("closes");
    assert_eq!(world.hour().await, (usd(1.0), Usd::ZERO));
    assert!(world.growths() < 30, "{} growths", world.growths());
}

#[tokio::test(start_paused = true)]
async fn a_budget_worth_ten_calls_admits_ten_of_sixty_four_at_once() {
    let world = BudgetFixture::new(json!({"daily_usd": 0.1}));
    let ledger = world.ledger();
    let calls = join_all((0..64).map(|_| call(&ledger, exactly(0.01), 0.01))).await;
    assert_eq!(calls.iter().filter(|call| call.is_ok()).count(), 10);
}

#[tokio::test(start_paused = true)]
async fn calls_that_cost_far_less_than_they_may_use_a_budget_up_without_passing_it() {
    let world = BudgetFixture::new(json!({"hourly_usd": 0.1}));
    let ledger = world.ledger();
    // A short reply costs one cent, the longest possible reply 25: the budget fits only one at a time.
    let price = between(usd(0.01), usd(0.25));
    let calls = join_all((0..64).map(|_| call(&ledger, price, 0.01))).await;
    assert_eq!(calls.iter().filter(|call| call.is_ok()).count(), 10);
    ledger.close().await.expect("closes");
    assert_eq!(world.hour().await, (usd(0.1), Usd::ZERO));
}

#[tokio::test(start_paused = true)]
async fn what_is_left_is_taken_only_where_nobody_gives_back_and_says_how_much_it_is() {
    let world = BudgetFixture::new(json!({"hourly_usd": 1}));
    let ledger = world.ledger();
    let price = between(usd(0.1), usd(0.6));
    let first = reserve(&ledger, price).await.expect("there is enough");
    assert_eq!(first.amount(), usd(0.6));
    let second = reserve(&ledger, price);
    tokio::pin!(second);
    assert!(tokio::time::timeout(Duration::from_secs(1), &mut second).await.is_err(), "it waits for the first");
    first.settle(costing(0.3));
    assert_eq!(second.await.expect("there is enough again").amount(), usd(0.6));
    let third = reserve(&ledger, price).await.expect("the second is lost");
    assert_eq!(third.amount(), usd(0.1), "what it may have cost is taken to be spent");
}

#[tokio::test(start_paused = true)]
async fn two_processes_share_a_line_exactly() {
    let world = BudgetFixture::new(json!({"hourly_usd": 1}));
    let purses = [world.ledger(), world.ledger()];
    let mut admitted = 0;
    // Sequentially and concurrently, so that each process holds an allowance ahead of need from time to time.
    for round in 0..40 {
        let crowd = (0..25).map(|place| call(&purses[(round + place / 7) % 2], exactly(0.01), 0.01));
        admitted += join_all(crowd).await.iter().filter(|call| call.is_ok()).count();
        world.clock.advance(Duration::from_millis(500));
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(admitted, 100);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_is_killed_overruns_nothing_and_keeps_what_it_held_from_others() {
    let world = BudgetFixture::new(json!({"hourly_usd": 1}));
    let killed = world.ledger();
    let mut asked = 0;
    for _ in 0..10 {
        let hold = reserve(&killed, exactly(0.01)).await.expect("there is enough");
        asked += 1;
        // Neither settled nor given back: the process dies in between.
        std::mem::forget(hold);
    }
    let (spent, held) = world.hour().await;
    assert!(spent == Usd::ZERO && held >= usd(0.1), "{held}");
    let next = world.ledger();
    while call(&next, exactly(0.01), 0.01).await.is_ok() {
        asked += 1;
    }
    assert!((90..=100).contains(&asked), "{asked}");
    world.clock.advance(Duration::from_secs(3_600));
    call(&next, exactly(1.0), 0.01).await.expect("the hour begins anew");
}

#[tokio::test(start_paused = true)]
async fn most_calls_wait_for_nothing() {
    let world = BudgetFixture::new(json!({"monthly_usd": "unlimited"}));
    let ledger = world.ledger();
    for _ in 0..2_000 {
        reserve(&ledger, exactly(0.001)).await.expect("there is enough").settle(costing(0.001));
    }
    assert!(world.growths() < 20, "{} growths", world.growths());
}

#[tokio::test(start_paused = true)]
async fn without_limits_the_store_is_not_asked_and_costs_are_counted() {
    let none = json!({"hourly_usd": "unlimited", "daily_usd": "unlimited", "monthly_usd": "unlimited"});
    let world = BudgetFixture::new(none);
    let ledger = world.ledger();
    call(&ledger, exactly(1e6), 2.0).await.expect("nothing limits it");
    ledger.close().await.expect("closes");
    assert_eq!((world.growths(), world.hour().await.0), (0, usd(2.0)));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_runs_is_settled_within_a_tenth_of_a_second() {
    let world = BudgetFixture::new(json!({}));
    let ledger = world.ledger();
    let account = SpendAccount { model: "m".into(), agent: "a".into(), ..SpendAccount::default() };
    for _ in 0..3 {
        let hold = ledger.reserve(&gateway(), account.clone(), exactly(0.5), soon()).await.expect("there is enough");
        hold.settle(costing(0.25));
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(world.hour().await.0, usd(0.75));
    let filter = CostFilter { by: vec![CostDimension::Model, CostDimension::Agent], ..CostFilter::default() };
    let rows = world.store.costs(filter).await.expect("reads");
    assert_eq!((rows.len(), rows[0].calls, rows[0].answered, rows[0].cost), (1, 3, 3, usd(0.75)));
    assert_eq!((rows[0].model.as_deref(), rows[0].agent.as_deref()), (Some("m"), Some("a")));
}

#[tokio::test(start_paused = true)]
async fn a_runs_charge_waits_for_its_append_and_comes_back_where_there_is_none() {
    let world = BudgetFixture::new(json!({}));
    let ledger = world.ledger();
    let tab = ChargeCollector::default();
    for cost in [0.25, 0.5] {
        let asker = in_run(&tab);
        let hold =
            ledger.reserve(&asker, SpendAccount::default(), exactly(0.5), soon()).await.expect("there is enough");
        hold.settle(costing(cost));
    }
    let mut charges = tab.take();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.hour().await.0, Usd::ZERO, "an append settles it");
    assert!(charges.iter().all(|charge| charge.spend().holder.is_some()));
    charges.remove(0).mark_settled();
    drop(charges);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.hour().await.0, usd(0.5), "what no append settled");
}

#[tokio::test(start_paused = true)]
async fn a_call_of_unknown_outcome_counts_as_what_was_reserved() {
    let world = BudgetFixture::new(json!({}));
    let ledger = world.ledger();
    reserve(&ledger, exactly(0.5)).await.expect("there is enough").settle(AttemptCharge {
        cost: usd(0.5),
        estimated: true,
        ..AttemptCharge::default()
    });
    drop(reserve(&ledger, exactly(0.25)).await.expect("there is enough"));
    ledger.close().await.expect("closes");
    assert_eq!(world.hour().await.0, usd(0.75));
    let rows = world.store.costs(CostFilter::default()).await.expect("reads");
    assert_eq!((rows[0].calls, rows[0].answered, rows[0].estimated), (2, 0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_call_counts_to_the_hour_in_which_it_was_admitted() {
    let world = BudgetFixture::new(json!({}));
    let ledger = world.ledger();
    let hold = reserve(&ledger, exactly(0.5)).await.expect("there is enough");
    let admitted = world.clock.now();
    world.clock.advance(Duration::from_secs(3_600));
    hold.settle(costing(0.5));
    ledger.close().await.expect("closes");
    let lines = world.store.standings(&TENANT.into(), admitted).await.expect("reads");
    assert_eq!(lines[0].spent, usd(0.5));
    assert_eq!(world.hour().await.0, Usd::ZERO);
}

#[tokio::test(start_paused = true)]
async fn closing_gives_everything_back() {
    let world = BudgetFixture::new(json!({"hourly_usd": 1}));
    let ledger = world.ledger();
    call(&ledger, exactly(0.01), 0.01).await.expect("there is enough");
    assert!(world.hour().await.1 > Usd::ZERO, "it holds something ahead");
    ledger.close().await.expect("closes");
    assert_eq!(world.hour().await, (usd(0.01), Usd::ZERO));
}

#[tokio::test(start_paused = true)]
async fn what_nobody_uses_is_given_back_after_a_while() {
    let world = BudgetFixture::new(json!({"hourly_usd": 1}));
    let ledger = world.ledger();
    call(&ledger, exactly(0.01), 0.01).await.expect("there is enough");
    world.clock.advance(Duration::from_secs(11));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.hour().await, (usd(0.01), Usd::ZERO));
    drop(ledger);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_names_the_line_what_there_is_and_when_it_begins_anew() {
    let world =
        BudgetFixture::new(json!({"hourly_usd": 1, "keys": {"k1": {"daily_usd": 0.5, "on_exceeded": "pause"}}}));
    let ledger = world.ledger();
    call(&ledger, exactly(0.9), 0.9).await.expect("there is enough");
    let refused = reserve(&ledger, exactly(0.2)).await.expect_err("is over");
    assert_eq!(refused.fault.code, code::BUDGET_EXCEEDED);
    let message = &refused.fault.message;
    for part in [
        "the hourly budget of tenant `clinic` is used up: $0.9000 of $1.0000 is spent",
        "this call may cost $0.2000",
        "begins anew at 2026-11-21T07:00:00.000Z",
    ] {
        assert!(message.contains(part), "{part} in {message}");
    }
    assert_eq!((refused.retryable, refused.retry_after, refused.block), (false, Some(30 * 60 * 1_000), None));

    let keyed = ModelCaller { key_id: Some("k1".into()), ..gateway() };
    let paused =
        ledger.reserve(&keyed, SpendAccount::default(), exactly(0.6), soon()).await.expect_err("is over").fault;
    let until: Time = "2026-11-22T00:00:00Z".parse().expect("an instant");
    let line = "the daily budget of key `k1` of tenant `clinic`".to_owned();
    assert_eq!(paused.block, Some(BlockReason::Budget { line, until }));
}

#[tokio::test(start_paused = true)]
async fn from_eighty_per_cent_on_it_is_said_how_much_is_spent() {
    let world = BudgetFixture::new(json!({"hourly_usd": 1, "daily_usd": 2, "monthly_usd": "unlimited"}));
    let ledger = world.ledger();
    let nearly = || ledger.warning(&"clinic".into(), None);
    assert_eq!(nearly(), None);
    call(&ledger, exactly(0.79), 0.79).await.expect("there is enough");
    assert_eq!(nearly(), None);
    call(&ledger, exactly(0.04), 0.04).await.expect("there is enough");
    assert_eq!(nearly(), Some(BudgetWarning { window: BudgetWindow::Hour, percent: 83 }));
    assert_eq!(ledger.warning(&"other".into(), None), None);
    world.clock.advance(Duration::from_secs(3_600));
    assert_eq!(nearly(), None, "the hour begins anew, and the day is at 41");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_costs_nothing_needs_no_money() {
    let world = BudgetFixture::new(json!({"hourly_usd": 0}));
    let ledger = world.ledger();
    assert!(reserve(&ledger, exactly(0.01)).await.is_err());
    call(&ledger, exactly(0.0), 0.0).await.expect("is free");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_asked_admits_nothing_it_did_not_grant() {
    let world = BudgetFixture::new(json!({"hourly_usd": 1}));
    let ledger = world.ledger();
    world.store.loses_answers.store(true, Ordering::Relaxed);
    let refused = reserve(&ledger, exactly(0.01)).await.expect_err("nobody knows");
    assert_eq!((refused.fault.code.as_ref(), refused.retryable), (code::SERVICE_UNAVAILABLE, true));
    world.store.loses_answers.store(false, Ordering::Relaxed);
    call(&ledger, exactly(0.01), 0.01).await.expect("now it is known");
}

#[tokio::test(start_paused = true)]
async fn a_settlement_whose_answer_is_lost_is_told_again_and_counts_once() {
    let world = BudgetFixture::new(json!({}));
    let ledger = world.ledger();
    let hold = reserve(&ledger, exactly(0.5)).await.expect("there is enough");
    world.store.loses_answers.store(true, Ordering::Relaxed);
    hold.settle(costing(0.5));
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(world.store.settlements.load(Ordering::Relaxed) > 2);
    world.store.loses_answers.store(false, Ordering::Relaxed);
    ledger.close().await.expect("closes");
    assert_eq!(world.hour().await, (usd(0.5), Usd::ZERO));
}

#[tokio::test(start_paused = true)]
async fn whoever_goes_away_while_waiting_is_in_nobodys_way() {
    let world = BudgetFixture::new(json!({"hourly_usd": 1}));
    let ledger = world.ledger();
    let hold = reserve(&ledger, exactly(1.0)).await.expect("there is enough");
    let waiting = tokio::time::timeout(Duration::from_millis(10), reserve(&ledger, exactly(0.5))).await;
    assert!(waiting.is_err(), "it waits for the first");
    hold.settle(costing(0.25));
    assert_eq!(reserve(&ledger, exactly(0.75)).await.expect("there is enough").amount(), usd(0.75));
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_in_vain_is_refused_at_its_deadline() {
    let world = BudgetFixture::new(json!({"hourly_usd": 1}));
    let ledger = world.ledger();
    let _hold = reserve(&ledger, exactly(1.0)).await.expect("there is enough");
    let began = Instant::now();
    let refused = reserve(&ledger, exactly(0.5)).await.expect_err("nothing was given back");
    assert_eq!(began.elapsed(), Duration::from_secs(5));
    assert!(refused.fault.message.contains("$1.0000 is held for calls under way"), "{}", refused.fault.message);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn many_threads_never_pass_the_line() {
    let world = BudgetFixture::new(json!({"hourly_usd": 1, "daily_usd": 1.5}));
    let purses = [world.ledger(), world.ledger(), world.ledger()];
    let tasks = (0..600).map(|number| {
        let ledger = purses[number % 3].clone();
        tokio::spawn(async move {
            let price = between(usd(0.005), usd(0.02));
            let Ok(hold) = reserve(&ledger, price).await else { return Usd::ZERO };
            tokio::task::yield_now().await;
            let cost = usd(0.005).max(Usd::from_nanos(hold.amount().as_nanos() / 3));
            hold.settle(AttemptCharge { cost, answered: true, ..AttemptCharge::default() });
            cost
        })
    });
    let spent: Usd = join_all(tasks).await.into_iter().map(|spent| spent.expect("ends")).sum();
    assert!(spent <= usd(1.0), "{spent}");
    for ledger in &purses {
        ledger.close().await.expect("closes");
    }
    assert_eq!(world.hour().await, (spent, Usd::ZERO));
}

/// A clock that advances by one millisecond on each read.
struct MillisecondClock(AtomicU64);

impl Clock for MillisecondClock {
    fn now(&self) -> Time {
        let before: Time = "2026-11-21T06:59:59.999Z".parse().expect("an instant");
        before + Duration::from_millis(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_comes_at_the_end_of_a_window_takes_of_the_next() {
    let world = BudgetFixture::new(json!({"hourly_usd": 1}));
    let clock = Arc::new(MillisecondClock(AtomicU64::new(0)));
    let ledger = BudgetLedger::new(world.store.clone(), world.config.clone(), clock);
    let both = join_all((0..2).map(|_| call(&ledger, exactly(0.01), 0.01)));
    let both = tokio::time::timeout(Duration::from_secs(5), both).await.expect("it ends");
    assert!(both.iter().all(Result::is_ok), "{both:?}");
    assert!(world.growths() < 5, "{} growths", world.growths());
}

#[tokio::test(start_paused = true)]
async fn calls_that_are_refused_take_nothing_of_the_lines_that_have_room() {
    let world = BudgetFixture::new(json!({"hourly_usd": 0.05, "daily_usd": 500}));
    let ledger = world.ledger();
    for _ in 0..40 {
        let _ = call(&ledger, exactly(0.005), 0.005).await;
    }
    let day = world.line(None, BudgetWindow::Day).await.expect("a line");
    assert!(day.held <= usd(500.0 / 8.0), "{} of the day is held", day.held);
}
