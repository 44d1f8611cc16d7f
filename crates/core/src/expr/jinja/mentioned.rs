//! Which names a program takes from outside: those it uses where it has not given them a value itself.

use std::collections::BTreeSet;

use super::node::{Arguments, Call, Expr, NameId, Postfix, Program, Statement, Target};
use super::operation::{Operation, Test};
use crate::expr::reads::FieldRead;

struct Finder<'p> {
    bound: Vec<NameId>,
    found: BTreeSet<NameId>,
    /// Names that are in `found`, with fields that are read of them.
    reads: Vec<(NameId, Vec<&'p str>)>,
}

/// The root names a program mentions.
pub(super) fn roots(program: &Program) -> BTreeSet<String> {
    let found = Finder::of(program).found;
    found.into_iter().filter_map(|id| program.names.get(id).cloned()).collect()
}

/// The fields of them that it reads.
pub(super) fn fields(program: &Program) -> Vec<FieldRead> {
    let reads = Finder::of(program).reads;
    reads.into_iter().filter_map(|(id, fields)| FieldRead::of(program.names.get(id)?, fields.into_iter())).collect()
}

impl<'p> Finder<'p> {
    fn of(program: &'p Program) -> Self {
        let mut finder = Finder { bound: Vec::new(), found: BTreeSet::new(), reads: Vec::new() };
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

    fn block(&mut self, statements: &'p [Statement]) {
        statements.iter().for_each(|statement| self.statement(statement));
    }

    fn scoped(&mut self, statements: &'p [Statement]) {
        let mark = self.bound.len();
        self.block(statements);
        self.bound.truncate(mark);
    }

    fn statement(&mut self, statement: &'p Statement) {
        match statement {
            Statement::Raw(_) => {}
            Statement::Output(expression) => self.expr(expression),
            Statement::If { arms, otherwise } => {
                // What an arm assigns may be unassigned behind it, and is then looked for outside.
                for (condition, body) in arms {
                    self.expr(condition);
                    self.scoped(body);
                }
                self.scoped(otherwise);
            }
            Statement::For(repetition) => {
                self.expr(&repetition.items);
                let mark = self.bound.len();
                self.bound.extend(&repetition.targets);
                repetition.wanted.iter().for_each(|wanted| self.expr(wanted));
                self.bound.push(repetition.loop_name);
                self.block(&repetition.body);
                self.bound.truncate(mark);
                self.scoped(&repetition.otherwise);
            }
            Statement::Set(target, value) => {
                self.expr(value);
                self.target(target);
            }
            Statement::Capture(target, filters, body) => {
                self.scoped(body);
                self.calls(filters);
                self.target(target);
            }
            Statement::With(names, body) => {
                let mark = self.bound.len();
                for (name, value) in names {
                    self.expr(value);
                    self.bound.push(*name);
                }
                self.block(body);
                self.bound.truncate(mark);
            }
            Statement::Filter(filters, body) => {
                self.calls(filters);
                self.scoped(body);
            }
        }
    }

    fn target(&mut self, target: &'p Target) {
        match target {
            Target::Names(names) => self.bound.extend(names),
            Target::Field(name, _) => self.name(*name),
        }
    }

    fn expr(&mut self, expression: &'p Expr) {
        match expression {
            Expr::Literal(_) => {}
            Expr::Name(id) => self.name(*id),
            Expr::List(parts) | Expr::And(parts) | Expr::Or(parts) => parts.iter().for_each(|part| self.expr(part)),
            Expr::Object(fields) => fields.iter().for_each(|(key, value)| {
                self.expr(key);
                self.expr(value);
            }),
            Expr::Negative(inner) | Expr::Not(inner) => self.expr(inner),
            Expr::Arithmetic(first, rest) => {
                self.expr(first);
                rest.iter().for_each(|(_, part)| self.expr(part));
            }
            Expr::Compare(first, rest) => {
                self.expr(first);
                rest.iter().for_each(|(_, part)| self.expr(part));
            }
            Expr::Choose(arms, otherwise) => {
                arms.iter().for_each(|(value, condition)| {
                    self.expr(value);
                    self.expr(condition);
                });
                otherwise.iter().for_each(|otherwise| self.expr(otherwise));
            }
            Expr::Postfix(base, postfixes) => {
                self.expr(base);
                self.read(base, postfixes);
                postfixes.iter().for_each(|postfix| self.postfix(postfix));
            }
            Expr::Function(_, arguments) | Expr::Apply(_, arguments) | Expr::Macro(_, arguments) => {
                self.arguments(arguments);
            }
        }
    }

    /// Notes which fields of a name are read, unless the expression allows for their not being there.
    fn read(&mut self, base: &'p Expr, postfixes: &'p [Postfix]) {
        let Expr::Name(id) = base else { return };
        let allows = |postfix: &Postfix| match postfix {
            Postfix::Call(call) => call.operation == Operation::Default,
            Postfix::Test { test, .. } => *test == Test::Defined,
            Postfix::Field(_) | Postfix::Item(_) | Postfix::Slice(_) => false,
        };
        if !self.bound.contains(id) && !postfixes.iter().any(allows) {
            self.reads.push((*id, postfixes.iter().map_while(name_of).collect()));
        }
    }

    fn postfix(&mut self, postfix: &'p Postfix) {
        match postfix {
            Postfix::Field(_) => {}
            Postfix::Item(index) => self.expr(index),
            Postfix::Slice(bounds) => bounds.iter().flatten().for_each(|bound| self.expr(bound)),
            Postfix::Call(call) => self.arguments(&call.arguments),
            Postfix::Test { arguments, .. } => self.arguments(arguments),
        }
    }

    fn calls(&mut self, calls: &'p [Call]) {
        calls.iter().for_each(|call| self.arguments(&call.arguments));
    }

    fn arguments(&mut self, arguments: &'p Arguments) {
        arguments.positional.iter().for_each(|argument| self.expr(argument));
        arguments.named.iter().for_each(|(_, argument)| self.expr(argument));
    }

    fn name(&mut self, id: NameId) {
        if !self.bound.contains(&id) {
            self.found.insert(id);
        }
    }
}

/// The field that is read, where it is written plainly.
fn name_of(postfix: &Postfix) -> Option<&str> {
    match postfix {
        Postfix::Field(name) => Some(name),
        Postfix::Item(Expr::Literal(index)) => index.as_str(),
        Postfix::Item(_) | Postfix::Slice(_) | Postfix::Call(_) | Postfix::Test { .. } => None,
    }
}
