//! After one signal the process ends soon, whatever hangs. After a second it ends immediately.

use std::net::TcpListener;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use serde_json::json;

use crate::server::{BatonServer, wait_for};
use crate::test_folder::{CommandOutput, TestFolder};

/// Far more than the promised 10 s, because a busy machine is slow to reap processes. The exit code and the output show
/// how the process ended.
const WAIT_LIMIT: Duration = Duration::from_secs(60);

const NOTE: &str = "name: note\nnodes: [{id: keep, type: transform, set: {kept: true}}]\n";

/// Returns the result of `wait`, or fails after the time limit.
#[track_caller]
fn within_limit<T: Send + 'static>(what: &str, wait: impl FnOnce() -> T + Send + 'static) -> T {
    let (tell, told) = sync_channel(1);
    std::thread::spawn(move || tell.send(wait()));
    let told = told.recv_timeout(WAIT_LIMIT).ok();
    assert!(told.is_some(), "not within a minute: {what}");
    told.expect("it came")
}

/// The exit code of the server, and its log.
#[track_caller]
fn ended(server: BatonServer) -> (Option<i32>, String) {
    let (code, _, said) = within_limit("the server ends", || server.ended());
    (code, said)
}

fn writes_held(place: &TestFolder) -> rusqlite::Connection {
    let held = rusqlite::Connection::open(place.path().join(".baton/baton.db")).expect("opens");
    held.execute_batch("BEGIN IMMEDIATE").expect("nobody else writes from here on");
    held
}

#[test]
fn with_a_store_that_does_not_take_writes_it_ends_in_time_and_says_so() {
    let place = TestFolder::with(&[("workflows/note.yaml", NOTE)]);
    let server = BatonServer::start(&place);
    let held = writes_held(&place);
    server.signal("TERM");
    let (code, said) = ended(server);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("not everything could be given back"), "{said}");
    drop(held);
    place.baton(&["run", "note"]).expect_code(0);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let place = TestFolder::with(&[("workflows/note.yaml", NOTE)]);
    let server = BatonServer::start(&place);
    let _held = writes_held(&place);
    server.signal("TERM");
    wait_for("it takes nothing more", || (!server.listens()).then_some(()));
    server.signal("INT");
    let (code, said) = ended(server);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("told to a second time"), "{said}");
}

/// A service that accepts calls and never answers.
fn silent() -> (String, Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (called, calls) = sync_channel(16);
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for stream in listener.incoming().flatten() {
            held.push(stream);
            let _ = called.send(());
        }
    });
    (url, calls)
}

#[test]
fn a_tool_that_hangs_and_a_request_that_waits_for_it_hold_nobody_up() {
    let (url, calls) = silent();
    let tool = format!(
        "name: ask\nkind: http\nurl: {url}/it\ntimeout_ms: 600000\nirreversible: done\nidempotency_header: K\n"
    );
    let place = TestFolder::with(&[
        ("workflows/slow.yaml", "name: slow\nnodes: [{id: act, tool: ask, timeout: 10m}]\n"),
        ("tools/ask.yaml", &tool),
    ]);
    let server = BatonServer::start(&place);
    let (address, key) = (server.address().to_owned(), server.key().expect("a key").to_owned());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let body = json!({ "workflow_id": "slow", "input_data": {} }).to_string();
            let head = format!(
                "POST /api/v1/workflows/execute HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {key}\r\n\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let mut stream = std::net::TcpStream::connect(&address).expect("connects");
            // Longer than any other limit here, so that a failed test ends as well.
            stream.set_read_timeout(Some(WAIT_LIMIT * 2)).expect("a limit");
            std::io::Write::write_all(&mut stream, head.as_bytes()).expect("is sent");
            // The connection may be cut off, or the response may say that the server stops.
            let _ = std::io::Read::read_to_end(&mut stream, &mut Vec::new());
        });
        calls.recv_timeout(WAIT_LIMIT).expect("the tool is called");
        server.signal("TERM");
        let (code, said) = ended(server);
        assert_eq!(code, Some(0), "{said}");
    });
    place.baton(&["runs", "list"]).expect_code(0).expect_stdout("slow");
}

#[test]
fn the_answer_of_a_call_that_nobody_could_repeat_is_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let tool = format!("name: ask\nkind: http\nurl: {url}/it\ntimeout_ms: 600000\nirreversible: done\n");
    let place = TestFolder::with(&[
        ("workflows/act.yaml", "name: act\nnodes: [{id: act, tool: ask, timeout: 10m}]\n"),
        ("tools/ask.yaml", &tool),
    ]);
    let server = BatonServer::start(&place);
    let key = server.key().expect("a key").to_owned();
    let begun = server.ask(
        "POST /api/v1/workflows/execute",
        &key,
        "Prefer: respond-async\r\n",
        &json!({ "workflow_id": "act", "input_data": {} }),
    );
    let run = begun.expect_status(202)["execution_id"].as_str().expect("an id").to_owned();
    let (mut called, _) = within_limit("the tool is called", move || listener.accept()).expect("a call");
    server.signal("TERM");
    wait_for("it takes nothing more", || (!server.listens()).then_some(()));
    std::io::Write::write_all(&mut called, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").expect("is answered");
    let (code, said) = ended(server);
    assert_eq!(code, Some(0), "{said}");
    place.baton(&["runs", "show", &run]).expect_code(0).expect_stdout("completed");
}

/// Loaded into every process that is started with it: a disk sync hangs as long as the file `hangs` exists.
#[cfg(target_os = "linux")]
const HANGS: &str = "\
#define _GNU_SOURCE
#include <stdlib.h>
#include <unistd.h>
static int hang(void) {
    const char *file = getenv(\"HANGS\");
    while (file && access(file, F_OK) == 0) usleep(20000);
    return 0;
}
int fdatasync(int fd) { (void)fd; return hang(); }
int fsync(int fd) { (void)fd; return hang(); }
";

/// Compiles the library. A machine that builds these tests has a C compiler.
#[cfg(target_os = "linux")]
fn hanging_disk(place: &TestFolder) -> String {
    place.write("hangs.c", HANGS);
    let library = place.path().join("libhangs.so");
    let mut cc = std::process::Command::new("cc");
    cc.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(place.path().join("hangs.c"));
    assert!(cc.status().expect("`cc` is there").success(), "`cc` makes the library");
    library.display().to_string()
}

#[cfg(target_os = "linux")]
#[test]
fn with_a_disk_that_does_not_answer_it_ends_in_time() {
    let place = TestFolder::with(&[("workflows/note.yaml", NOTE)]);
    let (library, file) = (hanging_disk(&place), place.path().join("hangs").display().to_string());
    let server = BatonServer::start_with(&place, &[("LD_PRELOAD", &library), ("HANGS", &file)]);
    place.write("hangs", "");
    server.signal("TERM");
    let (code, said) = ended(server);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("not everything could be given back"), "{said}");
    // Its locks are released with it, so the next process takes over immediately.
    place.baton(&["run", "note"]).expect_code(0);
}

#[test]
fn a_command_that_moves_runs_gives_them_back_when_its_supervisor_stops_it() {
    let (url, calls) = silent();
    let tool = format!(
        "name: ask\nkind: http\nurl: {url}/it\ntimeout_ms: 600000\nirreversible: done\nidempotency_header: K\n"
    );
    let place = TestFolder::with(&[
        ("workflows/slow.yaml", "name: slow\nnodes: [{id: act, tool: ask, timeout: 10m}]\n"),
        ("tools/ask.yaml", &tool),
    ]);
    place.baton(&["run", "slow", "--id", "one", "--detach"]).expect_code(3);
    let moving = place.spawn(&["runs", "work"]);
    calls.recv_timeout(WAIT_LIMIT).expect("the tool is called");
    place.shell(&format!("kill -TERM {}", moving.id())).expect_code(0);
    within_limit("it ends", || CommandOutput::wait_for(moving))
        .expect_code(130)
        .expect_stderr("stopped; nothing is lost");
}
