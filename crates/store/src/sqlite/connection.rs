//! Opens connections to one database, each with the settings its promise needs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

/// How long a statement waits for another process's transaction before it gives up.
pub(super) const BUSY_WAIT: Duration = Duration::from_secs(5);
/// The first waits for another process are shorter than one commit, later ones spare the processor.
const BUSY_SPIN: Duration = Duration::from_micros(200);
const BUSY_SPINS: i32 = 50;
const BUSY_PAUSE: Duration = Duration::from_millis(2);
/// Pages the write-ahead log may hold before they are moved into the database, 16 MB of them.
const LOG_PAGES: u32 = 4_000;
/// The log file is cut back to this after a burst.
const LOG_BYTES_KEPT: u32 = 64 << 20;
/// Prepared statements one connection keeps.
const STATEMENTS_MAX: usize = 64;

/// Where a database is.
#[derive(Clone, Debug)]
pub(super) enum DatabaseLocation {
    File(PathBuf),
    /// Gone with the store; only its writer can see it.
    Memory,
}

impl DatabaseLocation {
    /// The one connection that writes. Nothing is changed yet, so what is found may still turn out not to be ours.
    pub(super) fn writer(&self, cache_bytes: usize) -> rusqlite::Result<Connection> {
        let mut connection = match self {
            // It is there: nothing is made here.
            Self::File(path) => {
                Connection::open_with_flags(path, OpenFlags::default() - OpenFlags::SQLITE_OPEN_CREATE)?
            }
            Self::Memory => Connection::open_in_memory()?,
        };
        settle(&mut connection, cache_bytes)?;
        // What is deleted is overwritten, and one in memory can give pages back a few at a time, as new files can.
        connection.pragma_update(None, "secure_delete", true)?;
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        Ok(connection)
    }

    /// From here on what the connection commits has reached the disk.
    pub(super) fn make_durable(&self, connection: &Connection) -> rusqlite::Result<()> {
        if matches!(self, Self::File(_)) {
            keep_wal(connection)?;
        }
        connection.pragma_update(None, "synchronous", "FULL")?;
        // A plain sync ends at the drive's own memory on macOS: there the drive is told to empty it (`F_FULLFSYNC`). No
        // other system knows the difference.
        connection.pragma_update(None, "fullfsync", true)?;
        connection.pragma_update(None, "checkpoint_fullfsync", true)?;
        connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
        connection.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT)
    }
}

/// A connection that can only read, and reads the last commit whatever the writer is doing.
pub(super) fn reader(path: &Path, cache_bytes: usize) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    settle(&mut connection, cache_bytes)?;
    Ok(connection)
}

fn settle(connection: &mut Connection, cache_bytes: usize) -> rusqlite::Result<()> {
    connection.busy_handler(Some(wait_for_others))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    // Else a statement that an index with a condition might serve is prepared anew for each value it is given. Where such an
    // index is to be used, statements say its condition in so many words.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    let cache_kib = i64::try_from(cache_bytes / 1024).unwrap_or(i64::MAX);
    connection.pragma_update(None, "cache_size", -cache_kib)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "trusted_schema", false)
}

/// Switches to a write-ahead log. The busy handler is not asked for this one, so two processes that open a new database
/// at once are kept apart here.
pub(super) fn keep_wal(connection: &Connection) -> rusqlite::Result<()> {
    let mut tries = 0;
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error) if is_busy(&error) && wait_for_others(tries) => tries += 1,
            other => return other,
        }
    }
}

/// Another process holds what this statement needs.
pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked};
    matches!(error.sqlite_error_code(), Some(DatabaseBusy | DatabaseLocked))
}

/// Waits a little; `false` once it has been long enough.
fn wait_for_others(tries: i32) -> bool {
    let spun = BUSY_SPIN * BUSY_SPINS.unsigned_abs();
    let pauses = (BUSY_WAIT - spun).as_millis() / BUSY_PAUSE.as_millis();
    if tries < BUSY_SPINS {
        std::thread::sleep(BUSY_SPIN);
        return true;
    }
    std::thread::sleep(BUSY_PAUSE);
    u128::from((tries - BUSY_SPINS).unsigned_abs()) < pauses
}
