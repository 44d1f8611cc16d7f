//! Parses and evaluates an expression in one pass, by precedence. It builds no data structure that could grow.

use serde_json::{Map, Value};

use super::number::ExactNumber;

/// Maximum nesting depth of brackets, signs and powers.
const DEPTH_MAX: u32 = 64;
/// Maximum number of arguments of one `max` or `min`.
const ARGUMENTS_MAX: usize = 100;

type CalculationResult = Result<ExactNumber, String>;

pub(super) fn calculate(expression: &str, variables: Option<&Map<String, Value>>) -> CalculationResult {
    let mut parser = CalculationParser { text: expression, at: 0, depth: 0, variables };
    let number = parser.sum()?;
    match parser.peek() {
        None => Ok(number),
        Some(_) => Err(parser.unexpected()),
    }
}

struct CalculationParser<'e> {
    text: &'e str,
    at: usize,
    depth: u32,
    variables: Option<&'e Map<String, Value>>,
}

impl<'e> CalculationParser<'e> {
    /// `product (+|- product)*`
    fn sum(&mut self) -> CalculationResult {
        let mut left = self.product()?;
        loop {
            left = match self.peek() {
                Some(b'+') => self.then(1, Self::product, |right| left.add(right))?,
                Some(b'-') => self.then(1, Self::product, |right| left.subtract(right))?,
                _ => return Ok(left),
            };
        }
    }

    /// `signed (*|/|//|% signed)*`
    fn product(&mut self) -> CalculationResult {
        let mut left = self.signed()?;
        loop {
            left = match self.peek() {
                Some(b'*') if !self.ahead("**") => self.then(1, Self::signed, |right| left.multiply(right))?,
                Some(b'/') if self.ahead("//") => self.then(2, Self::signed, |right| left.floor_divide(right))?,
                Some(b'/') => self.then(1, Self::signed, |right| left.divide(right))?,
                Some(b'%') => self.then(1, Self::signed, |right| left.modulo(right))?,
                _ => return Ok(left),
            };
        }
    }

    /// `-signed | +signed | power`
    fn signed(&mut self) -> CalculationResult {
        match self.peek() {
            Some(b'-') => self.deeper(|parser| parser.then(1, Self::signed, ExactNumber::negate)),
            Some(b'+') => self.deeper(|parser| parser.then(1, Self::signed, Ok)),
            _ => self.power(),
        }
    }

    /// `atom (** signed)?`: binds tighter than a sign before it, and to the right.
    fn power(&mut self) -> CalculationResult {
        let base = self.atom()?;
        if self.ahead("**") {
            return self.deeper(|parser| parser.then(2, Self::signed, |exponent| base.power(exponent)));
        }
        Ok(base)
    }

    fn atom(&mut self) -> CalculationResult {
        match self.peek() {
            Some(b'(') => self.deeper(|parser| {
                let inner = parser.then(1, Self::sum, Ok)?;
                parser.expect(b')')?;
                Ok(inner)
            }),
            Some(b'0'..=b'9' | b'.') => ExactNumber::parse(self.number()),
            Some(b'a'..=b'z' | b'A'..=b'Z' | b'_') => self.name(),
            Some(_) | None => Err(self.unexpected()),
        }
    }

    fn number(&mut self) -> &'e str {
        let (text, from) = (self.text, self.at);
        let bytes = text.as_bytes();
        while let Some(byte) = bytes.get(self.at) {
            let signed = matches!(byte, b'+' | b'-') && matches!(bytes[self.at - 1], b'e' | b'E') && self.at > from;
            if !(byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E') || signed) {
                break;
            }
            self.at += 1;
        }
        &text[from..self.at]
    }

    /// Parses a variable, or a function and its arguments.
    fn name(&mut self) -> CalculationResult {
        let (text, from) = (self.text, self.at);
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        self.at += text.as_bytes()[from..].iter().take_while(|byte| is_name(byte)).count();
        let name = &text[from..self.at];
        if self.peek() == Some(b'(') {
            let arguments = self.deeper(Self::arguments)?;
            return apply(name, &arguments);
        }
        match self.variables.and_then(|variables| variables.get(name)) {
            Some(Value::Number(number)) => ExactNumber::of_json(number),
            Some(_) => Err(format!("the variable `{name}` is not a number")),
            None => Err(format!("unknown name `{name}`; give it under `variables`")),
        }
    }

    fn arguments(&mut self) -> Result<Vec<ExactNumber>, String> {
        self.at += 1;
        let mut arguments = vec![self.sum()?];
        while self.peek() == Some(b',') {
            if arguments.len() == ARGUMENTS_MAX {
                return Err(format!("a function takes at most {ARGUMENTS_MAX} numbers"));
            }
            self.at += 1;
            arguments.push(self.sum()?);
        }
        self.expect(b')')?;
        Ok(arguments)
    }

    /// Skips an operator of `width` bytes, parses its right operand and combines both.
    fn then(
        &mut self,
        width: usize,
        read: impl FnOnce(&mut Self) -> CalculationResult,
        combine: impl FnOnce(ExactNumber) -> CalculationResult,
    ) -> CalculationResult {
        self.at += width;
        combine(read(self)?)
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, String>) -> Result<T, String> {
        if self.depth == DEPTH_MAX {
            return Err(format!("the expression nests more than {DEPTH_MAX} levels deep"));
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    /// Returns the next byte that is not a space.
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while bytes.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    fn ahead(&mut self, operator: &str) -> bool {
        self.peek();
        self.text.as_bytes()[self.at..].starts_with(operator.as_bytes())
    }

    fn expect(&mut self, byte: u8) -> Result<(), String> {
        if self.peek() == Some(byte) {
            self.at += 1;
            return Ok(());
        }
        Err(self.unexpected())
    }

    #[cold]
    fn unexpected(&mut self) -> String {
        self.peek();
        match self.text[self.at..].chars().next() {
            Some(found) => format!("unexpected `{found}` at byte {}", self.at),
            None => "the expression ends too early".to_owned(),
        }
    }
}

fn apply(name: &str, arguments: &[ExactNumber]) -> CalculationResult {
    match (name, arguments) {
        ("abs", [number]) => number.abs(),
        ("ceil", [number]) => number.ceil(),
        ("floor", [number]) => number.floor(),
        ("sqrt", [number]) => number.sqrt(),
        ("round", [number]) => number.round(ExactNumber::whole(0)),
        ("round", [number, places]) => number.round(*places),
        ("max", [first, rest @ ..]) => rest.iter().try_fold(*first, |max, number| max.max(*number)),
        ("min", [first, rest @ ..]) => rest.iter().try_fold(*first, |min, number| min.min(*number)),
        ("abs" | "ceil" | "floor" | "sqrt", _) => Err(format!("`{name}` takes one number")),
        ("round", _) => Err("`round` takes a number and, if you like, places behind the point".to_owned()),
        (_, _) => Err(format!("unknown function `{name}`; there are abs, ceil, floor, max, min, round, sqrt")),
    }
}
