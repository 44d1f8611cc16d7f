//! From words to a compiled expression: a Pratt parser that counts how deep it is.

use serde_json::Value;

use super::Dialect;
use super::function::Function;
use super::node::Node;
use super::token::{NUMBERS_STAND_IN_BACKTICKS, Token, tokens};
use crate::expr::condition::BareLiteral;
use crate::expr::error::ParseError;
use crate::expr::meter::Limit;
use crate::expr::slice::Slice;

/// Words that bind weaker than this end a projection.
const ENDS_PROJECTION: u8 = 10;

pub(super) fn parse(source: &str, dialect: Dialect) -> Result<(Node, Vec<BareLiteral>), ParseError> {
    let mut parser = Parser { tokens: tokens(source)?, at: 0, depth: 0, dialect, bare: Vec::new() };
    let node = parser.expression(0)?;
    match parser.peek() {
        Token::End => Ok((node, parser.bare)),
        _ => Err(parser.unexpected("an operator or the end")),
    }
}

struct Parser {
    tokens: Vec<(usize, Token)>,
    at: usize,
    depth: usize,
    dialect: Dialect,
    bare: Vec<BareLiteral>,
}

impl Parser {
    fn expression(&mut self, binding: u8) -> Result<Node, ParseError> {
        let start = self.enter()?;
        let left = match self.next() {
            Token::Name(name) => self.name(name, start),
            token => self.prefix(token, start)?,
        };
        self.operators(left, start, binding)
    }

    /// Every operator that binds stronger than `binding`; ends what [`Parser::enter`] began.
    fn operators(&mut self, mut left: Node, start: usize, binding: u8) -> Result<Node, ParseError> {
        let depth = self.depth;
        while binding < self.peek().binding() {
            left = self.infix(left, start)?;
            // Chains stay flat. Whatever else wraps its left side is one level deeper, like a bracket.
            if !matches!(left, Node::Chain(_) | Node::Or(_) | Node::And(_)) {
                self.enter()?;
            }
        }
        self.depth = depth - 1;
        Ok(left)
    }

    /// A name where an expression begins: a function, a bare literal, or a field.
    fn name(&mut self, name: String, offset: usize) -> Node {
        let literal = match name.as_str() {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "null" => Value::Null,
            _ => return Node::Field(name),
        };
        if self.dialect == Dialect::Published || *self.peek() == Token::OpenParen {
            return Node::Field(name);
        }
        self.bare.push(BareLiteral { word: name.clone(), offset });
        Node::Bare(name, literal)
    }

    fn prefix(&mut self, token: Token, start: usize) -> Result<Node, ParseError> {
        match token {
            Token::At => Ok(Node::Current),
            Token::QuotedName(name) if *self.peek() == Token::OpenParen => {
                Err(ParseError::new(format!("the function name `{name}` stands in quotes"))
                    .at(start)
                    .hint("write it without quotes"))
            }
            Token::QuotedName(name) => Ok(Node::Field(name)),
            Token::Literal(value) => Ok(Node::Literal(value)),
            Token::Star => self.values(Node::Current),
            Token::Flatten => self.flatten(Node::Current),
            Token::Filter => self.filter(Node::Current),
            Token::Not => Ok(Node::Not(Box::new(self.expression(Token::Not.binding())?))),
            Token::OpenBracket => self.bracket_prefix(),
            Token::OpenBrace => self.object(),
            Token::OpenParen => {
                let inner = self.expression(0)?;
                self.expect(Token::CloseParen)?;
                // Wrapped, so that `(name)(…)` is not a call.
                Ok(Node::Chain(vec![inner]))
            }
            Token::Ampersand => Err(ParseError::new("`&` stands only before an argument of a function")
                .at(start)
                .hint("for instance sort_by(people, &age)")),
            Token::Number(number) => Err(ParseError::new(format!("`{number}` stands where a value is meant"))
                .at(start)
                .hint(NUMBERS_STAND_IN_BACKTICKS)),
            _ => {
                self.at -= 1;
                Err(self.unexpected("an expression"))
            }
        }
    }

    fn infix(&mut self, left: Node, start: usize) -> Result<Node, ParseError> {
        match self.next() {
            Token::Dot if *self.peek() == Token::Star => {
                self.at += 1;
                self.values(left)
            }
            Token::Dot => {
                let right = self.after_dot(Token::Dot.binding())?;
                Ok(chain(left, right))
            }
            Token::OpenBracket => self.bracket_infix(left),
            Token::Flatten => self.flatten(left),
            Token::Filter => self.filter(left),
            Token::Pipe => Ok(chain(left, self.expression(Token::Pipe.binding())?)),
            Token::Or => {
                let right = self.expression(Token::Or.binding())?;
                Ok(Node::Or(joined(left, right, |node| match node {
                    Node::Or(parts) => Ok(parts),
                    other => Err(other),
                })))
            }
            Token::And => {
                let right = self.expression(Token::And.binding())?;
                Ok(Node::And(joined(left, right, |node| match node {
                    Node::And(parts) => Ok(parts),
                    other => Err(other),
                })))
            }
            Token::Compare(comparator) => {
                let right = self.expression(Token::Compare(comparator).binding())?;
                Ok(Node::Compare(comparator, Box::new((left, right))))
            }
            Token::OpenParen => match left {
                Node::Field(name) => self.call(&name, start),
                _ => Err(ParseError::new("only a name can be called").at(start)),
            },
            _ => {
                self.at -= 1;
                Err(self.unexpected("an operator or the end"))
            }
        }
    }

    /// What may stand after a dot: a name, a call, `{…}` or `[…]` of expressions.
    fn after_dot(&mut self, binding: u8) -> Result<Node, ParseError> {
        match self.peek() {
            Token::OpenBracket => {
                self.at += 1;
                self.list()
            }
            // Below a dot `true` is a field like any other.
            Token::Name(name) => {
                let name = name.clone();
                let start = self.enter()?;
                self.at += 1;
                self.operators(Node::Field(name), start, binding)
            }
            Token::QuotedName(_) | Token::Star | Token::OpenBrace => self.expression(binding),
            _ => Err(self.unexpected("a name, `*`, `{` or `[` after the dot")),
        }
    }

    fn bracket_prefix(&mut self) -> Result<Node, ParseError> {
        match self.peek() {
            Token::Number(_) | Token::Colon => self.index_or_slice(None),
            Token::Star if self.peek_second() == &Token::CloseBracket => {
                self.at += 2;
                self.project(Node::Current)
            }
            _ => self.list(),
        }
    }

    fn bracket_infix(&mut self, left: Node) -> Result<Node, ParseError> {
        match self.peek() {
            Token::Number(_) | Token::Colon => self.index_or_slice(Some(left)),
            Token::Star => {
                self.at += 1;
                self.expect(Token::CloseBracket)?;
                self.project(left)
            }
            _ => Err(self.unexpected("a whole number, `:` or `*` in the brackets")),
        }
    }

    fn index_or_slice(&mut self, left: Option<Node>) -> Result<Node, ParseError> {
        let start = self.offset();
        let mut parts = [None; 3];
        let mut part = 0;
        loop {
            if let Token::Number(number) = *self.peek() {
                self.at += 1;
                parts[part] = Some(number);
            }
            match self.next() {
                Token::CloseBracket => break,
                Token::Colon if part < 2 => part += 1,
                _ => {
                    self.at -= 1;
                    return Err(self.unexpected("`:` or `]`"));
                }
            }
        }
        let [first, stop, step] = parts;
        match (part, first) {
            (0, Some(index)) => Ok(match left {
                Some(left) => chain(left, Node::Index(index)),
                None => Node::Index(index),
            }),
            (0, None) => Err(ParseError::new("the index is empty").at(start)),
            _ => {
                let slice = Slice { start: first, stop, step: step.unwrap_or(1) };
                if slice.step == 0 {
                    return Err(ParseError::new("a slice cannot step by 0").at(start));
                }
                let slice = Node::Slice(slice);
                self.project(match left {
                    Some(left) => chain(left, slice),
                    None => slice,
                })
            }
        }
    }

    fn project(&mut self, list: Node) -> Result<Node, ParseError> {
        let each = self.each(Token::Star.binding())?;
        Ok(Node::Project(Box::new((list, each))))
    }

    fn values(&mut self, object: Node) -> Result<Node, ParseError> {
        self.project(Node::Values(Box::new(object)))
    }

    fn flatten(&mut self, list: Node) -> Result<Node, ParseError> {
        let each = self.each(Token::Flatten.binding())?;
        Ok(Node::Project(Box::new((Node::Flatten(Box::new(list)), each))))
    }

    fn filter(&mut self, list: Node) -> Result<Node, ParseError> {
        let wanted = self.expression(0)?;
        self.expect(Token::CloseBracket)?;
        let each = self.each(Token::Filter.binding())?;
        Ok(Node::Filter(Box::new((list, wanted, each))))
    }

    /// What a projection does with each item.
    fn each(&mut self, binding: u8) -> Result<Node, ParseError> {
        match self.peek() {
            Token::Dot => {
                self.at += 1;
                self.after_dot(binding)
            }
            Token::OpenBracket | Token::Filter => self.expression(binding),
            token if token.binding() < ENDS_PROJECTION => Ok(Node::Current),
            _ => Err(self.unexpected("`.`, `[` or the end of the projection")),
        }
    }

    fn list(&mut self) -> Result<Node, ParseError> {
        let mut items = vec![self.expression(0)?];
        while self.another(&Token::CloseBracket)? {
            items.push(self.expression(0)?);
        }
        Ok(Node::List(items))
    }

    fn object(&mut self) -> Result<Node, ParseError> {
        let mut fields = Vec::new();
        loop {
            let key = match self.next() {
                Token::Name(key) | Token::QuotedName(key) => key,
                _ => {
                    self.at -= 1;
                    return Err(self.unexpected("a key"));
                }
            };
            self.expect(Token::Colon)?;
            fields.push((key, self.expression(0)?));
            if !self.another(&Token::CloseBrace)? {
                return Ok(Node::Object(fields));
            }
        }
    }

    fn call(&mut self, name: &str, start: usize) -> Result<Node, ParseError> {
        let function = Function::named(name).map_err(|error| error.at(start))?;
        let mut arguments = Vec::new();
        if *self.peek() == Token::CloseParen {
            self.at += 1;
        } else {
            loop {
                arguments.push(self.argument()?);
                if !self.another(&Token::CloseParen)? {
                    break;
                }
            }
        }
        function.check(&arguments).map_err(|error| error.at(start))?;
        Ok(Node::Call(function, arguments))
    }

    fn argument(&mut self) -> Result<Node, ParseError> {
        if *self.peek() != Token::Ampersand {
            return self.expression(0);
        }
        self.at += 1;
        Ok(Node::Reference(Box::new(self.expression(0)?)))
    }

    /// True after a comma, false after the closing word.
    fn another(&mut self, close: &Token) -> Result<bool, ParseError> {
        match self.next() {
            Token::Comma => Ok(true),
            token if token == *close => Ok(false),
            _ => {
                self.at -= 1;
                Err(self.unexpected(&format!("`,` or {}", close.shown())))
            }
        }
    }

    fn expect(&mut self, wanted: Token) -> Result<(), ParseError> {
        if *self.peek() != wanted {
            return Err(self.unexpected(&wanted.shown()));
        }
        self.at += 1;
        Ok(())
    }

    fn enter(&mut self) -> Result<usize, ParseError> {
        self.depth += 1;
        if self.depth > Limit::NESTING_MAX {
            return Err(ParseError::new(format!("the expression nests more than {} levels deep", Limit::NESTING_MAX))
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

    fn peek(&self) -> &Token {
        self.tokens.get(self.at).map_or(&Token::End, |(_, token)| token)
    }

    fn peek_second(&self) -> &Token {
        self.tokens.get(self.at + 1).map_or(&Token::End, |(_, token)| token)
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }
}

/// Evaluation of one on the result of the other is associative, so chains are kept flat.
fn chain(left: Node, right: Node) -> Node {
    Node::Chain(joined(left, right, |node| match node {
        Node::Chain(parts) => Ok(parts),
        other => Err(other),
    }))
}

fn joined(left: Node, right: Node, open: impl Fn(Node) -> Result<Vec<Node>, Node>) -> Vec<Node> {
    let mut parts = open(left).unwrap_or_else(|single| vec![single]);
    match open(right) {
        Ok(more) => parts.extend(more),
        Err(single) => parts.push(single),
    }
    parts
}
