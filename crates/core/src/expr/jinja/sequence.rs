//! What can be done with lists, and with whatever else has items.

use super::arithmetic::{arithmetic, equal, float};
use super::given::Given;
use super::missing::Missing;
use super::node::Arithmetic;
use super::operation::{Operation, Test};
use super::run::Run;
use super::value::{Text, Val};
use crate::expr::error::EvalError;

impl<'v> Run<'v> {
    pub(super) fn with_items(
        &mut self,
        operation: Operation,
        value: Val<'v>,
        given: &mut Given<'v>,
    ) -> Result<Val<'v>, EvalError> {
        let items = match (operation, &value) {
            (Operation::Cycle, _) => return self.cycle(&value, given),
            (Operation::Count | Operation::Index, Val::Text(text)) => return self.count_in(operation, text, given),
            (Operation::Reverse, Val::Text(text)) => {
                self.meter.grow(text.len())?;
                return Ok(Val::text(text.chars().rev().collect::<String>()));
            }
            // `min(a, b)` compares its arguments, `min(items)` the items.
            (Operation::Max | Operation::Min, Val::Int(_) | Val::Float(_)) => {
                let mut items = vec![value];
                items.extend(given.rest());
                items
            }
            _ => self.items_for(operation, &value)?,
        };
        let made = match operation {
            Operation::First => return self.end_of(operation, items.into_iter().next()),
            Operation::Last => return self.end_of(operation, items.into_iter().next_back()),
            Operation::Max | Operation::Min => return self.extreme(operation, items, given),
            Operation::Sum => return self.sum(items, given),
            Operation::Join => {
                let between = given.text("d")?.unwrap_or(Text::Borrowed(""));
                let items = self.attributes(items, given)?;
                return self.joined(&items, &between);
            }
            Operation::Count | Operation::Index => return self.position(operation, &items, given),
            Operation::Batch => self.batches(items, given)?,
            Operation::GroupBy => self.groups(items, given)?,
            Operation::Map => self.mapped(items, given)?,
            Operation::Select | Operation::SelectAttribute => self.selected(operation, items, given, true)?,
            Operation::Reject | Operation::RejectAttribute => self.selected(operation, items, given, false)?,
            Operation::Sort => self.sorted(items, given)?,
            Operation::Unique => self.unique(items, given)?,
            Operation::Reverse => items.into_iter().rev().collect(),
            _ => items,
        };
        Val::list(made, &mut self.meter)
    }

    fn items_for(&mut self, operation: Operation, value: &Val<'v>) -> Result<Vec<Val<'v>>, EvalError> {
        match value {
            Val::List(_) | Val::Json(_) | Val::Object(_) | Val::Text(_) => value.items(&mut self.meter),
            other => {
                let error = EvalError::wrong_type(format!("`{}` wants a list, not {}", operation.name(), other.kind()));
                Err(match other {
                    Val::Null => error.hint("give a default: `value|default([], true)`"),
                    _ => error,
                })
            }
        }
    }

    pub(super) fn end_of(&self, operation: Operation, item: Option<Val<'v>>) -> Result<Val<'v>, EvalError> {
        Ok(item.unwrap_or_else(|| Val::Missing(Missing::End(operation.name()).into())))
    }

    fn count_in(&mut self, operation: Operation, text: &str, given: &mut Given<'v>) -> Result<Val<'v>, EvalError> {
        let part = given.required_text("part")?;
        self.meter.read(text.len())?;
        match (operation, text.find(&*part)) {
            (Operation::Count, _) => Ok(Val::count(text.matches(&*part).count())),
            (_, Some(at)) => Ok(Val::count(text[..at].chars().count())),
            (_, None) => Err(EvalError::bad_value("`index` did not find the part").hint("`find` gives -1 instead")),
        }
    }

    fn position(
        &mut self,
        operation: Operation,
        items: &[Val<'v>],
        given: &mut Given<'v>,
    ) -> Result<Val<'v>, EvalError> {
        let wanted = given.required("item")?;
        let mut places = Vec::new();
        for (at, item) in items.iter().enumerate() {
            if equal(item, &wanted, &mut self.meter)? {
                places.push(at);
            }
        }
        match (operation, places.first()) {
            (Operation::Count, _) => Ok(Val::count(places.len())),
            (_, Some(at)) => Ok(Val::count(*at)),
            (_, None) => Err(EvalError::bad_value("`index` did not find the item").hint("ask with `in` first")),
        }
    }

    fn cycle(&mut self, value: &Val<'v>, given: &mut Given<'v>) -> Result<Val<'v>, EvalError> {
        let Val::Loop(state) = value else {
            return Err(EvalError::wrong_type("only the loop can `cycle`").hint("write `loop.cycle('a', 'b')`"));
        };
        let choices = given.rest();
        match state.at.get().checked_rem(choices.len()).and_then(|at| choices.into_iter().nth(at)) {
            Some(choice) => choice.there(),
            None => Err(EvalError::bad_value("`cycle` has nothing to choose from")),
        }
    }

    fn batches(&mut self, items: Vec<Val<'v>>, given: &mut Given<'v>) -> Result<Vec<Val<'v>>, EvalError> {
        let size = given.count("count")?.filter(|size| *size > 0);
        let size = size.ok_or_else(|| EvalError::bad_value("`batch` needs a count of 1 or more"))?;
        let fill = given.optional("fill").map(Val::there).transpose()?;
        let mut batches = Vec::new();
        for batch in items.chunks(size) {
            let mut batch = batch.to_vec();
            if let Some(fill) = &fill {
                let missing = size - batch.len();
                self.meter.grow(missing.saturating_mul(size_of::<Val<'_>>()))?;
                batch.extend(std::iter::repeat_n(fill.clone(), missing));
            }
            batches.push(Val::list(batch, &mut self.meter)?);
        }
        Ok(batches)
    }

    /// Pairs of a key and the items that have it, in the order of the keys.
    fn groups(&mut self, items: Vec<Val<'v>>, given: &mut Given<'v>) -> Result<Vec<Val<'v>>, EvalError> {
        let attribute = given.required_text("attribute")?;
        let default = given.optional("default");
        let mut keyed = Vec::new();
        for item in items {
            let key = self.attribute(&item, &attribute)?;
            let key = if key.is_missing() { default.clone().unwrap_or(key) } else { key };
            keyed.push((self.sort_key(&key.clone().there()?, true)?, key, item));
        }
        self.sort_by_key(&mut keyed, |entry| &entry.0)?;
        let mut groups: Vec<(Val<'v>, Val<'v>, Vec<Val<'v>>)> = Vec::new();
        for (sort_key, key, item) in keyed {
            match groups.last_mut() {
                Some((last, _, members)) if equal(last, &sort_key, &mut self.meter)? => members.push(item),
                _ => groups.push((sort_key, key, vec![item])),
            }
        }
        let mut pairs = Vec::new();
        for (_, key, members) in groups {
            let members = Val::list(members, &mut self.meter)?;
            pairs.push(Val::list(vec![key, members], &mut self.meter)?);
        }
        Ok(pairs)
    }

    fn mapped(&mut self, items: Vec<Val<'v>>, given: &mut Given<'v>) -> Result<Vec<Val<'v>>, EvalError> {
        if let Some(filter) = given.text("filter")? {
            let operation = Operation::filter(&filter).map_err(|error| EvalError::bad_value(error.message))?;
            let arguments = given.rest();
            self.meter.steps(items.len().saturating_mul(arguments.len()))?;
            let mut mapped = Vec::with_capacity(items.len());
            for item in items {
                let given = Given::new(operation.name(), arguments.clone(), Vec::new());
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
        operation: Operation,
        items: Vec<Val<'v>>,
        given: &mut Given<'v>,
        wanted: bool,
    ) -> Result<Vec<Val<'v>>, EvalError> {
        let by_attribute = matches!(operation, Operation::SelectAttribute | Operation::RejectAttribute);
        let attribute = if by_attribute { Some(given.required_text("attribute")?) } else { None };
        let test = match given.text("test")? {
            Some(name) => Some(Test::named(&name).map_err(|error| EvalError::bad_value(error.message))?),
            None => None,
        };
        let arguments = given.rest();
        self.meter.steps(items.len().saturating_mul(arguments.len()))?;
        let mut selected = Vec::new();
        for item in items {
            let tested = match &attribute {
                Some(attribute) => self.attribute(&item, attribute)?,
                None => item.clone(),
            };
            let holds = match test {
                Some(test) => self.test(test, &tested, Given::new(test.name(), arguments.clone(), Vec::new()))?,
                None => tested.there()?.truthy(),
            };
            if holds == wanted {
                selected.push(item);
            }
        }
        Ok(selected)
    }

    fn sum(&mut self, items: Vec<Val<'v>>, given: &mut Given<'v>) -> Result<Val<'v>, EvalError> {
        let items = self.attributes(items, given)?;
        let mut sum = given.optional("start").unwrap_or(Val::Int(0)).there()?;
        for item in items {
            if float(&item).is_none() {
                return Err(EvalError::wrong_type(format!("`sum` wants numbers and met {}", item.there()?.kind())));
            }
            sum = arithmetic(Arithmetic::Add, sum, item, &mut self.meter)?;
        }
        Ok(sum)
    }

    /// The items, or one attribute of each where one is named.
    fn attributes(&mut self, items: Vec<Val<'v>>, given: &mut Given<'v>) -> Result<Vec<Val<'v>>, EvalError> {
        match given.text("attribute")? {
            None => Ok(items),
            Some(attribute) => items.iter().map(|item| self.attribute(item, &attribute)?.there()).collect(),
        }
    }

    /// A field of a field, as `map` and `sort` name it: `address.city`.
    pub(super) fn attribute(&mut self, value: &Val<'v>, path: &str) -> Result<Val<'v>, EvalError> {
        let mut found = value.clone();
        for field in path.split('.') {
            self.meter.steps(1)?;
            found = match field.parse::<i128>() {
                Ok(index) if found.is_list() => match found.at(index, &mut self.meter)? {
                    Some(item) => item,
                    None => Missing::field("the item", field, &found),
                },
                _ => match found.field(field) {
                    Some(value) => value,
                    None => return Ok(Missing::field("the item", field, &found)),
                },
            };
        }
        Ok(found)
    }
}

fn path_text(value: Val<'_>) -> Result<String, EvalError> {
    match value.there()? {
        Val::Text(text) => Ok(text.to_string()),
        Val::Int(index) => Ok(index.to_string()),
        other => Err(EvalError::wrong_type(format!("an attribute is named by a string, not {}", other.kind()))),
    }
}
