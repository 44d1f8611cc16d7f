//! The tool catalogue, as shown in lists and pages.

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
    /// Only reads.
    Low,
    /// Can be undone, or reaches a person who can ignore it.
    Medium,
    /// Moves money, or its effect is unknown.
    High,
}

/// A provider that a tool can have, with the settings it requires.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ProviderOption {
    pub name: &'static str,
    /// Below `tools`, or below a tenant: `message.twilio.account_sid`.
    pub settings: &'static [&'static str],
    /// The default price of one call.
    pub cost_usd: f64,
}

impl ProviderOption {
    /// A provider whose calls are free.
    pub const fn free(name: &'static str, settings: &'static [&'static str]) -> Self {
        Self { name, settings, cost_usd: 0.0 }
    }

    #[must_use]
    pub const fn at(self, cost_usd: f64) -> Self {
        Self { cost_usd, ..self }
    }
}

/// A tool as shown in lists and pages. Cheap to clone.
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

/// The content of a [`ToolDescription`].
#[derive(Debug, PartialEq, Serialize)]
pub struct DescriptionFields {
    pub name: Arc<str>,
    pub category: Cow<'static, str>,
    /// The default provider; a tenant may choose another.
    pub provider: &'static str,
    /// All possible providers, with the settings each of them needs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<ProviderOption>,
    pub audit_type: Cow<'static, str>,
    /// Whether another tool can undo its effect.
    pub compensable: bool,
    pub risk: ToolRisk,
    /// The price of one call.
    pub cost_usd: f64,
    /// The call rate per tenant: `100/min`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<Arc<str>>,
    /// How long an answer is cached, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_seconds: Option<u64>,
    /// The version that the tool's author gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<Arc<str>>,
    /// JSON Schema of its output, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Arc<Value>>,
    pub facts: Arc<ToolContract>,
    /// The actions of a tool that has several, as shown to people. Their contracts are in the facts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub actions: BTreeMap<String, ActionDescription>,
}

/// An action of a tool, as shown to people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ActionDescription {
    pub audit_type: Cow<'static, str>,
    /// Whether another tool can undo it.
    pub compensable: bool,
    pub risk: ToolRisk,
}

/// A tool and its other names.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ToolListing {
    #[serde(flatten)]
    pub tool: ToolDescription,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<&'static str>,
}

/// Selects the tools of a list. Default: all.
#[derive(Clone, Debug, Default)]
pub struct ToolFilter<'w> {
    pub category: Option<&'w str>,
    /// Only tools with names after this one.
    pub after: Option<&'w str>,
    /// Maximum number of tools.
    pub limit: Option<usize>,
    /// In lower case, without spaces: each must occur in one of the tool's names or in its description.
    pub words: Vec<String>,
}

impl<'w> ToolFilter<'w> {
    /// Selects tools that have each of these words in one of their names or in their description, ignoring case.
    pub fn with_words(words: &str) -> Self {
        Self { words: words.split_whitespace().map(str::to_lowercase).collect(), ..Self::default() }
    }

    /// Whether the tool matches; `said` is the text that [`DescriptionFields::write_search_text`] wrote for it.
    pub fn matches(&self, tool: &ToolDescription, said: &str) -> bool {
        self.words.iter().all(|word| said.contains(word))
            && self.category.is_none_or(|category| *category == tool.category)
            && self.after.is_none_or(|after| *tool.name > *after)
    }
}

impl DescriptionFields {
    /// Appends the tool's names, these aliases and its description in lower case, as the text to search. A search word
    /// contains no space, so it cannot match across two of these.
    pub fn write_search_text(&self, aliases: &[&str], text: &mut String) {
        add_in_lower_case(text, &self.name);
        aliases.iter().for_each(|alias| add_in_lower_case(text, alias));
        add_in_lower_case(text, &self.facts.description);
    }
}

/// Appends a text, separated from what is there.
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
    /// The tools of a tenant that match, each once, ordered by name: shared tools, and those the tenant added.
    fn list(&self, tenant: &TenantId, wanted: &ToolFilter<'_>) -> Vec<ToolListing>;

    /// All tools of a tenant, each once, ordered by name.
    fn all(&self, tenant: &TenantId) -> Vec<ToolListing> {
        self.list(tenant, &ToolFilter::default())
    }

    /// The names of the built-in tools, available without a project; a tool of the project may replace one of the same
    /// name.
    fn shipped(&self) -> &[Arc<str>] {
        &[]
    }

    /// The description of a tool, by any of its names.
    fn describe(&self, tenant: &TenantId, tool: &str) -> Option<ToolDescription>;

    /// The shared tool behind a preset or an alias, under which its uses are counted; `None` if there is no such tool.
    fn base_tool(&self, tool: &str) -> Option<Arc<str>>;

    /// Whether the settings allow a tenant to call it.
    fn is_enabled(&self, tenant: &TenantId, tool: &str) -> bool;

    /// Tools that match these words, best first, at most `limit`; and why the result is incomplete, if an external
    /// service could not be asked.
    async fn search(&self, tenant: &TenantId, words: &str, limit: usize) -> (Vec<ToolDescription>, Option<String>);
}
