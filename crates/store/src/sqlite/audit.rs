//! The audit port: rows in one hash chain per tenant. Each row is linked in the writer's transaction, through which all
//! rows pass in commit order, so that two processes write one chain.

mod legacy;
mod list;
mod usage;

use async_trait::async_trait;
use baton_core::audit::{
    AuditEntry, ChainTip, CommitmentSalt, RETENTION, Sha256Digest, erasure_row, retention_row, seal,
};
use baton_core::id::{RunId, TenantId};
use baton_core::time::Time;
use baton_core::tool::AuditRow;
use baton_ports::audit::{AuditFilter, AuditMention, AuditTrail, ChainAnchor, ErasureSubject, UsageFilter, UsageSum};
use baton_ports::journal::JournalError;
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::json;

use super::session::WriterSession;
use super::sql::numbered;
use super::{SqliteStore, codec};
pub(super) use legacy::chain_legacy_rows as chain_old_rows;
use list::TrailView;
#[cfg(test)]
pub(super) use list::queries;

/// Approximate size of one row, in bytes.
const ROW_BYTES: usize = 512;
/// Rows from which one transaction erases a person; this bounds how long other writes wait.
const ERASED_MAX: usize = 2_000;
/// Rows searched at once for mentions of a person; no more are erased at once.
const READ_AT_ONCE: usize = 1_000;
/// Number of runs whose rows are searched at once.
const RUNS_AT_ONCE: usize = 200;
/// Maximum number of rows that one transaction removes.
const CUT_MAX: usize = 500;

/// The parts of a row that can be computed outside the writer thread.
pub(super) struct SealedRow {
    salt: CommitmentSalt,
    sealed: Sha256Digest,
    erases: Option<String>,
}

impl SealedRow {
    pub(super) fn new(row: &AuditRow) -> Result<Self, JournalError> {
        let salt = salt().map_err(|reason| JournalError::Unwritable { reason })?;
        let sealed = seal(&salt, row, row.details.text());
        let erases = (!row.erases.is_empty()).then(|| serde_json::json!(row.erases).to_string());
        Ok(Self { salt, sealed, erases })
    }
}

/// An unguessable value.
fn salt() -> Result<CommitmentSalt, String> {
    let mut salt = CommitmentSalt::default();
    getrandom::fill(&mut salt).map_err(|error| format!("no random bytes can be had: {error}"))?;
    Ok(salt)
}

#[async_trait]
impl AuditTrail for SqliteStore {
    async fn trail(&self, tenant: &TenantId, filter: AuditFilter) -> Result<Vec<AuditEntry>, JournalError> {
        let tenant = tenant.clone();
        self.read(move |connection| list::page(connection, TrailView::Trail, &tenant, &filter)).await
    }

    async fn latest(&self, tenant: &TenantId, filter: AuditFilter) -> Result<Vec<AuditEntry>, JournalError> {
        let tenant = tenant.clone();
        self.read(move |connection| list::page(connection, TrailView::Latest, &tenant, &filter)).await
    }

    async fn tip(&self, tenant: &TenantId) -> Result<ChainTip, JournalError> {
        let tenant = tenant.clone();
        self.read(move |connection| tip(connection, tenant.as_str())).await
    }

    async fn anchor(&self, tenant: &TenantId) -> Result<Option<ChainAnchor>, JournalError> {
        let tenant = tenant.clone();
        self.read(move |connection| {
            let mut one =
                connection.prepare_cached("SELECT seq, hash, cut_at FROM audit_anchor WHERE company_id = ?1")?;
            one.query_row([tenant.as_str()], |row| {
                Ok(ChainAnchor { tip: read_tip(row)?, cut_at: codec::time(row, 2)? })
            })
            .optional()
        })
        .await
    }

    async fn usage(&self, filter: UsageFilter) -> Result<Vec<UsageSum>, JournalError> {
        self.read(move |connection| usage::sums(connection, &filter)).await
    }

    async fn append_row(&self, row: AuditRow) -> Result<(), JournalError> {
        let with = SealedRow::new(&row)?;
        self.write(ROW_BYTES, move |session| insert(session, &row, &with).map(Ok)).await
    }

    async fn erase(&self, tenant: &TenantId, person: &ErasureSubject, by: &str, at: Time) -> Result<u64, JournalError> {
        let mut erased = 0;
        loop {
            let names = json!(person.names().collect::<Vec<_>>()).to_string();
            let rows = self.erase_rows(tenant, RowSelector::Names(names), by, at).await?;
            erased += rows;
            if rows < ERASED_MAX as u64 {
                break;
            }
        }
        let runs: Vec<&RunId> = person.runs.iter().collect();
        for some in runs.chunks(RUNS_AT_ONCE) {
            loop {
                let rows = self.erase_rows(tenant, RowSelector::Runs(json!(some).to_string()), by, at).await?;
                erased += rows;
                if rows < ERASED_MAX as u64 {
                    break;
                }
            }
        }
        // A reader searches other people's rows page by page, so the writer does not wait for it.
        let mut cursor = Some(0);
        while let Some(after) = cursor {
            let (of, person) = (tenant.clone(), person.clone());
            let found: Result<_, JournalError> =
                self.read(move |connection| rows_mentioning(connection, &of, &person, after)).await;
            let (last, places) = found?;
            if !places.is_empty() {
                let places = json!(places).to_string();
                erased += self.erase_rows(tenant, RowSelector::Places(places), by, at).await?;
            }
            cursor = last;
        }
        Ok(erased)
    }
}

impl SqliteStore {
    /// Removes a chain's oldest rows from before an instant; some of them, and never the last row. Returns how many.
    /// The remaining rows follow the anchor.
    pub async fn cut_audit(&self, tenant: &TenantId, before: Time, at: Time) -> Result<u64, JournalError> {
        let tenant = tenant.clone();
        self.write::<_, _, JournalError>(0, move |session| cut(session, &tenant, before, at).map(Ok)).await
    }

    /// Erases as many of these rows as one transaction may. Returns how many.
    async fn erase_rows(&self, tenant: &TenantId, whose: RowSelector, by: &str, at: Time) -> Result<u64, JournalError> {
        let (tenant, by) = (tenant.clone(), by.to_owned());
        self.write::<_, _, JournalError>(0, move |session| erase_some(session, &tenant, &whose, &by, at)).await
    }
}

/// Adds one row after the last of its tenant.
pub(super) fn insert(session: &mut WriterSession<'_>, row: &AuditRow, with: &SealedRow) -> rusqlite::Result<()> {
    let company = row.company_id.as_str();
    let before = session.hot.audit_tip.query_row([company], read_tip).optional()?.unwrap_or(ChainTip::NONE);
    let ChainTip { seq, hash } = before.with_row(row, &with.sealed);
    let columns = params![
        seq,
        row.at.as_ms(),
        company,
        row.run.as_ref().map(RunId::as_str),
        row.call,
        row.changes,
        row.user_id,
        row.agent_name,
        row.conversation_id,
        row.action_type,
        row.action,
        row.details.text(),
        codec::audit_word(row.status),
        row.sent,
        row.error_code,
        row.cost.as_nanos(),
        row.duration_ms,
        with.salt,
        with.sealed,
        hash,
        with.erases,
    ];
    session.hot.audit.execute(columns)?;
    session.hot.audit_tip_moves.execute(params![company, seq, hash]).map(drop)
}

pub(super) const INSERT: &str = "INSERT INTO audit_trail (seq, at, company_id, run, call, changes, user_id, agent_name, \
     conversation_id, action_type, action, details, status, sent, error_code, cost_nanos, duration_ms, salt, sealed, \
     hash, erases) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, \
     $21)";
pub(super) const TIP: &str = "SELECT seq, hash FROM audit_tip WHERE company_id = $1";
pub(super) const TIP_MOVES: &str = "INSERT INTO audit_tip (company_id, seq, hash) VALUES ($1, $2, $3) \
     ON CONFLICT (company_id) DO UPDATE SET seq = excluded.seq, hash = excluded.hash";

fn tip(connection: &Connection, company: &str) -> rusqlite::Result<ChainTip> {
    let mut one = connection.prepare_cached(&numbered(TIP))?;
    Ok(one.query_row([company], read_tip).optional()?.unwrap_or(ChainTip::NONE))
}

fn read_tip(row: &rusqlite::Row<'_>) -> rusqlite::Result<ChainTip> {
    Ok(ChainTip { seq: row.get(0)?, hash: row.get(1)? })
}

/// Selects the rows to erase, as JSON.
enum RowSelector {
    /// Rows of a person with this name.
    Names(String),
    /// Rows at these positions.
    Places(String),
    /// Rows about these runs.
    Runs(String),
}

/// The positions of rows, in one page after `after`, whose details name the person, whose user is the person in another
/// spelling, or that are about one of the person's conversations; and the last position that was read, unless that was
/// the end. Rows that record a removal are left out: they contain numbers of rows, and the chain is verified by them.
fn rows_mentioning(
    connection: &Connection,
    tenant: &TenantId,
    person: &ErasureSubject,
    after: u64,
) -> rusqlite::Result<(Option<u64>, Vec<u64>)> {
    let mut rows = connection.prepare_cached(
        "SELECT seq, details, conversation_id, user_id, action_type FROM audit_trail WHERE company_id = ?1 AND seq > ?2 \
         AND action_type <> ?4 ORDER BY seq LIMIT ?3",
    )?;
    let mut rows = rows.query(params![tenant.as_str(), after, READ_AT_ONCE, RETENTION])?;
    let (mut last, mut read, mut places) = (after, 0, Vec::new());
    let whom = person.matcher();
    let text = |row: &rusqlite::Row<'_>, column: usize| row.get::<_, Option<String>>(column);
    while let Some(row) = rows.next()? {
        (last, read) = (row.get(0)?, read + 1);
        // An erased row has no content.
        let details = text(row, 1)?.unwrap_or_default();
        let (conversation, user, action_type) = (text(row, 2)?, text(row, 3)?, row.get::<_, String>(4)?);
        let (conversation_id, user_id) = (conversation.as_deref(), user.as_deref());
        if person.is_mentioned_in(
            &whom,
            &AuditMention { action_type: &action_type, user_id, conversation_id, details: &details },
        ) {
            places.push(last);
        }
    }
    Ok(((read == READ_AT_ONCE).then_some(last), places))
}

/// Rows are ordered by position, and approximately by time: the first newer row ends the removal, unless a clock that
/// was ahead wrote it.
fn cut(session: &mut WriterSession<'_>, tenant: &TenantId, before: Time, at: Time) -> rusqlite::Result<u64> {
    let mut oldest = session.statement(
        "SELECT seq, hash, at FROM audit_trail WHERE company_id = $1 AND seq < (SELECT seq FROM audit_tip \
         WHERE company_id = $1) ORDER BY seq LIMIT $2",
    )?;
    let mut rows = oldest.query(params![tenant.as_str(), CUT_MAX])?;
    let mut anchor = None;
    while let Some(row) = rows.next()? {
        match codec::time(row, 2)? {
            time if time > at => continue,
            time if time >= before => break,
            _ => {}
        }
        anchor = Some(read_tip(row)?);
    }
    drop(rows);
    let Some(ChainTip { seq, hash }) = anchor else { return Ok(0) };
    let mut move_on = session.statement(
        "INSERT INTO audit_anchor (company_id, seq, hash, cut_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (company_id) DO UPDATE SET seq = excluded.seq, hash = excluded.hash, cut_at = excluded.cut_at",
    )?;
    move_on.execute(params![tenant.as_str(), seq, hash, at.as_ms()])?;
    let mut delete = session.statement("DELETE FROM audit_trail WHERE company_id = $1 AND seq <= $2")?;
    let rows = delete.execute(params![tenant.as_str(), seq])? as u64;
    let row = retention_row(tenant, &ChainTip { seq, hash }, rows, at);
    append_row(session, &row)?;
    Ok(rows)
}

/// Adds a row of the store's own.
fn append_row(session: &mut WriterSession<'_>, row: &AuditRow) -> rusqlite::Result<()> {
    match SealedRow::new(row) {
        Ok(sealed) => insert(session, row, &sealed),
        Err(error) => Err(rusqlite::Error::ToSqlConversionFailure(Box::new(error))),
    }
}

/// Erases some rows, and records it in the chain.
fn erase_some(
    session: &mut WriterSession<'_>,
    tenant: &TenantId,
    whose: &RowSelector,
    by: &str,
    at: Time,
) -> rusqlite::Result<Result<u64, JournalError>> {
    let places = empty(session, tenant, whose, at)?;
    if !places.is_empty() {
        append_row(session, &erasure_row(tenant, by, &places, at))?;
    }
    Ok(Ok(places.len() as u64))
}

/// Returns the positions of the erased rows, in ascending order.
fn empty(session: &WriterSession<'_>, tenant: &TenantId, whose: &RowSelector, at: Time) -> rusqlite::Result<Vec<u64>> {
    let (which, list) = match whose {
        RowSelector::Names(names) => ("user_id", names),
        // Another erasure may have been first.
        RowSelector::Places(places) => ("erased_at IS NULL AND seq", places),
        RowSelector::Runs(runs) => ("erased_at IS NULL AND run IS NOT NULL AND run", runs),
    };
    let mut empty = session.statement(&format!(
        "UPDATE audit_trail SET user_id = NULL, conversation_id = NULL, details = NULL, salt = NULL, erased_at = $3 \
         WHERE id IN (SELECT id FROM audit_trail WHERE company_id = $1 AND {which} IN (SELECT value FROM json_each($2)) \
         LIMIT $4) RETURNING seq"
    ))?;
    let emptied = empty.query_map(params![tenant.as_str(), list, at.as_ms(), ERASED_MAX], |row| row.get(0))?;
    let mut places: Vec<u64> = emptied.collect::<Result<_, _>>()?;
    places.sort_unstable();
    Ok(places)
}
