//! Checks that a server starts in a project. A server that starts in any folder would leave a database and a key
//! behind.

use std::path::Path;

use crate::commands::init;
use crate::print;
use crate::project::{Project, display_path};

/// Rejects a folder that is not a project, unless one is to be created there. A folder that was served before counts as
/// a project.
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
        // Reports the error for a folder that does not exist.
        return Project::open(folder).map(drop);
    }
    init::write_project(folder)?;
    print::note(format_args!("note: made a project in {}", display_path(folder)));
    Ok(())
}
