//! A server for tests that answers with given bytes, however wrong they are, and remembers what it was sent.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What one connection is answered with.
pub(super) enum Answer {
    /// These bytes, then the end.
    Bytes(Vec<u8>),
    /// These bytes, then nothing, for ever.
    Hanging(Vec<u8>),
}

impl Answer {
    pub fn new(status: u16, headers: &[&str], body: &[u8]) -> Self {
        Self::Bytes(head(status, headers, body.len(), body))
    }

    pub fn json(body: &[u8]) -> Self {
        Self::new(200, &["Content-Type: application/json"], body)
    }

    pub fn stream(body: &[u8]) -> Self {
        Self::new(200, &["Content-Type: text/event-stream"], body)
    }

    /// A body that ends before the length it announced.
    pub fn cut_off(body: &[u8]) -> Self {
        Self::Bytes(head(200, &["Content-Type: application/json"], body.len() + 100, body))
    }

    /// A stream that goes silent.
    pub fn silent_after(body: &[u8]) -> Self {
        Self::Hanging(head(200, &["Content-Type: text/event-stream"], body.len() + 100, body))
    }
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

pub(super) struct Server {
    pub base_url: String,
    heard: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Server {
    /// Answers one connection after the other; the last answer again and again.
    pub async fn start(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base_url = format!("http://{}/v1", listener.local_addr().expect("an address"));
        let heard = Arc::new(Mutex::new(Vec::new()));
        let ear = heard.clone();
        let task = tokio::spawn(async move {
            for index in 0.. {
                let Ok((stream, _)) = listener.accept().await else { return };
                let answer = &answers[index.min(answers.len() - 1)];
                serve(stream, answer, &ear).await;
            }
        });
        Self { base_url, heard, task }
    }

    /// Whole requests, head and body, in order.
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().expect("a lock").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, answer: &Answer, heard: &Mutex<Vec<String>>) {
    let Some(request) = read(&mut stream).await else { return };
    heard.lock().expect("a lock").push(request);
    match answer {
        Answer::Bytes(bytes) => {
            // A client that has seen enough hangs up; that is its right.
            let _ = stream.write_all(bytes).await;
            let _ = stream.shutdown().await;
        }
        Answer::Hanging(bytes) => {
            let _ = stream.write_all(bytes).await;
            let _ = stream.flush().await;
            std::future::pending::<()>().await;
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
