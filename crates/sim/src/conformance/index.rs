//! The smallest documents and pieces the checks are about.

pub mod documents;
pub mod generations;
pub mod laying;
pub mod search;

use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::embed::Space;
use baton_ports::index::{
    Collection, Document, Filter, Generation, Hit, Index, Kept, Laid, Laying, Piece, Recipe, Since, Whose,
};
use serde_json::{Map, Value};

use super::world::{at, tenant};

pub const KNOWLEDGE: Collection = Collection::Knowledge;
/// Numbers of a vector here; more than one word of bits, and not whole words.
pub const DIMENSIONS: usize = 72;

pub fn recipe(chunking: &str) -> Recipe {
    Recipe { space: Space { name: "test".into(), dimensions: DIMENSIONS }, chunking: chunking.into() }
}

pub fn page(name: &str, text: &str) -> Document {
    Document {
        name: name.into(),
        title: format!("About {name}"),
        subject: None,
        metadata: Map::new(),
        text: text.into(),
        body: Value::Null,
    }
}

pub fn with(document: Document, subject: Option<&str>, metadata: Value) -> Document {
    let metadata = metadata.as_object().cloned().unwrap_or_default();
    Document { subject: subject.map(str::to_owned), metadata, ..document }
}

/// A vector that points as far from the first axis as the angle says, in degrees; all of them lie in one plane.
pub fn towards(degrees: f32) -> Vec<f32> {
    let mut vector = vec![0.0; DIMENSIONS];
    for (number, value) in vector.iter_mut().enumerate() {
        let (sin, cos) = degrees.to_radians().sin_cos();
        *value = if number % 2 == 0 { cos } else { sin } / (DIMENSIONS as f32 / 2.0).sqrt();
    }
    vector
}

pub fn piece(text: &str, degrees: f32) -> Piece {
    let ends = u32::try_from(text.len()).expect("short");
    Piece { heading: "Title > Heading".into(), begins: 0, ends, text: text.into(), vector: towards(degrees) }
}

pub fn laying(kept: Kept, pieces: Vec<Piece>) -> Laying {
    Laying { document: kept.number, revision: kept.revision, first: 0, pieces, is_last: true }
}

/// A work that began when nobody had been forgotten, and later than anything here.
pub const EVER: Since = Since { forgettings: 0, at: Time::from_ms(i64::MAX) };

pub async fn put(index: &impl Index, tenant: &TenantId, document: Document, at: Time) -> Kept {
    let kept = index.put(tenant, KNOWLEDGE, document, EVER, at).await.expect("puts");
    kept.expect("nobody was forgotten")
}

/// What the document of a name is laid as.
pub async fn kept(index: &impl Index, name: &str) -> Kept {
    let stored = index.document(&tenant(), KNOWLEDGE, name).await.expect("reads").expect("is there");
    Kept { number: stored.number, revision: stored.head.revision }
}

pub async fn begin(index: &impl Index) -> Generation {
    index.begin(&tenant(), KNOWLEDGE, &recipe("1"), at(1)).await.expect("begins")
}

/// Puts a document, and lays it as one piece that is its whole text.
pub async fn add(index: &impl Index, tenant: &TenantId, generation: &Generation, document: Document, degrees: f32) {
    let piece = piece(&document.text, degrees);
    let kept = put(index, tenant, document, at(2)).await;
    let laid = index.lay(tenant, generation.id, laying(kept, vec![piece])).await.expect("lays");
    assert_eq!(laid, Laid::Done);
}

/// Texts of what a search found, in its order.
pub async fn texts(index: &impl Index, tenant: &TenantId, generation: u64, hits: Vec<Hit>) -> Vec<String> {
    let pieces: Vec<u64> = hits.iter().map(|hit| hit.piece).collect();
    let passages = index.passages(tenant, generation, &pieces).await.expect("reads");
    passages.into_iter().map(|passage| passage.text).collect()
}

pub async fn near(index: &impl Index, generation: &Generation, degrees: f32, filter: &Filter) -> Vec<String> {
    let hits = index.nearest(&tenant(), generation.id, &towards(degrees), filter, 10).await.expect("searches");
    texts(index, &tenant(), generation.id, hits).await
}

pub async fn holding(index: &impl Index, generation: &Generation, words: &[&str]) -> Vec<String> {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let hits = index.matching(&tenant(), generation.id, &words, &Filter::default(), 10).await.expect("searches");
    texts(index, &tenant(), generation.id, hits).await
}

pub fn only(metadata: Value) -> Filter {
    let fields = metadata.as_object().cloned().unwrap_or_default();
    Filter { metadata: fields.into_iter().collect(), ..Filter::default() }
}

pub fn about(person: &str) -> Filter {
    Filter { whose: Whose::Of(person.into()), ..Filter::default() }
}

pub fn shared_with(person: Option<&str>) -> Filter {
    Filter { whose: Whose::SharedWith(person.map(str::to_owned)), ..Filter::default() }
}
