//! Detects at once that a process on this machine has died.
//!
//! Each incarnation holds an operating-system lock on a file named after it, in a folder beside the database. The
//! system releases the lock however the process ends. If another process can take the lock, the owner is dead, and
//! there is no need to wait for the end of its lease. Without such a file (for a database in memory, or a deleted
//! folder) only the lease decides.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use baton_ports::journal::ProcessId;

/// The locks that this store holds, and the owners that it found dead.
pub(super) struct OwnerLocks {
    /// `None` for a database in memory.
    folder: Option<PathBuf>,
    table: Mutex<LockTable>,
}

#[derive(Default)]
struct LockTable {
    /// Incarnations that joined through this store; the file holds the lock.
    held: BTreeMap<ProcessId, Option<File>>,
    /// Process ids with a lease are never reused, so a dead owner stays dead.
    dead: BTreeSet<ProcessId>,
}

impl OwnerLocks {
    pub(super) fn beside(database: &Path) -> Self {
        let mut folder = database.as_os_str().to_owned();
        folder.push(".owners");
        Self { folder: Some(folder.into()), table: Mutex::default() }
    }

    pub(super) fn in_memory() -> Self {
        Self { folder: None, table: Mutex::default() }
    }

    /// Takes the lock of a new incarnation. Idempotent: joining may be repeated after a rollback.
    pub(super) fn acquire(&self, process: ProcessId) -> io::Result<()> {
        if self.holds(process) {
            return Ok(());
        }
        let file = match &self.folder {
            None => None,
            Some(folder) => {
                fs::create_dir_all(folder)?;
                let file = OpenOptions::new().create(true).write(true).truncate(true).open(name(folder, process))?;
                file.try_lock()?;
                Some(file)
            }
        };
        self.table().held.insert(process, file);
        Ok(())
    }

    /// Releases a lock that this store holds.
    pub(super) fn release(&self, process: ProcessId) {
        let held = self.table().held.remove(&process);
        if held.is_some() {
            self.forget(process);
        }
    }

    /// Removes the file of an incarnation that no longer has a lease.
    pub(super) fn forget(&self, process: ProcessId) {
        if let Some(folder) = &self.folder
            && let Err(error) = fs::remove_file(name(folder, process))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::debug!(process = process.0, %error, "a dead owner's file stays behind");
        }
    }

    /// Removes files left by a crash between taking a lock and recording its lease. Call it where no other process can
    /// be between the two: inside a write transaction, as for joining.
    pub(super) fn sweep(&self, leased: &BTreeSet<ProcessId>) {
        let Some(folder) = &self.folder else { return };
        let Ok(entries) = fs::read_dir(folder) else { return };
        let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok().map(ProcessId));
        for process in numbers {
            if !leased.contains(&process) && !self.holds(process) && is_free(folder, process) {
                self.forget(process);
            }
        }
    }

    /// Whether `process`, which has a lease, is certainly dead. `false` if that is unknown: then its lease decides.
    pub(super) fn is_dead(&self, process: ProcessId) -> bool {
        let Some(folder) = &self.folder else { return false };
        {
            let known = self.table();
            if known.held.contains_key(&process) {
                return false;
            }
            if known.dead.contains(&process) {
                return true;
            }
        }
        let dead = is_free(folder, process);
        if dead {
            self.table().dead.insert(process);
        }
        dead
    }

    /// Whether there is a lock file, locked or not.
    pub(super) fn has_lock(&self, process: ProcessId) -> bool {
        self.holds(process) || self.folder.as_ref().is_some_and(|folder| name(folder, process).exists())
    }

    fn holds(&self, process: ProcessId) -> bool {
        self.table().held.contains_key(&process)
    }

    /// The incarnation on whose behalf all calls through this store are made, if that is certain.
    pub(super) fn only(&self) -> Option<ProcessId> {
        let known = self.table();
        let mut held = known.held.keys();
        held.next().filter(|_| held.next().is_none()).copied()
    }

    fn table(&self) -> MutexGuard<'_, LockTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name(folder: &Path, process: ProcessId) -> PathBuf {
    folder.join(process.0.to_string())
}

/// Whether the file exists and is not locked.
fn is_free(folder: &Path, process: ProcessId) -> bool {
    OpenOptions::new().write(true).open(name(folder, process)).is_ok_and(|file| file.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const P1: ProcessId = ProcessId(1);

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("baton.db");
        (folder, database)
    }

    #[test]
    fn an_owner_is_dead_once_its_lock_is_dropped() {
        let (_folder, database) = folder();
        let (owner, other) = (OwnerLocks::beside(&database), OwnerLocks::beside(&database));
        owner.acquire(P1).unwrap();
        assert!(!other.is_dead(P1));
        assert!(!owner.is_dead(P1));
        drop(owner);
        assert!(other.is_dead(P1));
        assert!(other.is_dead(P1), "and stays dead");
    }

    #[test]
    fn an_owner_without_a_file_is_left_to_its_lease() {
        let (_folder, database) = folder();
        assert!(!OwnerLocks::beside(&database).is_dead(P1));
        assert!(!OwnerLocks::in_memory().is_dead(P1));
    }

    #[test]
    fn letting_go_leaves_no_file() {
        let (_folder, database) = folder();
        let owners = OwnerLocks::beside(&database);
        owners.acquire(P1).unwrap();
        assert_eq!(owners.only(), Some(P1));
        owners.release(P1);
        assert_eq!(owners.only(), None);
        assert_eq!(fs::read_dir(owners.folder.as_ref().unwrap()).unwrap().count(), 0);
    }

    #[test]
    fn sweeping_spares_the_living_and_the_leased() {
        let (_folder, database) = folder();
        let (ours, theirs, crashed) =
            (OwnerLocks::beside(&database), OwnerLocks::beside(&database), OwnerLocks::beside(&database));
        ours.acquire(P1).unwrap();
        theirs.acquire(ProcessId(2)).unwrap();
        crashed.acquire(ProcessId(3)).unwrap();
        crashed.acquire(ProcessId(4)).unwrap();
        drop(crashed);
        ours.sweep(&BTreeSet::from([ProcessId(3)]));
        let mut left: Vec<_> =
            fs::read_dir(ours.folder.as_ref().unwrap()).unwrap().flatten().map(|e| e.file_name()).collect();
        left.sort();
        assert_eq!(left, ["1", "2", "3"]);
    }
}
