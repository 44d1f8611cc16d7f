//! The child process: what Baton's own binary does when it is started to run programs.
//!
//! It first drops all privileges ([`confine`]), then reads requests from its standard input and responds on its
//! standard output until the input ends. Each request gets a fresh interpreter. Any failure other than a program's
//! own error ends the process: the parent sees how it died, and starts another.

#[cfg(target_os = "linux")]
mod confine;
mod print;
mod program;
mod value;

use std::collections::BTreeMap;
use std::io::{Read, Write, stdin, stdout};

use super::frame::{
    ANSWER_BYTES_MAX, ChildBudget, ChildRequest, ChildResponse, ChildWork, LENGTH_BYTES, ORDER_BYTES_MAX,
    ProgramFailureKind, encode, length,
};

#[cfg(not(target_os = "linux"))]
mod confine {
    /// # Errors
    /// Always: only Linux provides the necessary mechanisms.
    pub(super) fn confine(_arguments: &super::ChildArguments) -> Result<u64, String> {
        Err("programs can be confined on Linux only".to_owned())
    }
}

/// The entire environment of a child. It makes the allocator take memory as needed and reserve few addresses in
/// advance, so that the memory limits are effective.
pub(super) const ALLOCATOR: [(&str, &str); 2] =
    [("MIMALLOC_ARENA_EAGER_COMMIT", "0"), ("MIMALLOC_ARENA_RESERVE", "32MiB")];

/// The arguments that the parent passes to a child.
#[derive(Clone, Copy, Debug)]
pub struct ChildArguments {
    /// Memory for programs, in addition to what the process needs when idle.
    pub memory_bytes: u64,
    /// CPU time of all its programs together, in seconds.
    pub cpu_seconds: u64,
    /// Whether it may run programs even if it cannot be confined.
    pub unconfined: bool,
}

/// Runs programs until the input ends, and returns whether all went well. Must be called before the process does
/// anything else: it must have one thread, and hold nothing that a program might exploit.
pub fn main(arguments: &ChildArguments) -> bool {
    let confined =
        if warm_up() { confine::confine(arguments) } else { Err("its interpreter does not work".to_owned()) };
    let memory_bytes = match confined {
        Ok(memory_bytes) => Some(memory_bytes),
        Err(_) if arguments.unconfined => None,
        Err(reason) => {
            // Without this response, the parent only sees that the child ended, and reports that.
            let _ = answer(&ChildResponse::Refused(reason));
            return false;
        }
    };
    answer(&ChildResponse::Ready { memory_bytes }).and_then(|()| serve()).is_some()
}

/// A program of Baton's own that runs while everything is still allowed, so that the interpreter's libraries perform
/// their one-time look-ups now, such as the number of processors.
const WARMUP_PROGRAM: &str = "import collections, datetime, itertools, functools, json, math, re\n\
                         json.loads(json.dumps({'a': re.sub('(a)(?=b)', r'\\1', 'ab'), 'b': f'{math.pi:.3f}'}))";

fn warm_up() -> bool {
    let budget = ChildBudget {
        memory_bytes: 64 << 20,
        time_ms: 10_000,
        recursion: 100,
        printed_bytes: 0,
        output_bytes: 1_000,
        calls: 0,
    };
    let work = ChildWork::Start { source: WARMUP_PROGRAM.to_owned(), inputs: BTreeMap::new() };
    let order = ChildRequest { work, functions: Vec::new(), awaits: false, budget };
    matches!(program::perform(order), ChildResponse::Finished { .. })
}

/// Returns `None` if the parent cannot be read from or written to.
fn serve() -> Option<()> {
    let mut head = [0; LENGTH_BYTES];
    while stdin().lock().read_exact(&mut head).is_ok() {
        let mut body = vec![0; length(head, ORDER_BYTES_MAX).ok()?];
        stdin().lock().read_exact(&mut body).ok()?;
        let order: ChildRequest = serde_json::from_slice(&body).ok()?;
        drop(body);
        answer(&program::perform(order))?;
    }
    Some(())
}

fn answer(answer: &ChildResponse) -> Option<()> {
    let frame = encode(answer, ANSWER_BYTES_MAX).or_else(|too_long| {
        let message = format!("the answer would have {} bytes", too_long.bytes);
        encode(
            &ChildResponse::Failed { cause: ProgramFailureKind::Output, message, printed: String::new() },
            ANSWER_BYTES_MAX,
        )
    });
    let mut out = stdout().lock();
    out.write_all(&frame.ok()?).and_then(|()| out.flush()).ok()
}
