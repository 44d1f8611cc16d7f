//! A service in a separate process: an inventory from which items are taken and put back. It writes each action to a
//! file before it responds, so that it can be killed at that moment and restarted.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// The variable that tells the process its port, its file, and whether it responds after it has acted.
const ORDERS: &str = "SHELF_ORDERS";

/// The service, as its test sees it.
pub struct InventoryService {
    process: Child,
    said: BufReader<ChildStdout>,
    port: u16,
    file: PathBuf,
}

impl InventoryService {
    pub fn open(folder: &Path) -> Self {
        Self::listen(0, folder.join("shelf"), true)
    }

    /// Acts and never responds.
    pub fn silent(folder: &Path) -> Self {
        Self::listen(0, folder.join("shelf"), false)
    }

    fn listen(port: u16, file: PathBuf, answers: bool) -> Self {
        let orders = json!({ "port": port, "file": file, "answers": answers });
        let mut process = Command::new(std::env::current_exe().expect("this program"))
            .args(["inventory_service::the_service_itself", "--exact", "--nocapture", "--test-threads=1"])
            .env(ORDERS, orders.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it begins");
        let said = BufReader::new(process.stdout.take().expect("its output"));
        let mut shelf = Self { process, said, port, file };
        shelf.port = shelf.wait_for_line("listens on ").parse().expect("a port");
        shelf
    }

    /// Waits for a line that contains `word`, and returns the rest of it. The test runner may have written the start of
    /// the line.
    fn wait_for_line(&mut self, word: &str) -> String {
        let mut line = String::new();
        loop {
            assert!(self.said.read_line(&mut line).expect("its output") > 0, "the service ended");
            if let Some((_, rest)) = line.trim_end().split_once(word) {
                return rest.to_owned();
            }
            line.clear();
        }
    }

    /// Kills the service after it has acted and before it responds.
    pub fn kill_after_acting(mut self) -> StoppedInventory {
        self.wait_for_line("has acted: ");
        self.stop_service()
    }

    pub fn stop_service(mut self) -> StoppedInventory {
        self.process.kill().expect("is killed");
        self.process.wait().expect("ends");
        StoppedInventory { port: self.port, file: self.file.clone() }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn log(&self) -> InventoryLog {
        InventoryLog::read(&self.file)
    }
}

impl Drop for InventoryService {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A service that is down.
pub struct StoppedInventory {
    port: u16,
    file: PathBuf,
}

impl StoppedInventory {
    /// Restarts the same service.
    pub fn restart(&self) -> InventoryService {
        InventoryService::listen(self.port, self.file.clone(), true)
    }

    pub fn log(&self) -> InventoryLog {
        InventoryLog::read(&self.file)
    }
}

/// The actions that a service recorded: `asked`, `took` and `put` with a key.
pub struct InventoryLog(Vec<(String, String)>);

impl InventoryLog {
    fn read(file: &Path) -> Self {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let pair = |line: &str| line.split_once(' ').map(|(word, key)| (word.to_owned(), key.to_owned()));
        Self(text.lines().filter_map(pair).collect())
    }

    pub fn keys(&self, word: &str) -> Vec<&str> {
        self.0.iter().filter(|(said, _)| said == word).map(|(_, key)| key.as_str()).collect()
    }

    /// The items that are currently taken.
    pub fn taken_items(&self) -> BTreeSet<&str> {
        let back = self.keys("put");
        self.keys("took").into_iter().filter(|key| !back.contains(key)).collect()
    }
}

/// Not a test: the process of the service, started by [`InventoryService`].
#[test]
fn the_service_itself() {
    let Ok(orders) = std::env::var(ORDERS) else { return };
    let orders: Value = serde_json::from_str(&orders).expect("orders");
    let file = PathBuf::from(orders["file"].as_str().expect("a file"));
    let port = orders["port"].as_u64().expect("a port");
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).expect("the port is free");
    println!("listens on {}", listener.local_addr().expect("bound").port());
    for stream in listener.incoming().flatten() {
        // The client may be gone.
        drop(serve(stream, &file, orders["answers"] == true));
    }
}

fn serve(mut stream: TcpStream, file: &Path, answers: bool) -> std::io::Result<()> {
    let (line, key, body) = request(&stream)?;
    let known = |word: &str, key: &str| InventoryLog::read(file).keys(word).contains(&key);
    let (status, answer) = match line.split('?').next().unwrap_or_default() {
        "POST /take" => {
            write(file, "asked", &key)?;
            if !known("took", &key) {
                write(file, "took", &key)?;
                writeln!(std::io::stdout(), "has acted: {key}")?;
            }
            if !answers {
                loop {
                    std::thread::park();
                }
            }
            (200, json!({ "id": key }))
        }
        "POST /put" => {
            let id = body["id"].as_str().unwrap_or_default();
            if !known("put", id) {
                write(file, "put", id)?;
            }
            (200, json!({}))
        }
        "GET /find" => {
            let (_, reference) = line.split_once("reference=").unwrap_or_default();
            let reference = reference.replace("%2F", "/");
            let found = if known("took", &reference) { vec![json!({ "id": reference })] } else { Vec::new() };
            (200, json!({ "orders": found }))
        }
        _ => (422, json!({ "error": "this is never done" })),
    };
    let body = answer.to_string();
    write!(
        stream,
        "HTTP/1.1 {status} OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Method and path, the idempotency key, and the body.
pub fn request(stream: &TcpStream) -> std::io::Result<(String, String, Value)> {
    let mut reader = BufReader::new(stream);
    let (mut first, mut key, mut length) = (String::new(), String::new(), 0);
    reader.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        match name.to_lowercase().as_str() {
            "idempotency-key" => value.clone_into(&mut key),
            "content-length" => length = value.parse().unwrap_or_default(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    if key.is_empty() {
        body["reference"].as_str().unwrap_or_default().clone_into(&mut key);
    }
    Ok((first.trim_end().trim_end_matches(" HTTP/1.1").to_owned(), key, body))
}

/// Durable before it returns.
fn write(file: &Path, word: &str, key: &str) -> std::io::Result<()> {
    let mut file = File::options().create(true).append(true).open(file)?;
    writeln!(file, "{word} {key}")?;
    file.sync_data()
}
