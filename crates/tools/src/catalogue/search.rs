//! Searches tools by words: BM25 over names, categories and descriptions.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::ToolDescription;

/// BM25 parameters (Robertson and Zaragoza, 2009): `k1` dampens repeated words, `b` penalises long descriptions.
const K1: f64 = 1.2;
const B: f64 = 0.75;
/// A word in a tool's name counts as often as this many in its description.
const NAME_WEIGHT: u32 = 4;
/// Maximum number of words in one query.
const QUERY_WORDS_MAX: usize = 50;

/// Which words each tool contains, and how often. Built once per catalogue, so that a search reads no other tool.
#[derive(Clone)]
pub(super) struct ToolSearchIndex {
    tools: Vec<(Arc<str>, f64)>,
    /// The index of each word in `postings`.
    word_ids: HashMap<Box<str>, usize>,
    /// By word: the index of the tool, and how often the word occurs in it.
    postings: Vec<Vec<(usize, u32)>>,
    mean: f64,
}

impl ToolSearchIndex {
    pub(super) fn of<'e>(tools: impl Iterator<Item = &'e ToolDescription>) -> Self {
        let mut words = Self { tools: Vec::new(), word_ids: HashMap::new(), postings: Vec::new(), mean: 0.0 };
        let mut room = String::new();
        for tool in tools {
            let mut length = 0;
            for (text, times) in [(&*tool.name, NAME_WEIGHT), (&*tool.category, 1), (&*tool.facts.description, 1)] {
                for word in words_of(text, &mut room) {
                    words.count(word, times);
                    length += times;
                }
            }
            words.tools.push((tool.name.clone(), f64::from(length)));
        }
        let mean = words.tools.iter().map(|(_, length)| length).sum::<f64>() / (words.tools.len().max(1) as f64);
        Self { mean: mean.max(1.0), ..words }
    }

    /// Counts a word for the tool that is added next.
    fn count(&mut self, word: &str, times: u32) {
        let tool = self.tools.len();
        let place = match self.word_ids.get(word) {
            Some(place) => *place,
            None => {
                self.word_ids.insert(word.into(), self.postings.len());
                self.postings.push(Vec::new());
                self.postings.len() - 1
            }
        };
        match self.postings[place].last_mut() {
            Some((last, counted)) if *last == tool => *counted += times,
            Some(_) | None => self.postings[place].push((tool, times)),
        }
    }

    pub(super) fn search(&self, query: &str, limit: usize) -> Vec<Arc<str>> {
        let mut scores = BTreeMap::<usize, f64>::new();
        for word in words_of(query, &mut String::new()).take(QUERY_WORDS_MAX) {
            let Some(places) = self.word_ids.get(word).map(|place| &self.postings[*place]) else { continue };
            let (all, having) = (self.tools.len() as f64, places.len() as f64);
            let rarity = ((all - having + 0.5) / (having + 0.5)).ln_1p();
            for (tool, times) in places {
                let length = self.tools.get(*tool).map_or(self.mean, |(_, length)| *length);
                let times = f64::from(*times);
                let score = times * (K1 + 1.0) / (times + K1 * (1.0 - B + B * length / self.mean));
                *scores.entry(*tool).or_default() += rarity * score;
            }
        }
        let mut found: Vec<(usize, f64)> = scores.into_iter().collect();
        found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        found.into_iter().take(limit).filter_map(|(tool, _)| Some(self.tools.get(tool)?.0.clone())).collect()
    }
}

/// Splits text into lower-case words, written into `room`. A plural becomes its singular.
fn words_of<'r>(text: &str, room: &'r mut String) -> impl Iterator<Item = &'r str> {
    room.clear();
    if text.is_ascii() {
        room.push_str(text);
        room.make_ascii_lowercase();
    } else {
        room.push_str(&text.to_lowercase());
    }
    room.split(|char: char| !char.is_alphanumeric()).filter(|word| !word.is_empty()).map(|word| {
        match word.strip_suffix('s') {
            Some(one) if one.len() >= 3 && !one.ends_with('s') => one,
            Some(_) | None => word,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::ToolIndex;
    use crate::kinds::calculator;

    fn catalogue(others: usize) -> ToolIndex {
        let tool = |name: &str, description: &str| {
            let mut entry = calculator::entry().renamed(name);
            description.clone_into(&mut std::sync::Arc::make_mut(&mut entry.facts).description);
            entry
        };
        let mut entries = vec![
            tool("shopify.get_order", "Retrieves an order by its id"),
            tool("shopify.list_orders", "Lists the orders of a shop, newest first"),
            tool("gmail.send_email", "Sends an e-mail message from the user's account"),
        ];
        entries.extend((0..others).map(|number| tool(&format!("app{number}.do_it"), "Does something with a thing")));
        ToolIndex::new(entries, &std::collections::BTreeMap::new())
    }

    #[test]
    fn the_tool_that_is_meant_comes_first_among_ten_thousand() {
        let catalogue = catalogue(10_000);
        let first = |words: &str| catalogue.search(words, 3).first().map(ToString::to_string);
        assert_eq!(first("get an order").as_deref(), Some("shopify.get_order"));
        assert_eq!(first("newest orders").as_deref(), Some("shopify.list_orders"));
        assert_eq!(first("send email").as_deref(), Some("gmail.send_email"));
        assert_eq!(first("quetzal"), None);
    }
}
