//! Opens connections to one database, with the settings that each kind of use needs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

/// How long a statement waits for another process's transaction before it fails.
pub(super) const BUSY_WAIT: Duration = Duration::from_secs(5);
/// The first waits for another process are shorter than one commit; later ones save processor time.
const BUSY_SPIN: Duration = Duration::from_micros(200);
const BUSY_SPINS: i32 = 50;
const BUSY_PAUSE: Duration = Duration::from_millis(2);
/// Number of pages in the write-ahead log that triggers a checkpoint: 16 MB.
const LOG_PAGES: u32 = 4_000;
/// The log file is truncated to this size after a burst, in bytes.
const LOG_BYTES_KEPT: u32 = 64 << 20;
/// Prepared statements cached per connection.
const STATEMENTS_MAX: usize = 64;

/// The location of a database.
#[derive(Clone, Debug)]
pub(super) enum DatabaseLocation {
    File(PathBuf),
    /// Ends with the store; only its writer can see it.
    Memory,
}

impl DatabaseLocation {
    /// The only writing connection. Nothing is changed yet, since the file may still belong to another program.
    pub(super) fn writer(&self, cache_bytes: usize) -> rusqlite::Result<Connection> {
        let mut connection = match self {
            // The file exists: nothing is created here.
            Self::File(path) => {
                Connection::open_with_flags(path, OpenFlags::default() - OpenFlags::SQLITE_OPEN_CREATE)?
            }
            Self::Memory => Connection::open_in_memory()?,
        };
        settle(&mut connection, cache_bytes)?;
        // Deleted data is overwritten; a database in memory can release pages incrementally, as new files can.
        connection.pragma_update(None, "secure_delete", true)?;
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        Ok(connection)
    }

    /// From now on, every commit of the connection has reached the disk.
    pub(super) fn make_durable(&self, connection: &Connection) -> rusqlite::Result<()> {
        if matches!(self, Self::File(_)) {
            keep_wal(connection)?;
        }
        connection.pragma_update(None, "synchronous", "FULL")?;
        // On macOS a plain sync may end in the drive's cache: this setting makes the drive flush it (`F_FULLFSYNC`). It
        // has no effect on other systems.
        connection.pragma_update(None, "fullfsync", true)?;
        connection.pragma_update(None, "checkpoint_fullfsync", true)?;
        connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
        connection.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT)
    }
}

/// A read-only connection that reads the last commit, whatever the writer is doing.
pub(super) fn reader(path: &Path, cache_bytes: usize) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    settle(&mut connection, cache_bytes)?;
    Ok(connection)
}

fn settle(connection: &mut Connection, cache_bytes: usize) -> rusqlite::Result<()> {
    connection.busy_handler(Some(wait_for_others))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    // Otherwise a statement that a partial index might serve is prepared again for each bound value. To use such an
    // index, a statement must contain its condition literally.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    let cache_kib = i64::try_from(cache_bytes / 1024).unwrap_or(i64::MAX);
    connection.pragma_update(None, "cache_size", -cache_kib)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "trusted_schema", false)
}

/// Switches to a write-ahead log. The busy handler is not called for this, so that two processes that open a new
/// database at once are serialised here.
pub(super) fn keep_wal(connection: &Connection) -> rusqlite::Result<()> {
    let mut tries = 0;
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error) if is_busy(&error) && wait_for_others(tries) => tries += 1,
            other => return other,
        }
    }
}

/// Whether another process holds a lock that this statement needs.
pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked};
    matches!(error.sqlite_error_code(), Some(DatabaseBusy | DatabaseLocked))
}

/// Waits a little; returns `false` once the limit is reached.
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
