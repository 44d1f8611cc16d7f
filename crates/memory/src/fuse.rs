//! Fuses two ranked lists into one.

use std::collections::BTreeMap;

use baton_ports::index::SearchHit;

/// Damps the difference between the top ranks (Cormack, Clarke and Büttcher 2009 found 60 to do well).
const RANK_BASE: f64 = 60.0;

/// Reciprocal rank fusion: the score depends only on the ranks, so that scores of different kinds are never compared. A
/// chunk that is first in every list scores 1.
pub(crate) fn reciprocal_rank(lists: &[&[SearchHit]]) -> Vec<SearchHit> {
    let mut scores: BTreeMap<u64, f64> = BTreeMap::new();
    for list in lists {
        for (rank, hit) in (1_u32..).zip(*list) {
            *scores.entry(hit.piece).or_default() += 1.0 / (RANK_BASE + f64::from(rank));
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "two lists")]
    let best = lists.len().max(1) as f64 / (RANK_BASE + 1.0);
    let mut fused: Vec<SearchHit> =
        scores.into_iter().map(|(piece, score)| SearchHit { piece, score: score / best }).collect();
    fused.sort_by(|one, other| other.score.total_cmp(&one.score).then(one.piece.cmp(&other.piece)));
    fused
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranked(pieces: &[u64]) -> Vec<SearchHit> {
        pieces.iter().map(|piece| SearchHit { piece: *piece, score: 0.0 }).collect()
    }

    #[test]
    fn what_both_find_comes_before_what_one_finds() {
        let (one, other) = (ranked(&[1, 2, 3]), ranked(&[4, 3, 1]));
        let fused = reciprocal_rank(&[&one, &other]);
        assert_eq!(fused.iter().map(|hit| hit.piece).collect::<Vec<_>>(), [1, 3, 4, 2]);
        assert!(fused[0].score < 1.0 && fused[0].score > 0.97, "{:?}", fused[0]);
    }

    #[test]
    fn the_first_of_every_list_scores_one_and_nothing_scores_nothing() {
        assert_eq!(reciprocal_rank(&[&ranked(&[7]), &ranked(&[7])]), [SearchHit { piece: 7, score: 1.0 }]);
        assert_eq!(reciprocal_rank(&[&[], &[]]), []);
    }
}
