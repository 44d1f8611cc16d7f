//! `baton serve`, as a process: its first start, its keys, its doors, its end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command};

use serde_json::Value;

use crate::place::Place;

/// A server, and what it said when it started.
struct Server {
    process: Child,
    said: Value,
}

impl Server {
    fn start(place: &Place) -> Self {
        let mut process = place.begin(&["serve", "--listen", "127.0.0.1:0", "--json"]);
        let mut line = String::new();
        let mut stdout = BufReader::new(process.stdout.take().expect("its output"));
        stdout.read_line(&mut line).expect("says something");
        Self { process, said: serde_json::from_str(&line).expect("one line of JSON") }
    }

    fn key(&self) -> Option<&str> {
        self.said["key"].as_str()
    }

    /// Head and body of an answer.
    fn get(&self, path: &str, key: Option<&str>) -> String {
        let host = self.said["url"].as_str().and_then(|url| url.strip_prefix("http://")).expect("a URL");
        let mut stream = TcpStream::connect(host).expect("connects");
        let key = key.map(|key| format!("Authorization: Bearer {key}\r\n")).unwrap_or_default();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{key}\r\n").expect("is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("is answered");
        answer
    }

    /// Asks it to stop, and says how it ended.
    fn stop(mut self) -> Option<i32> {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().expect("kill is there").success());
        self.process.wait().expect("ends").code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn the_first_start_makes_a_key_that_the_next_one_knows_and_does_not_show() {
    let place = Place::empty();
    let first = Server::start(&place);
    let key = first.key().expect("a key").to_owned();
    assert!(first.get("/v1/models", Some(&key)).starts_with("HTTP/1.1 200"));
    assert!(first.get("/v1/models", None).starts_with("HTTP/1.1 401"));
    assert!(first.get("/health", None).contains("\"status\":\"ok\""));
    assert!(first.get("/metrics", None).contains("http_requests_total{route=\"/v1/models\",status=\"401\"} 1"));
    assert!(first.get("/metrics", None).contains("vector_store_size_total{type=\"knowledge_base\"} 0"));
    assert!(first.get("/none", None).starts_with("HTTP/1.1 404"));
    assert_eq!(first.stop(), Some(0));
    let second = Server::start(&place);
    assert_eq!(second.key(), None);
    assert!(second.get("/v1/models", Some(&key)).starts_with("HTTP/1.1 200"));
}

#[test]
fn an_address_that_cannot_be_used_is_refused_with_the_way_out() {
    let place = Place::empty();
    let server = Server::start(&place);
    let taken = server.said["url"].as_str().and_then(|url| url.strip_prefix("http://")).expect("a URL").to_owned();
    for (address, hint) in [("nowhere", "HOST:PORT"), (taken.as_str(), "--listen")] {
        place.baton(&["serve", "--listen", address]).ends(2).warns(hint);
    }
}
