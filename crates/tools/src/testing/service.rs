//! A service on loopback that implements enough HTTP to be called, and records its requests.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request to the service.
#[derive(Clone, Debug, Default)]
pub(crate) struct RecordedRequest {
    pub(crate) method: String,
    pub(crate) target: String,
    /// Lower-case names.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl RecordedRequest {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A response of the service.
pub(crate) enum CannedResponse {
    /// Status, headers (each ending in CR LF), body.
    Answer(u16, String, String),
    /// Status and body; the connection closes before the announced end.
    Truncated(u16, String),
    /// The connection closes after the request was read.
    Disconnect,
    /// No response at all.
    NoResponse,
}

pub(crate) fn json(status: u16, body: &serde_json::Value) -> CannedResponse {
    CannedResponse::Answer(status, "content-type: application/json\r\n".to_owned(), body.to_string())
}

pub(crate) fn redirect(status: u16, to: &str) -> CannedResponse {
    CannedResponse::Answer(status, format!("location: {to}\r\n"), String::new())
}

pub(crate) struct FakeService {
    host: &'static str,
    pub(crate) port: u16,
    received: Arc<Mutex<Vec<RecordedRequest>>>,
}

impl FakeService {
    pub(crate) async fn start(says: impl Fn(&RecordedRequest) -> CannedResponse + Send + Sync + 'static) -> Self {
        Self::at("127.0.0.1", says).await
    }

    /// On another loopback address.
    pub(crate) async fn at(
        host: &'static str,
        says: impl Fn(&RecordedRequest) -> CannedResponse + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((host, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, says) = (asked.clone(), Arc::new(says));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, log.clone(), says.clone()));
            }
        });
        Self { host, port, received: asked }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}:{}{path}", self.host, self.port)
    }

    pub(crate) fn received(&self) -> Vec<RecordedRequest> {
        self.received.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    log: Arc<Mutex<Vec<RecordedRequest>>>,
    says: Arc<impl Fn(&RecordedRequest) -> CannedResponse + Send + Sync + 'static>,
) {
    let mut read = Vec::new();
    while let Some(asked) = next(&mut stream, &mut read).await {
        let answer = says(&asked);
        let reads = asked.method == "HEAD";
        log.lock().unwrap().push(asked);
        match answer {
            CannedResponse::Answer(status, headers, body) => {
                let shown = if reads { "" } else { &body };
                let text = format!("HTTP/1.1 {status} OK\r\ncontent-length: {}\r\n{headers}\r\n{shown}", body.len());
                if stream.write_all(text.as_bytes()).await.is_err() {
                    return;
                }
            }
            CannedResponse::Truncated(status, body) => {
                let text = format!("HTTP/1.1 {status} OK\r\ncontent-length: {}\r\n\r\n{body}", body.len() + 100);
                let _ = stream.write_all(text.as_bytes()).await;
                return;
            }
            CannedResponse::Disconnect => return,
            CannedResponse::NoResponse => std::future::pending().await,
        }
    }
}

async fn next(stream: &mut TcpStream, read: &mut Vec<u8>) -> Option<RecordedRequest> {
    loop {
        if let Some((asked, used)) = parse(read) {
            read.drain(..used);
            return Some(asked);
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => read.extend_from_slice(&chunk[..count]),
        }
    }
}

fn parse(read: &[u8]) -> Option<(RecordedRequest, usize)> {
    let text = String::from_utf8_lossy(read).into_owned();
    let head = text.find("\r\n\r\n")?;
    let mut lines = text[..head].split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.map_or(0, |(_, length)| length.parse().unwrap());
    let body = read.get(head + 4..head + 4 + length)?;
    let body = String::from_utf8_lossy(body).into_owned();
    Some((RecordedRequest { method, target, headers, body }, head + 4 + length))
}
