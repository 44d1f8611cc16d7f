//! Tests what a confined process can still do, from native code: this simulates a program that has escaped the
//! interpreter. Each attempt runs in a process of its own, which is this test binary, started again.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, setrlimit, test_kill_process};

use super::*;

const ARGUMENTS: ChildArguments = ChildArguments { memory_bytes: 32 << 20, cpu_seconds: 1, unconfined: false };
/// Printed if an attempt did not end the process.
const OUTLIVED: &str = "outlived";

fn ignored<T>(_outcome: T) {}

type ConfinementProbe = (&'static str, fn());

/// Each must end the process at once.
const FATAL: &[ConfinementProbe] = &[
    ("read a file", || ignored(File::open("/etc/hostname"))),
    ("write a file", || ignored(File::create("/tmp/baton-sandbox-test"))),
    ("remove a file", || ignored(fs::remove_file("/tmp/baton-sandbox-test"))),
    ("rename a file", || ignored(fs::rename("/tmp/baton-sandbox-test", "/tmp/baton-sandbox-test-2"))),
    ("look at a file", || ignored(fs::metadata("/etc/hostname"))),
    ("list a folder", || ignored(fs::read_dir("/"))),
    ("make a folder", || ignored(fs::create_dir("/tmp/baton-sandbox-test"))),
    ("link a file", || ignored(std::os::unix::fs::symlink("/etc/hostname", "/tmp/baton-sandbox-test"))),
    ("change folder", || ignored(std::env::set_current_dir("/tmp"))),
    ("connect", || ignored(TcpStream::connect("127.0.0.1:1"))),
    ("listen", || ignored(TcpListener::bind("127.0.0.1:0"))),
    ("send", || ignored(UdpSocket::bind("127.0.0.1:0"))),
    ("connect to this machine", || ignored(UnixStream::connect("/run/x"))),
    ("have a socket", || ignored(UnixDatagram::unbound())),
    ("have a pipe", || ignored(std::io::pipe())),
    ("start a program", || ignored(Command::new("/bin/true").spawn())),
    ("start a thread", || ignored(std::thread::Builder::new().spawn(|| {}))),
    ("sleep", || std::thread::sleep(Duration::from_millis(1))),
    ("signal its parent", || ignored(rustix::process::getppid().map(test_kill_process))),
    ("signal another process", || ignored(Pid::from_raw(1).map(test_kill_process))),
    ("raise its limits", || ignored(setrlimit(Resource::As, Rlimit { current: None, maximum: None }))),
    ("take capabilities", || ignored(rustix::thread::capabilities(None))),
    ("be inspected", || ignored(set_dumpable_behavior(DumpableBehavior::Dumpable))),
    ("watch another process", || ignored(fs::read("/proc/1/environ"))),
];

/// Each must leave the process unaffected.
const HARMLESS: &[ConfinementProbe] = &[
    ("nothing", || {}),
    ("take and give back memory", || ignored(vec![1_u8; 16 << 20])),
    ("look at the clock", || ignored(std::time::Instant::now())),
    ("seed a table", || ignored(std::collections::hash_map::RandomState::new())),
];

/// Runs an attempt in a confined process and returns how the process ended.
fn tried(attempt: &str) -> (ExitStatus, String) {
    let mut process = Command::new(std::env::current_exe().unwrap());
    process.args(["--exact", "sandbox::child::confine::tests::the_attempt_that_is_named", "--ignored", "--nocapture"]);
    process.env_clear().envs(ALLOCATOR).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = process.spawn().unwrap();
    process.stdin.take().unwrap().write_all(attempt.as_bytes()).unwrap();
    let ended = process.wait_with_output().unwrap();
    let said = [ended.stdout, ended.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    (ended.status, said)
}

/// Not a test: [`tried`] starts it.
#[test]
#[ignore = "makes an attempt that ends the process; the other tests start it"]
fn the_attempt_that_is_named() {
    let mut named = String::new();
    std::io::stdin().read_to_string(&mut named).unwrap();
    let all = FATAL.iter().chain(HARMLESS);
    let Some((_, attempt)) = all.into_iter().find(|(name, _)| *name == named) else { return };
    confine(&ARGUMENTS).unwrap();
    attempt();
    let _ = std::io::stderr().write_all(OUTLIVED.as_bytes());
    std::process::abort();
}

#[test]
fn whatever_reaches_out_ends_the_process() {
    for (name, _) in FATAL {
        let (status, said) = tried(name);
        assert_eq!(status.signal(), Some(libc::SIGSYS), "{name}: {said}");
        assert!(!said.contains(OUTLIVED), "{name}: {said}");
    }
}

#[test]
fn what_an_interpreter_needs_does_not_end_the_process() {
    for (name, _) in HARMLESS {
        let (status, said) = tried(name);
        assert_eq!(status.signal(), Some(libc::SIGABRT), "{name}: {said}");
        assert!(said.contains(OUTLIVED), "{name}: {said}");
    }
}
