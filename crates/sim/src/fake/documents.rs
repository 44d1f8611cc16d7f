//! The index port in memory: every search scans everything.

use std::collections::{BTreeMap, BTreeSet};

use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::index::{
    self, CHUNKS_MAX, ChunkBatch, DocumentFilter, DocumentHeader, DocumentRevision, EmbeddedChunk, ForgetWatermark,
    IndexError, IndexGeneration, IndexProgress, IndexRecipe, IndexedPassage, MemoryCollection, PAGE_MAX, SearchHit,
    SourceDocument, StoredDocument, SubjectFilter, SwitchResult, scalars,
};
use serde_json::Value;

type CollectionKey = (TenantId, MemoryCollection);

/// All documents and generations.
#[derive(Debug, Default)]
pub struct FakeDocuments {
    documents: BTreeMap<(TenantId, MemoryCollection, String), StoredDocument>,
    generations: BTreeMap<u64, FakeGeneration>,
    last_generation: u64,
    last_document: u64,
    /// Who was forgotten in which collection, with the number and the time of the forgetting.
    forgotten: BTreeMap<(TenantId, MemoryCollection, String), (u64, Time)>,
}

#[derive(Debug)]
struct FakeGeneration {
    place: CollectionKey,
    generation: IndexGeneration,
    /// By document and revision; a chunk's key is its index here.
    pieces: BTreeMap<u64, (String, u64, u32, EmbeddedChunk)>,
    /// The searchable revision of each document, and its number of chunks.
    laid: BTreeMap<String, (u64, u64)>,
    last_piece: u64,
}

impl FakeDocuments {
    pub fn put(
        &mut self,
        tenant: &TenantId,
        collection: MemoryCollection,
        document: SourceDocument,
        since: ForgetWatermark,
        at: Time,
    ) -> Result<Option<DocumentRevision>, IndexError> {
        index::check(&document)?;
        if let Some(subject) = &document.subject
            && let Some((number, when)) = self.forgotten.get(&(tenant.clone(), collection, subject.clone()))
            && since.is_superseded_by(*number, *when)
        {
            return Ok(None);
        }
        let key = (tenant.clone(), collection, document.name.clone());
        let SourceDocument { name, title, subject, metadata, text, body } = document;
        let head = |revision, at| DocumentHeader {
            name: name.clone(),
            title: title.clone(),
            subject: subject.clone(),
            metadata: metadata.clone(),
            revision,
            at,
        };
        let before = self.documents.get(&key).map(|stored| (stored.number, stored.head.revision, stored.head.at));
        if let Some((number, revision, at)) = before {
            let same = StoredDocument { number, head: head(revision, at), text: text.clone(), body: body.clone() };
            if self.documents.get(&key) == Some(&same) {
                return Ok(Some(DocumentRevision { number, revision }));
            }
        }
        let number = before.map_or(self.last_document + 1, |(number, _, _)| number);
        self.last_document = self.last_document.max(number);
        let revision = before.map_or(0, |(_, revision, _)| revision) + 1;
        self.documents.insert(key, StoredDocument { number, head: head(revision, at), text, body });
        Ok(Some(DocumentRevision { number, revision }))
    }

    pub fn document(&self, tenant: &TenantId, collection: MemoryCollection, name: &str) -> Option<StoredDocument> {
        self.documents.get(&(tenant.clone(), collection, name.to_owned())).cloned()
    }

    pub fn documents(
        &self,
        tenant: &TenantId,
        collection: MemoryCollection,
        after: Option<&str>,
        limit: usize,
    ) -> Vec<DocumentHeader> {
        let behind = |stored: &&StoredDocument| after.is_none_or(|after| stored.head.name.as_str() > after);
        let of = self.of(tenant, collection).filter(behind);
        of.take(limit.min(PAGE_MAX)).map(|stored| stored.head.clone()).collect()
    }

    fn of(&self, tenant: &TenantId, collection: MemoryCollection) -> impl Iterator<Item = &StoredDocument> {
        let is_of = move |key: &(TenantId, MemoryCollection, String)| key.0 == *tenant && key.1 == collection;
        self.documents.iter().filter(move |(key, _)| is_of(key)).map(|(_, stored)| stored)
    }

    pub fn remove(&mut self, tenant: &TenantId, collection: MemoryCollection, name: &str) -> bool {
        let place = (tenant.clone(), collection);
        for built in self.generations.values_mut().filter(|built| built.place == place) {
            built.remove_pieces(name, u64::MAX);
            if let Some((_, pieces)) = built.laid.remove(name) {
                built.generation.documents -= 1;
                built.generation.pieces -= pieces;
            }
        }
        self.documents.remove(&(place.0, place.1, name.to_owned())).is_some()
    }

    pub fn forget_count(&self, tenant: &TenantId, collection: MemoryCollection) -> u64 {
        let here = self.forgotten.iter().filter(|((of, at, _), _)| of == tenant && *at == collection);
        here.map(|(_, (number, _))| *number).max().unwrap_or(0)
    }

    pub fn forget(&mut self, tenant: &TenantId, collection: MemoryCollection, subject: &str, at: Time) -> u64 {
        let number = self.forget_count(tenant, collection) + 1;
        self.forgotten.insert((tenant.clone(), collection, subject.to_owned()), (number, at));
        let about = |stored: &&StoredDocument| stored.head.subject.as_deref() == Some(subject);
        let names: Vec<String> =
            self.of(tenant, collection).filter(about).map(|stored| stored.head.name.clone()).collect();
        names.iter().map(|name| u64::from(self.remove(tenant, collection, name))).sum()
    }

    pub fn generations(&self, tenant: &TenantId, collection: MemoryCollection) -> Vec<IndexGeneration> {
        let place = (tenant.clone(), collection);
        let of = self.generations.values().filter(|built| built.place == place);
        let mut all: Vec<IndexGeneration> = of.map(|built| built.generation.clone()).collect();
        all.sort_by_key(|generation| !generation.live);
        all
    }

    pub fn begin(
        &mut self,
        tenant: &TenantId,
        collection: MemoryCollection,
        recipe: &IndexRecipe,
        at: Time,
    ) -> IndexGeneration {
        let before = self.generations(tenant, collection);
        if let Some(building) = before.iter().find(|generation| !generation.live) {
            if building.recipe == *recipe {
                return building.clone();
            }
            self.generations.remove(&building.id);
        }
        self.last_generation += 1;
        let generation = IndexGeneration {
            id: self.last_generation,
            recipe: recipe.clone(),
            live: !before.iter().any(|generation| generation.live),
            documents: 0,
            pieces: 0,
            begun_at: at,
        };
        let place = (tenant.clone(), collection);
        let built = FakeGeneration {
            place,
            generation: generation.clone(),
            pieces: BTreeMap::new(),
            laid: BTreeMap::new(),
            last_piece: 0,
        };
        self.generations.insert(generation.id, built);
        generation
    }

    fn generation_state(&self, tenant: &TenantId, generation: u64) -> Option<&FakeGeneration> {
        self.generations.get(&generation).filter(|built| built.place.0 == *tenant)
    }

    pub fn unindexed(
        &self,
        tenant: &TenantId,
        generation: u64,
        after: Option<&str>,
        limit: usize,
    ) -> Vec<DocumentHeader> {
        let Some(built) = self.generation_state(tenant, generation) else { return Vec::new() };
        let behind = |stored: &&StoredDocument| after.is_none_or(|after| stored.head.name.as_str() > after);
        let unlaid = |stored: &&StoredDocument| !built.is_indexed(&stored.head);
        let of = self.of(tenant, built.place.1).filter(behind).filter(unlaid);
        of.take(limit.min(PAGE_MAX)).map(|stored| stored.head.clone()).collect()
    }

    pub fn add_chunks(
        &mut self,
        tenant: &TenantId,
        generation: u64,
        laying: ChunkBatch,
    ) -> Result<IndexProgress, IndexError> {
        let over =
            |what, size, limit| if size > limit { Err(IndexError::TooLarge { what, size, limit }) } else { Ok(()) };
        over("the pieces laid at once", laying.pieces.len(), index::BATCH_CHUNKS_MAX)?;
        over("a document's pieces", laying.first + laying.pieces.len(), CHUNKS_MAX)?;
        let Some(collection) = self.generation_state(tenant, generation).map(|built| built.place.1) else {
            return Ok(IndexProgress::Superseded);
        };
        let stored = self.of(tenant, collection).find(|stored| stored.number == laying.document);
        let newest = stored.map(|stored| (stored.head.name.clone(), stored.head.revision));
        match (self.generations.get_mut(&generation), newest) {
            (Some(built), Some((name, revision))) if revision == laying.revision => built.add_chunks(name, laying),
            (Some(_) | None, _) => Ok(IndexProgress::Superseded),
        }
    }

    pub fn make_live(&mut self, tenant: &TenantId, generation: u64) -> SwitchResult {
        let Some(built) = self.generation_state(tenant, generation) else { return SwitchResult::Gone };
        let place = built.place.clone();
        let documents = self.of(tenant, place.1).filter(|stored| !built.is_indexed(&stored.head)).count() as u64;
        if documents > 0 {
            return SwitchResult::Incomplete { documents };
        }
        self.generations.retain(|id, built| built.place != place || *id == generation);
        if let Some(built) = self.generations.get_mut(&generation) {
            built.generation.live = true;
        }
        SwitchResult::Done
    }

    pub fn discard(&mut self, tenant: &TenantId, generation: u64) {
        if self.generation_state(tenant, generation).is_some_and(|built| !built.generation.live) {
            self.generations.remove(&generation);
        }
    }

    /// The searchable chunks of documents that match the filter.
    fn searchable_pieces<'s>(
        &'s self,
        tenant: &'s TenantId,
        generation: u64,
        filter: &'s DocumentFilter,
    ) -> impl Iterator<Item = (u64, &'s EmbeddedChunk)> {
        let built = self.generation_state(tenant, generation).into_iter();
        built.flat_map(move |built| {
            built.pieces.iter().filter_map(move |(key, (name, revision, _, piece))| {
                let stored = self.documents.get(&(tenant.clone(), built.place.1, name.clone()))?;
                let is_laid = built.laid.get(name).is_some_and(|(laid, _)| laid == revision);
                (is_laid && matches_filter(&stored.head, filter)).then_some((*key, piece))
            })
        })
    }

    pub fn search_vectors(
        &self,
        tenant: &TenantId,
        generation: u64,
        vector: &[f32],
        filter: &DocumentFilter,
        limit: usize,
    ) -> Vec<SearchHit> {
        let product = |piece: &EmbeddedChunk| piece.vector.iter().zip(vector).map(|(a, b)| f64::from(a * b)).sum();
        let all = self.searchable_pieces(tenant, generation, filter);
        best(all.map(|(piece, found)| SearchHit { piece, score: product(found) }), limit)
    }

    /// BM25 as in FTS5.
    pub fn search_words(
        &self,
        tenant: &TenantId,
        generation: u64,
        words: &[String],
        filter: &DocumentFilter,
        limit: usize,
    ) -> Vec<SearchHit> {
        let nobody = DocumentFilter::default();
        let all: Vec<Vec<String>> =
            self.searchable_pieces(tenant, generation, &nobody).map(|(_, piece)| tokens(piece)).collect();
        #[expect(clippy::cast_precision_loss, reason = "counts of a test")]
        let (count, mean) = {
            let length: usize = all.iter().map(Vec::len).sum();
            (all.len() as f64, length as f64 / all.len().max(1) as f64)
        };
        let wanted: BTreeSet<String> = words.iter().map(|word| word.to_lowercase()).collect();
        let score = |piece: &EmbeddedChunk| {
            let tokens = tokens(piece);
            #[expect(clippy::cast_precision_loss, reason = "counts of a test")]
            let of_word = |word: &String| {
                let holding = all.iter().filter(|tokens| tokens.contains(word)).count() as f64;
                let times = tokens.iter().filter(|token| *token == word).count() as f64;
                let rarity = ((count - holding + 0.5) / (holding + 0.5)).ln().max(1e-6);
                rarity * times * 2.2 / (times + 1.2 * (0.25 + 0.75 * tokens.len() as f64 / mean))
            };
            wanted.iter().map(of_word).sum::<f64>()
        };
        let found = self.searchable_pieces(tenant, generation, filter);
        best(found.map(|(piece, found)| SearchHit { piece, score: score(found) }).filter(|hit| hit.score > 0.0), limit)
    }

    pub fn passages(&self, tenant: &TenantId, generation: u64, pieces: &[u64]) -> Vec<IndexedPassage> {
        let Some(built) = self.generation_state(tenant, generation) else { return Vec::new() };
        let filter = DocumentFilter::default();
        let findable: BTreeMap<u64, &EmbeddedChunk> = self.searchable_pieces(tenant, generation, &filter).collect();
        let passage = |key: &u64| {
            let piece = findable.get(key)?;
            let (name, _, number, _) = built.pieces.get(key)?;
            Some(IndexedPassage {
                piece: *key,
                document: self.document(tenant, built.place.1, name)?.head,
                number: *number,
                heading: piece.heading.clone(),
                begins: piece.begins,
                ends: piece.ends,
                text: piece.text.clone(),
            })
        };
        pieces.iter().filter_map(passage).collect()
    }
}

impl FakeGeneration {
    fn is_indexed(&self, head: &DocumentHeader) -> bool {
        self.laid.get(&head.name).is_some_and(|(laid, _)| *laid == head.revision)
    }

    fn remove_pieces(&mut self, document: &str, below: u64) {
        self.pieces.retain(|_, (name, revision, _, _)| name != document || *revision >= below);
    }

    fn add_chunks(&mut self, document: String, laying: ChunkBatch) -> Result<IndexProgress, IndexError> {
        let ChunkBatch { document: _, revision, first, pieces, is_last } = laying;
        if self.laid.get(&document).is_some_and(|(laid, _)| *laid == revision) {
            return Ok(IndexProgress::Superseded);
        }
        let here = |(name, of, _, _): &&(String, u64, u32, EmbeddedChunk)| *name == document && *of == revision;
        let present = self.pieces.values().filter(here).count();
        if present != first {
            return Ok(IndexProgress::ResumeFrom(present));
        }
        let dimensions = self.generation.recipe.space.dimensions;
        if let Some(wrong) = pieces.iter().find(|piece| piece.vector.len() != dimensions) {
            let reason = format!("it has {} dimensions, not {dimensions}", wrong.vector.len());
            return Err(IndexError::Invalid { what: "a vector".to_owned(), reason });
        }
        let laid = (present + pieces.len()) as u64;
        for (number, piece) in (0_u32..).zip(pieces) {
            self.last_piece += 1;
            let number = number + u32::try_from(first).unwrap_or(u32::MAX);
            self.pieces.insert(self.last_piece, (document.clone(), revision, number, piece));
        }
        if is_last {
            self.remove_pieces(&document, revision);
            let before = self.laid.insert(document, (revision, laid));
            self.generation.documents += u64::from(before.is_none());
            self.generation.pieces = self.generation.pieces + laid - before.map_or(0, |(_, pieces)| pieces);
        }
        Ok(IndexProgress::Done)
    }
}

fn matches_filter(head: &DocumentHeader, filter: &DocumentFilter) -> bool {
    let has = |key: &str, wanted: &Value| {
        let held = head.metadata.get(key).map(scalars).unwrap_or_default();
        scalars(wanted).iter().any(|value| held.iter().any(|held| values_equal(held, value)))
    };
    let is_theirs = match &filter.subject {
        SubjectFilter::Anyone => true,
        SubjectFilter::Person(person) => head.subject.as_ref() == Some(person),
        SubjectFilter::SharedWith(person) => head.subject.is_none() || head.subject == *person,
    };
    is_theirs && filter.metadata.iter().all(|(key, wanted)| has(key, wanted))
}

fn values_equal(one: &Value, other: &Value) -> bool {
    one == other || one.as_f64().is_some_and(|one| other.as_f64() == Some(one))
}

fn tokens(piece: &EmbeddedChunk) -> Vec<String> {
    let text = format!("{} {}", piece.heading, piece.text).to_lowercase();
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn best(hits: impl Iterator<Item = SearchHit>, limit: usize) -> Vec<SearchHit> {
    let mut hits: Vec<SearchHit> = hits.collect();
    hits.sort_by(|one, other| other.score.total_cmp(&one.score).then(one.piece.cmp(&other.piece)));
    hits.truncate(limit.min(index::HITS_MAX));
    hits
}
