//! Valid files with a few edits: every problem is reported, and nothing panics.

use super::super::{Severity, check, compile, render};
use super::fixture_catalog;

/// Number of edited files in an ordinary test run; `MUTATIONS` sets a larger number.
const TRIED: u64 = 1_500;

const PIECES: &[&str] = &[
    "\n",
    "\t",
    " ",
    "  - ",
    ": ",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "'",
    "&a ",
    "*a",
    "<<: ",
    "!!str ",
    "|",
    ">",
    "#",
    "---\n",
    "{{",
    "}}",
    "{% if",
    "%}",
    "$",
    "goto ",
    "null",
    "true",
    "0",
    "-1",
    "1e9",
    "é",
    "\u{1F600}",
    "\\ud83d",
    "nodes:",
    "steps:",
    "edges:",
    "depends_on: ",
    "body: ",
    "type: merge",
    "mode: any",
    "on_error: goto a",
    "when: true",
    "condition: ",
    "id: a",
    "output",
    "compensation: none",
    "workflow: shipping",
    "on_compensated: a",
    "\r",
    "\u{feff}",
    "?",
    "%",
    "@",
    "`",
];

/// Marsaglia's xorshift: small, and the same on every platform.
struct XorshiftRng(u64);

impl XorshiftRng {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(sides.max(1)).unwrap()).unwrap()
    }
}

fn files() -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/definitions");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let page = include_str!("../../../../../docs/reference/workflow-format.md");
    let examples: Vec<String> =
        page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).map(str::to_owned).collect();
    // Valid files have three times the weight: most edits of a broken file leave it broken.
    let examples = std::iter::repeat_n(examples, 3).flatten();
    files.into_iter().map(|file| std::fs::read_to_string(file).unwrap()).chain(examples).collect()
}

fn edited(file: &str, dice: &mut XorshiftRng) -> String {
    let mut edited = file.to_owned();
    for _ in 0..=dice.roll(3) {
        edited = if dice.roll(2) == 0 { with_lines_edited(&edited, dice) } else { with_chars_edited(&edited, dice) };
    }
    edited
}

/// Removes, repeats or moves a line.
fn with_lines_edited(file: &str, dice: &mut XorshiftRng) -> String {
    let mut lines: Vec<&str> = file.split_inclusive('\n').collect();
    let (at, to) = (dice.roll(lines.len()), dice.roll(lines.len()));
    if lines.is_empty() {
        return String::new();
    }
    match dice.roll(3) {
        0 => drop(lines.remove(at)),
        1 => lines.insert(to, lines[at]),
        _ => lines.swap(at, to),
    }
    lines.concat()
}

/// Removes or repeats a few characters, or replaces them by a piece of syntax or by text from elsewhere in the file.
fn with_chars_edited(file: &str, dice: &mut XorshiftRng) -> String {
    let mut chars: Vec<char> = file.chars().collect();
    let at = dice.roll(chars.len());
    let to = (at + dice.roll(12)).min(chars.len());
    let piece: Vec<char> = match dice.roll(4) {
        0 => Vec::new(),
        1 => chars[at..to].iter().chain(&chars[at..to]).copied().collect(),
        2 => PIECES[dice.roll(PIECES.len())].chars().collect(),
        _ => {
            let from = dice.roll(chars.len());
            chars[from..(from + dice.roll(80)).min(chars.len())].to_vec()
        }
    };
    chars.splice(at.min(to)..to, piece);
    chars.into_iter().collect()
}

#[test]
fn edited_files_are_read_or_refused_and_never_panic() {
    let files = files();
    let tried = std::env::var("MUTATIONS").ok().and_then(|tried| tried.parse().ok()).unwrap_or(TRIED);
    let catalog = fixture_catalog::catalog();
    let (mut refused, mut loaded) = (0, 0);
    for seed in 1..=tried {
        let mut dice = XorshiftRng(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let source = edited(&files[dice.roll(files.len())], &mut dice);
        let checked = check(source.as_bytes(), &catalog);
        for found in &checked.diagnostics {
            assert!(render(found, "x.yaml", &source).ends_with('\n'));
        }
        match (checked.worst_severity(), &checked.workflow, &checked.bundle) {
            (Some(Severity::Error), None, None) => refused += 1,
            (_, Some(workflow), Some(bundle)) => {
                loaded += 1;
                if checked.runnable().is_some() {
                    let again = compile(bundle).unwrap_or_else(|error| panic!("seed {seed}: {error}\n{source}"));
                    assert_eq!(format!("{again:?}"), format!("{workflow:?}"), "seed {seed}\n{source}");
                }
            }
            other => panic!("seed {seed}: {other:?}\n{source}"),
        }
    }
    assert!(refused > tried / 10 && loaded > tried / 20, "{refused} refused, {loaded} loaded");
}
