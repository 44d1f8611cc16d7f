//! The part of `cargo metadata`'s document that xtask reads.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// A whole document, as `cargo metadata --format-version 1` prints it.
#[derive(Deserialize)]
pub struct CargoMetadata {
    pub packages: Vec<CargoPackage>,
    pub workspace_members: Vec<String>,
    pub target_directory: PathBuf,
}

/// One package, ours or somebody else's.
#[derive(Deserialize)]
pub struct CargoPackage {
    pub id: String,
    pub name: String,
    pub version: String,
    /// An SPDX expression, where the author gave one.
    pub license: Option<String>,
    /// Where it was fetched from; `None` for a folder on this machine.
    pub source: Option<String>,
    pub manifest_path: PathBuf,
    pub dependencies: Vec<CargoDependency>,
    pub targets: Vec<CargoTarget>,
}

/// One line of a package's dependency tables, optional and platform-bound ones included.
#[derive(Deserialize)]
pub struct CargoDependency {
    pub name: String,
    /// `None` is a normal dependency; else `dev` or `build`.
    pub kind: Option<String>,
}

/// One thing a package can be compiled to.
#[derive(Deserialize)]
pub struct CargoTarget {
    pub name: String,
    pub kind: Vec<String>,
}

impl CargoMetadata {
    /// Our own packages, in the document's order.
    pub fn members(&self) -> impl Iterator<Item = &CargoPackage> {
        self.packages.iter().filter(|package| self.workspace_members.contains(&package.id))
    }

    /// Our own package of that name.
    pub fn member(&self, name: &str) -> Option<&CargoPackage> {
        self.members().find(|package| package.name == name)
    }
}

impl CargoPackage {
    /// The folder its manifest is in.
    pub fn folder(&self) -> &Path {
        self.manifest_path.parent().unwrap_or(Path::new(""))
    }
}

impl CargoTarget {
    pub fn is(&self, kind: &str) -> bool {
        self.kind.iter().any(|one| one == kind)
    }
}
