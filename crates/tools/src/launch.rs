//! Starts processes of Baton's own binary.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

/// How to start such a process: a program, and the `arguments` that precede those of this crate.
#[derive(Clone, Debug)]
pub struct LaunchCommand {
    pub program: PathBuf,
    /// The first arguments.
    pub arguments: Vec<OsString>,
    /// The working directory; by default that of this process.
    pub folder: Option<PathBuf>,
}

impl LaunchCommand {
    /// Starts this very binary, even if its file has been replaced or removed since it was started.
    ///
    /// # Errors
    /// The system does not report the path of the binary.
    pub fn current_exe(arguments: Vec<OsString>) -> io::Result<Self> {
        let program =
            if cfg!(target_os = "linux") { PathBuf::from("/proc/self/exe") } else { std::env::current_exe()? };
        Ok(Self { program, arguments, folder: None })
    }

    /// Returns the same command, started in this folder.
    #[must_use]
    pub fn within(self, folder: &Path) -> Self {
        Self { folder: Some(folder.to_owned()), ..self }
    }

    /// Creates a command with an empty environment and piped standard streams, killed when dropped.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear();
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        #[cfg(unix)]
        command.arg0("baton");
        with_pipes(&mut command);
        command
    }
}

/// Sets up pipes, a kill on drop, and a process group of its own: keys pressed at a terminal reach only this process,
/// and everything the child starts can be killed with it.
pub(crate) fn with_pipes(command: &mut Command) {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    #[cfg(unix)]
    command.process_group(0);
}
