//! Searches documents, once or in rounds.

use baton_core::money::Usd;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::TOP_DEFAULT;
use crate::index::{DocumentFilter, MemoryCollection};

/// Which search methods are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SearchMode {
    /// Both, merged by reciprocal rank fusion.
    #[default]
    Hybrid,
    Vector,
    Text,
}

/// A search in long-term memory.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchRequest {
    pub query: String,
    pub collection: MemoryCollection,
    /// At most [`TOP_MAX`].
    pub top: usize,
    pub filter: DocumentFilter,
    pub mode: SearchMode,
}

impl SearchRequest {
    /// Searches the tenant's knowledge with both methods.
    pub fn knowledge(query: impl Into<String>) -> Self {
        Self {
            query: query.into(),
            collection: MemoryCollection::Knowledge,
            top: TOP_DEFAULT,
            filter: DocumentFilter::default(),
            mode: SearchMode::Hybrid,
        }
    }
}

/// The results of a search, best first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SearchResult {
    pub passages: Vec<CitedPassage>,
    /// Why the result is incomplete: one search method could not be used.
    pub degraded: Option<String>,
}

/// A passage with its source.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CitedPassage {
    pub content: String,
    /// Higher is better; comparable within one result only.
    pub score: f64,
    /// The document's name and title.
    pub document: String,
    pub title: String,
    /// The person its document is about. For maintainers of the documents; models do not receive it.
    #[serde(skip)]
    pub about: Option<String>,
    /// The headings above it.
    pub heading: String,
    /// The number of the passage in its document.
    pub chunk: u32,
    /// `content` is bytes `begins..ends` of the document's text.
    pub begins: u32,
    pub ends: u32,
    pub metadata: Map<String, Value>,
}

impl CitedPassage {
    /// The passage as JSON for maintainers of the documents: includes the person its document is about.
    pub fn as_json(&self) -> Value {
        let mut shown = json!(self);
        if let Some(person) = &self.about {
            shown["about"] = json!(person);
        }
        shown
    }
}

/// A question that is searched in rounds: a model judges whether the results answer it and, if not, formulates the next
/// search.
#[derive(Clone, Debug, PartialEq)]
pub struct InquiryRequest {
    pub question: String,
    /// Passages of each round, at most [`ROUND_TOP_MAX`].
    pub top: usize,
    /// At most [`ROUNDS_MAX`].
    pub rounds: usize,
    pub filter: DocumentFilter,
}

/// The result of an inquiry.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InquiryResult {
    /// Each once, in the order in which they were found; the judge refers to them by these positions, from 1.
    pub passages: Vec<CitedPassage>,
    pub rounds: Vec<InquiryRound>,
    pub stopped: InquiryEnd,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub degraded: Option<String>,
    /// The cost of judging.
    pub cost: Usd,
}

/// One search of an inquiry.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InquiryRound {
    pub query: String,
    /// Passages that no earlier round had found.
    pub new: usize,
    /// Whether everything found so far answers the question; `None` if it was not judged.
    pub sufficient: Option<bool>,
    /// What the judge still missed.
    pub missing: Option<String>,
}

/// Why an inquiry ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InquiryEnd {
    Sufficient,
    /// The last search found nothing new, or the judge had no further query.
    NothingNew,
    Rounds,
    /// No model could judge.
    Unjudged,
}
