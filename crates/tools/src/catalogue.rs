//! The catalogue: every tool by name, with its facts.

mod alias;
mod entry;
mod identity;
mod performer;
mod preset;
mod search;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use baton_core::expr::nearest;
use baton_core::tool::{Call, OnUnavailable};

use crate::config::Tuning;
use crate::error::Error;

pub use baton_ports::catalogue::{Description, Offered, Risk};
use baton_ports::catalogue::{Listed, Wanted};
pub(crate) use entry::{Action, Entry, Variant};
pub(crate) use identity::{Identity, SettingsDigest};
pub use performer::Lack;
pub(crate) use performer::Performer;
use search::Words;

/// Tools by name. Aliases lead to a tool only where no tool has the alias as its own name.
#[derive(Clone)]
pub(crate) struct Catalogue {
    entries: BTreeMap<Arc<str>, Laid>,
    /// Made when the catalogue is [prepared](Self::prepare), or by the first search.
    words: OnceLock<Words>,
    /// Made in the same way, or by the first list.
    lines: OnceLock<Vec<Line>>,
}

/// What a list needs to know of a tool, in the order of the entries. Of ten thousand it looks at nothing else but those it
/// shows.
#[derive(Clone)]
struct Line {
    /// Other names that lead to it.
    aliases: Vec<&'static str>,
    /// What its words are looked for in.
    said: Box<str>,
}

/// A tool as the catalogue has it: as the settings would have it, its facts with their price.
#[derive(Clone)]
struct Laid {
    entry: Arc<Entry>,
    /// Made once: a list asks for all of them.
    description: Description,
}

impl Laid {
    fn new(entry: Entry, tuning: &BTreeMap<String, Tuning>) -> Self {
        let entry = match tuning.get(&*entry.name) {
            Some(tuning) => entry.tuned(tuning),
            None => entry,
        };
        let entry = entry.priced();
        Self { description: entry.description(), entry: Arc::new(entry) }
    }
}

impl Catalogue {
    /// Later entries take the place of earlier ones of the same name: a project's own tool stands in for a shipped one.
    /// A preset is tuned by its own name, else as the tool it is a preset of.
    pub(crate) fn new(entries: impl IntoIterator<Item = Entry>, tuning: &BTreeMap<String, Tuning>) -> Self {
        let mut named: BTreeMap<Arc<str>, Laid> = BTreeMap::new();
        for entry in entries {
            named.insert(entry.name.clone(), Laid::new(entry, tuning));
        }
        for preset in preset::PRESETS {
            if !named.contains_key(preset.name)
                && let Some(entry) = named.get(preset.base).map(|base| preset.of(&base.entry))
            {
                named.insert(entry.name.clone(), Laid::new(entry, tuning));
            }
        }
        Self { entries: named, words: OnceLock::new(), lines: OnceLock::new() }
    }

    /// The same and these, as far as nobody else has their name: what the project defines stands in for them.
    pub(crate) fn and(&self, entries: impl IntoIterator<Item = Entry>, tuning: &BTreeMap<String, Tuning>) -> Self {
        let mut named = self.entries.clone();
        for entry in entries {
            named.entry(entry.name.clone()).or_insert_with(|| Laid::new(entry, tuning));
        }
        Self { entries: named, words: OnceLock::new(), lines: OnceLock::new() }
    }

    /// The same with other tools of one source. A name that another has stays the other's.
    pub(crate) fn renewed(
        &self,
        source: &str,
        entries: impl IntoIterator<Item = Entry>,
        tuning: &BTreeMap<String, Tuning>,
    ) -> Self {
        let is_other = |laid: &Laid| laid.entry.source.as_deref() != Some(source);
        let mut kept: BTreeMap<_, _> = self.entries.clone();
        kept.retain(|_, laid| is_other(laid));
        for entry in entries {
            kept.entry(entry.name.clone()).or_insert_with(|| Laid::new(entry, tuning));
        }
        Self { entries: kept, words: OnceLock::new(), lines: OnceLock::new() }
    }

    /// Whether each other provider that the settings name for outages is there to be asked.
    pub(crate) fn stands_by(&self, tuning: &BTreeMap<String, Tuning>) -> Result<(), Error> {
        for (name, tuning) in tuning {
            let Some(OnUnavailable::Provider(provider)) = &tuning.on_unavailable else { continue };
            if self.find(name).is_some_and(|entry| !entry.is_offered_by(provider)) {
                let reason = format!(
                    "`{name}` has `on_unavailable = \"provider {provider}\"`, and that is no other provider of it; a \
                     preset has those of its tool"
                );
                return Err(Error::Setting { place: "tool", reason });
            }
        }
        Ok(())
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Arc<Entry>> {
        self.laid(name).map(|laid| &laid.entry)
    }

    /// Whether a tool has this very name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    pub(crate) fn describe(&self, name: &str) -> Option<Description> {
        self.laid(name).map(|laid| laid.description.clone())
    }

    fn laid(&self, name: &str) -> Option<&Laid> {
        self.entries.get(name).or_else(|| self.entries.get(alias::target(name)?))
    }

    /// Every name under which a call does what this one does: the one it was called by, the tool's own, its other
    /// names, and presets of the same action.
    pub(crate) fn names_of<'a>(&'a self, call: &'a Call, entry: &'a Entry) -> Vec<&'a str> {
        let mut names: Vec<&str> = vec![&call.tool];
        let mut add = |name: &'a str| {
            if !names.contains(&name) {
                names.push(name);
            }
        };
        add(&entry.name);
        let action = entry.action(&call.arguments);
        for preset in preset::PRESETS.iter().filter(|preset| preset.does(&entry.base, action)) {
            // A project's own tool of that name is another.
            if self.entries.get(preset.name).is_some_and(|own| own.entry.base == entry.base) {
                add(preset.name);
            }
        }
        for (alias, target) in alias::all() {
            if !self.entries.contains_key(alias) && names.contains(&target) {
                names.push(alias);
            }
        }
        names
    }

    /// Whether a tool is of this app: `shop.*`.
    pub(crate) fn has_app(&self, wildcard: &str) -> bool {
        let Some(app) = wildcard.strip_suffix('*').filter(|app| app.ends_with('.')) else { return false };
        self.entries.keys().any(|name| name.starts_with(app))
    }

    /// What a definition may call a tool: its name, or an alias that leads to one.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let leads =
            |(alias, target): &(&str, &str)| !self.entries.contains_key(*alias) && self.entries.contains_key(*target);
        let aliases = alias::all().filter(leads).map(|(alias, _)| alias);
        self.entries.keys().map(|name| &**name).chain(aliases)
    }

    /// Every tool that is wanted once, with the aliases that lead to it. No other is copied.
    pub(crate) fn list(&self, wanted: &Wanted<'_>) -> Vec<Listed> {
        let tools = self.entries.values().map(|laid| &laid.description).zip(self.lines());
        let fit = tools.filter(|(tool, line)| wanted.fits(tool, &line.said));
        let listed = fit.map(|(tool, line)| Listed { tool: tool.clone(), aliases: line.aliases.clone() });
        listed.take(wanted.limit.unwrap_or(usize::MAX)).collect()
    }

    fn lines(&self) -> &[Line] {
        self.lines.get_or_init(|| self.write_lines())
    }

    fn write_lines(&self) -> Vec<Line> {
        let mut leading: BTreeMap<&str, Vec<&'static str>> = BTreeMap::new();
        for (alias, target) in alias::all().filter(|(alias, _)| !self.entries.contains_key(*alias)) {
            leading.entry(target).or_default().push(alias);
        }
        let line = |(name, laid): (&Arc<str>, &Laid)| {
            let (aliases, mut said) = (leading.remove(&**name).unwrap_or_default(), String::new());
            laid.description.say(&aliases, &mut said);
            Line { aliases, said: said.into() }
        };
        self.entries.iter().map(line).collect()
    }

    /// Names of tools that these words fit, the best first.
    pub(crate) fn search(&self, words: &str, limit: usize) -> Vec<Arc<str>> {
        self.words().search(words, limit)
    }

    /// Makes what the first search would have to wait for.
    pub(crate) fn prepare(&self) {
        self.words();
        self.lines();
    }

    fn words(&self) -> &Words {
        self.words.get_or_init(|| Words::of(self.entries.values().map(|laid| &laid.description)))
    }

    /// Settings that chosen providers lack, by tool. A preset lacks what its tool does.
    pub(crate) fn lacks(&self) -> Vec<Lack> {
        let originals = self.entries.values().map(|laid| &laid.entry).filter(|entry| entry.name == entry.base);
        originals.flat_map(|entry| entry.lacks()).collect()
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

    #[test]
    fn a_list_shows_the_tools_that_are_wanted_by_whichever_name_and_in_whatever_case() {
        let entries = ["charge_payment", "ÄRGER", "calculator"].map(|name| calculator::entry().renamed(name));
        let catalogue = Catalogue::new(entries, &BTreeMap::new());
        let names = |wanted: &Wanted<'_>| -> Vec<String> {
            catalogue.list(wanted).into_iter().map(|listed| listed.tool.name.to_string()).collect()
        };
        let found = |words: &str| names(&Wanted::with_words(words));
        assert_eq!(found(" \t"), ["calculator", "charge_payment", "ÄRGER"]);
        assert_eq!(found("Process_Payment"), ["charge_payment"]);
        assert_eq!(found("charge PROCESS"), ["charge_payment"]);
        assert_eq!(found("charge calculator"), [""; 0]);
        assert_eq!(found("ärger"), ["ÄRGER"]);
        // Not across the end of one name and the beginning of the next.
        assert_eq!(found("paymentmake"), [""; 0]);
        assert_eq!(catalogue.list(&Wanted::with_words("charge"))[0].aliases, ["make_payment", "process_payment"]);
        let page = |after, limit| names(&Wanted { after: Some(after), limit: Some(limit), ..Wanted::default() });
        assert_eq!(page("calculator", 1), ["charge_payment"]);
        assert_eq!(page("charge_payment", 5), ["ÄRGER"]);
        let category = catalogue.describe("calculator").unwrap().category.clone();
        assert_eq!(names(&Wanted { category: Some(&category), ..Wanted::default() }).len(), 3);
        assert_eq!(names(&Wanted { category: Some("another"), ..Wanted::default() }), [""; 0]);
    }
}
