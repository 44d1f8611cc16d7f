//! The part of the `cargo metadata` document that xtask reads.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// A whole document, as `cargo metadata --format-version 1` prints it.
#[derive(Deserialize)]
pub struct CargoMetadata {
    pub packages: Vec<CargoPackage>,
    pub workspace_members: Vec<String>,
    pub target_directory: PathBuf,
}

/// One package, of the workspace or external.
#[derive(Deserialize)]
pub struct CargoPackage {
    pub id: String,
    pub name: String,
    pub version: String,
    /// An SPDX expression, if the author gave one.
    pub license: Option<String>,
    /// The registry it was fetched from. `None` for a folder on this machine.
    pub source: Option<String>,
    pub manifest_path: PathBuf,
    pub dependencies: Vec<CargoDependency>,
    pub targets: Vec<CargoTarget>,
}

/// One entry of a package's dependency tables, including optional and platform-specific ones.
#[derive(Deserialize)]
pub struct CargoDependency {
    pub name: String,
    /// `None` is a normal dependency. Otherwise `dev` or `build`.
    pub kind: Option<String>,
}

/// A compilation target of a package.
#[derive(Deserialize)]
pub struct CargoTarget {
    pub name: String,
    pub kind: Vec<String>,
}

impl CargoMetadata {
    /// The workspace's packages, in the document's order.
    pub fn members(&self) -> impl Iterator<Item = &CargoPackage> {
        self.packages.iter().filter(|package| self.workspace_members.contains(&package.id))
    }

    /// The workspace's package of that name.
    pub fn member(&self, name: &str) -> Option<&CargoPackage> {
        self.members().find(|package| package.name == name)
    }
}

impl CargoPackage {
    /// The folder of its manifest.
    pub fn folder(&self) -> &Path {
        self.manifest_path.parent().unwrap_or(Path::new(""))
    }
}

impl CargoTarget {
    pub fn is(&self, kind: &str) -> bool {
        self.kind.iter().any(|one| one == kind)
    }
}
