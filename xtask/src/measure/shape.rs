//! The lengths of files and functions, and the lines of each crate.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::code::{self, BlankedSource};
use crate::workspace::Workspace;

/// Number of the longest items to name.
const LONGEST: usize = 10;

#[derive(Serialize)]
pub struct CodeShape {
    /// Product files. Test files are excluded.
    files: LengthStats,
    /// Product functions.
    functions: LengthStats,
    /// Functions in tests.
    test_functions: LengthStats,
    longest_files: Vec<LongItem>,
    longest_functions: Vec<LongItem>,
    crates: BTreeMap<String, CrateSize>,
}

/// Length statistics of one kind of item.
#[derive(Serialize, Debug, PartialEq, Eq)]
struct LengthStats {
    count: usize,
    median: usize,
    /// The 90th percentile.
    p90: usize,
}

#[derive(Serialize)]
struct LongItem {
    lines: usize,
    /// `path` for a file, `path:line name` for a function.
    place: String,
}

#[derive(Serialize, Default)]
struct CrateSize {
    files: usize,
    /// Lines of product files and of test files.
    lines: usize,
    /// Lines with code, outside tests.
    code: usize,
    /// Lines with code, in tests.
    tests: usize,
}

impl CodeShape {
    pub fn of(workspace: &Workspace) -> anyhow::Result<Self> {
        let mut tally = ShapeTally::default();
        for path in workspace.files()?.iter().filter(|path| path.ends_with(".rs")) {
            if let Some(name) = crate_of(path) {
                tally.add(name, path, &std::fs::read_to_string(workspace.root().join(path))?);
            }
        }
        Ok(tally.shape())
    }

    pub fn table(&self) -> Vec<String> {
        let row = |name: &str, lengths: &LengthStats| {
            format!(
                "{name:<20} {:>6}   median {:>4} lines   9 in 10 up to {:>4}",
                lengths.count, lengths.median, lengths.p90
            )
        };
        let mut lines = vec![
            row("files", &self.files),
            row("functions", &self.functions),
            row("functions in tests", &self.test_functions),
            String::new(),
            format!("{:<10} {:>6} {:>8} {:>8} {:>8}", "crate", "files", "lines", "code", "tests"),
        ];
        lines.extend(self.crates.iter().map(|(name, size)| {
            format!("{name:<10} {:>6} {:>8} {:>8} {:>8}", size.files, size.lines, size.code, size.tests)
        }));
        for (title, longest) in [("longest files", &self.longest_files), ("longest functions", &self.longest_functions)]
        {
            lines.extend([String::new(), title.to_owned()]);
            lines.extend(longest.iter().map(|long| format!("  {:>5}  {}", long.lines, long.place)));
        }
        lines
    }
}

/// The totals that are collected file by file.
#[derive(Default)]
struct ShapeTally {
    files: Vec<LongItem>,
    functions: Vec<LongItem>,
    tests: Vec<LongItem>,
    crates: BTreeMap<String, CrateSize>,
}

impl ShapeTally {
    fn add(&mut self, name: &str, path: &str, source: &str) {
        let code = BlankedSource::new(source);
        let test_file = code::is_test_file(path);
        let size = self.crates.entry(name.to_owned()).or_default();
        let lines = source.lines().count();
        size.files += 1;
        size.lines += lines;
        for (number, _) in code.lines().filter(|(_, line)| !line.trim().is_empty()) {
            let test = test_file || code.is_test(number);
            *(if test { &mut size.tests } else { &mut size.code }) += 1;
        }
        if !test_file {
            self.files.push(LongItem { lines, place: path.to_owned() });
        }
        for function in code.functions() {
            let test = test_file || code.is_test(function.line);
            let place = format!("{path}:{} {}", function.line, function.name);
            let long = LongItem { lines: function.length, place };
            if test { self.tests.push(long) } else { self.functions.push(long) }
        }
    }

    fn shape(self) -> CodeShape {
        CodeShape {
            files: LengthStats::of(&self.files),
            functions: LengthStats::of(&self.functions),
            test_functions: LengthStats::of(&self.tests),
            longest_files: longest(self.files),
            longest_functions: longest(self.functions),
            crates: self.crates,
        }
    }
}

impl LengthStats {
    fn of(all: &[LongItem]) -> Self {
        let mut lines: Vec<usize> = all.iter().map(|one| one.lines).collect();
        lines.sort_unstable();
        let at = |share: usize| lines.get((lines.len() * share).saturating_sub(1) / 100).copied().unwrap_or(0);
        Self { count: lines.len(), median: at(50), p90: at(90) }
    }
}

fn longest(mut all: Vec<LongItem>) -> Vec<LongItem> {
    all.sort_by(|one, other| other.lines.cmp(&one.lines).then_with(|| one.place.cmp(&other.place)));
    all.truncate(LONGEST);
    all
}

/// The crate of a path. `None` outside the crates.
fn crate_of(path: &str) -> Option<&str> {
    match path.split('/').collect::<Vec<_>>()[..] {
        ["crates", name, ..] => Some(name),
        ["xtask", ..] => Some("xtask"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(all: &[usize]) -> LengthStats {
        LengthStats::of(&all.iter().map(|lines| LongItem { lines: *lines, place: String::new() }).collect::<Vec<_>>())
    }

    #[test]
    fn the_median_is_the_lower_middle_and_nothing_has_median_nothing() {
        assert_eq!(lengths(&[]), LengthStats { count: 0, median: 0, p90: 0 });
        assert_eq!(lengths(&[5]), LengthStats { count: 1, median: 5, p90: 5 });
        assert_eq!(lengths(&[9, 1, 5]), LengthStats { count: 3, median: 5, p90: 9 });
        assert_eq!(lengths(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]), LengthStats { count: 10, median: 5, p90: 9 });
    }

    #[test]
    fn product_and_test_code_are_counted_apart() {
        let mut tally = ShapeTally::default();
        let source = "//! Why.\n\nfn a() {\n    b();\n}\n\n#[cfg(test)]\nmod tests {\n    fn c() {}\n}\n";
        tally.add("core", "crates/core/src/run.rs", source);
        tally.add("core", "crates/core/src/run/tests.rs", "fn d() {}\n");
        let shape = tally.shape();
        let size = &shape.crates["core"];
        assert_eq!((size.files, size.lines, size.code, size.tests), (2, 11, 3, 5));
        assert_eq!((shape.files.count, shape.functions.count, shape.test_functions.count), (1, 1, 2));
        assert_eq!(shape.longest_functions[0].place, "crates/core/src/run.rs:3 a");
    }

    #[test]
    fn the_longest_come_first_and_are_few() {
        let all = (0..50).map(|lines| LongItem { lines, place: format!("{lines:02}") }).collect();
        let longest = longest(all);
        assert_eq!((longest.len(), longest[0].lines, longest[9].lines), (LONGEST, 49, 40));
    }

    #[test]
    fn paths_know_their_room() {
        assert_eq!(crate_of("crates/core/src/run.rs"), Some("core"));
        assert_eq!(crate_of("xtask/src/main.rs"), Some("xtask"));
        assert_eq!(crate_of("examples/clinic/build.rs"), None);
    }
}
