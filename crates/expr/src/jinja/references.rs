//! The free names of a program: those it uses without having assigned them.

use std::collections::BTreeSet;

use super::node::{
    ArgumentExprs, AssignTarget, FilterCall, JinjaExpr, JinjaProgram, JinjaStatement, NameId, PostfixOp,
};
use super::operation::{ValueOperation, ValueTest};
use crate::field_read::FieldRead;

struct ReferenceCollector<'p> {
    bound: Vec<NameId>,
    found: BTreeSet<NameId>,
    /// Names that are in `found`, with the fields read of them.
    reads: Vec<(NameId, Vec<&'p str>)>,
}

/// Returns the root names that a program references.
pub(super) fn roots(program: &JinjaProgram) -> BTreeSet<String> {
    let found = ReferenceCollector::of(program).found;
    found.into_iter().filter_map(|id| program.names.get(id).cloned()).collect()
}

/// Returns the fields of them that it reads.
pub(super) fn fields(program: &JinjaProgram) -> Vec<FieldRead> {
    let reads = ReferenceCollector::of(program).reads;
    reads.into_iter().filter_map(|(id, fields)| FieldRead::of(program.names.get(id)?, fields.into_iter())).collect()
}

impl<'p> ReferenceCollector<'p> {
    fn of(program: &'p JinjaProgram) -> Self {
        let mut finder = ReferenceCollector { bound: Vec::new(), found: BTreeSet::new(), reads: Vec::new() };
        finder.block(&program.body);
        for called in program.macros.values() {
            let mark = finder.bound.len();
            for (parameter, default) in &called.parameters {
                default.iter().for_each(|default| finder.expr(default));
                finder.bound.push(*parameter);
            }
            finder.scoped(&called.body);
            finder.bound.truncate(mark);
        }
        finder
    }

    fn block(&mut self, statements: &'p [JinjaStatement]) {
        statements.iter().for_each(|statement| self.statement(statement));
    }

    fn scoped(&mut self, statements: &'p [JinjaStatement]) {
        let mark = self.bound.len();
        self.block(statements);
        self.bound.truncate(mark);
    }

    fn statement(&mut self, statement: &'p JinjaStatement) {
        match statement {
            JinjaStatement::Raw(_) => {}
            JinjaStatement::Output(expression) => self.expr(expression),
            JinjaStatement::If { arms, otherwise } => {
                // A name assigned in one arm may be unassigned after it, and is then looked up outside.
                for (condition, body) in arms {
                    self.expr(condition);
                    self.scoped(body);
                }
                self.scoped(otherwise);
            }
            JinjaStatement::For(repetition) => {
                self.expr(&repetition.items);
                let mark = self.bound.len();
                self.bound.extend(&repetition.targets);
                repetition.filter.iter().for_each(|wanted| self.expr(wanted));
                self.bound.push(repetition.loop_name);
                self.block(&repetition.body);
                self.bound.truncate(mark);
                self.scoped(&repetition.otherwise);
            }
            JinjaStatement::Set(target, value) => {
                self.expr(value);
                self.target(target);
            }
            JinjaStatement::Capture(target, filters, body) => {
                self.scoped(body);
                self.calls(filters);
                self.target(target);
            }
            JinjaStatement::With(names, body) => {
                let mark = self.bound.len();
                for (name, value) in names {
                    self.expr(value);
                    self.bound.push(*name);
                }
                self.block(body);
                self.bound.truncate(mark);
            }
            JinjaStatement::Filter(filters, body) => {
                self.calls(filters);
                self.scoped(body);
            }
        }
    }

    fn target(&mut self, target: &'p AssignTarget) {
        match target {
            AssignTarget::Names(names) => self.bound.extend(names),
            AssignTarget::Field(name, _) => self.name(*name),
        }
    }

    fn expr(&mut self, expression: &'p JinjaExpr) {
        match expression {
            JinjaExpr::Literal(_) => {}
            JinjaExpr::Name(id) => self.name(*id),
            JinjaExpr::List(parts) | JinjaExpr::And(parts) | JinjaExpr::Or(parts) => {
                parts.iter().for_each(|part| self.expr(part))
            }
            JinjaExpr::Object(fields) => fields.iter().for_each(|(key, value)| {
                self.expr(key);
                self.expr(value);
            }),
            JinjaExpr::Negative(inner) | JinjaExpr::Not(inner) => self.expr(inner),
            JinjaExpr::Arithmetic(first, rest) => {
                self.expr(first);
                rest.iter().for_each(|(_, part)| self.expr(part));
            }
            JinjaExpr::Compare(first, rest) => {
                self.expr(first);
                rest.iter().for_each(|(_, part)| self.expr(part));
            }
            JinjaExpr::Choose(arms, otherwise) => {
                arms.iter().for_each(|(value, condition)| {
                    self.expr(value);
                    self.expr(condition);
                });
                otherwise.iter().for_each(|otherwise| self.expr(otherwise));
            }
            JinjaExpr::Postfix(base, postfixes) => {
                self.expr(base);
                self.read(base, postfixes);
                postfixes.iter().for_each(|postfix| self.postfix(postfix));
            }
            JinjaExpr::Function(_, arguments) | JinjaExpr::Apply(_, arguments) | JinjaExpr::Macro(_, arguments) => {
                self.arguments(arguments);
            }
        }
    }

    /// Records which fields of a name are read, unless the expression allows for missing fields.
    fn read(&mut self, base: &'p JinjaExpr, postfixes: &'p [PostfixOp]) {
        let JinjaExpr::Name(id) = base else { return };
        let allows = |postfix: &PostfixOp| match postfix {
            PostfixOp::Call(call) => call.operation == ValueOperation::Default,
            PostfixOp::Test { test, .. } => *test == ValueTest::Defined,
            PostfixOp::Field(_) | PostfixOp::Item(_) | PostfixOp::Slice(_) => false,
        };
        if !self.bound.contains(id) && !postfixes.iter().any(allows) {
            self.reads.push((*id, postfixes.iter().map_while(name_of).collect()));
        }
    }

    fn postfix(&mut self, postfix: &'p PostfixOp) {
        match postfix {
            PostfixOp::Field(_) => {}
            PostfixOp::Item(index) => self.expr(index),
            PostfixOp::Slice(bounds) => bounds.iter().flatten().for_each(|bound| self.expr(bound)),
            PostfixOp::Call(call) => self.arguments(&call.arguments),
            PostfixOp::Test { arguments, .. } => self.arguments(arguments),
        }
    }

    fn calls(&mut self, calls: &'p [FilterCall]) {
        calls.iter().for_each(|call| self.arguments(&call.arguments));
    }

    fn arguments(&mut self, arguments: &'p ArgumentExprs) {
        arguments.positional.iter().for_each(|argument| self.expr(argument));
        arguments.named.iter().for_each(|(_, argument)| self.expr(argument));
    }

    fn name(&mut self, id: NameId) {
        if !self.bound.contains(&id) {
            self.found.insert(id);
        }
    }
}

/// Returns the field that is read, if it is written literally.
fn name_of(postfix: &PostfixOp) -> Option<&str> {
    match postfix {
        PostfixOp::Field(name) => Some(name),
        PostfixOp::Item(JinjaExpr::Literal(index)) => index.as_str(),
        PostfixOp::Item(_) | PostfixOp::Slice(_) | PostfixOp::Call(_) | PostfixOp::Test { .. } => None,
    }
}
