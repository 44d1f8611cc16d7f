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
use baton_core::tool::{OnUnavailable, ToolInvocation};

use crate::config::ToolSettings;
use crate::error::ToolSetupError;

pub use baton_ports::catalogue::{ProviderOption, ToolDescription, ToolRisk};
use baton_ports::catalogue::{ToolFilter, ToolListing};
pub(crate) use entry::{ActionSpec, ActionVariant, ToolEntry};
pub(crate) use identity::{SettingsDigest, ToolIdentity};
pub(crate) use performer::ToolPerformer;
pub use performer::UnavailableProvider;
use search::ToolSearchIndex;

/// Tools by name. Aliases lead to a tool only where no tool has the alias as its own name.
#[derive(Clone)]
pub(crate) struct ToolIndex {
    entries: BTreeMap<Arc<str>, IndexedTool>,
    /// Made when the catalogue is [prepared](Self::build_indexes), or by the first search.
    search_index: OnceLock<ToolSearchIndex>,
    /// Made in the same way, or by the first list.
    listing_rows: OnceLock<Vec<ListingRow>>,
}

/// What a list needs to know of a tool, in the order of the entries. Of ten thousand it looks at nothing else but those it
/// shows.
#[derive(Clone)]
struct ListingRow {
    /// Other names that lead to it.
    aliases: Vec<&'static str>,
    /// What its words are looked for in.
    search_text: Box<str>,
}

/// A tool as the catalogue has it: as the settings would have it, its facts with their price.
#[derive(Clone)]
struct IndexedTool {
    entry: Arc<ToolEntry>,
    /// Made once: a list asks for all of them.
    description: ToolDescription,
}

impl IndexedTool {
    fn new(entry: ToolEntry, tuning: &BTreeMap<String, ToolSettings>) -> Self {
        let entry = match tuning.get(&*entry.name) {
            Some(tuning) => entry.with_settings(tuning),
            None => entry,
        };
        let entry = entry.with_max_cost();
        Self { description: entry.description(), entry: Arc::new(entry) }
    }
}

impl ToolIndex {
    /// Later entries take the place of earlier ones of the same name: a project's own tool stands in for a shipped one.
    /// A preset is tuned by its own name, else as the tool it is a preset of.
    pub(crate) fn new(entries: impl IntoIterator<Item = ToolEntry>, tuning: &BTreeMap<String, ToolSettings>) -> Self {
        let mut named: BTreeMap<Arc<str>, IndexedTool> = BTreeMap::new();
        for entry in entries {
            named.insert(entry.name.clone(), IndexedTool::new(entry, tuning));
        }
        for preset in preset::PRESETS {
            if !named.contains_key(preset.name)
                && let Some(entry) = named.get(preset.base).map(|base| preset.of(&base.entry))
            {
                named.insert(entry.name.clone(), IndexedTool::new(entry, tuning));
            }
        }
        Self { entries: named, search_index: OnceLock::new(), listing_rows: OnceLock::new() }
    }

    /// The same and these, as far as nobody else has their name: what the project defines stands in for them.
    pub(crate) fn with_entries(
        &self,
        entries: impl IntoIterator<Item = ToolEntry>,
        tuning: &BTreeMap<String, ToolSettings>,
    ) -> Self {
        let mut named = self.entries.clone();
        for entry in entries {
            named.entry(entry.name.clone()).or_insert_with(|| IndexedTool::new(entry, tuning));
        }
        Self { entries: named, search_index: OnceLock::new(), listing_rows: OnceLock::new() }
    }

    /// The same with other tools of one source. A name that another has stays the other's.
    pub(crate) fn with_source_entries(
        &self,
        source: &str,
        entries: impl IntoIterator<Item = ToolEntry>,
        tuning: &BTreeMap<String, ToolSettings>,
    ) -> Self {
        let is_other = |laid: &IndexedTool| laid.entry.source.as_deref() != Some(source);
        let mut kept: BTreeMap<_, _> = self.entries.clone();
        kept.retain(|_, laid| is_other(laid));
        for entry in entries {
            kept.entry(entry.name.clone()).or_insert_with(|| IndexedTool::new(entry, tuning));
        }
        Self { entries: kept, search_index: OnceLock::new(), listing_rows: OnceLock::new() }
    }

    /// Whether each other provider that the settings name for outages is there to be asked.
    pub(crate) fn check_outage_providers(&self, tuning: &BTreeMap<String, ToolSettings>) -> Result<(), ToolSetupError> {
        for (name, tuning) in tuning {
            let Some(OnUnavailable::Provider(provider)) = &tuning.on_unavailable else { continue };
            if self.find(name).is_some_and(|entry| !entry.has_alternative(provider)) {
                let reason = format!(
                    "`{name}` has `on_unavailable = \"provider {provider}\"`, and that is no other provider of it; a \
                     preset has those of its tool"
                );
                return Err(ToolSetupError::Setting { place: "tool", reason });
            }
        }
        Ok(())
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Arc<ToolEntry>> {
        self.indexed(name).map(|laid| &laid.entry)
    }

    /// Whether a tool has this very name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    pub(crate) fn describe(&self, name: &str) -> Option<ToolDescription> {
        self.indexed(name).map(|laid| laid.description.clone())
    }

    fn indexed(&self, name: &str) -> Option<&IndexedTool> {
        self.entries.get(name).or_else(|| self.entries.get(alias::target(name)?))
    }

    /// Every name under which a call does what this one does: the one it was called by, the tool's own, its other
    /// names, and presets of the same action.
    pub(crate) fn equivalent_names<'a>(&'a self, call: &'a ToolInvocation, entry: &'a ToolEntry) -> Vec<&'a str> {
        let mut names: Vec<&str> = vec![&call.tool];
        let mut add = |name: &'a str| {
            if !names.contains(&name) {
                names.push(name);
            }
        };
        add(&entry.name);
        let action = entry.action(&call.arguments);
        for preset in preset::PRESETS.iter().filter(|preset| preset.matches(&entry.base, action)) {
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
    pub(crate) fn list(&self, wanted: &ToolFilter<'_>) -> Vec<ToolListing> {
        let tools = self.entries.values().map(|laid| &laid.description).zip(self.listing_rows());
        let fit = tools.filter(|(tool, line)| wanted.matches(tool, &line.search_text));
        let listed = fit.map(|(tool, line)| ToolListing { tool: tool.clone(), aliases: line.aliases.clone() });
        listed.take(wanted.limit.unwrap_or(usize::MAX)).collect()
    }

    fn listing_rows(&self) -> &[ListingRow] {
        self.listing_rows.get_or_init(|| self.build_listing_rows())
    }

    fn build_listing_rows(&self) -> Vec<ListingRow> {
        let mut leading: BTreeMap<&str, Vec<&'static str>> = BTreeMap::new();
        for (alias, target) in alias::all().filter(|(alias, _)| !self.entries.contains_key(*alias)) {
            leading.entry(target).or_default().push(alias);
        }
        let line = |(name, laid): (&Arc<str>, &IndexedTool)| {
            let (aliases, mut said) = (leading.remove(&**name).unwrap_or_default(), String::new());
            laid.description.write_search_text(&aliases, &mut said);
            ListingRow { aliases, search_text: said.into() }
        };
        self.entries.iter().map(line).collect()
    }

    /// Names of tools that these words fit, the best first.
    pub(crate) fn search(&self, words: &str, limit: usize) -> Vec<Arc<str>> {
        self.search_index().search(words, limit)
    }

    /// Makes what the first search would have to wait for.
    pub(crate) fn build_indexes(&self) {
        self.search_index();
        self.listing_rows();
    }

    fn search_index(&self) -> &ToolSearchIndex {
        self.search_index.get_or_init(|| ToolSearchIndex::of(self.entries.values().map(|laid| &laid.description)))
    }

    /// Settings that chosen providers lack, by tool. A preset lacks what its tool does.
    pub(crate) fn unavailable_providers(&self) -> Vec<UnavailableProvider> {
        let originals = self.entries.values().map(|laid| &laid.entry).filter(|entry| entry.name == entry.base);
        originals.flat_map(|entry| entry.unavailable_providers()).collect()
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
        ToolIndex::new(entries, &BTreeMap::new()).names().map(str::to_owned).collect()
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
        let catalogue = ToolIndex::new(entries, &BTreeMap::new());
        let names = |wanted: &ToolFilter<'_>| -> Vec<String> {
            catalogue.list(wanted).into_iter().map(|listed| listed.tool.name.to_string()).collect()
        };
        let found = |words: &str| names(&ToolFilter::with_words(words));
        assert_eq!(found(" \t"), ["calculator", "charge_payment", "ÄRGER"]);
        assert_eq!(found("Process_Payment"), ["charge_payment"]);
        assert_eq!(found("charge PROCESS"), ["charge_payment"]);
        assert_eq!(found("charge calculator"), [""; 0]);
        assert_eq!(found("ärger"), ["ÄRGER"]);
        // Not across the end of one name and the beginning of the next.
        assert_eq!(found("paymentmake"), [""; 0]);
        assert_eq!(catalogue.list(&ToolFilter::with_words("charge"))[0].aliases, ["make_payment", "process_payment"]);
        let page =
            |after, limit| names(&ToolFilter { after: Some(after), limit: Some(limit), ..ToolFilter::default() });
        assert_eq!(page("calculator", 1), ["charge_payment"]);
        assert_eq!(page("charge_payment", 5), ["ÄRGER"]);
        let category = catalogue.describe("calculator").unwrap().category.clone();
        assert_eq!(names(&ToolFilter { category: Some(&category), ..ToolFilter::default() }).len(), 3);
        assert_eq!(names(&ToolFilter { category: Some("another"), ..ToolFilter::default() }), [""; 0]);
    }
}
