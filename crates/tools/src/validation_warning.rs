//! Warnings about names in a definition that its source does not contain: patterns without a match, unknown tools.

use baton_expr::nearest;

use crate::openapi::matches;

/// Maximum number of names that a hint lists if none is similar.
const NAMES_LISTED_MAX: usize = 5;

/// A probable mistake in a definition: it names something that its document or its server does not contain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidationWarning {
    /// The place in the definition: `include.0`.
    pub place: String,
    pub message: String,
    pub hint: String,
}

/// Warns about patterns of a field that match none of these names. `what` describes the names: `operation of the
/// document`.
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

/// Returns the name that was probably meant; else the first available ones.
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
