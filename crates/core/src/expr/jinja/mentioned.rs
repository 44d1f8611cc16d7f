//! Which names a program takes from outside: those it uses where it has not given them a value itself.

use std::collections::BTreeSet;

use super::node::{Arguments, Call, Expr, NameId, Postfix, Program, Statement, Target};

/// The root names a program mentions.
pub(super) fn roots(program: &Program) -> BTreeSet<String> {
    let mut finder = Finder { bound: Vec::new(), found: BTreeSet::new() };
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
    finder.found.into_iter().filter_map(|id| program.names.get(id).cloned()).collect()
}

struct Finder {
    bound: Vec<NameId>,
    found: BTreeSet<NameId>,
}

impl Finder {
    fn block(&mut self, statements: &[Statement]) {
        statements.iter().for_each(|statement| self.statement(statement));
    }

    fn scoped(&mut self, statements: &[Statement]) {
        let mark = self.bound.len();
        self.block(statements);
        self.bound.truncate(mark);
    }

    fn statement(&mut self, statement: &Statement) {
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

    fn target(&mut self, target: &Target) {
        match target {
            Target::Names(names) => self.bound.extend(names),
            Target::Field(name, _) => self.name(*name),
        }
    }

    fn expr(&mut self, expression: &Expr) {
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
                postfixes.iter().for_each(|postfix| self.postfix(postfix));
            }
            Expr::Function(_, arguments) | Expr::Apply(_, arguments) | Expr::Macro(_, arguments) => {
                self.arguments(arguments);
            }
        }
    }

    fn postfix(&mut self, postfix: &Postfix) {
        match postfix {
            Postfix::Field(_) => {}
            Postfix::Item(index) => self.expr(index),
            Postfix::Slice(bounds) => bounds.iter().flatten().for_each(|bound| self.expr(bound)),
            Postfix::Call(call) => self.arguments(&call.arguments),
            Postfix::Test { arguments, .. } => self.arguments(arguments),
        }
    }

    fn calls(&mut self, calls: &[Call]) {
        calls.iter().for_each(|call| self.arguments(&call.arguments));
    }

    fn arguments(&mut self, arguments: &Arguments) {
        arguments.positional.iter().for_each(|argument| self.expr(argument));
        arguments.named.iter().for_each(|(_, argument)| self.expr(argument));
    }

    fn name(&mut self, id: NameId) {
        if !self.bound.contains(&id) {
            self.found.insert(id);
        }
    }
}
