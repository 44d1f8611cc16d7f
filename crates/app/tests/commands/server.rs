//! `baton serve` in a folder, and requests to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::test_folder::TestFolder;

/// A response of the API.
#[derive(Debug)]
pub struct ApiAnswer {
    pub status: u16,
    /// In lower case.
    pub head: String,
    pub body: Value,
}

impl ApiAnswer {
    pub fn of(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        Self { status, head: head.to_ascii_lowercase(), body: serde_json::from_str(body).unwrap_or_default() }
    }

    /// Checks the status, and returns the body.
    pub fn expect_status(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}\n{}", self.head, self.body);
        self.body
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// Polls until `ask` returns a value.
#[track_caller]
pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Maximum number of log lines to keep.
const LINES_MAX: usize = 1 << 16;

/// A server, and its output at the start.
pub struct BatonServer {
    process: Child,
    stdout: BufReader<ChildStdout>,
    /// The log, line by line.
    log: Mutex<Receiver<String>>,
    said: Value,
    /// The folder must outlive the server, which cannot serve without it.
    _folder: Arc<tempfile::TempDir>,
}

impl BatonServer {
    pub fn start(place: &TestFolder) -> Self {
        Self::start_with(place, &[])
    }

    /// Starts a server with these environment variables.
    pub fn start_with(place: &TestFolder, variables: &[(&str, &str)]) -> Self {
        // A folder is only served if it is a project.
        if !place.path().join("baton.toml").exists() {
            place.write("baton.toml", "");
        }
        Self::of(place, place.spawn_with(variables, &["serve", "--listen", "127.0.0.1:0", "--json"]))
    }

    /// Wraps a process that was started as a server and prints its address as JSON.
    pub fn of(place: &TestFolder, mut process: Child) -> Self {
        let mut line = String::new();
        let mut stdout = BufReader::new(process.stdout.take().expect("its output"));
        let stderr = BufReader::new(process.stderr.take().expect("its errors"));
        let (logged, log) = sync_channel(LINES_MAX);
        std::thread::spawn(move || {
            for line in stderr.lines() {
                // The receiver may be gone. The log is still read to its end.
                let _ = logged.send(line.expect("its errors"));
            }
        });
        stdout.read_line(&mut line).expect("says something");
        let said = serde_json::from_str(&line).expect("one line of JSON");
        Self { process, stdout, log: Mutex::new(log), said, _folder: place.folder() }
    }

    /// The key from its first start.
    pub fn key(&self) -> Option<&str> {
        self.said["key"].as_str()
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        self.said["url"].as_str().and_then(|url| url.split_once("://")).expect("a URL").1
    }

    /// The head and body of the response.
    pub fn get(&self, path: &str, key: Option<&str>) -> String {
        let key = key.map(|key| format!("Authorization: Bearer {key}\r\n")).unwrap_or_default();
        send(self.address(), &format!("GET {path} HTTP/1.1\r\n{key}"), "").expect("is answered")
    }

    /// Sends an API request with a key, further header lines and a YAML body.
    pub fn write(&self, request: &str, key: &str, headers: &str, body: &str) -> ApiAnswer {
        let head =
            format!("{request} HTTP/1.1\r\nAuthorization: Bearer {key}\r\nContent-Type: application/yaml\r\n{headers}");
        ApiAnswer::of(&send(self.address(), &head, body).expect("is answered"))
    }

    /// Sends an API request with a key and further header lines.
    pub fn ask(&self, request: &str, key: &str, headers: &str, body: &Value) -> ApiAnswer {
        let head =
            format!("{request} HTTP/1.1\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n{headers}");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        ApiAnswer::of(&send(self.address(), &head, &body).expect("is answered"))
    }

    /// Sends a request without a key, with these header lines and this body. Returns the head and body of the response.
    pub fn send(&self, request: &str, headers: &str, body: &str) -> String {
        send(self.address(), &format!("{request} HTTP/1.1\r\n{headers}"), body).expect("is answered")
    }

    /// Subscribes to server-sent events.
    pub fn listen(&self, path: &str, key: &str, headers: &str) -> EventListener {
        let mut stream = TcpStream::connect(self.address()).expect("connects");
        let limit = Duration::from_secs(60);
        stream.set_read_timeout(Some(limit)).expect("a limit");
        let host = self.address();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n{headers}Connection: close\r\n\r\n"
        )
        .expect("is sent");
        EventListener { lines: BufReader::new(stream) }
    }

    /// Reads the log until a line contains `what`.
    #[track_caller]
    pub fn logs(&mut self, what: &str) {
        let until = Instant::now() + Duration::from_secs(60);
        let log = self.log.get_mut().expect("nobody panicked with it");
        let mut lines = std::iter::from_fn(|| log.recv_timeout(until.saturating_duration_since(Instant::now())).ok());
        assert!(lines.any(|line| line.contains(what)), "never logged within a minute, or before it ended: `{what}`");
    }

    /// The rest of the log so far.
    fn rest(&self) -> String {
        let log = self.log.lock().expect("nobody panicked with it");
        log.iter().fold(String::new(), |said, line| said + &line + "\n")
    }

    /// The id of its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().expect("kill is there").success());
    }

    /// Whether it still accepts connections.
    pub fn listens(&self) -> bool {
        TcpStream::connect(self.address()).is_ok()
    }

    /// Waits until it has ended. Returns its exit code, the time that took, and its whole log.
    pub fn ended(mut self) -> (Option<i32>, Duration, String) {
        let began = Instant::now();
        let said = self.rest();
        let code = self.process.wait().expect("ends").code();
        (code, began.elapsed(), said)
    }

    /// Asks it to stop. Returns its exit code.
    pub fn stop(mut self) -> Option<i32> {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().expect("kill is there").success());
        self.process.wait().expect("ends").code()
    }

    /// Asks it to stop. Returns its whole log.
    pub fn stop_and_read(mut self) -> String {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().expect("kill is there").success());
        let said = self.rest();
        assert!(self.process.wait().expect("ends").success(), "{said}");
        said
    }

    /// Kills it immediately. Returns its whole log.
    pub fn kill(mut self) -> String {
        self.process.kill().expect("is killed");
        self.process.wait().expect("ends");
        let mut said = self.said.to_string();
        self.stdout.read_to_string(&mut said).expect("its output");
        said + &self.rest()
    }
}

impl Drop for BatonServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        // The server's log explains a failed test.
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "the server said:\n{}", self.rest());
        }
    }
}

/// One server-sent event.
#[derive(Debug)]
pub struct StreamedEvent {
    pub id: Option<u64>,
    pub kind: String,
    pub data: Value,
}

/// A subscriber to server-sent events.
pub struct EventListener {
    lines: BufReader<TcpStream>,
}

impl EventListener {
    /// The next event. `None` at the end of the stream.
    pub fn next(&mut self) -> Option<StreamedEvent> {
        let (mut id, mut kind, mut data) = (None, String::new(), Value::Null);
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).expect("is told") == 0 {
                return None;
            }
            match line.trim_end().split_once(": ") {
                Some(("id", text)) => id = text.parse().ok(),
                Some(("event", text)) => text.clone_into(&mut kind),
                Some(("data", text)) => data = serde_json::from_str(text).expect("json"),
                _ if line.trim_end().is_empty() && !kind.is_empty() => return Some(StreamedEvent { id, kind, data }),
                // Chunk sizes and comments.
                _ => {}
            }
        }
    }

    /// The events before the first of this kind.
    pub fn events_until(&mut self, kind: &str) -> Vec<StreamedEvent> {
        let mut before = Vec::new();
        loop {
            let event = self.next().expect("more is told");
            if event.kind == kind {
                return before;
            }
            before.push(event);
        }
    }

    /// The last state in the stream.
    pub fn last_state(&mut self) -> Value {
        let told = std::iter::from_fn(|| self.next());
        told.filter(|event| event.kind == "state").last().expect("a state").data
    }
}

/// Posts a chat request to the server at this address, with a key and further header lines. Returns the head and body
/// of the response, or `None` if the server disconnected.
pub fn chat(address: &str, key: &str, headers: &str, body: &Value) -> Option<String> {
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n{headers}"
    );
    send(address, &head, &body.to_string()).ok()
}

fn send(address: &str, head: &str, body: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    let length = body.len();
    write!(stream, "{head}Host: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
