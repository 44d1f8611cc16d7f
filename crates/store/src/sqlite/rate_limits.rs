//! The rate limits port: one row per window, and one for each of its newest turns. A window is exact over all
//! processes, since each takes its turns in its own transaction.

use std::time::Duration;

use async_trait::async_trait;
use baton_core::canonical::{self, ListPart};
use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::journal::JournalError;
use baton_ports::rate_limits::{
    CALLS_MAX, LIMITS_MAX, NAME_BYTES_MAX, RESERVATIONS_MAX, RESERVED_FOR, RateDecision, RateLimit, RateLimitStore,
    SET_BACK, check_names,
};
use rusqlite::{OptionalExtension, params};

use super::SqliteStore;
use super::session::WriterSession;

/// Past windows that are deleted when a new one starts, and the maximum number of turns deleted with them.
const TIDIED_WINDOWS: usize = 4;
const TIDIED_TURNS: usize = 1_000;
/// Abandoned reservations that are deleted when a new one is made.
const TIDIED_RESERVATIONS: usize = 100;

/// SHA-256 of a call's key: a key may contain a person's ids.
type CallHash = [u8; 32];

#[async_trait]
impl RateLimitStore for SqliteStore {
    async fn take(
        &self,
        tenant: &TenantId,
        key: &str,
        limits: &[RateLimit],
        now: Time,
    ) -> Result<RateDecision, JournalError> {
        check_size("the limits of one call", limits.len(), LIMITS_MAX)?;
        check_names(limits)?;
        for limit in limits {
            check_size("a limit's name", limit.name.len(), NAME_BYTES_MAX)?;
            check_size("the calls of a limit", limit.calls as usize, CALLS_MAX as usize)?;
        }
        let (tenant, limits) = (tenant.clone(), limits.to_vec());
        let call = canonical::digest_of_list([ListPart::Text(Some(key))]);
        self.write_relaxed(0, move |session| take(session, &tenant, &call, &limits, now).map(Ok)).await
    }
}

fn check_size(what: &'static str, size: usize, limit: usize) -> Result<(), JournalError> {
    if size > limit { Err(JournalError::TooLarge { what, size, limit }) } else { Ok(()) }
}

fn take(
    session: &WriterSession<'_>,
    tenant: &TenantId,
    call: &CallHash,
    limits: &[RateLimit],
    now: Time,
) -> rusqlite::Result<RateDecision> {
    let mut windows = Vec::with_capacity(limits.len());
    for limit in limits {
        windows.push((limit, RateWindow::open(session, tenant, limit, call, now)?));
    }
    let turn = take_of(session, call, &mut windows, now)?;
    // After the turns are written: a past window may be one of these.
    if windows.iter().any(|(_, window)| window.is_new) {
        tidy(session, now)?;
    }
    Ok(turn)
}

fn take_of(
    session: &WriterSession<'_>,
    call: &CallHash,
    windows: &mut [(&RateLimit, RateWindow)],
    now: Time,
) -> rusqlite::Result<RateDecision> {
    // If a limit is full, the call reserves a place at the first full limit, and takes no turn from the others.
    if let Some((limit, full)) = windows.iter_mut().find(|(limit, window)| window.turn(limit, now) > now) {
        let turn = full.turn(limit, now);
        if full.reserved.is_none() {
            full.reserve(session, limit, call, turn, now)?;
        }
        full.save(session, now)?;
        return Ok(RateDecision::After(turn.since(now)));
    }
    for (limit, window) in windows {
        match window.reserved {
            Some(_) => window.spend_reservation(session, call)?,
            None => {
                window.forget_lapsed(session, call)?;
                window.add_turn(session, limit, now)?;
            }
        }
        window.save(session, now)?;
    }
    Ok(RateDecision::Now)
}

/// The stored state of a window.
struct RateWindow {
    id: i64,
    taken: i64,
    waiting: i64,
    seen_at: Time,
    expires_at: Time,
    /// The turn after which a new one is free: the oldest of as many as the limit allows.
    oldest: Option<Time>,
    /// The turn that is reserved for this call.
    reserved: Option<Time>,
    /// A turn was reserved, and the call did not come in time.
    lapsed: bool,
    is_new: bool,
}

impl RateWindow {
    fn open(
        session: &WriterSession<'_>,
        tenant: &TenantId,
        limit: &RateLimit,
        call: &CallHash,
        now: Time,
    ) -> rusqlite::Result<Self> {
        let mut find = session.statement(
            "SELECT id, taken, waiting, seen_at, expires_at FROM rate_window WHERE tenant = $1 AND name = $2",
        )?;
        let found = find.query_row(params![tenant.as_str(), &*limit.name], |row| {
            Ok(Self {
                id: row.get(0)?,
                taken: row.get(1)?,
                waiting: row.get(2)?,
                seen_at: Time::from_ms(row.get(3)?),
                expires_at: Time::from_ms(row.get(4)?),
                oldest: None,
                reserved: None,
                lapsed: false,
                is_new: false,
            })
        });
        let Some(mut window) = found.optional()? else { return Self::begin(session, tenant, limit, now) };
        if window.seen_at.since(now) > limit.per.max(SET_BACK) {
            window.begin_anew(session, now)?;
            return Ok(window);
        }
        let mut oldest = session.statement("SELECT at FROM rate_turn WHERE window_id = $1 AND number = $2")?;
        let number = window.taken - i64::from(limit.calls.max(1));
        window.oldest = oldest.query_row(params![window.id, number], time).optional()?;
        if window.waiting > 0 {
            let mut reserved =
                session.statement("SELECT at FROM rate_reservation WHERE window_id = $1 AND call = $2")?;
            let reserved = reserved.query_row(params![window.id, call], time).optional()?;
            // A call that comes much later starts over: its turn no longer counts.
            window.reserved = reserved.filter(|turn| *turn + RESERVED_FOR > now);
            window.lapsed = reserved.is_some() && window.reserved.is_none();
        }
        Ok(window)
    }

    fn begin(session: &WriterSession<'_>, tenant: &TenantId, limit: &RateLimit, now: Time) -> rusqlite::Result<Self> {
        let mut insert = session.statement(
            "INSERT INTO rate_window (tenant, name, taken, waiting, seen_at, expires_at) VALUES ($1, $2, 0, 0, $3, $3)",
        )?;
        insert.execute(params![tenant.as_str(), &*limit.name, now.as_ms()])?;
        let id = session.connection.last_insert_rowid();
        Ok(Self {
            id,
            taken: 0,
            waiting: 0,
            seen_at: now,
            expires_at: now,
            oldest: None,
            reserved: None,
            lapsed: false,
            is_new: true,
        })
    }

    /// The clock was set back: turns counted by the earlier time would delay calls for as long as it was wrong.
    fn begin_anew(&mut self, session: &WriterSession<'_>, now: Time) -> rusqlite::Result<()> {
        session.statement("DELETE FROM rate_turn WHERE window_id = $1")?.execute([self.id])?;
        session.statement("DELETE FROM rate_reservation WHERE window_id = $1")?.execute([self.id])?;
        (self.taken, self.waiting, self.seen_at, self.expires_at) = (0, 0, now, now);
        (self.oldest, self.reserved, self.lapsed) = (None, None, false);
        Ok(())
    }

    /// When the call's turn is.
    fn turn(&self, limit: &RateLimit, now: Time) -> Time {
        let free = self.oldest.map_or(now, |oldest| (oldest + limit.per).max(now));
        self.reserved.unwrap_or(free)
    }

    fn add_turn(&mut self, session: &WriterSession<'_>, limit: &RateLimit, at: Time) -> rusqlite::Result<()> {
        let mut add = session.statement("INSERT INTO rate_turn (window_id, number, at) VALUES ($1, $2, $3)")?;
        add.execute(params![self.id, self.taken, at.as_ms()])?;
        self.taken += 1;
        let mut forget = session.statement("DELETE FROM rate_turn WHERE window_id = $1 AND number < $2")?;
        forget.execute(params![self.id, self.taken - i64::from(limit.calls.max(1))])?;
        self.expires_at = self.expires_at.max(at + limit.per + RESERVED_FOR);
        Ok(())
    }

    /// Reserves a place for a call that must wait; above [`RESERVATIONS_MAX`] it asks again when a place is free.
    fn reserve(
        &mut self,
        session: &WriterSession<'_>,
        limit: &RateLimit,
        call: &CallHash,
        turn: Time,
        now: Time,
    ) -> rusqlite::Result<()> {
        self.forget_lapsed(session, call)?;
        let mut forget = session.statement(&format!(
            "DELETE FROM rate_reservation WHERE window_id = $1 AND call IN (SELECT call FROM rate_reservation \
             WHERE window_id = $1 AND at <= $2 ORDER BY at LIMIT {TIDIED_RESERVATIONS})"
        ))?;
        let gone = forget.execute(params![self.id, now.as_ms().saturating_sub(ms(RESERVED_FOR))])?;
        self.waiting = (self.waiting - i64::try_from(gone).unwrap_or(i64::MAX)).max(0);
        if self.waiting >= i64::from(RESERVATIONS_MAX) {
            return Ok(());
        }
        let mut keep =
            session.statement("INSERT OR REPLACE INTO rate_reservation (window_id, call, at) VALUES ($1, $2, $3)")?;
        keep.execute(params![self.id, call, turn.as_ms()])?;
        self.waiting += 1;
        self.add_turn(session, limit, turn)
    }

    fn forget_lapsed(&mut self, session: &WriterSession<'_>, call: &CallHash) -> rusqlite::Result<()> {
        if self.lapsed { self.spend_reservation(session, call) } else { Ok(()) }
    }

    fn spend_reservation(&mut self, session: &WriterSession<'_>, call: &CallHash) -> rusqlite::Result<()> {
        let mut spend = session.statement("DELETE FROM rate_reservation WHERE window_id = $1 AND call = $2")?;
        spend.execute(params![self.id, call])?;
        self.waiting = (self.waiting - 1).max(0);
        Ok(())
    }

    fn save(&self, session: &WriterSession<'_>, now: Time) -> rusqlite::Result<()> {
        let mut save = session.statement(
            "UPDATE rate_window SET taken = $2, waiting = $3, seen_at = $4, expires_at = $5 WHERE id = $1",
        )?;
        let seen_at = self.seen_at.max(now).as_ms();
        save.execute(params![self.id, self.taken, self.waiting, seen_at, self.expires_at.as_ms()]).map(drop)
    }
}

/// Deletes obsolete windows, a few at a time.
fn tidy(session: &WriterSession<'_>, now: Time) -> rusqlite::Result<()> {
    let mut over =
        session.statement(&format!("SELECT id FROM rate_window WHERE expires_at < $1 LIMIT {TIDIED_WINDOWS}"))?;
    let over: Vec<i64> = over.query_map([now.as_ms()], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let mut forget_turns = session.statement(&format!(
        "DELETE FROM rate_turn WHERE window_id = $1 AND number IN (SELECT number FROM rate_turn WHERE window_id = $1 \
         ORDER BY number LIMIT {TIDIED_TURNS})"
    ))?;
    for id in over {
        if forget_turns.execute([id])? == TIDIED_TURNS {
            continue;
        }
        session.statement("DELETE FROM rate_reservation WHERE window_id = $1")?.execute([id])?;
        session.statement("DELETE FROM rate_window WHERE id = $1")?.execute([id])?;
    }
    Ok(())
}

fn time(row: &rusqlite::Row<'_>) -> rusqlite::Result<Time> {
    row.get(0).map(Time::from_ms)
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
