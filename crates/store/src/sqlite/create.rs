//! Creates a new database, and detects files that must not be taken for one.
//!
//! A database is created completely under a temporary name and then renamed, so the final name always has a complete
//! layout behind it, and an empty file is never a database in creation.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Connection;

use super::health::OpenError;
use super::{connection, migrations};

/// Whether the files beside a database's path show that there was one.
pub fn was_created(database: &Path) -> bool {
    trace(database).is_some()
}

/// Ensures that there is a database: the existing one, or a new one if there was none.
///
/// # Errors
/// The file is empty, or it is missing where there was a database: its data would be treated as absent.
pub(super) fn ensure(database: &Path) -> Result<(), OpenError> {
    match fs::metadata(database) {
        Ok(_) => Ok(check_not_empty(database)?),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            check_present(database)?;
            make(database).map_err(|reason| OpenError::Other(format!("it cannot be made: {reason}")))
        }
        // Opening the file reports the reason.
        Err(_) => Ok(()),
    }
}

/// # Errors
/// The file is missing where there was a database.
pub(super) fn check_present(database: &Path) -> Result<(), String> {
    let Some(trace) = trace(database).filter(|_| !database.exists()) else { return Ok(()) };
    Err(format!(
        "the file is gone, and `{}` beside it shows that there was one. Put the file back, or a backup in its place; if it is \
         to begin anew, first remove what is left of the old one{}",
        trace.display(),
        side_files_text(database)
    ))
}

/// # Errors
/// The file is empty.
pub(super) fn check_not_empty(database: &Path) -> Result<(), String> {
    let is_empty = fs::metadata(database).is_ok_and(|about| about.is_file() && about.len() == 0);
    if !is_empty {
        return Ok(());
    }
    Err(format!(
        "the file is empty (0 bytes), which no database of Baton's ever is: something cut it short. Put a backup in its \
         place; if nothing was in it, remove the file, and a new database is made{}",
        side_files_text(database)
    ))
}

/// The evidence that there was a database: a non-empty log, or the folder of the owners of its runs.
fn trace(database: &Path) -> Option<PathBuf> {
    let (log, owners) = (beside(database, "-wal"), beside(database, ".owners"));
    let is_log = fs::metadata(&log).is_ok_and(|about| about.len() > 0);
    is_log.then_some(log).or_else(|| owners.is_dir().then_some(owners))
}

fn side_files_text(database: &Path) -> String {
    let name = |path: PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let left = ["-wal", "-shm", ".owners"].map(|end| beside(database, end)).into_iter().filter(|path| path.exists());
    let left: Vec<String> = left.map(name).collect();
    if left.is_empty() { String::new() } else { format!(" (there are: {})", left.join(", ")) }
}

fn beside(database: &Path, end: &str) -> PathBuf {
    let mut name: OsString = database.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// Creates it under a temporary name, and renames it unless another process was first.
fn make(database: &Path) -> Result<(), String> {
    static MADE: AtomicU64 = AtomicU64::new(0);

    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let new = beside(database, &format!(".new-{}-{number}", std::process::id()));
    // Left by a killed process with the same process id.
    let _ = fs::remove_file(&new);
    let made = create_layout(&new).and_then(|()| rename_into_place(&new, database).map_err(|error| error.to_string()));
    let _ = fs::remove_file(&new);
    made
}

fn create_layout(new: &Path) -> Result<(), String> {
    let failed = |error: rusqlite::Error| error.to_string();
    let mut connection = Connection::open(new).map_err(failed)?;
    // No other process can see it yet: it is synced once, when it is complete.
    connection.pragma_update(None, "journal_mode", "MEMORY").map_err(failed)?;
    connection.pragma_update(None, "synchronous", "OFF").map_err(failed)?;
    // Set before the first page, so that it can release pages incrementally.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL").map_err(failed)?;
    migrations::run(&mut connection).map_err(|error| error.to_string())?;
    connection::keep_wal(&connection).map_err(failed)?;
    connection.close().map_err(|(_, error)| error.to_string())?;
    File::open(new).and_then(|file| file.sync_all()).map_err(|error| error.to_string())
}

fn rename_into_place(new: &Path, database: &Path) -> io::Result<()> {
    match fs::hard_link(new, database) {
        // Another process has created one meanwhile, equally complete.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(()),
        // A file system without hard links.
        Err(_) if !database.exists() => fs::rename(new, database)?,
        Err(_) | Ok(()) => {}
    }
    // If a folder cannot be synced, its file system does not need it.
    let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("baton.db");
        (folder, database)
    }

    #[test]
    fn a_new_one_is_whole_and_alone() {
        let (folder, database) = folder();
        ensure(&database).unwrap();
        ensure(&database).unwrap();
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["baton.db"]);
        let connection = Connection::open(&database).unwrap();
        assert_eq!(migrations::recognise(&connection), Ok(migrations::LAYOUT));
        let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        assert_eq!(mode, "wal");
    }

    #[test]
    fn an_empty_file_is_refused_and_left_as_it_is() {
        let (_folder, database) = folder();
        fs::write(&database, "").unwrap();
        let refused = ensure(&database).unwrap_err().to_string();
        assert!(refused.contains("0 bytes") && refused.contains("remove the file"), "{refused}");
        assert_eq!(fs::metadata(&database).unwrap().len(), 0);
    }

    #[test]
    fn a_missing_file_is_refused_where_one_has_been_naming_what_shows_it() {
        for (end, is_folder) in [("-wal", false), (".owners", true)] {
            let (_folder, database) = folder();
            let trace = beside(&database, end);
            if is_folder {
                fs::create_dir(&trace).unwrap()
            } else {
                fs::write(&trace, "frames").unwrap()
            }
            let refused = ensure(&database).unwrap_err().to_string();
            assert!(refused.contains(&format!("baton.db{end}")), "{refused}");
            assert!(!database.exists() && trace.exists());
        }
    }

    #[test]
    fn an_empty_log_shows_nothing() {
        let (_folder, database) = folder();
        fs::write(beside(&database, "-wal"), "").unwrap();
        ensure(&database).unwrap();
        assert!(database.exists());
    }
}
