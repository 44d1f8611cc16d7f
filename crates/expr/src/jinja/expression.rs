//! Expressions: recursive descent through Jinja's precedence levels, with a depth counter.

use serde_json::{Number, Value};

use super::cursor::JinjaParser;
use super::function::{self, JinjaCallee};
use super::node::{ArgumentExprs, ArithmeticOp, FilterCall, JinjaComparator, JinjaExpr, PostfixOp};
use super::operation::{ValueOperation, ValueTest};
use super::token::JinjaToken;
use crate::error::ParseError;

impl JinjaParser {
    /// Parses a whole expression: `value if condition else other`, or anything that binds more tightly.
    pub(super) fn expression(&mut self) -> Result<JinjaExpr, ParseError> {
        self.enter()?;
        let first = self.or()?;
        let mut arms = Vec::new();
        let mut last = Some(first);
        while last.is_some() && self.eat_word("if") {
            let condition = self.or()?;
            arms.push((last.take().unwrap_or(JinjaExpr::Literal(Value::Null)), condition));
            if self.eat_word("else") {
                last = Some(self.or()?);
            }
        }
        self.leave();
        Ok(match (arms.is_empty(), last) {
            (true, Some(only)) => only,
            (_, last) => JinjaExpr::Choose(arms, last.map(Box::new)),
        })
    }

    /// Parses an expression after which `if` has another meaning: the items of a loop.
    pub(super) fn without_condition(&mut self) -> Result<JinjaExpr, ParseError> {
        self.or()
    }

    fn or(&mut self) -> Result<JinjaExpr, ParseError> {
        let mut parts = vec![self.and()?];
        while self.eat_word("or") {
            parts.push(self.and()?);
        }
        Ok(single(parts).unwrap_or_else(JinjaExpr::Or))
    }

    fn and(&mut self) -> Result<JinjaExpr, ParseError> {
        let mut parts = vec![self.not()?];
        while self.eat_word("and") {
            parts.push(self.not()?);
        }
        Ok(single(parts).unwrap_or_else(JinjaExpr::And))
    }

    fn not(&mut self) -> Result<JinjaExpr, ParseError> {
        if !self.eat_word("not") {
            return self.compare();
        }
        self.enter()?;
        let inner = self.not()?;
        self.leave();
        Ok(JinjaExpr::Not(Box::new(inner)))
    }

    fn compare(&mut self) -> Result<JinjaExpr, ParseError> {
        let first = self.arithmetic(0)?;
        let mut rest = Vec::new();
        while let Some(comparator) = self.comparator()? {
            rest.push((comparator, self.arithmetic(0)?));
        }
        Ok(if rest.is_empty() { first } else { JinjaExpr::Compare(Box::new(first), rest) })
    }

    fn comparator(&mut self) -> Result<Option<JinjaComparator>, ParseError> {
        let comparator = match self.peek() {
            JinjaToken::Sign("==") => JinjaComparator::Equal,
            JinjaToken::Sign("!=") => JinjaComparator::NotEqual,
            JinjaToken::Sign("<") => JinjaComparator::Less,
            JinjaToken::Sign("<=") => JinjaComparator::LessOrEqual,
            JinjaToken::Sign(">") => JinjaComparator::Greater,
            JinjaToken::Sign(">=") => JinjaComparator::GreaterOrEqual,
            JinjaToken::Sign("=") => {
                return Err(self.error("`=` compares nothing").hint("to compare, write `==`"));
            }
            JinjaToken::Name(word) if word == "in" => JinjaComparator::In,
            JinjaToken::Name(word) if word == "not" && self.peek_is_word(1, "in") => {
                self.advance();
                JinjaComparator::NotIn
            }
            _ => return Ok(None),
        };
        self.advance();
        Ok(Some(comparator))
    }

    /// Operators that bind at least as tightly as `weakest`, with those of equal precedence in one list.
    fn arithmetic(&mut self, weakest: u8) -> Result<JinjaExpr, ParseError> {
        let mut left = self.signed(true)?;
        while let Some((_, strength)) = self.operator(weakest) {
            let mut rest = Vec::new();
            while let Some((operator, _)) = self.operator(strength) {
                self.advance();
                rest.push((operator, self.arithmetic(strength + 1)?));
            }
            left = JinjaExpr::Arithmetic(Box::new(left), rest);
        }
        Ok(left)
    }

    fn operator(&self, weakest: u8) -> Option<(ArithmeticOp, u8)> {
        let JinjaToken::Sign(sign) = self.peek() else {
            return None;
        };
        let (operator, strength) = match *sign {
            "+" => (ArithmeticOp::Add, 0),
            "-" => (ArithmeticOp::Subtract, 0),
            "~" => (ArithmeticOp::Join, 1),
            "*" => (ArithmeticOp::Multiply, 2),
            "/" => (ArithmeticOp::Divide, 2),
            "//" => (ArithmeticOp::DivideWhole, 2),
            "%" => (ArithmeticOp::Remainder, 2),
            "**" => (ArithmeticOp::Power, 3),
            _ => return None,
        };
        (strength >= weakest).then_some((operator, strength))
    }

    /// Parses an operand with an optional sign. A sign binds more tightly than a filter: `-x|abs` applies the filter to
    /// `-x`.
    fn signed(&mut self, filters: bool) -> Result<JinjaExpr, ParseError> {
        let negative = *self.peek() == JinjaToken::Sign("-");
        let base = if negative || *self.peek() == JinjaToken::Sign("+") {
            self.enter()?;
            self.advance();
            let inner = self.signed(false)?;
            self.leave();
            if negative { JinjaExpr::Negative(Box::new(inner)) } else { inner }
        } else {
            self.primary()?
        };
        let mut postfixes = Vec::new();
        while let Some(postfix) = self.postfix(filters)? {
            postfixes.push(postfix);
        }
        Ok(if postfixes.is_empty() { base } else { JinjaExpr::Postfix(Box::new(base), postfixes) })
    }

    fn postfix(&mut self, filters: bool) -> Result<Option<PostfixOp>, ParseError> {
        match self.peek() {
            JinjaToken::Sign(".") => {
                self.advance();
                self.field().map(Some)
            }
            JinjaToken::Sign("[") => {
                self.advance();
                self.item().map(Some)
            }
            JinjaToken::Sign("(") => {
                Err(self.error("only functions, methods and macros can be called").hint("join texts with `~`"))
            }
            JinjaToken::Sign("|") if filters => {
                self.advance();
                Ok(Some(PostfixOp::Call(self.filter()?)))
            }
            JinjaToken::Name(word) if word == "is" && filters => {
                self.advance();
                self.test().map(Some)
            }
            _ => Ok(None),
        }
    }

    fn field(&mut self) -> Result<PostfixOp, ParseError> {
        let start = self.offset();
        match self.next() {
            JinjaToken::Name(name) if *self.peek() == JinjaToken::Sign("(") => {
                let operation = ValueOperation::method(&name).map_err(|error| error.at(start))?;
                self.advance();
                Ok(PostfixOp::Call(FilterCall { operation, arguments: self.arguments()? }))
            }
            JinjaToken::Name(name) => Ok(PostfixOp::Field(name)),
            JinjaToken::Int(index) => Ok(PostfixOp::Item(JinjaExpr::Literal(number(index)))),
            token => Err(ParseError::new(format!("expected a field after the dot, found {}", token.shown())).at(start)),
        }
    }

    fn item(&mut self) -> Result<PostfixOp, ParseError> {
        let mut parts: [Option<JinjaExpr>; 3] = [None, None, None];
        let mut part = 0;
        loop {
            if !matches!(self.peek(), JinjaToken::Sign(":" | "]")) {
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
            (0, [Some(index), ..]) => Ok(PostfixOp::Item(index)),
            (0, _) => Err(self.error("the index is empty")),
            (_, parts) => Ok(PostfixOp::Slice(Box::new(parts))),
        }
    }

    pub(super) fn filter(&mut self) -> Result<FilterCall, ParseError> {
        let start = self.offset();
        let name = self.name("the name of a filter")?;
        let operation = ValueOperation::filter(&name).map_err(|error| error.at(start))?;
        let arguments = if self.eat_sign("(") { self.arguments()? } else { ArgumentExprs::default() };
        Ok(FilterCall { operation, arguments })
    }

    fn test(&mut self) -> Result<PostfixOp, ParseError> {
        let negated = self.eat_word("not");
        let start = self.offset();
        let name = self.name("the name of a test")?;
        let test = ValueTest::named(&name).map_err(|error| error.at(start))?;
        let mut arguments = ArgumentExprs::default();
        if self.eat_sign("(") {
            arguments = self.arguments()?;
        } else if test.takes_argument() {
            arguments.positional.push(self.signed(false)?);
        }
        Ok(PostfixOp::Test { test, arguments, negated })
    }

    fn primary(&mut self) -> Result<JinjaExpr, ParseError> {
        let start = self.offset();
        match self.next() {
            JinjaToken::Text(mut text) => {
                while let JinjaToken::Text(more) = self.peek() {
                    text.push_str(more);
                    self.advance();
                }
                Ok(JinjaExpr::Literal(Value::String(text)))
            }
            JinjaToken::Int(value) => Ok(JinjaExpr::Literal(number(value))),
            JinjaToken::Float(value) => {
                Ok(JinjaExpr::Literal(Number::from_f64(value).map_or(Value::Null, Value::Number)))
            }
            JinjaToken::Name(name) => self.named(name, start),
            JinjaToken::Sign("(") => self.tuple(),
            JinjaToken::Sign("[") => Ok(list(self.items("]")?)),
            JinjaToken::Sign("{") => self.object(),
            _ => {
                self.back();
                Err(self.unexpected("an expression"))
            }
        }
    }

    fn named(&mut self, name: String, start: usize) -> Result<JinjaExpr, ParseError> {
        if *self.peek() == JinjaToken::Sign("(") {
            self.advance();
            return self.call(&name, start);
        }
        Ok(match name.as_str() {
            "true" | "True" => JinjaExpr::Literal(Value::Bool(true)),
            "false" | "False" => JinjaExpr::Literal(Value::Bool(false)),
            "none" | "None" | "null" => JinjaExpr::Literal(Value::Null),
            "and" | "or" | "not" | "if" | "else" | "in" | "is" | "for" | "elif" => {
                self.back();
                return Err(self.unexpected("an expression"));
            }
            "lambda" => {
                return Err(ParseError::new("there are no lambdas").at(start).hint("use `map`, `select` or a macro"));
            }
            _ => JinjaExpr::Name(self.intern(&name)),
        })
    }

    fn call(&mut self, name: &str, start: usize) -> Result<JinjaExpr, ParseError> {
        let arguments = self.arguments()?;
        match function::named(name) {
            Some(JinjaCallee::Function(function)) => Ok(JinjaExpr::Function(function, arguments)),
            Some(JinjaCallee::Operation(operation)) => Ok(JinjaExpr::Apply(operation, arguments)),
            None => {
                let id = self.intern(name);
                self.called.push((id, start));
                Ok(JinjaExpr::Macro(id, arguments))
            }
        }
    }

    /// Arguments up to the closing bracket, named ones last.
    fn arguments(&mut self) -> Result<ArgumentExprs, ParseError> {
        let mut arguments = ArgumentExprs::default();
        while !self.eat_sign(")") {
            match (self.peek().clone(), self.peek_at(1)) {
                (JinjaToken::Name(name), JinjaToken::Sign("=")) => {
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

    fn tuple(&mut self) -> Result<JinjaExpr, ParseError> {
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

    fn items(&mut self, close: &'static str) -> Result<Vec<JinjaExpr>, ParseError> {
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

    fn object(&mut self) -> Result<JinjaExpr, ParseError> {
        let mut fields = Vec::new();
        while !self.eat_sign("}") {
            let key = self.expression()?;
            self.expect_sign(":")?;
            fields.push((key, self.expression()?));
            self.separator("}")?;
        }
        Ok(JinjaExpr::Object(fields))
    }

    /// Reads a comma, or checks that the closing bracket follows.
    fn separator(&mut self, close: &'static str) -> Result<(), ParseError> {
        if self.eat_sign(",") || *self.peek() == JinjaToken::Sign(close) {
            return Ok(());
        }
        Err(self.unexpected(&format!("`,` or `{close}`")))
    }
}

/// Returns the only part, or all of them.
fn single(mut parts: Vec<JinjaExpr>) -> Result<JinjaExpr, Vec<JinjaExpr>> {
    match parts.pop() {
        Some(only) if parts.is_empty() => Ok(only),
        Some(last) => {
            parts.push(last);
            Err(parts)
        }
        None => Err(parts),
    }
}

/// Returns a list expression. A list of literals is itself a literal, and need not be built each time.
fn list(items: Vec<JinjaExpr>) -> JinjaExpr {
    let literals = items.iter().map(|item| match item {
        JinjaExpr::Literal(value) => Some(value.clone()),
        _ => None,
    });
    match literals.collect::<Option<Vec<Value>>>() {
        Some(values) => JinjaExpr::Literal(Value::Array(values)),
        None => JinjaExpr::List(items),
    }
}

fn number(value: i128) -> Value {
    let exact = i64::try_from(value).map(Number::from).or_else(|_| u64::try_from(value).map(Number::from));
    #[expect(clippy::cast_precision_loss, reason = "a number this large is only ever approximate in JSON")]
    exact.ok().or_else(|| Number::from_f64(value as f64)).map_or(Value::Null, Value::Number)
}
