//! A server for tests: a process that listens on a port of its own until it is dropped.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::process;

/// Time limit from its start to its first connection.
const START_LIMIT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A process that runs until it is dropped.
pub struct ServerProcess {
    child: Child,
}

impl ServerProcess {
    /// Starts the process, and waits until it accepts connections on the port.
    pub fn start(command: &mut Command, port: u16) -> anyhow::Result<Self> {
        let what = process::command_line(command);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut server = Self { child: child.with_context(|| format!("`{what}` does not start"))? };
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if let Some(status) = server.child.try_wait()? {
                bail!("`{what}` ended with {status} before it listened");
            }
            if begun.elapsed() > START_LIMIT {
                bail!("`{what}` did not listen within {} s", START_LIMIT.as_secs());
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        Ok(server)
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // The process may already have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that is not in use.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port is free")?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_ends_before_it_listens_is_told_with_its_exit() {
        let mut shell = Command::new("sh");
        shell.args(["-c", "exit 3"]);
        let error = ServerProcess::start(&mut shell, free_port().unwrap()).err().unwrap().to_string();
        assert!(error.contains("sh -c") && error.contains("exit status: 3"), "{error}");
    }
}
