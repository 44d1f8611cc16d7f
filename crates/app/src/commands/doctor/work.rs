//! The database, and the work in it.

use std::path::{Path, PathBuf};

use baton_ports::clock::{Clock, SystemClock};
use baton_ports::journal::Journal;
use baton_ports::read::{Read, RunFilter};
use baton_store::sqlite::{self, Depth, Store};

use super::Check;
use crate::commands::desk::way_on;
use crate::commands::knowledge;
use crate::project::{Project, shown};
use crate::wire::System;

/// Runs that wait for a mover are counted up to here.
const IDLE_MAX: usize = 1_000;

/// Findings of SQLite's that are told; the log of `sqlite3` has them all.
const FINDINGS_MAX: usize = 3;

/// Whether every page of the database is well formed. SQLite keeps no checksums: a value that was
/// changed is not seen.
pub async fn pages(project: &Project, depth: Depth) -> Option<Check> {
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
            let how = if depth == Depth::Full { "every page and index" } else { "every page" };
            Check::ok("pages", format!("{how} of the database is well formed"))
        }
        Ok(Ok(findings)) => {
            let some: Vec<&str> = findings.iter().take(FINDINGS_MAX).map(String::as_str).collect();
            let more = findings.len().saturating_sub(FINDINGS_MAX);
            let more = if more > 0 { format!("; and {more} more") } else { String::new() };
            Check::fail("database", format!("{} is damaged: {}{more}", shown(&file), some.join("; ")), HINT)
        }
        Ok(Err(error)) => {
            let hint = "do what the message says; else check who may read the file and its folder";
            Check::fail("database", error.to_string(), hint)
        }
        Err(error) => Check::fail("database", error.to_string(), HINT),
    })
}

pub async fn checks(project: &Project) -> Vec<Check> {
    let file = project.database();
    if !project.has_database() {
        return vec![not_made(&file)];
    }
    let system = match System::open(project) {
        Ok(system) => system,
        Err(error) => {
            let hint = "look at who may write the file and its folder; a newer Baton may have written it";
            return vec![Check::fail("database", format!("{error:#}"), hint)];
        }
    };
    let mut checks = writes(&system.store, &file).await;
    checks.extend(runs(&system).await);
    checks.extend(memory(&system).await);
    checks
}

fn not_made(file: &Path) -> Check {
    let folder = file.ancestors().skip(1).find(|folder| folder.is_dir());
    let is_writable =
        folder.and_then(|folder| folder.metadata().ok()).is_some_and(|about| !about.permissions().readonly());
    if is_writable {
        Check::ok("database", format!("{} is made by the first run", shown(file)))
    } else {
        Check::fail("database", format!("{} cannot be made", shown(file)), "let the folder above it be written to")
    }
}

/// Joins the store and leaves it again: a durable write, and a lock taken and let go.
async fn writes(store: &Store, file: &Path) -> Vec<Check> {
    let lease = match store.join(SystemClock.steady()).await {
        Ok(lease) => lease,
        Err(error) => {
            return vec![Check::fail(
                "database",
                error.to_string(),
                "make room on the disk, and look at the permissions",
            )];
        }
    };
    let bytes = file.metadata().map_or(0, |about| about.len());
    let database = Check::ok("database", format!("{}, {} KiB, can be written", shown(file), bytes >> 10));
    let locks = locks(&owners_folder(file));
    let idle = idle(store, lease.process).await;
    let left = store.leave(lease.process).await.err();
    let left = left.map(|error| Check::fail("database", error.to_string(), "look at the disk"));
    [Some(database), Some(locks), Some(idle), left].into_iter().flatten().collect()
}

/// The folder of locks that the store keeps beside its file.
fn owners_folder(file: &Path) -> PathBuf {
    let mut folder = file.as_os_str().to_owned();
    folder.push(".owners");
    folder.into()
}

fn locks(folder: &Path) -> Check {
    match std::fs::read_dir(folder) {
        Ok(entries) => {
            // One is ours, taken a moment ago.
            match entries.count().saturating_sub(1) {
                0 => Check::ok("locks", "can be taken; no other process has left one"),
                1 => Check::ok("locks", "can be taken; one of another process is there, alive or dead"),
                others => {
                    Check::ok("locks", format!("can be taken; {others} of other processes are there, alive or dead"))
                }
            }
        }
        Err(error) => Check::fail("locks", format!("{}: {error}", shown(folder)), "let the folder be written to"),
    }
}

/// Whether what is remembered answers by the settings of now.
async fn memory(system: &System) -> Option<Check> {
    match knowledge::outdated(system).await {
        Ok(None) => None,
        Ok(Some(says)) => Some(Check::warn("memory", says, "`baton knowledge reindex` builds it anew")),
        Err(error) => Some(Check::fail("memory", format!("{error:#}"), "look at the database")),
    }
}

async fn idle(store: &Store, process: baton_ports::journal::ProcessId) -> Check {
    match store.due(process, SystemClock.now(), SystemClock.steady(), IDLE_MAX).await {
        Ok(idle) if idle.is_empty() => Check::ok("stuck", "no run waits for somebody to move it"),
        Ok(idle) => {
            let says = match idle.len() {
                1 => "1 run has something to do, and nobody moves it".to_owned(),
                IDLE_MAX => format!("{IDLE_MAX} runs or more have something to do, and nobody moves them"),
                many => format!("{many} runs have something to do, and nobody moves them"),
            };
            Check::warn("stuck", says, "`baton runs work` moves what can be moved")
        }
        Err(error) => Check::fail("stuck", error.to_string(), "look at the database"),
    }
}

async fn runs(system: &System) -> Vec<Check> {
    let store = &system.store;
    let counts = match store.counts().await {
        Ok(counts) if counts.is_empty() => Check::ok("runs", "none yet"),
        Ok(counts) => {
            let counts: Vec<String> = counts.iter().map(|(state, count)| format!("{count} {state}")).collect();
            Check::ok("runs", counts.join(", "))
        }
        Err(error) => Check::fail("runs", error.to_string(), "look at the database"),
    };
    let desk = match store.desk(&system.tenant, None).await {
        Ok(items) if items.is_empty() => Check::ok("desk", "nothing waits for a person"),
        Ok(items) => {
            let oldest = items.first();
            let title = oldest.map(|item| item.title.as_str()).unwrap_or_default();
            let says = match items.len() {
                1 => format!("1 item waits for a person: {title}"),
                many => format!("{many} items wait for a person; the oldest: {title}"),
            };
            Check::warn("desk", says, oldest.map(|item| way_on(item, &system.command)).unwrap_or_default())
        }
        Err(error) => Check::fail("desk", error.to_string(), "look at the database"),
    };
    [Some(counts), Some(desk), clock_went_back(system).await].into_iter().flatten().collect()
}

/// Whether what was recorded last lies ahead of the clock.
async fn clock_went_back(system: &System) -> Option<Check> {
    let filter = RunFilter { limit: 1, ..RunFilter::default() };
    let newest = system.store.runs(&system.tenant, filter).await.ok()?.into_iter().next()?;
    let now = SystemClock.now();
    let hint = "set the clock: timers wait until it has caught up";
    (newest.created_at > now)
        .then(|| Check::fail("clock", format!("it says {now}, and a run began at {}", newest.created_at), hint))
}
