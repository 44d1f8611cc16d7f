//! The services of a project, and its model if it has one: a small HTTP server that records every request it receives,
//! and can kill a process.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

/// Services that return the same response for a key they have seen before.
const KEYED: [&str; 6] = ["booking", "email", "reserve", "label", "refund", "mail"];
/// Delay of a service before it acts, and before it responds.
const DELAY: Duration = Duration::from_millis(12);

/// The path of the model's endpoint. Its requests count as the service `model`.
const MODEL_PATH: &str = "v1/chat/completions";
pub const MODEL: &str = "model";

/// The reply of a model to a request.
pub type LedgerModel = fn(&Value) -> Value;

#[derive(Clone, Debug)]
pub struct LedgerRequest {
    pub service: String,
    /// A service's idempotency key. For a model, which has none, the whole request body.
    pub key: String,
    pub run: String,
}

#[derive(Default)]
struct ServiceLedgerState {
    requests: Vec<LedgerRequest>,
    /// Every act, by service and key.
    acts: Vec<(String, String)>,
    /// Responses of keyed services by key.
    answers: BTreeMap<String, Value>,
    victim: Option<(String, String, Child)>,
    model: Option<LedgerModel>,
}

/// Everything the services saw.
#[derive(Clone, Default)]
pub struct ServiceLedger(Arc<Mutex<ServiceLedgerState>>);

impl ServiceLedger {
    pub fn with_model(model: LedgerModel) -> Self {
        let ledger = Self::default();
        ledger.0.lock().expect("not poisoned").model = Some(model);
        ledger
    }

    /// Serves on a free loopback port until the process ends. Returns the port.
    pub fn serve(&self) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let ledger = self.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let ledger = ledger.clone();
                // A client that was killed in the middle of its request is expected.
                std::thread::spawn(move || ledger.answer(stream).ok());
            }
        });
        port
    }

    pub fn requests_of(&self, run: &str) -> Vec<LedgerRequest> {
        let state = self.0.lock().expect("not poisoned");
        state.requests.iter().filter(|request| request.run == run).cloned().collect()
    }

    pub fn acts(&self, run: &str, service: &str) -> usize {
        let state = self.0.lock().expect("not poisoned");
        state.acts.iter().filter(|(of, key)| of == service && key.starts_with(&format!("{run}/"))).count()
    }

    /// Kills this process as soon as the service reaches the phase.
    pub fn aim(&self, service: &str, phase: &str, victim: Child) {
        self.0.lock().expect("not poisoned").victim = Some((service.to_owned(), phase.to_owned(), victim));
    }

    /// Whether the target process has ended, killed or by itself.
    pub fn is_gone(&self) -> bool {
        let mut state = self.0.lock().expect("not poisoned");
        let gone = state.victim.as_mut().is_none_or(|(.., child)| child.try_wait().is_ok_and(|ended| ended.is_some()));
        if gone {
            state.victim = None;
        }
        gone
    }

    fn reached(&self, service: &str, phase: &str) {
        let mut state = self.0.lock().expect("not poisoned");
        if let Some((of, at, victim)) = &mut state.victim
            && of == service
            && at == phase
        {
            victim.kill().expect("a child can be killed");
            victim.wait().expect("a child can be waited for");
        }
    }

    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let (method, path, body) = read(&stream)?;
        let path = path.trim_start_matches('/').to_owned();
        let service = if path == MODEL_PATH { MODEL.to_owned() } else { path.clone() };
        let (status, body) = if method == "GET" { self.look_up(&path) } else { self.perform(&service, &body) };
        let text = body.to_string();
        write!(
            stream,
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
            text.len()
        )?;
        stream.flush()?;
        if method != "GET" {
            self.reached(&service, "replied");
        }
        Ok(())
    }

    /// `look/KEY`: the outcome of a payment.
    fn look_up(&self, path: &str) -> (u16, Value) {
        let key = path.strip_prefix("look/").unwrap_or(path).replace("%2F", "/").replace("%2f", "/");
        let state = self.0.lock().expect("not poisoned");
        match state.answers.get(&format!("payment {key}")) {
            Some(answer) => (200, json!({ "found": true, "payment": answer })),
            None => (200, json!({ "found": false })),
        }
    }

    fn perform(&self, service: &str, asked: &str) -> (u16, Value) {
        let body: Value = serde_json::from_str(asked).unwrap_or_default();
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (key, run) =
            if service == MODEL { (asked.to_owned(), run_named_in(asked)) } else { (text("key"), text("run")) };
        let model = self.0.lock().expect("not poisoned").model;
        let known = {
            let mut state = self.0.lock().expect("not poisoned");
            state.requests.push(LedgerRequest { service: service.to_owned(), key: key.clone(), run });
            state.answers.get(&format!("{service} {key}")).cloned()
        };
        self.reached(service, "received");
        std::thread::sleep(DELAY);
        let is_keyed = KEYED.contains(&service);
        if let Some(known) = known.filter(|_| is_keyed) {
            return (200, known);
        }
        let answer = match model.filter(|_| service == MODEL) {
            Some(model) => model(&body),
            None => json!({ "id": format!("{service}-1"), "done_by": service }),
        };
        {
            let mut state = self.0.lock().expect("not poisoned");
            state.acts.push((service.to_owned(), key.clone()));
            state.answers.insert(format!("{service} {key}"), answer.clone());
        }
        self.reached(service, "acted");
        std::thread::sleep(DELAY);
        (200, answer)
    }
}

/// The run of a model request. Its name is in the prompt, `<kill-7>`.
fn run_named_in(asked: &str) -> String {
    let named = asked.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    named.map(|(run, _)| run.to_owned()).unwrap_or_default()
}

fn read(stream: &TcpStream) -> std::io::Result<(String, String, String)> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        match header.trim().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().unwrap_or(0);
            }
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok((method, path, String::from_utf8_lossy(&body).into_owned()))
}
