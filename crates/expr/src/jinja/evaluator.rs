//! One evaluation: name lookup and expressions.

use std::borrow::Cow;
use std::cell::OnceCell;

use serde_json::Value;

use super::arguments::EvaluatedArguments;
use super::arithmetic::{arithmetic, compare};
use super::date_or_time::EvalClock;
use super::missing_value::MissingValue;
use super::node::{ArgumentExprs, FilterCall, JinjaExpr, JinjaProgram, NameId, PostfixOp};
use super::operation::ValueOperation;
use super::value::JinjaValue;
use crate::context::EvalContext;
use crate::error::EvalError;
use crate::meter::EvalMeter;
use crate::path::is_whole_step_output;

/// Number of locals that can be searched for the cost of one step.
pub(super) const LOCALS_PER_STEP: usize = 16;

/// The roots that an evaluation has looked up. They outlive it, so that it can borrow from them.
pub(super) struct RootCache<'n> {
    names: &'n dyn EvalContext,
    found: Vec<OnceCell<Option<Cow<'n, Value>>>>,
}

impl<'n> RootCache<'n> {
    pub(super) fn new(program: &JinjaProgram, names: &'n dyn EvalContext) -> Self {
        Self { names, found: program.names.iter().map(|_| OnceCell::new()).collect() }
    }

    fn get(&self, id: NameId, name: &str) -> Option<&Value> {
        self.found.get(id)?.get_or_init(|| self.names.lookup(name)).as_deref()
    }
}

/// The state of one evaluation.
pub(super) struct JinjaEvaluator<'v> {
    pub(super) program: &'v JinjaProgram,
    names: &'v dyn EvalContext,
    roots: &'v RootCache<'v>,
    clock: Option<EvalClock>,
    pub(super) meter: EvalMeter,
    /// Assigned names, the innermost last.
    pub(super) locals: Vec<(NameId, JinjaValue<'v>)>,
    /// Index of the first local of the running macro; of those before it, only the outermost are visible.
    pub(super) scope_floor: usize,
    /// Number of locals at the outermost level.
    pub(super) outermost: usize,
    /// Index of the first local of the innermost scope.
    pub(super) scope: usize,
}

impl<'v> JinjaEvaluator<'v> {
    pub(super) fn new(program: &'v JinjaProgram, roots: &'v RootCache<'v>, meter: EvalMeter) -> Self {
        Self {
            program,
            names: roots.names,
            roots,
            clock: None,
            meter,
            locals: Vec::new(),
            scope_floor: 0,
            outermost: 0,
            scope: 0,
        }
    }

    /// Returns the clock, created when it is first needed.
    pub(super) fn clock(&mut self) -> Result<&EvalClock, EvalError> {
        match &mut self.clock {
            Some(clock) => Ok(clock),
            none => Ok(none.insert(EvalClock::new(self.names)?)),
        }
    }

    pub(super) fn eval(&mut self, expression: &'v JinjaExpr) -> Result<JinjaValue<'v>, EvalError> {
        self.meter.enter()?;
        let value = match expression {
            JinjaExpr::Literal(value) => Ok(JinjaValue::from(value)),
            JinjaExpr::Name(id) => self.name(*id),
            JinjaExpr::List(items) => self.list(items),
            JinjaExpr::Object(fields) => self.object(fields),
            JinjaExpr::Negative(inner) => self.negative(inner),
            JinjaExpr::Not(inner) => self.truth(inner).map(|truth| JinjaValue::Bool(!truth)),
            JinjaExpr::And(parts) => self.short_circuit(parts, false),
            JinjaExpr::Or(parts) => self.short_circuit(parts, true),
            JinjaExpr::Arithmetic(first, rest) => self.arithmetic(first, rest),
            JinjaExpr::Compare(first, rest) => self.comparison(first, rest),
            JinjaExpr::Choose(arms, otherwise) => self.choose(arms, otherwise.as_deref()),
            JinjaExpr::Postfix(base, postfixes) => self.postfixes(base, postfixes),
            JinjaExpr::Function(function, arguments) => {
                let given = self.evaluate_arguments(function.name(), arguments)?;
                self.function(*function, given)
            }
            JinjaExpr::Apply(operation, arguments) => self.apply_function(*operation, arguments),
            JinjaExpr::Macro(id, arguments) => self.call_macro(*id, arguments),
        };
        self.meter.leave();
        value
    }

    /// Returns the truth of an expression; a missing value is an error.
    pub(super) fn truth(&mut self, expression: &'v JinjaExpr) -> Result<bool, EvalError> {
        Ok(self.eval(expression)?.require_present()?.truthy())
    }

    pub(super) fn name(&mut self, id: NameId) -> Result<JinjaValue<'v>, EvalError> {
        self.meter.charge_steps(self.locals.len() / LOCALS_PER_STEP)?;
        if let Some(value) = self.local(id) {
            return Ok(value.clone());
        }
        let name = self.name_text(id);
        Ok(match self.roots.get(id, name) {
            Some(value) => JinjaValue::from(value),
            None => JinjaValue::Missing(MissingValue::Name { names: self.names, name }.into()),
        })
    }

    fn local(&self, id: NameId) -> Option<&JinjaValue<'v>> {
        if !self.program.assigned.get(id).copied().unwrap_or(false) {
            return None;
        }
        let inner = self.locals.get(self.scope_floor..).unwrap_or_default();
        let outer = self.locals.get(..self.outermost.min(self.scope_floor)).unwrap_or_default();
        outer.iter().chain(inner).rev().find(|(local, _)| *local == id).map(|(_, value)| value)
    }

    fn name_text(&self, id: NameId) -> &'v str {
        self.program.names.get(id).map_or("", String::as_str)
    }

    fn list(&mut self, items: &'v [JinjaExpr]) -> Result<JinjaValue<'v>, EvalError> {
        let mut list = Vec::with_capacity(items.len());
        for item in items {
            list.push(self.eval(item)?);
        }
        JinjaValue::list(list, &mut self.meter)
    }

    fn object(&mut self, fields: &'v [(JinjaExpr, JinjaExpr)]) -> Result<JinjaValue<'v>, EvalError> {
        let mut object = std::collections::BTreeMap::new();
        for (key, value) in fields {
            let key = match self.eval(key)?.require_present()? {
                JinjaValue::Text(key) => key.to_string(),
                JinjaValue::Int(key) => key.to_string(),
                other => return Err(EvalError::wrong_type(format!("a key is a string, not {}", other.kind()))),
            };
            object.insert(key, self.eval(value)?);
        }
        JinjaValue::object(object, &mut self.meter)
    }

    fn negative(&mut self, inner: &'v JinjaExpr) -> Result<JinjaValue<'v>, EvalError> {
        match self.eval(inner)?.require_present()? {
            JinjaValue::Int(number) => Ok(JinjaValue::Int(number.saturating_neg())),
            JinjaValue::Float(number) => Ok(JinjaValue::Float(-number)),
            other => Err(EvalError::wrong_type(format!("`-` has no meaning before {}", other.kind()))),
        }
    }

    /// Returns the first part that is true (`or`) or false (`and`), otherwise the last.
    fn short_circuit(&mut self, parts: &'v [JinjaExpr], wanted: bool) -> Result<JinjaValue<'v>, EvalError> {
        let mut value = JinjaValue::Null;
        for part in parts {
            value = self.eval(part)?.require_present()?;
            if value.truthy() == wanted {
                break;
            }
        }
        Ok(value)
    }

    fn arithmetic(
        &mut self,
        first: &'v JinjaExpr,
        rest: &'v [(super::node::ArithmeticOp, JinjaExpr)],
    ) -> Result<JinjaValue<'v>, EvalError> {
        let mut value = self.eval(first)?;
        for (operator, right) in rest {
            let right = self.eval(right)?;
            value = arithmetic(*operator, value, right, &mut self.meter)?;
        }
        Ok(value)
    }

    fn comparison(
        &mut self,
        first: &'v JinjaExpr,
        rest: &'v [(super::node::JinjaComparator, JinjaExpr)],
    ) -> Result<JinjaValue<'v>, EvalError> {
        let mut left = self.eval(first)?;
        for (comparator, right) in rest {
            let right = self.eval(right)?;
            if !compare(*comparator, &left, &right, &mut self.meter)? {
                return Ok(JinjaValue::Bool(false));
            }
            left = right;
        }
        Ok(JinjaValue::Bool(true))
    }

    fn choose(
        &mut self,
        arms: &'v [(JinjaExpr, JinjaExpr)],
        otherwise: Option<&'v JinjaExpr>,
    ) -> Result<JinjaValue<'v>, EvalError> {
        for (value, condition) in arms {
            if self.truth(condition)? {
                return self.eval(value);
            }
        }
        match otherwise {
            Some(otherwise) => self.eval(otherwise),
            // As in Jinja, an `if` without an `else` writes nothing if its condition is false.
            None => Ok(JinjaValue::text("")),
        }
    }

    fn postfixes(&mut self, base: &'v JinjaExpr, postfixes: &'v [PostfixOp]) -> Result<JinjaValue<'v>, EvalError> {
        let mut value = self.eval(base)?;
        let mut done = 0;
        if let (JinjaExpr::Name(id), Some(PostfixOp::Field(field))) = (base, postfixes.first())
            && self.local(*id).is_none()
            && let Some(root) = self.roots.get(*id, self.name_text(*id))
            && is_whole_step_output(self.names, self.name_text(*id), field, root)
        {
            done = 1;
        }
        for (at, postfix) in postfixes.iter().enumerate().skip(done) {
            self.meter.charge_steps(1)?;
            value = match postfix {
                // A field of a missing value is missing for the same reason.
                PostfixOp::Field(_) | PostfixOp::Item(_) | PostfixOp::Slice(_) if value.is_missing() => value,
                PostfixOp::Field(field) => match value.field(field) {
                    Some(found) => found,
                    None => MissingValue::field(self.shown(base, &postfixes[..at]), field, &value),
                },
                PostfixOp::Item(index) => {
                    let index = self.eval(index)?.require_present()?;
                    self.item(&value, &index, || (base, &postfixes[..at]))?
                }
                PostfixOp::Slice(bounds) => self.slice(&value, bounds)?,
                PostfixOp::Call(call) => self.call(call, value)?,
                PostfixOp::Test { test, arguments, negated } => {
                    let given = self.evaluate_arguments(test.name(), arguments)?;
                    JinjaValue::Bool(self.test(*test, &value, given)? != *negated)
                }
            };
        }
        Ok(value)
    }

    pub(super) fn call(&mut self, call: &'v FilterCall, value: JinjaValue<'v>) -> Result<JinjaValue<'v>, EvalError> {
        let given = self.evaluate_arguments(call.operation.name(), &call.arguments)?;
        self.apply(call.operation, value, given)
    }

    /// `len(x)`: applies the operation to the first argument. `max(a, b)` applies it to all of them.
    fn apply_function(
        &mut self,
        operation: ValueOperation,
        arguments: &'v ArgumentExprs,
    ) -> Result<JinjaValue<'v>, EvalError> {
        let mut given = self.evaluate_arguments(operation.name(), arguments)?;
        let several = arguments.positional.len() > 1 && matches!(operation, ValueOperation::Max | ValueOperation::Min);
        let value = if several { JinjaValue::list(given.rest(), &mut self.meter)? } else { given.required("value")? };
        self.apply(operation, value, given)
    }

    pub(super) fn evaluate_arguments(
        &mut self,
        to: &'static str,
        arguments: &'v ArgumentExprs,
    ) -> Result<EvaluatedArguments<'v>, EvalError> {
        let mut positional = Vec::with_capacity(arguments.positional.len());
        for argument in &arguments.positional {
            positional.push(self.eval(argument)?);
        }
        let mut named = Vec::with_capacity(arguments.named.len());
        for (name, argument) in &arguments.named {
            named.push((name.as_str(), self.eval(argument)?));
        }
        Ok(EvaluatedArguments::new(to, positional, named))
    }

    fn item(
        &mut self,
        value: &JinjaValue<'v>,
        index: &JinjaValue<'v>,
        whose: impl Fn() -> (&'v JinjaExpr, &'v [PostfixOp]),
    ) -> Result<JinjaValue<'v>, EvalError> {
        let found = match index {
            JinjaValue::Int(number) => match value.at(*number, &mut self.meter)? {
                None if value.is_object() => value.field(&number.to_string()),
                found => found,
            },
            JinjaValue::Text(key) => value.field(key),
            other => {
                return Err(EvalError::wrong_type(format!("an index is a number or a string, not {}", other.kind())));
            }
        };
        Ok(found.unwrap_or_else(|| {
            let (base, path) = whose();
            let shown = match index {
                JinjaValue::Int(number) => number.to_string(),
                JinjaValue::Text(key) => key.chars().take(60).collect(),
                _ => String::new(),
            };
            MissingValue::field(self.shown(base, path), shown, value)
        }))
    }

    fn slice(
        &mut self,
        value: &JinjaValue<'v>,
        bounds: &'v [Option<JinjaExpr>; 3],
    ) -> Result<JinjaValue<'v>, EvalError> {
        let mut places = [None; 3];
        for (place, bound) in places.iter_mut().zip(bounds) {
            *place = match bound {
                None => None,
                Some(bound) => match self.eval(bound)?.require_present()? {
                    JinjaValue::Null => None,
                    JinjaValue::Int(number) => {
                        Some(i64::try_from(number).unwrap_or(if number < 0 { i64::MIN } else { i64::MAX }))
                    }
                    other => {
                        return Err(EvalError::wrong_type(format!(
                            "a slice goes from number to number, not {}",
                            other.kind()
                        )));
                    }
                },
            };
        }
        let [start, stop, step] = places;
        let slice = crate::slice::ListSlice { start, stop, step: step.unwrap_or(1) };
        if slice.step == 0 {
            return Err(EvalError::bad_value("a slice cannot step by 0"));
        }
        if !value.is_list() && !matches!(value, JinjaValue::Text(_)) {
            return Err(EvalError::wrong_type(format!("{} cannot be sliced", value.kind())));
        }
        let items = value.items(&mut self.meter)?;
        let kept: Vec<JinjaValue<'v>> = slice.places(items.len()).filter_map(|at| items.get(at).cloned()).collect();
        match value {
            JinjaValue::Text(_) => self.joined(&kept, ""),
            _ => JinjaValue::list(kept, &mut self.meter),
        }
    }

    /// Returns a path as it was written, for messages.
    fn shown(&self, base: &JinjaExpr, path: &[PostfixOp]) -> String {
        let mut shown = match base {
            JinjaExpr::Name(id) => self.name_text(*id).to_owned(),
            _ => "the value".to_owned(),
        };
        for postfix in path {
            match postfix {
                PostfixOp::Field(field) => {
                    shown.push('.');
                    shown.push_str(field);
                }
                PostfixOp::Item(JinjaExpr::Literal(index)) => shown.push_str(&format!("[{index}]")),
                PostfixOp::Item(_) | PostfixOp::Slice(_) => shown.push_str("[…]"),
                PostfixOp::Call(_) | PostfixOp::Test { .. } => shown = "the value".to_owned(),
            }
        }
        shown
    }
}
