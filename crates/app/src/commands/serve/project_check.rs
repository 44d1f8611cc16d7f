//! Whether what is served is a project: a server that starts anywhere leaves a database and a key behind.

use std::path::Path;

use crate::commands::init;
use crate::print;
use crate::project::{Project, display_path};

/// Refuses a folder that is no project, unless one is to be made there. One that was served before is one.
pub fn check(folder: &Path, init: bool) -> anyhow::Result<()> {
    if folder.is_dir() {
        let project = Project::open(folder)?;
        if project.exists() || project.has_database() {
            return Ok(());
        }
        if !init {
            let hint = "`baton serve --init` makes one here, `baton init FOLDER` elsewhere; `-C FOLDER` names one";
            return Err(project.not_a_project().hint(hint).into());
        }
    } else if !init {
        // With what is said of a folder that is not there.
        return Project::open(folder).map(drop);
    }
    init::write_project(folder)?;
    print::note(format_args!("note: made a project in {}", display_path(folder)));
    Ok(())
}
