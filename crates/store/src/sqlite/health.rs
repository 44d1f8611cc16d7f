//! Whether the store can still keep its promise: its database is whole as far as anybody has looked, and its files lie
//! where they were opened. Once either is not so, it stays not so until the process ends.
//!
//! Damage is met by whoever reads or writes. Whether the files are in their place is looked at by the writer before it
//! answers a group: three `stat`s a commit, some microseconds beside a sync of the disk.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::{fmt, fs};

use baton_ports::health::StoreOutage;
use baton_ports::journal::JournalError;
use rusqlite::{ErrorCode, ffi};
use tokio::sync::Notify;

use super::create::was_created;

/// What all of a store's threads share.
pub(super) struct StoreHealth {
    /// The database, its log, and what its processes share of the log; none in memory.
    files: Vec<WatchedFile>,
    outage: OnceLock<StoreOutage>,
    /// Told when there is one.
    failed: Notify,
}

/// Why what was written may not be found again.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FileError {
    Moved(StoreOutage),
    /// It cannot be told, and will be looked at again.
    Unreadable(String),
}

impl StoreHealth {
    pub(super) fn in_memory() -> Self {
        Self { files: Vec::new(), outage: OnceLock::new(), failed: Notify::new() }
    }

    /// Of a database whose file is there.
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

    /// Waits until there is one, for ever where there is none.
    pub(super) async fn until_outage(&self) -> StoreOutage {
        loop {
            // Listening begins before the look.
            let failed = self.failed.notified();
            if let Some(outage) = self.outage() {
                return outage.clone();
            }
            failed.await;
        }
    }

    /// Nothing is acknowledged from here on. The first reason stands.
    pub(super) fn record_outage(&self, outage: StoreOutage) -> StoreOutage {
        if self.outage.set(outage.clone()).is_ok() {
            let (code, hint) = (outage.code(), outage.hint());
            tracing::error!(code, hint, "{outage}; nothing more is acknowledged");
            self.failed.notify_waiters();
        }
        self.outage.get().cloned().unwrap_or(outage)
    }

    /// Takes in what the database said no with; the outage it shows, where it shows one.
    pub(super) fn classify(&self, error: &rusqlite::Error) -> Option<StoreOutage> {
        outage_of(error).map(|outage| self.record_outage(outage))
    }

    /// Remembers which files were opened.
    pub(super) fn record_identities(&self) {
        self.files.iter().for_each(WatchedFile::record_identity);
    }

    /// Whether the files that were opened are still the ones that whoever comes next will find.
    pub(super) fn check_files(&self) -> Result<(), FileError> {
        self.files.iter().try_for_each(WatchedFile::check)
    }

    /// Whether the database itself is in its place, and nothing in that of its log.
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

    /// Where the file is not there (a file system on which SQLite keeps no log), nothing is expected of it.
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

/// What tells a file from any other that lies at its path later.
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

    /// Elsewhere open files cannot be replaced.
    #[cfg(not(unix))]
    fn of(_about: &fs::Metadata) -> Self {
        Self {}
    }
}

/// Why a database cannot be opened.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum OpenError {
    Outage(StoreOutage),
    /// What lies there is not SQLite's.
    NotDatabase(String),
    Other(String),
}

impl OpenError {
    /// As it is told of this file. One that Baton wrote once and that is no database now is damaged.
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

/// The outage that an error shows.
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
