//! Text that no tracked file may contain: paths of one machine, and hosts of package registries.
//!
//! Lock files name the registry by design. In any other file a registry host breaks behind a mirror, or makes a build
//! use a registry that its owner did not choose.

use std::path::{Path, PathBuf};

/// Files whose format requires the names of registries.
const LOCK_FILES: &[&str] = &["Cargo.lock"];

/// Registry hosts, split so that this file does not contain what it searches for.
const HOSTS: &[(&str, &str)] = &[
    ("crates", "io"),
    ("registry.npmjs", "org"),
    ("registry.yarnpkg", "com"),
    ("pypi", "org"),
    ("pythonhosted", "org"),
    ("proxy.golang", "org"),
];

/// Top-level folders that contain home folders, on any machine.
const PEOPLE: &[&str] = &["home", "root", "Users"];

/// Minimum depth of a folder of this machine to search for: `/app` is a common word, `/srv/build/baton` is not.
const DEPTH_MIN: usize = 2;

/// Folders that would reveal the machine on which a text was written.
pub struct MachineFolders {
    prefixes: Vec<String>,
}

impl MachineFolders {
    /// The checkout, the home folder and cargo's own folders, unless they look like ordinary words.
    pub fn here(root: &Path) -> Self {
        let variables = ["HOME", "CARGO_HOME", "CARGO_TARGET_DIR", "RUSTUP_HOME"];
        let folders = variables.iter().filter_map(std::env::var_os).map(PathBuf::from);
        Self::with(folders.chain([root.to_owned()]))
    }

    fn with(folders: impl Iterator<Item = PathBuf>) -> Self {
        let deep = folders.filter(|folder| folder.is_absolute() && folder.components().count() > DEPTH_MIN);
        let own = deep.map(|folder| folder.to_string_lossy().into_owned());
        let mut prefixes: Vec<String> = PEOPLE.iter().map(|name| format!("/{name}/")).chain(own).collect();
        prefixes.sort();
        prefixes.dedup();
        Self { prefixes }
    }
}

pub fn check(path: &str, text: &str, machine: &MachineFolders) -> Vec<String> {
    if LOCK_FILES.contains(&path) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let hosts = HOSTS.iter().map(|(name, end)| format!("{name}.{end}")).filter(|host| line.contains(host.as_str()));
        findings.extend(hosts.map(|host| {
            format!("{path}:{number}: names the registry host `{host}`; say what is fetched, not where from")
        }));
        let folders = machine.prefixes.iter().filter(|prefix| starts_a_path(line, prefix));
        findings.extend(folders.map(|prefix| {
            format!("{path}:{number}: `{prefix}` is a folder of one machine; write the path from the project's root")
        }));
    }
    findings
}

/// Whether `prefix` begins an absolute path in the line, and is not part of a longer path or of an address.
fn starts_a_path(line: &str, prefix: &str) -> bool {
    line.match_indices(prefix).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|one| one.is_alphanumeric() || "./-_~}>)*".contains(one))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of findings for one line, on a machine whose checkout is in a deep folder.
    fn count(path: &str, line: &str) -> usize {
        let folders = [PathBuf::from("/srv/build/baton"), PathBuf::from("/app")];
        check(path, line, &MachineFolders::with(folders.into_iter())).len()
    }

    #[test]
    fn folders_of_people_and_of_this_machine_are_found() {
        let person = format!("cd /{}/ana/baton", PEOPLE[0]);
        assert_eq!(count("README.md", &person), 1);
        assert_eq!(count("README.md", "see `/srv/build/baton/docs`"), 1);
    }

    #[test]
    fn the_middle_of_a_path_or_an_address_passes() {
        assert_eq!(count("README.md", &format!("docs/{}/ana", PEOPLE[0])), 0);
        assert_eq!(count("README.md", &format!("https://example.org/{}/ana", PEOPLE[0])), 0);
        assert_eq!(count("README.md", "crates/app and GET /app/runs"), 0);
    }

    #[test]
    fn registry_hosts_are_found_everywhere_but_in_the_lock_file() {
        let line = format!("https://{}.{}/serde", HOSTS[0].0, HOSTS[0].1);
        assert_eq!(count("README.md", &line), 1);
        assert_eq!(count("Cargo.lock", &line), 0);
    }
}
