//! The service that the project's tools call. It records its requests by key, and can be made to stop responding.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

/// Maximum size of a request, in bytes.
const REQUEST_BYTES_MAX: usize = 64 << 10;
/// For one in this many keys the first attempt finds the service down.
const DOWN_EVERY: usize = 6;
/// Orders with this name are declined at the charge.
pub const DECLINED: &str = "declined";

#[derive(Default)]
struct ToolServiceState {
    /// Requests for each key, by tool and run.
    asked: BTreeMap<(String, String), BTreeMap<String, KeyCounts>>,
    keys: usize,
    hangs: bool,
    /// Requests that are waiting without a response.
    hung: usize,
}

#[derive(Default, Clone)]
struct KeyCounts {
    requests: usize,
    acted: usize,
}

/// The requests of a tool for a run.
pub struct ServiceActs {
    /// Keys with which it acted.
    pub keys: BTreeSet<String>,
    /// The highest number of requests with one key that performed the act.
    pub repeated: usize,
}

/// A service on the loopback interface, until the process ends.
#[derive(Clone, Default)]
pub struct ToolService(Arc<(Mutex<ToolServiceState>, Condvar)>);

impl ToolService {
    /// Starts the service. Returns its port.
    pub fn start(&self) -> anyhow::Result<u16> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let service = self.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let service = service.clone();
                // A client that disconnects in the middle of its request is part of the test.
                std::thread::spawn(move || drop(service.answer(connection)));
            }
        });
        Ok(port)
    }

    /// Makes the service accept requests without responding, or respond to all of them.
    pub fn set_hanging(&self, hangs: bool) {
        self.state().hangs = hangs;
        self.0.1.notify_all();
    }

    /// The number of requests that wait for a response in vain.
    pub fn hanging_requests(&self) -> usize {
        self.state().hung
    }

    /// What this tool did for a run.
    pub fn acts(&self, tool: &str, run: &str) -> ServiceActs {
        let state = self.state();
        let of = state.asked.get(&(tool.to_owned(), run.to_owned())).cloned().unwrap_or_default();
        let acted = of.iter().filter(|(_, asked)| asked.acted > 0);
        ServiceActs {
            keys: acted.clone().map(|(key, _)| key.clone()).collect(),
            repeated: acted.map(|(_, asked)| asked.acted).max().unwrap_or(0),
        }
    }

    fn state(&self) -> MutexGuard<'_, ToolServiceState> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, mut connection: TcpStream) -> std::io::Result<()> {
        let (tool, body) = read(&connection)?;
        let (status, answer) = self.act(&tool, &serde_json::from_str(&body).unwrap_or_default());
        let text = answer.to_string();
        let head = format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close\r\n");
        connection.write_all(format!("{head}content-length: {}\r\n\r\n{text}", text.len()).as_bytes())
    }

    fn act(&self, tool: &str, body: &Value) -> (u16, Value) {
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let (key, run, item) = (text("key"), text("run"), text("item"));
        let mut state = self.state();
        if state.hangs {
            state.hung += 1;
            state = self.0.1.wait_while(state, |state| state.hangs).unwrap_or_else(PoisonError::into_inner);
            state.hung -= 1;
        }
        let is_new = !state.asked.get(&(tool.to_owned(), run.clone())).is_some_and(|keys| keys.contains_key(&key));
        state.keys += usize::from(is_new);
        // A charge is sent only once: if the service were down, its outcome would be unknown and it would not be
        // retried.
        let is_down = is_new && tool != "charge" && state.keys.is_multiple_of(DOWN_EVERY);
        let asked = state.asked.entry((tool.to_owned(), run)).or_default().entry(key).or_default();
        asked.requests += 1;
        if is_down {
            return (503, json!({"error": "it is down"}));
        }
        if tool == "charge" && item.contains(DECLINED) {
            return (402, json!({"error": "declined"}));
        }
        asked.acted += 1;
        (200, json!({"id": format!("{tool}-1")}))
    }
}

/// Reads the path and the body.
fn read(connection: &TcpStream) -> std::io::Result<(String, String)> {
    let mut reader = BufReader::new(connection);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
    let mut length = 0;
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; usize::min(length, REQUEST_BYTES_MAX)];
    reader.read_exact(&mut body)?;
    Ok((path, String::from_utf8_lossy(&body).into_owned()))
}
