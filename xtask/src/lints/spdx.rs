//! Licence expressions of packages: SPDX, and the older `A/B` for `A OR B`.

/// Whether the package may be used under licences that `allowed` accepts: one side of every OR, both sides of every
/// AND. A licence with an exception is looked up as one name, `Apache-2.0 WITH LLVM-exception`.
///
/// # Errors
/// The expression is invalid. The error gives the place.
pub fn permits(expression: &str, allowed: impl Fn(&str) -> bool) -> Result<bool, String> {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut reader = SpdxReader { words: &words, at: 0, allowed: &allowed };
    let permitted = reader.either()?;
    match words.get(reader.at) {
        None => Ok(permitted),
        Some(word) => Err(format!("`{word}` is not expected in `{expression}`")),
    }
}

struct SpdxReader<'a> {
    words: &'a [&'a str],
    at: usize,
    allowed: &'a dyn Fn(&str) -> bool,
}

impl SpdxReader<'_> {
    /// Both sides are always parsed, so that an error after an accepted licence is still found.
    fn either(&mut self) -> Result<bool, String> {
        let mut permitted = self.both()?;
        while self.take("OR") {
            permitted |= self.both()?;
        }
        Ok(permitted)
    }

    fn both(&mut self) -> Result<bool, String> {
        let mut permitted = self.one()?;
        while self.take("AND") {
            permitted &= self.one()?;
        }
        Ok(permitted)
    }

    fn one(&mut self) -> Result<bool, String> {
        if self.take("(") {
            let permitted = self.either()?;
            return if self.take(")") { Ok(permitted) } else { Err("a bracket is not closed".to_owned()) };
        }
        let licence = self.word()?;
        if self.take("WITH") {
            let exception = self.word()?;
            return Ok((self.allowed)(&format!("{licence} WITH {exception}")));
        }
        Ok((self.allowed)(&licence))
    }

    fn word(&mut self) -> Result<String, String> {
        match self.words.get(self.at) {
            Some(word) if !["OR", "AND", "WITH", "(", ")"].contains(word) => {
                self.at += 1;
                Ok((*word).to_owned())
            }
            Some(word) => Err(format!("a licence is expected before `{word}`")),
            None => Err("a licence is expected at the end".to_owned()),
        }
    }

    fn take(&mut self, word: &str) -> bool {
        let here = self.words.get(self.at) == Some(&word);
        self.at += usize::from(here);
        here
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expression: &str, expect: Result<bool, &str>) {
        let allowed = |name: &str| ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"].contains(&name);
        let given = permits(expression, allowed);
        match (&given, expect) {
            (Ok(given), Ok(expect)) => assert_eq!(*given, expect, "{expression}"),
            (Err(given), Err(expect)) => assert!(given.contains(expect), "{expression}: {given}"),
            _ => panic!("{expression}: {given:?}"),
        }
    }

    #[test]
    fn one_side_of_an_or_is_enough() {
        check("MIT OR GPL-3.0-only", Ok(true));
        check("GPL-3.0-only OR MIT", Ok(true));
        check("GPL-3.0-only OR AGPL-3.0-only", Ok(false));
    }

    #[test]
    fn both_sides_of_an_and_are_needed() {
        check("MIT AND Apache-2.0", Ok(true));
        check("MIT AND GPL-3.0-only", Ok(false));
    }

    #[test]
    fn and_binds_closer_than_or_and_brackets_closer_than_both() {
        check("MIT OR GPL-3.0-only AND AGPL-3.0-only", Ok(true));
        check("(MIT OR GPL-3.0-only) AND AGPL-3.0-only", Ok(false));
        check("(MIT OR GPL-3.0-only) AND Apache-2.0", Ok(true));
    }

    #[test]
    fn an_exception_belongs_to_its_licence() {
        check("Apache-2.0 WITH LLVM-exception", Ok(true));
        check("MIT WITH LLVM-exception", Ok(false));
    }

    #[test]
    fn the_older_slash_is_an_or() {
        check("MIT/GPL-2.0", Ok(true));
        check("GPL-2.0 / MIT", Ok(true));
    }

    #[test]
    fn nonsense_is_refused_even_behind_an_accepted_licence() {
        check("", Err("at the end"));
        check("MIT OR", Err("at the end"));
        check("MIT OR AND MIT", Err("before `AND`"));
        check("(MIT", Err("not closed"));
        check("MIT GPL-3.0-only", Err("not expected"));
    }
}
