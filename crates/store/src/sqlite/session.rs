//! The writer's connection with its most frequent statements, prepared once.

use std::sync::Arc;

use baton_ports::budget::CallSpend;
use rusqlite::config::DbConfig;
use rusqlite::{CachedStatement, Connection, Statement};

use super::audit;
use super::owner_locks::OwnerLocks;
use super::sql::numbered;

/// What a task may use while the writer performs it.
pub(super) struct WriterSession<'c> {
    pub(super) connection: &'c Connection,
    pub(super) owners: Arc<OwnerLocks>,
    pub(super) hot: HotStatements<'c>,
    /// Spends of the appends in this group: written to the budget once, before the group commits.
    pub(super) spends: Vec<CallSpend>,
    begin: Statement<'c>,
    commit: Statement<'c>,
    /// Whether commits wait for the disk.
    durable: bool,
}

/// The statements of an append, a start and a message.
pub(super) struct HotStatements<'c> {
    /// The head row, by what changes: `[with a head][with a release]`.
    pub(super) heads: [[Statement<'c>; 2]; 2],
    pub(super) entry: Statement<'c>,
    pub(super) audit: Statement<'c>,
    pub(super) audit_tip: Statement<'c>,
    pub(super) audit_tip_moves: Statement<'c>,
    pub(super) consume: Statement<'c>,
    pub(super) recall: Statement<'c>,
    pub(super) find: Statement<'c>,
    pub(super) create: Statement<'c>,
    pub(super) seen: Statement<'c>,
    pub(super) open_item: Statement<'c>,
}

impl<'c> WriterSession<'c> {
    pub(super) fn prepare(connection: &'c Connection, owners: Arc<OwnerLocks>) -> rusqlite::Result<Self> {
        let statement = |sql: &str| connection.prepare(&numbered(sql));
        let head = |with_head: bool, release: bool| statement(&head_update(with_head, release));
        let hot = HotStatements {
            heads: [[head(false, false)?, head(false, true)?], [head(true, false)?, head(true, true)?]],
            entry: statement("INSERT INTO journal (aggregate, seq, at, payload, blob) VALUES ($1, $2, $3, $4, $5)")?,
            audit: statement(audit::INSERT)?,
            audit_tip: statement(audit::TIP)?,
            audit_tip_moves: statement(audit::TIP_MOVES)?,
            consume: statement("DELETE FROM inbox WHERE aggregate = $1 AND item = $2")?,
            recall: statement(RECALL)?,
            find: statement("SELECT id, tenant, owner, erased_at IS NOT NULL FROM aggregate WHERE name = $1")?,
            create: statement(
                "INSERT INTO aggregate (seq, owner, epoch, called, items, name, tenant, kind, workflow, parent, \
                 created_at, state, cost_nanos) VALUES (0, $1, $2, $3, 1, $4, $5, $6, $7, $8, $9, $10, 0)",
            )?,
            seen: statement("INSERT INTO inbox_seen (aggregate, command_id) VALUES ($1, $2)")?,
            open_item: statement(
                "INSERT INTO inbox (aggregate, item, at, command_id, payload) VALUES ($1, $2, $3, $4, $5)",
            )?,
        };
        let (begin, commit) = (statement("BEGIN IMMEDIATE")?, statement("COMMIT")?);
        Ok(Self { connection, owners, hot, spends: Vec::new(), begin, commit, durable: true })
    }

    /// A statement that does not need its own field.
    pub(super) fn statement(&self, sql: &str) -> rusqlite::Result<CachedStatement<'c>> {
        self.connection.prepare_cached(&numbered(sql))
    }

    /// Whether transactions from now on wait for the disk when they commit. One that does not reaches the disk with the
    /// next one that does.
    pub(super) fn commit_durably(&mut self, durable: bool) -> rusqlite::Result<()> {
        if self.durable != durable {
            let sql = if durable { "PRAGMA synchronous = FULL" } else { "PRAGMA synchronous = NORMAL" };
            self.connection.execute_batch(sql)?;
            self.durable = durable;
        }
        Ok(())
    }

    pub(super) fn begin(&mut self) -> rusqlite::Result<()> {
        // They belong to a group that was rolled back.
        self.spends.clear();
        self.begin.execute([]).map(drop)
    }

    pub(super) fn commit(&mut self) -> rusqlite::Result<()> {
        self.commit.execute([]).map(drop)
    }

    /// Ends a transaction that failed. Some failures have ended it already; then there is nothing to do.
    pub(super) fn roll_back(&self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a failed transaction could not be rolled back");
        }
    }

    pub(super) fn savepoint(&self) -> rusqlite::Result<()> {
        self.statement("SAVEPOINT task")?.execute([]).map(drop)
    }

    pub(super) fn release_savepoint(&self) -> rusqlite::Result<()> {
        self.statement("RELEASE task")?.execute([]).map(drop)
    }

    pub(super) fn rollback_to_savepoint(&self) -> rusqlite::Result<()> {
        self.statement("ROLLBACK TO task")?.execute([])?;
        self.release_savepoint()
    }

    /// Checkpoints the log, as far as no reader uses older data.
    pub(super) fn checkpoint_wal(&self) -> rusqlite::Result<()> {
        self.connection.query_row("PRAGMA wal_checkpoint(FULL)", [], |_| Ok(()))
    }

    /// Disables every checkpoint from now on, including the one on close.
    pub(super) fn keep_wal(&self) -> rusqlite::Result<()> {
        self.connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map(drop)
    }

    /// One small durable write. The checkpoint before it makes room on a full disk, because it frees the log.
    pub(super) fn probe(&mut self) -> rusqlite::Result<()> {
        // A database in memory has no log, and a failed checkpoint is no reason not to try.
        let _ = self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        self.commit_durably(true)?;
        self.begin()?;
        self.statement("UPDATE probe SET writes = writes + 1")?.execute([])?;
        self.commit()
    }
}

/// Marks aggregates that must be claimed (released, with an open inbox), and unmarks those that have been. `$2` says
/// whether the aggregate is released.
const RECALL: &str = "UPDATE aggregate SET called = 1 - called WHERE id = $1 AND CASE called \
     WHEN 1 THEN NOT EXISTS (SELECT 1 FROM inbox WHERE aggregate = $1) \
     ELSE $2 AND EXISTS (SELECT 1 FROM inbox WHERE aggregate = $1) END";

/// The guard of every append: it matches the owner, the epoch and the sequence, or changes nothing. Columns that do not
/// change are not named, so their indexes are not touched.
fn head_update(with_head: bool, release: bool) -> String {
    let mut set = String::from("seq = $4 + $6, wake_at = $5");
    if release {
        set.push_str(", owner = NULL, released = 1");
    }
    if with_head {
        set.push_str(", state = $7, started_at = $8, ended_at = $9, cost_nanos = $10, fault = $11");
    }
    format!("UPDATE aggregate SET {set} WHERE id = $1 AND owner = $2 AND epoch = $3 AND seq = $4")
}
