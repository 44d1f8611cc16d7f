//! The web page in a real browser, with recorded responses and with the binary itself: the actions of users, and an axe
//! check of every screen.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::build::{self, BuiltExecutable};
use crate::page;
use crate::process;
use crate::report;
use crate::stages::StageClock;
use crate::workspace::Workspace;

use super::system;

const STAGE: &str = "page";
/// The usual path of the browser on Debian and other systems. The variable names another one.
const VARIABLE: &str = "CHROMIUM";
const PLACES: [&str; 4] =
    ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome", "/usr/lib/chromium/chromium"];
const PACKAGE: &str = "chromium";
/// The variable that names the binary, for tests that recorded responses cannot cover.
const BINARY: &str = "BATON";
/// It takes two minutes on two cores.
const LIMIT: Duration = Duration::from_secs(6 * 60);

/// Runs if there are a browser and Node.js to drive it. Otherwise the stage is skipped with the reason.
pub fn run(workspace: &Workspace, built: &[BuiltExecutable], stages: &mut StageClock) -> anyhow::Result<()> {
    let baton = build::binary(built, "baton").context("the workspace builds no binary named `baton`")?;
    let (browser, folder) = match browser().and_then(|browser| Ok((browser, page::prepare_page(workspace)?))) {
        Ok(found) => found,
        Err(missing) => {
            stages.leave_out(STAGE, &format!("{missing:#}"));
            return Ok(());
        }
    };
    stages.run(STAGE, || {
        for script in ["build", "e2e"] {
            let mut npm = Command::new("npm");
            npm.args(["run", "--silent", script]).current_dir(&folder).env(VARIABLE, &browser).env(BINARY, baton);
            let finished = process::run_within(&mut npm, LIMIT)?;
            report::line(finished.combined_output().trim_end());
            if !finished.status.success() {
                bail!("`npm run {script}` ended with {}", finished.status);
            }
        }
        Ok(())
    })
}

fn browser() -> anyhow::Result<String> {
    if let Some(found) = found() {
        return Ok(found);
    }
    system::install(PACKAGE, "Chromium")?;
    found().context("Chromium was installed, and is not where Debian keeps it")
}

fn found() -> Option<String> {
    let named = std::env::var(VARIABLE).ok();
    named.into_iter().chain(PLACES.map(str::to_owned)).find(|place| Path::new(place).is_file())
}
