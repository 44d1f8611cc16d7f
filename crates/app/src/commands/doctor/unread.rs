//! Variables that are set and that this version does not act on.

use super::Check;
use crate::config::unread;
use crate::project::Project;

pub fn checks(project: &Project) -> Vec<Check> {
    let warn = |name: String| Check::warn("variables", unread::said(&name, &project.database()), unread::HINT);
    unread::unread().into_iter().map(warn).collect()
}
