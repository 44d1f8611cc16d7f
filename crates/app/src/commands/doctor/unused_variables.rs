//! Checks for environment variables that are set and that this version ignores.

use super::DoctorCheck;
use crate::config::unused_variables;
use crate::project::Project;

pub fn checks(project: &Project) -> Vec<DoctorCheck> {
    let warn = |name: String| {
        DoctorCheck::warn("variables", unused_variables::describe(&name, &project.database()), unused_variables::HINT)
    };
    unused_variables::set_variables().into_iter().map(warn).collect()
}
