//! Which crate may depend on which.

use crate::metadata::{CargoDependency, CargoMetadata, CargoPackage};
use crate::workspace::Workspace;

use super::LintOutcome;

/// A crate and the crates it may name in `[dependencies]` and `[build-dependencies]`; the law behind "Allowed arrows" of
/// ARCHITECTURE.md. Whoever draws a new arrow changes both, in a commit that says why.
const TABLE: &[(&str, &[&str])] = &[
    ("expr", &[]),
    ("core", &["expr"]),
    ("agents", &["core", "expr"]),
    ("ports", &["core"]),
    ("engine", &["core", "expr", "agents", "ports"]),
    ("store", &["core", "ports"]),
    ("bus", &["core", "ports"]),
    ("models", &["core", "expr", "ports"]),
    ("tools", &["core", "expr", "ports"]),
    ("memory", &["core", "expr", "ports"]),
    ("server", &["core", "expr", "ports", "engine"]),
    ("app", &["core", "expr", "ports", "engine", "store", "bus", "models", "tools", "memory", "server"]),
    ("sim", &["core", "agents", "ports", "engine"]),
    ("xtask", &[]),
];

/// Crates that implement a port and so may name `sim` in `[dev-dependencies]`, for its conformance suites.
const IMPLEMENT_PORTS: &[&str] = &["store", "bus", "models", "tools", "memory"];

/// The reference that each finding ends with.
const TABLE_HINT: &str = "the table is in ARCHITECTURE.md, \"Allowed arrows\", and in xtask/src/lints/arrows.rs";

pub fn check(workspace: &Workspace) -> anyhow::Result<LintOutcome> {
    let metadata = workspace.members()?;
    let mut findings = findings(&metadata);
    if let Ok(page) = std::fs::read_to_string(workspace.root().join("ARCHITECTURE.md")) {
        findings.extend(table_mismatches(&page));
    }
    let note = format!("{} crates, {} arrows", metadata.members().count(), arrows(&metadata).count());
    Ok(LintOutcome::from_findings(findings, note))
}

/// One finding per arrow that is not in the table, and per package that has no row in it.
pub fn findings(metadata: &CargoMetadata) -> Vec<String> {
    let strangers = metadata.members().filter_map(unknown_package);
    let arrows = arrows(metadata).filter_map(|(from, dependency)| forbidden_arrow(from, dependency));
    strangers.chain(arrows).collect()
}

/// Every dependency of one of our packages on another.
fn arrows(metadata: &CargoMetadata) -> impl Iterator<Item = (&CargoPackage, &CargoDependency)> {
    metadata.members().flat_map(|package| {
        let ours = package.dependencies.iter().filter(|dependency| metadata.member(&dependency.name).is_some());
        ours.map(move |dependency| (package, dependency))
    })
}

/// A package that has no row in the table, or whose folder does not have its name.
fn unknown_package(package: &CargoPackage) -> Option<String> {
    let name = crate_name(&package.name);
    if allowed(name).is_none() {
        return Some(format!("package `{}` is not in the table; add a row: {TABLE_HINT}", package.name));
    }
    let expected = if name == "xtask" { "xtask".to_owned() } else { format!("crates/{name}") };
    (!package.folder().ends_with(&expected)).then(|| {
        format!("package `{}` lives in {}; its folder is {expected}", package.name, package.folder().display())
    })
}

fn forbidden_arrow(from: &CargoPackage, dependency: &CargoDependency) -> Option<String> {
    let (here, there) = (crate_name(&from.name), crate_name(&dependency.name));
    let kind = dependency.kind.as_deref().unwrap_or("normal");
    let normal = allowed(here)?;
    let for_tests = kind == "dev" && there == "sim" && IMPLEMENT_PORTS.contains(&here);
    if normal.contains(&there) || for_tests {
        return None;
    }
    let may = if normal.is_empty() { "no other crate".to_owned() } else { normal.join(", ") };
    let dev = if IMPLEMENT_PORTS.contains(&here) { "; in dev-dependencies also sim" } else { "" };
    Some(format!("arrow `{here} → {there}` ({kind}): `{here}` may know {may}{dev}; {TABLE_HINT}"))
}

/// Rows of the page's table (`store, bus → core, ports`) that say something else than [`TABLE`]. A row whose right side
/// is a sentence (`all product crates but agents`) is for people and is not compared.
fn table_mismatches(page: &str) -> Vec<String> {
    let names = |side: &str| side.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>();
    let are_crates = |names: &[String]| names.iter().all(|name| allowed(name).is_some());
    let mut findings = Vec::new();
    for row in page.lines().flat_map(|line| line.split("   ")) {
        let Some((left, right)) = row.split_once(" → ") else { continue };
        let (left, mut right) = (names(left), names(right.split('(').next().unwrap_or(right)));
        if !are_crates(&left) || !are_crates(&right) {
            continue;
        }
        right.sort();
        for from in left {
            let mut ours = allowed(&from).unwrap_or_default().to_vec();
            ours.sort_unstable();
            if right != ours {
                findings.push(format!(
                    "ARCHITECTURE.md lets `{from}` depend on {}; {TABLE_HINT}; make them agree",
                    right.join(", ")
                ));
            }
        }
    }
    findings
}

fn allowed(from: &str) -> Option<&'static [&'static str]> {
    TABLE.iter().find(|(name, _)| *name == from).map(|(_, allowed)| *allowed)
}

fn crate_name(package: &str) -> &str {
    package.strip_prefix("baton-").unwrap_or(package)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::process;

    /// The document that cargo prints for this source tree.
    fn document() -> Value {
        let workspace = Workspace::locate().unwrap();
        let mut command = workspace.cargo(["metadata", "--format-version", "1", "--no-deps"]);
        serde_json::from_str(&process::output(&mut command).unwrap()).unwrap()
    }

    fn findings_of(document: Value) -> Vec<String> {
        findings(&serde_json::from_value(document).unwrap())
    }

    /// Adds a dependency to a package.
    fn with_arrow(from: &str, to: &str, kind: Value) -> Value {
        let mut document = document();
        let packages = document["packages"].as_array_mut().unwrap();
        let package = packages.iter_mut().find(|package| package["name"] == from).unwrap();
        let line = json!({"name": to, "kind": kind, "req": "*", "path": "somewhere"});
        package["dependencies"].as_array_mut().unwrap().push(line);
        document
    }

    #[test]
    fn the_tree_as_it_stands_has_only_allowed_arrows() {
        assert_eq!(findings_of(document()), Vec::<String>::new());
    }

    #[test]
    fn the_real_document_is_not_empty() {
        let metadata: CargoMetadata = serde_json::from_value(document()).unwrap();
        assert!(arrows(&metadata).count() >= 20, "the tree has {} arrows", arrows(&metadata).count());
    }

    #[test]
    fn adding_agents_to_tools_fails_the_lint() {
        let findings = findings_of(with_arrow("baton-agents", "baton-tools", Value::Null));
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(findings[0].contains("arrow `agents → tools` (normal)"), "{findings:?}");
        assert!(findings[0].contains("may know core"), "{findings:?}");
        assert!(findings[0].contains("ARCHITECTURE.md"), "{findings:?}");
    }

    #[test]
    fn a_build_arrow_counts_as_much_as_a_normal_one() {
        assert_eq!(findings_of(with_arrow("baton-agents", "baton-tools", json!("build"))).len(), 1);
    }

    #[test]
    fn a_dev_arrow_is_held_to_the_same_table() {
        assert_eq!(findings_of(with_arrow("baton-core", "baton-store", json!("dev"))).len(), 1);
    }

    #[test]
    fn a_crate_that_implements_a_port_may_test_with_sim() {
        assert_eq!(findings_of(with_arrow("baton-store", "baton-sim", json!("dev"))), Vec::<String>::new());
        assert_eq!(findings_of(with_arrow("baton-store", "baton-sim", Value::Null)).len(), 1);
        assert_eq!(findings_of(with_arrow("baton-core", "baton-sim", json!("dev"))).len(), 1);
    }

    #[test]
    fn xtask_may_depend_on_no_crate() {
        assert_eq!(findings_of(with_arrow("xtask", "baton-core", Value::Null)).len(), 1);
    }

    #[test]
    fn a_package_without_a_row_is_a_finding() {
        let mut document = document();
        let mut package = document["packages"][0].clone();
        package["name"] = json!("baton-attic");
        package["id"] = json!("attic");
        document["workspace_members"].as_array_mut().unwrap().push(json!("attic"));
        document["packages"].as_array_mut().unwrap().push(package);
        let findings = findings_of(document);
        assert!(findings.iter().any(|text| text.contains("`baton-attic` is not in the table")), "{findings:?}");
    }

    #[test]
    fn a_page_that_says_the_same_has_not_drifted() {
        let page = "agents → core, expr    ports → core            engine → core, expr, agents, ports\n\
            store, bus → core, ports\napp → all product crates but agents\n\
            sim → core, agents, ports, engine          (every crate that implements a port …)\n\
            message → server → engine ── decide ──► core\n";
        assert_eq!(table_mismatches(page), Vec::<String>::new());
    }

    #[test]
    fn a_page_that_allows_more_or_less_has_drifted() {
        assert!(table_mismatches("agents → core, tools\n")[0].contains("lets `agents` depend on core, tools"));
        assert_eq!(table_mismatches("server → core\nstore, bus → core\n").len(), 3);
    }

    #[test]
    fn the_table_is_free_of_circles() {
        let mut settled: Vec<&str> = Vec::new();
        while settled.len() < TABLE.len() {
            let ready = |(name, allowed): &&(&'static str, &[&str])| {
                !settled.contains(name) && allowed.iter().all(|name| settled.contains(name))
            };
            let next = TABLE.iter().find(ready).map(|(name, _)| *name);
            settled.push(next.expect("every row left waits for another"));
        }
    }
}
