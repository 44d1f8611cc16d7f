//! Measures the quality of a search, using queries with relevance judgements by people.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

/// Ranks that are evaluated.
const DEPTH: usize = 10;

/// A query, with the relevance of sections to it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JudgedQuery {
    pub query: String,
    /// By `document#heading`: 2 answers the query, 1 is related to it.
    pub relevant: BTreeMap<String, u8>,
}

/// A set of judged queries.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JudgedSet {
    /// The folder of the documents, beside the file.
    pub documents: String,
    pub queries: Vec<JudgedQuery>,
}

/// The metrics of one search method, averaged over all queries; each from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SearchMetrics {
    /// Normalised discounted cumulative gain of the first ten (Järvelin and Kekäläinen 2002), gains of 1 and 3.
    pub ndcg: f64,
    /// The share of the relevant sections that are among the first ten.
    pub recall: f64,
    /// The reciprocal rank of the first relevant section.
    pub mrr: f64,
    pub queries: usize,
}

impl SearchMetrics {
    /// The mean over single queries.
    #[expect(clippy::cast_precision_loss, reason = "a count of queries")]
    pub fn mean(all: &[Self]) -> Self {
        let count = all.len().max(1) as f64;
        let mean = |of: fn(&Self) -> f64| all.iter().map(of).sum::<f64>() / count;
        Self {
            ndcg: mean(|one| one.ndcg),
            recall: mean(|one| one.recall),
            mrr: mean(|one| one.mrr),
            queries: all.len(),
        }
    }
}

impl JudgedQuery {
    /// Evaluates a result: sections in ranked order. A section that occurs twice counts at its first rank.
    #[expect(clippy::cast_precision_loss, reason = "ranks up to ten")]
    pub fn judge(&self, found: &[String]) -> SearchMetrics {
        let mut seen = BTreeSet::new();
        let sections = found.iter().filter(|section| seen.insert(*section)).take(DEPTH);
        let grades: Vec<u8> = sections.map(|section| self.relevant.get(section).copied().unwrap_or(0)).collect();
        let mut ideal: Vec<u8> = self.relevant.values().copied().collect();
        ideal.sort_by(|one, other| other.cmp(one));
        ideal.truncate(DEPTH);
        let best = gain(&ideal);
        let hits = grades.iter().filter(|grade| **grade > 0).count();
        let first = grades.iter().position(|grade| *grade > 0);
        SearchMetrics {
            ndcg: if best > 0.0 { gain(&grades) / best } else { 0.0 },
            recall: hits as f64 / ideal.len().max(1) as f64,
            mrr: first.map_or(0.0, |rank| 1.0 / (rank as f64 + 1.0)),
            queries: 1,
        }
    }
}

fn gain(grades: &[u8]) -> f64 {
    let discounted = |(rank, grade): (u32, &u8)| (2f64.powi(i32::from(*grade)) - 1.0) / f64::from(rank + 1).log2();
    (1..).zip(grades).map(discounted).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(relevant: &[(&str, u8)], found: &[&str]) -> SearchMetrics {
        let relevant = relevant.iter().map(|(section, grade)| ((*section).to_owned(), *grade)).collect();
        let found: Vec<String> = found.iter().map(|section| (*section).to_owned()).collect();
        JudgedQuery { query: String::new(), relevant }.judge(&found)
    }

    #[test]
    fn the_ideal_order_scores_one() {
        let measured = judged(&[("a", 2), ("b", 1)], &["a", "b", "c"]);
        assert_eq!((measured.ndcg, measured.recall, measured.mrr), (1.0, 1.0, 1.0));
    }

    #[test]
    fn a_worse_order_scores_less_and_nothing_scores_nothing() {
        let measured = judged(&[("a", 2), ("b", 1)], &["b", "a"]);
        let expect = (1.0 + 3.0 / 3f64.log2()) / (3.0 + 1.0 / 3f64.log2());
        assert!((measured.ndcg - expect).abs() < 1e-12 && measured.mrr == 1.0, "{measured:?}");
        let second = judged(&[("a", 2)], &["x", "a"]);
        assert!((second.ndcg - 1.0 / 3f64.log2()).abs() < 1e-12 && second.mrr == 0.5, "{second:?}");
        assert_eq!(judged(&[("a", 2)], &["x"]), SearchMetrics { queries: 1, ..SearchMetrics::default() });
    }

    #[test]
    fn a_section_counts_once_and_only_among_the_first_ten() {
        assert_eq!(judged(&[("a", 2), ("b", 2)], &["a", "a", "b"]).ndcg, 1.0);
        let far: Vec<String> = (0..10).map(|n| n.to_string()).chain(["a".to_owned()]).collect();
        let far: Vec<&str> = far.iter().map(String::as_str).collect();
        assert_eq!(judged(&[("a", 2)], &far).ndcg, 0.0);
    }
}
