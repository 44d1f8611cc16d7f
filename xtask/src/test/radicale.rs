//! A real CalDAV server for the calendar tests: Radicale, from PyPI, on a port of its own with an empty store.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::clients::{installed, python_environment};
use super::server_process::{ServerProcess, free_port};

/// The server, at the version this was tested with.
const PACKAGE: &str = "radicale==3.9.0";
/// The variable that gives the tests its address.
const VARIABLE: &str = "TEST_RADICALE_URL";

/// A server that runs until it is dropped.
pub struct RadicaleServer {
    _server: ServerProcess,
    port: u16,
    /// Its settings and its data.
    _folder: tempfile::TempDir,
}

impl RadicaleServer {
    /// Installs the server under `cache` if it is not there, and starts it.
    pub fn start(cache: &Path) -> anyhow::Result<Self> {
        let python = install(cache)?;
        let folder = tempfile::tempdir().context("no scratch folder can be made")?;
        let port = free_port()?;
        let shown = folder.path().display();
        let settings = format!(
            "[server]\nhosts = 127.0.0.1:{port}\nmax_connections = 64\n\
             [auth]\ntype = htpasswd\nhtpasswd_filename = {shown}/users\nhtpasswd_encryption = plain\ndelay = 0\n\
             [storage]\nfilesystem_folder = {shown}/kept\n[logging]\nlevel = error\n"
        );
        std::fs::write(folder.path().join("config"), settings)?;
        std::fs::write(folder.path().join("users"), "baton:baton\n")?;
        let mut radicale = Command::new(python);
        radicale.args(["-m", "radicale", "--config"]).arg(folder.path().join("config"));
        Ok(Self { _server: ServerProcess::start(&mut radicale, port)?, port, _folder: folder })
    }

    /// The variable and its value.
    pub fn variable(&self) -> (&'static str, String) {
        (VARIABLE, format!("http://127.0.0.1:{}", self.port))
    }
}

/// The Python interpreter of the installation. An incomplete installation has another name, so it is never used.
fn install(cache: &Path) -> anyhow::Result<PathBuf> {
    let folder = cache.join(PACKAGE.replace("==", "-"));
    let (python, done) = (folder.join("bin/python"), folder.join("installed"));
    if done.exists() {
        return Ok(python);
    }
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    python_environment(&folder)?;
    let mut pip = Command::new(folder.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", PACKAGE]);
    installed(pip, PACKAGE)?;
    std::fs::write(done, PACKAGE)?;
    Ok(python)
}
