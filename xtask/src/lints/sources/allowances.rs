//! No exceptions from denied lints: every package uses the workspace's lints, and no file allows one of them.

use crate::code::{self, BlankedSource};

/// The one file of the whole product that may print.
const PRINTER: &str = "crates/app/src/print.rs";

/// Lints on printing, which [`PRINTER`] may allow.
const PRINT_LINTS: &[&str] = &["clippy::print_stdout", "clippy::print_stderr"];

/// The other lints that the workspace manifest denies.
const DENIED_LINTS: &[&str] = &[
    "clippy::unwrap_used",
    "clippy::panic",
    "clippy::todo",
    "clippy::unimplemented",
    "clippy::dbg_macro",
    "clippy::await_holding_lock",
    "clippy::disallowed_methods",
    "clippy::restriction",
    "clippy::all",
];

/// Packages with a lint table of their own, and the reason.
const OWN_LINTS: &[(&str, &str)] = &[];

/// Finds attributes that allow a denied lint in a source file. Test files and `cfg_attr(test, …)` may do so.
pub fn check(path: &str, code: &BlankedSource) -> Vec<String> {
    if code::is_test_file(path) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (number, line) in code.lines() {
        if code.is_test(number) || line.contains("cfg_attr(test") {
            continue;
        }
        let print = PRINT_LINTS.iter().filter(|_| path != PRINTER);
        let met = print.chain(DENIED_LINTS).filter(|lint| code::has_word(line, lint));
        findings.extend(
            met.map(|lint| format!("{path}:{number}: `{lint}` may not be allowed here; only {PRINTER} may print")),
        );
    }
    findings
}

/// Finds a package that does not use the workspace's lints.
pub fn check_manifest(package: &str, manifest: &str) -> Option<String> {
    let table = manifest.lines().map(str::trim).skip_while(|line| *line != "[lints]").skip(1);
    let takes = table.take_while(|line| !line.starts_with('[')).any(|line| line.replace(' ', "") == "workspace=true");
    let excepted = OWN_LINTS.iter().any(|(name, _)| *name == package);
    (!takes && !excepted).then(|| {
        format!(
            "package `{package}` does not take the workspace's lints: write `[lints]` and `workspace = true` in its \
             manifest, or name it with its reason in xtask/src/lints/sources/allowances.rs"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(path: &str, source: &str) -> usize {
        check(path, &BlankedSource::new(source)).len()
    }

    #[test]
    fn only_the_printer_may_allow_printing() {
        let source = "#![allow(clippy::print_stdout)]\n";
        assert_eq!(count(PRINTER, source), 0);
        assert_eq!(count("crates/app/src/cli.rs", source), 1);
        assert_eq!(count("crates/sim/src/main.rs", source), 1);
    }

    #[test]
    fn the_printer_may_allow_nothing_else() {
        assert_eq!(count(PRINTER, "#[allow(clippy::unwrap_used)]\nfn a() {}\n"), 1);
    }

    #[test]
    fn tests_may_unwrap() {
        assert_eq!(count("crates/app/tests/cli.rs", "#![allow(clippy::unwrap_used)]\n"), 0);
        assert_eq!(count("crates/app/src/cli.rs", "#![cfg_attr(test, allow(clippy::unwrap_used))]\n"), 0);
        assert_eq!(count("crates/app/src/cli.rs", "#[cfg(test)]\n#[allow(clippy::panic)]\nmod tests {}\n"), 0);
    }

    #[test]
    fn a_package_takes_the_lints_of_the_workspace() {
        assert_eq!(
            check_manifest("a", "[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n\n[dependencies]\n"),
            None
        );
        assert!(check_manifest("a", "[package]\nname = \"a\"\n").is_some());
        assert!(check_manifest("a", "[lints.clippy]\nall = \"allow\"\n\n[features]\nworkspace = true\n").is_some());
    }
}
