//! Statements: the tags of a template, and the blocks between them.

use super::cursor::JinjaParser;
use super::node::{
    AssignTarget, FilterCall, ForStatement, JinjaExpr, JinjaMacro, JinjaProgram, JinjaStatement, NameId,
};
use super::token::{self, JinjaToken};
use crate::error::ParseError;
use crate::suggest::nearest;

/// Compiles a template.
pub(super) fn template(source: &str) -> Result<JinjaProgram, ParseError> {
    let mut parser = JinjaParser::new(token::template(source)?);
    let body = parser.block(&[])?;
    parser.finish(body)
}

/// Compiles a bare expression.
pub(super) fn expression(source: &str) -> Result<JinjaProgram, ParseError> {
    let mut parser = JinjaParser::new(token::expression(source)?);
    let expression = parser.expression()?;
    if *parser.peek() != JinjaToken::End {
        return Err(parser.unexpected("an operator or the end"));
    }
    parser.finish(vec![JinjaStatement::Output(expression)])
}

/// Known tags of other template languages, with the reason why each is not supported.
const FOREIGN_TAGS: &[(&str, &str)] = &[
    ("include", "a template reads no other file; write the text here"),
    ("import", "a template reads no other file; write the macro here"),
    ("from", "a template reads no other file; write the macro here"),
    ("extends", "a template reads no other file; write the text here"),
    ("block", "a template has no parent; write the text here"),
    ("call", "pass the text as an argument of the macro"),
    ("do", "an expression with no result does nothing here"),
    ("autoescape", "text is never escaped; use the filter `escape` where you need it"),
    ("break", "filter the items: `{% for item in items if item.wanted %}`"),
    ("continue", "filter the items: `{% for item in items if item.wanted %}`"),
];

const TAGS: &[&str] = &["if", "for", "set", "with", "macro", "filter", "raw"];

impl JinjaParser {
    fn finish(self, body: Vec<JinjaStatement>) -> Result<JinjaProgram, ParseError> {
        for (id, offset) in &self.called {
            if !self.macros.contains_key(id) {
                return Err(self.unknown_function(*id).at(*offset));
            }
        }
        let mut assigned = vec![false; self.names.len()];
        self.assigned.iter().for_each(|id| assigned[*id] = true);
        Ok(JinjaProgram { body, names: self.names, assigned, macros: self.macros })
    }

    fn unknown_function(&self, id: NameId) -> ParseError {
        let name = self.names[id].as_str();
        let macros = self.macros.keys().map(|id| self.names[*id].as_str());
        let error = ParseError::new(format!("there is no function `{name}`"));
        let functions = super::function::names().map(|name| -> &str { name });
        match nearest(name, functions.chain(macros)) {
            Some(near) => error.did_you_mean(Some(near)),
            None => error.hint(format!("where `{name}` is a value, leave out the brackets")),
        }
    }

    /// Reads statements up to one of the `ends`, which is not consumed, or to the end of the source if `ends` is empty.
    fn block(&mut self, ends: &[&str]) -> Result<Vec<JinjaStatement>, ParseError> {
        self.enter()?;
        let mut statements = Vec::new();
        loop {
            match self.peek() {
                JinjaToken::Raw(text) => {
                    statements.push(JinjaStatement::Raw(text.clone()));
                    self.advance();
                }
                JinjaToken::OpenOutput => {
                    self.advance();
                    let expression = self.expression()?;
                    if *self.peek() != JinjaToken::CloseOutput {
                        return Err(self.unexpected("an operator or `}}`"));
                    }
                    self.advance();
                    statements.push(JinjaStatement::Output(expression));
                }
                JinjaToken::OpenTag => {
                    if let JinjaToken::Name(word) = self.peek_at(1)
                        && ends.contains(&word.as_str())
                    {
                        break;
                    }
                    self.advance();
                    if let Some(statement) = self.tag()? {
                        statements.push(statement);
                    }
                }
                _ if ends.is_empty() => break,
                _ => {
                    let end = ends.last().copied().unwrap_or_default();
                    return Err(self.error(&format!("the block is not closed with `{{% {end} %}}`")));
                }
            }
        }
        self.leave();
        Ok(statements)
    }

    fn tag(&mut self) -> Result<Option<JinjaStatement>, ParseError> {
        let start = self.offset();
        let word = self.name("the name of a tag")?;
        match word.as_str() {
            "if" => self.branches().map(Some),
            "for" => self.repetition().map(Some),
            "set" => self.set().map(Some),
            "with" => self.with().map(Some),
            "macro" => self.definition().map(|()| None),
            "filter" => self.filtered().map(Some),
            _ => Err(unknown_tag(&word).at(start)),
        }
    }

    fn branches(&mut self) -> Result<JinjaStatement, ParseError> {
        let mut arms = Vec::new();
        loop {
            let condition = self.expression()?;
            self.close_tag()?;
            arms.push((condition, self.block(&["elif", "else", "endif"])?));
            self.advance();
            match self.name("a tag")?.as_str() {
                "elif" => {}
                "else" => {
                    self.close_tag()?;
                    let otherwise = self.block(&["endif"])?;
                    self.end_tag()?;
                    return Ok(JinjaStatement::If { arms, otherwise });
                }
                _ => {
                    self.close_tag()?;
                    return Ok(JinjaStatement::If { arms, otherwise: Vec::new() });
                }
            }
        }
    }

    fn repetition(&mut self) -> Result<JinjaStatement, ParseError> {
        let targets = self.targets()?;
        if !self.eat_word("in") {
            return Err(self.unexpected("`in`"));
        }
        let items = self.without_condition()?;
        let wanted = if self.eat_word("if") { Some(self.expression()?) } else { None };
        if self.eat_word("recursive") {
            return Err(self.error("there are no recursive loops").hint("write a macro that calls itself"));
        }
        self.close_tag()?;
        let loop_name = self.intern("loop");
        self.assigned.push(loop_name);
        let body = self.block(&["else", "endfor"])?;
        let mut otherwise = Vec::new();
        self.advance();
        if self.name("a tag")? == "else" {
            self.close_tag()?;
            otherwise = self.block(&["endfor"])?;
            self.end_tag()?;
        } else {
            self.close_tag()?;
        }
        Ok(JinjaStatement::For(Box::new(ForStatement { targets, items, filter: wanted, loop_name, body, otherwise })))
    }

    fn set(&mut self) -> Result<JinjaStatement, ParseError> {
        let target = match (self.peek().clone(), self.peek_at(1)) {
            (JinjaToken::Name(name), JinjaToken::Sign(".")) => {
                self.advance();
                self.advance();
                let field = self.name("the field to set")?;
                AssignTarget::Field(self.intern(&name), field)
            }
            _ => AssignTarget::Names(self.targets()?),
        };
        if self.eat_sign("=") {
            let value = self.value_or_tuple()?;
            self.close_tag()?;
            return Ok(JinjaStatement::Set(target, value));
        }
        let filters = self.filters()?;
        self.close_tag()?;
        let body = self.block(&["endset"])?;
        self.end_tag()?;
        Ok(JinjaStatement::Capture(target, filters, body))
    }

    fn with(&mut self) -> Result<JinjaStatement, ParseError> {
        let mut names = Vec::new();
        while *self.peek() != JinjaToken::CloseTag {
            let name = self.target()?;
            self.expect_sign("=")?;
            names.push((name, self.expression()?));
            if !self.eat_sign(",") {
                break;
            }
        }
        self.close_tag()?;
        let body = self.block(&["endwith"])?;
        self.end_tag()?;
        Ok(JinjaStatement::With(names, body))
    }

    fn filtered(&mut self) -> Result<JinjaStatement, ParseError> {
        let mut filters = vec![self.filter()?];
        filters.extend(self.filters()?);
        self.close_tag()?;
        let body = self.block(&["endfilter"])?;
        self.end_tag()?;
        Ok(JinjaStatement::Filter(filters, body))
    }

    fn filters(&mut self) -> Result<Vec<FilterCall>, ParseError> {
        let mut filters = Vec::new();
        while self.eat_sign("|") {
            filters.push(self.filter()?);
        }
        Ok(filters)
    }

    fn definition(&mut self) -> Result<(), ParseError> {
        let start = self.offset();
        let name = self.name("the name of the macro")?;
        let id = self.intern(&name);
        self.expect_sign("(")?;
        let mut parameters = Vec::new();
        while !self.eat_sign(")") {
            let parameter = self.target()?;
            let default = if self.eat_sign("=") { Some(self.expression()?) } else { None };
            parameters.push((parameter, default));
            if !self.eat_sign(",") && *self.peek() != JinjaToken::Sign(")") {
                return Err(self.unexpected("`,` or `)`"));
            }
        }
        self.close_tag()?;
        let body = self.block(&["endmacro"])?;
        self.end_tag()?;
        match self.macros.insert(id, JinjaMacro { parameters, body }) {
            None => Ok(()),
            Some(_) => Err(ParseError::new(format!("the macro `{name}` is defined twice")).at(start)),
        }
    }

    /// Parses `a`, or `a, b` with or without brackets.
    fn targets(&mut self) -> Result<Vec<NameId>, ParseError> {
        let bracketed = self.eat_sign("(");
        let mut targets = vec![self.target()?];
        while self.eat_sign(",") {
            targets.push(self.target()?);
        }
        if bracketed {
            self.expect_sign(")")?;
        }
        Ok(targets)
    }

    fn target(&mut self) -> Result<NameId, ParseError> {
        let name = self.name("a name")?;
        let id = self.intern(&name);
        self.assigned.push(id);
        Ok(id)
    }

    fn value_or_tuple(&mut self) -> Result<JinjaExpr, ParseError> {
        let first = self.expression()?;
        if *self.peek() != JinjaToken::Sign(",") {
            return Ok(first);
        }
        let mut items = vec![first];
        while self.eat_sign(",") {
            items.push(self.expression()?);
        }
        Ok(JinjaExpr::List(items))
    }

    /// Reads `%}`.
    fn close_tag(&mut self) -> Result<(), ParseError> {
        if *self.peek() != JinjaToken::CloseTag {
            return Err(self.unexpected("`%}`"));
        }
        self.advance();
        Ok(())
    }

    /// Reads the `{% end… %}` at which a block ended.
    fn end_tag(&mut self) -> Result<(), ParseError> {
        self.advance();
        self.advance();
        self.close_tag()
    }
}

fn unknown_tag(word: &str) -> ParseError {
    if let Some((_, reason)) = FOREIGN_TAGS.iter().find(|(tag, _)| *tag == word) {
        return ParseError::new(format!("there is no tag `{word}`")).hint(*reason);
    }
    match word.strip_prefix("end") {
        Some(opened) => ParseError::new(format!("`{word}` closes nothing"))
            .hint(format!("the block begins with `{{% {opened} … %}}`")),
        None if word == "elif" || word == "else" => ParseError::new(format!("`{word}` stands outside of a block")),
        None => ParseError::new(format!("there is no tag `{word}`")).did_you_mean(nearest(word, TAGS.iter().copied())),
    }
}
