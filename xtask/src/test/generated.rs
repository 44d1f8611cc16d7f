//! The API document as external tools use it: a validator accepts it, and clients generated from it, in TypeScript and
//! in Python, compile and run a workflow.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};

use super::clients;
use crate::bench::models::server::BenchServer;
use crate::build::{self, BuiltExecutable};
use crate::process;
use crate::report;
use crate::stages::StageClock;

/// At the versions this was tested with.
const PYTHON: &str = "openapi-spec-validator==0.9.0 openapi-python-client==0.29.1";
const NODE: [&str; 3] = ["openapi-typescript@7.13.0", "openapi-fetch@0.17.0", "typescript@5.9.3"];
/// Time limit of one command of these tools.
const LIMIT: Duration = Duration::from_secs(60);
const FOLDER: &str = "xtask/generated";
/// The document, as it is published.
const DOCUMENT: &str = "openapi.json";

/// Validates, generates, compiles and runs. A part that cannot be installed is skipped with the reason.
pub fn run(root: &Path, built: &[BuiltExecutable], stages: &mut StageClock) -> anyhow::Result<()> {
    let baton = build::binary(built, "baton").context("the workspace builds no binary named `baton`")?;
    let ours = root.join(FOLDER);
    let folder = tempfile::tempdir().context("no scratch folder can be made")?;
    let document = process::output(Command::new(baton).args(["reference", "openapi"]))?;
    for language in ["python", "node"] {
        std::fs::create_dir(folder.path().join(language))?;
        std::fs::write(folder.path().join(language).join(DOCUMENT), &document)?;
    }
    let (python, node) = (folder.path().join("python"), folder.path().join("node"));
    match clients::python_install(&python.join("venv"), PYTHON) {
        Ok(()) => stages.run("py generated", || in_python(baton, &ours, &python))?,
        Err(missing) => stages.leave_out("py generated", &format!("{missing:#}")),
    }
    match clients::node_installs(&node, &NODE) {
        Ok(()) => stages.run("ts generated", || in_typescript(baton, &ours, &node))?,
        Err(missing) => stages.leave_out("ts generated", &format!("{missing:#}")),
    }
    Ok(())
}

fn in_python(baton: &Path, ours: &Path, folder: &Path) -> anyhow::Result<()> {
    let bin = folder.join("venv/bin");
    let mut validates = Command::new(bin.join("python"));
    run_command(validates.args(["-m", "openapi_spec_validator", DOCUMENT]), folder)?;
    let mut generates = Command::new(bin.join("openapi-python-client"));
    generates.args(["generate", "--path", DOCUMENT, "--meta", "none", "--output-path", "baton_client"]);
    run_command(&mut generates, folder)?;
    let mut compiles = Command::new(bin.join("python"));
    run_command(compiles.args(["-m", "compileall", "-q", "baton_client"]), folder)?;
    std::fs::copy(ours.join("client.py"), folder.join("client.py"))?;
    let mut runs = Command::new(bin.join("python"));
    run_client(baton, ours, runs.arg("client.py"), folder)
}

fn in_typescript(baton: &Path, ours: &Path, folder: &Path) -> anyhow::Result<()> {
    let bin = folder.join("node_modules/.bin");
    run_command(Command::new(bin.join("openapi-typescript")).args([DOCUMENT, "-o", "api.d.ts"]), folder)?;
    for file in ["client.ts", "tsconfig.json"] {
        std::fs::copy(ours.join(file), folder.join(file))?;
    }
    run_command(Command::new(bin.join("tsc")).args(["--project", "tsconfig.json"]), folder)?;
    std::fs::rename(folder.join("client.js"), folder.join("client.mjs"))?;
    run_client(baton, ours, Command::new("node").arg("client.mjs"), folder)
}

/// Runs a client against a server of its own.
fn run_client(baton: &Path, ours: &Path, client: &mut Command, folder: &Path) -> anyhow::Result<()> {
    let server = BenchServer::in_project(baton, &ours.join("project"))?;
    client.args([&format!("http://127.0.0.1:{}", server.port()), server.key()]);
    report::line(run_command(client, folder)?.trim_end());
    Ok(())
}

/// The output of a command that succeeds.
fn run_command(command: &mut Command, folder: &Path) -> anyhow::Result<String> {
    let what = command.get_program().to_string_lossy().into_owned();
    let finished = process::run_within(command.current_dir(folder).stdin(Stdio::null()), LIMIT)?;
    if finished.status.success() {
        return Ok(finished.combined_output());
    }
    report::line(finished.combined_output().trim_end());
    bail!("`{what}` ended with {}", finished.status)
}
