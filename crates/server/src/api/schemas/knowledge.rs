//! Response schemas of the knowledge base and memory.

use serde_json::{Map, Value};
use utoipa::ToSchema;

#[derive(ToSchema)]
#[schema(as = Documents)]
pub(in crate::api) struct DocumentListSchema {
    documents: Vec<DocumentSchema>,
    /// Nothing on the last page.
    next_cursor: Option<String>,
}

/// What is known of a document without its text.
#[derive(ToSchema)]
#[schema(as = DocumentHead)]
pub(super) struct DocumentSchema {
    name: String,
    title: String,
    /// The person it is about.
    subject: Option<String>,
    #[schema(value_type = Object)]
    metadata: Map<String, Value>,
    /// Rises with each change, from 1.
    revision: u64,
    /// Milliseconds since 1970.
    at: i64,
}

#[derive(ToSchema)]
pub(in crate::api) struct DocumentAdded {
    document: String,
    revision: u64,
    pieces: u64,
    /// The very same document was there; nothing was done.
    unchanged: bool,
}

#[derive(ToSchema)]
pub(in crate::api) struct DocumentRemoved {
    removed: String,
}

#[derive(ToSchema)]
#[schema(as = Passages)]
pub(in crate::api) struct SearchResultSchema {
    query: String,
    /// Why this is less than it could be.
    degraded_reason: Option<String>,
    results: Vec<PassageSchema>,
}

/// A passage with where it is from.
#[derive(ToSchema)]
#[schema(as = Passage)]
pub(super) struct PassageSchema {
    content: String,
    /// Comparable within one answer only.
    score: f64,
    document: String,
    title: String,
    /// The headings it stands under.
    heading: String,
    chunk: u32,
    /// `content` is bytes `begins..ends` of the document's text.
    begins: u32,
    ends: u32,
    #[schema(value_type = Object)]
    metadata: Map<String, Value>,
    /// The person its document is about.
    about: Option<String>,
}

#[derive(ToSchema)]
#[schema(as = Rebuilt)]
pub(in crate::api) struct ReindexSchema {
    collections: Vec<CollectionSchema>,
}

#[derive(ToSchema)]
#[schema(as = Collection)]
pub(super) struct CollectionSchema {
    /// `knowledge`, `conversations` or `executions`.
    collection: String,
    embedder: String,
    documents: u64,
    pieces: u64,
}

/// What was erased of a person.
#[derive(ToSchema)]
#[schema(as = Erased)]
pub(in crate::api) struct ErasureReport {
    customer_id: String,
    forgotten: ForgottenCounts,
    erased_audit_rows: u64,
    /// How many other names of theirs were looked for.
    also_known_by: u64,
    /// Whether there was anything of theirs to erase.
    found: bool,
    /// When they were erased: now, or before where nothing was left; null where nobody of this id was ever erased.
    erased_at: Option<String>,
    /// Whether no copy is left in the log and in freed pages of the file. Otherwise it is done later by itself.
    scrubbed: bool,
    /// Executions and conversations that were ended for it.
    ended: Vec<String>,
    /// How many of each kind: `executions`, `conversations`, `journal_entries`, `inbox_items`, `snapshots`, `desk_items`,
    /// `model_decisions`, `audit_rows`, `cached_answers`, `desk_entries`, `services`, `records` by their space, and `memory`.
    #[schema(value_type = Object)]
    erased: Value,
    file: ScrubSchema,
}

/// What became of the database's file.
#[derive(ToSchema)]
#[schema(as = Scrubbed)]
pub(super) struct ScrubSchema {
    /// It was written anew: no page holds what was deleted.
    vacuumed: bool,
    log_truncated: bool,
    bytes: u64,
    /// Why it is not scrubbed yet.
    #[schema(nullable = false)]
    unfinished: Option<String>,
}

#[derive(ToSchema)]
#[schema(as = Forgotten)]
pub(super) struct ForgottenCounts {
    threads: u64,
    messages: u64,
    knowledge: u64,
    conversations: u64,
    executions: u64,
}

/// What is kept of a customer.
#[derive(ToSchema)]
pub(in crate::api) struct CustomerExport {
    customer_id: String,
    exported_at: String,
    /// Whether this is all there is.
    complete: bool,
    also_known_by: Vec<String>,
    /// Each with its `messages`.
    #[schema(value_type = Vec<Object>)]
    conversations: Vec<Value>,
    /// Each with its `input_data`.
    #[schema(value_type = Vec<Object>)]
    executions: Vec<Value>,
    /// About them, by `collection` and `name`.
    #[schema(value_type = Vec<Object>)]
    documents: Vec<Value>,
    #[schema(value_type = Vec<Object>)]
    audit_rows: Vec<Value>,
    /// Where somebody of this id was erased: when, and how much of each kind. What is listed beside it came later.
    #[schema(value_type = Option<Object>)]
    erased: Value,
}
