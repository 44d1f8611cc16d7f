//! Words that are not allowed in pure crates.

use crate::code::{self, BlankedSource};

/// Pure crates: they decide, and do no input or output.
const PURE: &[&str] = &["crates/expr/src/", "crates/core/src/", "crates/agents/src/"];

/// Words that are rejected in a pure crate, and the reason.
struct WordBan {
    words: &'static [&'static str],
    /// Whether the rule applies to tests too.
    tests_too: bool,
    why: &'static str,
}

const BANS: &[WordBan] = &[
    WordBan {
        words: &["HashMap", "HashSet", "RandomState"],
        tests_too: true,
        why: "its order differs between two processes; use BTreeMap or BTreeSet",
    },
    WordBan {
        words: &["SystemTime::now", "Instant::now", "Timestamp::now", "Zoned::now", "Utc::now", "Local::now"],
        tests_too: true,
        why: "time comes in as an argument (STYLE.md, 1)",
    },
    WordBan {
        words: &["std::fs", "std::net", "std::process", "std::env"],
        tests_too: false,
        why: "a pure crate does no IO; take what was read as an argument",
    },
    WordBan { words: &["async", "await"], tests_too: false, why: "a pure crate is not async; the engine's driver is" },
];

pub fn check(path: &str, code: &BlankedSource) -> Vec<String> {
    if !PURE.iter().any(|prefix| path.starts_with(prefix)) {
        return Vec::new();
    }
    let test_file = code::is_test_file(path);
    let mut findings = Vec::new();
    for (number, line) in code.lines() {
        let test = test_file || code.is_test(number);
        for ban in BANS.iter().filter(|ban| ban.tests_too || !test) {
            let met = ban.words.iter().filter(|word| code::has_word(line, word));
            findings.extend(met.map(|word| format!("{path}:{number}: `{word}`: {}", ban.why)));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(path: &str, source: &str) -> usize {
        check(path, &BlankedSource::new(source)).len()
    }

    #[test]
    fn a_banned_word_is_found_with_its_line() {
        let findings = check("crates/core/src/run.rs", &BlankedSource::new("\nuse std::collections::HashMap;\n"));
        assert_eq!(findings.len(), 1);
        assert!(findings[0].starts_with("crates/core/src/run.rs:2: `HashMap`"), "{findings:?}");
    }

    #[test]
    fn other_crates_may_use_the_words() {
        assert_eq!(count("crates/store/src/sqlite.rs", "let now = Instant::now();"), 0);
        assert_eq!(count("crates/agents/src/step.rs", "let now = Instant::now();"), 1);
    }

    #[test]
    fn a_word_in_a_comment_or_a_string_is_only_talk() {
        assert_eq!(count("crates/core/src/run.rs", "// no HashMap\nlet a = \"HashMap\";"), 0);
    }

    #[test]
    fn tests_may_start_processes_but_not_lean_on_order_or_the_clock() {
        let source = "#[cfg(test)]\nmod tests {\n    use std::process;\n    use std::collections::HashSet;\n}\n";
        assert_eq!(count("crates/core/src/run.rs", source), 1);
        assert_eq!(count("crates/core/src/run/tests.rs", "use std::process; fn a() { SystemTime::now(); }"), 1);
    }
}
