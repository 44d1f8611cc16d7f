//! Checks of the database and the runs in it.

use std::path::{Path, PathBuf};

use baton_ports::clock::{Clock, SystemClock};
use baton_ports::journal::JournalStore;
use baton_ports::read::{ReadModel, RunFilter};
use baton_store::sqlite::{self, CheckDepth, SqliteStore};

use super::DoctorCheck;
use crate::commands::desk::next_command;
use crate::commands::knowledge;
use crate::project::{Project, display_path};
use crate::wiring::ProjectSystem;

/// Upper limit for counting runs that wait for a process.
const UNOWNED_RUNS_MAX: usize = 1_000;

/// Maximum number of SQLite findings to print. The `sqlite3` shell lists all of them.
const FINDINGS_MAX: usize = 3;

/// Checks that every page of the database is well formed. SQLite has no checksums, so a changed value is not detected.
pub async fn pages(project: &Project, depth: CheckDepth) -> Option<DoctorCheck> {
    const HINT: &str = "stop what serves it and keep a copy of the files; `baton verify` says what else is touched, as far as it can be read; \
                        restore the newest backup";

    let file = project.database();
    if !file.exists() {
        return None;
    }
    let path = file.clone();
    let looked = tokio::task::spawn_blocking(move || sqlite::check(&path, depth)).await;
    Some(match looked {
        Ok(Ok(findings)) if findings.is_empty() => {
            let how = if depth == CheckDepth::Full { "every page and index" } else { "every page" };
            DoctorCheck::ok("pages", format!("{how} of the database is well formed"))
        }
        Ok(Ok(findings)) => {
            let some: Vec<&str> = findings.iter().take(FINDINGS_MAX).map(String::as_str).collect();
            let more = findings.len().saturating_sub(FINDINGS_MAX);
            let more = if more > 0 { format!("; and {more} more") } else { String::new() };
            DoctorCheck::fail(
                "database",
                format!("{} is damaged: {}{more}", display_path(&file), some.join("; ")),
                HINT,
            )
        }
        Ok(Err(error)) => {
            let hint = "do what the message says; else check who may read the file and its folder";
            DoctorCheck::fail("database", error.to_string(), hint)
        }
        Err(error) => DoctorCheck::fail("database", error.to_string(), HINT),
    })
}

pub async fn checks(project: &Project) -> Vec<DoctorCheck> {
    let file = project.database();
    if !project.has_database() {
        return vec![missing_database(&file)];
    }
    let system = match ProjectSystem::open(project) {
        Ok(system) => system,
        Err(error) => {
            let hint = "look at who may write the file and its folder; a newer Baton may have written it";
            return vec![DoctorCheck::fail("database", format!("{error:#}"), hint)];
        }
    };
    let mut checks = writes(&system.store, &file).await;
    checks.extend(runs(&system).await);
    checks.extend(memory(&system).await);
    checks
}

fn missing_database(file: &Path) -> DoctorCheck {
    let folder = file.ancestors().skip(1).find(|folder| folder.is_dir());
    let is_writable =
        folder.and_then(|folder| folder.metadata().ok()).is_some_and(|about| !about.permissions().readonly());
    if is_writable {
        DoctorCheck::ok("database", format!("{} is made by the first run", display_path(file)))
    } else {
        DoctorCheck::fail(
            "database",
            format!("{} cannot be made", display_path(file)),
            "let the folder above it be written to",
        )
    }
}

/// Joins the store and leaves it again. This makes one durable write, and takes and releases a lock.
async fn writes(store: &SqliteStore, file: &Path) -> Vec<DoctorCheck> {
    let lease = match store.join(SystemClock.monotonic()).await {
        Ok(lease) => lease,
        Err(error) => {
            return vec![DoctorCheck::fail(
                "database",
                error.to_string(),
                "make room on the disk, and look at the permissions",
            )];
        }
    };
    let bytes = file.metadata().map_or(0, |about| about.len());
    let database = DoctorCheck::ok("database", format!("{}, {} KiB, can be written", display_path(file), bytes >> 10));
    let locks = locks(&owners_folder(file));
    let idle = unowned_runs(store, lease.process).await;
    let left = store.leave(lease.process).await.err();
    let left = left.map(|error| DoctorCheck::fail("database", error.to_string(), "look at the disk"));
    [Some(database), Some(locks), Some(idle), left].into_iter().flatten().collect()
}

/// The lock folder that the store keeps beside its file.
fn owners_folder(file: &Path) -> PathBuf {
    let mut folder = file.as_os_str().to_owned();
    folder.push(".owners");
    folder.into()
}

fn locks(folder: &Path) -> DoctorCheck {
    match std::fs::read_dir(folder) {
        Ok(entries) => {
            // One entry is this process's own, created a moment ago.
            match entries.count().saturating_sub(1) {
                0 => DoctorCheck::ok("locks", "can be taken; no other process has left one"),
                1 => DoctorCheck::ok("locks", "can be taken; one of another process is there, alive or dead"),
                others => DoctorCheck::ok(
                    "locks",
                    format!("can be taken; {others} of other processes are there, alive or dead"),
                ),
            }
        }
        Err(error) => {
            DoctorCheck::fail("locks", format!("{}: {error}", display_path(folder)), "let the folder be written to")
        }
    }
}

/// Checks that memory is indexed with the current settings.
async fn memory(system: &ProjectSystem) -> Option<DoctorCheck> {
    match knowledge::outdated(system).await {
        Ok(None) => None,
        Ok(Some(says)) => Some(DoctorCheck::warn("memory", says, "`baton knowledge reindex` builds it anew")),
        Err(error) => Some(DoctorCheck::fail("memory", format!("{error:#}"), "look at the database")),
    }
}

async fn unowned_runs(store: &SqliteStore, process: baton_ports::journal::ProcessId) -> DoctorCheck {
    match store.due(process, SystemClock.now(), SystemClock.monotonic(), UNOWNED_RUNS_MAX).await {
        Ok(idle) if idle.is_empty() => DoctorCheck::ok("stuck", "no run waits for somebody to move it"),
        Ok(idle) => {
            let says = match idle.len() {
                1 => "1 run has something to do, and nobody moves it".to_owned(),
                UNOWNED_RUNS_MAX => {
                    format!("{UNOWNED_RUNS_MAX} runs or more have something to do, and nobody moves them")
                }
                many => format!("{many} runs have something to do, and nobody moves them"),
            };
            DoctorCheck::warn("stuck", says, "`baton runs work` moves what can be moved")
        }
        Err(error) => DoctorCheck::fail("stuck", error.to_string(), "look at the database"),
    }
}

async fn runs(system: &ProjectSystem) -> Vec<DoctorCheck> {
    let store = &system.store;
    let counts = match store.counts().await {
        Ok(counts) if counts.is_empty() => DoctorCheck::ok("runs", "none yet"),
        Ok(counts) => {
            let counts: Vec<String> = counts.iter().map(|(state, count)| format!("{count} {state}")).collect();
            DoctorCheck::ok("runs", counts.join(", "))
        }
        Err(error) => DoctorCheck::fail("runs", error.to_string(), "look at the database"),
    };
    let desk = match store.open_tasks(&system.tenant, None).await {
        Ok(items) if items.is_empty() => DoctorCheck::ok("desk", "nothing waits for a person"),
        Ok(items) => {
            let oldest = items.first();
            let title = oldest.map(|item| item.title.as_str()).unwrap_or_default();
            let says = match items.len() {
                1 => format!("1 item waits for a person: {title}"),
                many => format!("{many} items wait for a person; the oldest: {title}"),
            };
            DoctorCheck::warn("desk", says, oldest.map(|item| next_command(item, &system.command)).unwrap_or_default())
        }
        Err(error) => DoctorCheck::fail("desk", error.to_string(), "look at the database"),
    };
    [Some(counts), Some(desk), clock_went_back(system).await].into_iter().flatten().collect()
}

/// Checks whether the last recorded entry is ahead of the clock.
async fn clock_went_back(system: &ProjectSystem) -> Option<DoctorCheck> {
    let filter = RunFilter { limit: 1, ..RunFilter::default() };
    let newest = system.store.runs(&system.tenant, filter).await.ok()?.into_iter().next()?;
    let now = SystemClock.now();
    let hint = "set the clock: timers wait until it has caught up";
    (newest.created_at > now)
        .then(|| DoctorCheck::fail("clock", format!("it says {now}, and a run began at {}", newest.created_at), hint))
}
