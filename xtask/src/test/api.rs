//! Tests the API against its own document: Schemathesis, from PyPI, sends valid and invalid requests and checks the
//! responses.

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

/// The test tool and its generator, at the versions this was tested with.
const PACKAGES: &str = "schemathesis==4.32.5 hypothesis==6.170.15";
/// Requests to each operation in each generating phase. They are the same each time with the same packages.
const EXAMPLES: &str = "12";
/// Time limit of the whole test, sufficient for a slow machine.
const LIMIT: Duration = Duration::from_secs(10 * 60);
/// The API document, which a lint compares with the code.
const DOCUMENT: &str = "docs/reference/openapi.json";
/// The project that is served, and the configuration of the test.
const FOLDER: &str = "xtask/api";

/// Tests a running `baton serve` against its document. The stage is skipped with the reason if the package cannot be
/// installed.
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
