//! Environment variables that similar software reads and that this version ignores. A variable leaves this list once
//! this version supports it.

use std::path::Path;

use crate::project::display_path;

/// Variables by name. They address a database or cache elsewhere. This system uses one SQLite file.
const NAMES: [&str; 2] = ["DATABASE_URL", "REDIS_URL"];
/// The prefix of other unused variables.
const PREFIX: &str = "EXECUTION_";
/// How to fix it.
pub const HINT: &str = "unset it; settings are in baton.toml, and every key is also a BATON_* variable";

/// The names of the unused variables that are set. Their values may be secret, so they are not read.
pub fn set_variables() -> Vec<String> {
    of(std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.is_empty()))))
}

fn of(variables: impl Iterator<Item = (String, bool)>) -> Vec<String> {
    let is_unread = |name: &str| NAMES.contains(&name) || name.starts_with(PREFIX);
    let mut names: Vec<String> =
        variables.filter(|(name, is_empty)| !is_empty && is_unread(name)).map(|(name, _)| name).collect();
    names.sort_unstable();
    names
}

/// The warning about one variable.
pub fn describe(name: &str, database: &Path) -> String {
    let instead = match NAMES.contains(&name) {
        true => format!("; the SQLite file {} is used", display_path(database)),
        false => String::new(),
    };
    format!("`{name}` is set, and this version does not act on it{instead}")
}

/// Logs a warning for each of them.
pub fn warn_unused(database: &Path) {
    for variable in set_variables() {
        tracing::warn!(variable, hint = HINT, "{}", describe(&variable, database));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_reads_is_named_where_it_is_set() {
        let set =
            ["REDIS_URL", "EXECUTION_MAX_ITERATIONS", "DATABASE_URL", "PATH", "AWS_EXECUTION_ENV", "BATON_TENANT"];
        let variables = set.into_iter().map(|name| (name.to_owned(), false));
        let empty = [("EXECUTION_LOG_LEVEL".to_owned(), true)];
        assert_eq!(of(variables.chain(empty)), ["DATABASE_URL", "EXECUTION_MAX_ITERATIONS", "REDIS_URL"]);
        let says = |name: &str| describe(name, Path::new("baton.db"));
        assert!(says("DATABASE_URL").contains("the SQLite file"));
        assert!(!says("EXECUTION_MAX_ITERATIONS").contains("SQLite"), "it has nothing to do with that");
    }
}
