//! What a definition names that its document does not have: patterns that fit nothing, keys of no scheme.

use std::collections::BTreeSet;

use baton_core::expr::nearest;

use super::within::Within;
use super::{Doubt, Written, matches};

pub(super) fn of(written: &Written, document: &Within<'_>, ids: &BTreeSet<String>) -> Vec<Doubt> {
    let patterns = |field: &'static str, patterns: &[String]| {
        let fits_nothing = |pattern: &String| !ids.iter().any(|id| matches(pattern, id));
        let idle: Vec<(usize, String)> =
            patterns.iter().cloned().enumerate().filter(|(_, pattern)| fits_nothing(pattern)).collect();
        idle.into_iter().map(move |(place, pattern)| Doubt {
            hint: hint(&pattern, ids.iter().map(String::as_str), "`baton tools list` shows the operations there are"),
            message: format!("`{pattern}` fits no operation of the document"),
            place: format!("{field}.{place}"),
        })
    };
    let schemes = document.field("components").field("securitySchemes").fields();
    let names = || schemes.iter().map(|(name, _)| *name);
    let keys = written.auth.keys().filter(|given| !names().any(|name| name == *given)).map(|given| Doubt {
        place: format!("auth.{given}"),
        message: format!("the document has no security scheme `{given}`, so this key is never sent"),
        hint: match names().collect::<Vec<_>>().as_slice() {
            [] => "it has no security scheme at all; leave `auth` out".to_owned(),
            all => hint(given, names(), &format!("it has {}", all.join(", "))),
        },
    });
    patterns("include", &written.include).chain(patterns("exclude", &written.exclude)).chain(keys).collect()
}

fn hint<'n>(wrong: &str, names: impl Iterator<Item = &'n str>, otherwise: &str) -> String {
    nearest(wrong, names).map_or_else(|| otherwise.to_owned(), |near| format!("did you mean `{near}`?"))
}
