//! Detects whether a program uses `await`.
//!
//! A tool is either called directly, `x = get(…)`, one call at a time, or awaited, so that several calls can run
//! concurrently: `a, b = await asyncio.gather(get(…), find(…))`. At a call, the interpreter cannot tell which of the
//! two it will be, so the source text decides: a program that contains `await` awaits all its calls.

/// Returns whether the keyword `await` occurs in the code, outside comments and strings.
pub(super) fn uses_await(source: &str) -> bool {
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        rest = match first {
            '#' => rest.find('\n').map_or("", |end| &rest[end..]),
            '"' | '\'' => after_string(rest, first),
            first if is_word(first) => {
                let end = rest.find(|one| !is_word(one)).unwrap_or(rest.len());
                if &rest[..end] == "await" {
                    return true;
                }
                &rest[end..]
            }
            first => &rest[first.len_utf8()..],
        };
    }
    false
}

fn is_word(one: char) -> bool {
    one.is_alphanumeric() || one == '_'
}

/// Returns the text after the string literal at the start of `text`. A backslash escapes a quote, in raw strings too.
fn after_string(text: &str, quote: char) -> &str {
    let triple: String = std::iter::repeat_n(quote, 3).collect();
    let fence = if text.starts_with(&triple) { triple } else { quote.to_string() };
    let mut rest = &text[fence.len()..];
    loop {
        if let Some(behind) = rest.strip_prefix(&fence) {
            return behind;
        }
        let mut chars = rest.chars();
        match chars.next() {
            None => return "",
            // A single-quoted string ends with its line.
            Some('\n') if fence.len() == 1 => return chars.as_str(),
            Some('\\') => drop(chars.next()),
            Some(_) => {}
        }
        rest = chars.as_str();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_word_in_the_code_counts() {
        for source in
            ["await f()", "x = [\n  await f()]", "a = 'it''s'\nawait f()", "r'\\'\nawait f()", "'\\''; await g()"]
        {
            assert!(uses_await(source), "{source}");
        }
        for source in [
            "",
            "awaiting = 1",
            "x.await_it()",
            "# await f()",
            "'await f()'",
            "\"\"\"\n' await\n\"\"\"",
            "'\\' await'",
            "f('''await ' '' ''')",
        ] {
            assert!(!uses_await(source), "{source}");
        }
    }

    #[test]
    fn a_string_without_an_end_is_no_endless_work() {
        assert!(!uses_await("x = 'abc"));
        assert!(!uses_await("x = '''abc\\"));
    }
}
