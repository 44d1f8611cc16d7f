//! The catalogue: every tool by name, with its facts.

mod alias;
mod entry;
mod preset;

use std::collections::BTreeMap;
use std::sync::Arc;

use baton_core::expr::nearest;

use crate::config::Tuning;

pub(crate) use entry::{Action, Entry, Variant};
pub use entry::{Description, Risk};

/// Tools by name. Aliases lead to a tool only where no tool has the alias as its own name.
pub(crate) struct Catalogue {
    entries: BTreeMap<Arc<str>, Arc<Entry>>,
}

impl Catalogue {
    /// Later entries take the place of earlier ones of the same name: a project's own tool stands in for a shipped one.
    /// A preset is tuned by its own name, else as the tool it is a preset of.
    pub(crate) fn new(entries: impl IntoIterator<Item = Entry>, tuning: &BTreeMap<String, Tuning>) -> Self {
        let tuned = |entry: Entry| match tuning.get(&*entry.name) {
            Some(tuning) => Arc::new(entry.tuned(tuning)),
            None => Arc::new(entry),
        };
        let mut named: BTreeMap<Arc<str>, Arc<Entry>> = BTreeMap::new();
        for entry in entries {
            named.insert(entry.name.clone(), tuned(entry));
        }
        for preset in preset::PRESETS {
            if !named.contains_key(preset.name)
                && let Some(entry) = named.get(preset.base).map(|base| preset.of(base))
            {
                named.insert(entry.name.clone(), tuned(entry));
            }
        }
        Self { entries: named }
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Arc<Entry>> {
        self.entries.get(name).or_else(|| self.entries.get(alias::target(name)?))
    }

    /// What a definition may call a tool: its name, or an alias that leads to one.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let leads =
            |(alias, target): &(&str, &str)| !self.entries.contains_key(*alias) && self.entries.contains_key(*target);
        let aliases = alias::all().filter(leads).map(|(alias, _)| alias);
        self.entries.keys().map(|name| &**name).chain(aliases)
    }

    /// A name that was probably meant.
    pub(crate) fn nearest(&self, name: &str) -> Option<&str> {
        nearest(name, self.names())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::calculator;

    fn names(tools: &[&str]) -> Vec<String> {
        let entries = tools.iter().map(|name| calculator::entry().renamed(name));
        Catalogue::new(entries, &BTreeMap::new()).names().map(str::to_owned).collect()
    }

    #[test]
    fn an_alias_is_a_name_where_it_leads_to_a_tool_and_nobody_else_has_it() {
        assert_eq!(names(&["charge_payment"]), ["charge_payment", "make_payment", "process_payment"]);
        assert_eq!(
            names(&["charge_payment", "process_payment"]),
            ["charge_payment", "process_payment", "make_payment"]
        );
        assert_eq!(names(&["calculator"]), ["calculator"]);
    }
}
