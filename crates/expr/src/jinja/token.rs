//! The tokens of a template: the text around the tags, and their content.

use crate::error::ParseError;

/// A token, as the parser sees it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum JinjaToken {
    /// Text outside every tag, with white space already trimmed as the tags ask.
    Raw(String),
    /// `{{`
    OpenOutput,
    /// `}}`
    CloseOutput,
    /// `{%`
    OpenTag,
    /// `%}`
    CloseTag,
    Name(String),
    Text(String),
    Int(i128),
    Float(f64),
    /// An operator or a bracket.
    Sign(&'static str),
    End,
}

impl JinjaToken {
    /// Returns the token as a message shows it.
    pub(super) fn shown(&self) -> String {
        match self {
            JinjaToken::Raw(_) => "text".to_owned(),
            JinjaToken::OpenOutput => "`{{`".to_owned(),
            JinjaToken::CloseOutput => "`}}`".to_owned(),
            JinjaToken::OpenTag => "`{%`".to_owned(),
            JinjaToken::CloseTag => "`%}`".to_owned(),
            JinjaToken::Name(name) => format!("`{name}`"),
            JinjaToken::Text(_) => "a string".to_owned(),
            JinjaToken::Int(number) => format!("`{number}`"),
            JinjaToken::Float(number) => format!("`{number}`"),
            JinjaToken::Sign(sign) => format!("`{sign}`"),
            JinjaToken::End => "the end".to_owned(),
        }
    }
}

/// Longer operators come before their prefixes.
const SIGNS: &[&str] = &[
    "**", "//", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~", "<", ">", "=", "(", ")", "[", "]", "{", "}", ",",
    ":", ".", "|",
];

/// Spellings from other languages, and their equivalents here.
const FOREIGN: &[(&str, &str)] = &[
    ("&&", "write `and`"),
    ("||", "write `or`"),
    ("!", "write `not`"),
    ("?", "write `a if condition else b`"),
    ("#", "loops are `{% for item in items %}`, conditions `{% if condition %}`, comments `{# … #}`"),
    ("$", "names are written bare: `{{ step.field }}`"),
    ("`", "text stands in single or double quotes"),
];

pub(super) type JinjaTokens = Vec<(usize, JinjaToken)>;

/// Returns the tokens of an expression without a template around it.
pub(super) fn expression(source: &str) -> Result<JinjaTokens, ParseError> {
    let mut lexer = JinjaLexer::new(source);
    lexer.inside(None)?;
    lexer.tokens.push((source.len(), JinjaToken::End));
    Ok(lexer.tokens)
}

/// Returns the tokens of a template. One line break at its end is dropped, as in Jinja.
pub(super) fn template(source: &str) -> Result<JinjaTokens, ParseError> {
    let source = source.strip_suffix('\n').unwrap_or(source);
    let source = source.strip_suffix('\r').unwrap_or(source);
    let mut lexer = JinjaLexer::new(source);
    while lexer.at < source.len() {
        lexer.text_and_tag()?;
    }
    lexer.tokens.push((source.len(), JinjaToken::End));
    Ok(lexer.tokens)
}

struct JinjaLexer<'s> {
    source: &'s str,
    at: usize,
    /// The previous tag trims the white space after it.
    trim: bool,
    tokens: JinjaTokens,
}

impl<'s> JinjaLexer<'s> {
    fn new(source: &'s str) -> Self {
        Self { source, at: 0, trim: false, tokens: Vec::new() }
    }

    /// Reads text up to the next tag, and the tag.
    fn text_and_tag(&mut self) -> Result<(), ParseError> {
        let start = self.at;
        let rest = &self.source[start..];
        let found = rest.match_indices('{').find(|(at, _)| rest[at + 1..].starts_with(['{', '%', '#']));
        let text = &rest[..found.map_or(rest.len(), |(at, _)| at)];
        let open = start + text.len();
        let takes_before = self.source[open..].get(2..).is_some_and(|after| after.starts_with('-'));
        self.text(text, start, takes_before);
        self.at = open;
        let Some((_, tag)) = found.and_then(|_| self.source.get(open..open + 2)).map(|tag| (open, tag)) else {
            return Ok(());
        };
        self.at = open + 2;
        match tag {
            "{#" => self.comment(open),
            "{{" => {
                self.skip_mark();
                self.tokens.push((open, JinjaToken::OpenOutput));
                self.inside(Some(("}}", JinjaToken::CloseOutput, open)))
            }
            _ => {
                self.skip_mark();
                if self.raw(open)? {
                    return Ok(());
                }
                self.tokens.push((open, JinjaToken::OpenTag));
                self.inside(Some(("%}", JinjaToken::CloseTag, open)))
            }
        }
    }

    fn text(&mut self, text: &str, start: usize, takes_before: bool) {
        let text = if std::mem::take(&mut self.trim) { text.trim_start() } else { text };
        let text = if takes_before { text.trim_end() } else { text };
        if !text.is_empty() {
            self.tokens.push((start, JinjaToken::Raw(text.to_owned())));
        }
    }

    fn comment(&mut self, open: usize) -> Result<(), ParseError> {
        let Some(len) = self.source[self.at..].find("#}") else {
            return Err(ParseError::new("the comment is not closed with `#}`").at(open));
        };
        self.trim = self.source[self.at..self.at + len].ends_with('-');
        self.at += len + 2;
        Ok(())
    }

    /// Reads `{% raw %}`: everything up to `{% endraw %}` is text.
    fn raw(&mut self, open: usize) -> Result<bool, ParseError> {
        let rest = &self.source[self.at..];
        let Some((trim_inside, body)) = tag_end(rest.trim_start().strip_prefix("raw").unwrap_or_default()) else {
            return Ok(false);
        };
        let start = self.source.len() - body.len();
        for (at, _) in body.match_indices("{%") {
            let tag = &body[at + 2..];
            let takes_before = tag.starts_with('-');
            let tag = tag.strip_prefix(['-', '+']).unwrap_or(tag).trim_start();
            if let Some((trim, after)) = tag.strip_prefix("endraw").and_then(tag_end) {
                self.trim = trim_inside;
                self.text(&body[..at], start, takes_before);
                self.trim = trim;
                self.at = self.source.len() - after.len();
                return Ok(true);
            }
        }
        Err(ParseError::new("the raw block is not closed with `{% endraw %}`").at(open))
    }

    /// Reads tokens up to `close`, or to the end of the source.
    fn inside(&mut self, close: Option<(&str, JinjaToken, usize)>) -> Result<(), ParseError> {
        let mut braces = 0_usize;
        loop {
            self.at = self.source.len() - self.source[self.at..].trim_start().len();
            let rest = &self.source[self.at..];
            if let Some((mark, token, open)) = &close {
                if rest.is_empty() {
                    return Err(ParseError::new(format!("the tag is not closed with `{mark}`")).at(*open));
                }
                let unmarked = rest.strip_prefix(['-', '+']).unwrap_or(rest);
                if braces == 0 && unmarked.starts_with(mark) {
                    self.trim = rest.starts_with('-');
                    self.tokens.push((self.at, token.clone()));
                    self.at += rest.len() - unmarked.len() + mark.len();
                    return Ok(());
                }
            }
            let Some(first) = rest.chars().next() else {
                return Ok(());
            };
            let start = self.at;
            let token = self.word(first)?;
            match token {
                JinjaToken::Sign("{") => braces += 1,
                JinjaToken::Sign("}") => braces = braces.saturating_sub(1),
                _ => {}
            }
            self.tokens.push((start, token));
        }
    }

    fn word(&mut self, first: char) -> Result<JinjaToken, ParseError> {
        let start = self.at;
        if first.is_alphabetic() || first == '_' {
            return Ok(JinjaToken::Name(self.take_while(|c| c.is_alphanumeric() || c == '_').to_owned()));
        }
        if first.is_ascii_digit() {
            return self.number();
        }
        if first == '\'' || first == '"' {
            return self.string(first);
        }
        let rest = &self.source[start..];
        if let Some((_, hint)) = FOREIGN.iter().find(|(sign, _)| rest.starts_with(sign) && !rest.starts_with("!=")) {
            return Err(ParseError::new(format!("`{first}` has no meaning here")).at(start).hint(*hint));
        }
        match SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            Some(sign) => {
                self.at += sign.len();
                Ok(JinjaToken::Sign(sign))
            }
            None => Err(ParseError::new(format!("`{first}` has no meaning here")).at(start)),
        }
    }

    fn number(&mut self) -> Result<JinjaToken, ParseError> {
        let start = self.at;
        self.take_while(|c| c.is_ascii_digit() || c == '_');
        let mut float = false;
        let after = self.source[self.at..].strip_prefix('.');
        // After a dot a number is an index (`items.0.name`), so only the first dot may start a fraction.
        let behind_dot = matches!(self.tokens.last(), Some((_, JinjaToken::Sign("."))));
        if !behind_dot && after.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
            float = true;
            self.at += 1;
            self.take_while(|c| c.is_ascii_digit() || c == '_');
        }
        if self.source[self.at..].starts_with(['e', 'E']) && !behind_dot {
            let digits = self.source[self.at + 1..].trim_start_matches(['+', '-']);
            if digits.starts_with(|c: char| c.is_ascii_digit()) {
                float = true;
                self.at = self.source.len() - digits.len();
                self.take_while(|c| c.is_ascii_digit());
            }
        }
        let text = self.source[start..self.at].replace('_', "");
        let number = if float {
            text.parse().ok().filter(|number: &f64| number.is_finite()).map(JinjaToken::Float)
        } else {
            text.parse().ok().map(JinjaToken::Int)
        };
        number.ok_or_else(|| ParseError::new(format!("`{text}` is too large to be a number")).at(start))
    }

    fn string(&mut self, quote: char) -> Result<JinjaToken, ParseError> {
        let start = self.at;
        let mut text = String::new();
        self.at += 1;
        while let Some(c) = self.source[self.at..].chars().next() {
            self.at += c.len_utf8();
            if c == quote {
                return Ok(JinjaToken::Text(text));
            }
            if c == '\\' {
                let (decoded, len) = escape(&self.source[self.at..], self.at - 1)?;
                text.push(decoded);
                self.at += len;
            } else {
                text.push(c);
            }
        }
        Err(ParseError::new(format!("the string is not closed with {quote}")).at(start))
    }

    fn take_while(&mut self, belongs: impl Fn(char) -> bool) -> &'s str {
        let rest = &self.source[self.at..];
        let word = &rest[..rest.find(|c| !belongs(c)).unwrap_or(rest.len())];
        self.at += word.len();
        word
    }

    /// Skips the mark of `{{-` and `{{+`, which has already been applied to the text before it.
    fn skip_mark(&mut self) {
        if self.source[self.at..].starts_with(['-', '+']) {
            self.at += 1;
        }
    }
}

/// Returns the end of an empty rest of a tag: whether it trims the white space after it, and the text that follows.
fn tag_end(rest: &str) -> Option<(bool, &str)> {
    let rest = rest.trim_start();
    let unmarked = rest.strip_prefix(['-', '+']).unwrap_or(rest);
    Some((rest.starts_with('-'), unmarked.strip_prefix("%}")?))
}

/// Returns the character of an escape, and its length in bytes after the backslash.
fn escape(rest: &str, at: usize) -> Result<(char, usize), ParseError> {
    let error =
        || ParseError::new("the string has an escape that means nothing").at(at).hint("write `\\\\` for one `\\`");
    let first = rest.chars().next().ok_or_else(error)?;
    let digits = match first {
        'n' => return Ok(('\n', 1)),
        't' => return Ok(('\t', 1)),
        'r' => return Ok(('\r', 1)),
        '0' => return Ok(('\0', 1)),
        '\\' | '\'' | '"' | '/' => return Ok((first, 1)),
        'x' => 2,
        'u' => 4,
        _ => return Err(error()),
    };
    let code = rest.get(1..1 + digits).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    let code = code.and_then(|digits| u32::from_str_radix(digits, 16).ok()).and_then(char::from_u32);
    Ok((code.ok_or_else(error)?, 1 + digits))
}
