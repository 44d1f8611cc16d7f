//! Starting a process of our own binary.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

/// How to start a process of our own: a program that does what `arguments` tell, the room's own behind them.
#[derive(Clone, Debug)]
pub struct LaunchCommand {
    pub program: PathBuf,
    /// What comes first.
    pub arguments: Vec<OsString>,
    /// Where it is started; where we were unless told.
    pub folder: Option<PathBuf>,
}

impl LaunchCommand {
    /// This very binary, even if its file has been replaced or removed since it was started.
    ///
    /// # Errors
    /// The system does not say which it is.
    pub fn current_exe(arguments: Vec<OsString>) -> io::Result<Self> {
        let program =
            if cfg!(target_os = "linux") { PathBuf::from("/proc/self/exe") } else { std::env::current_exe()? };
        Ok(Self { program, arguments, folder: None })
    }

    /// The same, started in this folder.
    #[must_use]
    pub fn within(self, folder: &Path) -> Self {
        Self { folder: Some(folder.to_owned()), ..self }
    }

    /// With nothing of our environment, spoken to by pipes, ended when it is dropped.
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

/// Spoken to by pipes, ended when it is dropped, in a group of its own: keys pressed at a terminal are for us, and what it
/// starts can be ended with it.
pub(crate) fn with_pipes(command: &mut Command) {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    #[cfg(unix)]
    command.process_group(0);
}
