//! Evaluation: borrows where possible, copies where necessary, and charges for everything.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::node::JmesPathNode;
use super::token::JmesPathComparator;
use crate::compare::{equal, order_numbers};
use crate::context::{self, EvalContext};
use crate::error::EvalError;
use crate::meter::EvalMeter;
use crate::path::is_whole_step_output;
use crate::slice::ListSlice;

/// The subject of an expression: a run's names at the root, a JSON value below it.
#[derive(Clone, Copy)]
pub(super) enum JmesPathScope<'v> {
    Names(&'v dyn EvalContext),
    Json(&'v Value),
}

pub(super) type JmesPathResult<'v> = Result<Cow<'v, Value>, EvalError>;

const NULL: Cow<'static, Value> = Cow::Owned(Value::Null);

/// One evaluation.
pub(super) struct JmesPathEvaluator {
    pub(super) meter: EvalMeter,
}

impl JmesPathEvaluator {
    pub(super) fn new() -> Self {
        Self { meter: EvalMeter::new() }
    }

    pub(super) fn eval<'v>(&mut self, node: &'v JmesPathNode, scope: JmesPathScope<'v>) -> JmesPathResult<'v> {
        self.meter.enter()?;
        let found = match node {
            JmesPathNode::Current => self.current(scope),
            JmesPathNode::Literal(value) => Ok(Cow::Borrowed(value)),
            JmesPathNode::Field(name) => field(name, scope),
            JmesPathNode::Bare(name, literal) => Ok(bare(name, literal, scope)),
            JmesPathNode::Index(_) | JmesPathNode::Slice(_) => {
                let current = self.current(scope)?;
                self.step(node, current)
            }
            JmesPathNode::Chain(parts) => self.chain(parts, scope),
            JmesPathNode::Or(parts) => self.short_circuit(parts, scope, true),
            JmesPathNode::And(parts) => self.short_circuit(parts, scope, false),
            JmesPathNode::Not(node) => Ok(flag(!truthy(self.eval(node, scope)?.as_ref()))),
            JmesPathNode::Compare(comparator, sides) => self.compare(*comparator, &sides.0, &sides.1, scope),
            JmesPathNode::Project(parts) => self.project(&parts.0, None, &parts.1, scope),
            JmesPathNode::Filter(parts) => self.project(&parts.0, Some(&parts.1), &parts.2, scope),
            JmesPathNode::Flatten(list) => self.flatten(list, scope),
            JmesPathNode::Values(object) => self.values(object, scope),
            JmesPathNode::List(items) => self.list(items, scope),
            JmesPathNode::Object(fields) => self.object(fields, scope),
            JmesPathNode::Call(function, arguments) => self.call(*function, arguments, scope),
            JmesPathNode::Reference(_) => Ok(NULL),
        };
        self.meter.leave();
        found
    }

    /// Returns an owned value, copied if it was borrowed.
    pub(super) fn owned_value(&mut self, value: Cow<'_, Value>) -> Result<Value, EvalError> {
        match value {
            Cow::Borrowed(value) => self.meter.copy(value),
            Cow::Owned(value) => Ok(value),
        }
    }

    /// Evaluates `@`: at the root, an object of all known names.
    fn current<'v>(&mut self, scope: JmesPathScope<'v>) -> JmesPathResult<'v> {
        match scope {
            JmesPathScope::Json(value) => Ok(Cow::Borrowed(value)),
            JmesPathScope::Names(names) => {
                let mut all = Map::new();
                for name in names.known_names() {
                    if let Some(value) = names.lookup(&name) {
                        all.insert(name, self.owned_value(value)?);
                    }
                }
                Ok(Cow::Owned(Value::Object(all)))
            }
        }
    }

    fn chain<'v>(&mut self, parts: &'v [JmesPathNode], scope: JmesPathScope<'v>) -> JmesPathResult<'v> {
        let mut parts = parts;
        while let [JmesPathNode::Current, rest @ ..] = parts {
            if rest.is_empty() {
                break;
            }
            parts = rest;
        }
        let Some((first, mut rest)) = parts.split_first() else {
            return self.current(scope);
        };
        let mut value = self.eval(first, scope)?;
        if let (JmesPathScope::Names(names), JmesPathNode::Field(root), [JmesPathNode::Field(field), below @ ..]) =
            (scope, first, rest)
            && is_whole_step_output(names, root, field, &value)
        {
            rest = below;
        }
        for part in rest {
            value = self.step(part, value)?;
        }
        Ok(value)
    }

    /// Evaluates on a value, moving its parts out if it is owned.
    pub(super) fn step<'v>(&mut self, node: &'v JmesPathNode, value: Cow<'v, Value>) -> JmesPathResult<'v> {
        self.meter.charge_steps(1)?;
        Ok(match (node, value) {
            (JmesPathNode::Current, value) => value,
            (JmesPathNode::Field(name), Cow::Borrowed(value)) => value.get(name).map_or(NULL, Cow::Borrowed),
            (JmesPathNode::Field(name), Cow::Owned(mut value)) => {
                value.get_mut(name).map_or(NULL, |field| Cow::Owned(field.take()))
            }
            (JmesPathNode::Index(index), Cow::Borrowed(value)) => {
                place(value, *index).and_then(|at| value.get(at)).map_or(NULL, Cow::Borrowed)
            }
            (JmesPathNode::Index(index), Cow::Owned(mut value)) => {
                place(&value, *index).and_then(|at| value.get_mut(at)).map_or(NULL, |item| Cow::Owned(item.take()))
            }
            (JmesPathNode::Slice(slice), value) => self.slice(*slice, &value)?,
            (node, Cow::Borrowed(value)) => self.eval(node, JmesPathScope::Json(value))?,
            (node, Cow::Owned(value)) => Cow::Owned(self.on_owned(node, &value)?),
        })
    }

    /// Evaluates on a value that does not outlive the call, so the result is copied.
    pub(super) fn on_owned(&mut self, node: &JmesPathNode, value: &Value) -> Result<Value, EvalError> {
        let found = self.eval(node, JmesPathScope::Json(value))?;
        self.owned_value(found)
    }

    /// Returns the first part that is true (`||`) or false (`&&`), otherwise the last.
    fn short_circuit<'v>(
        &mut self,
        parts: &'v [JmesPathNode],
        scope: JmesPathScope<'v>,
        wanted: bool,
    ) -> JmesPathResult<'v> {
        let mut value = NULL;
        for part in parts {
            value = self.eval(part, scope)?;
            if truthy(&value) == wanted {
                break;
            }
        }
        Ok(value)
    }

    fn compare<'v>(
        &mut self,
        comparator: JmesPathComparator,
        left: &'v JmesPathNode,
        right: &'v JmesPathNode,
        scope: JmesPathScope<'v>,
    ) -> JmesPathResult<'v> {
        let left = self.eval(left, scope)?;
        let right = self.eval(right, scope)?;
        let ordering = match (left.as_ref(), right.as_ref()) {
            (Value::Number(a), Value::Number(b)) => order_numbers(a, b),
            _ => None,
        };
        Ok(match (comparator, ordering) {
            (JmesPathComparator::Equal, _) => flag(equal(&left, &right, &mut self.meter)?),
            (JmesPathComparator::NotEqual, _) => flag(!equal(&left, &right, &mut self.meter)?),
            (JmesPathComparator::Less, Some(ordering)) => flag(ordering.is_lt()),
            (JmesPathComparator::LessOrEqual, Some(ordering)) => flag(ordering.is_le()),
            (JmesPathComparator::Greater, Some(ordering)) => flag(ordering.is_gt()),
            (JmesPathComparator::GreaterOrEqual, Some(ordering)) => flag(ordering.is_ge()),
            // Only numbers have an order.
            (
                JmesPathComparator::Less
                | JmesPathComparator::LessOrEqual
                | JmesPathComparator::Greater
                | JmesPathComparator::GreaterOrEqual,
                None,
            ) => NULL,
        })
    }

    fn project<'v>(
        &mut self,
        list: &'v JmesPathNode,
        wanted: Option<&'v JmesPathNode>,
        each: &'v JmesPathNode,
        scope: JmesPathScope<'v>,
    ) -> JmesPathResult<'v> {
        let mut kept = Vec::new();
        match self.eval(list, scope)? {
            Cow::Borrowed(Value::Array(items)) => {
                for item in items {
                    if self.passes_filter(wanted, item)? {
                        let value = self.step(each, Cow::Borrowed(item))?;
                        self.push_result(value, &mut kept)?;
                    }
                }
            }
            Cow::Owned(Value::Array(items)) => {
                for item in items {
                    if self.passes_filter(wanted, &item)? {
                        let value = self.step(each, Cow::Owned(item))?;
                        self.push_result(value, &mut kept)?;
                    }
                }
            }
            Cow::Borrowed(_) | Cow::Owned(_) => return Ok(NULL),
        }
        Ok(Cow::Owned(Value::Array(kept)))
    }

    fn passes_filter(&mut self, wanted: Option<&JmesPathNode>, item: &Value) -> Result<bool, EvalError> {
        match wanted {
            None => Ok(true),
            Some(wanted) => Ok(truthy(self.eval(wanted, JmesPathScope::Json(item))?.as_ref())),
        }
    }

    fn push_result(&mut self, value: Cow<'_, Value>, kept: &mut Vec<Value>) -> Result<(), EvalError> {
        if !value.is_null() {
            self.meter.charge_growth(size_of::<Value>())?;
            kept.push(self.owned_value(value)?);
        }
        Ok(())
    }

    fn flatten<'v>(&mut self, list: &'v JmesPathNode, scope: JmesPathScope<'v>) -> JmesPathResult<'v> {
        let list = self.eval(list, scope)?;
        let Value::Array(items) = list.as_ref() else {
            return Ok(NULL);
        };
        // If there is nothing to flatten, the list is its own flat form and need not be copied.
        if !items.iter().any(Value::is_array) {
            self.meter.charge_steps(items.len())?;
            return Ok(list);
        }
        let mut flat = Vec::new();
        for item in self.items(list)? {
            match item {
                Value::Array(inner) => flat.extend(inner),
                single => flat.push(single),
            }
        }
        self.meter.charge_growth(flat.len() * size_of::<Value>())?;
        Ok(Cow::Owned(Value::Array(flat)))
    }

    /// Returns the items of a list, owned; empty for anything else.
    pub(super) fn items(&mut self, list: Cow<'_, Value>) -> Result<Vec<Value>, EvalError> {
        match self.owned_value(list)? {
            Value::Array(items) => Ok(items),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => Ok(Vec::new()),
        }
    }

    fn values<'v>(&mut self, object: &'v JmesPathNode, scope: JmesPathScope<'v>) -> JmesPathResult<'v> {
        let object = self.eval(object, scope)?;
        if !object.is_object() {
            return Ok(NULL);
        }
        match self.owned_value(object)? {
            Value::Object(fields) => {
                self.meter.charge_growth(fields.len() * size_of::<Value>())?;
                Ok(Cow::Owned(fields.into_iter().map(|(_, value)| value).collect()))
            }
            _ => Ok(NULL),
        }
    }

    fn list<'v>(&mut self, items: &'v [JmesPathNode], scope: JmesPathScope<'v>) -> JmesPathResult<'v> {
        if is_null(scope) {
            return Ok(NULL);
        }
        self.meter.charge_growth(items.len() * size_of::<Value>())?;
        let mut list = Vec::with_capacity(items.len());
        for item in items {
            let value = self.eval(item, scope)?;
            list.push(self.owned_value(value)?);
        }
        Ok(Cow::Owned(Value::Array(list)))
    }

    fn object<'v>(&mut self, fields: &'v [(String, JmesPathNode)], scope: JmesPathScope<'v>) -> JmesPathResult<'v> {
        if is_null(scope) {
            return Ok(NULL);
        }
        let mut object = Map::new();
        for (key, node) in fields {
            self.meter.charge_growth(size_of::<Value>() + key.len())?;
            let value = self.eval(node, scope)?;
            object.insert(key.clone(), self.owned_value(value)?);
        }
        Ok(Cow::Owned(Value::Object(object)))
    }

    fn slice<'v>(&mut self, slice: ListSlice, value: &Value) -> JmesPathResult<'v> {
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

fn field<'v>(name: &str, scope: JmesPathScope<'v>) -> JmesPathResult<'v> {
    match scope {
        JmesPathScope::Names(names) => context::lookup_root(names, name),
        JmesPathScope::Json(value) => Ok(value.get(name).map_or(NULL, Cow::Borrowed)),
    }
}

fn bare<'v>(name: &str, literal: &'v Value, scope: JmesPathScope<'v>) -> Cow<'v, Value> {
    let found = match scope {
        JmesPathScope::Names(names) => names.lookup(name),
        JmesPathScope::Json(value) => value.get(name).map(Cow::Borrowed),
    };
    found.unwrap_or(Cow::Borrowed(literal))
}

/// Returns the position that an index names in a list, counted from the end if it is negative.
fn place(value: &Value, index: i64) -> Option<usize> {
    let len = value.as_array()?.len();
    match usize::try_from(index) {
        Ok(at) => Some(at),
        Err(_) => len.checked_sub(usize::try_from(index.unsigned_abs()).ok()?),
    }
}

fn is_null(scope: JmesPathScope<'_>) -> bool {
    matches!(scope, JmesPathScope::Json(Value::Null))
}

fn flag(value: bool) -> Cow<'static, Value> {
    Cow::Owned(Value::Bool(value))
}

/// Returns the truth of a value, as in JMESPath: zero is true.
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
