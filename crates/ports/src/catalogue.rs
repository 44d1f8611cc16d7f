//! The tools there are, as lists and pages show them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::tool::ToolContract;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How much harm a wrong call can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolRisk {
    /// Only asks.
    Low,
    /// Can be undone, or reaches a person who can ignore it.
    Medium,
    /// Moves money, or nobody can say what it does.
    High,
}

/// A provider that a tool could have, with the settings it cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ProviderOption {
    pub name: &'static str,
    /// Below `tools`, or below a tenant: `message.twilio.account_sid`.
    pub settings: &'static [&'static str],
    /// The price of one call, unless the settings say another.
    pub cost_usd: f64,
}

impl ProviderOption {
    /// One whose calls cost nothing.
    pub const fn free(name: &'static str, settings: &'static [&'static str]) -> Self {
        Self { name, settings, cost_usd: 0.0 }
    }

    #[must_use]
    pub const fn at(self, cost_usd: f64) -> Self {
        Self { cost_usd, ..self }
    }
}

/// A tool as lists and pages show it. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct ToolDescription(Arc<DescriptionFields>);

impl From<DescriptionFields> for ToolDescription {
    fn from(described: DescriptionFields) -> Self {
        Self(Arc::new(described))
    }
}

impl Deref for ToolDescription {
    type Target = DescriptionFields;

    fn deref(&self) -> &DescriptionFields {
        &self.0
    }
}

/// What a [`ToolDescription`] says.
#[derive(Debug, PartialEq, Serialize)]
pub struct DescriptionFields {
    pub name: Arc<str>,
    pub category: Cow<'static, str>,
    /// Who performs it, unless a tenant has chosen another.
    pub provider: &'static str,
    /// Who could, with the settings each of them needs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<ProviderOption>,
    pub audit_type: Cow<'static, str>,
    /// Whether what it does can be undone by another tool.
    pub compensable: bool,
    pub risk: ToolRisk,
    /// The price of one call.
    pub cost_usd: f64,
    /// How often one tenant may call it: `100/min`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<Arc<str>>,
    /// How long an answer holds, where it is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_seconds: Option<u64>,
    /// Which edition of it this is, as whoever makes it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<Arc<str>>,
    /// JSON Schema of what it answers with, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Arc<Value>>,
    pub facts: Arc<ToolContract>,
    /// Of a tool that does several things: how each of them is looked at. What they are is in the facts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub actions: BTreeMap<String, ActionDescription>,
}

/// How one of the things that a tool does is looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ActionDescription {
    pub audit_type: Cow<'static, str>,
    /// Whether another tool can undo it.
    pub compensable: bool,
    pub risk: ToolRisk,
}

/// A tool, and the other names it goes by.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ToolListing {
    #[serde(flatten)]
    pub tool: ToolDescription,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<&'static str>,
}

/// Which tools a list shows; all of them unless told.
#[derive(Clone, Debug, Default)]
pub struct ToolFilter<'w> {
    pub category: Option<&'w str>,
    /// Only those whose names come behind this one.
    pub after: Option<&'w str>,
    /// The first so many.
    pub limit: Option<usize>,
    /// In lower case, without spaces: each is in one of the tool's names or in its description.
    pub words: Vec<String>,
}

impl<'w> ToolFilter<'w> {
    /// Those that have each of these words in one of their names or in their description, in whatever case.
    pub fn with_words(words: &str) -> Self {
        Self { words: words.split_whitespace().map(str::to_lowercase).collect(), ..Self::default() }
    }

    /// Whether it is one of them; `said` is what [`DescriptionFields::write_search_text`] wrote of it.
    pub fn matches(&self, tool: &ToolDescription, said: &str) -> bool {
        self.words.iter().all(|word| said.contains(word))
            && self.category.is_none_or(|category| *category == tool.category)
            && self.after.is_none_or(|after| *tool.name > *after)
    }
}

impl DescriptionFields {
    /// Adds its names, these others of it and its description in lower case, where words are looked for. No word has a
    /// space in it, so it is in one of these or in none.
    pub fn write_search_text(&self, aliases: &[&str], text: &mut String) {
        add_in_lower_case(text, &self.name);
        aliases.iter().for_each(|alias| add_in_lower_case(text, alias));
        add_in_lower_case(text, &self.facts.description);
    }
}

/// Adds a text apart from what stands there.
fn add_in_lower_case(text: &mut String, more: &str) {
    text.push(' ');
    if more.is_ascii() {
        let from = text.len();
        text.push_str(more);
        text[from..].make_ascii_lowercase();
    } else {
        text.push_str(&more.to_lowercase());
    }
}

#[async_trait]
pub trait ToolCatalogue: Send + Sync {
    /// Every tool of a tenant that is wanted once, in the order of their names: everybody's, and those it added for itself.
    fn list(&self, tenant: &TenantId, wanted: &ToolFilter<'_>) -> Vec<ToolListing>;

    /// Every tool of a tenant once, in the order of their names.
    fn all(&self, tenant: &TenantId) -> Vec<ToolListing> {
        self.list(tenant, &ToolFilter::default())
    }

    /// The names of the tools that are there without a project; one that a project defines may stand in for its namesake.
    fn shipped(&self) -> &[Arc<str>] {
        &[]
    }

    /// What is known of a tool, by any of its names.
    fn describe(&self, tenant: &TenantId, tool: &str) -> Option<ToolDescription>;

    /// The tool of everybody's that a name is a preset of or leads to, under which its uses are counted; nothing where there
    /// is no such tool.
    fn base_tool(&self, tool: &str) -> Option<Arc<str>>;

    /// Whether the settings let a tenant call it.
    fn is_enabled(&self, tenant: &TenantId, tool: &str) -> bool;

    /// Tools that these words fit, the best first, at most so many; and why that is less than it could be, where somebody
    /// outside could not be asked.
    async fn search(&self, tenant: &TenantId, words: &str, limit: usize) -> (Vec<ToolDescription>, Option<String>);
}
