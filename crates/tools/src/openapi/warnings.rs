//! Warnings about names in a definition that its document does not contain: patterns without a match, keys of unknown
//! schemes.

use super::cursor::DocumentCursor;
use super::{ImportAccumulator, OpenApiFields};
use crate::validation_warning::{ValidationWarning, suggestion, unmatched_patterns};

pub(super) fn collect(
    written: &OpenApiFields,
    document: &DocumentCursor<'_>,
    taken: &ImportAccumulator,
) -> Vec<ValidationWarning> {
    let patterns = |field: &'static str, patterns: &[String]| {
        unmatched_patterns(field, patterns, taken.ids.iter().map(String::as_str), "operation of the document")
    };
    let schemes = document.field("components").field("securitySchemes").fields();
    let names = schemes.iter().map(|(name, _)| *name);
    let keys =
        written.auth.keys().filter(|given| !names.clone().any(|name| name == *given)).map(|given| ValidationWarning {
            place: format!("auth.{given}"),
            message: format!("the document has no security scheme `{given}`, so this key is never sent"),
            hint: match schemes.as_slice() {
                [] => "it has no security scheme at all; leave `auth` out".to_owned(),
                _ => suggestion(given, names.clone()),
            },
        });
    let unused = taken.unused.iter().map(|place| ValidationWarning {
        place: place.clone(),
        message: "the operation is left out by `include` or `exclude`, so this holds for none".to_owned(),
        hint: "take it in there, or leave this out".to_owned(),
    });
    let of_patterns = [patterns("include", &written.include), patterns("exclude", &written.exclude)].concat();
    of_patterns.into_iter().chain(keys).chain(unused).collect()
}
