use std::time::Duration;

use baton_core::model::TokenUsage;
use baton_core::money::{BudgetWindow, Usd};
use baton_core::time::Time;
use baton_ports::budget::{
    AllowanceGrant, AllowanceRequest, BudgetHolder, BudgetNotice, BudgetPeriod, BudgetSettlement, BudgetStanding,
    BudgetStore, CallSpend, CostDimension, CostFilter, CostRow, NOTICES, PREFETCH_PART, ROWS_MAX, SpendAccount,
};
use baton_ports::journal::{JournalAppend, JournalError, JournalStore, TaskItemKind};
use baton_ports::read::ReadModel;
use baton_ports::records::RecordStore;
use futures::future::join_all;

use super::fixtures::{at, entry, join, other_tenant, owned, spend, tenant};

fn usd(usd: f64) -> Usd {
    Usd::from_f64(usd)
}

fn hour() -> BudgetPeriod {
    BudgetPeriod::of(&tenant(), None, BudgetWindow::Hour, at(0))
}

fn want(line: BudgetPeriod, limit: f64, need: f64, ahead: f64) -> AllowanceRequest {
    AllowanceRequest { line, limit: usd(limit), need: usd(need), prefetch: usd(ahead) }
}

async fn open(store: &impl BudgetStore) -> BudgetHolder {
    store.open(at(0)).await.expect("opens")
}

async fn take(store: &impl BudgetStore, holder: BudgetHolder, want: AllowanceRequest) -> AllowanceGrant {
    let grown = store.reserve(holder, vec![want], at(0)).await.expect("grows");
    grown.into_iter().next().expect("one for one")
}

/// Takes this amount of the hour's ten dollars, and no more.
async fn takes(store: &impl BudgetStore, holder: BudgetHolder, need: f64) -> Usd {
    take(store, holder, want(hour(), 10.0, need, 0.0)).await.amount
}

async fn settle(store: &impl BudgetStore, number: u64, spends: Vec<CallSpend>, back: Vec<(BudgetPeriod, Usd)>) {
    let holder = spends.first().and_then(|spend| spend.holder).unwrap_or(BudgetHolder(1));
    store.settle(BudgetSettlement { holder, number, spends, returned: back }).await.expect("settles");
}

async fn standing(store: &impl BudgetStore, line: &BudgetPeriod) -> Option<BudgetStanding> {
    let standings = store.standings(&line.tenant, line.begins).await.expect("reads");
    standings.into_iter().find(|standing| standing.line == *line)
}

/// The amounts spent and held of the tenant's hour, in dollars.
async fn hourly(store: &impl BudgetStore) -> (f64, f64) {
    standing(store, &hour()).await.map_or((0.0, 0.0), |now| (now.spent.as_f64(), now.held.as_f64()))
}

async fn told(store: &impl ReadModel) -> Vec<String> {
    let desk = store.open_tasks(&tenant(), None).await.expect("reads");
    desk.into_iter().filter(|item| item.kind == TaskItemKind::Budget).map(|item| item.title).collect()
}

pub async fn no_more_is_granted_than_remains(store: &impl BudgetStore) {
    let holder = open(store).await;
    assert_eq!(takes(store, holder, 6.0).await, usd(6.0));
    assert_eq!(takes(store, holder, 6.0).await, usd(4.0));
    assert_eq!(takes(store, holder, 6.0).await, Usd::ZERO);
    assert_eq!(hourly(store).await, (0.0, 10.0));
}

pub async fn what_is_held_ahead_is_a_small_part_of_what_is_left(store: &impl BudgetStore) {
    let holder = open(store).await;
    let grown = take(store, holder, want(hour(), 10.0, 2.0, 5.0)).await;
    assert_eq!(grown.amount, usd(2.0) + Usd::from_nanos(usd(8.0).as_nanos() / PREFETCH_PART));
    assert_eq!(grown.standing.held, grown.amount);
    assert_eq!(grown.standing.remaining(usd(10.0)), usd(10.0) - grown.amount);
}

pub async fn what_one_holds_another_cannot_take(store: &impl BudgetStore) {
    let (one, two) = (open(store).await, open(store).await);
    assert_ne!(one, two);
    takes(store, one, 7.0).await;
    assert_eq!(takes(store, two, 7.0).await, usd(3.0));
}

pub async fn many_who_take_at_once_get_the_line_once(store: &impl BudgetStore) {
    let holders = join_all((0..10).map(|_| open(store))).await;
    let amounts = join_all(holders.iter().map(|holder| takes(store, *holder, 1.5))).await;
    assert_eq!(amounts.into_iter().sum::<Usd>(), usd(10.0));
}

pub async fn what_is_settled_moves_from_held_to_spent_in_every_line(store: &impl BudgetStore) {
    let holder = open(store).await;
    let wants = BudgetPeriod::all(&tenant(), None, at(0)).into_iter().map(|line| want(line, 10.0, 2.0, 0.0)).collect();
    store.reserve(holder, wants, at(0)).await.expect("grows");
    settle(store, 1, vec![spend(holder, 0.5), spend(holder, 0.25)], Vec::new()).await;
    for line in BudgetPeriod::all(&tenant(), None, at(0)) {
        let now = standing(store, &line).await.expect("is known");
        assert_eq!((now.spent, now.held, now.limit), (usd(0.75), usd(1.25), Some(usd(10.0))), "{line}");
    }
}

pub async fn a_settlement_told_twice_is_written_once(store: &impl BudgetStore) {
    let holder = open(store).await;
    takes(store, holder, 2.0).await;
    for number in [1, 1, 2, 1, 2] {
        settle(store, number, vec![spend(holder, 0.5)], vec![(hour(), usd(0.25))]).await;
    }
    assert_eq!(hourly(store).await, (1.0, 0.5));
    assert_eq!(costs(store, &[]).await[0].calls, 2);
}

pub async fn a_holder_that_held_nothing_for_long_still_settles_once(store: &impl BudgetStore) {
    let holder = open(store).await;
    let years_later = at(0) + Duration::from_secs(2 * 365 * 24 * 3_600);
    store.open(years_later).await.expect("opens");
    for number in [1, 1, 2] {
        settle(store, number, vec![spend(holder, 0.5)], Vec::new()).await;
    }
    assert_eq!(costs(store, &[]).await[0].calls, 2);
}

pub async fn what_is_given_back_may_be_taken_again(store: &impl BudgetStore) {
    let (one, two) = (open(store).await, open(store).await);
    takes(store, one, 10.0).await;
    let back = BudgetSettlement { holder: one, number: 1, spends: Vec::new(), returned: vec![(hour(), usd(4.0))] };
    store.settle(back).await.expect("settles");
    assert_eq!(takes(store, two, 10.0).await, usd(4.0));
}

pub async fn who_closes_gives_everything_back(store: &impl BudgetStore) {
    let (one, two) = (open(store).await, open(store).await);
    takes(store, one, 10.0).await;
    settle(store, 1, vec![spend(one, 1.0)], Vec::new()).await;
    store.close(one).await.expect("closes");
    assert_eq!(hourly(store).await, (1.0, 0.0));
    assert_eq!(takes(store, two, 10.0).await, usd(9.0));
}

pub async fn what_was_spent_after_closing_counts_all_the_same(store: &impl BudgetStore) {
    let holder = open(store).await;
    takes(store, holder, 1.0).await;
    store.close(holder).await.expect("closes");
    settle(store, 1, vec![spend(holder, 1.0)], Vec::new()).await;
    assert_eq!(hourly(store).await, (1.0, 0.0));
}

pub async fn what_a_holder_that_is_gone_held_counts_as_spent_until_the_window_is_over(store: &impl BudgetStore) {
    let (gone, next) = (open(store).await, open(store).await);
    takes(store, gone, 9.0).await;
    assert_eq!(takes(store, next, 9.0).await, usd(1.0));
    let anew = hour().ends();
    let line = BudgetPeriod::of(&tenant(), None, BudgetWindow::Hour, anew);
    let grown = store.reserve(next, vec![want(line, 10.0, 9.0, 0.0)], anew).await.expect("grows");
    assert_eq!(grown[0].amount, usd(9.0));
}

pub async fn a_call_that_cost_more_than_was_held_counts_whole(store: &impl BudgetStore) {
    let holder = open(store).await;
    takes(store, holder, 1.0).await;
    settle(store, 1, vec![spend(holder, 12.0)], Vec::new()).await;
    assert_eq!(hourly(store).await, (12.0, 0.0));
    assert_eq!(takes(store, holder, 0.1).await, Usd::ZERO);
}

pub async fn lines_of_windows_tenants_and_keys_are_apart(store: &impl BudgetStore) {
    let holder = open(store).await;
    takes(store, holder, 10.0).await;
    let apart = [
        BudgetPeriod::of(&tenant(), None, BudgetWindow::Day, at(0)),
        BudgetPeriod::of(&tenant(), Some("k1"), BudgetWindow::Hour, at(0)),
        BudgetPeriod::of(&tenant(), Some("k2"), BudgetWindow::Hour, at(0)),
        BudgetPeriod::of(&other_tenant(), None, BudgetWindow::Hour, at(0)),
        BudgetPeriod::of(&tenant(), None, BudgetWindow::Hour, hour().ends()),
    ];
    for line in apart {
        let said = line.to_string();
        assert_eq!(take(store, holder, want(line, 10.0, 10.0, 0.0)).await.amount, usd(10.0), "{said}");
    }
}

pub async fn a_keys_call_counts_for_the_key_and_for_the_tenant(store: &impl BudgetStore) {
    let holder = open(store).await;
    let keyed = CallSpend { key_id: Some("k1".into()), ..spend(holder, 1.0) };
    settle(store, 1, vec![keyed, spend(holder, 2.0)], Vec::new()).await;
    let key = BudgetPeriod::of(&tenant(), Some("k1"), BudgetWindow::Hour, at(0));
    assert_eq!(standing(store, &key).await.map(|now| now.spent), Some(usd(1.0)));
    assert_eq!(hourly(store).await.0, 3.0);
}

pub async fn a_new_limit_holds_at_once(store: &impl BudgetStore) {
    let holder = open(store).await;
    takes(store, holder, 8.0).await;
    assert_eq!(take(store, holder, want(hour(), 5.0, 1.0, 0.0)).await.amount, Usd::ZERO);
    assert_eq!(take(store, holder, want(hour(), 20.0, 12.0, 0.0)).await.amount, usd(12.0));
}

pub async fn somebody_is_told_once_at_80_and_once_at_100_per_cent(store: &(impl BudgetStore + ReadModel)) {
    let holder = open(store).await;
    takes(store, holder, 10.0).await;
    settle(store, 1, vec![spend(holder, 7.999)], Vec::new()).await;
    assert_eq!(told(store).await, [""; 0]);
    settle(store, 2, vec![spend(holder, 0.001)], Vec::new()).await;
    let first = told(store).await;
    assert!(first.len() == 1 && first[0].starts_with("80 % of the hourly budget of tenant `clinic-a`"), "{first:?}");
    settle(store, 3, vec![spend(holder, 1.0)], Vec::new()).await;
    assert_eq!(told(store).await, first, "once");
    settle(store, 4, vec![spend(holder, 1.0)], Vec::new()).await;
    let last = told(store).await;
    assert!(last.len() == 1 && last[0].contains(": $10.0000 of $10.0000 was spent"), "{last:?}");
    settle(store, 5, vec![spend(holder, 1.0)], Vec::new()).await;
    assert_eq!(told(store).await, last);
}

pub async fn what_is_told_waits_for_whoever_writes_to_people(store: &(impl BudgetStore + RecordStore)) {
    let holder = open(store).await;
    takes(store, holder, 10.0).await;
    let waiting = async || {
        let records = store.list(&tenant(), NOTICES, "", None, 10).await.expect("is read");
        let notices = records.iter().map(|record| BudgetNotice::read(record).expect("a notice"));
        notices.map(|notice| (notice.details["reached_percent"].clone(), notice.resets_at)).collect::<Vec<_>>()
    };
    settle(store, 1, vec![spend(holder, 7.0)], Vec::new()).await;
    assert_eq!(waiting().await, []);
    settle(store, 2, vec![spend(holder, 1.0)], Vec::new()).await;
    assert_eq!(waiting().await, [(80.into(), hour().ends())]);
    settle(store, 3, vec![spend(holder, 1.0)], Vec::new()).await;
    assert_eq!(waiting().await.len(), 1, "once");
    settle(store, 4, vec![spend(holder, 1.0)], Vec::new()).await;
    assert_eq!(waiting().await, [(100.into(), hour().ends()), (80.into(), hour().ends())]);
    // With another limit, the same threshold is a different one.
    take(store, holder, want(hour(), 20.0, 6.0, 0.0)).await;
    settle(store, 5, vec![spend(holder, 6.0)], Vec::new()).await;
    assert_eq!(waiting().await.len(), 3);
}

pub async fn a_line_that_cannot_give_what_is_needed_is_told_to_be_used_up(store: &(impl BudgetStore + ReadModel)) {
    let holder = open(store).await;
    takes(store, holder, 9.0).await;
    assert_eq!(told(store).await, [""; 0]);
    takes(store, holder, 2.0).await;
    assert!(told(store).await[0].contains("used up"));
}

pub async fn what_was_told_of_a_window_leaves_the_desk_with_it(store: &(impl BudgetStore + ReadModel)) {
    let holder = open(store).await;
    takes(store, holder, 11.0).await;
    assert_eq!(told(store).await.len(), 1);
    let anew = hour().ends();
    let line = BudgetPeriod::of(&tenant(), None, BudgetWindow::Hour, anew);
    store.reserve(holder, vec![want(line, 10.0, 1.0, 0.0)], anew).await.expect("grows");
    assert_eq!(told(store).await, [""; 0]);
}

pub async fn a_spend_is_settled_with_the_append_that_records_its_answer(store: &(impl BudgetStore + JournalStore)) {
    let (process, holder) = (join(store).await, open(store).await);
    let ownership = owned(store, "run", process).await;
    takes(store, holder, 2.0).await;
    let append = |seq| JournalAppend { spends: vec![spend(holder, 0.5)], ..entry("run", ownership, seq) };
    store.append(append(0)).await.expect("appends");
    assert_eq!(hourly(store).await, (0.5, 1.5));
    let refused = store.append(append(0)).await;
    assert!(matches!(refused, Err(JournalError::WrongSequence { .. })), "{refused:?}");
    assert_eq!(hourly(store).await, (0.5, 1.5), "what is refused settles nothing");
    assert_eq!(costs(store, &[]).await[0].calls, 1);
}

pub async fn what_many_runs_spend_at_once_is_counted_whole(store: &(impl BudgetStore + JournalStore)) {
    let (process, holder) = (join(store).await, open(store).await);
    takes(store, holder, 9.0).await;
    let mut owners = Vec::new();
    for number in 0..9 {
        owners.push(owned(store, &format!("run-{number}"), process).await);
    }
    // Two accounts, and one append that arrives too late.
    let append = |number: usize| {
        let mut spend = spend(holder, 0.5);
        spend.account.agent = if number.is_multiple_of(2) { "even" } else { "odd" }.to_owned();
        let seq = u64::from(number == 4);
        JournalAppend { spends: vec![spend], ..entry(&format!("run-{number}"), owners[number], seq) }
    };
    let appended = join_all((0..9).map(|number| store.append(append(number)))).await;
    assert_eq!(appended.iter().filter(|done| done.is_err()).count(), 1, "{appended:?}");
    assert_eq!(hourly(store).await, (4.0, 5.0));
    let by_agent = costs(store, &[CostDimension::Agent]).await;
    let calls: Vec<_> = by_agent.iter().map(|row| (row.agent.as_deref(), row.calls, row.cost)).collect();
    assert_eq!(calls.len(), 2, "{calls:?}");
    assert!(calls.contains(&(Some("even"), 4, usd(2.0))) && calls.contains(&(Some("odd"), 4, usd(2.0))), "{calls:?}");
}

pub async fn a_lost_answer_is_among_the_costs_and_taken_from_no_line(store: &impl BudgetStore) {
    let holder = open(store).await;
    takes(store, holder, 2.0).await;
    let lost = CallSpend { holder: None, answered: 0, estimated: 1, ..spend(holder, 0.5) };
    let settlement = BudgetSettlement { holder, number: 1, spends: vec![lost], returned: Vec::new() };
    store.settle(settlement).await.expect("settles");
    assert_eq!(hourly(store).await, (0.0, 2.0));
    let all = costs(store, &[]).await;
    assert_eq!((all[0].cost, all[0].estimated, all[0].answered), (usd(0.5), 1, 0));
}

pub async fn what_breaks_a_limit_is_refused_by_name(store: &impl BudgetStore) {
    let holder = open(store).await;
    let spends = vec![spend(holder, 0.0); ROWS_MAX + 1];
    let refused = store.settle(BudgetSettlement { holder, number: 1, spends, returned: Vec::new() }).await;
    assert!(matches!(refused, Err(JournalError::TooLarge { limit: ROWS_MAX, .. })), "{refused:?}");
    let refused = store.reserve(holder, vec![want(hour(), 1.0, 0.0, 0.0); ROWS_MAX + 1], at(0)).await;
    assert!(matches!(refused, Err(JournalError::TooLarge { limit: ROWS_MAX, .. })), "{refused:?}");
}

async fn costs(store: &impl BudgetStore, by: &[CostDimension]) -> Vec<CostRow> {
    let filter = CostFilter { tenant: Some(tenant()), by: by.to_vec(), ..CostFilter::default() };
    store.costs(filter).await.expect("reads")
}

pub async fn costs_are_summed_up_by_whatever_is_asked(store: &impl BudgetStore) {
    let holder = open(store).await;
    let of = |agent: &str, workflow: &str, cost: f64, at: Time| {
        let account = SpendAccount { agent: agent.into(), workflow: workflow.into(), ..spend(holder, cost).account };
        CallSpend { account, at, ..spend(holder, cost) }
    };
    let next_day = BudgetWindow::Day.end(at(0));
    let theirs = CallSpend { tenant: other_tenant(), ..of("a", "w", 9.0, at(0)) };
    let saved = CallSpend { saved: usd(0.5), ..of("a", "v", 2.0, at(0)) };
    let only_saved = CallSpend { calls: 0, answered: 0, saved: usd(0.25), holder: None, ..of("b", "w", 0.0, next_day) };
    let only_saved = CallSpend { usage: TokenUsage::default(), latency_ms: 0, ..only_saved };
    let spends = vec![of("a", "w", 1.0, at(0)), saved, of("b", "w", 4.0, next_day), only_saved, theirs];
    settle(store, 1, spends, Vec::new()).await;

    let all = costs(store, &[]).await;
    assert_eq!((all.len(), all[0].cost, all[0].calls, all[0].latency_ms), (1, usd(7.0), 3, 60));
    assert_eq!((all[0].usage.input_tokens, all[0].usage.output_tokens), (30, 15));
    assert_eq!(all[0].saved, usd(0.75));
    let by_agent: Vec<_> =
        costs(store, &[CostDimension::Agent]).await.into_iter().map(|row| (row.agent, row.cost)).collect();
    assert_eq!(by_agent, [(Some("b".into()), usd(4.0)), (Some("a".into()), usd(3.0))]);
    let by_both = costs(store, &[CostDimension::Workflow, CostDimension::Day]).await;
    let by_both: Vec<_> = by_both.into_iter().map(|row| (row.day, row.workflow, row.cost)).collect();
    let (one, two) = (Some(at(0).to_date()), Some(next_day.to_date()));
    let (v, w) = (Some("v".to_owned()), Some("w".to_owned()));
    assert_eq!(by_both, [(two.clone(), w.clone(), usd(4.0)), (one.clone(), v, usd(2.0)), (one.clone(), w, usd(1.0))]);

    let of_day = CostFilter { from: two.clone(), to: two, by: vec![CostDimension::Tenant], ..CostFilter::default() };
    let of_day = store.costs(of_day).await.expect("reads");
    assert_eq!(
        of_day.iter().map(|row| (row.tenant.clone(), row.cost)).collect::<Vec<_>>(),
        [(Some(tenant()), usd(4.0))]
    );
    let everybody =
        CostFilter { to: one, by: vec![CostDimension::Tenant, CostDimension::Model], ..CostFilter::default() };
    let everybody = store.costs(everybody).await.expect("reads");
    assert_eq!(everybody.iter().map(|row| row.cost).collect::<Vec<_>>(), [usd(9.0), usd(3.0)]);
}

pub async fn costs_of_nothing_are_nothing(store: &impl BudgetStore) {
    assert_eq!(costs(store, &[]).await, [CostRow::default()]);
    assert_eq!(costs(store, &[CostDimension::Day]).await, []);
    assert_eq!(store.standings(&tenant(), at(0)).await.expect("reads"), []);
}
