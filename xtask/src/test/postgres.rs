//! A private PostgreSQL server for the tests that need one: in a scratch folder, on a free port, removed afterwards.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tempfile::TempDir;

use super::certificates;
use super::server_process::free_port;
use super::system;
use crate::process;

/// Variables with which tests find the server's address and the authority of its certificate.
const ADDRESS: &str = "POSTGRES_FOR_TESTS";
const AUTHORITY: &str = "POSTGRES_CA_FOR_TESTS";
/// PostgreSQL does not run as root. These are `nobody` and `nogroup` on Debian.
const NOBODY: u32 = 65_534;
/// The folder in which Debian keeps the programs of each version.
const DEBIAN: &str = "/usr/lib/postgresql";
const START_LIMIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// A running server, stopped when dropped.
pub struct PostgresServer {
    process: Child,
    variables: [(&'static str, String); 2],
    _folder: TempDir,
}

impl PostgresServer {
    /// Starts a server. The error states what is missing here.
    pub fn start() -> anyhow::Result<Self> {
        let programs = programs()?;
        let folder = tempfile::tempdir().context("no scratch folder can be made")?;
        let here = folder.path();
        certificates::make(here)?;
        let is_root = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(here)?) == 0;
        if is_root {
            for entry in std::fs::read_dir(here)?.map(|entry| entry.map(|entry| entry.path())).chain([Ok(here.into())])
            {
                chown(entry?, Some(NOBODY), Some(NOBODY))?;
            }
        }
        let data = here.join("data");
        let mut initdb = as_nobody(Command::new(programs.join("initdb")), is_root);
        initdb.current_dir(here).args(["--username=baton", "--auth=trust", "--encoding=UTF8", "--no-sync", "--pgdata"]);
        process::output(initdb.arg(&data))?;
        let port = free_port()?;
        let mut server = as_nobody(Command::new(programs.join("postgres")), is_root);
        server.current_dir(here).arg("-D").arg(&data);
        for setting in [
            format!("port={port}"),
            "listen_addresses=127.0.0.1".to_owned(),
            "unix_socket_directories=".to_owned(),
            "fsync=off".to_owned(),
            "ssl=on".to_owned(),
            format!("ssl_cert_file={}", here.join(certificates::CERTIFICATE).display()),
            format!("ssl_key_file={}", here.join(certificates::KEY).display()),
        ] {
            server.args(["-c", &setting]);
        }
        let process = server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let variables = [
            (ADDRESS, format!("postgres://baton@127.0.0.1:{port}/postgres")),
            (AUTHORITY, here.join(certificates::AUTHORITY).display().to_string()),
        ];
        let mut server = Self { process, variables, _folder: folder };
        server.wait(&programs, port)?;
        Ok(server)
    }

    /// The variables for the tests.
    pub fn variables(&self) -> &[(&'static str, String)] {
        &self.variables
    }

    fn wait(&mut self, programs: &Path, port: u16) -> anyhow::Result<()> {
        let begun = Instant::now();
        let mut ready = Command::new(programs.join("pg_isready"));
        ready
            .args(["--quiet", "--host=127.0.0.1", "--dbname=postgres", "--username=baton"])
            .arg(format!("--port={port}"));
        while !process::is_installed(&mut ready) {
            if let Some(status) = self.process.try_wait()? {
                bail!("PostgreSQL ended with {status} before it was ready");
            }
            if begun.elapsed() > START_LIMIT {
                bail!("PostgreSQL was not ready after {} s", START_LIMIT.as_secs());
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // Its child processes end only on an orderly stop. After a kill they would stay.
        let mut stop = Command::new("kill");
        let asked = stop.arg("-INT").arg(self.process.id().to_string()).status();
        if !asked.is_ok_and(|status| status.success()) {
            drop(self.process.kill());
        }
        drop(self.process.wait());
    }
}

/// The folder of `initdb` and `postgres`. They are installed if that is possible without a prompt.
fn programs() -> anyhow::Result<PathBuf> {
    if let Some(found) = found() {
        return Ok(found);
    }
    system::install("postgresql", "PostgreSQL")?;
    found().context("PostgreSQL was installed, and its `initdb` is not where Debian keeps it")
}

fn found() -> Option<PathBuf> {
    let named = std::env::var_os("PATH").into_iter().flat_map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    let mut versions: Vec<PathBuf> = std::fs::read_dir(DEBIAN)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    versions.sort();
    let has = |folder: &PathBuf| ["initdb", "postgres", "pg_isready"].iter().all(|name| folder.join(name).is_file());
    versions.into_iter().rev().chain(named).find(has)
}

fn as_nobody(mut command: Command, is_root: bool) -> Command {
    if is_root {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}
