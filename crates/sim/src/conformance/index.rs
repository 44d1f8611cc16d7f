//! The smallest documents and chunks for the checks.

pub mod documents;
pub mod generations;
pub mod index_write;
pub mod search;

use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::embed::VectorSpace;
use baton_ports::index::{
    ChunkBatch, DocumentFilter, DocumentIndex, DocumentRevision, EmbeddedChunk, ForgetWatermark, IndexGeneration,
    IndexProgress, IndexRecipe, MemoryCollection, SearchHit, SourceDocument, SubjectFilter,
};
use serde_json::{Map, Value};

use super::fixtures::{at, tenant};

pub const KNOWLEDGE: MemoryCollection = MemoryCollection::Knowledge;
/// Dimensions of a vector in these checks; more than one word of bits, and not a multiple of one.
pub const DIMENSIONS: usize = 72;

pub fn recipe(chunking: &str) -> IndexRecipe {
    IndexRecipe { space: VectorSpace { name: "test".into(), dimensions: DIMENSIONS }, chunking: chunking.into() }
}

pub fn page(name: &str, text: &str) -> SourceDocument {
    SourceDocument {
        name: name.into(),
        title: format!("About {name}"),
        subject: None,
        metadata: Map::new(),
        text: text.into(),
        body: Value::Null,
    }
}

pub fn with(document: SourceDocument, subject: Option<&str>, metadata: Value) -> SourceDocument {
    let metadata = metadata.as_object().cloned().unwrap_or_default();
    SourceDocument { subject: subject.map(str::to_owned), metadata, ..document }
}

/// A vector at this angle from the first axis, in degrees; all of them are in one plane.
pub fn towards(degrees: f32) -> Vec<f32> {
    let mut vector = vec![0.0; DIMENSIONS];
    for (number, value) in vector.iter_mut().enumerate() {
        let (sin, cos) = degrees.to_radians().sin_cos();
        *value = if number % 2 == 0 { cos } else { sin } / (DIMENSIONS as f32 / 2.0).sqrt();
    }
    vector
}

pub fn piece(text: &str, degrees: f32) -> EmbeddedChunk {
    let ends = u32::try_from(text.len()).expect("short");
    EmbeddedChunk { heading: "Title > Heading".into(), begins: 0, ends, text: text.into(), vector: towards(degrees) }
}

pub fn index_write(kept: DocumentRevision, pieces: Vec<EmbeddedChunk>) -> ChunkBatch {
    ChunkBatch { document: kept.number, revision: kept.revision, first: 0, pieces, is_last: true }
}

/// The watermark of an operation that began before any forgetting, and later than any instant of these checks.
pub const EARLIEST: ForgetWatermark = ForgetWatermark { forget_count: 0, at: Time::from_ms(i64::MAX) };

pub async fn put(
    index: &impl DocumentIndex,
    tenant: &TenantId,
    document: SourceDocument,
    at: Time,
) -> DocumentRevision {
    let kept = index.put(tenant, KNOWLEDGE, document, EARLIEST, at).await.expect("puts");
    kept.expect("nobody was forgotten")
}

/// The revision under which the document of this name is indexed.
pub async fn kept(index: &impl DocumentIndex, name: &str) -> DocumentRevision {
    let stored = index.document(&tenant(), KNOWLEDGE, name).await.expect("reads").expect("is there");
    DocumentRevision { number: stored.number, revision: stored.head.revision }
}

pub async fn begin(index: &impl DocumentIndex) -> IndexGeneration {
    index.begin(&tenant(), KNOWLEDGE, &recipe("1"), at(1)).await.expect("begins")
}

/// Adds a document, and indexes it as one chunk with its whole text.
pub async fn add(
    index: &impl DocumentIndex,
    tenant: &TenantId,
    generation: &IndexGeneration,
    document: SourceDocument,
    degrees: f32,
) {
    let piece = piece(&document.text, degrees);
    let kept = put(index, tenant, document, at(2)).await;
    let laid = index.add_chunks(tenant, generation.id, index_write(kept, vec![piece])).await.expect("lays");
    assert_eq!(laid, IndexProgress::Done);
}

/// The texts that a search found, in order.
pub async fn texts(
    index: &impl DocumentIndex,
    tenant: &TenantId,
    generation: u64,
    hits: Vec<SearchHit>,
) -> Vec<String> {
    let pieces: Vec<u64> = hits.iter().map(|hit| hit.piece).collect();
    let passages = index.passages(tenant, generation, &pieces).await.expect("reads");
    passages.into_iter().map(|passage| passage.text).collect()
}

pub async fn near(
    index: &impl DocumentIndex,
    generation: &IndexGeneration,
    degrees: f32,
    filter: &DocumentFilter,
) -> Vec<String> {
    let hits = index.search_vectors(&tenant(), generation.id, &towards(degrees), filter, 10).await.expect("searches");
    texts(index, &tenant(), generation.id, hits).await
}

pub async fn matching_words(index: &impl DocumentIndex, generation: &IndexGeneration, words: &[&str]) -> Vec<String> {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let hits =
        index.search_words(&tenant(), generation.id, &words, &DocumentFilter::default(), 10).await.expect("searches");
    texts(index, &tenant(), generation.id, hits).await
}

pub fn only(metadata: Value) -> DocumentFilter {
    let fields = metadata.as_object().cloned().unwrap_or_default();
    DocumentFilter { metadata: fields.into_iter().collect(), ..DocumentFilter::default() }
}

pub fn about(person: &str) -> DocumentFilter {
    DocumentFilter { subject: SubjectFilter::Person(person.into()), ..DocumentFilter::default() }
}

pub fn shared_with(person: Option<&str>) -> DocumentFilter {
    DocumentFilter { subject: SubjectFilter::SharedWith(person.map(str::to_owned)), ..DocumentFilter::default() }
}
