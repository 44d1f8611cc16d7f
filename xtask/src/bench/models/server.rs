//! A `baton serve` process in a project of its own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::Context;
use serde_json::Value;

/// Budgets far above the cost of a measurement, so that each call is reserved and none is rejected.
const SETTINGS: &str = "
[models]
base_url = \"http://127.0.0.1:PORT/v1\"
api_key = \"sk-measured\"

[budgets]
hourly_usd = 1000000
daily_usd = 1000000
monthly_usd = 1000000
";

pub struct BenchServer {
    binary: PathBuf,
    process: Child,
    port: u16,
    key: String,
    folder: tempfile::TempDir,
}

impl BenchServer {
    /// Starts a server in a project whose only provider listens on the given port.
    pub fn start(binary: &Path, upstream: u16) -> anyhow::Result<Self> {
        Self::start_with(binary, upstream, &[])
    }

    /// Like [`Self::start`], with additional files in the project.
    pub fn start_with(binary: &Path, upstream: u16, files: &[(&str, &str)]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("no scratch folder can be made")?;
        for (file, text) in files {
            let file = folder.path().join(file);
            file.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            std::fs::write(file, text)?;
        }
        std::fs::write(folder.path().join("baton.toml"), SETTINGS.replace("PORT", &upstream.to_string()))?;
        Self::start_in_folder(binary, folder)
    }

    /// Starts a server in a copy of a project's settings and replies.
    pub fn in_project(binary: &Path, project: &Path) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("no scratch folder can be made")?;
        copy(project, folder.path()).with_context(|| format!("{} cannot be copied", project.display()))?;
        Self::start_in_folder(binary, folder)
    }

    fn start_in_folder(binary: &Path, folder: tempfile::TempDir) -> anyhow::Result<Self> {
        let (process, said) = serve(binary, folder.path(), 0)?;
        let port = said["url"].as_str().and_then(|url| url.rsplit(':').next()?.parse().ok());
        let port = port.with_context(|| format!("`baton serve` named no port: {said}"))?;
        let key = said["key"].as_str().context("`baton serve` made no key")?.to_owned();
        Ok(Self { binary: binary.to_owned(), process, port, key, folder })
    }

    /// Kills the process with SIGKILL and starts it again in the same folder on the same port.
    pub fn kill_and_restart(&mut self) -> anyhow::Result<()> {
        self.process.kill().context("it cannot be killed")?;
        self.process.wait()?;
        self.process = serve(&self.binary, self.folder.path(), self.port)?.0;
        Ok(())
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn key(&self) -> &str {
        &self.key
    }

    pub fn resident_mb(&self) -> Option<f64> {
        resident_mb(self.process.id())
    }
}

impl Drop for BenchServer {
    fn drop(&mut self) {
        // The process may already have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Copies a folder with its contents into an existing folder.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let place = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            std::fs::create_dir(&place)?;
            copy(&entry.path(), &place)?;
        } else {
            std::fs::copy(entry.path(), place)?;
        }
    }
    Ok(())
}

/// The process, and the line that it printed once it listened.
fn serve(binary: &Path, folder: &Path, port: u16) -> anyhow::Result<(Child, Value)> {
    let mut command = Command::new(binary);
    command.current_dir(folder).args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--json"]);
    let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let line = first_line(&mut process)?;
    let said = serde_json::from_str(&line).with_context(|| format!("`baton serve` said `{line}`"))?;
    Ok((process, said))
}

/// The first line of a process's output. Later output is not read.
pub fn first_line(process: &mut Child) -> anyhow::Result<String> {
    let stdout = process.stdout.take().context("its output is not captured")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).context("its output cannot be read")?;
    anyhow::ensure!(!line.is_empty(), "it ended without a word");
    Ok(line)
}

/// Resident memory of a process, if the system reports it.
#[expect(clippy::cast_precision_loss, reason = "kilobytes of one process are far below 2^52")]
pub fn resident_mb(process: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some((kilobytes as f64 / 102.4).round() / 10.0)
}
