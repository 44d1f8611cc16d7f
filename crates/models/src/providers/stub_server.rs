//! A test server that answers with given bytes, valid or not, and records the requests it receives.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Interval between two drops.
const DRIP_INTERVAL: Duration = Duration::from_millis(2);

/// The answer on one connection.
#[derive(Clone)]
pub(crate) enum StubAnswer {
    /// These bytes, then the end.
    Bytes(Vec<u8>),
    /// These bytes, then the next request on the same connection.
    KeepAlive(Vec<u8>),
    /// These bytes, then nothing, until the client disconnects.
    Hanging(Vec<u8>),
    /// These bytes, then the others one at a time, for ever.
    Dripping(Vec<u8>, Vec<u8>),
}

impl StubAnswer {
    pub fn new(status: u16, headers: &[&str], body: &[u8]) -> Self {
        Self::Bytes(head(status, headers, body.len(), body))
    }

    pub fn json(body: &[u8]) -> Self {
        Self::new(200, &["Content-Type: application/json"], body)
    }

    pub fn stream(body: &[u8]) -> Self {
        Self::new(200, &["Content-Type: text/event-stream"], body)
    }

    /// A stream on a connection that stays open.
    pub fn kept_stream(body: &[u8]) -> Self {
        let head = "HTTP/1.1 200 X\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
        let chunk = [format!("{:x}\r\n", body.len()).as_bytes(), body, b"\r\n0\r\n\r\n"].concat();
        Self::KeepAlive([head.as_bytes(), &chunk].concat())
    }

    /// A body that ends before its announced length.
    pub fn cut_off(body: &[u8]) -> Self {
        Self::Bytes(head(200, &["Content-Type: application/json"], body.len() + 100, body))
    }

    /// A stream that goes silent.
    pub fn silent_after(body: &[u8]) -> Self {
        Self::Hanging(endless(body))
    }

    /// A stream that continues in small drops and never ends.
    pub fn dripping_after(body: &[u8], drops: &[u8]) -> Self {
        Self::Dripping(endless(body), drops.to_vec())
    }
}

fn endless(body: &[u8]) -> Vec<u8> {
    head(200, &["Content-Type: text/event-stream"], 1 << 30, body)
}

fn head(status: u16, headers: &[&str], length: usize, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n").into_bytes();
    for header in headers {
        bytes.extend_from_slice(format!("{header}\r\n").as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

pub(crate) struct StubServer {
    pub base_url: String,
    requests: Arc<Mutex<Vec<String>>>,
    connected: watch::Receiver<usize>,
    request_count: watch::Receiver<usize>,
    disconnects: watch::Receiver<usize>,
    task: JoinHandle<()>,
}

impl StubServer {
    /// The first connection gets the first answer, and so on; the last answer is repeated.
    pub async fn start(answers: Vec<StubAnswer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base_url = format!("http://{}/v1", listener.local_addr().expect("an address"));
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (connected, connected_seen) = watch::channel(0);
        let (asked, asked_seen) = watch::channel(0);
        let (hung_up, hung_up_seen) = watch::channel(0);
        let ear = heard.clone();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            for index in 0.. {
                let Ok((mut stream, _)) = listener.accept().await else { return };
                connected.send_modify(|count| *count += 1);
                let answer = answers[index.min(answers.len() - 1)].clone();
                let (ear, asked, hung_up) = (ear.clone(), asked.clone(), hung_up.clone());
                connections.spawn(async move {
                    while let Some(request) = read(&mut stream).await {
                        ear.lock().expect("a lock").push(request);
                        asked.send_modify(|count| *count += 1);
                        match serve(&mut stream, &answer).await {
                            AnswerEnd::Served => return,
                            AnswerEnd::KeepAlive => {}
                            AnswerEnd::HungUp => return hung_up.send_modify(|count| *count += 1),
                        }
                    }
                });
            }
        });
        Self {
            base_url,
            requests: heard,
            connected: connected_seen,
            request_count: asked_seen,
            disconnects: hung_up_seen,
            task,
        }
    }

    /// The number of client connections so far.
    pub fn connections(&self) -> usize {
        *self.connected.borrow()
    }

    /// Waits until a request has arrived.
    pub async fn wait_for_request(&self) {
        self.request_count.clone().wait_for(|count| *count > 0).await.expect("the server lives");
    }

    /// Waits until a client has disconnected before the end of an answer.
    pub async fn wait_for_disconnect(&self) {
        self.disconnects.clone().wait_for(|count| *count > 0).await.expect("the server lives");
    }

    /// Complete requests, head and body, in order.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("a lock").clone()
    }
}

impl Drop for StubServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How an answer ended.
enum AnswerEnd {
    Served,
    KeepAlive,
    /// The client disconnected before the end of the answer.
    HungUp,
}

async fn serve(stream: &mut TcpStream, answer: &StubAnswer) -> AnswerEnd {
    match answer {
        StubAnswer::Bytes(bytes) => {
            // A client that has read enough may disconnect.
            let _ = stream.write_all(bytes).await;
            let _ = stream.shutdown().await;
            AnswerEnd::Served
        }
        StubAnswer::KeepAlive(bytes) => {
            let _ = stream.write_all(bytes).await;
            AnswerEnd::KeepAlive
        }
        StubAnswer::Hanging(bytes) => {
            let _ = stream.write_all(bytes).await;
            let _ = stream.flush().await;
            let is_over = matches!(stream.read(&mut [0; 64]).await, Ok(0) | Err(_));
            if is_over { AnswerEnd::HungUp } else { AnswerEnd::Served }
        }
        StubAnswer::Dripping(bytes, drops) => {
            let mut sent = stream.write_all(bytes).await;
            for drop in drops.iter().cycle() {
                if sent.is_err() {
                    break;
                }
                tokio::time::sleep(DRIP_INTERVAL).await;
                sent = stream.write_all(&[*drop]).await;
            }
            AnswerEnd::HungUp
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let taken = stream.read(&mut piece).await.ok()?;
        bytes.extend_from_slice(&piece[..taken]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
            });
            if body.len() >= length.unwrap_or(0) {
                return Some(text);
            }
        }
        if taken == 0 {
            return None;
        }
    }
}
