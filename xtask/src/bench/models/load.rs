//! Load in the style of `wrk`: a number of connections, each with one request in flight.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::bail;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Requests of each connection before the measurement.
const WARM_UP_REQUESTS: usize = 200;
/// Maximum size of a response, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// The address, the API key and the duration.
pub struct WrkLoad<'a> {
    pub port: u16,
    pub path: &'static str,
    pub key: &'a str,
    pub length: Duration,
}

/// The result of one round.
pub struct LoadRound {
    pub per_second: f64,
    pub p50_us: f64,
    pub p99_us: f64,
}

impl WrkLoad<'_> {
    /// Sends a few requests that are not measured.
    pub fn warm_up(&self, connections: usize) -> anyhow::Result<()> {
        self.run(connections, |done, _| done >= WARM_UP_REQUESTS).map(drop)
    }

    pub fn round(&self, connections: usize) -> anyhow::Result<LoadRound> {
        let length = self.length;
        let began = Instant::now();
        let mut took = self.run(connections, move |_, began| began.elapsed() >= length)?;
        let seconds = began.elapsed().as_secs_f64();
        took.sort_unstable();
        let (Some(half), Some(tail)) = (took.get(took.len() / 2), took.get(took.len() * 99 / 100)) else {
            bail!("no request was answered");
        };
        let micros = |took: &Duration| took.as_secs_f64() * 1e6;
        #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
        let count = took.len() as f64;
        Ok(LoadRound { per_second: count / seconds, p50_us: micros(half), p99_us: micros(tail) })
    }

    fn run(
        &self,
        connections: usize,
        over: impl Fn(usize, Instant) -> bool + Copy + Send + 'static,
    ) -> anyhow::Result<Vec<Duration>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let request: std::sync::Arc<[u8]> = self.request().into();
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        runtime.block_on(async {
            let mut tasks = tokio::task::JoinSet::new();
            for _ in 0..connections {
                tasks.spawn(connection(at, request.clone(), over));
            }
            let mut took = Vec::new();
            while let Some(done) = tasks.join_next().await {
                took.extend(done??);
            }
            Ok(took)
        })
    }

    fn request(&self) -> Vec<u8> {
        let body = r#"{"model":"balanced","messages":[{"role":"system","content":"You book appointments."},{"role":"user","content":"Tomorrow at ten, please."}],"temperature":0}"#;
        format!(
            "POST {} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            self.path,
            self.key,
            body.len()
        )
        .into()
    }
}

async fn connection(
    at: SocketAddr,
    request: std::sync::Arc<[u8]>,
    over: impl Fn(usize, Instant) -> bool,
) -> anyhow::Result<Vec<Duration>> {
    let mut line = LoadConnection::connect(at).await?;
    let mut took = Vec::new();
    let began = Instant::now();
    while !over(took.len(), began) {
        let sent = Instant::now();
        let answer = line.ask(&request).await?;
        if !answer.starts_with(b"HTTP/1.1 200") {
            bail!("an answer was not 200: {}", String::from_utf8_lossy(answer));
        }
        took.push(sent.elapsed());
    }
    Ok(took)
}

/// A connection with at most one request in flight.
pub struct LoadConnection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl LoadConnection {
    pub async fn connect(at: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(at).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; ANSWER_BYTES_MAX] })
    }

    /// Sends a request and reads the whole response, head and body.
    pub async fn ask(&mut self, request: &[u8]) -> std::io::Result<&[u8]> {
        self.stream.write_all(request).await?;
        let mut filled = 0;
        loop {
            if let Some(length) = message_length(&self.buffer[..filled]) {
                return Ok(&self.buffer[..length]);
            }
            let read = self.stream.read(&mut self.buffer[filled..]).await?;
            if read == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            filled += read;
        }
    }
}

/// The length of the HTTP message at the start of these bytes, once it is complete. Bodies must have a
/// `content-length`.
pub fn message_length(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..head]).ok()?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let whole = head + length.unwrap_or(0);
    (bytes.len() >= whole).then_some(whole)
}

#[cfg(test)]
mod tests {
    use super::message_length;

    #[test]
    fn a_message_is_whole_once_its_body_is_there() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP";
        assert_eq!(message_length(text), Some(text.len() - 4));
        assert_eq!(message_length(&text[..text.len() - 5]), None);
        assert_eq!(message_length(b"HTTP/1.1 200 OK\r\n"), None);
    }
}
