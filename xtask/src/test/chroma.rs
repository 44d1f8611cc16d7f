//! The knowledge base of the tools against a real Chroma server.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::clients;
use crate::build::{Executable, Kind};
use crate::process;
use crate::stages::Stages;

/// The server, at the version this was tried with.
const SERVER: &str = "chromadb==1.5.9";
/// Until the server takes connections.
const START_LIMIT: Duration = Duration::from_secs(60);
/// The library whose tests hold it.
const TESTS: &str = "baton_tools";
const TEST: &str = "a_real_chroma_answers_in_the_shape_that_was_recorded";

/// Starts a server and runs the test that needs one; where no server can be had, it is left out with the reason.
pub fn run(built: &[Executable], stages: &mut Stages) -> anyhow::Result<()> {
    let Some(tests) = built.iter().find(|one| one.kind == Kind::UnitTests && one.name == TESTS) else {
        stages.leave_out("chroma", &format!("no tests of `{TESTS}` in this tree"));
        return Ok(());
    };
    let folder = tempfile::tempdir().context("no scratch folder can be made")?;
    if let Err(missing) = clients::python_install(folder.path(), SERVER) {
        stages.leave_out("chroma", &format!("{missing:#}"));
        return Ok(());
    }
    stages.run("chroma", || {
        let server = Server::start(folder.path())?;
        let mut test = Command::new(&tests.path);
        test.args([TEST, "--ignored"])
            .current_dir(&tests.folder)
            .env("TEST_CHROMA_URL", format!("http://127.0.0.1:{}", server.port));
        process::run(&mut test)
    })
}

struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start(folder: &Path) -> anyhow::Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port is free")?.local_addr()?.port();
        let mut command = Command::new(folder.join("bin/chroma"));
        command.arg("run").arg("--path").arg(folder.join("data")).args(["--host", "127.0.0.1", "--port"]);
        command.arg(port.to_string()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut server = Self { child: command.spawn().context("chroma cannot be started")?, port };
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if let Some(status) = server.child.try_wait()? {
                bail!("chroma ended with {status}");
            }
            if begun.elapsed() > START_LIMIT {
                bail!("chroma takes no connection after {} s", START_LIMIT.as_secs());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
