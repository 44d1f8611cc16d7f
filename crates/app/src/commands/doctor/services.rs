//! Whether the services that tools are performed by have what they need to know.

use baton_store::sqlite::{Options, Store};

use super::Check;
use crate::project::Project;
use crate::wire::System;

pub fn check(project: &Project) -> Check {
    // Looking makes no database.
    let system = Store::in_memory(Options::default()).map_err(anyhow::Error::from);
    let lacks = match system.and_then(|store| System::over(project, store)) {
        Ok(system) => system.tools.lacks(),
        Err(error) => return Check::fail("services", format!("{error:#}"), "correct it in baton.toml"),
    };
    let mut settings: Vec<String> =
        lacks.into_iter().map(|lack| format!("`{}` for {}", lack.setting, lack.provider)).collect();
    settings.sort();
    settings.dedup();
    if settings.is_empty() {
        return Check::ok("services", "the providers of tools have what they need");
    }
    let variable = "each is a key of baton.toml, and a variable: `BATON_` and its path, such as \
                    BATON_TOOLS__MESSAGE__TWILIO__AUTH_TOKEN";
    Check::warn("services", format!("not there: {}", settings.join(", ")), variable)
}
