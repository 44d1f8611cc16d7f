//! Where documents are kept in pieces that can be found again, by vector and by word. It decides nothing about how text
//! is cut, what vectors mean or how two lists become one.
//!
//! Documents are kept apart by tenant and collection. Pieces belong to a *generation*: all of a collection, cut and
//! embedded in one way. One generation is live and answers; another may be built beside it and then take its place.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::time::Time;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::embed::VectorSpace;

/// Bytes of one document's text.
pub const TEXT_BYTES_MAX: usize = 4 << 20;
/// Bytes of the JSON that goes with a document.
pub const BODY_BYTES_MAX: usize = 256 << 10;
/// Bytes of a document's name, title or subject.
pub const NAME_BYTES_MAX: usize = 512;
/// Fields of a document's metadata, and values of all of them.
pub const METADATA_FIELDS_MAX: usize = 32;
pub const METADATA_VALUES_MAX: usize = 128;
/// Bytes of one metadata key or value.
pub const METADATA_BYTES_MAX: usize = 512;
/// Pieces of one document.
pub const CHUNKS_MAX: usize = 8_192;
/// Pieces laid by one call, so that nobody waits long for a large document.
pub const BATCH_CHUNKS_MAX: usize = 64;
/// Pieces of one tenant's collection.
pub const COLLECTION_CHUNKS_MAX: u64 = 2_000_000;
/// Hits of one search.
pub const HITS_MAX: usize = 200;
/// Rows of one page of a list.
pub const PAGE_MAX: usize = 1_000;

/// What kind of thing a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemoryCollection {
    /// What the tenant knows: pages, manuals, rules.
    Knowledge,
    /// Conversations that are over.
    Conversations,
    /// What agents were to do, and what came of it.
    Executions,
}

impl MemoryCollection {
    pub const ALL: [Self; 3] = [Self::Knowledge, Self::Conversations, Self::Executions];

    pub fn word(self) -> &'static str {
        match self {
            Self::Knowledge => "knowledge",
            Self::Conversations => "conversations",
            Self::Executions => "executions",
        }
    }
}

impl fmt::Display for MemoryCollection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What is known of a document without its text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DocumentHeader {
    /// Unique within its tenant and collection.
    pub name: String,
    pub title: String,
    /// The person it is about, whose wish to be forgotten takes it away.
    pub subject: Option<String>,
    /// Strings, numbers, truth values, and lists of these: what filters ask for.
    pub metadata: Map<String, Value>,
    /// Rises with each change of the document, from 1.
    pub revision: u64,
    pub at: Time,
}

/// A document as it comes.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceDocument {
    pub name: String,
    pub title: String,
    pub subject: Option<String>,
    pub metadata: Map<String, Value>,
    pub text: String,
    /// Whatever goes with it; not searched.
    pub body: Value,
}

/// The first heading of a text of Markdown, which is its title where nobody says another.
pub fn heading(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("# ")).map(str::trim)
}

/// A document as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredDocument {
    /// What it is laid under; no other document ever has this number, be it of the same name.
    pub number: u64,
    pub head: DocumentHeader,
    pub text: String,
    pub body: Value,
}

/// What a document was kept as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DocumentRevision {
    /// As of [`StoredDocument`].
    pub number: u64,
    pub revision: u64,
}

/// When a work began that keeps something about a person: what was forgotten after that stays forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForgetWatermark {
    /// How many had been forgotten by then, as [`DocumentIndex::forget_count`] says.
    pub forget_count: u64,
    pub at: Time,
}

impl ForgetWatermark {
    /// Whether somebody was forgotten, as the how-manieth and when, after this.
    pub fn is_superseded_by(self, forgetting: u64, at: Time) -> bool {
        forgetting > self.forget_count || at > self.at
    }
}

/// How pieces of a generation are made. Pieces of two recipes are never mixed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexRecipe {
    pub space: VectorSpace,
    /// How text is cut, version and settings: `2/240/40`.
    pub chunking: String,
}

/// All pieces of a collection that were made by one recipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexGeneration {
    /// Never used again, by any tenant.
    pub id: u64,
    pub recipe: IndexRecipe,
    /// Whether it answers searches, or is still being built.
    pub live: bool,
    /// Documents and pieces that can be found in it.
    pub documents: u64,
    pub pieces: u64,
    pub begun_at: Time,
}

/// A piece of a document's text, to be laid.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbeddedChunk {
    /// The headings it stands under, outermost first, as one line; the document's title is its first part.
    pub heading: String,
    /// Bytes `begins..ends` of the document's text are `text`.
    pub begins: u32,
    pub ends: u32,
    pub text: String,
    pub vector: Vec<f32>,
}

/// Consecutive pieces of one revision of a document.
#[derive(Clone, Debug)]
pub struct ChunkBatch {
    /// The document's number.
    pub document: u64,
    pub revision: u64,
    /// The number of the first of these pieces.
    pub first: usize,
    /// At most [`BATCH_CHUNKS_MAX`]. None with `is_last`: a document without text.
    pub pieces: Vec<EmbeddedChunk>,
    /// With this, the whole revision can be found, and no older one any more.
    pub is_last: bool,
}

/// What became of a laying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexProgress {
    Done,
    /// Pieces up to this number are laid already: by a process that ended half-way, or by one that lays them now. Nothing
    /// was written; go on from here.
    ResumeFrom(usize),
    /// The revision is laid already, or is the newest no more, or the generation is gone. Nothing was written; what is
    /// still to be laid, [`DocumentIndex::unindexed`] tells.
    Superseded,
}

/// What became of a switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwitchResult {
    /// From here on it answers; its predecessor is gone.
    Done,
    /// So many documents are not laid in it in their newest revision; nothing was changed.
    Incomplete { documents: u64 },
    /// It is no more: another build took its place.
    Gone,
}

/// A piece that was found: its key, and how well it fits; more is better. Scores of two searches do not compare.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SearchHit {
    pub piece: u64,
    pub score: f64,
}

/// A piece as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexedPassage {
    pub piece: u64,
    pub document: DocumentHeader,
    /// Its number in the document, from 0.
    pub number: u32,
    pub heading: String,
    pub begins: u32,
    pub ends: u32,
    pub text: String,
}

/// Whose documents a search is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SubjectFilter {
    #[default]
    Anyone,
    /// About this person.
    Person(String),
    /// About nobody, or about this person where one is named: what this person may see.
    SharedWith(Option<String>),
}

/// Which documents a search is about. Every condition must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DocumentFilter {
    pub subject: SubjectFilter,
    /// The field has this value, or one of these where it is a list, or has it in its own list.
    pub metadata: BTreeMap<String, Value>,
}

/// Sorted by the caller's next move.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum IndexError {
    #[error("{what} is {size}, over the limit of {limit}")]
    TooLarge { what: &'static str, size: usize, limit: usize },
    #[error("the collection `{collection}` is full: it holds {limit} pieces; remove documents, or cut larger pieces")]
    Full { collection: MemoryCollection, limit: u64 },
    /// A value the index cannot keep; the same will be refused again.
    #[error("{what}: {reason}")]
    Invalid { what: String, reason: String },
    /// Nothing was written; try again.
    #[error("the index is overloaded; try again in {} ms", retry_after.as_millis())]
    Busy { retry_after: Duration },
    #[error("the index cannot be written: {reason}")]
    Unwritable { reason: String },
    #[error("the index cannot be read: {reason}")]
    Unreadable { reason: String },
}

#[async_trait]
pub trait DocumentIndex: Send + Sync {
    /// Keeps a document, in place of one of the same name, and says its revision: that of before if nothing changed.
    /// What was laid of an older revision is found until this one is laid. Durable when it returns. Keeps nothing, and
    /// says so, where the person it is about was forgotten after the work began; that is decided in the same write.
    async fn put(
        &self,
        tenant: &TenantId,
        collection: MemoryCollection,
        document: SourceDocument,
        since: ForgetWatermark,
        at: Time,
    ) -> Result<Option<DocumentRevision>, IndexError>;

    async fn document(
        &self,
        tenant: &TenantId,
        collection: MemoryCollection,
        name: &str,
    ) -> Result<Option<StoredDocument>, IndexError>;

    /// Documents by name, behind `after`; at most [`PAGE_MAX`].
    async fn documents(
        &self,
        tenant: &TenantId,
        collection: MemoryCollection,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<DocumentHeader>, IndexError>;

    /// Takes a document away with everything that was laid of it, in every generation. Says whether it was there.
    async fn remove(&self, tenant: &TenantId, collection: MemoryCollection, name: &str) -> Result<bool, IndexError>;

    /// Removes every document about a person, of this collection; says how many. Their words are gone from the
    /// index's own structures when it returns, not only out of reach, and nothing that began before comes back.
    async fn forget(
        &self,
        tenant: &TenantId,
        collection: MemoryCollection,
        subject: &str,
        at: Time,
    ) -> Result<u64, IndexError>;

    /// How often persons have been forgotten in this collection. Whoever is going to keep something about a person asks
    /// before anything else.
    async fn forget_count(&self, tenant: &TenantId, collection: MemoryCollection) -> Result<u64, IndexError>;

    /// The collection's generations, the live one first.
    async fn generations(
        &self,
        tenant: &TenantId,
        collection: MemoryCollection,
    ) -> Result<Vec<IndexGeneration>, IndexError>;

    /// A generation to lay pieces in: the live one if there is none yet, else one beside it. One that is being built
    /// already is gone on with if it has this recipe, else it gives way.
    async fn begin(
        &self,
        tenant: &TenantId,
        collection: MemoryCollection,
        recipe: &IndexRecipe,
        at: Time,
    ) -> Result<IndexGeneration, IndexError>;

    /// Documents whose newest revision is not laid in a generation, by name, behind `after`.
    async fn unindexed(
        &self,
        tenant: &TenantId,
        generation: u64,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<DocumentHeader>, IndexError>;

    /// Lays pieces, behind those that are laid already. A revision is found only once its last piece is laid.
    async fn add_chunks(
        &self,
        tenant: &TenantId,
        generation: u64,
        laying: ChunkBatch,
    ) -> Result<IndexProgress, IndexError>;

    /// Makes a generation the live one, if every document is laid in it.
    async fn make_live(&self, tenant: &TenantId, generation: u64) -> Result<SwitchResult, IndexError>;

    /// Gives up a generation that is not live.
    async fn discard(&self, tenant: &TenantId, generation: u64) -> Result<(), IndexError>;

    /// Pieces whose vectors lie nearest, by cosine, best first.
    async fn search_vectors(
        &self,
        tenant: &TenantId,
        generation: u64,
        vector: &[f32],
        filter: &DocumentFilter,
        limit: usize,
    ) -> Result<Vec<SearchHit>, IndexError>;

    /// Pieces that hold some of these words, best first (BM25 within this generation alone). Words so common that
    /// looking at all their pieces would take long may be left out, while a rarer one is there.
    async fn search_words(
        &self,
        tenant: &TenantId,
        generation: u64,
        words: &[String],
        filter: &DocumentFilter,
        limit: usize,
    ) -> Result<Vec<SearchHit>, IndexError>;

    /// The pieces of these keys that are still there, in the order asked for.
    async fn passages(
        &self,
        tenant: &TenantId,
        generation: u64,
        pieces: &[u64],
    ) -> Result<Vec<IndexedPassage>, IndexError>;
}

/// Whether a document can be kept: its sizes, and what its metadata holds. Every implementation asks this first.
///
/// # Errors
/// [`IndexError::TooLarge`] and [`IndexError::Invalid`], naming what breaks which limit.
pub fn check(document: &SourceDocument) -> Result<(), IndexError> {
    check_name("a document's name", &document.name)?;
    if document.name.is_empty() {
        return Err(IndexError::Invalid { what: "a document's name".to_owned(), reason: "it is empty".to_owned() });
    }
    check_size("a document's title", document.title.len(), NAME_BYTES_MAX)?;
    if let Some(subject) = &document.subject {
        check_name("a document's subject", subject)?;
    }
    check_size("a document's text", document.text.len(), TEXT_BYTES_MAX)?;
    check_size("a document's body", document.body.to_string().len(), BODY_BYTES_MAX)?;
    check_metadata(&document.metadata)
}

fn check_metadata(metadata: &Map<String, Value>) -> Result<(), IndexError> {
    check_size("a document's metadata", metadata.len(), METADATA_FIELDS_MAX)?;
    let mut values = 0;
    for (key, value) in metadata {
        check_size("a metadata key", key.len(), METADATA_BYTES_MAX)?;
        for scalar in scalars(value) {
            values += 1;
            if scalar.is_object() || scalar.is_array() || scalar.is_null() {
                return Err(IndexError::Invalid {
                    what: format!("the metadata field `{key}`"),
                    reason: "its value is a text, a number, a truth value, or a list of these".to_owned(),
                });
            }
            check_size("a metadata value", scalar.to_string().len(), METADATA_BYTES_MAX)?;
        }
    }
    check_size("a document's metadata values", values, METADATA_VALUES_MAX)
}

/// The values a field has: those of its list, else the one it is.
pub fn scalars(value: &Value) -> &[Value] {
    match value {
        Value::Array(values) => values,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            std::slice::from_ref(value)
        }
    }
}

fn check_name(what: &'static str, name: &str) -> Result<(), IndexError> {
    if name.chars().any(char::is_control) {
        return Err(IndexError::Invalid { what: what.to_owned(), reason: "it holds a control character".to_owned() });
    }
    check_size(what, name.len(), NAME_BYTES_MAX)
}

fn check_size(what: &'static str, size: usize, limit: usize) -> Result<(), IndexError> {
    if size > limit { Err(IndexError::TooLarge { what, size, limit }) } else { Ok(()) }
}
