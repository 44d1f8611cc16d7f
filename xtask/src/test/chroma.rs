//! The knowledge base of the tools against a real Chroma server.

use std::process::Command;

use anyhow::Context;

use super::clients;
use super::server_process::{ServerProcess, free_port};
use crate::build::{BuiltExecutable, ExecutableKind};
use crate::process;
use crate::stages::StageClock;

/// The server, at the version this was tested with.
const SERVER: &str = "chromadb==1.5.9";
/// The library that contains the tests.
const TESTS: &str = "baton_tools";
const TEST: &str = "a_real_chroma_answers_in_the_shape_that_was_recorded";

/// Starts a server and runs the test that needs one. The stage is skipped with the reason if no server can be
/// installed.
pub fn run(built: &[BuiltExecutable], stages: &mut StageClock) -> anyhow::Result<()> {
    let Some(tests) = built.iter().find(|one| one.kind == ExecutableKind::UnitTests && one.name == TESTS) else {
        stages.leave_out("chroma", &format!("no tests of `{TESTS}` in this tree"));
        return Ok(());
    };
    let folder = tempfile::tempdir().context("no scratch folder can be made")?;
    if let Err(missing) = clients::python_install(folder.path(), SERVER) {
        stages.leave_out("chroma", &format!("{missing:#}"));
        return Ok(());
    }
    stages.run("chroma", || {
        let port = free_port()?;
        let mut server = Command::new(folder.path().join("bin/chroma"));
        server.arg("run").arg("--path").arg(folder.path().join("data")).args(["--host", "127.0.0.1", "--port"]);
        let _server = ServerProcess::start(server.arg(port.to_string()), port)?;
        let mut test = Command::new(&tests.path);
        test.args([TEST, "--ignored"])
            .current_dir(&tests.folder)
            .env("TEST_CHROMA_URL", format!("http://127.0.0.1:{port}"));
        process::run(&mut test)
    })
}
