//! Expressions: a descent through Jinja's levels of strength, which counts how deep it is.

use serde_json::{Number, Value};

use super::cursor::Parser;
use super::function::{self, Callee};
use super::node::{Arguments, Arithmetic, Call, Comparator, Expr, Postfix};
use super::operation::{Operation, Test};
use super::token::Token;
use crate::expr::error::ParseError;

impl Parser {
    /// A whole expression: `value if condition else other`, or anything that binds stronger.
    pub(super) fn expression(&mut self) -> Result<Expr, ParseError> {
        self.enter()?;
        let first = self.or()?;
        let mut arms = Vec::new();
        let mut last = Some(first);
        while last.is_some() && self.eat_word("if") {
            let condition = self.or()?;
            arms.push((last.take().unwrap_or(Expr::Literal(Value::Null)), condition));
            if self.eat_word("else") {
                last = Some(self.or()?);
            }
        }
        self.leave();
        Ok(match (arms.is_empty(), last) {
            (true, Some(only)) => only,
            (_, last) => Expr::Choose(arms, last.map(Box::new)),
        })
    }

    /// An expression behind which `if` means something else: the items of a loop.
    pub(super) fn without_condition(&mut self) -> Result<Expr, ParseError> {
        self.or()
    }

    fn or(&mut self) -> Result<Expr, ParseError> {
        let mut parts = vec![self.and()?];
        while self.eat_word("or") {
            parts.push(self.and()?);
        }
        Ok(single(parts).unwrap_or_else(Expr::Or))
    }

    fn and(&mut self) -> Result<Expr, ParseError> {
        let mut parts = vec![self.not()?];
        while self.eat_word("and") {
            parts.push(self.not()?);
        }
        Ok(single(parts).unwrap_or_else(Expr::And))
    }

    fn not(&mut self) -> Result<Expr, ParseError> {
        if !self.eat_word("not") {
            return self.compare();
        }
        self.enter()?;
        let inner = self.not()?;
        self.leave();
        Ok(Expr::Not(Box::new(inner)))
    }

    fn compare(&mut self) -> Result<Expr, ParseError> {
        let first = self.arithmetic(0)?;
        let mut rest = Vec::new();
        while let Some(comparator) = self.comparator()? {
            rest.push((comparator, self.arithmetic(0)?));
        }
        Ok(if rest.is_empty() { first } else { Expr::Compare(Box::new(first), rest) })
    }

    fn comparator(&mut self) -> Result<Option<Comparator>, ParseError> {
        let comparator = match self.peek() {
            Token::Sign("==") => Comparator::Equal,
            Token::Sign("!=") => Comparator::NotEqual,
            Token::Sign("<") => Comparator::Less,
            Token::Sign("<=") => Comparator::LessOrEqual,
            Token::Sign(">") => Comparator::Greater,
            Token::Sign(">=") => Comparator::GreaterOrEqual,
            Token::Sign("=") => {
                return Err(self.error("`=` compares nothing").hint("to compare, write `==`"));
            }
            Token::Name(word) if word == "in" => Comparator::In,
            Token::Name(word) if word == "not" && self.peek_is_word(1, "in") => {
                self.advance();
                Comparator::NotIn
            }
            _ => return Ok(None),
        };
        self.advance();
        Ok(Some(comparator))
    }

    /// Operators that bind at least as strongly as `weakest`, those of one strength in one list.
    fn arithmetic(&mut self, weakest: u8) -> Result<Expr, ParseError> {
        let mut left = self.signed(true)?;
        while let Some((_, strength)) = self.operator(weakest) {
            let mut rest = Vec::new();
            while let Some((operator, _)) = self.operator(strength) {
                self.advance();
                rest.push((operator, self.arithmetic(strength + 1)?));
            }
            left = Expr::Arithmetic(Box::new(left), rest);
        }
        Ok(left)
    }

    fn operator(&self, weakest: u8) -> Option<(Arithmetic, u8)> {
        let Token::Sign(sign) = self.peek() else {
            return None;
        };
        let (operator, strength) = match *sign {
            "+" => (Arithmetic::Add, 0),
            "-" => (Arithmetic::Subtract, 0),
            "~" => (Arithmetic::Join, 1),
            "*" => (Arithmetic::Multiply, 2),
            "/" => (Arithmetic::Divide, 2),
            "//" => (Arithmetic::DivideWhole, 2),
            "%" => (Arithmetic::Remainder, 2),
            "**" => (Arithmetic::Power, 3),
            _ => return None,
        };
        (strength >= weakest).then_some((operator, strength))
    }

    /// A sign binds stronger than a filter: `-x|abs` is the filter of `-x`.
    fn signed(&mut self, filters: bool) -> Result<Expr, ParseError> {
        let negative = *self.peek() == Token::Sign("-");
        let base = if negative || *self.peek() == Token::Sign("+") {
            self.enter()?;
            self.advance();
            let inner = self.signed(false)?;
            self.leave();
            if negative { Expr::Negative(Box::new(inner)) } else { inner }
        } else {
            self.primary()?
        };
        let mut postfixes = Vec::new();
        while let Some(postfix) = self.postfix(filters)? {
            postfixes.push(postfix);
        }
        Ok(if postfixes.is_empty() { base } else { Expr::Postfix(Box::new(base), postfixes) })
    }

    fn postfix(&mut self, filters: bool) -> Result<Option<Postfix>, ParseError> {
        match self.peek() {
            Token::Sign(".") => {
                self.advance();
                self.field().map(Some)
            }
            Token::Sign("[") => {
                self.advance();
                self.item().map(Some)
            }
            Token::Sign("(") => {
                Err(self.error("only functions, methods and macros can be called").hint("join texts with `~`"))
            }
            Token::Sign("|") if filters => {
                self.advance();
                Ok(Some(Postfix::Call(self.filter()?)))
            }
            Token::Name(word) if word == "is" && filters => {
                self.advance();
                self.test().map(Some)
            }
            _ => Ok(None),
        }
    }

    fn field(&mut self) -> Result<Postfix, ParseError> {
        let start = self.offset();
        match self.next() {
            Token::Name(name) if *self.peek() == Token::Sign("(") => {
                let operation = Operation::method(&name).map_err(|error| error.at(start))?;
                self.advance();
                Ok(Postfix::Call(Call { operation, arguments: self.arguments()? }))
            }
            Token::Name(name) => Ok(Postfix::Field(name)),
            Token::Int(index) => Ok(Postfix::Item(Expr::Literal(number(index)))),
            token => Err(ParseError::new(format!("expected a field after the dot, found {}", token.shown())).at(start)),
        }
    }

    fn item(&mut self) -> Result<Postfix, ParseError> {
        let mut parts: [Option<Expr>; 3] = [None, None, None];
        let mut part = 0;
        loop {
            if !matches!(self.peek(), Token::Sign(":" | "]")) {
                parts[part] = Some(self.expression()?);
            }
            if self.eat_sign("]") {
                break;
            }
            part += 1;
            if part > 2 || !self.eat_sign(":") {
                return Err(self.unexpected("`]`"));
            }
        }
        match (part, parts) {
            (0, [Some(index), ..]) => Ok(Postfix::Item(index)),
            (0, _) => Err(self.error("the index is empty")),
            (_, parts) => Ok(Postfix::Slice(Box::new(parts))),
        }
    }

    pub(super) fn filter(&mut self) -> Result<Call, ParseError> {
        let start = self.offset();
        let name = self.name("the name of a filter")?;
        let operation = Operation::filter(&name).map_err(|error| error.at(start))?;
        let arguments = if self.eat_sign("(") { self.arguments()? } else { Arguments::default() };
        Ok(Call { operation, arguments })
    }

    fn test(&mut self) -> Result<Postfix, ParseError> {
        let negated = self.eat_word("not");
        let start = self.offset();
        let name = self.name("the name of a test")?;
        let test = Test::named(&name).map_err(|error| error.at(start))?;
        let mut arguments = Arguments::default();
        if self.eat_sign("(") {
            arguments = self.arguments()?;
        } else if test.takes_argument() {
            arguments.positional.push(self.signed(false)?);
        }
        Ok(Postfix::Test { test, arguments, negated })
    }

    fn primary(&mut self) -> Result<Expr, ParseError> {
        let start = self.offset();
        match self.next() {
            Token::Text(mut text) => {
                while let Token::Text(more) = self.peek() {
                    text.push_str(more);
                    self.advance();
                }
                Ok(Expr::Literal(Value::String(text)))
            }
            Token::Int(value) => Ok(Expr::Literal(number(value))),
            Token::Float(value) => Ok(Expr::Literal(Number::from_f64(value).map_or(Value::Null, Value::Number))),
            Token::Name(name) => self.named(name, start),
            Token::Sign("(") => self.tuple(),
            Token::Sign("[") => Ok(list(self.items("]")?)),
            Token::Sign("{") => self.object(),
            _ => {
                self.back();
                Err(self.unexpected("an expression"))
            }
        }
    }

    fn named(&mut self, name: String, start: usize) -> Result<Expr, ParseError> {
        if *self.peek() == Token::Sign("(") {
            self.advance();
            return self.call(&name, start);
        }
        Ok(match name.as_str() {
            "true" | "True" => Expr::Literal(Value::Bool(true)),
            "false" | "False" => Expr::Literal(Value::Bool(false)),
            "none" | "None" | "null" => Expr::Literal(Value::Null),
            "and" | "or" | "not" | "if" | "else" | "in" | "is" | "for" | "elif" => {
                self.back();
                return Err(self.unexpected("an expression"));
            }
            "lambda" => {
                return Err(ParseError::new("there are no lambdas").at(start).hint("use `map`, `select` or a macro"));
            }
            _ => Expr::Name(self.intern(&name)),
        })
    }

    fn call(&mut self, name: &str, start: usize) -> Result<Expr, ParseError> {
        let arguments = self.arguments()?;
        match function::named(name) {
            Some(Callee::Function(function)) => Ok(Expr::Function(function, arguments)),
            Some(Callee::Operation(operation)) => Ok(Expr::Apply(operation, arguments)),
            None => {
                let id = self.intern(name);
                self.called.push((id, start));
                Ok(Expr::Macro(id, arguments))
            }
        }
    }

    /// Arguments up to the closing bracket, the named ones last.
    fn arguments(&mut self) -> Result<Arguments, ParseError> {
        let mut arguments = Arguments::default();
        while !self.eat_sign(")") {
            match (self.peek().clone(), self.peek_at(1)) {
                (Token::Name(name), Token::Sign("=")) => {
                    self.advance();
                    self.advance();
                    let value = self.expression()?;
                    arguments.named.push((name, value));
                }
                _ if !arguments.named.is_empty() => {
                    return Err(self.error("a plain argument stands behind a named one"));
                }
                _ => arguments.positional.push(self.expression()?),
            }
            self.separator(")")?;
        }
        Ok(arguments)
    }

    fn tuple(&mut self) -> Result<Expr, ParseError> {
        if self.eat_sign(")") {
            return Ok(list(Vec::new()));
        }
        let first = self.expression()?;
        if self.eat_sign(")") {
            return Ok(first);
        }
        let mut items = vec![first];
        self.separator(")")?;
        items.extend(self.items(")")?);
        Ok(list(items))
    }

    fn items(&mut self, close: &'static str) -> Result<Vec<Expr>, ParseError> {
        let mut items = Vec::new();
        while !self.eat_sign(close) {
            items.push(self.expression()?);
            if self.peek_is_word(0, "for") {
                return Err(self
                    .error("there are no list comprehensions")
                    .hint("use filters: `people|selectattr('active')|map(attribute='name')`"));
            }
            self.separator(close)?;
        }
        Ok(items)
    }

    fn object(&mut self) -> Result<Expr, ParseError> {
        let mut fields = Vec::new();
        while !self.eat_sign("}") {
            let key = self.expression()?;
            self.expect_sign(":")?;
            fields.push((key, self.expression()?));
            self.separator("}")?;
        }
        Ok(Expr::Object(fields))
    }

    /// A comma, or the closing bracket still to come.
    fn separator(&mut self, close: &'static str) -> Result<(), ParseError> {
        if self.eat_sign(",") || *self.peek() == Token::Sign(close) {
            return Ok(());
        }
        Err(self.unexpected(&format!("`,` or `{close}`")))
    }
}

/// The only part, or all of them.
fn single(mut parts: Vec<Expr>) -> Result<Expr, Vec<Expr>> {
    match parts.pop() {
        Some(only) if parts.is_empty() => Ok(only),
        Some(last) => {
            parts.push(last);
            Err(parts)
        }
        None => Err(parts),
    }
}

/// A list of literals is a literal itself, and need not be made again each time.
fn list(items: Vec<Expr>) -> Expr {
    let literals = items.iter().map(|item| match item {
        Expr::Literal(value) => Some(value.clone()),
        _ => None,
    });
    match literals.collect::<Option<Vec<Value>>>() {
        Some(values) => Expr::Literal(Value::Array(values)),
        None => Expr::List(items),
    }
}

fn number(value: i128) -> Value {
    let exact = i64::try_from(value).map(Number::from).or_else(|_| u64::try_from(value).map(Number::from));
    #[expect(clippy::cast_precision_loss, reason = "a number this large is only ever approximate in JSON")]
    exact.ok().or_else(|| Number::from_f64(value as f64)).map_or(Value::Null, Value::Number)
}
