//! `baton serve` in a folder, and requests to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command};

use serde_json::Value;

use crate::place::Place;

/// A server, and what it said when it started.
pub struct Server {
    process: Child,
    stdout: BufReader<ChildStdout>,
    said: Value,
}

impl Server {
    pub fn start(place: &Place) -> Self {
        Self::start_with(place, &[])
    }

    /// With these variables of the environment.
    pub fn start_with(place: &Place, variables: &[(&str, &str)]) -> Self {
        let mut process = place.begin_with(variables, &["serve", "--listen", "127.0.0.1:0", "--json"]);
        let mut line = String::new();
        let mut stdout = BufReader::new(process.stdout.take().expect("its output"));
        stdout.read_line(&mut line).expect("says something");
        Self { process, stdout, said: serde_json::from_str(&line).expect("one line of JSON") }
    }

    /// The key of its first start.
    pub fn key(&self) -> Option<&str> {
        self.said["key"].as_str()
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        self.said["url"].as_str().and_then(|url| url.strip_prefix("http://")).expect("a URL")
    }

    /// Head and body of an answer.
    pub fn get(&self, path: &str, key: Option<&str>) -> String {
        let key = key.map(|key| format!("Authorization: Bearer {key}\r\n")).unwrap_or_default();
        send(self.address(), &format!("GET {path} HTTP/1.1\r\n{key}"), "").expect("is answered")
    }

    /// Asks it to stop, and says how it ended.
    pub fn stop(mut self) -> Option<i32> {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().expect("kill is there").success());
        self.process.wait().expect("ends").code()
    }

    /// Asks it to stop. All it has said on its log.
    pub fn stop_and_read(mut self) -> String {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().expect("kill is there").success());
        let mut said = String::new();
        self.process.stderr.take().expect("its errors").read_to_string(&mut said).expect("its errors");
        assert!(self.process.wait().expect("ends").success(), "{said}");
        said
    }

    /// Kills it at once. All it has said since it started.
    pub fn kill(mut self) -> String {
        self.process.kill().expect("is killed");
        self.process.wait().expect("ends");
        let mut said = self.said.to_string();
        self.stdout.read_to_string(&mut said).expect("its output");
        let mut errors = self.process.stderr.take().expect("its errors");
        errors.read_to_string(&mut said).expect("its errors");
        said
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Posts a chat to the server at this address, under a key, with further header lines. Head and body of the answer;
/// nothing where it went away meanwhile.
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
