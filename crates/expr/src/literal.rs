//! Lists written as text, by a person or by a template: `['returns']`, `["a", "b"]`.

use serde_json::{Number, Value};

use super::error::ParseError;
use super::meter::{ExprLimits, check_source};

/// Reads a list in JSON or Python notation.
///
/// Items are strings in either kind of quotes, numbers, `true`/`True`, `false`/`False`, `null`/`None`, and lists and
/// objects of these. A comma after the last item is allowed. Surrounding white space is ignored.
///
/// # Errors
/// The text is not a list (with the byte position), is longer than [`ExprLimits::OUTPUT_BYTES_MAX`], or is nested
/// deeper than [`ExprLimits::NESTING_MAX`].
pub fn literal_list(source: &str) -> Result<Value, ParseError> {
    check_source("list", source, ExprLimits::OUTPUT_BYTES_MAX)?;
    let mut reader = LiteralParser { source, at: 0, depth: 0 };
    reader.skip_space();
    if !reader.eat('[') {
        return Err(reader.expected("a list, such as ['returns', 'billing']"));
    }
    let list = reader.list()?;
    reader.skip_space();
    if reader.at < source.len() {
        return Err(reader.expected("nothing after the list"));
    }
    Ok(list)
}

struct LiteralParser<'s> {
    source: &'s str,
    at: usize,
    depth: usize,
}

impl LiteralParser<'_> {
    fn value(&mut self) -> Result<Value, ParseError> {
        self.skip_space();
        match self.peek() {
            Some('[') => {
                self.at += 1;
                self.list()
            }
            Some('{') => {
                self.at += 1;
                self.object()
            }
            Some('\'' | '"') => self.string().map(Value::String),
            Some('-' | '0'..='9') => self.number(),
            Some(c) if c.is_alphabetic() => self.word(),
            Some(_) | None => Err(self.expected("a value")),
        }
    }

    fn list(&mut self) -> Result<Value, ParseError> {
        self.enter()?;
        let mut items = Vec::new();
        while !self.closes(']', items.is_empty())? {
            items.push(self.value()?);
        }
        self.depth -= 1;
        Ok(Value::Array(items))
    }

    fn object(&mut self) -> Result<Value, ParseError> {
        self.enter()?;
        let mut fields = serde_json::Map::new();
        while !self.closes('}', fields.is_empty())? {
            let key = self.string()?;
            self.skip_space();
            if !self.eat(':') {
                return Err(self.expected("`:` after the key"));
            }
            fields.insert(key, self.value()?);
        }
        self.depth -= 1;
        Ok(Value::Object(fields))
    }

    /// Skips the separator between two items; returns true at the closing bracket, with or without a trailing comma.
    fn closes(&mut self, close: char, first: bool) -> Result<bool, ParseError> {
        self.skip_space();
        if self.eat(close) {
            return Ok(true);
        }
        if first {
            return Ok(false);
        }
        if !self.eat(',') {
            return Err(self.expected(&format!("`,` or `{close}`")));
        }
        self.skip_space();
        Ok(self.eat(close))
    }

    fn string(&mut self) -> Result<String, ParseError> {
        let start = self.at;
        let Some(quote @ ('\'' | '"')) = self.peek() else {
            return Err(self.expected("a string in quotes"));
        };
        self.at += 1;
        let mut text = String::new();
        while let Some(c) = self.next() {
            match c {
                c if c == quote => return Ok(text),
                '\\' => text.push(self.escape()?),
                c => text.push(c),
            }
        }
        Err(ParseError::new(format!("the string is not closed with {quote}")).at(start))
    }

    fn escape(&mut self) -> Result<char, ParseError> {
        match self.next() {
            Some('n') => Ok('\n'),
            Some('t') => Ok('\t'),
            Some('r') => Ok('\r'),
            Some('b') => Ok('\u{8}'),
            Some('f') => Ok('\u{c}'),
            Some('u') => self.unicode(),
            Some(c @ ('\\' | '\'' | '"' | '/')) => Ok(c),
            Some(_) | None => Err(self.expected("an escape such as \\n, \\\" or \\u00e9")),
        }
    }

    fn unicode(&mut self) -> Result<char, ParseError> {
        let high = self.four_hex()?;
        if !(0xD800..0xDC00).contains(&high) {
            return char::from_u32(high).ok_or_else(|| self.expected("a character"));
        }
        if !(self.eat('\\') && self.eat('u')) {
            return Err(self.expected("the second half of the surrogate pair"));
        }
        let low = self.four_hex()?;
        let code =
            low.checked_sub(0xDC00).filter(|low| *low < 0x400).map(|low| 0x10000 + ((high - 0xD800) << 10) + low);
        code.and_then(char::from_u32).ok_or_else(|| self.expected("the second half of the surrogate pair"))
    }

    fn four_hex(&mut self) -> Result<u32, ParseError> {
        let digits = self.source.get(self.at..self.at + 4);
        let code = digits
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .ok_or_else(|| self.expected("four hexadecimal digits"))?;
        self.at += 4;
        Ok(code)
    }

    fn number(&mut self) -> Result<Value, ParseError> {
        let start = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E')) {
            self.at += 1;
        }
        self.source[start..self.at]
            .parse::<Number>()
            .map(Value::Number)
            .map_err(|_| ParseError::new(format!("`{}` is not a number", &self.source[start..self.at])).at(start))
    }

    fn word(&mut self) -> Result<Value, ParseError> {
        let start = self.at;
        while self.peek().is_some_and(char::is_alphanumeric) {
            self.next();
        }
        match &self.source[start..self.at] {
            "true" | "True" => Ok(Value::Bool(true)),
            "false" | "False" => Ok(Value::Bool(false)),
            "null" | "None" | "none" => Ok(Value::Null),
            word => Err(ParseError::new(format!("`{word}` is not a value"))
                .at(start)
                .hint(format!("put it in quotes: '{word}'"))),
        }
    }

    fn enter(&mut self) -> Result<(), ParseError> {
        self.depth += 1;
        if self.depth > ExprLimits::NESTING_MAX {
            return Err(ParseError::new(format!("the list nests more than {} levels deep", ExprLimits::NESTING_MAX))
                .at(self.at));
        }
        Ok(())
    }

    fn expected(&self, what: &str) -> ParseError {
        let found = match self.peek() {
            Some(c) => format!("`{c}`"),
            None => "the end".to_owned(),
        };
        ParseError::new(format!("expected {what}, found {found}")).at(self.at)
    }

    fn peek(&self) -> Option<char> {
        self.source[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.next();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::literal_list;
    use crate::ExprLimits;

    #[test]
    fn lists_are_read_as_json_and_as_python_print_them() {
        for (source, wanted) in [
            ("['returns']", json!(["returns"])),
            ("  [\"a\", 'b',]\n", json!(["a", "b"])),
            ("[]", json!([])),
            ("[1, -2.5, 1e3, True, false, None, null]", json!([1, -2.5, 1e3, true, false, null, null])),
            ("[['x'], {'k': [1]}]", json!([["x"], {"k": [1]}])),
            (r#"['it\'s', "caf\u00e9", "\ud83d\ude00"]"#, json!(["it's", "café", "😀"])),
        ] {
            assert_eq!(literal_list(source), Ok(wanted), "{source}");
        }
    }

    #[test]
    fn what_is_no_list_says_where_it_stops_being_one() {
        for (source, offset) in [
            ("returns", 0),
            ("['a'", 4),
            ("['a' 'b']", 5),
            ("[returns]", 1),
            ("[,]", 1),
            ("['a]", 1),
            ("[1] x", 4),
            ("[1-2]", 1),
            (r"['\q']", 4),
            (r"['\ud83d']", 8),
            ("[{1: 2}]", 2),
            ("", 0),
        ] {
            assert_eq!(literal_list(source).unwrap_err().offset, Some(offset), "{source}");
        }
        assert_eq!(literal_list("[returns]").unwrap_err().hint.as_deref(), Some("put it in quotes: 'returns'"));
    }

    #[test]
    fn lists_that_are_too_long_or_nest_too_deep_are_refused() {
        assert!(literal_list(&"[".repeat(100_000)).is_err());
        assert!(literal_list(&format!("['{}']", "a".repeat(ExprLimits::OUTPUT_BYTES_MAX))).is_err());
    }
}
