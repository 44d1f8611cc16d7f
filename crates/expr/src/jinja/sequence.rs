//! Operations on lists and other values with items.

use super::arguments::EvaluatedArguments;
use super::arithmetic::{arithmetic, equal, float};
use super::evaluator::JinjaEvaluator;
use super::missing_value::MissingValue;
use super::node::ArithmeticOp;
use super::operation::{ValueOperation, ValueTest};
use super::value::{JinjaText, JinjaValue};
use crate::error::EvalError;

impl<'v> JinjaEvaluator<'v> {
    pub(super) fn with_items(
        &mut self,
        operation: ValueOperation,
        value: JinjaValue<'v>,
        given: &mut EvaluatedArguments<'v>,
    ) -> Result<JinjaValue<'v>, EvalError> {
        let items = match (operation, &value) {
            (ValueOperation::Cycle, _) => return self.cycle(&value, given),
            (ValueOperation::Count | ValueOperation::Index, JinjaValue::Text(text)) => {
                return self.count_in(operation, text, given);
            }
            (ValueOperation::Reverse, JinjaValue::Text(text)) => {
                self.meter.charge_growth(text.len())?;
                return Ok(JinjaValue::text(text.chars().rev().collect::<String>()));
            }
            // `min(a, b)` compares its arguments, `min(items)` the items.
            (ValueOperation::Max | ValueOperation::Min, JinjaValue::Int(_) | JinjaValue::Float(_)) => {
                let mut items = vec![value];
                items.extend(given.rest());
                items
            }
            _ => self.items_for(operation, &value)?,
        };
        let made = match operation {
            ValueOperation::First => return self.end_of(operation, items.into_iter().next()),
            ValueOperation::Last => return self.end_of(operation, items.into_iter().next_back()),
            ValueOperation::Max | ValueOperation::Min => return self.extreme(operation, items, given),
            ValueOperation::Sum => return self.sum(items, given),
            ValueOperation::Join => {
                let between = given.text("d")?.unwrap_or(JinjaText::Borrowed(""));
                let items = self.attributes(items, given)?;
                return self.joined(&items, &between);
            }
            ValueOperation::Count | ValueOperation::Index => return self.position(operation, &items, given),
            ValueOperation::Batch => self.batches(items, given)?,
            ValueOperation::GroupBy => self.groups(items, given)?,
            ValueOperation::Map => self.mapped(items, given)?,
            ValueOperation::Select | ValueOperation::SelectAttribute => self.selected(operation, items, given, true)?,
            ValueOperation::Reject | ValueOperation::RejectAttribute => {
                self.selected(operation, items, given, false)?
            }
            ValueOperation::Sort => self.sorted(items, given)?,
            ValueOperation::Unique => self.unique(items, given)?,
            ValueOperation::Reverse => items.into_iter().rev().collect(),
            _ => items,
        };
        JinjaValue::list(made, &mut self.meter)
    }

    fn items_for(
        &mut self,
        operation: ValueOperation,
        value: &JinjaValue<'v>,
    ) -> Result<Vec<JinjaValue<'v>>, EvalError> {
        match value {
            JinjaValue::List(_) | JinjaValue::Json(_) | JinjaValue::Object(_) | JinjaValue::Text(_) => {
                value.items(&mut self.meter)
            }
            other => {
                let error = EvalError::wrong_type(format!("`{}` wants a list, not {}", operation.name(), other.kind()));
                Err(match other {
                    JinjaValue::Null => error.hint("give a default: `value|default([], true)`"),
                    _ => error,
                })
            }
        }
    }

    pub(super) fn end_of(
        &self,
        operation: ValueOperation,
        item: Option<JinjaValue<'v>>,
    ) -> Result<JinjaValue<'v>, EvalError> {
        Ok(item.unwrap_or_else(|| JinjaValue::Missing(MissingValue::End(operation.name()).into())))
    }

    fn count_in(
        &mut self,
        operation: ValueOperation,
        text: &str,
        given: &mut EvaluatedArguments<'v>,
    ) -> Result<JinjaValue<'v>, EvalError> {
        let part = given.required_text("part")?;
        self.meter.charge_read(text.len())?;
        match (operation, text.find(&*part)) {
            (ValueOperation::Count, _) => Ok(JinjaValue::count(text.matches(&*part).count())),
            (_, Some(at)) => Ok(JinjaValue::count(text[..at].chars().count())),
            (_, None) => Err(EvalError::bad_value("`index` did not find the part").hint("`find` gives -1 instead")),
        }
    }

    fn position(
        &mut self,
        operation: ValueOperation,
        items: &[JinjaValue<'v>],
        given: &mut EvaluatedArguments<'v>,
    ) -> Result<JinjaValue<'v>, EvalError> {
        let wanted = given.required("item")?;
        let mut places = Vec::new();
        for (at, item) in items.iter().enumerate() {
            if equal(item, &wanted, &mut self.meter)? {
                places.push(at);
            }
        }
        match (operation, places.first()) {
            (ValueOperation::Count, _) => Ok(JinjaValue::count(places.len())),
            (_, Some(at)) => Ok(JinjaValue::count(*at)),
            (_, None) => Err(EvalError::bad_value("`index` did not find the item").hint("ask with `in` first")),
        }
    }

    fn cycle(
        &mut self,
        value: &JinjaValue<'v>,
        given: &mut EvaluatedArguments<'v>,
    ) -> Result<JinjaValue<'v>, EvalError> {
        let JinjaValue::Loop(state) = value else {
            return Err(EvalError::wrong_type("only the loop can `cycle`").hint("write `loop.cycle('a', 'b')`"));
        };
        let choices = given.rest();
        match state.at.get().checked_rem(choices.len()).and_then(|at| choices.into_iter().nth(at)) {
            Some(choice) => choice.require_present(),
            None => Err(EvalError::bad_value("`cycle` has nothing to choose from")),
        }
    }

    fn batches(
        &mut self,
        items: Vec<JinjaValue<'v>>,
        given: &mut EvaluatedArguments<'v>,
    ) -> Result<Vec<JinjaValue<'v>>, EvalError> {
        let size = given.count("count")?.filter(|size| *size > 0);
        let size = size.ok_or_else(|| EvalError::bad_value("`batch` needs a count of 1 or more"))?;
        let fill = given.optional("fill").map(JinjaValue::require_present).transpose()?;
        let mut batches = Vec::new();
        for batch in items.chunks(size) {
            let mut batch = batch.to_vec();
            if let Some(fill) = &fill {
                let missing = size - batch.len();
                self.meter.charge_growth(missing.saturating_mul(size_of::<JinjaValue<'_>>()))?;
                batch.extend(std::iter::repeat_n(fill.clone(), missing));
            }
            batches.push(JinjaValue::list(batch, &mut self.meter)?);
        }
        Ok(batches)
    }

    /// Pairs of a key and the items with that key, in key order.
    fn groups(
        &mut self,
        items: Vec<JinjaValue<'v>>,
        given: &mut EvaluatedArguments<'v>,
    ) -> Result<Vec<JinjaValue<'v>>, EvalError> {
        let attribute = given.required_text("attribute")?;
        let default = given.optional("default");
        let mut keyed = Vec::new();
        for item in items {
            let key = self.attribute(&item, &attribute)?;
            let key = if key.is_missing() { default.clone().unwrap_or(key) } else { key };
            keyed.push((self.sort_key(&key.clone().require_present()?, true)?, key, item));
        }
        self.sort_by_key(&mut keyed, |entry| &entry.0)?;
        let mut groups: Vec<(JinjaValue<'v>, JinjaValue<'v>, Vec<JinjaValue<'v>>)> = Vec::new();
        for (sort_key, key, item) in keyed {
            match groups.last_mut() {
                Some((last, _, members)) if equal(last, &sort_key, &mut self.meter)? => members.push(item),
                _ => groups.push((sort_key, key, vec![item])),
            }
        }
        let mut pairs = Vec::new();
        for (_, key, members) in groups {
            let members = JinjaValue::list(members, &mut self.meter)?;
            pairs.push(JinjaValue::list(vec![key, members], &mut self.meter)?);
        }
        Ok(pairs)
    }

    fn mapped(
        &mut self,
        items: Vec<JinjaValue<'v>>,
        given: &mut EvaluatedArguments<'v>,
    ) -> Result<Vec<JinjaValue<'v>>, EvalError> {
        if let Some(filter) = given.text("filter")? {
            let operation = ValueOperation::filter(&filter).map_err(|error| EvalError::bad_value(error.message))?;
            let arguments = given.rest();
            self.meter.charge_steps(items.len().saturating_mul(arguments.len()))?;
            let mut mapped = Vec::with_capacity(items.len());
            for item in items {
                let given = EvaluatedArguments::new(operation.name(), arguments.clone(), Vec::new());
                self.meter.enter()?;
                mapped.push(self.apply(operation, item, given)?);
                self.meter.leave();
            }
            return Ok(mapped);
        }
        let default = given.named().into_iter().fold((None, None), |found, (name, value)| match name {
            "attribute" => (Some(value), found.1),
            "default" => (found.0, Some(value)),
            _ => found,
        });
        let (Some(attribute), default) = default else {
            return Err(
                EvalError::bad_value("`map` needs a filter or an attribute").hint("`people|map(attribute='name')`")
            );
        };
        let attribute = path_text(attribute)?;
        let mut mapped = Vec::with_capacity(items.len());
        for item in items {
            let value = self.attribute(&item, &attribute)?;
            mapped.push(if value.is_missing() { default.clone().unwrap_or(value) } else { value });
        }
        Ok(mapped)
    }

    fn selected(
        &mut self,
        operation: ValueOperation,
        items: Vec<JinjaValue<'v>>,
        given: &mut EvaluatedArguments<'v>,
        wanted: bool,
    ) -> Result<Vec<JinjaValue<'v>>, EvalError> {
        let by_attribute = matches!(operation, ValueOperation::SelectAttribute | ValueOperation::RejectAttribute);
        let attribute = if by_attribute { Some(given.required_text("attribute")?) } else { None };
        let test = match given.text("test")? {
            Some(name) => Some(ValueTest::named(&name).map_err(|error| EvalError::bad_value(error.message))?),
            None => None,
        };
        let arguments = given.rest();
        self.meter.charge_steps(items.len().saturating_mul(arguments.len()))?;
        let mut selected = Vec::new();
        for item in items {
            let tested = match &attribute {
                Some(attribute) => self.attribute(&item, attribute)?,
                None => item.clone(),
            };
            let holds = match test {
                Some(test) => {
                    self.test(test, &tested, EvaluatedArguments::new(test.name(), arguments.clone(), Vec::new()))?
                }
                None => tested.require_present()?.truthy(),
            };
            if holds == wanted {
                selected.push(item);
            }
        }
        Ok(selected)
    }

    fn sum(
        &mut self,
        items: Vec<JinjaValue<'v>>,
        given: &mut EvaluatedArguments<'v>,
    ) -> Result<JinjaValue<'v>, EvalError> {
        let items = self.attributes(items, given)?;
        let mut sum = given.optional("start").unwrap_or(JinjaValue::Int(0)).require_present()?;
        for item in items {
            if float(&item).is_none() {
                return Err(EvalError::wrong_type(format!(
                    "`sum` wants numbers and met {}",
                    item.require_present()?.kind()
                )));
            }
            sum = arithmetic(ArithmeticOp::Add, sum, item, &mut self.meter)?;
        }
        Ok(sum)
    }

    /// Returns the items, or one attribute of each if one is named.
    fn attributes(
        &mut self,
        items: Vec<JinjaValue<'v>>,
        given: &mut EvaluatedArguments<'v>,
    ) -> Result<Vec<JinjaValue<'v>>, EvalError> {
        match given.text("attribute")? {
            None => Ok(items),
            Some(attribute) => items.iter().map(|item| self.attribute(item, &attribute)?.require_present()).collect(),
        }
    }

    /// Returns a nested field, as `map` and `sort` name it: `address.city`.
    pub(super) fn attribute(&mut self, value: &JinjaValue<'v>, path: &str) -> Result<JinjaValue<'v>, EvalError> {
        let mut found = value.clone();
        for field in path.split('.') {
            self.meter.charge_steps(1)?;
            found = match field.parse::<i128>() {
                Ok(index) if found.is_list() => match found.at(index, &mut self.meter)? {
                    Some(item) => item,
                    None => MissingValue::field("the item", field, &found),
                },
                _ => match found.field(field) {
                    Some(value) => value,
                    None => return Ok(MissingValue::field("the item", field, &found)),
                },
            };
        }
        Ok(found)
    }
}

fn path_text(value: JinjaValue<'_>) -> Result<String, EvalError> {
    match value.require_present()? {
        JinjaValue::Text(text) => Ok(text.to_string()),
        JinjaValue::Int(index) => Ok(index.to_string()),
        other => Err(EvalError::wrong_type(format!("an attribute is named by a string, not {}", other.kind()))),
    }
}
