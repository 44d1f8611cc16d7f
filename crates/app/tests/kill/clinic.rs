//! One clinic: a project folder whose tools call the ledger's services, and the binary that runs it.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::ledger::Ledger;
use crate::trial::{self, Kill, Report};

const WORKFLOW: &str = r#"
name: booking
version: "1"
nodes:
  - {id: understand, agent: reader, task: "{{ message }}"}
  - {id: availability, tool: availability, parameters: {date: "{{ understand.date }}"}}
  - {id: booking, tool: booking, parameters: {date: "{{ understand.date }}"}}
  - {id: payment, tool: payment, parameters: {booking: "{{ booking.id }}"}}
  - {id: notify, type: parallel}
  - {id: whatsapp, tool: whatsapp, parameters: {text: "paid {{ payment.id }}"}}
  - {id: email, tool: email, parameters: {text: "paid {{ payment.id }}"}}
  - {id: notified, type: merge}
  - {id: confirmation, tool: confirmation, parameters: {booking: "{{ booking.id }}"}}
edges:
  - {from: understand, to: availability}
  - {from: availability, to: booking}
  - {from: booking, to: payment}
  - {from: payment, to: notify}
  - {from: notify, to: whatsapp}
  - {from: notify, to: email}
  - {from: whatsapp, to: notified}
  - {from: email, to: notified}
  - {from: notified, to: confirmation}
"#;

const AGENT: &str = r#"
name: reader
type: simple
prompt: "{{ message }}"
output_schema: {type: object, properties: {date: {type: string}}, required: [date]}
"#;

const REPLIES: &str = r#"
agent: reader
replies:
  - json: {date: "2030-01-08"}
    latency_ms: 20
"#;

/// The longest one process may take.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Clinic {
    folder: tempfile::TempDir,
    pub ledger: Ledger,
}

impl Clinic {
    pub fn open(worker: usize) -> Self {
        let ledger = Ledger::default();
        let port = ledger.serve();
        let folder = tempfile::Builder::new().prefix(&format!("clinic-{worker}-")).tempdir().expect("a folder");
        let clinic = Self { folder, ledger };
        clinic.write("baton.toml", "[models]\nprovider = \"script\"\n[tools.outbound]\nallow = [\"127.0.0.1\"]\n");
        clinic.write("workflows/booking.yaml", WORKFLOW);
        clinic.write("agents/reader.yaml", AGENT);
        clinic.write("replies/reader.yaml", REPLIES);
        clinic.write("tools/services.yaml", &tools(port));
        clinic
    }

    fn write(&self, name: &str, text: &str) {
        let file = self.folder.path().join(name);
        std::fs::create_dir_all(file.parent().expect("in a folder")).expect("made");
        std::fs::write(file, text).expect("written");
    }

    /// The folder outlives the test, to be looked at.
    pub fn keep(&self) -> PathBuf {
        let copy = std::env::temp_dir().join(format!("baton-kill-{}", std::process::id()));
        std::fs::rename(self.folder.path(), &copy).ok();
        copy
    }

    pub fn database(&self) -> PathBuf {
        self.folder.path().join(".baton/baton.db")
    }

    /// How long the run takes when nobody disturbs it.
    pub fn undisturbed(&self, run: &str) -> Duration {
        let (mut child, began) = self.begin(run);
        let status = child.wait().expect("it ends");
        assert!(status.success(), "the undisturbed run {run} failed");
        began.elapsed()
    }

    pub fn killed(&self, run: &str, kill: Kill) -> Report {
        let (child, began) = self.begin(run);
        trial::kill(&self.ledger, child, began, &kill, PATIENCE);
        trial::judge(self, run, &kill)
    }

    /// Starts the run in a process of its own, and waits until it says so.
    fn begin(&self, run: &str) -> (Child, Instant) {
        let mut process = self.baton();
        process.args(["run", "booking", "--id", run, "--set", "message=hello"]).stdout(Stdio::piped());
        let mut child = process.spawn().expect("the binary starts");
        let output = child.stdout.take().expect("piped");
        let mut reader = BufReader::new(output);
        let mut line = String::new();
        reader.read_line(&mut line).expect("it says what it runs");
        assert!(line.contains(run), "unexpected first line: {line:?}");
        std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
        (child, Instant::now())
    }

    /// Another process brings everything to rest.
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

fn tools(port: u16) -> String {
    let plain = |name: &str, more: &str| {
        format!(
            "  - name: {name}\n    kind: http\n    url: http://127.0.0.1:{port}/{name}\n    timeout_ms: 1000\n    \
             retry: {{max_attempts: 4, initial_ms: 10, max_ms: 50}}\n    \
             body: {{key: \"{{{{ key }}}}\", run: \"{{{{ run }}}}\"}}\n{more}"
        )
    };
    let undo = "    irreversible: \"the clinic keeps it\"\n";
    let keyed = format!("    idempotency_header: Idempotency-Key\n{undo}");
    let looked_up = format!(
        "    class: verify\n    lookup:\n      url: http://127.0.0.1:{port}/look/{{{{ key }}}}\n      \
         done: body.found\n      not_done: \"body.found == `false`\"\n      result: payment\n{undo}"
    );
    [
        "tools:\n".to_owned(),
        plain("availability", "    class: read\n"),
        plain("booking", &keyed),
        plain("payment", &looked_up),
        plain("whatsapp", &format!("    class: once\n{undo}")),
        plain("email", &keyed),
        plain("confirmation", "    class: read\n"),
    ]
    .concat()
}
