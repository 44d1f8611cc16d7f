//! A project folder, and the binary that runs its workflow in processes that are killed.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Time limit of one process.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct KillProject {
    folder: tempfile::TempDir,
    workflow: &'static str,
}

impl KillProject {
    /// An empty folder, for a workflow with this name.
    pub fn new(workflow: &'static str) -> Self {
        let folder = tempfile::Builder::new().prefix(&format!("{workflow}-")).tempdir().expect("a folder");
        Self { folder, workflow }
    }

    pub fn write(&self, name: &str, text: &str) {
        let file = self.folder.path().join(name);
        std::fs::create_dir_all(file.parent().expect("in a folder")).expect("made");
        std::fs::write(file, text).expect("written");
    }

    /// Keeps the folder after the test, for inspection.
    pub fn keep(&self) -> PathBuf {
        let copy = std::env::temp_dir().join(format!("baton-kill-{}", std::process::id()));
        std::fs::rename(self.folder.path(), &copy).ok();
        copy
    }

    pub fn database(&self) -> PathBuf {
        self.folder.path().join(".baton/baton.db")
    }

    /// The duration of a run without a kill.
    pub fn run_undisturbed(&self, run: &str) -> Duration {
        let (mut child, began) = self.begin(run);
        let status = child.wait().expect("it ends");
        assert!(status.success(), "the undisturbed run {run} failed; see {:?}", self.keep());
        began.elapsed()
    }

    /// Starts the run in a process of its own, and waits until it reports the start. The run's name is its message.
    pub fn begin(&self, run: &str) -> (Child, Instant) {
        let mut process = self.baton();
        let message = format!("message={run}");
        process.args(["run", self.workflow, "--id", run, "--set", &message]).stdout(Stdio::piped());
        let mut child = process.spawn().expect("the binary starts");
        let output = child.stdout.take().expect("piped");
        let mut reader = BufReader::new(output);
        let mut line = String::new();
        reader.read_line(&mut line).expect("it says what it runs");
        assert!(line.contains(run), "unexpected first line: {line:?}");
        std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
        (child, Instant::now())
    }

    /// Another process completes all pending work.
    pub fn recover(&self) {
        let output = self.baton().args(["runs", "work"]).output().expect("the binary starts");
        assert!(output.status.success(), "recovery failed: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn baton(&self) -> Command {
        let mut process = Command::new(env!("CARGO_BIN_EXE_baton"));
        process.arg("-C").arg(self.folder.path()).stderr(Stdio::piped());
        process
    }
}
