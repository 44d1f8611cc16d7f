//! Tests of what is specific to SQLite, beyond the suites that every store passes.

mod audit;
mod corrupt;
mod decisions;
mod erasure;
mod full_disk;
mod group;
mod index;
mod lost_files;
mod opening;
mod queries;
mod retention;
mod shared_limits;
mod two_processes;

use std::path::PathBuf;

use super::{SqliteStore, StoreOptions};

/// A database in a temporary folder.
struct TestDatabase {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl TestDatabase {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("baton.db");
        Self { _folder: folder, path }
    }

    fn open(&self) -> SqliteStore {
        SqliteStore::open(&self.path, StoreOptions::default()).unwrap()
    }

    /// A direct connection that bypasses the store.
    fn raw(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(&self.path).unwrap()
    }
}
