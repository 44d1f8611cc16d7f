//! Requests to the server, each on a connection of its own.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;

/// A request that takes longer than this is stuck. No test waits for one on purpose.
const ANSWER_MAX: Duration = Duration::from_secs(120);

/// The address of the server and the API key.
#[derive(Clone)]
pub struct FaultsClient {
    pub port: u16,
    pub key: String,
}

/// A response, or the error of the connection.
pub type FaultsOutcome = std::io::Result<FaultsAnswer>;

pub struct FaultsAnswer {
    pub status: u16,
    pub body: Value,
}

impl FaultsAnswer {
    /// Whether the request was acknowledged.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl FaultsClient {
    /// Posts a request that must take effect once for this key, and does not wait for the result.
    pub fn post(&self, path: &str, idempotency_key: &str, body: &Value) -> FaultsOutcome {
        let more = format!("idempotency-key: {idempotency_key}\r\nprefer: respond-async\r\n");
        self.send("POST", path, &more, &body.to_string())
    }

    /// Reads a resource.
    ///
    /// # Errors
    /// The status is not 200.
    pub fn get(&self, path: &str) -> anyhow::Result<Value> {
        let answer = self.ask(path).with_context(|| format!("GET {path}"))?;
        ensure!(answer.status == 200, "GET {path} was answered {}: {}", answer.status, answer.body);
        Ok(answer.body)
    }

    pub fn ask(&self, path: &str) -> FaultsOutcome {
        self.send("GET", path, "", "")
    }

    fn send(&self, method: &str, path: &str, more: &str, body: &str) -> FaultsOutcome {
        let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        connection.set_read_timeout(Some(ANSWER_MAX))?;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n{more}\
             content-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            self.key,
            body.len()
        );
        connection.write_all(request.as_bytes())?;
        let mut text = String::new();
        connection.read_to_string(&mut text)?;
        parse(&text).ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
    }
}

/// Encodes an id as a path segment.
pub fn part(id: &str) -> String {
    id.replace('/', "%2F").replace('#', "%23")
}

/// `None` if the response is incomplete.
fn parse(text: &str) -> Option<FaultsAnswer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(FaultsAnswer { status, body: serde_json::from_str(body).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_breaks_off_is_none() {
        let whole = "HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\n{}";
        assert!(parse(whole).is_some_and(|answer| answer.is_success()));
        assert!(parse(&whole[..whole.len() - 1]).is_none());
        assert!(parse("").is_none());
    }
}
