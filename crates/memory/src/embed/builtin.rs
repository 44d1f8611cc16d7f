//! The embedder that needs no model: features of the spelling, hashed into a vector.
//!
//! It is a pure function of the text: the same on every machine, at no cost, in microseconds. It recognizes texts that
//! are written with similar words: in other forms, misspelt, joined or split. It cannot recognize that different words
//! mean the same; for that, configure a model behind an endpoint. `docs/concepts/memory.md` has figures.
//!
//! Feature hashing after Weinberger et al. (2009), letter groups after fastText (Bojanowski et al. 2017), the pivot
//! after Singhal et al. (1996).

use async_trait::async_trait;
use baton_ports::embed::{Embedder, EmbeddingError, EmbeddingPayer, EmbeddingRole, VectorSpace};

use super::features::{groups, stem, words};
use super::frequency::weight;

/// Part of the space's name: increment it with every change that changes a vector.
const VERSION: u32 = 1;
const DIMENSIONS: usize = 1024;
/// The number of dimensions that features are hashed into; the last one is for the pivot.
const HASHED: usize = DIMENSIONS - 1;
/// The weight that every passage has in addition to its words, and no query has. Without it, a passage of three words
/// would be nearer to a query that shares one of them than a long one that shares them all.
const PIVOT: f32 = 12.0;
/// The number of dimensions over which one feature is spread, so that two features rarely share all of them.
const SPREAD: usize = 4;
/// The weight of all letter groups of a word together, relative to the word.
const GROUPS_WEIGHT: f32 = 1.0;

/// See the module documentation.
#[derive(Debug, Clone)]
pub struct BuiltinEmbedder {
    space: VectorSpace,
}

impl BuiltinEmbedder {
    pub fn new() -> Self {
        Self { space: VectorSpace { name: format!("builtin-{VERSION}"), dimensions: DIMENSIONS } }
    }
}

impl Default for BuiltinEmbedder {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Embedder for BuiltinEmbedder {
    fn space(&self) -> &VectorSpace {
        &self.space
    }

    async fn embed(
        &self,
        _: &EmbeddingPayer,
        texts: &[String],
        role: EmbeddingRole,
    ) -> Result<Vec<Vec<f32>>, EmbeddingError> {
        Ok(texts.iter().map(|text| vector(text, role)).collect())
    }
}

/// A vector of length 1; all zeroes if a query has no word.
pub(super) fn vector(text: &str, role: EmbeddingRole) -> Vec<f32> {
    let mut counted: std::collections::BTreeMap<String, f32> = std::collections::BTreeMap::new();
    for word in words(text) {
        *counted.entry(word).or_default() += 1.0;
    }
    let mut vector = vec![0.0; DIMENSIONS];
    for (word, times) in counted {
        add_word(&mut vector, &word, weight(&word) * (1.0 + times.ln()));
    }
    if let (EmbeddingRole::Passage, Some(pivot)) = (role, vector.last_mut()) {
        *pivot = PIVOT;
    }
    normalise(&mut vector);
    vector
}

fn add_word(vector: &mut [f32], word: &str, weight: f32) {
    add(vector, hash(b'w', stem(word)), weight);
    let mut found = Vec::new();
    groups(word, |group| found.push(hash(b'g', group)));
    #[expect(clippy::cast_precision_loss, reason = "groups of one word")]
    let each = weight * GROUPS_WEIGHT / (found.len().max(1) as f32).sqrt();
    found.into_iter().for_each(|group| add(vector, group, each));
}

/// Adds a feature to the dimensions that its hash selects, with the signs that it selects.
fn add(vector: &mut [f32], feature: u64, weight: f32) {
    let mut bits = feature;
    for _ in 0..SPREAD {
        bits = mixed(bits);
        let place = usize::try_from(bits >> 8).unwrap_or(0) % HASHED;
        if let Some(value) = vector.get_mut(place) {
            *value += if bits & 1 == 0 { weight } else { -weight };
        }
    }
}

/// FNV-1a over the kind and the bytes, mixed.
fn hash(kind: u8, text: &str) -> u64 {
    let bytes = std::iter::once(kind).chain(text.bytes());
    mixed(bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)))
}

/// The finaliser of splitmix64 (Steele et al. 2014).
fn mixed(bits: u64) -> u64 {
    let mut z = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Scales to length 1; a zero vector stays zero.
pub(super) fn normalise(vector: &mut [f32]) {
    let length = vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    if length > 0.0 {
        #[expect(clippy::cast_possible_truncation, reason = "a share of the length")]
        vector.iter_mut().for_each(|value| *value = (f64::from(*value) / length) as f32);
    }
}

#[cfg(test)]
mod tests {
    use baton_sim::conformance;

    use super::*;

    #[tokio::test]
    async fn it_does_what_every_embedder_must() {
        conformance::embedder(async || BuiltinEmbedder::new()).await;
    }

    fn likeness(one: &str, other: &str) -> f32 {
        let (one, other) = (vector(one, EmbeddingRole::Query), vector(other, EmbeddingRole::Query));
        one.iter().zip(other).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn forms_misspellings_and_compounds_lie_near_each_other() {
        for (one, other) in [
            ("desalination", "desalinisation"),
            ("glacier crevasse", "galcier crevase"),
            ("lighthouse", "light house"),
            ("cancelación", "cancelar"),
            ("the tides", "tide"),
        ] {
            assert!(likeness(one, other) > 0.2, "{one} and {other}: {}", likeness(one, other));
            assert!(likeness(one, other) > 2.0 * likeness(one, "bread oven").abs(), "{one}");
        }
    }

    #[test]
    fn words_of_one_meaning_lie_apart() {
        assert!(likeness("doctor", "physician").abs() < 0.2);
    }

    /// Vectors are stored in databases: changing them requires another space. This test must change together with the
    /// version number.
    #[test]
    fn the_vectors_of_this_version_stay_as_they_are() {
        assert_eq!(BuiltinEmbedder::new().space().name, "builtin-1");
        let sum: f64 = vector("The moon pulls the sea.", EmbeddingRole::Passage)
            .iter()
            .zip(1..)
            .map(|(value, n)| f64::from(*value) * f64::from(n))
            .sum();
        assert!((sum - PINNED).abs() < 1e-3, "{sum}");
    }

    const PINNED: f64 = 1_081.672_318;
}
