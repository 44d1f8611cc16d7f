//! The tokens of JMESPath.

use serde_json::Value;

use crate::error::ParseError;

/// A token, as the parser sees it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum JmesPathToken {
    Name(String),
    QuotedName(String),
    Number(i64),
    Literal(Value),
    Dot,
    Star,
    /// `[]`
    Flatten,
    /// `[?`
    Filter,
    And,
    Or,
    Pipe,
    OpenBracket,
    CloseBracket,
    OpenBrace,
    CloseBrace,
    OpenParen,
    CloseParen,
    Comma,
    Colon,
    Not,
    Compare(JmesPathComparator),
    At,
    Ampersand,
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JmesPathComparator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl JmesPathToken {
    /// Returns how tightly the token binds the expression to its left.
    pub(super) fn binding(&self) -> u8 {
        match self {
            JmesPathToken::Pipe => 1,
            JmesPathToken::Or => 2,
            JmesPathToken::And => 3,
            JmesPathToken::Compare(_) => 5,
            JmesPathToken::Flatten => 9,
            JmesPathToken::Star => 20,
            JmesPathToken::Filter => 21,
            JmesPathToken::Dot => 40,
            JmesPathToken::Not => 45,
            JmesPathToken::OpenBracket => 55,
            JmesPathToken::OpenParen => 60,
            JmesPathToken::Name(_)
            | JmesPathToken::QuotedName(_)
            | JmesPathToken::Number(_)
            | JmesPathToken::Literal(_)
            | JmesPathToken::CloseBracket
            | JmesPathToken::OpenBrace
            | JmesPathToken::CloseBrace
            | JmesPathToken::CloseParen
            | JmesPathToken::Comma
            | JmesPathToken::Colon
            | JmesPathToken::At
            | JmesPathToken::Ampersand
            | JmesPathToken::End => 0,
        }
    }

    /// Returns the token as a message shows it.
    pub(super) fn shown(&self) -> String {
        let text = match self {
            JmesPathToken::Name(name) | JmesPathToken::QuotedName(name) => return format!("`{name}`"),
            JmesPathToken::Number(number) => return format!("`{number}`"),
            JmesPathToken::Literal(_) => "a literal",
            JmesPathToken::End => "the end",
            JmesPathToken::Dot => "`.`",
            JmesPathToken::Star => "`*`",
            JmesPathToken::Flatten => "`[]`",
            JmesPathToken::Filter => "`[?`",
            JmesPathToken::And => "`&&`",
            JmesPathToken::Or => "`||`",
            JmesPathToken::Pipe => "`|`",
            JmesPathToken::OpenBracket => "`[`",
            JmesPathToken::CloseBracket => "`]`",
            JmesPathToken::OpenBrace => "`{`",
            JmesPathToken::CloseBrace => "`}`",
            JmesPathToken::OpenParen => "`(`",
            JmesPathToken::CloseParen => "`)`",
            JmesPathToken::Comma => "`,`",
            JmesPathToken::Colon => "`:`",
            JmesPathToken::Not => "`!`",
            JmesPathToken::Compare(_) => "a comparison",
            JmesPathToken::At => "`@`",
            JmesPathToken::Ampersand => "`&`",
        };
        text.to_owned()
    }
}

/// The hint for a number that is used where a value is needed.
pub(super) const NUMBER_BACKTICKS_HINT: &str = "numbers to compare with stand in backticks: `0.7`";

/// Splits a source into tokens, each with its byte position; the last is [`JmesPathToken::End`].
pub(super) fn tokens(source: &str) -> Result<Vec<(usize, JmesPathToken)>, ParseError> {
    let mut reader = JmesPathLexer { source, at: 0 };
    let mut tokens = Vec::new();
    loop {
        while reader.peek().is_some_and(|c| matches!(c, ' ' | '\n' | '\t' | '\r')) {
            reader.at += 1;
        }
        let start = reader.at;
        let token = reader.token()?;
        let done = token == JmesPathToken::End;
        tokens.push((start, token));
        if done {
            return Ok(tokens);
        }
    }
}

struct JmesPathLexer<'s> {
    source: &'s str,
    at: usize,
}

impl<'s> JmesPathLexer<'s> {
    fn token(&mut self) -> Result<JmesPathToken, ParseError> {
        let start = self.at;
        let Some(first) = self.next() else {
            return Ok(JmesPathToken::End);
        };
        Ok(match first {
            'a'..='z' | 'A'..='Z' | '_' => {
                JmesPathToken::Name(self.rest_of(start, |c| c.is_ascii_alphanumeric() || c == '_').to_owned())
            }
            '0'..='9' | '-' => self.number(start)?,
            '"' => self.quoted_name(start)?,
            '\'' => self.raw_string(start)?,
            '`' => self.literal(start)?,
            '.' => JmesPathToken::Dot,
            '*' => JmesPathToken::Star,
            ']' => JmesPathToken::CloseBracket,
            '{' => JmesPathToken::OpenBrace,
            '}' => JmesPathToken::CloseBrace,
            '(' => JmesPathToken::OpenParen,
            ')' => JmesPathToken::CloseParen,
            ',' => JmesPathToken::Comma,
            ':' => JmesPathToken::Colon,
            '@' => JmesPathToken::At,
            '[' if self.eat(']') => JmesPathToken::Flatten,
            '[' if self.eat('?') => JmesPathToken::Filter,
            '[' => JmesPathToken::OpenBracket,
            '|' if self.eat('|') => JmesPathToken::Or,
            '|' => JmesPathToken::Pipe,
            '&' if self.eat('&') => JmesPathToken::And,
            '&' => JmesPathToken::Ampersand,
            '!' if self.eat('=') => JmesPathToken::Compare(JmesPathComparator::NotEqual),
            '!' => JmesPathToken::Not,
            '=' if self.eat('=') => JmesPathToken::Compare(JmesPathComparator::Equal),
            '=' => {
                return Err(ParseError::new("`=` compares nothing").at(start).hint("to compare, write `==`"));
            }
            '<' if self.eat('=') => JmesPathToken::Compare(JmesPathComparator::LessOrEqual),
            '<' => JmesPathToken::Compare(JmesPathComparator::Less),
            '>' if self.eat('=') => JmesPathToken::Compare(JmesPathComparator::GreaterOrEqual),
            '>' => JmesPathToken::Compare(JmesPathComparator::Greater),
            c => {
                return Err(ParseError::new(format!("`{c}` has no meaning in JMESPath"))
                    .at(start)
                    .hint("a name with other letters than a-z, digits and `_` stands in double quotes"));
            }
        })
    }

    fn number(&mut self, start: usize) -> Result<JmesPathToken, ParseError> {
        let text = self.rest_of(start, |c| c.is_ascii_digit());
        let error = || ParseError::new(format!("`{text}` is not a whole number")).at(start).hint(NUMBER_BACKTICKS_HINT);
        let fraction = self.source[self.at..].strip_prefix('.');
        let has_fraction = fraction.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        if text.starts_with("-0") || has_fraction {
            return Err(error());
        }
        text.parse().map(JmesPathToken::Number).map_err(|_| error())
    }

    fn quoted_name(&mut self, start: usize) -> Result<JmesPathToken, ParseError> {
        self.read_quoted(start, '"')?;
        serde_json::from_str(&self.source[start..self.at])
            .map(JmesPathToken::QuotedName)
            .map_err(|_| ParseError::new("the name in double quotes is not a JSON string").at(start))
    }

    fn raw_string(&mut self, start: usize) -> Result<JmesPathToken, ParseError> {
        let text = self.read_quoted(start, '\'')?;
        Ok(JmesPathToken::Literal(Value::String(text.replace("\\'", "'"))))
    }

    fn literal(&mut self, start: usize) -> Result<JmesPathToken, ParseError> {
        let text = self.read_quoted(start, '`')?.replace("\\`", "`");
        serde_json::from_str(&text).map(JmesPathToken::Literal).map_err(|_| {
            ParseError::new("what stands in backticks is not JSON")
                .at(start)
                .hint("text stands in single quotes: 'text'")
        })
    }

    /// Reads up to the closing quote, and skips escaped characters.
    fn read_quoted(&mut self, start: usize, quote: char) -> Result<&'s str, ParseError> {
        let first = self.at;
        while let Some(c) = self.next() {
            if c == '\\' {
                self.next();
            } else if c == quote {
                return Ok(&self.source[first..self.at - 1]);
            }
        }
        Err(ParseError::new(format!("the {quote} is not closed")).at(start))
    }

    fn rest_of(&mut self, start: usize, belongs: impl Fn(char) -> bool) -> &'s str {
        while self.peek().is_some_and(&belongs) {
            self.at += 1;
        }
        &self.source[start..self.at]
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
}
