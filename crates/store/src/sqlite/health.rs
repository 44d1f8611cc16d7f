//! Whether the store can still keep its guarantees: no damage was found in its database, and its files are at the path
//! where they were opened. Once either fails, the outage lasts until the process ends.
//!
//! Readers and the writer detect damage. The writer checks the location of the files before it answers a group: three
//! `stat` calls per commit, which take some microseconds, compared with a sync of the disk.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::{fmt, fs};

use baton_ports::health::StoreOutage;
use baton_ports::journal::JournalError;
use rusqlite::{ErrorCode, ffi};
use tokio::sync::Notify;

use super::create::was_created;

/// The state shared by all threads of a store.
pub(super) struct StoreHealth {
    /// The database, its log, and the shared memory of the log; none for a database in memory.
    files: Vec<WatchedFile>,
    outage: OnceLock<StoreOutage>,
    /// Notified when there is an outage.
    failed: Notify,
}

/// Why written data may not be found again.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FileError {
    Moved(StoreOutage),
    /// It is unknown, and will be checked again.
    Unreadable(String),
}

impl StoreHealth {
    pub(super) fn in_memory() -> Self {
        Self { files: Vec::new(), outage: OnceLock::new(), failed: Notify::new() }
    }

    /// The health of a database whose file exists.
    pub(super) fn of(database: &Path) -> Self {
        let beside = |end: &str| {
            let mut name = database.as_os_str().to_owned();
            name.push(end);
            WatchedFile::at(name.into())
        };
        Self { files: vec![beside(""), beside("-wal"), beside("-shm")], outage: OnceLock::new(), failed: Notify::new() }
    }

    pub(super) fn outage(&self) -> Option<&StoreOutage> {
        self.outage.get()
    }

    /// Waits for an outage; never returns if there is none.
    pub(super) async fn until_outage(&self) -> StoreOutage {
        loop {
            // Subscribe before the check.
            let failed = self.failed.notified();
            if let Some(outage) = self.outage() {
                return outage.clone();
            }
            failed.await;
        }
    }

    /// Nothing is acknowledged from now on. The first reason is kept.
    pub(super) fn record_outage(&self, outage: StoreOutage) -> StoreOutage {
        if self.outage.set(outage.clone()).is_ok() {
            let (code, hint) = (outage.code(), outage.hint());
            tracing::error!(code, hint, "{outage}; nothing more is acknowledged");
            self.failed.notify_waiters();
        }
        self.outage.get().cloned().unwrap_or(outage)
    }

    /// Records an error of the database, and returns the outage that it indicates, if any.
    pub(super) fn classify(&self, error: &rusqlite::Error) -> Option<StoreOutage> {
        outage_of(error).map(|outage| self.record_outage(outage))
    }

    /// Records which files were opened.
    pub(super) fn record_identities(&self) {
        self.files.iter().for_each(WatchedFile::record_identity);
    }

    /// Whether the opened files are still the ones at their paths.
    pub(super) fn check_files(&self) -> Result<(), FileError> {
        self.files.iter().try_for_each(WatchedFile::check)
    }

    /// Whether the database file itself is in place, and only its log is missing.
    pub(super) fn lost_only_wal(&self) -> bool {
        match self.files.as_slice() {
            [database, log, ..] => database.check().is_ok() && !log.path.exists(),
            _ => false,
        }
    }
}

/// A file as it was opened.
struct WatchedFile {
    path: PathBuf,
    opened: OnceLock<FileIdentity>,
}

impl WatchedFile {
    fn at(path: PathBuf) -> Self {
        Self { path, opened: OnceLock::new() }
    }

    /// If the file does not exist (on a file system where SQLite keeps no log), it is not checked later.
    fn record_identity(&self) {
        if let Ok(about) = fs::metadata(&self.path) {
            let _ = self.opened.set(FileIdentity::of(&about));
        }
    }

    fn check(&self) -> Result<(), FileError> {
        let Some(opened) = self.opened.get() else { return Ok(()) };
        let path = self.path.display();
        let moved = |reason: String| Err(FileError::Moved(StoreOutage::Moved { reason }));
        match fs::metadata(&self.path) {
            Ok(about) if FileIdentity::of(&about) == *opened => Ok(()),
            Ok(_) => moved(format!("another file lies at `{path}` than was opened")),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                moved(format!("`{path}` is not there any more"))
            }
            Err(error) => Err(FileError::Unreadable(format!("`{path}` cannot be looked at: {error}"))),
        }
    }
}

/// Distinguishes a file from any other that is later at its path.
#[derive(Debug, PartialEq, Eq)]
struct FileIdentity {
    #[cfg(unix)]
    device: u64,
    #[cfg(unix)]
    inode: u64,
}

impl FileIdentity {
    #[cfg(unix)]
    fn of(about: &fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        Self { device: about.dev(), inode: about.ino() }
    }

    /// On other systems open files cannot be replaced.
    #[cfg(not(unix))]
    fn of(_about: &fs::Metadata) -> Self {
        Self {}
    }
}

/// Why a database cannot be opened.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum OpenError {
    Outage(StoreOutage),
    /// The file is not an SQLite database.
    NotDatabase(String),
    Other(String),
}

impl OpenError {
    /// The error for this file. A file that Baton once wrote and that is no longer a database is damaged.
    pub(super) fn of(self, database: &Path) -> JournalError {
        let named = |reason: String| format!("`{}`: {reason}", database.display());
        match self {
            Self::Outage(StoreOutage::Damaged { reason }) => StoreOutage::Damaged { reason: named(reason) }.into(),
            Self::NotDatabase(reason) if was_created(database) => StoreOutage::Damaged { reason: named(reason) }.into(),
            Self::Outage(outage) => outage.into(),
            Self::NotDatabase(reason) | Self::Other(reason) => JournalError::Unopenable { reason: named(reason) },
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outage(outage) => outage.fmt(f),
            Self::NotDatabase(reason) | Self::Other(reason) => f.write_str(reason),
        }
    }
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        match outage_of(&error) {
            _ if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => Self::NotDatabase(error.to_string()),
            Some(outage) => Self::Outage(outage),
            None => Self::Other(error.to_string()),
        }
    }
}

impl From<String> for OpenError {
    fn from(reason: String) -> Self {
        Self::Other(reason)
    }
}

/// The outage that an error indicates.
pub(super) fn outage_of(error: &rusqlite::Error) -> Option<StoreOutage> {
    let rusqlite::Error::SqliteFailure(failure, _) = error else { return None };
    let reason = error.to_string();
    match (failure.code, failure.extended_code) {
        (ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase, _)
        | (_, ffi::SQLITE_IOERR_SHORT_READ | ffi::SQLITE_IOERR_CORRUPTFS | ffi::SQLITE_IOERR_DATA) => {
            Some(StoreOutage::Damaged { reason })
        }
        (_, ffi::SQLITE_READONLY_DBMOVED | ffi::SQLITE_IOERR_VNODE) => Some(StoreOutage::Moved { reason }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(code: i32) -> Option<&'static str> {
        let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        outage_of(&error).map(|outage| outage.code())
    }

    #[test]
    fn damage_and_absence_are_outages_and_a_full_or_failing_disk_is_not() {
        for code in [
            ffi::SQLITE_CORRUPT,
            ffi::SQLITE_CORRUPT_INDEX,
            ffi::SQLITE_CORRUPT_VTAB,
            ffi::SQLITE_NOTADB,
            ffi::SQLITE_IOERR_SHORT_READ,
        ] {
            assert_eq!(shown(code), Some("STORE_DAMAGED"), "{code}");
        }
        assert_eq!(shown(ffi::SQLITE_READONLY_DBMOVED), Some("STORE_MOVED"));
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_BUSY, ffi::SQLITE_READONLY] {
            assert_eq!(shown(code), None, "{code}");
        }
    }

    #[test]
    fn the_first_reason_stands() {
        let health = StoreHealth::in_memory();
        let moved = || StoreOutage::Moved { reason: "away".into() };
        assert_eq!(health.record_outage(moved()), moved());
        assert_eq!(health.record_outage(StoreOutage::Damaged { reason: "too".into() }), moved());
        assert_eq!(health.outage(), Some(&moved()));
    }

    #[test]
    fn a_file_that_is_replaced_or_gone_is_missed_and_one_that_never_was_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("baton.db");
        fs::write(&database, "one").unwrap();
        let health = StoreHealth::of(&database);
        health.record_identities();
        fs::write(folder.path().join("baton.db-wal"), "of somebody else").unwrap();
        assert_eq!(health.check_files(), Ok(()), "a log that was not there is nobody's");
        fs::write(&database, "changed where it lies").unwrap();
        assert_eq!(health.check_files(), Ok(()));
        fs::write(folder.path().join("other"), "two").unwrap();
        fs::rename(folder.path().join("other"), &database).unwrap();
        assert!(matches!(health.check_files(), Err(FileError::Moved(_))));
        fs::remove_file(&database).unwrap();
        assert!(matches!(health.check_files(), Err(FileError::Moved(_))));
        assert!(!health.lost_only_wal());
    }
}
