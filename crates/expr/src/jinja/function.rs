//! Functions: the current time, dates, ranges, and some filters under their Python names.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::arguments::EvaluatedArguments;
use super::date_or_time::DateOrTime;
use super::evaluator::JinjaEvaluator;
use super::operation::ValueOperation;
use super::value::JinjaValue;
use crate::error::{EvalError, EvalErrorCode};
use crate::meter::ExprLimits;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JinjaFunction {
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

/// The meaning of a name in front of brackets.
#[derive(Debug, Clone, Copy)]
pub(super) enum JinjaCallee {
    Function(JinjaFunction),
    /// The operation is applied to the first argument.
    Operation(ValueOperation),
}

const FUNCTIONS: &[(&str, JinjaCallee)] = &[
    ("abs", JinjaCallee::Operation(ValueOperation::Abs)),
    ("all", JinjaCallee::Function(JinjaFunction::All)),
    ("any", JinjaCallee::Function(JinjaFunction::Any)),
    ("bool", JinjaCallee::Operation(ValueOperation::Bool)),
    ("date_add", JinjaCallee::Function(JinjaFunction::DateAdd)),
    ("date_is_future", JinjaCallee::Function(JinjaFunction::DateIsFuture)),
    ("date_is_past", JinjaCallee::Function(JinjaFunction::DateIsPast)),
    ("days_until", JinjaCallee::Function(JinjaFunction::DaysUntil)),
    ("dict", JinjaCallee::Function(JinjaFunction::Dict)),
    ("float", JinjaCallee::Operation(ValueOperation::Float)),
    ("int", JinjaCallee::Operation(ValueOperation::Int)),
    ("len", JinjaCallee::Operation(ValueOperation::Length)),
    ("list", JinjaCallee::Operation(ValueOperation::List)),
    ("lower", JinjaCallee::Operation(ValueOperation::Lower)),
    ("max", JinjaCallee::Operation(ValueOperation::Max)),
    ("min", JinjaCallee::Operation(ValueOperation::Min)),
    ("namespace", JinjaCallee::Function(JinjaFunction::Namespace)),
    ("now", JinjaCallee::Function(JinjaFunction::Now)),
    ("range", JinjaCallee::Function(JinjaFunction::Range)),
    ("round", JinjaCallee::Operation(ValueOperation::Round)),
    ("sorted", JinjaCallee::Operation(ValueOperation::Sort)),
    ("str", JinjaCallee::Operation(ValueOperation::String)),
    ("sum", JinjaCallee::Operation(ValueOperation::Sum)),
    ("today", JinjaCallee::Function(JinjaFunction::Today)),
    ("upper", JinjaCallee::Operation(ValueOperation::Upper)),
];

pub(super) fn named(name: &str) -> Option<JinjaCallee> {
    FUNCTIONS.iter().find(|(known, _)| *known == name).map(|(_, callee)| *callee)
}

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().map(|(name, _)| *name)
}

impl JinjaFunction {
    pub(super) fn name(self) -> &'static str {
        let found =
            FUNCTIONS.iter().find(|(_, callee)| matches!(callee, JinjaCallee::Function(known) if *known == self));
        found.map_or("", |(name, _)| name)
    }
}

impl<'v> JinjaEvaluator<'v> {
    pub(super) fn function(
        &mut self,
        function: JinjaFunction,
        mut given: EvaluatedArguments<'v>,
    ) -> Result<JinjaValue<'v>, EvalError> {
        let value = match function {
            JinjaFunction::All | JinjaFunction::Any => {
                let wanted = function == JinjaFunction::Any;
                let items = given.required("items")?.items(&mut self.meter)?;
                JinjaValue::Bool(items.iter().any(|item| item.truthy() == wanted) == wanted)
            }
            JinjaFunction::Now => JinjaValue::text(self.clock()?.now().to_iso8601()),
            JinjaFunction::Today => JinjaValue::text(self.clock()?.today().to_iso8601()),
            JinjaFunction::DateIsFuture => {
                let date = self.moment(&mut given)?;
                JinjaValue::Bool(self.clock()?.order(&date)?.is_gt())
            }
            JinjaFunction::DateIsPast => {
                let date = self.moment(&mut given)?;
                JinjaValue::Bool(self.clock()?.order(&date)?.is_lt())
            }
            JinjaFunction::DaysUntil => {
                let date = self.moment(&mut given)?;
                JinjaValue::Int(i128::from(self.clock()?.days_until(&date)?))
            }
            JinjaFunction::DateAdd => self.date_add(&mut given)?,
            JinjaFunction::Range => self.range(&mut given)?,
            JinjaFunction::Dict => {
                let fields = given.named();
                let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
                JinjaValue::object(fields, &mut self.meter)?
            }
            JinjaFunction::Namespace => self.namespace(&mut given)?,
        };
        given.finish()?;
        Ok(value)
    }

    fn moment(&mut self, given: &mut EvaluatedArguments<'v>) -> Result<DateOrTime, EvalError> {
        let value = given.required("date")?;
        self.clock()?.read(&value)
    }

    fn date_add(&mut self, given: &mut EvaluatedArguments<'v>) -> Result<JinjaValue<'v>, EvalError> {
        let date = self.moment(given)?;
        match given.required("days")? {
            JinjaValue::Int(days) => Ok(JinjaValue::text(date.plus_days(days)?.to_iso8601())),
            other => Err(given.type_error("days", "a whole number", &other)),
        }
    }

    fn range(&mut self, given: &mut EvaluatedArguments<'v>) -> Result<JinjaValue<'v>, EvalError> {
        let mut bounds = Vec::new();
        for value in given.rest() {
            match value.require_present()? {
                JinjaValue::Int(number) => bounds.push(number),
                other => return Err(given.type_error("stop", "a whole number", &other)),
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
            .take(ExprLimits::RANGE_MAX + 1);
        let numbers: Vec<JinjaValue<'v>> = numbers.map(JinjaValue::Int).collect();
        if numbers.len() > ExprLimits::RANGE_MAX {
            let message = format!("`range` gives at most {} numbers", ExprLimits::RANGE_MAX);
            return Err(EvalError::new(EvalErrorCode::Limit, message));
        }
        self.meter.charge_steps(numbers.len())?;
        JinjaValue::list(numbers, &mut self.meter)
    }

    fn namespace(&mut self, given: &mut EvaluatedArguments<'v>) -> Result<JinjaValue<'v>, EvalError> {
        let mut fields = BTreeMap::new();
        for (name, value) in given.named() {
            // Checked as for an object: a namespace cannot contain a namespace.
            JinjaValue::object(BTreeMap::from([(String::new(), value.clone())]), &mut self.meter)?;
            fields.insert(name.to_owned(), value);
        }
        Ok(JinjaValue::Namespace(Rc::new(RefCell::new(fields))))
    }
}
