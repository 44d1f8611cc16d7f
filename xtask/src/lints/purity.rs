//! Transitive dependencies of `expr`, `core` and `agents`: no runtime, network, database or random source.
//!
//! Uses `cargo tree` and not `cargo metadata`, whose resolution includes features that other crates enable. Procedural
//! macros are excluded, because they run on the build machine and are not in the product. Dependencies on other
//! platforms are excluded too: `jsonschema` needs a random source on WebAssembly, where we run nothing.

use crate::process;
use crate::workspace::Workspace;

use super::LintOutcome;

/// Packages whose normal dependencies are followed to the end.
const PURE: &[&str] = &["baton-expr", "baton-core", "baton-agents"];

/// Packages that would introduce time, tasks, the network, a database, a random source or new ids.
const DENIED: &[&str] = &[
    "async-std",
    "axum",
    "chrono",
    "curl",
    "fastrand",
    "futures-executor",
    "getrandom",
    "h2",
    "hyper",
    "isahc",
    "lettre",
    "libsqlite3-sys",
    "mio",
    "native-tls",
    "notify",
    "oorandom",
    "openssl",
    "openssl-sys",
    "polling",
    "postgres",
    "rand",
    "rand_chacha",
    "rand_core",
    "redis",
    "reqwest",
    "ring",
    "rusqlite",
    "rustls",
    "smol",
    "socket2",
    "sqlx",
    "tempfile",
    "tokio",
    "tokio-postgres",
    "tonic",
    "ureq",
    "uuid",
];

/// A denied package that is allowed through one direct parent only.
struct PurityException {
    package: &'static str,
    through: &'static str,
    reason: &'static str,
}

const EXCEPTIONS: &[PurityException] = &[PurityException {
    package: "getrandom",
    through: "ahash",
    reason: "jsonschema 0.60 and its `referencing` take ahash with default features, which seed hash tables from the \
             operating system, and offer no way to switch that off. The tables live inside compiled schemas; nothing \
             that is journaled may depend on their order",
}];

pub fn check(workspace: &Workspace) -> anyhow::Result<LintOutcome> {
    let mut findings = Vec::new();
    let mut used = Vec::new();
    let mut packages = 0;
    for package in PURE {
        let tree = process::output(&mut workspace.cargo([
            "tree",
            "--quiet",
            "--package",
            package,
            "--edges",
            "normal,no-proc-macro",
            "--prefix",
            "depth",
            "--format",
            "{p}",
        ]))?;
        let walked = walk(&tree);
        packages += walked.packages;
        findings.extend(walked.findings);
        used.extend(walked.used);
    }
    findings.extend(unused_exceptions(&used));
    let note = format!("{packages} packages behind {}, {} named exception(s)", PURE.join(" and "), EXCEPTIONS.len());
    Ok(LintOutcome::from_findings(findings, note))
}

/// The result of reading one tree.
#[derive(Default)]
struct PurityWalk {
    packages: usize,
    findings: Vec<String>,
    /// Exceptions that were needed, by their index in [`EXCEPTIONS`].
    used: Vec<usize>,
}

/// Reads a tree printed with `--prefix depth`: the depth, the name, a space, the rest.
fn walk(tree: &str) -> PurityWalk {
    let mut walked = PurityWalk::default();
    let mut path: Vec<&str> = Vec::new();
    for line in tree.lines() {
        let digits = line.len() - line.trim_start_matches(|one: char| one.is_ascii_digit()).len();
        let Ok(depth) = line[..digits].parse::<usize>() else {
            continue;
        };
        let Some(name) = line[digits..].split_whitespace().next() else {
            continue;
        };
        path.truncate(depth);
        path.push(name);
        walked.packages += usize::from(!line.ends_with("(*)"));
        if DENIED.contains(&name) {
            walked.visit_path(&path);
        }
    }
    walked
}

impl PurityWalk {
    fn visit_path(&mut self, path: &[&str]) {
        let [above @ .., name] = path else { return };
        // Dependencies of a denied package disappear together with it.
        let (Some(parent), false) = (above.last(), above.iter().any(|one| DENIED.contains(one))) else { return };
        let excepted = EXCEPTIONS.iter().position(|one| one.package == *name && one.through == *parent);
        match excepted {
            Some(at) => self.used.push(at),
            None => self.findings.push(format!(
                "`{name}` is reached from `{}`: {}\nturn the feature off that brings it, or name the exception with \
                 its reason in xtask/src/lints/purity.rs",
                path[0],
                path.join(" → "),
            )),
        }
    }
}

/// An exception that is no longer needed must be removed, or it could admit a new dependency.
fn unused_exceptions(used: &[usize]) -> Vec<String> {
    let unused = EXCEPTIONS.iter().enumerate().filter(|(at, _)| !used.contains(at));
    unused
        .map(|(_, one)| {
            format!(
                "the exception for `{}` through `{}` is no longer needed ({}); take it out of \
                 xtask/src/lints/purity.rs",
                one.package, one.through, one.reason
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denied_package_is_found_with_the_way_it_came() {
        let walked = walk("0baton-core v0.1.0 (somewhere)\n1jiff v0.2.0\n1schemas v1.0.0\n2tokio v1.0.0\n");
        assert_eq!(walked.packages, 4);
        assert_eq!(walked.findings.len(), 1);
        assert!(walked.findings[0].contains("baton-core → schemas → tokio"), "{:?}", walked.findings);
    }

    #[test]
    fn what_a_denied_package_leans_on_is_not_named_again() {
        let walked = walk("0baton-core v0.1.0\n1reqwest v0.13.0\n2hyper v1.0.0\n3tokio v1.0.0\n1rand v0.9.0\n");
        let names: Vec<_> = walked.findings.iter().filter_map(|text| text.split('`').nth(1)).collect();
        assert_eq!(names, ["reqwest", "rand"]);
    }

    #[test]
    fn an_exception_covers_one_parent_only() {
        let walked =
            walk("0baton-core v0.1.0\n1ahash v0.8.0\n2getrandom v0.3.0\n1uuid-like v1.0.0\n2getrandom v0.3.0 (*)\n");
        assert_eq!(walked.used, [0]);
        assert_eq!(walked.findings.len(), 1);
        assert!(walked.findings[0].contains("uuid-like → getrandom"), "{:?}", walked.findings);
    }

    #[test]
    fn a_name_that_only_starts_like_a_denied_one_passes() {
        assert!(walk("0baton-core v0.1.0\n1uuid-simd v0.8.0\n1rand-free v1.0.0\n").findings.is_empty());
    }

    #[test]
    fn an_idle_exception_is_a_finding() {
        assert_eq!(unused_exceptions(&[]).len(), EXCEPTIONS.len());
        assert!(unused_exceptions(&[0]).is_empty());
    }
}
