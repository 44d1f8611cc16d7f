//! Scrubs the file after an erasure: no page and no log keeps deleted data.

use std::path::{Path, PathBuf};
use std::time::Duration;

use baton_ports::erasure::ScrubResult;
use baton_ports::journal::JournalError;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::oneshot;

/// How long a checkpoint waits for readers of older data.
const WAIT: Duration = Duration::from_secs(10);

/// In a separate thread, because the time depends on the size of the file.
pub(super) async fn scrub_in_thread(path: PathBuf, vacuum_bytes_max: u64) -> Result<ScrubResult, JournalError> {
    let (reply, answer) = oneshot::channel();
    let scrubbing = std::thread::Builder::new().name("baton-scrub".into());
    let unwritable = |reason: String| JournalError::Unwritable { reason };
    let spawned = scrubbing.spawn(move || drop(reply.send(scrub(&path, vacuum_bytes_max, WAIT))));
    spawned.map_err(|error| unwritable(error.to_string()))?;
    let done = answer.await.map_err(|_| unwritable("scrubbing broke off".into()))?;
    done.map_err(|error| unwritable(error.to_string()))
}

/// On a separate connection: a vacuum cannot run inside a transaction, and the writer's connection is rarely outside
/// one. The log is checkpointed and truncated whether or not there was room for the vacuum: it holds most of the
/// deleted data.
pub(in super::super) fn scrub(path: &Path, vacuum_bytes_max: u64, wait: Duration) -> rusqlite::Result<ScrubResult> {
    // If the database was removed, no new one is created.
    let connection = Connection::open_with_flags(path, OpenFlags::default() - OpenFlags::SQLITE_OPEN_CREATE)?;
    connection.busy_timeout(wait)?;
    connection.pragma_update(None, "secure_delete", true)?;
    // A database created before incremental vacuum was enabled can use it after the next vacuum.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    let is_small = size(&connection)? <= vacuum_bytes_max;
    let written_anew = if is_small { connection.execute_batch("VACUUM").map(|()| true) } else { Ok(false) };
    let busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
    let unfinished = match (&written_anew, &busy) {
        (_, Err(error)) => Some(format!("the log could not be moved into the database: {error}")),
        (_, Ok(1..)) => Some("the log could not be cut, for somebody reads or writes without a pause".to_owned()),
        (Err(error), Ok(_)) => Some(format!("the database could not be written anew: {error}")),
        (Ok(_), Ok(_)) => None,
    };
    let (vacuumed, log_truncated) = (written_anew.unwrap_or(false), busy.is_ok_and(|busy| busy == 0));
    Ok(ScrubResult { vacuumed, log_truncated, bytes: size(&connection)?, unfinished })
}

fn size(connection: &Connection) -> rusqlite::Result<u64> {
    let pages: u64 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
    let page: u64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    Ok(pages * page)
}
