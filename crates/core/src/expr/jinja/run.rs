//! One evaluation: names, and expressions over them.

use std::borrow::Cow;
use std::cell::OnceCell;

use serde_json::Value;

use super::arithmetic::{arithmetic, compare};
use super::given::Given;
use super::missing::Missing;
use super::moment::Clock;
use super::node::{Arguments, Call, Expr, NameId, Postfix, Program};
use super::operation::Operation;
use super::value::Val;
use crate::expr::error::EvalError;
use crate::expr::meter::Meter;
use crate::expr::names::Names;
use crate::expr::path::means_whole_step;

/// Locals that are looked through in the time of one step.
pub(super) const LOCALS_PER_STEP: usize = 16;

/// The roots an evaluation has looked up. They outlive it, so that it can borrow from them.
pub(super) struct Roots<'n> {
    names: &'n dyn Names,
    found: Vec<OnceCell<Option<Cow<'n, Value>>>>,
}

impl<'n> Roots<'n> {
    pub(super) fn new(program: &Program, names: &'n dyn Names) -> Self {
        Self { names, found: program.names.iter().map(|_| OnceCell::new()).collect() }
    }

    fn get(&self, id: NameId, name: &str) -> Option<&Value> {
        self.found.get(id)?.get_or_init(|| self.names.lookup(name)).as_deref()
    }
}

/// The state of one evaluation.
pub(super) struct Run<'v> {
    pub(super) program: &'v Program,
    names: &'v dyn Names,
    roots: &'v Roots<'v>,
    clock: Option<Clock>,
    pub(super) meter: Meter,
    /// Names that were assigned, the innermost last.
    pub(super) locals: Vec<(NameId, Val<'v>)>,
    /// Where the locals of the running macro begin; before them only the outermost are seen.
    pub(super) floor: usize,
    /// How many locals belong to the outermost level.
    pub(super) outermost: usize,
    /// Where the innermost scope begins.
    pub(super) scope: usize,
}

impl<'v> Run<'v> {
    pub(super) fn new(program: &'v Program, roots: &'v Roots<'v>, meter: Meter) -> Self {
        Self {
            program,
            names: roots.names,
            roots,
            clock: None,
            meter,
            locals: Vec::new(),
            floor: 0,
            outermost: 0,
            scope: 0,
        }
    }

    /// The clock, made when the first date asks for it.
    pub(super) fn clock(&mut self) -> Result<&Clock, EvalError> {
        match &mut self.clock {
            Some(clock) => Ok(clock),
            none => Ok(none.insert(Clock::new(self.names)?)),
        }
    }

    pub(super) fn eval(&mut self, expression: &'v Expr) -> Result<Val<'v>, EvalError> {
        self.meter.enter()?;
        let value = match expression {
            Expr::Literal(value) => Ok(Val::from(value)),
            Expr::Name(id) => self.name(*id),
            Expr::List(items) => self.list(items),
            Expr::Object(fields) => self.object(fields),
            Expr::Negative(inner) => self.negative(inner),
            Expr::Not(inner) => self.truth(inner).map(|truth| Val::Bool(!truth)),
            Expr::And(parts) => self.first(parts, false),
            Expr::Or(parts) => self.first(parts, true),
            Expr::Arithmetic(first, rest) => self.arithmetic(first, rest),
            Expr::Compare(first, rest) => self.comparison(first, rest),
            Expr::Choose(arms, otherwise) => self.choose(arms, otherwise.as_deref()),
            Expr::Postfix(base, postfixes) => self.postfixes(base, postfixes),
            Expr::Function(function, arguments) => {
                let given = self.given(function.name(), arguments)?;
                self.function(*function, given)
            }
            Expr::Apply(operation, arguments) => self.apply_function(*operation, arguments),
            Expr::Macro(id, arguments) => self.call_macro(*id, arguments),
        };
        self.meter.leave();
        value
    }

    /// The truth of an expression; one that is not there has none.
    pub(super) fn truth(&mut self, expression: &'v Expr) -> Result<bool, EvalError> {
        Ok(self.eval(expression)?.there()?.truthy())
    }

    pub(super) fn name(&mut self, id: NameId) -> Result<Val<'v>, EvalError> {
        self.meter.steps(self.locals.len() / LOCALS_PER_STEP)?;
        if let Some(value) = self.local(id) {
            return Ok(value.clone());
        }
        let name = self.name_text(id);
        Ok(match self.roots.get(id, name) {
            Some(value) => Val::from(value),
            None => Val::Missing(Missing::Name { names: self.names, name }.into()),
        })
    }

    fn local(&self, id: NameId) -> Option<&Val<'v>> {
        if !self.program.assigned.get(id).copied().unwrap_or(false) {
            return None;
        }
        let inner = self.locals.get(self.floor..).unwrap_or_default();
        let outer = self.locals.get(..self.outermost.min(self.floor)).unwrap_or_default();
        outer.iter().chain(inner).rev().find(|(local, _)| *local == id).map(|(_, value)| value)
    }

    fn name_text(&self, id: NameId) -> &'v str {
        self.program.names.get(id).map_or("", String::as_str)
    }

    fn list(&mut self, items: &'v [Expr]) -> Result<Val<'v>, EvalError> {
        let mut list = Vec::with_capacity(items.len());
        for item in items {
            list.push(self.eval(item)?);
        }
        Val::list(list, &mut self.meter)
    }

    fn object(&mut self, fields: &'v [(Expr, Expr)]) -> Result<Val<'v>, EvalError> {
        let mut object = std::collections::BTreeMap::new();
        for (key, value) in fields {
            let key = match self.eval(key)?.there()? {
                Val::Text(key) => key.to_string(),
                Val::Int(key) => key.to_string(),
                other => return Err(EvalError::wrong_type(format!("a key is a string, not {}", other.kind()))),
            };
            object.insert(key, self.eval(value)?);
        }
        Val::object(object, &mut self.meter)
    }

    fn negative(&mut self, inner: &'v Expr) -> Result<Val<'v>, EvalError> {
        match self.eval(inner)?.there()? {
            Val::Int(number) => Ok(Val::Int(number.saturating_neg())),
            Val::Float(number) => Ok(Val::Float(-number)),
            other => Err(EvalError::wrong_type(format!("`-` has no meaning before {}", other.kind()))),
        }
    }

    /// The first part that is true (`or`) or is not (`and`), else the last.
    fn first(&mut self, parts: &'v [Expr], wanted: bool) -> Result<Val<'v>, EvalError> {
        let mut value = Val::Null;
        for part in parts {
            value = self.eval(part)?.there()?;
            if value.truthy() == wanted {
                break;
            }
        }
        Ok(value)
    }

    fn arithmetic(
        &mut self,
        first: &'v Expr,
        rest: &'v [(super::node::Arithmetic, Expr)],
    ) -> Result<Val<'v>, EvalError> {
        let mut value = self.eval(first)?;
        for (operator, right) in rest {
            let right = self.eval(right)?;
            value = arithmetic(*operator, value, right, &mut self.meter)?;
        }
        Ok(value)
    }

    fn comparison(
        &mut self,
        first: &'v Expr,
        rest: &'v [(super::node::Comparator, Expr)],
    ) -> Result<Val<'v>, EvalError> {
        let mut left = self.eval(first)?;
        for (comparator, right) in rest {
            let right = self.eval(right)?;
            if !compare(*comparator, &left, &right, &mut self.meter)? {
                return Ok(Val::Bool(false));
            }
            left = right;
        }
        Ok(Val::Bool(true))
    }

    fn choose(&mut self, arms: &'v [(Expr, Expr)], otherwise: Option<&'v Expr>) -> Result<Val<'v>, EvalError> {
        for (value, condition) in arms {
            if self.truth(condition)? {
                return self.eval(value);
            }
        }
        match otherwise {
            Some(otherwise) => self.eval(otherwise),
            // As in Jinja, an `if` without an `else` writes nothing where it does not hold.
            None => Ok(Val::text("")),
        }
    }

    fn postfixes(&mut self, base: &'v Expr, postfixes: &'v [Postfix]) -> Result<Val<'v>, EvalError> {
        let mut value = self.eval(base)?;
        let mut done = 0;
        if let (Expr::Name(id), Some(Postfix::Field(field))) = (base, postfixes.first())
            && self.local(*id).is_none()
            && let Some(root) = self.roots.get(*id, self.name_text(*id))
            && means_whole_step(self.names, self.name_text(*id), field, root)
        {
            done = 1;
        }
        for (at, postfix) in postfixes.iter().enumerate().skip(done) {
            self.meter.steps(1)?;
            value = match postfix {
                // What is below something missing is missing for the same reason.
                Postfix::Field(_) | Postfix::Item(_) | Postfix::Slice(_) if value.is_missing() => value,
                Postfix::Field(field) => match value.field(field) {
                    Some(found) => found,
                    None => Missing::field(self.shown(base, &postfixes[..at]), field, &value),
                },
                Postfix::Item(index) => {
                    let index = self.eval(index)?.there()?;
                    self.item(&value, &index, || (base, &postfixes[..at]))?
                }
                Postfix::Slice(bounds) => self.slice(&value, bounds)?,
                Postfix::Call(call) => self.call(call, value)?,
                Postfix::Test { test, arguments, negated } => {
                    let given = self.given(test.name(), arguments)?;
                    Val::Bool(self.test(*test, &value, given)? != *negated)
                }
            };
        }
        Ok(value)
    }

    pub(super) fn call(&mut self, call: &'v Call, value: Val<'v>) -> Result<Val<'v>, EvalError> {
        let given = self.given(call.operation.name(), &call.arguments)?;
        self.apply(call.operation, value, given)
    }

    /// `len(x)`: the operation on the first argument. `max(a, b)` is that of all of them.
    fn apply_function(&mut self, operation: Operation, arguments: &'v Arguments) -> Result<Val<'v>, EvalError> {
        let mut given = self.given(operation.name(), arguments)?;
        let several = arguments.positional.len() > 1 && matches!(operation, Operation::Max | Operation::Min);
        let value = if several { Val::list(given.rest(), &mut self.meter)? } else { given.required("value")? };
        self.apply(operation, value, given)
    }

    pub(super) fn given(&mut self, to: &'static str, arguments: &'v Arguments) -> Result<Given<'v>, EvalError> {
        let mut positional = Vec::with_capacity(arguments.positional.len());
        for argument in &arguments.positional {
            positional.push(self.eval(argument)?);
        }
        let mut named = Vec::with_capacity(arguments.named.len());
        for (name, argument) in &arguments.named {
            named.push((name.as_str(), self.eval(argument)?));
        }
        Ok(Given::new(to, positional, named))
    }

    fn item(
        &mut self,
        value: &Val<'v>,
        index: &Val<'v>,
        whose: impl Fn() -> (&'v Expr, &'v [Postfix]),
    ) -> Result<Val<'v>, EvalError> {
        let found = match index {
            Val::Int(number) => match value.at(*number, &mut self.meter)? {
                None if value.is_object() => value.field(&number.to_string()),
                found => found,
            },
            Val::Text(key) => value.field(key),
            other => {
                return Err(EvalError::wrong_type(format!("an index is a number or a string, not {}", other.kind())));
            }
        };
        Ok(found.unwrap_or_else(|| {
            let (base, path) = whose();
            let shown = match index {
                Val::Int(number) => number.to_string(),
                Val::Text(key) => key.chars().take(60).collect(),
                _ => String::new(),
            };
            Missing::field(self.shown(base, path), shown, value)
        }))
    }

    fn slice(&mut self, value: &Val<'v>, bounds: &'v [Option<Expr>; 3]) -> Result<Val<'v>, EvalError> {
        let mut places = [None; 3];
        for (place, bound) in places.iter_mut().zip(bounds) {
            *place = match bound {
                None => None,
                Some(bound) => match self.eval(bound)?.there()? {
                    Val::Null => None,
                    Val::Int(number) => {
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
        let slice = crate::expr::slice::Slice { start, stop, step: step.unwrap_or(1) };
        if slice.step == 0 {
            return Err(EvalError::bad_value("a slice cannot step by 0"));
        }
        if !value.is_list() && !matches!(value, Val::Text(_)) {
            return Err(EvalError::wrong_type(format!("{} cannot be sliced", value.kind())));
        }
        let items = value.items(&mut self.meter)?;
        let kept: Vec<Val<'v>> = slice.places(items.len()).filter_map(|at| items.get(at).cloned()).collect();
        match value {
            Val::Text(_) => self.joined(&kept, ""),
            _ => Val::list(kept, &mut self.meter),
        }
    }

    /// A path as it was written, for messages.
    fn shown(&self, base: &Expr, path: &[Postfix]) -> String {
        let mut shown = match base {
            Expr::Name(id) => self.name_text(*id).to_owned(),
            _ => "the value".to_owned(),
        };
        for postfix in path {
            match postfix {
                Postfix::Field(field) => {
                    shown.push('.');
                    shown.push_str(field);
                }
                Postfix::Item(Expr::Literal(index)) => shown.push_str(&format!("[{index}]")),
                Postfix::Item(_) | Postfix::Slice(_) => shown.push_str("[…]"),
                Postfix::Call(_) | Postfix::Test { .. } => shown = "the value".to_owned(),
            }
        }
        shown
    }
}
