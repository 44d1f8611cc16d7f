//! References inside a longer text, where they are not filled in: `"{n} * 2"`, `"Hello $customer.name"`.

use super::path::ReferencePath;

/// Maximum size of one reference that is detected, in bytes.
const REFERENCE_BYTES_MAX: usize = 200;

/// A text fragment that looks like a reference but is not evaluated.
#[derive(Debug, PartialEq, Eq)]
pub struct InertReference {
    /// Its root name.
    pub root: String,
    pub text: String,
    /// The equivalent expression in a template.
    pub expression: String,
}

/// Returns all fragments of a text that are written as references of the `steps` form. The caller knows which names are
/// valid.
pub fn inert_references(text: &str) -> Vec<InertReference> {
    let mut found = Vec::new();
    for (at, opening) in text.match_indices(['{', '$']) {
        let rest = &text[at + 1..];
        let inside = match opening {
            "{" => rest.split_once('}').map(|(inside, _)| inside),
            _ => Some(&rest[..dotted(rest)]),
        };
        let Some(inside) = inside.filter(|inside| inside.len() <= REFERENCE_BYTES_MAX) else { continue };
        if let Ok(path) = ReferencePath::parse(inside) {
            let closing = if opening == "{" { "}" } else { "" };
            let written = format!("{opening}{inside}{closing}");
            found.push(InertReference { root: path.root().to_owned(), text: written, expression: path.expression() });
        }
    }
    found
}

/// Returns the length of a name with its fields: a dot that ends a sentence is not included.
fn dotted(text: &str) -> usize {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let mut end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    while let Some(rest) = text[end..].strip_prefix('.') {
        let field = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        if field == 0 {
            break;
        }
        end += 1 + field;
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(&str, &str)]) {
        let found: Vec<_> = inert_references(text).into_iter().map(|loose| (loose.text, loose.expression)).collect();
        let found: Vec<_> = found.iter().map(|(written, meant)| (written.as_str(), meant.as_str())).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn what_is_written_as_a_reference_is_found_with_what_it_would_be() {
        check("{n} * 2", &[("{n}", "n")]);
        check("it is {weather[temp]} degrees", &[("{weather[temp]}", "weather.temp")]);
        check("Hello $customer.name.", &[("$customer.name", "customer.name")]);
        check("from {slots[0].start} to $end", &[("{slots[0].start}", "slots[0].start"), ("$end", "end")]);
        check("{a['b c']}", &[("{a['b c']}", "a['b c']")]);
    }

    #[test]
    fn what_only_looks_like_one_is_none() {
        check("100 $ or $5", &[]);
        check("{\"json\": true}", &[]);
        check("an { open one", &[]);
        check("{} and $", &[]);
    }
}
