//! Drives a fuzz target on stable Rust: valid inputs are cut, spliced and mutated, for a set time.
//!
//! `BATON_FUZZ_SECONDS` sets the duration (half a second by default), `BATON_FUZZ_SEED` the seed. A failure prints the
//! seed and the execution that reproduce it.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a fuzz target says on the terminal what it did")]

use std::time::{Duration, Instant};

/// Duration of an ordinary test run.
const MOMENT: Duration = Duration::from_millis(500);
/// Maximum size of one input, in bytes.
const INPUT_BYTES_MAX: usize = 16 << 10;
/// Maximum number of mutations of one input.
const CHANGES_MAX: u64 = 8;

/// Small fragments that are significant to parsers.
const PIECES: [&str; 32] = [
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "{{",
    "}}",
    "{%",
    "%}",
    "'",
    "\"",
    "`",
    ":",
    ",",
    "-",
    "|",
    "&a ",
    "*a",
    "<<: ",
    "!!",
    "#",
    "\n",
    "\t",
    "\0",
    "\u{feff}",
    "é",
    "\u{1f600}",
    "null",
    "1e999",
    "-0",
    "999999999999999999999",
];

/// splitmix64: sufficient for mutations, and the same on every platform.
pub struct FuzzRng(u64);

impl FuzzRng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit.max(1)).unwrap_or(1)).unwrap_or(0)
    }
}

/// Calls `target` with mutated inputs until the time is up. It fails by panicking.
pub fn fuzz(name: &str, corpus: &[Vec<u8>], target: impl Fn(&[u8])) {
    assert!(!corpus.is_empty(), "a fuzz target needs something to begin with");
    let seconds = std::env::var("BATON_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).map(Duration::from_secs);
    let seed = std::env::var("BATON_FUZZ_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let (began, limit) = (Instant::now(), seconds.unwrap_or(MOMENT));
    let mut executions: u64 = 0;
    let last = std::panic::AssertUnwindSafe(&target);
    while began.elapsed() < limit {
        let mut chance = FuzzRng(seed ^ executions.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let input = disturbed(corpus, &mut chance);
        let outcome = std::panic::catch_unwind(|| last(&input));
        if let Err(cause) = outcome {
            eprintln!("fuzz {name}: seed {seed}, execution {executions}: {:?}", String::from_utf8_lossy(&input));
            std::panic::resume_unwind(cause);
        }
        executions += 1;
    }
    println!("fuzz {name}: {executions} executions");
}

fn disturbed(corpus: &[Vec<u8>], chance: &mut FuzzRng) -> Vec<u8> {
    let mut input = corpus[chance.below(corpus.len())].clone();
    for _ in 0..=chance.next() % CHANGES_MAX {
        let at = chance.below(input.len() + 1);
        match chance.below(7) {
            0 => input.truncate(at),
            1 => {
                let piece = PIECES[chance.below(PIECES.len())].as_bytes();
                input.splice(at..at, piece.iter().copied());
            }
            2 => {
                let end = (at + chance.below(24)).min(input.len());
                input.drain(at..end);
            }
            3 => {
                let end = (at + chance.below(64)).min(input.len());
                let again = input[at..end].repeat(1 + chance.below(8));
                input.splice(at..at, again);
            }
            4 => {
                let other = &corpus[chance.below(corpus.len())];
                let from = chance.below(other.len());
                let to = (from + chance.below(200)).min(other.len());
                input.splice(at..at, other[from..to].iter().copied());
            }
            5 => {
                let byte = u8::try_from(chance.below(256)).unwrap_or(0);
                if let Some(place) = input.get_mut(at) {
                    *place = byte;
                }
            }
            _ => {
                let deep = PIECES[chance.below(10)].repeat(1 + chance.below(300));
                input.splice(at..at, deep.bytes());
            }
        }
        input.truncate(INPUT_BYTES_MAX);
    }
    input
}
