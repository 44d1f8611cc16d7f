//! The document index: stores documents in chunks that can be searched by vector and by word. It does not decide how
//! text is split, what vectors mean, or how two result lists are merged.
//!
//! Documents are separated by tenant and collection. Chunks belong to a *generation*: all chunks of a collection, split
//! and embedded in one way. One generation is live and answers searches; another may be built beside it and then
//! replace it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::time::Time;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::embed::VectorSpace;

/// Maximum size of one document's text, in bytes.
pub const TEXT_BYTES_MAX: usize = 4 << 20;
/// Maximum size of the JSON that accompanies a document, in bytes.
pub const BODY_BYTES_MAX: usize = 256 << 10;
/// Maximum length of a document's name, title or subject, in bytes.
pub const NAME_BYTES_MAX: usize = 512;
/// Maximum number of metadata fields of a document, and of the values of all of them.
pub const METADATA_FIELDS_MAX: usize = 32;
pub const METADATA_VALUES_MAX: usize = 128;
/// Maximum length of one metadata key or value, in bytes.
pub const METADATA_BYTES_MAX: usize = 512;
/// Maximum number of chunks of one document.
pub const CHUNKS_MAX: usize = 8_192;
/// Maximum number of chunks added by one call, so that a large document does not block others for long.
pub const BATCH_CHUNKS_MAX: usize = 64;
/// Maximum number of chunks of one tenant's collection.
pub const COLLECTION_CHUNKS_MAX: u64 = 2_000_000;
/// Maximum number of hits of one search.
pub const HITS_MAX: usize = 200;
/// Maximum number of rows per page of a list.
pub const PAGE_MAX: usize = 1_000;

/// The kind of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemoryCollection {
    /// The tenant's knowledge: pages, manuals, rules.
    Knowledge,
    /// Conversations that are over.
    Conversations,
    /// Tasks of agents, and their results.
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

/// A document without its text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DocumentHeader {
    /// Unique within its tenant and collection.
    pub name: String,
    pub title: String,
    /// The person it is about; erasing the person deletes the document.
    pub subject: Option<String>,
    /// Strings, numbers, booleans, and lists of these, for filters.
    pub metadata: Map<String, Value>,
    /// Increases with each change of the document, from 1.
    pub revision: u64,
    pub at: Time,
}

/// A document to be stored.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceDocument {
    pub name: String,
    pub title: String,
    pub subject: Option<String>,
    pub metadata: Map<String, Value>,
    pub text: String,
    /// Additional data; not searched.
    pub body: Value,
}

/// The first heading of a Markdown text, used as its title if none is given.
pub fn heading(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("# ")).map(str::trim)
}

/// A stored document.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredDocument {
    /// The number under which it is indexed; no other document ever has this number, not even one of the same name.
    pub number: u64,
    pub head: DocumentHeader,
    pub text: String,
    pub body: Value,
}

/// The stored revision of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DocumentRevision {
    /// As in [`StoredDocument`].
    pub number: u64,
    pub revision: u64,
}

/// When work that stores something about a person began: a person forgotten after that stays forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForgetWatermark {
    /// The number of forget operations by then, from [`DocumentIndex::forget_count`].
    pub forget_count: u64,
    pub at: Time,
}

impl ForgetWatermark {
    /// Whether a forget operation with this number and time came after this watermark.
    pub fn is_superseded_by(self, forgetting: u64, at: Time) -> bool {
        forgetting > self.forget_count || at > self.at
    }
}

/// How the chunks of a generation are made. Chunks of two recipes are never mixed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexRecipe {
    pub space: VectorSpace,
    /// How text is split, version and settings: `2/240/40`.
    pub chunking: String,
}

/// All chunks of a collection that were made by one recipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexGeneration {
    /// Never reused, by any tenant.
    pub id: u64,
    pub recipe: IndexRecipe,
    /// Whether it answers searches, or is still being built.
    pub live: bool,
    /// Number of searchable documents and chunks in it.
    pub documents: u64,
    pub pieces: u64,
    pub begun_at: Time,
}

/// A chunk of a document's text, to be indexed.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbeddedChunk {
    /// The headings above it, outermost first, as one line; the document's title is the first part.
    pub heading: String,
    /// `text` is bytes `begins..ends` of the document's text.
    pub begins: u32,
    pub ends: u32,
    pub text: String,
    pub vector: Vec<f32>,
}

/// Consecutive chunks of one revision of a document.
#[derive(Clone, Debug)]
pub struct ChunkBatch {
    /// The document's number.
    pub document: u64,
    pub revision: u64,
    /// The number of the first of these chunks.
    pub first: usize,
    /// At most [`BATCH_CHUNKS_MAX`]. Empty with `is_last` for a document without text.
    pub pieces: Vec<EmbeddedChunk>,
    /// With this batch the whole revision becomes searchable, and older ones no longer are.
    pub is_last: bool,
}

/// The result of adding chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexProgress {
    Done,
    /// Chunks up to this number are indexed already, by a process that stopped half-way or by one that is still at
    /// work. Nothing was written; continue from here.
    ResumeFrom(usize),
    /// The revision is indexed already, or is no longer the newest, or the generation is gone. Nothing was written;
    /// [`DocumentIndex::unindexed`] returns what is left to index.
    Superseded,
}

/// The result of making a generation live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwitchResult {
    /// It answers searches from now on; its predecessor is deleted.
    Done,
    /// This many documents are not indexed in it in their newest revision; nothing was changed.
    Incomplete { documents: u64 },
    /// It no longer exists: another build replaced it.
    Gone,
}

/// A chunk that was found: its key and its score; higher is better. Scores of two searches are not comparable.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SearchHit {
    pub piece: u64,
    pub score: f64,
}

/// A chunk as it is shown.
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

/// Selects documents by the person they are about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SubjectFilter {
    #[default]
    Anyone,
    /// About this person.
    Person(String),
    /// About no person, or about this person if one is named: what this person may see.
    SharedWith(Option<String>),
}

/// Selects documents for a search. Every condition must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DocumentFilter {
    pub subject: SubjectFilter,
    /// The field has this value, or one of these if a list is given, or contains it if the field is a list.
    pub metadata: BTreeMap<String, Value>,
}

/// Errors by what the caller should do next.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum IndexError {
    #[error("{what} is {size}, over the limit of {limit}")]
    TooLarge { what: &'static str, size: usize, limit: usize },
    #[error("the collection `{collection}` is full: it holds {limit} pieces; remove documents, or cut larger pieces")]
    Full { collection: MemoryCollection, limit: u64 },
    /// A value that the index cannot store; the same will be refused again.
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
    /// Stores a document, replacing one of the same name. Returns its revision, which is unchanged if nothing changed.
    /// Chunks of an older revision are found until this one is indexed. Durable when it returns. If the person it is
    /// about was forgotten after the work began, nothing is stored and the result says so; that is decided in the same
    /// write.
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

    /// Documents by name, after `after`; at most [`PAGE_MAX`].
    async fn documents(
        &self,
        tenant: &TenantId,
        collection: MemoryCollection,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<DocumentHeader>, IndexError>;

    /// Deletes a document with all its chunks, in every generation. Returns whether it existed.
    async fn remove(&self, tenant: &TenantId, collection: MemoryCollection, name: &str) -> Result<bool, IndexError>;

    /// Deletes every document of this collection about a person. Returns how many. Their words are gone from the
    /// index's own structures when it returns, not only unreachable, and nothing that began before can restore them.
    async fn forget(
        &self,
        tenant: &TenantId,
        collection: MemoryCollection,
        subject: &str,
        at: Time,
    ) -> Result<u64, IndexError>;

    /// Number of forget operations in this collection. Code that will store something about a person reads it before
    /// anything else.
    async fn forget_count(&self, tenant: &TenantId, collection: MemoryCollection) -> Result<u64, IndexError>;

    /// The collection's generations, the live one first.
    async fn generations(
        &self,
        tenant: &TenantId,
        collection: MemoryCollection,
    ) -> Result<Vec<IndexGeneration>, IndexError>;

    /// Returns a generation to add chunks to: the live one if there is none yet, otherwise one beside it. A generation
    /// that is being built already is continued if it has this recipe, and replaced otherwise.
    async fn begin(
        &self,
        tenant: &TenantId,
        collection: MemoryCollection,
        recipe: &IndexRecipe,
        at: Time,
    ) -> Result<IndexGeneration, IndexError>;

    /// Documents whose newest revision is not indexed in a generation, by name, after `after`.
    async fn unindexed(
        &self,
        tenant: &TenantId,
        generation: u64,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<DocumentHeader>, IndexError>;

    /// Adds chunks after those that are indexed already. A revision is found only once its last chunk is added.
    async fn add_chunks(
        &self,
        tenant: &TenantId,
        generation: u64,
        laying: ChunkBatch,
    ) -> Result<IndexProgress, IndexError>;

    /// Makes a generation live if every document is indexed in it.
    async fn make_live(&self, tenant: &TenantId, generation: u64) -> Result<SwitchResult, IndexError>;

    /// Deletes a generation that is not live.
    async fn discard(&self, tenant: &TenantId, generation: u64) -> Result<(), IndexError>;

    /// The chunks with the nearest vectors by cosine similarity, best first.
    async fn search_vectors(
        &self,
        tenant: &TenantId,
        generation: u64,
        vector: &[f32],
        filter: &DocumentFilter,
        limit: usize,
    ) -> Result<Vec<SearchHit>, IndexError>;

    /// Chunks that contain some of these words, best first (BM25 within this generation only). Words so common that
    /// scoring all their chunks would take long may be skipped if there is a rarer one.
    async fn search_words(
        &self,
        tenant: &TenantId,
        generation: u64,
        words: &[String],
        filter: &DocumentFilter,
        limit: usize,
    ) -> Result<Vec<SearchHit>, IndexError>;

    /// The chunks of these keys that still exist, in the requested order.
    async fn passages(
        &self,
        tenant: &TenantId,
        generation: u64,
        pieces: &[u64],
    ) -> Result<Vec<IndexedPassage>, IndexError>;
}

/// Checks the sizes and the metadata of a document. Every implementation calls this first.
///
/// # Errors
/// [`IndexError::TooLarge`] and [`IndexError::Invalid`], naming the value and the limit.
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

/// The values of a field: the elements of a list, otherwise the value itself.
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
