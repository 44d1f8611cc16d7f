//! Programs from the operating system's packages, installed if that is possible without a prompt.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::process;

const INSTALL_LIMIT: Duration = Duration::from_secs(4 * 60);

/// Installs a Debian package. The error names what is missing, by its common name.
pub fn install(package: &str, known_as: &str) -> anyhow::Result<()> {
    let mut apt = Command::new("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive").args(["install", "--yes", "--no-install-recommends", package]);
    let finished =
        process::run_within(&mut apt, INSTALL_LIMIT).with_context(|| format!("{known_as} is not installed"))?;
    if !finished.status.success() {
        bail!("{known_as} is not installed, and `{}` ended with {}", process::command_line(&apt), finished.status);
    }
    Ok(())
}
