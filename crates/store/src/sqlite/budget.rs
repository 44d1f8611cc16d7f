//! The budget port: allowances, spending, and cost records.

mod costs;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::money::{BudgetWindow, Usd};
use baton_core::time::Time;
use baton_ports::budget::{
    AllowanceGrant, AllowanceRequest, BudgetHolder, BudgetNotice, BudgetPeriod, BudgetSettlement, BudgetStanding,
    BudgetStore, CallSpend, CostFilter, CostRow, NOTICES, ROWS_MAX, notice_id, notice_item, reached,
};
use baton_ports::journal::JournalError;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::session::WriterSession;
use super::sql::numbered;
use super::{SqliteStore, append, codec, records};

const DAY_MS: i64 = 24 * 3_600_000;
/// How long past lines are kept.
const HOURS_KEPT_MS: i64 = 62 * DAY_MS;
const DAYS_KEPT_MS: i64 = 800 * DAY_MS;
/// How long after its window the record of a budget notice is kept: longer than anything sends it.
const NOTICES_KEPT_MS: i64 = 7 * DAY_MS;
/// How long the number of a holder is kept that holds nothing and was never closed.
const HOLDERS_KEPT_MS: i64 = 62 * DAY_MS;
/// Maximum number of accounts in one group whose spends are collected before they are written.
const NOTED_MAX: usize = 64;

#[async_trait]
impl BudgetStore for SqliteStore {
    async fn open(&self, now: Time) -> Result<BudgetHolder, JournalError> {
        self.write(0, move |session| open(session, now).map(Ok)).await
    }

    async fn reserve(
        &self,
        holder: BudgetHolder,
        wants: Vec<AllowanceRequest>,
        now: Time,
    ) -> Result<Vec<AllowanceGrant>, JournalError> {
        check_size("the lines of one growth", wants.len())?;
        self.write(0, move |session| {
            flush_spends(session)?;
            wants.iter().map(|want| reserve(session, holder, want, now)).collect::<rusqlite::Result<Vec<_>>>().map(Ok)
        })
        .await
    }

    async fn settle(&self, settlement: BudgetSettlement) -> Result<(), JournalError> {
        check_size("the spends of one settlement", settlement.spends.len())?;
        check_size("what one settlement gives back", settlement.returned.len())?;
        self.write(0, move |session| {
            flush_spends(session)?;
            settle(session, &settlement).map(Ok)
        })
        .await
    }

    async fn close(&self, holder: BudgetHolder) -> Result<(), JournalError> {
        self.write(0, move |session| {
            flush_spends(session)?;
            session.statement("DELETE FROM budget_hold WHERE holder = $1")?.execute([holder.0])?;
            session.statement("DELETE FROM budget_holder WHERE id = $1")?.execute([holder.0])?;
            Ok(Ok(()))
        })
        .await
    }

    async fn standings(&self, tenant: &TenantId, now: Time) -> Result<Vec<BudgetStanding>, JournalError> {
        let tenant = tenant.clone();
        self.read(move |connection| {
            let mut standings = Vec::new();
            for window in BudgetWindow::ALL {
                standings.extend(of_window(connection, &tenant, window, now)?);
            }
            Ok(standings)
        })
        .await
    }

    async fn costs(&self, filter: CostFilter) -> Result<Vec<CostRow>, JournalError> {
        self.read(move |connection| costs::read(connection, &filter)).await
    }
}

fn check_size(what: &'static str, size: usize) -> Result<(), JournalError> {
    if size > ROWS_MAX { Err(JournalError::TooLarge { what, size, limit: ROWS_MAX }) } else { Ok(()) }
}

fn open(session: &WriterSession<'_>, now: Time) -> rusqlite::Result<BudgetHolder> {
    let mut forget = session.statement(
        "DELETE FROM budget_holder WHERE opened_at < $1 \
         AND NOT EXISTS (SELECT 1 FROM budget_hold WHERE holder = budget_holder.id)",
    )?;
    forget.execute([now.as_ms() - HOLDERS_KEPT_MS])?;
    session.statement("INSERT INTO budget_holder (opened_at, settled) VALUES ($1, 0)")?.execute([now.as_ms()])?;
    Ok(BudgetHolder(session.connection.last_insert_rowid()))
}

fn reserve(
    session: &WriterSession<'_>,
    holder: BudgetHolder,
    want: &AllowanceRequest,
    now: Time,
) -> rusqlite::Result<AllowanceGrant> {
    let mut state = begin(session, &want.line, want.limit, now)?;
    let held = held(session.connection, &want.line)?;
    let amount = want.grant(want.limit - state.spent - held);
    if amount > Usd::ZERO {
        let mut take = session.statement(
            "INSERT INTO budget_hold (tenant, per, begins, key_id, holder, held_nanos) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (tenant, per, begins, key_id, holder) \
             DO UPDATE SET held_nanos = held_nanos + excluded.held_nanos",
        )?;
        let (tenant, per, begins, key) = columns(&want.line);
        take.execute(params![tenant, per, begins, key, holder.0, amount.as_nanos()])?;
    }
    // A line counts as used up in this window even if what is left is too little for any call.
    let is_short = amount < want.need;
    let percent = if is_short { 100 } else { reached(state.spent, want.limit) };
    let standing =
        BudgetStanding { line: want.line.clone(), limit: Some(want.limit), spent: state.spent, held: held + amount };
    notify(session, &standing, want.limit, percent, &mut state.notified_percent, now)?;
    Ok(AllowanceGrant { amount, standing })
}

/// The stored state of a line.
struct PeriodState {
    spent: Usd,
    notified_percent: u8,
}

/// The line's row, created at its first use, with its current limit.
fn begin(session: &WriterSession<'_>, line: &BudgetPeriod, limit: Usd, now: Time) -> rusqlite::Result<PeriodState> {
    let (tenant, per, begins, key) = columns(line);
    let mut find = session.statement(
        "SELECT spent_nanos, limit_nanos, told FROM budget_line \
         WHERE tenant = $1 AND per = $2 AND begins = $3 AND key_id = $4",
    )?;
    let read = |row: &Row<'_>| Ok((usd(row, 0)?, row.get::<_, Option<i64>>(1)?.map(Usd::from_nanos), row.get(2)?));
    let found = find.query_row(params![tenant, per, begins, key], read).optional()?;
    let state = match found {
        Some((spent, Some(known), told)) if known == limit => return Ok(PeriodState { spent, notified_percent: told }),
        // If the limit has changed, marks reached under the previous limit may be reported again.
        Some((spent, _, told)) => PeriodState { spent, notified_percent: reached(spent, limit).min(told) },
        None => {
            tidy(session, line, now)?;
            PeriodState { spent: Usd::ZERO, notified_percent: 0 }
        }
    };
    let mut keep = session.statement(
        "INSERT INTO budget_line (tenant, per, begins, key_id, spent_nanos, limit_nanos, told) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (tenant, per, begins, key_id) \
         DO UPDATE SET limit_nanos = excluded.limit_nanos, told = excluded.told",
    )?;
    keep.execute(params![tenant, per, begins, key, state.spent.as_nanos(), limit.as_nanos(), state.notified_percent])?;
    Ok(state)
}

/// A new window has begun: deletes the allowances and notices of past ones.
fn tidy(session: &WriterSession<'_>, line: &BudgetPeriod, now: Time) -> rusqlite::Result<()> {
    let (tenant, per, begins, key) = columns(line);
    let mut free =
        session.statement("DELETE FROM budget_hold WHERE tenant = $1 AND per = $2 AND begins < $3 AND key_id = $4")?;
    free.execute(params![tenant, per, begins, key])?;
    let kept_ms = match line.window {
        BudgetWindow::Hour => HOURS_KEPT_MS,
        BudgetWindow::Day | BudgetWindow::Month => DAYS_KEPT_MS,
    };
    let mut forget =
        session.statement("DELETE FROM budget_line WHERE tenant = $1 AND per = $2 AND begins < $3 AND key_id = $4")?;
    forget.execute(params![tenant, per, begins.saturating_sub(kept_ms), key])?;
    forget_notices(session, line, now)?;
    let mut close = session.statement(
        "UPDATE desk SET closed_at = $2, outcome = 'its window is over' \
         WHERE tenant = $1 AND closed_at IS NULL AND +kind = $3 AND deadline <= $2",
    )?;
    let kind = codec::task_kind_word(baton_ports::journal::TaskItemKind::Budget);
    close.execute(params![tenant, now.as_ms(), kind]).map(drop)
}

/// Without a running server nothing else deletes them. The keys of a line's notices are in the order of its windows.
fn forget_notices(session: &WriterSession<'_>, line: &BudgetPeriod, now: Time) -> rusqlite::Result<()> {
    let long_over = line.window.begin(Time::from_ms(now.as_ms() - NOTICES_KEPT_MS));
    let of = |begins: Time| notice_id(&BudgetPeriod { begins, ..line.clone() });
    let mut forget =
        session.statement("DELETE FROM record WHERE tenant = $1 AND space = $2 AND key >= $3 AND key < $4")?;
    forget.execute(params![line.tenant.as_str(), NOTICES, of(Time::EPOCH), of(long_over)]).map(drop)
}

fn settle(session: &WriterSession<'_>, settlement: &BudgetSettlement) -> rusqlite::Result<()> {
    let BudgetSettlement { holder, number, spends, returned: back } = settlement;
    let mut known = session.statement("SELECT settled >= $2 FROM budget_holder WHERE id = $1")?;
    let is_known: Option<bool> = known.query_row(params![holder.0, number], |row| row.get(0)).optional()?;
    if is_known == Some(true) {
        return Ok(());
    }
    // A holder that settles is active, even if its row was deleted because it had held nothing for a long time.
    let at = spends.iter().map(|spend| spend.at.as_ms()).max().unwrap_or_default();
    let mut keep = session.statement(
        "INSERT INTO budget_holder (id, opened_at, settled) VALUES ($1, $3, $2) \
         ON CONFLICT (id) DO UPDATE SET settled = excluded.settled, opened_at = max(opened_at, excluded.opened_at)",
    )?;
    keep.execute(params![holder.0, number, at])?;
    for spend in spends {
        write_spend(session, spend)?;
    }
    for (line, amount) in back {
        release(session, *holder, line, *amount)?;
    }
    Ok(())
}

/// Collects what an append has spent with other spends of its group on the same account. It is written before the
/// append is answered, and before any other budget operation.
pub(super) fn note_spend(session: &mut WriterSession<'_>, spend: &CallSpend) -> rusqlite::Result<()> {
    if let Some(noted) = session.spends.iter_mut().find(|noted| is_one_account(noted, spend)) {
        noted.add(spend);
        return Ok(());
    }
    if session.spends.len() == NOTED_MAX {
        flush_spends(session)?;
    }
    session.spends.push(spend.clone());
    Ok(())
}

fn is_one_account(one: &CallSpend, other: &CallSpend) -> bool {
    one.tenant == other.tenant
        && one.key_id == other.key_id
        && one.holder == other.holder
        && BudgetWindow::Hour.begin(one.at) == BudgetWindow::Hour.begin(other.at)
        && one.account == other.account
}

/// Writes the collected spends.
pub(super) fn flush_spends(session: &mut WriterSession<'_>) -> rusqlite::Result<()> {
    std::mem::take(&mut session.spends).iter().try_for_each(|spend| write_spend(session, spend))
}

/// Moves the amount from held to spent in every line it counts against, and adds it to the day's costs.
fn write_spend(session: &WriterSession<'_>, spend: &CallSpend) -> rusqlite::Result<()> {
    costs::add(session, spend)?;
    let Some(holder) = spend.holder.filter(|_| spend.cost > Usd::ZERO) else { return Ok(()) };
    let mut add = session.statement(
        "INSERT INTO budget_line (tenant, per, begins, key_id, spent_nanos, told) VALUES ($1, $2, $3, $4, $5, 0) \
         ON CONFLICT (tenant, per, begins, key_id) DO UPDATE SET spent_nanos = spent_nanos + excluded.spent_nanos \
         RETURNING spent_nanos, limit_nanos, told",
    )?;
    for line in BudgetPeriod::all(&spend.tenant, spend.key_id.as_deref(), spend.at) {
        let (tenant, per, begins, key) = columns(&line);
        let row = params![tenant, per, begins, key, spend.cost.as_nanos()];
        let (spent, limit, mut told): (Usd, Option<i64>, u8) =
            add.query_row(row, |row| Ok((usd(row, 0)?, row.get(1)?, row.get(2)?)))?;
        release(session, holder, &line, spend.cost)?;
        if limit.is_none() && spent == spend.cost {
            // The first spend of a line without a limit: no reservation has tidied it before.
            tidy(session, &line, spend.at)?;
        }
        if let Some(limit) = limit.map(Usd::from_nanos) {
            let percent = reached(spent, limit);
            if percent > told {
                let held = held(session.connection, &line)?;
                let standing = BudgetStanding { line, limit: Some(limit), spent, held };
                notify(session, &standing, limit, percent, &mut told, spend.at)?;
            }
        }
    }
    Ok(())
}

/// Reduces what a holder holds of a line; never below zero, if a call cost more than was reserved for it.
fn release(
    session: &WriterSession<'_>,
    holder: BudgetHolder,
    line: &BudgetPeriod,
    amount: Usd,
) -> rusqlite::Result<()> {
    let (tenant, per, begins, key) = columns(line);
    let mut release = session.statement(
        "UPDATE budget_hold SET held_nanos = max(held_nanos - $6, 0) \
         WHERE tenant = $1 AND per = $2 AND begins = $3 AND key_id = $4 AND holder = $5",
    )?;
    release.execute(params![tenant, per, begins, key, holder.0, amount.as_nanos()]).map(drop)
}

/// Opens a task inbox item once a line has reached this percentage, only once.
fn notify(
    session: &WriterSession<'_>,
    standing: &BudgetStanding,
    limit: Usd,
    percent: u8,
    told: &mut u8,
    now: Time,
) -> rusqlite::Result<()> {
    if percent <= *told {
        return Ok(());
    }
    *told = percent;
    let (tenant, per, begins, key) = columns(&standing.line);
    let mut keep = session
        .statement("UPDATE budget_line SET told = $5 WHERE tenant = $1 AND per = $2 AND begins = $3 AND key_id = $4")?;
    keep.execute(params![tenant, per, begins, key, percent])?;
    let item = notice_item(standing, limit, percent, now);
    tracing::warn!("{}", item.title);
    append::open_task_item(session, &item, &item.details.to_string())?;
    records::put(session, &item.tenant, BudgetNotice::record(&item), now)
}

fn of_window(
    connection: &Connection,
    tenant: &TenantId,
    window: BudgetWindow,
    now: Time,
) -> rusqlite::Result<Vec<BudgetStanding>> {
    let begins = window.begin(now);
    let mut lines = connection.prepare_cached(&numbered(
        "SELECT key_id, spent_nanos, limit_nanos, (SELECT coalesce(sum(held_nanos), 0) FROM budget_hold AS hold \
         WHERE hold.tenant = line.tenant AND hold.per = line.per AND hold.begins = line.begins \
         AND hold.key_id = line.key_id) FROM budget_line AS line \
         WHERE tenant = $1 AND per = $2 AND begins = $3 ORDER BY key_id",
    ))?;
    let rows = lines.query_map(params![tenant.as_str(), window.word(), begins.as_ms()], |row| {
        let key: String = row.get(0)?;
        let line = BudgetPeriod { tenant: tenant.clone(), key_id: (!key.is_empty()).then_some(key), window, begins };
        let limit = row.get::<_, Option<i64>>(2)?.map(Usd::from_nanos);
        Ok(BudgetStanding { line, limit, spent: usd(row, 1)?, held: usd(row, 3)? })
    })?;
    rows.collect()
}

fn held(connection: &Connection, line: &BudgetPeriod) -> rusqlite::Result<Usd> {
    let (tenant, per, begins, key) = columns(line);
    let mut sum = connection.prepare_cached(&numbered(
        "SELECT coalesce(sum(held_nanos), 0) FROM budget_hold \
         WHERE tenant = $1 AND per = $2 AND begins = $3 AND key_id = $4",
    ))?;
    sum.query_row(params![tenant, per, begins, key], |row| usd(row, 0))
}

/// The columns of a line: tenant, window, beginning, key.
fn columns(line: &BudgetPeriod) -> (&str, &'static str, i64, &str) {
    (line.tenant.as_str(), line.window.word(), line.begins.as_ms(), line.key_id.as_deref().unwrap_or_default())
}

fn usd(row: &Row<'_>, column: usize) -> rusqlite::Result<Usd> {
    row.get(column).map(Usd::from_nanos)
}

#[cfg(test)]
mod tests {
    use baton_sim::conformance::fixtures::{at, other_tenant, spend};

    use super::*;

    #[test]
    fn whatever_tells_two_spends_apart_keeps_them_apart() {
        let one = || spend(BudgetHolder(1), 0.5);
        assert!(is_one_account(&one(), &CallSpend { cost: Usd::from_f64(2.0), calls: 7, at: at(1), ..one() }));
        let mut account = one().account;
        account.model.push('x');
        for other in [
            CallSpend { tenant: other_tenant(), ..one() },
            CallSpend { key_id: Some("k".to_owned()), ..one() },
            CallSpend { holder: Some(BudgetHolder(2)), ..one() },
            CallSpend { holder: None, ..one() },
            CallSpend { at: BudgetWindow::Hour.end(at(0)), ..one() },
            CallSpend { account, ..one() },
        ] {
            assert!(!is_one_account(&one(), &other), "{other:?}");
        }
    }
}
