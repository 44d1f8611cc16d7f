//! A scratch folder, and `baton` commands in it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;

use serde_json::Value;

/// A scratch folder. It is removed when the value and the last server that was started in it are dropped.
pub struct TestFolder {
    folder: Arc<tempfile::TempDir>,
}

/// The exit code of a command, and its output.
pub struct CommandOutput {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl TestFolder {
    pub fn empty() -> Self {
        Self { folder: Arc::new(tempfile::tempdir().expect("a folder")) }
    }

    /// Creates a folder with these files.
    pub fn with(files: &[(&str, &str)]) -> Self {
        let place = Self::empty();
        for (name, text) in files {
            place.write(name, text);
        }
        place
    }

    /// Copies the contents of this folder, except a project's own data.
    pub fn copy_of(folder: &Path) -> Self {
        fn copy(from: &Path, to: &Path) {
            std::fs::create_dir_all(to).expect("a folder");
            for entry in std::fs::read_dir(from).expect("a folder") {
                let from = entry.expect("an entry").path();
                let name = from.file_name().expect("a name");
                match from.is_dir() {
                    true if name == "data" => {}
                    true => copy(&from, &to.join(name)),
                    false => drop(std::fs::copy(&from, to.join(name)).expect("a file")),
                }
            }
        }
        let place = Self::empty();
        copy(folder, place.path());
        place
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The folder itself, for a value that must not outlive it.
    pub fn folder(&self) -> Arc<tempfile::TempDir> {
        Arc::clone(&self.folder)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let file = self.path().join(name);
        std::fs::create_dir_all(file.parent().expect("a parent")).expect("a folder");
        std::fs::write(file, text).expect("a file");
    }

    pub fn baton(&self, arguments: &[&str]) -> CommandOutput {
        CommandOutput::of(self.command(env!("CARGO_BIN_EXE_baton")).args(arguments))
    }

    /// Starts a command in the background. [`CommandOutput::wait_for`] waits for its end.
    pub fn spawn(&self, arguments: &[&str]) -> Child {
        self.spawn_with(&[], arguments)
    }

    /// Starts a command with these environment variables.
    pub fn spawn_with(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Child {
        let mut command = self.command(env!("CARGO_BIN_EXE_baton"));
        command.envs(variables.iter().copied());
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it begins")
    }

    /// Starts a command with these variables, and a standard input that the test writes.
    pub fn spawn_with_input(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Child {
        let mut command = self.command(env!("CARGO_BIN_EXE_baton"));
        command.envs(variables.iter().copied()).stdin(Stdio::piped());
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it begins")
    }

    /// Runs a line as a person types it, with `baton` on the path.
    pub fn shell(&self, line: &str) -> CommandOutput {
        let binary = PathBuf::from(env!("CARGO_BIN_EXE_baton"));
        let there = binary.parent().expect("a folder").display().to_string();
        let path = format!("{there}:{}", std::env::var("PATH").unwrap_or_default());
        CommandOutput::of(self.command("sh").env("PATH", path).args(["-c", line]))
    }

    /// Starts such a line in the background, with these variables.
    pub fn spawn_shell(&self, variables: &[(&str, &str)], line: &str) -> Child {
        let mut command = self.command("sh");
        command.envs(variables.iter().copied()).env("BATON", env!("CARGO_BIN_EXE_baton")).args(["-c", line]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it begins")
    }

    /// Without this machine's settings.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if ["BATON_", "OPENAI_", "ANTHROPIC_", "COMPOSIO_"].iter().any(|ours| name.starts_with(ours)) {
                command.env_remove(name);
            }
        }
        command.env("USER", "ana").env_remove("RUST_BACKTRACE").current_dir(self.path());
        command
    }
}

impl CommandOutput {
    fn of(command: &mut Command) -> Self {
        Self::from(command.output().expect("it runs"))
    }

    pub fn wait_for(child: Child) -> Self {
        Self::from(child.wait_with_output().expect("it ends"))
    }

    fn from(Output { status, stdout, stderr }: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Self { code: status.code(), out: text(stdout), err: text(stderr) }
    }

    /// Checks the exit code. A failure shows the output.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "\n{}\n{}", self.out, self.err);
        self
    }

    /// Checks that standard output contains this text.
    #[track_caller]
    pub fn expect_stdout(self, text: &str) -> Self {
        assert!(self.out.contains(text), "`{text}` is not in\n{}\n{}", self.out, self.err);
        self
    }

    /// Checks that standard error contains this text.
    #[track_caller]
    pub fn expect_stderr(self, text: &str) -> Self {
        assert!(self.err.contains(text), "`{text}` is not in\n{}\n{}", self.err, self.out);
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        let parsed = serde_json::from_str(&self.out);
        assert!(parsed.is_ok(), "not JSON:\n{}\n{}", self.out, self.err);
        parsed.unwrap_or_default()
    }
}
