//! File and folder names: one noun each, and no names for miscellaneous contents.

/// Names that do not describe the contents.
const VAGUE_NAMES: &[&str] = &["common", "helper", "helpers", "misc", "shared", "types", "util", "utils"];

pub fn check(path: &str) -> Option<String> {
    if !path.ends_with(".rs") {
        return None;
    }
    if path.ends_with("/mod.rs") {
        return Some(format!("{path}: write `foo.rs` beside `foo/`, not `foo/mod.rs`"));
    }
    let drawer = path.trim_end_matches(".rs").split('/').find(|part| VAGUE_NAMES.contains(part))?;
    Some(format!("{path}: `{drawer}` says nothing; name the file after the one noun it holds (STYLE.md, 5)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawers_are_refused_as_files_and_as_folders() {
        for path in ["crates/core/src/utils.rs", "crates/core/src/common/id.rs", "xtask/src/types.rs"] {
            assert!(check(path).is_some(), "{path}");
        }
    }

    #[test]
    fn mod_rs_is_refused() {
        assert!(check("crates/core/src/run/mod.rs").is_some_and(|text| text.contains("mod.rs")));
    }

    #[test]
    fn nouns_pass_even_where_they_hold_a_drawer_word() {
        for path in ["crates/core/src/run.rs", "crates/core/src/common_law.rs", "docs/types.md"] {
            assert_eq!(check(path), None, "{path}");
        }
    }
}
