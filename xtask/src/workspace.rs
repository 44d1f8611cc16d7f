//! The location of the project, and the commands that run in it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::metadata::CargoMetadata;
use crate::process;

/// The checkout that xtask was started in.
pub struct Workspace {
    root: PathBuf,
}

/// How much of the dependency tree a [`CargoMetadata`] document covers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum MetadataScope {
    /// Every platform in the lock file.
    AllPlatforms,
    /// Only this machine's platform, if the packages of other platforms cannot be fetched.
    ThisPlatform,
}

impl Workspace {
    /// Finds the workspace around the current folder.
    pub fn locate() -> anyhow::Result<Self> {
        let manifest = process::output(Command::new(cargo()).args([
            "locate-project",
            "--workspace",
            "--message-format",
            "plain",
        ]))?;
        let root = Path::new(manifest.trim()).parent().context("the workspace manifest has no folder")?;
        Ok(Self { root: root.to_owned() })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `cargo`, in the workspace root.
    pub fn cargo<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = Command::new(cargo());
        command.current_dir(&self.root).args(arguments);
        command
    }

    /// Only our own packages. Needs no network and no lock file.
    pub fn members(&self) -> anyhow::Result<CargoMetadata> {
        read(&process::output(&mut self.cargo(["metadata", "--format-version", "1", "--no-deps"]))?)
    }

    /// Our packages and all their dependencies. Fetches the sources of other platforms' packages. If that is impossible
    /// (no network), covers this platform only, and reports that.
    pub fn packages(&self) -> anyhow::Result<(CargoMetadata, MetadataScope)> {
        let whole = process::capture(&mut self.cargo(["metadata", "--format-version", "1", "--quiet"]))?;
        if whole.status.success() {
            return Ok((read(&whole.stdout)?, MetadataScope::AllPlatforms));
        }
        let host = self.host()?;
        let here = process::output(&mut self.cargo([
            "metadata",
            "--format-version",
            "1",
            "--offline",
            "--filter-platform",
            &host,
        ]))?;
        Ok((read(&here)?, MetadataScope::ThisPlatform))
    }

    /// Files that git tracks, and new ones that it would track, as paths from the root with `/` between folders.
    /// Deleted files are omitted even before the deletion is committed.
    pub fn files(&self) -> anyhow::Result<Vec<String>> {
        let mut git = Command::new("git");
        git.current_dir(&self.root).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
        let listed =
            process::output(&mut git).context("the source rules read the files git tracks; is this a clone?")?;
        let mut files: Vec<String> = listed
            .split('\0')
            .filter(|path| !path.is_empty() && self.root.join(path).is_file())
            .map(str::to_owned)
            .collect();
        files.sort();
        files.dedup();
        Ok(files)
    }

    /// This machine's platform, as rustc names it.
    fn host(&self) -> anyhow::Result<String> {
        let told = process::output(Command::new("rustc").arg("-vV").current_dir(&self.root))?;
        match told.lines().find_map(|line| line.strip_prefix("host: ")) {
            Some(host) => Ok(host.to_owned()),
            None => bail!("`rustc -vV` named no host platform"),
        }
    }
}

/// Whether this is a CI machine, where a missing tool is a failure.
pub fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false" && value != "0")
}

/// The cargo that started xtask, so that a toolchain chosen by hand stays in use.
fn cargo() -> PathBuf {
    std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from)
}

fn read(document: &str) -> anyhow::Result<CargoMetadata> {
    serde_json::from_str(document).context("`cargo metadata` printed a document xtask cannot read")
}
