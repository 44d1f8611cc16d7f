use std::collections::BTreeSet;
use std::time::Duration;

use baton_core::run::OwnerDeparture;
use baton_core::time::Time;
use baton_ports::clock::MonotonicTime;
use baton_ports::journal::{
    AggregateId, InboxReceipt, JournalAppend, JournalError, JournalStore, LEASE, ProcessId, StrandedPage, TimerKey,
};
use baton_ports::read::ReadModel;
use futures::future::join_all;

use super::fixtures::{FOLD, at, bytes, claimed, entry, ids, join, message, owned, parked, start, steady, tenant};

/// The first instant at which a lease taken at `steady(0)` has ended.
fn ended() -> MonotonicTime {
    steady(0) + LEASE
}

async fn due_at(
    store: &impl JournalStore,
    process: ProcessId,
    now: Time,
    steady: MonotonicTime,
) -> BTreeSet<AggregateId> {
    let named = store.due(process, now, steady, 100).await.expect("reads");
    let once: BTreeSet<_> = named.iter().cloned().collect();
    assert_eq!(once.len(), named.len(), "each is named once");
    once
}

/// By the wall clock alone.
async fn due(store: &impl JournalStore, process: ProcessId, now: Time) -> BTreeSet<AggregateId> {
    due_at(store, process, now, steady(0)).await
}

fn set<const N: usize>(names: [&str; N]) -> BTreeSet<AggregateId> {
    names.into_iter().map(AggregateId::from).collect()
}

pub async fn a_new_aggregate_may_be_owned_from_its_first_instant(store: &(impl JournalStore + ReadModel)) {
    let process = join(store).await;
    let ownership = owned(store, "run", process).await;
    assert_eq!(ownership.process, process);
    let append = JournalAppend { inbox_done: vec![1], ..entry("run", ownership, 0) };
    store.append(append).await.expect("appends without a claim");
    assert_eq!(due_at(store, process, at(0), ended()).await, set([]));
}

pub async fn a_claim_raises_the_epoch_and_reads_everything(store: &(impl JournalStore + ReadModel)) {
    let process = join(store).await;
    parked(store, "run", process, None).await;
    store.submit(message("run", "hello")).await.expect("takes it");
    let first = claimed(store, "run", process, steady(0)).await;
    assert_eq!((first.seq, &first.tail), (1, &vec![bytes("run 1")]));
    assert_eq!(ids(&first.inbox), ["hello"]);
    store.release(first.ownership, None).await.expect("releases");
    let second = claimed(store, "run", process, steady(0)).await;
    assert!(second.ownership.epoch > first.ownership.epoch);
    assert_eq!(second.ownership.handle, first.ownership.handle);
}

pub async fn what_a_living_process_owns_cannot_be_claimed(store: &(impl JournalStore + ReadModel)) {
    let (one, two) = (join(store).await, join(store).await);
    let ownership = owned(store, "run", one).await;
    let refused = store.claim(&"run".into(), two, FOLD, steady(0)).await.expect("is no error");
    assert_eq!(refused, None);
    store.append(entry("run", ownership, 0)).await.expect("the owner goes on");
}

pub async fn one_of_many_claimants_gets_it(store: &(impl JournalStore + ReadModel)) {
    let founder = join(store).await;
    parked(store, "run", founder, None).await;
    let mut claimants = Vec::new();
    for _ in 0..8 {
        claimants.push(join(store).await);
    }
    let run = AggregateId::from("run");
    let outcomes = join_all(claimants.iter().map(|process| store.claim(&run, *process, FOLD, steady(0)))).await;
    let won = outcomes.into_iter().filter_map(|outcome| outcome.expect("is no error")).count();
    assert_eq!(won, 1);
}

pub async fn an_owner_whose_lease_ended_loses_to_the_next(store: &(impl JournalStore + ReadModel)) {
    let (frozen, next) = (join(store).await, join(store).await);
    let stale = owned(store, "run", frozen).await;
    let before = ended() - Duration::from_millis(1);
    assert_eq!(store.claim(&"run".into(), next, FOLD, before).await.expect("is no error"), None);
    store.renew(next, before).await.expect("renews");

    let taken = claimed(store, "run", next, ended()).await;
    assert!(taken.ownership.epoch > stale.epoch);
    let refused = store.append(entry("run", stale, 0)).await;
    assert!(matches!(refused, Err(JournalError::LeaseLost { .. })), "{refused:?}");
    let refused = store.release(stale, None).await;
    assert!(matches!(refused, Err(JournalError::LeaseLost { .. })), "{refused:?}");
    let refused = store.renew(frozen, ended()).await;
    assert!(matches!(refused, Err(JournalError::LeaseEnded { process }) if process == frozen), "{refused:?}");
    let refused = store.claim(&"run".into(), frozen, FOLD, ended()).await;
    assert!(matches!(refused, Err(JournalError::LeaseEnded { .. })), "{refused:?}");
    store.append(entry("run", taken.ownership, 0)).await.expect("the new owner appends");
    store.join(ended()).await.expect("the frozen process joins again under a new number");
}

pub async fn a_lease_that_ended_unnoticed_is_renewed(store: &(impl JournalStore + ReadModel)) {
    let process = join(store).await;
    let ownership = owned(store, "run", process).await;
    let lease = store.renew(process, ended()).await.expect("nobody has taken anything");
    assert_eq!((lease.process, lease.until), (process, ended() + LEASE));
    store.append(entry("run", ownership, 0)).await.expect("appends");
    let other = store.join(ended()).await.expect("joins").process;
    assert_eq!(store.claim(&"run".into(), other, FOLD, ended()).await.expect("is no error"), None);
}

pub async fn a_lease_that_was_renewed_while_a_claim_waited_for_its_turn_holds(store: &(impl JournalStore + ReadModel)) {
    let (owner, other) = (join(store).await, join(store).await);
    owned(store, "run", owner).await;
    let read_before = steady(0);
    let until = store.renew(owner, steady(5_000)).await.expect("renews").until;
    assert_eq!(store.claim(&"run".into(), other, FOLD, read_before).await.expect("is no error"), None);
    // Nor does a renewal that waited longer take anything away from it.
    store.renew(owner, read_before).await.expect("renews");
    let before = until - Duration::from_millis(1);
    assert_eq!(store.claim(&"run".into(), other, FOLD, before).await.expect("is no error"), None);
}

pub async fn an_owner_may_claim_afresh(store: &(impl JournalStore + ReadModel)) {
    let process = join(store).await;
    let before = owned(store, "run", process).await;
    let after = claimed(store, "run", process, steady(0)).await.ownership;
    assert!(after.epoch > before.epoch);
    let refused = store.append(entry("run", before, 0)).await;
    assert!(matches!(refused, Err(JournalError::LeaseLost { .. })), "{refused:?}");
    store.append(entry("run", after, 0)).await.expect("appends");
}

pub async fn who_leaves_gives_everything_back(store: &(impl JournalStore + ReadModel)) {
    let (leaver, stayer) = (join(store).await, join(store).await);
    let stale = owned(store, "flying", leaver).await;
    store.append(JournalAppend { inbox_done: vec![1], ..entry("flying", stale, 0) }).await.expect("appends");
    owned(store, "new", leaver).await;
    parked(store, "parked", leaver, None).await;
    store.leave(leaver).await.expect("leaves");
    store.leave(leaver).await.expect("leaving twice is harmless");
    assert_eq!(due(store, stayer, at(0)).await, set(["flying", "new"]));
    let refused = store.append(entry("flying", stale, 1)).await;
    assert!(matches!(refused, Err(JournalError::LeaseLost { .. })), "{refused:?}");
    claimed(store, "flying", stayer, steady(0)).await;
}

pub async fn a_claim_says_how_the_owner_before_let_go(store: &(impl JournalStore + ReadModel)) {
    let (one, two, dying) = (join(store).await, join(store).await, join(store).await);
    parked(store, "run", one, None).await;
    let parked = claimed(store, "run", one, steady(0)).await;
    assert_eq!(parked.departure, OwnerDeparture::Released, "it let go with an append");
    let afresh = claimed(store, "run", one, steady(0)).await;
    assert_eq!(afresh.departure, OwnerDeparture::Dropped, "it begins afresh");
    store.release(afresh.ownership, None).await.expect("releases");
    let released = claimed(store, "run", one, steady(0)).await;
    assert_eq!(released.departure, OwnerDeparture::Released, "it let go without one");
    store.leave(one).await.expect("leaves");
    let left = claimed(store, "run", dying, steady(0)).await;
    assert_eq!(left.departure, OwnerDeparture::Dropped, "it stopped");
    store.renew(two, steady(1)).await.expect("renews");
    let died = claimed(store, "run", two, ended()).await;
    assert_eq!(died.departure, OwnerDeparture::Crashed);
    let append = JournalAppend { release: true, ..entry("run", died.ownership, died.seq) };
    store.append(append).await.expect("appends");
    assert_eq!(
        claimed(store, "run", two, ended()).await.departure,
        OwnerDeparture::Released,
        "what was before is forgotten"
    );
}

pub async fn who_left_owns_nothing_new(store: &(impl JournalStore + ReadModel)) {
    let (leaver, stayer) = (join(store).await, join(store).await);
    store.leave(leaver).await.expect("leaves");
    let accepted = store.submit(start("run", Some(leaver))).await.expect("is accepted work all the same");
    assert!(matches!(accepted, InboxReceipt::Accepted { owned: None, .. }), "{accepted:?}");
    assert_eq!(due(store, stayer, at(0)).await, set(["run"]));
    let refused = store.renew(leaver, steady(0)).await;
    assert!(matches!(refused, Err(JournalError::LeaseEnded { .. })), "{refused:?}");
}

pub async fn a_release_is_harmless_twice_and_refused_to_the_stale(store: &(impl JournalStore + ReadModel)) {
    let (one, two) = (join(store).await, join(store).await);
    let first = owned(store, "run", one).await;
    store.release(first, None).await.expect("releases");
    store.release(first, None).await.expect("again");
    let second = claimed(store, "run", two, steady(0)).await.ownership;
    let refused = store.release(first, None).await;
    assert!(matches!(refused, Err(JournalError::LeaseLost { .. })), "{refused:?}");
    store.append(entry("run", second, 0)).await.expect("the owner still owns it");
}

pub async fn process_numbers_are_never_used_again(store: &(impl JournalStore + ReadModel)) {
    let mut seen = BTreeSet::new();
    for _ in 0..5 {
        let process = join(store).await;
        assert!(seen.insert(process), "{process:?} was used before");
        store.leave(process).await.expect("leaves");
    }
}

pub async fn a_timer_is_due_at_its_time_and_not_before(store: &(impl JournalStore + ReadModel)) {
    let process = join(store).await;
    parked(store, "soon", process, Some(at(100))).await;
    parked(store, "later", process, Some(at(200))).await;
    parked(store, "never", process, None).await;
    assert_eq!(due(store, process, at(99)).await, set([]));
    assert_eq!(due(store, process, at(100)).await, set(["soon"]));
    assert_eq!(due(store, process, at(200)).await, set(["soon", "later"]));
    claimed(store, "soon", process, steady(200)).await;
    assert_eq!(due(store, process, at(200)).await, set(["later"]), "what is claimed is not due");
    let shown = store.run(&tenant(), &"later".into()).await.expect("reads").expect("is there");
    assert_eq!(shown.wake_at, Some(at(200)));
}

pub async fn a_message_to_a_parked_aggregate_makes_it_due(store: &(impl JournalStore + ReadModel)) {
    let process = join(store).await;
    parked(store, "run", process, Some(at(1_000_000))).await;
    store.submit(message("run", "hello")).await.expect("takes it");
    assert_eq!(due(store, process, at(0)).await, set(["run"]));
    let ownership = claimed(store, "run", process, steady(0)).await.ownership;
    let done = JournalAppend { inbox_done: vec![2], release: true, ..entry("run", ownership, 1) };
    store.append(done).await.expect("appends");
    assert_eq!(due(store, process, at(0)).await, set([]));
}

pub async fn a_released_aggregate_with_an_open_inbox_is_due(store: &(impl JournalStore + ReadModel)) {
    let process = join(store).await;
    let ownership = owned(store, "by-append", process).await;
    store.submit(message("by-append", "came-in-between")).await.expect("takes it");
    let parks = JournalAppend { inbox_done: vec![1], release: true, ..entry("by-append", ownership, 0) };
    store.append(parks).await.expect("appends");
    let ownership = owned(store, "by-release", process).await;
    store.release(ownership, None).await.expect("releases");
    assert_eq!(due(store, process, at(0)).await, set(["by-append", "by-release"]));
}

pub async fn what_is_parked_or_owned_by_the_living_is_not_due(store: &(impl JournalStore + ReadModel)) {
    let (one, two) = (join(store).await, join(store).await);
    parked(store, "parked", one, None).await;
    let ownership = owned(store, "moving", one).await;
    let waits = JournalAppend { wake_at: Some(at(10)), ..entry("moving", ownership, 0) };
    store.append(waits).await.expect("appends");
    store.submit(message("moving", "hello")).await.expect("takes it");
    for process in [one, two] {
        assert_eq!(due(store, process, at(100)).await, set([]));
    }
}

pub async fn what_the_dead_owned_is_due_even_without_timer_or_message(store: &(impl JournalStore + ReadModel)) {
    let (frozen, living) = (join(store).await, join(store).await);
    let ownership = owned(store, "flying", frozen).await;
    store.append(JournalAppend { inbox_done: vec![1], ..entry("flying", ownership, 0) }).await.expect("appends");
    parked(store, "parked", frozen, None).await;
    store.renew(living, steady(1_000)).await.expect("renews");
    assert_eq!(due_at(store, living, at(0), steady(1_000)).await, set([]));
    assert_eq!(due_at(store, living, at(0), ended()).await, set(["flying"]));
    claimed(store, "flying", living, ended()).await;
    assert_eq!(due_at(store, living, at(0), ended()).await, set([]));
}

pub async fn no_more_is_due_than_was_asked_for(store: &(impl JournalStore + ReadModel)) {
    let process = join(store).await;
    for number in 0..6 {
        parked(store, &format!("timer-{number}"), process, Some(at(number))).await;
        store.submit(start(&format!("new-{number}"), None)).await.expect("starts");
    }
    assert_eq!(store.due(process, at(100), steady(0), 4).await.expect("reads").len(), 4);
    assert_eq!(store.due(process, at(100), steady(0), 100).await.expect("reads").len(), 12);
    assert_eq!(store.due(process, at(100), steady(0), 0).await.expect("reads").len(), 0);
}

pub async fn an_owner_is_nudged_until_it_has_consumed(store: &(impl JournalStore + ReadModel)) {
    // With two processes behind one endpoint, the origin of a message cannot be determined.
    let (one, two) = (join(store).await, join(store).await);
    let ownership = owned(store, "run", one).await;
    store.append(JournalAppend { inbox_done: vec![1], ..entry("run", ownership, 0) }).await.expect("appends");
    assert_eq!(store.with_new_items(one, 10).await.expect("reads"), []);
    store.submit(message("run", "hello")).await.expect("takes it");
    for _ in 0..2 {
        assert_eq!(store.with_new_items(one, 10).await.expect("reads"), ["run".into()]);
        assert_eq!(store.with_new_items(two, 10).await.expect("reads"), []);
    }
    store.append(JournalAppend { inbox_done: vec![2], ..entry("run", ownership, 1) }).await.expect("consumes");
    assert_eq!(store.with_new_items(one, 10).await.expect("reads"), []);
}

pub async fn what_was_taken_of_a_dead_owner_makes_all_it_owned_due_at_once(store: &(impl JournalStore + ReadModel)) {
    let (frozen, next) = (join(store).await, join(store).await);
    for run in ["one", "two"] {
        owned(store, run, frozen).await;
    }
    store.renew(next, ended()).await.expect("renews");
    claimed(store, "one", next, ended()).await;
    // By any clock: a process that was declared dead stays dead.
    assert_eq!(due(store, next, at(0)).await, set(["two"]));
    claimed(store, "two", next, steady(0)).await;
}

pub async fn who_joins_anew_may_take_at_once_what_its_former_number_owned(store: &(impl JournalStore + ReadModel)) {
    let former = join(store).await;
    owned(store, "run", former).await;
    store.leave(former).await.expect("leaves");
    let next = join(store).await;
    assert_eq!(due(store, next, at(0)).await, set(["run"]));
    assert_eq!(claimed(store, "run", next, steady(0)).await.departure, OwnerDeparture::Dropped);
}

pub async fn a_lease_is_judged_by_no_clock_that_can_be_set(store: &(impl JournalStore + ReadModel)) {
    let (owner, other) = (join(store).await, join(store).await);
    owned(store, "run", owner).await;
    const MONTH: i64 = 30 * 24 * 3_600_000;
    for wall in [at(-MONTH), at(MONTH)] {
        assert_eq!(due(store, other, wall).await, set([]), "it lives");
        assert_eq!(due_at(store, other, wall, ended()).await, set(["run"]), "its lease is over");
    }
}

pub async fn who_lets_go_says_when_to_look_again(store: &(impl JournalStore + ReadModel)) {
    let process = join(store).await;
    parked(store, "run", process, Some(at(1_000))).await;
    let claimed_one = claimed(store, "run", process, steady(0)).await;
    assert_eq!(claimed_one.wake_at, Some(at(1_000)));
    store.release(claimed_one.ownership, Some(at(50))).await.expect("releases");
    assert_eq!(due(store, process, at(49)).await, set([]));
    assert_eq!(due(store, process, at(50)).await, set(["run"]));
}

pub async fn what_a_wrong_clock_put_to_sleep_is_found(store: &(impl JournalStore + ReadModel)) {
    let process = join(store).await;
    // Entries are of `at(0)`; the clock was set back by a second since.
    for (run, timer) in
        [("late", Some(at(500))), ("soon", Some(at(100))), ("never", None), ("put-right", Some(at(-700)))]
    {
        parked(store, run, process, timer).await;
    }
    let now = at(-1_000);
    let all = StrandedPage { found: vec!["soon".into(), "late".into()], next: None };
    assert_eq!(store.stranded(now, TimerKey::FIRST, 10).await.expect("reads"), all);
    assert_eq!(astray_by(store, now, 1).await, ["soon", "late"]);
    let none = StrandedPage { found: Vec::new(), next: None };
    assert_eq!(store.stranded(at(0), TimerKey::FIRST, 10).await.expect("reads"), none, "no entry lies ahead");
}

pub async fn what_sleeps_for_one_instant_is_found_page_by_page(store: &(impl JournalStore + ReadModel)) {
    let process = join(store).await;
    let runs: Vec<String> = (0..7).map(|number| format!("run{number}")).collect();
    for run in &runs {
        parked(store, run, process, Some(at(100))).await;
    }
    let mut found = astray_by(store, at(-1_000), 2).await;
    found.sort();
    assert_eq!(found, runs, "each once");
}

/// The aggregates that a wrong clock put to sleep, page by page.
async fn astray_by(store: &impl JournalStore, now: Time, limit: usize) -> Vec<String> {
    let (mut after, mut found) = (Some(TimerKey::FIRST), Vec::new());
    while let Some(key) = after {
        let page = store.stranded(now, key, limit).await.expect("reads");
        found.extend(page.found.iter().map(ToString::to_string));
        after = page.next;
    }
    found
}
