//! Functions: the moment, dates, ranges, and some filters under the names Python gives them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::given::Given;
use super::moment::Moment;
use super::operation::Operation;
use super::run::Run;
use super::value::Val;
use crate::expr::error::{Code, EvalError};
use crate::expr::meter::Limit;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    All,
    Any,
    DateAdd,
    DateIsFuture,
    DateIsPast,
    DaysUntil,
    Dict,
    Namespace,
    Now,
    Range,
    Today,
}

/// What a name in front of brackets means.
#[derive(Debug, Clone, Copy)]
pub(super) enum Callee {
    Function(Function),
    /// The first argument is what the operation is done with.
    Operation(Operation),
}

const FUNCTIONS: &[(&str, Callee)] = &[
    ("abs", Callee::Operation(Operation::Abs)),
    ("all", Callee::Function(Function::All)),
    ("any", Callee::Function(Function::Any)),
    ("bool", Callee::Operation(Operation::Bool)),
    ("date_add", Callee::Function(Function::DateAdd)),
    ("date_is_future", Callee::Function(Function::DateIsFuture)),
    ("date_is_past", Callee::Function(Function::DateIsPast)),
    ("days_until", Callee::Function(Function::DaysUntil)),
    ("dict", Callee::Function(Function::Dict)),
    ("float", Callee::Operation(Operation::Float)),
    ("int", Callee::Operation(Operation::Int)),
    ("len", Callee::Operation(Operation::Length)),
    ("list", Callee::Operation(Operation::List)),
    ("lower", Callee::Operation(Operation::Lower)),
    ("max", Callee::Operation(Operation::Max)),
    ("min", Callee::Operation(Operation::Min)),
    ("namespace", Callee::Function(Function::Namespace)),
    ("now", Callee::Function(Function::Now)),
    ("range", Callee::Function(Function::Range)),
    ("round", Callee::Operation(Operation::Round)),
    ("sorted", Callee::Operation(Operation::Sort)),
    ("str", Callee::Operation(Operation::String)),
    ("sum", Callee::Operation(Operation::Sum)),
    ("today", Callee::Function(Function::Today)),
    ("upper", Callee::Operation(Operation::Upper)),
];

pub(super) fn named(name: &str) -> Option<Callee> {
    FUNCTIONS.iter().find(|(known, _)| *known == name).map(|(_, callee)| *callee)
}

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().map(|(name, _)| *name)
}

impl Function {
    pub(super) fn name(self) -> &'static str {
        let found = FUNCTIONS.iter().find(|(_, callee)| matches!(callee, Callee::Function(known) if *known == self));
        found.map_or("", |(name, _)| name)
    }
}

impl<'v> Run<'v> {
    pub(super) fn function(&mut self, function: Function, mut given: Given<'v>) -> Result<Val<'v>, EvalError> {
        let value = match function {
            Function::All | Function::Any => {
                let wanted = function == Function::Any;
                let items = given.required("items")?.items(&mut self.meter)?;
                Val::Bool(items.iter().any(|item| item.truthy() == wanted) == wanted)
            }
            Function::Now => Val::text(self.clock()?.now().written()),
            Function::Today => Val::text(self.clock()?.today().written()),
            Function::DateIsFuture => {
                let date = self.moment(&mut given)?;
                Val::Bool(self.clock()?.order(&date)?.is_gt())
            }
            Function::DateIsPast => {
                let date = self.moment(&mut given)?;
                Val::Bool(self.clock()?.order(&date)?.is_lt())
            }
            Function::DaysUntil => {
                let date = self.moment(&mut given)?;
                Val::Int(i128::from(self.clock()?.days_until(&date)?))
            }
            Function::DateAdd => self.date_add(&mut given)?,
            Function::Range => self.range(&mut given)?,
            Function::Dict => {
                let fields = given.named();
                let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
                Val::object(fields, &mut self.meter)?
            }
            Function::Namespace => self.namespace(&mut given)?,
        };
        given.finish()?;
        Ok(value)
    }

    fn moment(&mut self, given: &mut Given<'v>) -> Result<Moment, EvalError> {
        let value = given.required("date")?;
        self.clock()?.read(&value)
    }

    fn date_add(&mut self, given: &mut Given<'v>) -> Result<Val<'v>, EvalError> {
        let date = self.moment(given)?;
        match given.required("days")? {
            Val::Int(days) => Ok(Val::text(date.plus_days(days)?.written())),
            other => Err(given.wrong("days", "a whole number", &other)),
        }
    }

    fn range(&mut self, given: &mut Given<'v>) -> Result<Val<'v>, EvalError> {
        let mut bounds = Vec::new();
        for value in given.rest() {
            match value.there()? {
                Val::Int(number) => bounds.push(number),
                other => return Err(given.wrong("stop", "a whole number", &other)),
            }
        }
        let (start, stop, step) = match *bounds {
            [stop] => (0, stop, 1),
            [start, stop] => (start, stop, 1),
            [start, stop, step] if step != 0 => (start, stop, step),
            [_, _, _] => return Err(EvalError::bad_value("`range` cannot step by 0")),
            _ => return Err(EvalError::bad_value("`range` takes a stop, or a start, a stop and a step")),
        };
        let numbers = std::iter::successors(Some(start), |at: &i128| at.checked_add(step))
            .take_while(|at| if step > 0 { *at < stop } else { *at > stop })
            .take(Limit::RANGE_MAX + 1);
        let numbers: Vec<Val<'v>> = numbers.map(Val::Int).collect();
        if numbers.len() > Limit::RANGE_MAX {
            let message = format!("`range` gives at most {} numbers", Limit::RANGE_MAX);
            return Err(EvalError::new(Code::Limit, message));
        }
        self.meter.steps(numbers.len())?;
        Val::list(numbers, &mut self.meter)
    }

    fn namespace(&mut self, given: &mut Given<'v>) -> Result<Val<'v>, EvalError> {
        let mut fields = BTreeMap::new();
        for (name, value) in given.named() {
            // Checked as an object would be: a namespace holds no namespace.
            Val::object(BTreeMap::from([(String::new(), value.clone())]), &mut self.meter)?;
            fields.insert(name.to_owned(), value);
        }
        Ok(Val::Namespace(Rc::new(RefCell::new(fields))))
    }
}
