//! The words of JMESPath.

use serde_json::Value;

use crate::expr::error::ParseError;

/// A word, as the parser sees it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
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
    Compare(Comparator),
    At,
    Ampersand,
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Token {
    /// How strongly the word binds what stands to its left.
    pub(super) fn binding(&self) -> u8 {
        match self {
            Token::Pipe => 1,
            Token::Or => 2,
            Token::And => 3,
            Token::Compare(_) => 5,
            Token::Flatten => 9,
            Token::Star => 20,
            Token::Filter => 21,
            Token::Dot => 40,
            Token::Not => 45,
            Token::OpenBracket => 55,
            Token::OpenParen => 60,
            Token::Name(_)
            | Token::QuotedName(_)
            | Token::Number(_)
            | Token::Literal(_)
            | Token::CloseBracket
            | Token::OpenBrace
            | Token::CloseBrace
            | Token::CloseParen
            | Token::Comma
            | Token::Colon
            | Token::At
            | Token::Ampersand
            | Token::End => 0,
        }
    }

    /// The word as a message shows it.
    pub(super) fn shown(&self) -> String {
        let text = match self {
            Token::Name(name) | Token::QuotedName(name) => return format!("`{name}`"),
            Token::Number(number) => return format!("`{number}`"),
            Token::Literal(_) => "a literal",
            Token::End => "the end",
            Token::Dot => "`.`",
            Token::Star => "`*`",
            Token::Flatten => "`[]`",
            Token::Filter => "`[?`",
            Token::And => "`&&`",
            Token::Or => "`||`",
            Token::Pipe => "`|`",
            Token::OpenBracket => "`[`",
            Token::CloseBracket => "`]`",
            Token::OpenBrace => "`{`",
            Token::CloseBrace => "`}`",
            Token::OpenParen => "`(`",
            Token::CloseParen => "`)`",
            Token::Comma => "`,`",
            Token::Colon => "`:`",
            Token::Not => "`!`",
            Token::Compare(_) => "a comparison",
            Token::At => "`@`",
            Token::Ampersand => "`&`",
        };
        text.to_owned()
    }
}

/// What to do about a number where a value is meant.
pub(super) const NUMBERS_STAND_IN_BACKTICKS: &str = "numbers to compare with stand in backticks: `0.7`";

/// Splits a source into words, each with the byte it begins at; the last is [`Token::End`].
pub(super) fn tokens(source: &str) -> Result<Vec<(usize, Token)>, ParseError> {
    let mut reader = Reader { source, at: 0 };
    let mut tokens = Vec::new();
    loop {
        while reader.peek().is_some_and(|c| matches!(c, ' ' | '\n' | '\t' | '\r')) {
            reader.at += 1;
        }
        let start = reader.at;
        let token = reader.token()?;
        let done = token == Token::End;
        tokens.push((start, token));
        if done {
            return Ok(tokens);
        }
    }
}

struct Reader<'s> {
    source: &'s str,
    at: usize,
}

impl<'s> Reader<'s> {
    fn token(&mut self) -> Result<Token, ParseError> {
        let start = self.at;
        let Some(first) = self.next() else {
            return Ok(Token::End);
        };
        Ok(match first {
            'a'..='z' | 'A'..='Z' | '_' => {
                Token::Name(self.rest_of(start, |c| c.is_ascii_alphanumeric() || c == '_').to_owned())
            }
            '0'..='9' | '-' => self.number(start)?,
            '"' => self.quoted_name(start)?,
            '\'' => self.raw_string(start)?,
            '`' => self.literal(start)?,
            '.' => Token::Dot,
            '*' => Token::Star,
            ']' => Token::CloseBracket,
            '{' => Token::OpenBrace,
            '}' => Token::CloseBrace,
            '(' => Token::OpenParen,
            ')' => Token::CloseParen,
            ',' => Token::Comma,
            ':' => Token::Colon,
            '@' => Token::At,
            '[' if self.eat(']') => Token::Flatten,
            '[' if self.eat('?') => Token::Filter,
            '[' => Token::OpenBracket,
            '|' if self.eat('|') => Token::Or,
            '|' => Token::Pipe,
            '&' if self.eat('&') => Token::And,
            '&' => Token::Ampersand,
            '!' if self.eat('=') => Token::Compare(Comparator::NotEqual),
            '!' => Token::Not,
            '=' if self.eat('=') => Token::Compare(Comparator::Equal),
            '=' => {
                return Err(ParseError::new("`=` compares nothing").at(start).hint("to compare, write `==`"));
            }
            '<' if self.eat('=') => Token::Compare(Comparator::LessOrEqual),
            '<' => Token::Compare(Comparator::Less),
            '>' if self.eat('=') => Token::Compare(Comparator::GreaterOrEqual),
            '>' => Token::Compare(Comparator::Greater),
            c => {
                return Err(ParseError::new(format!("`{c}` has no meaning in JMESPath"))
                    .at(start)
                    .hint("a name with other letters than a-z, digits and `_` stands in double quotes"));
            }
        })
    }

    fn number(&mut self, start: usize) -> Result<Token, ParseError> {
        let text = self.rest_of(start, |c| c.is_ascii_digit());
        let error =
            || ParseError::new(format!("`{text}` is not a whole number")).at(start).hint(NUMBERS_STAND_IN_BACKTICKS);
        let fraction = self.source[self.at..].strip_prefix('.');
        let has_fraction = fraction.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        if text.starts_with("-0") || has_fraction {
            return Err(error());
        }
        text.parse().map(Token::Number).map_err(|_| error())
    }

    fn quoted_name(&mut self, start: usize) -> Result<Token, ParseError> {
        self.inside(start, '"')?;
        serde_json::from_str(&self.source[start..self.at])
            .map(Token::QuotedName)
            .map_err(|_| ParseError::new("the name in double quotes is not a JSON string").at(start))
    }

    fn raw_string(&mut self, start: usize) -> Result<Token, ParseError> {
        let text = self.inside(start, '\'')?;
        Ok(Token::Literal(Value::String(text.replace("\\'", "'"))))
    }

    fn literal(&mut self, start: usize) -> Result<Token, ParseError> {
        let text = self.inside(start, '`')?.replace("\\`", "`");
        serde_json::from_str(&text).map(Token::Literal).map_err(|_| {
            ParseError::new("what stands in backticks is not JSON")
                .at(start)
                .hint("text stands in single quotes: 'text'")
        })
    }

    /// Reads up to the closing quote, past every escaped character.
    fn inside(&mut self, start: usize, quote: char) -> Result<&'s str, ParseError> {
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
