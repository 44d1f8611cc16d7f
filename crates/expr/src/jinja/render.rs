//! Statements: the text and the tags within it.

use std::cell::Cell;
use std::rc::Rc;

use super::evaluator::{JinjaEvaluator, LOCALS_PER_STEP};
use super::node::{ArgumentExprs, AssignTarget, FilterCall, ForStatement, JinjaStatement, NameId};
use super::value::{JinjaValue, LoopVariable};
use super::write;
use crate::error::EvalError;
use crate::meter::{ExprLimits, too_much_output};

impl<'v> JinjaEvaluator<'v> {
    /// Runs statements, and appends their output.
    pub(super) fn render(&mut self, statements: &'v [JinjaStatement], out: &mut String) -> Result<(), EvalError> {
        self.meter.enter()?;
        for statement in statements {
            self.statement(statement, out)?;
            if out.len() > ExprLimits::OUTPUT_BYTES_MAX {
                return Err(too_much_output());
            }
        }
        self.meter.leave();
        Ok(())
    }

    fn statement(&mut self, statement: &'v JinjaStatement, out: &mut String) -> Result<(), EvalError> {
        self.meter.charge_steps(1)?;
        match statement {
            JinjaStatement::Raw(text) => write::append(text, out, &mut self.meter),
            JinjaStatement::Output(expression) => {
                let value = self.eval(expression)?;
                write::write(&value, out, &mut self.meter)
            }
            JinjaStatement::If { arms, otherwise } => {
                for (condition, body) in arms {
                    if self.truth(condition)? {
                        return self.render(body, out);
                    }
                }
                self.render(otherwise, out)
            }
            JinjaStatement::For(repetition) => self.repeat(repetition, out),
            JinjaStatement::Set(target, value) => {
                let value = self.eval(value)?.require_present()?;
                self.assign(target, value)
            }
            JinjaStatement::Capture(target, filters, body) => {
                let value = self.captured(filters, body)?;
                self.assign(target, value)
            }
            JinjaStatement::With(names, body) => {
                let outer = self.open_scope();
                for (name, value) in names {
                    let value = self.eval(value)?.require_present()?;
                    self.locals.push((*name, value));
                }
                self.render(body, out)?;
                self.close_scope(outer);
                Ok(())
            }
            JinjaStatement::Filter(filters, body) => {
                let value = self.captured(filters, body)?;
                write::write(&value, out, &mut self.meter)
            }
        }
    }

    /// Returns the output of a body, after its filters.
    fn captured(&mut self, filters: &'v [FilterCall], body: &'v [JinjaStatement]) -> Result<JinjaValue<'v>, EvalError> {
        let outer = self.open_scope();
        let mut text = String::new();
        self.render(body, &mut text)?;
        self.close_scope(outer);
        let mut value = JinjaValue::text(text);
        for filter in filters {
            value = self.call(filter, value)?;
        }
        value.require_present()
    }

    fn repeat(&mut self, repetition: &'v ForStatement, out: &mut String) -> Result<(), EvalError> {
        let items = self.eval(&repetition.items)?.require_present()?;
        let mut items = items.items(&mut self.meter)?;
        let outer = self.open_scope();
        if let Some(wanted) = &repetition.filter {
            let mut kept = Vec::new();
            for item in items {
                self.locals.truncate(self.scope);
                self.bind(&repetition.targets, item.clone())?;
                if self.truth(wanted)? {
                    kept.push(item);
                }
            }
            items = kept;
        }
        if items.is_empty() {
            self.close_scope(outer);
            return self.render(&repetition.otherwise, out);
        }
        let state = Rc::new(LoopVariable { at: Cell::new(0), items });
        for (at, item) in state.items.iter().enumerate() {
            state.at.set(at);
            self.locals.truncate(self.scope);
            self.locals.push((repetition.loop_name, JinjaValue::Loop(state.clone())));
            self.bind(&repetition.targets, item.clone())?;
            self.render(&repetition.body, out)?;
        }
        self.close_scope(outer);
        Ok(())
    }

    fn assign(&mut self, target: &'v AssignTarget, value: JinjaValue<'v>) -> Result<(), EvalError> {
        match target {
            AssignTarget::Names(names) => self.bind(names, value),
            AssignTarget::Field(name, field) => {
                let JinjaValue::Namespace(fields) = self.name(*name)?.require_present()? else {
                    return Err(EvalError::wrong_type("only a namespace has fields that can be set")
                        .hint("begin with `{% set ns = namespace(count=0) %}`"));
                };
                // Checked as for a list: a namespace cannot contain a namespace, and nesting is bounded.
                JinjaValue::list(vec![value.clone()], &mut self.meter)?;
                fields.borrow_mut().insert(field.clone(), value);
                Ok(())
            }
        }
    }

    /// Binds names in the innermost scope; several names share out the items of one value.
    fn bind(&mut self, names: &'v [NameId], value: JinjaValue<'v>) -> Result<(), EvalError> {
        if let [name] = names {
            return self.bind_one(*name, value);
        }
        let items = value.items(&mut self.meter)?;
        if items.len() != names.len() {
            return Err(EvalError::bad_value(format!(
                "{} items cannot be shared out to {} names",
                items.len(),
                names.len()
            ))
            .hint("to go through an object, write `for key, value in object.items()`"));
        }
        for (name, item) in names.iter().zip(items) {
            self.bind_one(*name, item)?;
        }
        Ok(())
    }

    fn bind_one(&mut self, name: NameId, value: JinjaValue<'v>) -> Result<(), EvalError> {
        self.meter.charge_steps(1 + (self.locals.len() - self.scope) / LOCALS_PER_STEP)?;
        let scope = self.locals.get_mut(self.scope..).unwrap_or_default();
        match scope.iter_mut().find(|(local, _)| *local == name) {
            Some((_, held)) => *held = value,
            None => self.locals.push((name, value)),
        }
        if self.scope == 0 {
            self.outermost = self.locals.len();
        }
        Ok(())
    }

    fn open_scope(&mut self) -> usize {
        std::mem::replace(&mut self.scope, self.locals.len())
    }

    fn close_scope(&mut self, outer: usize) {
        self.locals.truncate(self.scope);
        self.scope = outer;
    }

    /// Calls a macro: it sees its arguments, the outermost names and the run's, and returns its output.
    pub(super) fn call_macro(&mut self, id: NameId, arguments: &'v ArgumentExprs) -> Result<JinjaValue<'v>, EvalError> {
        let program = self.program;
        let Some(called) = program.macros.get(&id) else {
            return Err(EvalError::bad_value("the macro is not defined"));
        };
        let mut given = self.evaluate_arguments("the macro", arguments)?;
        let mut values = Vec::with_capacity(called.parameters.len());
        for (parameter, default) in &called.parameters {
            let name = program.names.get(*parameter).map_or("", String::as_str);
            let value = match (given.optional(name), default) {
                (Some(value), _) => value.require_present()?,
                (None, Some(default)) => self.eval(default)?.require_present()?,
                (None, None) => return Err(EvalError::bad_value(format!("the macro needs the argument `{name}`"))),
            };
            values.push((*parameter, value));
        }
        given.finish()?;
        let floor = std::mem::replace(&mut self.scope_floor, self.locals.len());
        let outer = self.open_scope();
        self.locals.extend(values);
        let mut text = String::new();
        self.render(&called.body, &mut text)?;
        self.close_scope(outer);
        self.scope_floor = floor;
        Ok(JinjaValue::text(text))
    }
}
