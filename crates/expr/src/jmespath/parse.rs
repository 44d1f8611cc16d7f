//! From tokens to a compiled expression: a Pratt parser with a depth counter.

use serde_json::Value;

use super::JmesPathDialect;
use super::function::JmesPathFunction;
use super::node::JmesPathNode;
use super::token::{JmesPathToken, NUMBER_BACKTICKS_HINT, tokens};
use crate::condition::BareLiteral;
use crate::error::ParseError;
use crate::meter::ExprLimits;
use crate::slice::ListSlice;

/// Tokens that bind less tightly than this end a projection.
const ENDS_PROJECTION: u8 = 10;

pub(super) fn parse(source: &str, dialect: JmesPathDialect) -> Result<(JmesPathNode, Vec<BareLiteral>), ParseError> {
    let mut parser = JmesPathParser { tokens: tokens(source)?, at: 0, depth: 0, dialect, bare: Vec::new() };
    let node = parser.expression(0)?;
    match parser.peek() {
        JmesPathToken::End => Ok((node, parser.bare)),
        _ => Err(parser.unexpected("an operator or the end")),
    }
}

struct JmesPathParser {
    tokens: Vec<(usize, JmesPathToken)>,
    at: usize,
    depth: usize,
    dialect: JmesPathDialect,
    bare: Vec<BareLiteral>,
}

impl JmesPathParser {
    fn expression(&mut self, binding: u8) -> Result<JmesPathNode, ParseError> {
        let start = self.enter()?;
        let left = match self.next() {
            JmesPathToken::Name(name) => self.name(name, start),
            token => self.prefix(token, start)?,
        };
        self.operators(left, start, binding)
    }

    /// Parses every operator that binds more tightly than `binding`; closes what [`JmesPathParser::enter`] opened.
    fn operators(&mut self, mut left: JmesPathNode, start: usize, binding: u8) -> Result<JmesPathNode, ParseError> {
        let depth = self.depth;
        while binding < self.peek().binding() {
            left = self.infix(left, start)?;
            // Chains stay flat. Any other node that wraps its left side is one level deeper, like a bracket.
            if !matches!(left, JmesPathNode::Chain(_) | JmesPathNode::Or(_) | JmesPathNode::And(_)) {
                self.enter()?;
            }
        }
        self.depth = depth - 1;
        Ok(left)
    }

    /// Parses a name at the start of an expression: a function, a bare literal, or a field.
    fn name(&mut self, name: String, offset: usize) -> JmesPathNode {
        let literal = match name.as_str() {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "null" => Value::Null,
            _ => return JmesPathNode::Field(name),
        };
        if self.dialect == JmesPathDialect::Published || *self.peek() == JmesPathToken::OpenParen {
            return JmesPathNode::Field(name);
        }
        self.bare.push(BareLiteral { word: name.clone(), offset });
        JmesPathNode::Bare(name, literal)
    }

    fn prefix(&mut self, token: JmesPathToken, start: usize) -> Result<JmesPathNode, ParseError> {
        match token {
            JmesPathToken::At => Ok(JmesPathNode::Current),
            JmesPathToken::QuotedName(name) if *self.peek() == JmesPathToken::OpenParen => {
                Err(ParseError::new(format!("the function name `{name}` stands in quotes"))
                    .at(start)
                    .hint("write it without quotes"))
            }
            JmesPathToken::QuotedName(name) => Ok(JmesPathNode::Field(name)),
            JmesPathToken::Literal(value) => Ok(JmesPathNode::Literal(value)),
            JmesPathToken::Star => self.values(JmesPathNode::Current),
            JmesPathToken::Flatten => self.flatten(JmesPathNode::Current),
            JmesPathToken::Filter => self.filter(JmesPathNode::Current),
            JmesPathToken::Not => Ok(JmesPathNode::Not(Box::new(self.expression(JmesPathToken::Not.binding())?))),
            JmesPathToken::OpenBracket => self.bracket_prefix(),
            JmesPathToken::OpenBrace => self.object(),
            JmesPathToken::OpenParen => {
                let inner = self.expression(0)?;
                self.expect(JmesPathToken::CloseParen)?;
                // Wrapped, so that `(name)(…)` is not a call.
                Ok(JmesPathNode::Chain(vec![inner]))
            }
            JmesPathToken::Ampersand => Err(ParseError::new("`&` stands only before an argument of a function")
                .at(start)
                .hint("for instance sort_by(people, &age)")),
            JmesPathToken::Number(number) => Err(ParseError::new(format!("`{number}` stands where a value is meant"))
                .at(start)
                .hint(NUMBER_BACKTICKS_HINT)),
            _ => {
                self.at -= 1;
                Err(self.unexpected("an expression"))
            }
        }
    }

    fn infix(&mut self, left: JmesPathNode, start: usize) -> Result<JmesPathNode, ParseError> {
        match self.next() {
            JmesPathToken::Dot if *self.peek() == JmesPathToken::Star => {
                self.at += 1;
                self.values(left)
            }
            JmesPathToken::Dot => {
                let right = self.after_dot(JmesPathToken::Dot.binding())?;
                Ok(chain(left, right))
            }
            JmesPathToken::OpenBracket => self.bracket_infix(left),
            JmesPathToken::Flatten => self.flatten(left),
            JmesPathToken::Filter => self.filter(left),
            JmesPathToken::Pipe => Ok(chain(left, self.expression(JmesPathToken::Pipe.binding())?)),
            JmesPathToken::Or => {
                let right = self.expression(JmesPathToken::Or.binding())?;
                Ok(JmesPathNode::Or(joined(left, right, |node| match node {
                    JmesPathNode::Or(parts) => Ok(parts),
                    other => Err(other),
                })))
            }
            JmesPathToken::And => {
                let right = self.expression(JmesPathToken::And.binding())?;
                Ok(JmesPathNode::And(joined(left, right, |node| match node {
                    JmesPathNode::And(parts) => Ok(parts),
                    other => Err(other),
                })))
            }
            JmesPathToken::Compare(comparator) => {
                let right = self.expression(JmesPathToken::Compare(comparator).binding())?;
                Ok(JmesPathNode::Compare(comparator, Box::new((left, right))))
            }
            JmesPathToken::OpenParen => match left {
                JmesPathNode::Field(name) => self.call(&name, start),
                _ => Err(ParseError::new("only a name can be called").at(start)),
            },
            _ => {
                self.at -= 1;
                Err(self.unexpected("an operator or the end"))
            }
        }
    }

    /// Parses what may follow a dot: a name, a call, `{…}` or `[…]` of expressions.
    fn after_dot(&mut self, binding: u8) -> Result<JmesPathNode, ParseError> {
        match self.peek() {
            JmesPathToken::OpenBracket => {
                self.at += 1;
                self.list()
            }
            // After a dot `true` is a field like any other.
            JmesPathToken::Name(name) => {
                let name = name.clone();
                let start = self.enter()?;
                self.at += 1;
                self.operators(JmesPathNode::Field(name), start, binding)
            }
            JmesPathToken::QuotedName(_) | JmesPathToken::Star | JmesPathToken::OpenBrace => self.expression(binding),
            _ => Err(self.unexpected("a name, `*`, `{` or `[` after the dot")),
        }
    }

    fn bracket_prefix(&mut self) -> Result<JmesPathNode, ParseError> {
        match self.peek() {
            JmesPathToken::Number(_) | JmesPathToken::Colon => self.index_or_slice(None),
            JmesPathToken::Star if self.peek_second() == &JmesPathToken::CloseBracket => {
                self.at += 2;
                self.project(JmesPathNode::Current)
            }
            _ => self.list(),
        }
    }

    fn bracket_infix(&mut self, left: JmesPathNode) -> Result<JmesPathNode, ParseError> {
        match self.peek() {
            JmesPathToken::Number(_) | JmesPathToken::Colon => self.index_or_slice(Some(left)),
            JmesPathToken::Star => {
                self.at += 1;
                self.expect(JmesPathToken::CloseBracket)?;
                self.project(left)
            }
            _ => Err(self.unexpected("a whole number, `:` or `*` in the brackets")),
        }
    }

    fn index_or_slice(&mut self, left: Option<JmesPathNode>) -> Result<JmesPathNode, ParseError> {
        let start = self.offset();
        let mut parts = [None; 3];
        let mut part = 0;
        loop {
            if let JmesPathToken::Number(number) = *self.peek() {
                self.at += 1;
                parts[part] = Some(number);
            }
            match self.next() {
                JmesPathToken::CloseBracket => break,
                JmesPathToken::Colon if part < 2 => part += 1,
                _ => {
                    self.at -= 1;
                    return Err(self.unexpected("`:` or `]`"));
                }
            }
        }
        let [first, stop, step] = parts;
        match (part, first) {
            (0, Some(index)) => Ok(match left {
                Some(left) => chain(left, JmesPathNode::Index(index)),
                None => JmesPathNode::Index(index),
            }),
            (0, None) => Err(ParseError::new("the index is empty").at(start)),
            _ => {
                let slice = ListSlice { start: first, stop, step: step.unwrap_or(1) };
                if slice.step == 0 {
                    return Err(ParseError::new("a slice cannot step by 0").at(start));
                }
                let slice = JmesPathNode::Slice(slice);
                self.project(match left {
                    Some(left) => chain(left, slice),
                    None => slice,
                })
            }
        }
    }

    fn project(&mut self, list: JmesPathNode) -> Result<JmesPathNode, ParseError> {
        let each = self.each(JmesPathToken::Star.binding())?;
        Ok(JmesPathNode::Project(Box::new((list, each))))
    }

    fn values(&mut self, object: JmesPathNode) -> Result<JmesPathNode, ParseError> {
        self.project(JmesPathNode::Values(Box::new(object)))
    }

    fn flatten(&mut self, list: JmesPathNode) -> Result<JmesPathNode, ParseError> {
        let each = self.each(JmesPathToken::Flatten.binding())?;
        Ok(JmesPathNode::Project(Box::new((JmesPathNode::Flatten(Box::new(list)), each))))
    }

    fn filter(&mut self, list: JmesPathNode) -> Result<JmesPathNode, ParseError> {
        let wanted = self.expression(0)?;
        self.expect(JmesPathToken::CloseBracket)?;
        let each = self.each(JmesPathToken::Filter.binding())?;
        Ok(JmesPathNode::Filter(Box::new((list, wanted, each))))
    }

    /// Parses the expression that a projection applies to each item.
    fn each(&mut self, binding: u8) -> Result<JmesPathNode, ParseError> {
        match self.peek() {
            JmesPathToken::Dot => {
                self.at += 1;
                self.after_dot(binding)
            }
            JmesPathToken::OpenBracket | JmesPathToken::Filter => self.expression(binding),
            token if token.binding() < ENDS_PROJECTION => Ok(JmesPathNode::Current),
            _ => Err(self.unexpected("`.`, `[` or the end of the projection")),
        }
    }

    fn list(&mut self) -> Result<JmesPathNode, ParseError> {
        let mut items = vec![self.expression(0)?];
        while self.accept_comma(&JmesPathToken::CloseBracket)? {
            items.push(self.expression(0)?);
        }
        Ok(JmesPathNode::List(items))
    }

    fn object(&mut self) -> Result<JmesPathNode, ParseError> {
        let mut fields = Vec::new();
        loop {
            let key = match self.next() {
                JmesPathToken::Name(key) | JmesPathToken::QuotedName(key) => key,
                _ => {
                    self.at -= 1;
                    return Err(self.unexpected("a key"));
                }
            };
            self.expect(JmesPathToken::Colon)?;
            fields.push((key, self.expression(0)?));
            if !self.accept_comma(&JmesPathToken::CloseBrace)? {
                return Ok(JmesPathNode::Object(fields));
            }
        }
    }

    fn call(&mut self, name: &str, start: usize) -> Result<JmesPathNode, ParseError> {
        let function = JmesPathFunction::named(name).map_err(|error| error.at(start))?;
        let mut arguments = Vec::new();
        if *self.peek() == JmesPathToken::CloseParen {
            self.at += 1;
        } else {
            loop {
                arguments.push(self.argument()?);
                if !self.accept_comma(&JmesPathToken::CloseParen)? {
                    break;
                }
            }
        }
        function.check(&arguments).map_err(|error| error.at(start))?;
        Ok(JmesPathNode::Call(function, arguments))
    }

    fn argument(&mut self) -> Result<JmesPathNode, ParseError> {
        if *self.peek() != JmesPathToken::Ampersand {
            return self.expression(0);
        }
        self.at += 1;
        Ok(JmesPathNode::Reference(Box::new(self.expression(0)?)))
    }

    /// Returns true after a comma, false after the closing token.
    fn accept_comma(&mut self, close: &JmesPathToken) -> Result<bool, ParseError> {
        match self.next() {
            JmesPathToken::Comma => Ok(true),
            token if token == *close => Ok(false),
            _ => {
                self.at -= 1;
                Err(self.unexpected(&format!("`,` or {}", close.shown())))
            }
        }
    }

    fn expect(&mut self, wanted: JmesPathToken) -> Result<(), ParseError> {
        if *self.peek() != wanted {
            return Err(self.unexpected(&wanted.shown()));
        }
        self.at += 1;
        Ok(())
    }

    fn enter(&mut self) -> Result<usize, ParseError> {
        self.depth += 1;
        if self.depth > ExprLimits::NESTING_MAX {
            return Err(ParseError::new(format!(
                "the expression nests more than {} levels deep",
                ExprLimits::NESTING_MAX
            ))
            .at(self.offset()));
        }
        Ok(self.offset())
    }

    fn unexpected(&self, wanted: &str) -> ParseError {
        ParseError::new(format!("expected {wanted}, found {}", self.peek().shown())).at(self.offset())
    }

    fn offset(&self) -> usize {
        self.tokens.get(self.at).map_or(0, |(offset, _)| *offset)
    }

    fn peek(&self) -> &JmesPathToken {
        self.tokens.get(self.at).map_or(&JmesPathToken::End, |(_, token)| token)
    }

    fn peek_second(&self) -> &JmesPathToken {
        self.tokens.get(self.at + 1).map_or(&JmesPathToken::End, |(_, token)| token)
    }

    fn next(&mut self) -> JmesPathToken {
        let token = self.peek().clone();
        self.at += 1;
        token
    }
}

/// Pipes one expression into another. Piping is associative, so chains are kept flat.
fn chain(left: JmesPathNode, right: JmesPathNode) -> JmesPathNode {
    JmesPathNode::Chain(joined(left, right, |node| match node {
        JmesPathNode::Chain(parts) => Ok(parts),
        other => Err(other),
    }))
}

fn joined(
    left: JmesPathNode,
    right: JmesPathNode,
    open: impl Fn(JmesPathNode) -> Result<Vec<JmesPathNode>, JmesPathNode>,
) -> Vec<JmesPathNode> {
    let mut parts = open(left).unwrap_or_else(|single| vec![single]);
    match open(right) {
        Ok(more) => parts.extend(more),
        Err(single) => parts.push(single),
    }
    parts
}
