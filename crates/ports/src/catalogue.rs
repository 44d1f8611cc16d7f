//! The tools there are, as lists and pages show them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::tool::Facts;
use serde::{Deserialize, Serialize};

/// How much harm a wrong call can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// Only asks.
    Low,
    /// Can be undone, or reaches a person who can ignore it.
    Medium,
    /// Moves money, or nobody can say what it does.
    High,
}

/// A provider that a tool could have, with the settings it cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Offered {
    pub name: &'static str,
    /// Below `tools`, or below a tenant: `message.twilio.account_sid`.
    pub settings: &'static [&'static str],
    /// The price of one call, unless the settings say another.
    pub cost_usd: f64,
}

impl Offered {
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
pub struct Description(Arc<Described>);

impl From<Described> for Description {
    fn from(described: Described) -> Self {
        Self(Arc::new(described))
    }
}

impl Deref for Description {
    type Target = Described;

    fn deref(&self) -> &Described {
        &self.0
    }
}

/// What a [`Description`] says.
#[derive(Debug, PartialEq, Serialize)]
pub struct Described {
    pub name: Arc<str>,
    pub category: Cow<'static, str>,
    /// Who performs it, unless a tenant has chosen another.
    pub provider: &'static str,
    /// Who could, with the settings each of them needs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<Offered>,
    pub audit_type: Cow<'static, str>,
    /// Whether what it does can be undone by another tool.
    pub compensable: bool,
    pub risk: Risk,
    /// The price of one call.
    pub cost_usd: f64,
    pub facts: Arc<Facts>,
    /// Of a tool that does several things: how each of them is looked at. What they are is in the facts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub actions: BTreeMap<String, Acting>,
}

/// How one of the things that a tool does is looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Acting {
    pub audit_type: Cow<'static, str>,
    /// Whether another tool can undo it.
    pub compensable: bool,
    pub risk: Risk,
}

/// A tool, and the other names it goes by.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Listed {
    #[serde(flatten)]
    pub tool: Description,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<&'static str>,
}

impl Listed {
    /// Whether it is of this category, and each of these words, in lower case, is in its names or its description.
    pub fn is_wanted(&self, category: Option<&str>, words: &[String]) -> bool {
        let Self { tool, aliases } = self;
        let text = || format!("{} {} {}", tool.name, aliases.join(" "), tool.facts.description).to_lowercase();
        category.is_none_or(|category| *category == tool.category)
            && (words.is_empty() || {
                let text = text();
                words.iter().all(|word| text.contains(word))
            })
    }
}

#[async_trait]
pub trait Catalogue: Send + Sync {
    /// Every tool once, in the order of their names.
    fn all(&self) -> Vec<Listed>;

    /// What is known of a tool, by any of its names.
    fn describe(&self, tool: &str) -> Option<Description>;

    /// The tool that a name is a preset of or leads to, under which its uses are counted; nothing where there is no such
    /// tool.
    fn base_of(&self, tool: &str) -> Option<Arc<str>>;

    /// Whether the settings let a tenant call it.
    fn is_enabled(&self, tenant: &TenantId, tool: &str) -> bool;

    /// Tools that these words fit, the best first, at most so many; and why that is less than it could be, where somebody
    /// outside could not be asked.
    async fn search(&self, words: &str, limit: usize) -> (Vec<Description>, Option<String>);
}
