//! Licences and origins of all dependencies.
//!
//! This lint is our own and needs nothing installed. If `cargo deny` is installed, it runs as well, with deny.toml, for
//! published advisories, which only it knows.

use std::collections::BTreeMap;

use crate::metadata::CargoMetadata;
use crate::process;
use crate::workspace::{MetadataScope, Workspace};

use super::{LintOutcome, spdx};

/// Licences that are compatible with shipping under Apache-2.0. The same list is in deny.toml.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    "Unlicense",
    "Zlib",
];

/// The prefix with which cargo writes the ordinary registry index as an origin.
const REGISTRY: &str = "registry+";

pub fn check(workspace: &Workspace) -> anyhow::Result<LintOutcome> {
    let (metadata, reach) = workspace.packages()?;
    let mut findings = licences(&metadata);
    findings.extend(origins(&metadata));
    let mut note = format!("{} packages", metadata.packages.len());
    if reach == MetadataScope::ThisPlatform {
        note.push_str(" of this platform (others could not be fetched)");
    }
    let versions = several_versions(&metadata);
    if !versions.is_empty() {
        note.push_str(&format!("; in several versions: {}", versions.join(", ")));
    }
    if process::is_installed(&mut workspace.cargo(["deny", "--version"])) {
        let finished = process::capture(&mut workspace.cargo(["deny", "check"]))?;
        if !finished.status.success() {
            findings.push(format!("`cargo deny check` says\n{}", finished.combined_output().trim_end()));
        }
    } else {
        note.push_str("; advisories not checked: `cargo install --locked cargo-deny`");
    }
    Ok(LintOutcome::from_findings(findings, note))
}

fn licences(metadata: &CargoMetadata) -> Vec<String> {
    let judge = |package: &crate::metadata::CargoPackage| {
        let named = format!("{} {}", package.name, package.version);
        let Some(expression) = &package.license else {
            return Some(format!("`{named}` states no licence; choose another package"));
        };
        match spdx::permits(expression, |licence| ALLOWED.contains(&licence)) {
            Ok(true) => None,
            Ok(false) => Some(format!(
                "`{named}` is under `{expression}`, which xtask/src/lints/licences.rs does not allow; choose another \
                 package, or add the licence there and in deny.toml and say why"
            )),
            Err(why) => Some(format!("`{named}` has a licence expression that cannot be read: {why}")),
        }
    };
    metadata.packages.iter().filter_map(judge).collect()
}

/// Every package comes from the workspace or from one registry. Git checkouts, folders elsewhere, and a second registry
/// that could serve another package under a known name are not allowed.
fn origins(metadata: &CargoMetadata) -> Vec<String> {
    let sources = metadata.packages.iter().filter_map(|package| package.source.as_deref());
    let registry = sources.filter(|source| source.starts_with(REGISTRY)).min();
    let judge = |package: &crate::metadata::CargoPackage| match &package.source {
        None if metadata.workspace_members.contains(&package.id) => None,
        None => Some(format!("`{}` comes from {}, outside the workspace", package.name, package.folder().display())),
        Some(source) if Some(source.as_str()) == registry => None,
        Some(source) => Some(format!(
            "`{} {}` comes from `{source}`; packages come from the ordinary registry only",
            package.name, package.version
        )),
    };
    metadata.packages.iter().filter_map(judge).collect()
}

/// Names with more than one version. They are reported but not denied, because mostly other projects must upgrade.
fn several_versions(metadata: &CargoMetadata) -> Vec<String> {
    let mut versions: BTreeMap<&str, usize> = BTreeMap::new();
    for package in &metadata.packages {
        *versions.entry(&package.name).or_default() += 1;
    }
    let several = versions.into_iter().filter(|(_, count)| *count > 1);
    several.map(|(name, count)| format!("{name} ({count})")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const INDEX: &str = "registry+index";

    fn package(name: &str, license: Value, source: Value) -> Value {
        json!({"id": name, "name": name, "version": "1.0.0", "license": license, "source": source,
            "manifest_path": format!("somewhere/{name}/Cargo.toml"), "dependencies": [], "targets": []})
    }

    fn document(packages: &[Value]) -> CargoMetadata {
        let document = json!({"packages": packages, "workspace_members": ["ours"], "target_directory": "target"});
        serde_json::from_value(document).unwrap()
    }

    #[test]
    fn allowed_licences_and_one_registry_pass() {
        let metadata = document(&[
            package("ours", json!("Apache-2.0"), Value::Null),
            package("theirs", json!("MIT OR LGPL-2.1-or-later"), json!(INDEX)),
        ]);
        assert_eq!(licences(&metadata), Vec::<String>::new());
        assert_eq!(origins(&metadata), Vec::<String>::new());
    }

    #[test]
    fn a_licence_off_the_list_is_named_with_its_package() {
        let findings = licences(&document(&[package("theirs", json!("AGPL-3.0-only"), json!(INDEX))]));
        assert!(findings[0].contains("`theirs 1.0.0` is under `AGPL-3.0-only`"), "{findings:?}");
    }

    #[test]
    fn a_package_without_a_licence_is_a_finding() {
        let findings = licences(&document(&[package("theirs", Value::Null, json!(INDEX))]));
        assert!(findings[0].contains("states no licence"), "{findings:?}");
    }

    #[test]
    fn git_checkouts_folders_elsewhere_and_second_registries_are_findings() {
        let metadata = document(&[
            package("plain", json!("MIT"), json!(INDEX)),
            package("checkout", json!("MIT"), json!("git+somewhere")),
            package("folder", json!("MIT"), Value::Null),
            package("second", json!("MIT"), json!("registry+other")),
        ]);
        let findings = origins(&metadata);
        let found = |name: &str| findings.iter().any(|text| text.contains(name));
        assert!(found("checkout") && found("folder") && found("second"), "{findings:?}");
        assert!(!found("plain"), "{findings:?}");
    }

    #[test]
    fn the_list_in_deny_toml_is_the_same() {
        let root = Workspace::locate().unwrap().root().to_owned();
        let text = std::fs::read_to_string(root.join("deny.toml")).unwrap();
        let list = text.split("allow = [").nth(1).and_then(|rest| rest.split(']').next()).unwrap();
        let listed: Vec<&str> = list.split('"').skip(1).step_by(2).collect();
        assert_eq!(listed, ALLOWED);
    }
}
