//! What a definition names that its source does not have: patterns that fit nothing, tools that are not there.

use baton_core::expr::nearest;

use crate::openapi::matches;

/// Names of a source that a hint lists where none is near.
const NAMES_LISTED_MAX: usize = 5;

/// What a definition says and is probably not meant: it names what its document or its server does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidationWarning {
    /// Where in the definition: `include.0`.
    pub place: String,
    pub message: String,
    pub hint: String,
}

/// The patterns of a field that fit none of these names; `what` is what the names are of: `operation of the document`.
pub(crate) fn unmatched_patterns<'n>(
    field: &'static str,
    patterns: &[String],
    names: impl Iterator<Item = &'n str> + Clone,
    what: &str,
) -> Vec<ValidationWarning> {
    let idle = patterns.iter().enumerate().filter(|(_, pattern)| !names.clone().any(|name| matches(pattern, name)));
    idle.map(|(place, pattern)| ValidationWarning {
        place: format!("{field}.{place}"),
        message: format!("`{pattern}` fits no {what}"),
        hint: suggestion(pattern, names.clone()),
    })
    .collect()
}

/// The name that was probably meant; else the first there are.
pub(crate) fn suggestion<'n>(wrong: &str, names: impl Iterator<Item = &'n str> + Clone) -> String {
    if let Some(near) = nearest(wrong, names.clone()) {
        return format!("did you mean `{near}`?");
    }
    let first: Vec<&str> = names.clone().take(NAMES_LISTED_MAX).collect();
    match (first.as_slice(), names.count().saturating_sub(NAMES_LISTED_MAX)) {
        ([], _) => "it has none".to_owned(),
        (first, 0) => format!("it has `{}`", first.join("`, `")),
        (first, more) => format!("it has `{}` and {more} more", first.join("`, `")),
    }
}
