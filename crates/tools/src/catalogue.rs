//! The catalogue: every tool by name, with its facts.

mod alias;
mod entry;
mod identity;
mod performer;
mod preset;
mod search;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use baton_core::tool::{OnUnavailable, ToolInvocation};
use baton_expr::nearest;

use crate::config::ToolSettings;
use crate::error::ToolSetupError;

pub use baton_ports::catalogue::{ProviderOption, ToolDescription, ToolRisk};
use baton_ports::catalogue::{ToolFilter, ToolListing};
pub(crate) use entry::{ActionSpec, ActionVariant, ToolEntry};
pub(crate) use identity::{SettingsDigest, ToolIdentity};
pub(crate) use performer::ToolPerformer;
pub use performer::UnavailableProvider;
use search::ToolSearchIndex;

/// An index of tools by name. An alias leads to a tool only if no tool has the alias as its own name.
#[derive(Clone)]
pub(crate) struct ToolIndex {
    entries: BTreeMap<Arc<str>, IndexedTool>,
    /// Built by [`Self::build_indexes`], or by the first search.
    search_index: OnceLock<ToolSearchIndex>,
    /// Built by [`Self::build_indexes`], or by the first list.
    listing_rows: OnceLock<Vec<ListingRow>>,
}

/// What a list needs to know of a tool, in the order of the entries. Listing ten thousand tools reads only these rows
/// and the tools that it returns.
#[derive(Clone)]
struct ListingRow {
    /// Aliases of the tool.
    aliases: Vec<&'static str>,
    /// The text that a word filter searches.
    search_text: Box<str>,
}

/// A catalogue entry with the settings applied and the price among its facts.
#[derive(Clone)]
struct IndexedTool {
    entry: Arc<ToolEntry>,
    /// Built once, because a list reads all descriptions.
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
    /// Builds the index. A later entry replaces an earlier one of the same name, so a project's own tool overrides a
    /// shipped one. The settings of a preset are those under its own name, or else those of the tool that it is a
    /// preset of.
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

    /// Returns the same index with these entries added, unless their name is taken: what the project defines takes
    /// precedence.
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

    /// Returns the same index with the tools of one source replaced. A name that another source owns stays with that
    /// source.
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

    /// Checks that every alternative provider that the settings name for outages exists.
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

    /// Returns whether a tool has exactly this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    pub(crate) fn describe(&self, name: &str) -> Option<ToolDescription> {
        self.indexed(name).map(|laid| laid.description.clone())
    }

    fn indexed(&self, name: &str) -> Option<&IndexedTool> {
        self.entries.get(name).or_else(|| self.entries.get(alias::target(name)?))
    }

    /// Every name under which a call does the same: the name of the call, the tool's own name, its aliases, and
    /// presets of the same action.
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
            // A project's own tool of that name is a different tool.
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

    /// Returns whether any tool belongs to this app, written as `shop.*`.
    pub(crate) fn has_app(&self, wildcard: &str) -> bool {
        let Some(app) = wildcard.strip_suffix('*').filter(|app| app.ends_with('.')) else { return false };
        self.entries.keys().any(|name| name.starts_with(app))
    }

    /// All names that a definition may use for a tool: tool names, and aliases that lead to one.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let leads =
            |(alias, target): &(&str, &str)| !self.entries.contains_key(*alias) && self.entries.contains_key(*target);
        let aliases = alias::all().filter(leads).map(|(alias, _)| alias);
        self.entries.keys().map(|name| &**name).chain(aliases)
    }

    /// Returns every tool that matches the filter once, with the aliases that lead to it. Other tools are not copied.
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

    /// Returns the names of the tools that match these words, best match first.
    pub(crate) fn search(&self, words: &str, limit: usize) -> Vec<Arc<str>> {
        self.search_index().search(words, limit)
    }

    /// Builds the indexes that the first search would otherwise wait for.
    pub(crate) fn build_indexes(&self) {
        self.search_index();
        self.listing_rows();
    }

    fn search_index(&self) -> &ToolSearchIndex {
        self.search_index.get_or_init(|| ToolSearchIndex::of(self.entries.values().map(|laid| &laid.description)))
    }

    /// Settings that the chosen providers lack, by tool. A preset lacks what its tool lacks.
    pub(crate) fn unavailable_providers(&self) -> Vec<UnavailableProvider> {
        let originals = self.entries.values().map(|laid| &laid.entry).filter(|entry| entry.name == entry.base);
        originals.flat_map(|entry| entry.unavailable_providers()).collect()
    }

    /// Suggests the name that was probably meant.
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
        // A match must not span the end of one name and the start of the next.
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
