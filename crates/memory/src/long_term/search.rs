//! Searches long-term memory, by vector and by word at once.

use std::collections::BTreeSet;

use baton_core::id::TenantId;
use baton_ports::embed::EmbeddingRole;
use baton_ports::index::{HITS_MAX, IndexGeneration, IndexedPassage, SearchHit};
use baton_ports::memory::{
    CitedPassage, MemoryError, QUERY_BYTES_MAX, SearchMode, SearchRequest, SearchResult, TOP_MAX,
};

use super::LongTermMemory;
use crate::embed::{is_common, words};
use crate::fuse::reciprocal_rank;

/// Candidates of each search per requested chunk, and their minimum number: a chunk that ranks low in one search may be
/// the first in the other.
const CANDIDATES_PER_TOP: usize = 5;
const CANDIDATES_MIN: usize = 50;

impl LongTermMemory {
    pub(crate) async fn search(&self, tenant: &TenantId, search: &SearchRequest) -> Result<SearchResult, MemoryError> {
        if search.top > TOP_MAX {
            return Err(MemoryError::TooLarge { what: "the number of passages", size: search.top, limit: TOP_MAX });
        }
        let query = truncate_query(&search.query);
        let Some(live) = self.live(tenant, search.collection).await? else { return Ok(SearchResult::default()) };
        if query.is_empty() || search.top == 0 {
            return Ok(SearchResult::default());
        }
        let near = self.search_vectors(tenant, &live, search, query);
        let holding = self.search_words(tenant, &live, search, query);
        let (hits, degraded) = match search.mode {
            SearchMode::Vector => (near.await?, None),
            SearchMode::Text => (holding.await?, None),
            SearchMode::Hybrid => match futures::join!(near, holding) {
                (Ok(near), holding) => (reciprocal_rank(&[&near, &holding?]), None),
                (Err(error), Ok(holding)) if is_embedder_error(&error) => {
                    (reciprocal_rank(&[&holding]), Some(format!("searched by words alone: {error}")))
                }
                (Err(error), _) => return Err(error),
            },
        };
        Ok(SearchResult { passages: self.read_passages(tenant, &live, &hits, search.top).await?, degraded })
    }

    async fn search_vectors(
        &self,
        tenant: &TenantId,
        live: &IndexGeneration,
        search: &SearchRequest,
        query: &str,
    ) -> Result<Vec<SearchHit>, MemoryError> {
        let embedder = self.embedder(search.collection, live)?;
        let vectors = embedder.embed(&tenant.into(), &[query.to_owned()], EmbeddingRole::Query).await?;
        match vectors.first() {
            Some(vector) if vector.iter().any(|value| *value != 0.0) => {
                Ok(self.index.search_vectors(tenant, live.id, vector, &search.filter, candidates(search.top)).await?)
            }
            Some(_) | None => Ok(Vec::new()),
        }
    }

    async fn search_words(
        &self,
        tenant: &TenantId,
        live: &IndexGeneration,
        search: &SearchRequest,
        query: &str,
    ) -> Result<Vec<SearchHit>, MemoryError> {
        Ok(self
            .index
            .search_words(tenant, live.id, &significant_words(query), &search.filter, candidates(search.top))
            .await?)
    }

    async fn read_passages(
        &self,
        tenant: &TenantId,
        live: &IndexGeneration,
        hits: &[SearchHit],
        top: usize,
    ) -> Result<Vec<CitedPassage>, MemoryError> {
        let best = hits.get(..top).unwrap_or(hits);
        let pieces: Vec<u64> = best.iter().map(|hit| hit.piece).collect();
        let passages = self.index.passages(tenant, live.id, &pieces).await?;
        let score = |piece| best.iter().find(|hit| hit.piece == piece).map_or(0.0, |hit| hit.score);
        Ok(passages.into_iter().map(|passage| cited(score(passage.piece), passage)).collect())
    }
}

/// Whether to continue with a search by words alone after this error.
fn is_embedder_error(error: &MemoryError) -> bool {
    matches!(error, MemoryError::Embedding(_) | MemoryError::OtherEmbedder { .. })
}

fn cited(score: f64, passage: IndexedPassage) -> CitedPassage {
    CitedPassage {
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

/// The query text without surrounding whitespace; long text is truncated.
fn truncate_query(query: &str) -> &str {
    let query = query.trim();
    query[..query.floor_char_boundary(QUERY_BYTES_MAX)].trim_end()
}

/// The significant words, without duplicates; common words only if there are no others.
fn significant_words(query: &str) -> Vec<String> {
    let all = words(query);
    let mut seen = BTreeSet::new();
    let mut once: Vec<String> = all.into_iter().filter(|word| seen.insert(word.clone())).collect();
    if once.iter().any(|word| !is_common(word)) {
        once.retain(|word| !is_common(word));
    }
    once
}

fn candidates(top: usize) -> usize {
    (top * CANDIDATES_PER_TOP).clamp(CANDIDATES_MIN, HITS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_looked_for_once_and_common_ones_only_alone() {
        assert_eq!(significant_words("How do I return an order, the ORDER 12-7?"), ["return", "order", "12", "7"]);
        assert_eq!(significant_words("who is it"), ["who", "is", "it"]);
        assert_eq!(significant_words("  ?! "), [] as [&str; 0]);
    }

    #[test]
    fn a_long_query_is_its_beginning() {
        assert_eq!(truncate_query("  two words \n"), "two words");
        assert_eq!(truncate_query(&"é".repeat(QUERY_BYTES_MAX)).len(), QUERY_BYTES_MAX);
    }
}
