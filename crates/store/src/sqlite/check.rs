//! SQLite's own check of a database, page by page. It uses a separate read-only connection.

use std::path::Path;

use baton_ports::journal::JournalError;
use rusqlite::{Connection, OpenFlags};

use super::create;
use super::health::outage_of;

/// Maximum number of findings that are reported; a damaged database has many.
const FINDINGS_MAX: usize = 20;

/// How thoroughly a database is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckDepth {
    /// Every page and row (`PRAGMA quick_check`): some hundred megabytes per second.
    Quick,
    /// Also whether every index matches its table (`PRAGMA integrity_check`): takes several times as long.
    Full,
}

/// The damage in SQLite's words; empty if there is none. Blocks while the whole file is read.
///
/// # Errors
/// The file cannot be opened, or cannot be read now.
pub fn check(database: &Path, depth: CheckDepth) -> Result<Vec<String>, JournalError> {
    let unreadable = |error: rusqlite::Error| JournalError::Unreadable { reason: error.to_string() };
    // SQLite would accept an empty file as an empty database.
    let named = |reason: String| JournalError::Unopenable { reason: format!("`{}`: {reason}", database.display()) };
    create::check_not_empty(database).map_err(named)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database, flags).map_err(unreadable)?;
    match findings(&connection, depth) {
        Ok(findings) => Ok(findings),
        Err(error) if outage_of(&error).is_some() => Ok(vec![error.to_string()]),
        Err(error) => Err(unreadable(error)),
    }
}

fn findings(connection: &Connection, depth: CheckDepth) -> rusqlite::Result<Vec<String>> {
    connection.busy_timeout(super::connection::BUSY_WAIT)?;
    let pragma = match depth {
        CheckDepth::Quick => "quick_check",
        CheckDepth::Full => "integrity_check",
    };
    let mut look = connection.prepare(&format!("PRAGMA {pragma}({FINDINGS_MAX})"))?;
    let rows = look.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
    // One row may have several lines.
    let lines = rows.iter().flat_map(|row| row.lines()).map(str::trim);
    Ok(lines.filter(|line| !line.is_empty() && *line != "ok").take(FINDINGS_MAX).map(str::to_owned).collect())
}
