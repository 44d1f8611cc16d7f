//! A request as a service in the test process receives it.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

pub struct CapturedRequest {
    pub method: String,
    /// Includes the query.
    pub path: String,
    /// By lower-case name.
    headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
    stream: TcpStream,
}

impl CapturedRequest {
    pub fn read_from(stream: TcpStream) -> std::io::Result<Self> {
        let mut reader = BufReader::new(stream);
        let mut first = String::new();
        reader.read_line(&mut first)?;
        let mut words = first.split(' ').map(str::to_owned);
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? <= 2 {
                break;
            }
            let (name, value) = line.split_once(':').unwrap_or_default();
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        Ok(Self { method, path, headers, body, stream: reader.into_inner() })
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub fn answer(self, status: &str, reply: &str) -> std::io::Result<()> {
        self.answer_in_part(status, reply, reply.len())
    }

    /// Hangs up after `sent` bytes of the reply.
    pub fn answer_in_part(mut self, status: &str, reply: &str, sent: usize) -> std::io::Result<()> {
        let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}", reply.len());
        write!(self.stream, "{head}\r\nConnection: close\r\n\r\n{}", &reply[..sent])
    }
}
