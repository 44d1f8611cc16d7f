//! The API against its own document: Schemathesis, of PyPI, makes requests that fit it and requests that do not, and looks at
//! what is answered.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};

use super::clients;
use crate::bench::models::server::BenchServer;
use crate::build::{self, BuiltExecutable};
use crate::process;
use crate::report;
use crate::stages::StageClock;

/// What asks, and what draws for it, at the versions this was tried with.
const PACKAGES: &str = "schemathesis==4.32.5 hypothesis==6.170.15";
/// Requests to each operation in each phase that draws them: the same each time, as long as the packages are the same.
const EXAMPLES: &str = "12";
/// All of it, on a slow machine as well.
const LIMIT: Duration = Duration::from_secs(10 * 60);
/// The document, which a wall holds against the code that answers.
const DOCUMENT: &str = "docs/reference/openapi.json";
/// The project that is served, and what is asked of it.
const FOLDER: &str = "xtask/api";

/// Asks a running `baton serve` by its document; where the package cannot be had, it is left out with the reason.
pub fn run(root: &Path, built: &[BuiltExecutable], stages: &mut StageClock) -> anyhow::Result<()> {
    let baton = build::binary(built, "baton").context("the workspace builds no binary named `baton`")?;
    let folder = tempfile::tempdir().context("no scratch folder can be made")?;
    if let Err(missing) = clients::python_install(folder.path(), PACKAGES) {
        stages.leave_out("api", &format!("{missing:#}"));
        return Ok(());
    }
    stages.run("api", || {
        let server = BenchServer::in_project(baton, &root.join(FOLDER).join("project"))?;
        let mut asks = Command::new(folder.path().join("bin/schemathesis"));
        asks.arg("--config-file").arg(root.join(FOLDER).join("schemathesis.toml"));
        asks.arg("run").arg(root.join(DOCUMENT));
        asks.arg("--url").arg(format!("http://127.0.0.1:{}", server.port()));
        asks.args(["--max-examples", EXAMPLES, "--no-color"]);
        asks.env("BATON_KEY", server.key()).current_dir(folder.path());
        let finished = process::run_within(&mut asks, LIMIT)?;
        let told = finished.combined_output();
        if finished.status.success() {
            let from = told.rfind("= SUMMARY =").unwrap_or_default();
            report::line(told.get(from..).unwrap_or(&told).trim_end());
            return Ok(());
        }
        report::line(told.trim_end());
        bail!("the API is not as {DOCUMENT} says")
    })
}
