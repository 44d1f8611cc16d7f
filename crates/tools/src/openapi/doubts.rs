//! What a definition names that its document does not have: patterns that fit nothing, keys of no scheme.

use std::collections::BTreeSet;

use super::Written;
use super::within::Within;
use crate::doubt::{Doubt, hint, idle};

pub(super) fn of(written: &Written, document: &Within<'_>, ids: &BTreeSet<String>) -> Vec<Doubt> {
    let patterns = |field: &'static str, patterns: &[String]| {
        idle(field, patterns, ids.iter().map(String::as_str), "operation of the document")
    };
    let schemes = document.field("components").field("securitySchemes").fields();
    let names = schemes.iter().map(|(name, _)| *name);
    let keys = written.auth.keys().filter(|given| !names.clone().any(|name| name == *given)).map(|given| Doubt {
        place: format!("auth.{given}"),
        message: format!("the document has no security scheme `{given}`, so this key is never sent"),
        hint: match schemes.as_slice() {
            [] => "it has no security scheme at all; leave `auth` out".to_owned(),
            _ => hint(given, names.clone()),
        },
    });
    let of_patterns = [patterns("include", &written.include), patterns("exclude", &written.exclude)].concat();
    of_patterns.into_iter().chain(keys).collect()
}
