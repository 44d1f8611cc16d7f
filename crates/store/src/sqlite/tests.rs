//! What is SQLite's own, beyond the suites every store passes.

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

/// A database in a folder that goes with it.
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

    /// Past the store, as anybody with the file could.
    fn raw(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(&self.path).unwrap()
    }
}
