//! Sorting items, and finding extremes and duplicates.

use std::cmp::Ordering;

use super::arguments::EvaluatedArguments;
use super::arithmetic::{equal, float, order};
use super::evaluator::JinjaEvaluator;
use super::operation::ValueOperation;
use super::value::JinjaValue;
use crate::error::EvalError;

impl<'v> JinjaEvaluator<'v> {
    pub(super) fn sorted(
        &mut self,
        items: Vec<JinjaValue<'v>>,
        given: &mut EvaluatedArguments<'v>,
    ) -> Result<Vec<JinjaValue<'v>>, EvalError> {
        let reverse = given.flag("reverse")?;
        let exact = given.flag("case_sensitive")?;
        let attribute = given.text("attribute")?;
        let mut keyed = self.keyed(items, attribute.as_deref(), exact)?;
        self.sort_by_key(&mut keyed, |entry| &entry.0)?;
        let sorted = keyed.into_iter().map(|(_, item)| item);
        Ok(if reverse { sorted.rev().collect() } else { sorted.collect() })
    }

    pub(super) fn unique(
        &mut self,
        items: Vec<JinjaValue<'v>>,
        given: &mut EvaluatedArguments<'v>,
    ) -> Result<Vec<JinjaValue<'v>>, EvalError> {
        let exact = given.flag("case_sensitive")?;
        let attribute = given.text("attribute")?;
        let mut seen: Vec<JinjaValue<'v>> = Vec::new();
        let mut unique = Vec::new();
        for (key, item) in self.keyed(items, attribute.as_deref(), exact)? {
            let mut known = false;
            for other in &seen {
                known = known || equal(other, &key, &mut self.meter)?;
            }
            if !known {
                seen.push(key);
                unique.push(item);
            }
        }
        Ok(unique)
    }

    pub(super) fn extreme(
        &mut self,
        operation: ValueOperation,
        items: Vec<JinjaValue<'v>>,
        given: &mut EvaluatedArguments<'v>,
    ) -> Result<JinjaValue<'v>, EvalError> {
        let exact = given.flag("case_sensitive")?;
        let attribute = given.text("attribute")?;
        let mut keyed = self.keyed(items, attribute.as_deref(), exact)?;
        self.sort_by_key(&mut keyed, |entry| &entry.0)?;
        let found = if operation == ValueOperation::Max { keyed.pop() } else { keyed.into_iter().next() };
        self.end_of(operation, found.map(|(_, item)| item))
    }

    fn keyed(
        &mut self,
        items: Vec<JinjaValue<'v>>,
        attribute: Option<&str>,
        exact: bool,
    ) -> Result<Vec<(JinjaValue<'v>, JinjaValue<'v>)>, EvalError> {
        let mut keyed = Vec::with_capacity(items.len());
        for item in items {
            let key = match attribute {
                Some(attribute) => self.attribute(&item, attribute)?.require_present()?,
                None => item.clone(),
            };
            keyed.push((self.sort_key(&key, exact)?, item));
        }
        Ok(keyed)
    }

    /// Returns the sort key: text is compared in lower case unless case matters.
    pub(super) fn sort_key(&mut self, key: &JinjaValue<'v>, exact: bool) -> Result<JinjaValue<'v>, EvalError> {
        match key {
            JinjaValue::Text(text) if !exact => {
                self.meter.charge_growth(text.len())?;
                Ok(JinjaValue::text(text.to_lowercase()))
            }
            other => Ok(other.clone()),
        }
    }

    /// Sorts stably, after checking that all keys can be compared with each other.
    pub(super) fn sort_by_key<T>(
        &mut self,
        entries: &mut [T],
        key: impl Fn(&T) -> &JinjaValue<'v>,
    ) -> Result<(), EvalError> {
        let rounds = entries.len().checked_ilog2().map_or(1, |log| log as usize + 1);
        for pair in entries.windows(2) {
            order(key(&pair[0]), key(&pair[1]), &mut self.meter)?;
            let bytes = if let JinjaValue::Text(text) = key(&pair[0]) { text.len() } else { 0 };
            self.meter.charge_read(bytes.saturating_mul(rounds))?;
            self.meter.charge_steps(rounds)?;
        }
        entries.sort_by(|a, b| in_order(key(a), key(b)));
        Ok(())
    }
}

/// Returns the order of two keys that are known to be comparable.
fn in_order(a: &JinjaValue<'_>, b: &JinjaValue<'_>) -> Ordering {
    match (a, b) {
        (JinjaValue::Text(a), JinjaValue::Text(b)) => a.cmp(b),
        (JinjaValue::Bool(a), JinjaValue::Bool(b)) => a.cmp(b),
        (JinjaValue::Int(a), JinjaValue::Int(b)) => a.cmp(b),
        (a, b) => float(a).zip(float(b)).map_or(Ordering::Equal, |(a, b)| a.total_cmp(&b)),
    }
}
