//! The index port in memory: everything is looked through, nothing is kept ready.

use std::collections::{BTreeMap, BTreeSet};

use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::index::{
    self, Collection, Document, Error, Filter, Generation, Head, Hit, Kept, Laid, Laying, PAGE_MAX, PIECES_MAX,
    Passage, Piece, Recipe, Since, Stored, Switched, Whose, scalars,
};
use serde_json::Value;

type Place = (TenantId, Collection);

/// All documents and generations.
#[derive(Debug, Default)]
pub struct Stacks {
    documents: BTreeMap<(TenantId, Collection, String), Stored>,
    generations: BTreeMap<u64, Built>,
    last_generation: u64,
    last_document: u64,
    /// Whom was forgotten where, as the how-manieth of the place and when.
    forgotten: BTreeMap<(TenantId, Collection, String), (u64, Time)>,
}

#[derive(Debug)]
struct Built {
    place: Place,
    generation: Generation,
    /// By document and revision; a piece's key is made of its place here.
    pieces: BTreeMap<u64, (String, u64, u32, Piece)>,
    /// The revision that can be found of each document, and its pieces.
    laid: BTreeMap<String, (u64, u64)>,
    last_piece: u64,
}

impl Stacks {
    pub fn put(
        &mut self,
        tenant: &TenantId,
        collection: Collection,
        document: Document,
        since: Since,
        at: Time,
    ) -> Result<Option<Kept>, Error> {
        index::check(&document)?;
        if let Some(subject) = &document.subject
            && let Some((number, when)) = self.forgotten.get(&(tenant.clone(), collection, subject.clone()))
            && since.is_before(*number, *when)
        {
            return Ok(None);
        }
        let key = (tenant.clone(), collection, document.name.clone());
        let Document { name, title, subject, metadata, text, body } = document;
        let head = |revision, at| Head {
            name: name.clone(),
            title: title.clone(),
            subject: subject.clone(),
            metadata: metadata.clone(),
            revision,
            at,
        };
        let before = self.documents.get(&key).map(|stored| (stored.number, stored.head.revision, stored.head.at));
        if let Some((number, revision, at)) = before {
            let same = Stored { number, head: head(revision, at), text: text.clone(), body: body.clone() };
            if self.documents.get(&key) == Some(&same) {
                return Ok(Some(Kept { number, revision }));
            }
        }
        let number = before.map_or(self.last_document + 1, |(number, _, _)| number);
        self.last_document = self.last_document.max(number);
        let revision = before.map_or(0, |(_, revision, _)| revision) + 1;
        self.documents.insert(key, Stored { number, head: head(revision, at), text, body });
        Ok(Some(Kept { number, revision }))
    }

    pub fn document(&self, tenant: &TenantId, collection: Collection, name: &str) -> Option<Stored> {
        self.documents.get(&(tenant.clone(), collection, name.to_owned())).cloned()
    }

    pub fn documents(&self, tenant: &TenantId, collection: Collection, after: Option<&str>, limit: usize) -> Vec<Head> {
        let behind = |stored: &&Stored| after.is_none_or(|after| stored.head.name.as_str() > after);
        let of = self.of(tenant, collection).filter(behind);
        of.take(limit.min(PAGE_MAX)).map(|stored| stored.head.clone()).collect()
    }

    fn of(&self, tenant: &TenantId, collection: Collection) -> impl Iterator<Item = &Stored> {
        let is_of = move |key: &(TenantId, Collection, String)| key.0 == *tenant && key.1 == collection;
        self.documents.iter().filter(move |(key, _)| is_of(key)).map(|(_, stored)| stored)
    }

    pub fn remove(&mut self, tenant: &TenantId, collection: Collection, name: &str) -> bool {
        let place = (tenant.clone(), collection);
        for built in self.generations.values_mut().filter(|built| built.place == place) {
            built.take_out(name, u64::MAX);
            if let Some((_, pieces)) = built.laid.remove(name) {
                built.generation.documents -= 1;
                built.generation.pieces -= pieces;
            }
        }
        self.documents.remove(&(place.0, place.1, name.to_owned())).is_some()
    }

    pub fn forgettings(&self, tenant: &TenantId, collection: Collection) -> u64 {
        let here = self.forgotten.iter().filter(|((of, at, _), _)| of == tenant && *at == collection);
        here.map(|(_, (number, _))| *number).max().unwrap_or(0)
    }

    pub fn forget(&mut self, tenant: &TenantId, collection: Collection, subject: &str, at: Time) -> u64 {
        let number = self.forgettings(tenant, collection) + 1;
        self.forgotten.insert((tenant.clone(), collection, subject.to_owned()), (number, at));
        let about = |stored: &&Stored| stored.head.subject.as_deref() == Some(subject);
        let names: Vec<String> =
            self.of(tenant, collection).filter(about).map(|stored| stored.head.name.clone()).collect();
        names.iter().map(|name| u64::from(self.remove(tenant, collection, name))).sum()
    }

    pub fn generations(&self, tenant: &TenantId, collection: Collection) -> Vec<Generation> {
        let place = (tenant.clone(), collection);
        let of = self.generations.values().filter(|built| built.place == place);
        let mut all: Vec<Generation> = of.map(|built| built.generation.clone()).collect();
        all.sort_by_key(|generation| !generation.live);
        all
    }

    pub fn begin(&mut self, tenant: &TenantId, collection: Collection, recipe: &Recipe, at: Time) -> Generation {
        let before = self.generations(tenant, collection);
        if let Some(building) = before.iter().find(|generation| !generation.live) {
            if building.recipe == *recipe {
                return building.clone();
            }
            self.generations.remove(&building.id);
        }
        self.last_generation += 1;
        let generation = Generation {
            id: self.last_generation,
            recipe: recipe.clone(),
            live: !before.iter().any(|generation| generation.live),
            documents: 0,
            pieces: 0,
            begun_at: at,
        };
        let place = (tenant.clone(), collection);
        let built = Built {
            place,
            generation: generation.clone(),
            pieces: BTreeMap::new(),
            laid: BTreeMap::new(),
            last_piece: 0,
        };
        self.generations.insert(generation.id, built);
        generation
    }

    fn built(&self, tenant: &TenantId, generation: u64) -> Option<&Built> {
        self.generations.get(&generation).filter(|built| built.place.0 == *tenant)
    }

    pub fn unlaid(&self, tenant: &TenantId, generation: u64, after: Option<&str>, limit: usize) -> Vec<Head> {
        let Some(built) = self.built(tenant, generation) else { return Vec::new() };
        let behind = |stored: &&Stored| after.is_none_or(|after| stored.head.name.as_str() > after);
        let unlaid = |stored: &&Stored| !built.has_laid(&stored.head);
        let of = self.of(tenant, built.place.1).filter(behind).filter(unlaid);
        of.take(limit.min(PAGE_MAX)).map(|stored| stored.head.clone()).collect()
    }

    pub fn lay(&mut self, tenant: &TenantId, generation: u64, laying: Laying) -> Result<Laid, Error> {
        let over = |what, size, limit| if size > limit { Err(Error::TooLarge { what, size, limit }) } else { Ok(()) };
        over("the pieces laid at once", laying.pieces.len(), index::LAID_MAX)?;
        over("a document's pieces", laying.first + laying.pieces.len(), PIECES_MAX)?;
        let Some(collection) = self.built(tenant, generation).map(|built| built.place.1) else {
            return Ok(Laid::Overtaken);
        };
        let stored = self.of(tenant, collection).find(|stored| stored.number == laying.document);
        let newest = stored.map(|stored| (stored.head.name.clone(), stored.head.revision));
        match (self.generations.get_mut(&generation), newest) {
            (Some(built), Some((name, revision))) if revision == laying.revision => built.lay(name, laying),
            (Some(_) | None, _) => Ok(Laid::Overtaken),
        }
    }

    pub fn switch(&mut self, tenant: &TenantId, generation: u64) -> Switched {
        let Some(built) = self.built(tenant, generation) else { return Switched::Gone };
        let place = built.place.clone();
        let documents = self.of(tenant, place.1).filter(|stored| !built.has_laid(&stored.head)).count() as u64;
        if documents > 0 {
            return Switched::Behind { documents };
        }
        self.generations.retain(|id, built| built.place != place || *id == generation);
        if let Some(built) = self.generations.get_mut(&generation) {
            built.generation.live = true;
        }
        Switched::Done
    }

    pub fn discard(&mut self, tenant: &TenantId, generation: u64) {
        if self.built(tenant, generation).is_some_and(|built| !built.generation.live) {
            self.generations.remove(&generation);
        }
    }

    /// The pieces that can be found, of documents that meet the filter.
    fn findable<'s>(
        &'s self,
        tenant: &'s TenantId,
        generation: u64,
        filter: &'s Filter,
    ) -> impl Iterator<Item = (u64, &'s Piece)> {
        let built = self.built(tenant, generation).into_iter();
        built.flat_map(move |built| {
            built.pieces.iter().filter_map(move |(key, (name, revision, _, piece))| {
                let stored = self.documents.get(&(tenant.clone(), built.place.1, name.clone()))?;
                let is_laid = built.laid.get(name).is_some_and(|(laid, _)| laid == revision);
                (is_laid && meets(&stored.head, filter)).then_some((*key, piece))
            })
        })
    }

    pub fn nearest(
        &self,
        tenant: &TenantId,
        generation: u64,
        vector: &[f32],
        filter: &Filter,
        limit: usize,
    ) -> Vec<Hit> {
        let product = |piece: &Piece| piece.vector.iter().zip(vector).map(|(a, b)| f64::from(a * b)).sum();
        let all = self.findable(tenant, generation, filter);
        best(all.map(|(piece, found)| Hit { piece, score: product(found) }), limit)
    }

    /// BM25, as FTS5 has it.
    pub fn matching(
        &self,
        tenant: &TenantId,
        generation: u64,
        words: &[String],
        filter: &Filter,
        limit: usize,
    ) -> Vec<Hit> {
        let nobody = Filter::default();
        let all: Vec<Vec<String>> =
            self.findable(tenant, generation, &nobody).map(|(_, piece)| tokens(piece)).collect();
        #[expect(clippy::cast_precision_loss, reason = "counts of a test")]
        let (count, mean) = {
            let length: usize = all.iter().map(Vec::len).sum();
            (all.len() as f64, length as f64 / all.len().max(1) as f64)
        };
        let wanted: BTreeSet<String> = words.iter().map(|word| word.to_lowercase()).collect();
        let score = |piece: &Piece| {
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
        let found = self.findable(tenant, generation, filter);
        best(found.map(|(piece, found)| Hit { piece, score: score(found) }).filter(|hit| hit.score > 0.0), limit)
    }

    pub fn passages(&self, tenant: &TenantId, generation: u64, pieces: &[u64]) -> Vec<Passage> {
        let Some(built) = self.built(tenant, generation) else { return Vec::new() };
        let filter = Filter::default();
        let findable: BTreeMap<u64, &Piece> = self.findable(tenant, generation, &filter).collect();
        let passage = |key: &u64| {
            let piece = findable.get(key)?;
            let (name, _, number, _) = built.pieces.get(key)?;
            Some(Passage {
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

impl Built {
    fn has_laid(&self, head: &Head) -> bool {
        self.laid.get(&head.name).is_some_and(|(laid, _)| *laid == head.revision)
    }

    fn take_out(&mut self, document: &str, below: u64) {
        self.pieces.retain(|_, (name, revision, _, _)| name != document || *revision >= below);
    }

    fn lay(&mut self, document: String, laying: Laying) -> Result<Laid, Error> {
        let Laying { document: _, revision, first, pieces, is_last } = laying;
        if self.laid.get(&document).is_some_and(|(laid, _)| *laid == revision) {
            return Ok(Laid::Overtaken);
        }
        let here = |(name, of, _, _): &&(String, u64, u32, Piece)| *name == document && *of == revision;
        let present = self.pieces.values().filter(here).count();
        if present != first {
            return Ok(Laid::From(present));
        }
        let dimensions = self.generation.recipe.space.dimensions;
        if let Some(wrong) = pieces.iter().find(|piece| piece.vector.len() != dimensions) {
            let reason = format!("it has {} dimensions, not {dimensions}", wrong.vector.len());
            return Err(Error::Invalid { what: "a vector".to_owned(), reason });
        }
        let laid = (present + pieces.len()) as u64;
        for (number, piece) in (0_u32..).zip(pieces) {
            self.last_piece += 1;
            let number = number + u32::try_from(first).unwrap_or(u32::MAX);
            self.pieces.insert(self.last_piece, (document.clone(), revision, number, piece));
        }
        if is_last {
            self.take_out(&document, revision);
            let before = self.laid.insert(document, (revision, laid));
            self.generation.documents += u64::from(before.is_none());
            self.generation.pieces = self.generation.pieces + laid - before.map_or(0, |(_, pieces)| pieces);
        }
        Ok(Laid::Done)
    }
}

fn meets(head: &Head, filter: &Filter) -> bool {
    let has = |key: &str, wanted: &Value| {
        let held = head.metadata.get(key).map(scalars).unwrap_or_default();
        scalars(wanted).iter().any(|value| held.iter().any(|held| same(held, value)))
    };
    let is_theirs = match &filter.whose {
        Whose::Anybodys => true,
        Whose::Of(person) => head.subject.as_ref() == Some(person),
        Whose::SharedWith(person) => head.subject.is_none() || head.subject == *person,
    };
    is_theirs && filter.metadata.iter().all(|(key, wanted)| has(key, wanted))
}

fn same(one: &Value, other: &Value) -> bool {
    one == other || one.as_f64().is_some_and(|one| other.as_f64() == Some(one))
}

fn tokens(piece: &Piece) -> Vec<String> {
    let text = format!("{} {}", piece.heading, piece.text).to_lowercase();
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn best(hits: impl Iterator<Item = Hit>, limit: usize) -> Vec<Hit> {
    let mut hits: Vec<Hit> = hits.collect();
    hits.sort_by(|one, other| other.score.total_cmp(&one.score).then(one.piece.cmp(&other.piece)));
    hits.truncate(limit.min(index::HITS_MAX));
    hits
}
