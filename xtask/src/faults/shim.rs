//! The library that is loaded into the server, `xtask/faults/shim.c`, and the file that controls it.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, bail};

use crate::process;

const SOURCE: &str = "xtask/faults/shim.c";
const COMPILER: &str = "cc";

/// Size of the control file. Its layout is `struct control` in the source.
const FILE_BYTES: usize = 64;
const SLOT_AT: u64 = 0;
const DISK_AT: u64 = 4;
const OFFSETS_AT: [u64; 2] = [8, 16];
const FAILED_AT: u64 = 24;
const STALLED_AT: u64 = 32;
const CLOCK_READS_AT: u64 = 40;

/// The fault of the database files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DiskFault {
    Healthy = 0,
    /// `ENOSPC`.
    Full = 1,
    /// `EIO`.
    Broken = 2,
    /// Calls wait as long as this lasts.
    Stalled = 3,
}

/// Compiles the library into this folder.
///
/// # Errors
/// There is no C compiler, or the system is not supported.
pub fn build(root: &Path, into: &Path) -> anyhow::Result<PathBuf> {
    if !cfg!(target_os = "linux") {
        bail!("LD_PRELOAD and /proc are Linux's: run this on Linux");
    }
    if !process::is_installed(Command::new(COMPILER).arg("--version")) {
        bail!("no C compiler `{COMPILER}` is installed, which builds {SOURCE}: install gcc or clang");
    }
    std::fs::create_dir_all(into)?;
    let library = into.join("shim.so");
    // A concurrent run may be loading the library, so it is replaced atomically.
    let fresh = into.join(format!("shim-{}.so", std::process::id()));
    let mut compile = Command::new(COMPILER);
    compile.args(["-shared", "-fPIC", "-O2", "-Wall", "-o"]).arg(&fresh).arg(root.join(SOURCE));
    process::output(&mut compile).with_context(|| format!("{SOURCE} does not compile"))?;
    std::fs::rename(&fresh, &library)?;
    Ok(library)
}

/// Controls one process from outside.
pub struct ShimControl {
    file: File,
    path: PathBuf,
    /// The active slot and its clock offset.
    clock: Mutex<(u32, i64)>,
}

impl ShimControl {
    /// Creates a control file that changes nothing yet.
    pub fn new(path: PathBuf) -> anyhow::Result<Self> {
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path);
        let file = file.with_context(|| format!("{} cannot be written", path.display()))?;
        file.write_all_at(&[0; FILE_BYTES], 0)?;
        Ok(Self { file, path, clock: Mutex::default() })
    }

    /// Makes a process load the library and use this control file. Disk faults affect the files in `folder`.
    pub fn apply(&self, command: &mut Command, library: &Path, folder: &Path) {
        command.env("LD_PRELOAD", library).env("FAULTS_CONTROL", &self.path).env("FAULTS_FOLDER", folder);
    }

    pub fn disk(&self, disk: DiskFault) -> anyhow::Result<()> {
        Ok(self.file.write_all_at(&(disk as u32).to_ne_bytes(), DISK_AT)?)
    }

    /// Sets the offset of the process's clock from the system's.
    pub fn clock(&self, offset_ns: i64) -> anyhow::Result<()> {
        let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        let other = 1 - clock.0;
        self.file.write_all_at(&offset_ns.to_ne_bytes(), OFFSETS_AT[other as usize])?;
        self.file.write_all_at(&other.to_ne_bytes(), SLOT_AT)?;
        *clock = (other, offset_ns);
        Ok(())
    }

    pub fn offset_ns(&self) -> i64 {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner).1
    }

    /// The number of calls that have failed or waited so far.
    pub fn faults_met(&self) -> anyhow::Result<u64> {
        Ok(self.counter(FAILED_AT)? + self.counter(STALLED_AT)?)
    }

    /// How often the clock was read.
    pub fn clock_reads(&self) -> anyhow::Result<u64> {
        self.counter(CLOCK_READS_AT)
    }

    fn counter(&self, at: u64) -> anyhow::Result<u64> {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, at)?;
        Ok(u64::from_ne_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the shell's `date` with the library loaded.
    fn date(library: &Path, control: &ShimControl, folder: &Path) -> u64 {
        let mut date = Command::new("date");
        control.apply(date.arg("+%s"), library, folder);
        process::output(&mut date).unwrap().trim().parse().unwrap()
    }

    #[test]
    fn the_clock_steps_and_the_disk_is_full_for_one_process() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let Ok(library) = build(root, folder.path()) else { return };
        let control = ShimControl::new(folder.path().join("control")).unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();

        let now = date(&library, &control, &data);
        control.clock(3_600_000_000_000).unwrap();
        let later = date(&library, &control, &data);
        assert!((3_600..3_660).contains(&(later - now)), "{now} {later}");
        control.clock(-3_600_000_000_000).unwrap();
        assert!(date(&library, &control, &data) < now);
        assert!(control.clock_reads().unwrap() >= 3);

        let written = |file: &Path| {
            let mut cat = Command::new("dd");
            control.apply(cat.args(["if=/proc/self/stat", &format!("of={}", file.display())]), &library, &data);
            process::capture(&mut cat).unwrap()
        };
        control.disk(DiskFault::Full).unwrap();
        let inside = written(&data.join("file"));
        assert!(
            !inside.status.success() && inside.combined_output().contains("No space left"),
            "{}",
            inside.combined_output()
        );
        assert!(written(&folder.path().join("elsewhere")).status.success());
        assert_eq!(control.faults_met().unwrap(), 1);
        control.disk(DiskFault::Healthy).unwrap();
        assert!(written(&data.join("file")).status.success());
    }
}
