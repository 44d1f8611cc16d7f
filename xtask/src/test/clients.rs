//! OpenAI's official clients for Node and Python, against a running `baton serve` with scripted replies.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};

use crate::bench::models::server::BenchServer;
use crate::build::{self, BuiltExecutable};
use crate::process;
use crate::report;
use crate::stages::StageClock;

/// The clients, at the versions this was tested with.
const NODE_CLIENT: &str = "openai@7.55.0";
const PYTHON_CLIENT: &str = "openai==3.52.0";
/// Time limit for installing a client.
const INSTALL_LIMIT: Duration = Duration::from_secs(4 * 60);
/// Time limit for a client's whole conversation.
const CONVERSATION_LIMIT: Duration = Duration::from_secs(60);

/// One client, and what it needs on this machine.
struct ClientLibrary {
    stage: &'static str,
    install: fn(&Path, &str) -> anyhow::Result<()>,
    package: &'static str,
    conversation: fn(&Path, &Path) -> Command,
}

const CLIENTS: [ClientLibrary; 2] = [
    ClientLibrary {
        stage: "node client",
        install: node_install,
        package: NODE_CLIENT,
        conversation: node_conversation,
    },
    ClientLibrary {
        stage: "py client",
        install: python_install,
        package: PYTHON_CLIENT,
        conversation: python_conversation,
    },
];

/// Runs each client that can be installed here. A client that cannot is skipped with the reason.
pub fn run(root: &Path, built: &[BuiltExecutable], stages: &mut StageClock) -> anyhow::Result<()> {
    let baton = build::binary(built, "baton").context("the workspace builds no binary named `baton`")?;
    let scripts = root.join("xtask/clients");
    for client in CLIENTS {
        let folder = tempfile::tempdir().context("no scratch folder can be made")?;
        if let Err(missing) = (client.install)(folder.path(), client.package) {
            stages.leave_out(client.stage, &format!("{missing:#}"));
            continue;
        }
        stages.run(client.stage, || {
            let server = BenchServer::in_project(baton, &scripts.join("project"))?;
            let mut talk = (client.conversation)(folder.path(), &scripts);
            talk.args([&format!("http://127.0.0.1:{}/v1", server.port()), server.key()]);
            let finished = process::run_within(&mut talk, CONVERSATION_LIMIT)?;
            report::line(finished.combined_output().trim_end());
            if finished.status.success() { Ok(()) } else { bail!("the client ended with {}", finished.status) }
        })?;
    }
    Ok(())
}

/// Runs an installer. The error contains its last output.
pub fn installed(mut command: Command, what: &str) -> anyhow::Result<()> {
    let finished = process::run_within(&mut command, INSTALL_LIMIT)?;
    if finished.status.success() {
        return Ok(());
    }
    let told = finished.combined_output();
    let why = told.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no reason was given");
    bail!("{what} cannot be installed: {why}")
}

/// Installs an npm package into a folder.
pub fn node_install(folder: &Path, package: &str) -> anyhow::Result<()> {
    node_installs(folder, &[package])
}

/// Installs several npm packages.
pub fn node_installs(folder: &Path, packages: &[&str]) -> anyhow::Result<()> {
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--prefix"]).arg(folder).args(packages);
    installed(npm, &packages.join(" "))
}

/// Node looks for modules beside the script, so the script is copied there.
fn node_conversation(folder: &Path, scripts: &Path) -> Command {
    let own = folder.join("clients.mjs");
    let copied = std::fs::copy(scripts.join("clients.mjs"), &own);
    let mut node = Command::new("node");
    // If the copy failed, node reports that the file does not exist.
    drop(copied);
    node.arg(own).stdin(Stdio::null());
    node
}

/// Creates a Python environment.
pub fn python_environment(folder: &Path) -> anyhow::Result<()> {
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv"]).arg(folder);
    installed(venv, "a Python environment (the package python3-venv)")
}

/// Installs packages of PyPI, separated by spaces, into a separate environment.
pub fn python_install(folder: &Path, packages: &str) -> anyhow::Result<()> {
    python_environment(folder)?;
    let mut pip = Command::new(folder.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check"]).args(packages.split(' '));
    installed(pip, packages)
}

fn python_conversation(folder: &Path, scripts: &Path) -> Command {
    let mut python = Command::new(folder.join("bin/python"));
    python.arg(scripts.join("clients.py"));
    python
}
