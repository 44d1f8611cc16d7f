//! Checks of the machine: disk space, open files and a plausible clock.

use std::path::{Path, PathBuf};
use std::process::Command;

use baton_core::time::Time;
use baton_ports::clock::{Clock, SystemClock};

use super::DoctorCheck;

/// Journals and logs soon use up less space than this.
const DISK_WARN_BYTES: u64 = 1 << 30;
/// With less space than this, recording soon stops.
const DISK_FAIL_BYTES: u64 = 64 << 20;
/// A lower limit on open files leaves too few connections to tools and models.
const FILES_WARN: u64 = 1_024;
/// 2026-01-01T00:00:00Z. This program is newer.
const BUILT_AFTER: Time = Time::from_ms(1_767_225_600_000);

pub fn checks(folder: &Path) -> Vec<DoctorCheck> {
    [disk(folder), files(), Some(clock())].into_iter().flatten().collect()
}

/// Runs `df`, because there is no portable system call. No check if `df` is missing.
fn disk(folder: &Path) -> Option<DoctorCheck> {
    let there = nearest_existing(folder)?;
    let answer = Command::new("df").arg("-Pk").arg(&there).output().ok()?;
    let text = String::from_utf8(answer.stdout).ok()?;
    let kilobytes: u64 = text.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()?;
    let free = kilobytes.saturating_mul(1_024);
    let says = format!("{} free", format_bytes(free));
    let hint = "make room; a run that cannot be recorded does not go on";
    Some(match free {
        free if free < DISK_FAIL_BYTES => DoctorCheck::fail("disk", says, hint),
        free if free < DISK_WARN_BYTES => DoctorCheck::warn("disk", says, hint),
        _ => DoctorCheck::ok("disk", says),
    })
}

/// The folder itself, or its closest ancestor that exists.
fn nearest_existing(folder: &Path) -> Option<PathBuf> {
    let whole = std::path::absolute(folder).ok()?;
    whole.ancestors().find(|path| path.is_dir()).map(Path::to_owned)
}

fn format_bytes(bytes: u64) -> String {
    let gigabytes = bytes >> 30;
    if gigabytes > 0 { format!("{gigabytes} GiB") } else { format!("{} MiB", bytes >> 20) }
}

/// The limit as Linux reports it. No check on other systems.
fn files() -> Option<DoctorCheck> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find(|line| line.starts_with("Max open files"))?;
    let soft = line.split_whitespace().nth(3)?;
    let says = format!("{soft} may be open at once");
    match soft.parse::<u64>() {
        Ok(files) if files < FILES_WARN => {
            Some(DoctorCheck::warn("files", says, format!("`ulimit -n {FILES_WARN}` or more")))
        }
        Ok(_) | Err(_) => Some(DoctorCheck::ok("files", says)),
    }
}

fn clock() -> DoctorCheck {
    let now = SystemClock.now();
    if now < BUILT_AFTER {
        return DoctorCheck::fail("clock", format!("it says {now}"), "set the clock: deadlines and timers go by it");
    }
    DoctorCheck::ok("clock", now.to_string())
}
