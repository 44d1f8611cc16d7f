//! Builds, and the paths of what was built.
//!
//! For different selections of packages, Cargo enables different features of a dependency and compiles it again.
//! Therefore everything in one session of checks is built as one selection, [`BuildSelection::Everything`], which the
//! test runner uses too, and is started directly instead of through `cargo run`.

use std::path::{Path, PathBuf};

use anyhow::bail;
use serde::Deserialize;

use crate::process;
use crate::workspace::Workspace;

/// What to build.
pub enum BuildSelection<'a> {
    /// Every binary and every test of the workspace.
    Everything,
    /// One binary of one package with its dependencies. Faster if nothing else is needed.
    Binary { package: &'a str, name: &'a str },
    /// One test binary of one package.
    Test { package: &'a str, name: &'a str },
}

/// An executable that was built.
pub struct BuiltExecutable {
    pub name: String,
    pub kind: ExecutableKind,
    pub path: PathBuf,
    /// The folder of its package, in which tests expect to be started.
    pub folder: PathBuf,
}

/// The kind of an executable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExecutableKind {
    Binary,
    /// A file of a package's `tests` folder.
    Test,
    /// The tests inside a library or a binary.
    UnitTests,
}

/// Builds, with compiler messages passed through, and returns the executables.
pub fn build(workspace: &Workspace, profile: &str, selection: &BuildSelection) -> anyhow::Result<Vec<BuiltExecutable>> {
    let mut command = workspace.cargo(["build", "--profile", profile, "--message-format", "json-render-diagnostics"]);
    match selection {
        BuildSelection::Everything => command.args(["--workspace", "--bins", "--tests"]),
        BuildSelection::Binary { package, name } => command.args(["--package", package, "--bin", name]),
        BuildSelection::Test { package, name } => command.args(["--package", package, "--test", name]),
    };
    command.stderr(std::process::Stdio::inherit());
    let finished = process::capture(&mut command)?;
    if !finished.status.success() {
        bail!("`{}` ended with {}", process::command_line(&command), finished.status);
    }
    Ok(finished.stdout.lines().filter_map(executable).collect())
}

/// The path of a binary among the executables.
pub fn binary<'a>(built: &'a [BuiltExecutable], name: &str) -> Option<&'a Path> {
    built.iter().find(|one| one.kind == ExecutableKind::Binary && one.name == name).map(|one| one.path.as_path())
}

/// Parses one line of cargo's messages. Most are not about an executable.
fn executable(line: &str) -> Option<BuiltExecutable> {
    #[derive(Deserialize)]
    struct CargoMessage {
        executable: PathBuf,
        manifest_path: PathBuf,
        target: crate::metadata::CargoTarget,
        profile: CargoProfile,
    }
    #[derive(Deserialize)]
    struct CargoProfile {
        test: bool,
    }
    let message: CargoMessage = serde_json::from_str(line).ok()?;
    let kind = match (message.target.is("bin"), message.target.is("test"), message.profile.test) {
        (true, _, false) => ExecutableKind::Binary,
        (_, true, _) => ExecutableKind::Test,
        (_, _, true) => ExecutableKind::UnitTests,
        (false, false, false) => return None,
    };
    Some(BuiltExecutable {
        name: message.target.name,
        kind,
        path: message.executable,
        folder: message.manifest_path.parent()?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: &str, test: bool, executable: &str) -> String {
        format!(
            r#"{{"reason":"compiler-artifact","package_id":"x","manifest_path":"crates/x/Cargo.toml",
            "target":{{"kind":["{kind}"],"name":"x"}},"profile":{{"test":{test}}},"executable":{executable}}}"#
        )
    }

    #[test]
    fn binaries_test_files_and_unit_tests_are_told_apart() {
        let kind = |kind, test| executable(&message(kind, test, r#""t/x""#)).map(|one| one.kind);
        assert_eq!(kind("bin", false), Some(ExecutableKind::Binary));
        assert_eq!(kind("bin", true), Some(ExecutableKind::UnitTests));
        assert_eq!(kind("lib", true), Some(ExecutableKind::UnitTests));
        assert_eq!(kind("test", true), Some(ExecutableKind::Test));
        assert_eq!(kind("custom-build", false), None);
    }

    #[test]
    fn messages_without_an_executable_are_passed_over() {
        assert!(executable(&message("lib", false, "null")).is_none());
        assert!(executable(r#"{"reason":"build-finished","success":true}"#).is_none());
        assert!(executable("Compiling").is_none());
    }

    #[test]
    fn an_executable_remembers_the_folder_of_its_package() {
        let one = executable(&message("test", true, r#""t/x""#)).unwrap();
        assert_eq!(one.folder, Path::new("crates/x"));
    }
}
