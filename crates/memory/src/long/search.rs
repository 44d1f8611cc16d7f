//! Searching long-term memory, by both ways at once.

use std::collections::BTreeSet;

use baton_core::id::TenantId;
use baton_ports::embed::Role;
use baton_ports::index::{Generation, HITS_MAX, Hit, Passage};
use baton_ports::memory::{Cited, Error, Found, Mode, QUERY_BYTES_MAX, Search, TOP_MAX};

use super::Long;
use crate::embed::{is_common, words};
use crate::fuse::reciprocal_rank;

/// Pieces each way may name for each that is wanted, and at least: a piece that one way ranks low may be the other's
/// first.
const NAMED_PER_TOP: usize = 5;
const NAMED_MIN: usize = 50;

impl Long {
    pub(crate) async fn search(&self, tenant: &TenantId, search: &Search) -> Result<Found, Error> {
        if search.top > TOP_MAX {
            return Err(Error::TooLarge { what: "the number of passages", size: search.top, limit: TOP_MAX });
        }
        let query = beginning(&search.query);
        let Some(live) = self.live(tenant, search.collection).await? else { return Ok(Found::default()) };
        if query.is_empty() || search.top == 0 {
            return Ok(Found::default());
        }
        let near = self.near(tenant, &live, search, query);
        let holding = self.holding(tenant, &live, search, query);
        let (hits, degraded) = match search.mode {
            Mode::Vector => (near.await?, None),
            Mode::Text => (holding.await?, None),
            Mode::Hybrid => match futures::join!(near, holding) {
                (Ok(near), holding) => (reciprocal_rank(&[&near, &holding?]), None),
                (Err(error), Ok(holding)) if is_the_embedders(&error) => {
                    (reciprocal_rank(&[&holding]), Some(format!("searched by words alone: {error}")))
                }
                (Err(error), _) => return Err(error),
            },
        };
        Ok(Found { passages: self.show(tenant, &live, &hits, search.top).await?, degraded })
    }

    async fn near(
        &self,
        tenant: &TenantId,
        live: &Generation,
        search: &Search,
        query: &str,
    ) -> Result<Vec<Hit>, Error> {
        let embedder = self.embedder(search.collection, live)?;
        let vectors = embedder.embed(&tenant.into(), &[query.to_owned()], Role::Query).await?;
        match vectors.first() {
            Some(vector) if vector.iter().any(|value| *value != 0.0) => {
                Ok(self.index.nearest(tenant, live.id, vector, &search.filter, named(search.top)).await?)
            }
            Some(_) | None => Ok(Vec::new()),
        }
    }

    async fn holding(
        &self,
        tenant: &TenantId,
        live: &Generation,
        search: &Search,
        query: &str,
    ) -> Result<Vec<Hit>, Error> {
        Ok(self.index.matching(tenant, live.id, &telling(query), &search.filter, named(search.top)).await?)
    }

    async fn show(&self, tenant: &TenantId, live: &Generation, hits: &[Hit], top: usize) -> Result<Vec<Cited>, Error> {
        let best = hits.get(..top).unwrap_or(hits);
        let pieces: Vec<u64> = best.iter().map(|hit| hit.piece).collect();
        let passages = self.index.passages(tenant, live.id, &pieces).await?;
        let score = |piece| best.iter().find(|hit| hit.piece == piece).map_or(0.0, |hit| hit.score);
        Ok(passages.into_iter().map(|passage| cited(score(passage.piece), passage)).collect())
    }
}

/// Whether searching by words alone is better than not at all.
fn is_the_embedders(error: &Error) -> bool {
    matches!(error, Error::Embedding(_) | Error::OtherEmbedder { .. })
}

fn cited(score: f64, passage: Passage) -> Cited {
    Cited {
        content: passage.text,
        score,
        document: passage.document.name,
        title: passage.document.title,
        about: passage.document.subject,
        heading: passage.heading,
        chunk: passage.number,
        begins: passage.begins,
        ends: passage.ends,
        metadata: passage.document.metadata,
    }
}

/// What is searched by: the words, without blank space around them, and of a long text its beginning.
fn beginning(query: &str) -> &str {
    let query = query.trim();
    query[..query.floor_char_boundary(QUERY_BYTES_MAX)].trim_end()
}

/// The words worth looking for, each once; those everybody uses only where there are no others.
fn telling(query: &str) -> Vec<String> {
    let all = words(query);
    let mut seen = BTreeSet::new();
    let mut once: Vec<String> = all.into_iter().filter(|word| seen.insert(word.clone())).collect();
    if once.iter().any(|word| !is_common(word)) {
        once.retain(|word| !is_common(word));
    }
    once
}

fn named(top: usize) -> usize {
    (top * NAMED_PER_TOP).clamp(NAMED_MIN, HITS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_looked_for_once_and_common_ones_only_alone() {
        assert_eq!(telling("How do I return an order, the ORDER 12-7?"), ["return", "order", "12", "7"]);
        assert_eq!(telling("who is it"), ["who", "is", "it"]);
        assert_eq!(telling("  ?! "), [] as [&str; 0]);
    }

    #[test]
    fn a_long_query_is_its_beginning() {
        assert_eq!(beginning("  two words \n"), "two words");
        assert_eq!(beginning(&"é".repeat(QUERY_BYTES_MAX)).len(), QUERY_BYTES_MAX);
    }
}
