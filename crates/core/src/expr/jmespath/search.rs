//! Evaluation: borrowed where it can be, copied where it must be, counted everywhere.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::node::Node;
use super::token::Comparator;
use crate::expr::compare::{equal, order_numbers};
use crate::expr::error::EvalError;
use crate::expr::meter::Meter;
use crate::expr::names::{self, Names};
use crate::expr::path::means_whole_step;
use crate::expr::slice::Slice;

/// What an expression is evaluated on: a run's names at the root, a JSON value below it.
#[derive(Clone, Copy)]
pub(super) enum Scope<'v> {
    Names(&'v dyn Names),
    Json(&'v Value),
}

pub(super) type Found<'v> = Result<Cow<'v, Value>, EvalError>;

const NULL: Cow<'static, Value> = Cow::Owned(Value::Null);

/// One evaluation.
pub(super) struct Search {
    pub(super) meter: Meter,
}

impl Search {
    pub(super) fn new() -> Self {
        Self { meter: Meter::new() }
    }

    pub(super) fn eval<'v>(&mut self, node: &'v Node, scope: Scope<'v>) -> Found<'v> {
        self.meter.enter()?;
        let found = match node {
            Node::Current => self.current(scope),
            Node::Literal(value) => Ok(Cow::Borrowed(value)),
            Node::Field(name) => field(name, scope),
            Node::Bare(name, literal) => Ok(bare(name, literal, scope)),
            Node::Index(_) | Node::Slice(_) => {
                let current = self.current(scope)?;
                self.step(node, current)
            }
            Node::Chain(parts) => self.chain(parts, scope),
            Node::Or(parts) => self.first(parts, scope, true),
            Node::And(parts) => self.first(parts, scope, false),
            Node::Not(node) => Ok(flag(!truthy(self.eval(node, scope)?.as_ref()))),
            Node::Compare(comparator, sides) => self.compare(*comparator, &sides.0, &sides.1, scope),
            Node::Project(parts) => self.project(&parts.0, None, &parts.1, scope),
            Node::Filter(parts) => self.project(&parts.0, Some(&parts.1), &parts.2, scope),
            Node::Flatten(list) => self.flatten(list, scope),
            Node::Values(object) => self.values(object, scope),
            Node::List(items) => self.list(items, scope),
            Node::Object(fields) => self.object(fields, scope),
            Node::Call(function, arguments) => self.call(*function, arguments, scope),
            Node::Reference(_) => Ok(NULL),
        };
        self.meter.leave();
        found
    }

    /// The value as one of our own, copied if it was borrowed.
    pub(super) fn own(&mut self, value: Cow<'_, Value>) -> Result<Value, EvalError> {
        match value {
            Cow::Borrowed(value) => self.meter.copy(value),
            Cow::Owned(value) => Ok(value),
        }
    }

    /// `@`: at the root, an object of every name there is.
    fn current<'v>(&mut self, scope: Scope<'v>) -> Found<'v> {
        match scope {
            Scope::Json(value) => Ok(Cow::Borrowed(value)),
            Scope::Names(names) => {
                let mut all = Map::new();
                for name in names.known() {
                    if let Some(value) = names.lookup(&name) {
                        all.insert(name, self.own(value)?);
                    }
                }
                Ok(Cow::Owned(Value::Object(all)))
            }
        }
    }

    fn chain<'v>(&mut self, parts: &'v [Node], scope: Scope<'v>) -> Found<'v> {
        let mut parts = parts;
        while let [Node::Current, rest @ ..] = parts {
            if rest.is_empty() {
                break;
            }
            parts = rest;
        }
        let Some((first, mut rest)) = parts.split_first() else {
            return self.current(scope);
        };
        let mut value = self.eval(first, scope)?;
        if let (Scope::Names(names), Node::Field(root), [Node::Field(field), below @ ..]) = (scope, first, rest)
            && means_whole_step(names, root, field, &value)
        {
            rest = below;
        }
        for part in rest {
            value = self.step(part, value)?;
        }
        Ok(value)
    }

    /// Evaluates on a value, taking its parts out where it is ours.
    pub(super) fn step<'v>(&mut self, node: &'v Node, value: Cow<'v, Value>) -> Found<'v> {
        self.meter.steps(1)?;
        Ok(match (node, value) {
            (Node::Current, value) => value,
            (Node::Field(name), Cow::Borrowed(value)) => value.get(name).map_or(NULL, Cow::Borrowed),
            (Node::Field(name), Cow::Owned(mut value)) => {
                value.get_mut(name).map_or(NULL, |field| Cow::Owned(field.take()))
            }
            (Node::Index(index), Cow::Borrowed(value)) => {
                place(value, *index).and_then(|at| value.get(at)).map_or(NULL, Cow::Borrowed)
            }
            (Node::Index(index), Cow::Owned(mut value)) => {
                place(&value, *index).and_then(|at| value.get_mut(at)).map_or(NULL, |item| Cow::Owned(item.take()))
            }
            (Node::Slice(slice), value) => self.slice(*slice, &value)?,
            (node, Cow::Borrowed(value)) => self.eval(node, Scope::Json(value))?,
            (node, Cow::Owned(value)) => Cow::Owned(self.on_owned(node, &value)?),
        })
    }

    /// Evaluates on a value that will not outlive the call, so the result is copied out of it.
    pub(super) fn on_owned(&mut self, node: &Node, value: &Value) -> Result<Value, EvalError> {
        let found = self.eval(node, Scope::Json(value))?;
        self.own(found)
    }

    /// The first part that is true (`||`) or is not (`&&`), else the last.
    fn first<'v>(&mut self, parts: &'v [Node], scope: Scope<'v>, wanted: bool) -> Found<'v> {
        let mut value = NULL;
        for part in parts {
            value = self.eval(part, scope)?;
            if truthy(&value) == wanted {
                break;
            }
        }
        Ok(value)
    }

    fn compare<'v>(&mut self, comparator: Comparator, left: &'v Node, right: &'v Node, scope: Scope<'v>) -> Found<'v> {
        let left = self.eval(left, scope)?;
        let right = self.eval(right, scope)?;
        let ordering = match (left.as_ref(), right.as_ref()) {
            (Value::Number(a), Value::Number(b)) => order_numbers(a, b),
            _ => None,
        };
        Ok(match (comparator, ordering) {
            (Comparator::Equal, _) => flag(equal(&left, &right, &mut self.meter)?),
            (Comparator::NotEqual, _) => flag(!equal(&left, &right, &mut self.meter)?),
            (Comparator::Less, Some(ordering)) => flag(ordering.is_lt()),
            (Comparator::LessOrEqual, Some(ordering)) => flag(ordering.is_le()),
            (Comparator::Greater, Some(ordering)) => flag(ordering.is_gt()),
            (Comparator::GreaterOrEqual, Some(ordering)) => flag(ordering.is_ge()),
            // Only numbers have an order.
            (Comparator::Less | Comparator::LessOrEqual | Comparator::Greater | Comparator::GreaterOrEqual, None) => {
                NULL
            }
        })
    }

    fn project<'v>(&mut self, list: &'v Node, wanted: Option<&'v Node>, each: &'v Node, scope: Scope<'v>) -> Found<'v> {
        let mut kept = Vec::new();
        match self.eval(list, scope)? {
            Cow::Borrowed(Value::Array(items)) => {
                for item in items {
                    if self.is_wanted(wanted, item)? {
                        let value = self.step(each, Cow::Borrowed(item))?;
                        self.keep(value, &mut kept)?;
                    }
                }
            }
            Cow::Owned(Value::Array(items)) => {
                for item in items {
                    if self.is_wanted(wanted, &item)? {
                        let value = self.step(each, Cow::Owned(item))?;
                        self.keep(value, &mut kept)?;
                    }
                }
            }
            Cow::Borrowed(_) | Cow::Owned(_) => return Ok(NULL),
        }
        Ok(Cow::Owned(Value::Array(kept)))
    }

    fn is_wanted(&mut self, wanted: Option<&Node>, item: &Value) -> Result<bool, EvalError> {
        match wanted {
            None => Ok(true),
            Some(wanted) => Ok(truthy(self.eval(wanted, Scope::Json(item))?.as_ref())),
        }
    }

    fn keep(&mut self, value: Cow<'_, Value>, kept: &mut Vec<Value>) -> Result<(), EvalError> {
        if !value.is_null() {
            self.meter.grow(size_of::<Value>())?;
            kept.push(self.own(value)?);
        }
        Ok(())
    }

    fn flatten<'v>(&mut self, list: &'v Node, scope: Scope<'v>) -> Found<'v> {
        let list = self.eval(list, scope)?;
        let Value::Array(items) = list.as_ref() else {
            return Ok(NULL);
        };
        // With nothing to unfold the list is its own flat form, and need not be copied.
        if !items.iter().any(Value::is_array) {
            self.meter.steps(items.len())?;
            return Ok(list);
        }
        let mut flat = Vec::new();
        for item in self.items(list)? {
            match item {
                Value::Array(inner) => flat.extend(inner),
                single => flat.push(single),
            }
        }
        self.meter.grow(flat.len() * size_of::<Value>())?;
        Ok(Cow::Owned(Value::Array(flat)))
    }

    /// The items of a list, as ours; none of anything else.
    pub(super) fn items(&mut self, list: Cow<'_, Value>) -> Result<Vec<Value>, EvalError> {
        match self.own(list)? {
            Value::Array(items) => Ok(items),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => Ok(Vec::new()),
        }
    }

    fn values<'v>(&mut self, object: &'v Node, scope: Scope<'v>) -> Found<'v> {
        let object = self.eval(object, scope)?;
        if !object.is_object() {
            return Ok(NULL);
        }
        match self.own(object)? {
            Value::Object(fields) => {
                self.meter.grow(fields.len() * size_of::<Value>())?;
                Ok(Cow::Owned(fields.into_iter().map(|(_, value)| value).collect()))
            }
            _ => Ok(NULL),
        }
    }

    fn list<'v>(&mut self, items: &'v [Node], scope: Scope<'v>) -> Found<'v> {
        if is_null(scope) {
            return Ok(NULL);
        }
        self.meter.grow(items.len() * size_of::<Value>())?;
        let mut list = Vec::with_capacity(items.len());
        for item in items {
            let value = self.eval(item, scope)?;
            list.push(self.own(value)?);
        }
        Ok(Cow::Owned(Value::Array(list)))
    }

    fn object<'v>(&mut self, fields: &'v [(String, Node)], scope: Scope<'v>) -> Found<'v> {
        if is_null(scope) {
            return Ok(NULL);
        }
        let mut object = Map::new();
        for (key, node) in fields {
            self.meter.grow(size_of::<Value>() + key.len())?;
            let value = self.eval(node, scope)?;
            object.insert(key.clone(), self.own(value)?);
        }
        Ok(Cow::Owned(Value::Object(object)))
    }

    fn slice<'v>(&mut self, slice: Slice, value: &Value) -> Found<'v> {
        let Value::Array(items) = value else {
            return Ok(NULL);
        };
        let mut kept = Vec::new();
        for at in slice.places(items.len()) {
            if let Some(item) = items.get(at) {
                kept.push(self.meter.copy(item)?);
            }
        }
        Ok(Cow::Owned(Value::Array(kept)))
    }
}

fn field<'v>(name: &str, scope: Scope<'v>) -> Found<'v> {
    match scope {
        Scope::Names(names) => names::root(names, name),
        Scope::Json(value) => Ok(value.get(name).map_or(NULL, Cow::Borrowed)),
    }
}

fn bare<'v>(name: &str, literal: &'v Value, scope: Scope<'v>) -> Cow<'v, Value> {
    let found = match scope {
        Scope::Names(names) => names.lookup(name),
        Scope::Json(value) => value.get(name).map(Cow::Borrowed),
    };
    found.unwrap_or(Cow::Borrowed(literal))
}

/// Where an index points in a list, counted from the end if it is negative.
fn place(value: &Value, index: i64) -> Option<usize> {
    let len = value.as_array()?.len();
    match usize::try_from(index) {
        Ok(at) => Some(at),
        Err(_) => len.checked_sub(usize::try_from(index.unsigned_abs()).ok()?),
    }
}

fn is_null(scope: Scope<'_>) -> bool {
    matches!(scope, Scope::Json(Value::Null))
}

fn flag(value: bool) -> Cow<'static, Value> {
    Cow::Owned(Value::Bool(value))
}

/// Truth as JMESPath sees it: zero is true.
pub(super) fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(_) => true,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}
