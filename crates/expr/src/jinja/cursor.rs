//! The parser's state: remaining tokens, names seen so far, and nesting depth.

use std::collections::BTreeMap;

use super::node::{JinjaMacro, NameId};
use super::token::{JinjaToken, JinjaTokens};
use crate::error::ParseError;
use crate::meter::ExprLimits;

pub(super) struct JinjaParser {
    tokens: JinjaTokens,
    at: usize,
    depth: usize,
    pub(super) names: Vec<String>,
    ids: BTreeMap<String, NameId>,
    pub(super) assigned: Vec<NameId>,
    pub(super) macros: BTreeMap<NameId, JinjaMacro>,
    /// Names called like a macro, with their positions.
    pub(super) called: Vec<(NameId, usize)>,
}

impl JinjaParser {
    pub(super) fn new(tokens: JinjaTokens) -> Self {
        Self {
            tokens,
            at: 0,
            depth: 0,
            names: Vec::new(),
            ids: BTreeMap::new(),
            assigned: Vec::new(),
            macros: BTreeMap::new(),
            called: Vec::new(),
        }
    }

    pub(super) fn intern(&mut self, name: &str) -> NameId {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        let id = self.names.len();
        self.names.push(name.to_owned());
        self.ids.insert(name.to_owned(), id);
        id
    }

    pub(super) fn enter(&mut self) -> Result<(), ParseError> {
        self.depth += 1;
        if self.depth > ExprLimits::TEMPLATE_NESTING_MAX {
            let max = ExprLimits::TEMPLATE_NESTING_MAX;
            return Err(self.error(&format!("the source nests more than {max} levels deep")));
        }
        Ok(())
    }

    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }

    pub(super) fn name(&mut self, what: &str) -> Result<String, ParseError> {
        match self.peek().clone() {
            JinjaToken::Name(name) => {
                self.advance();
                Ok(name)
            }
            _ => Err(self.unexpected(what)),
        }
    }

    pub(super) fn expect_sign(&mut self, sign: &'static str) -> Result<(), ParseError> {
        if self.eat_sign(sign) { Ok(()) } else { Err(self.unexpected(&format!("`{sign}`"))) }
    }

    pub(super) fn eat_sign(&mut self, sign: &'static str) -> bool {
        let found = *self.peek() == JinjaToken::Sign(sign);
        if found {
            self.advance();
        }
        found
    }

    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        let found = self.peek_is_word(0, word);
        if found {
            self.advance();
        }
        found
    }

    pub(super) fn peek_is_word(&self, ahead: usize, word: &str) -> bool {
        matches!(self.peek_at(ahead), JinjaToken::Name(name) if name == word)
    }

    pub(super) fn peek(&self) -> &JinjaToken {
        self.peek_at(0)
    }

    pub(super) fn peek_at(&self, ahead: usize) -> &JinjaToken {
        self.tokens.get(self.at + ahead).map_or(&JinjaToken::End, |(_, token)| token)
    }

    pub(super) fn next(&mut self) -> JinjaToken {
        let token = self.peek().clone();
        self.advance();
        token
    }

    pub(super) fn advance(&mut self) {
        self.at += 1;
    }

    pub(super) fn back(&mut self) {
        self.at -= 1;
    }

    pub(super) fn offset(&self) -> usize {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(0, |(offset, _)| *offset)
    }

    pub(super) fn error(&self, message: &str) -> ParseError {
        ParseError::new(message).at(self.offset())
    }

    pub(super) fn unexpected(&self, wanted: &str) -> ParseError {
        self.error(&format!("expected {wanted}, found {}", self.peek().shown()))
    }
}
