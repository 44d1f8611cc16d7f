//! Tools by words: BM25 over names, categories and descriptions.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::Entry;

/// How fast a word that comes again counts for less, and how much a long description is held against a tool
/// (Robertson and Zaragoza, 2009).
const K1: f64 = 1.2;
const B: f64 = 0.75;
/// A word of a tool's name counts as often as this many of its description.
const IN_NAME: u32 = 4;
/// Words of one query.
const QUERY_WORDS_MAX: usize = 50;

/// Which tool has which words, and how often. Made once for a catalogue: a search looks at no other tool.
#[derive(Clone)]
pub(super) struct Words {
    tools: Vec<(Arc<str>, f64)>,
    /// By word: the tool's place and how often it has it.
    places: HashMap<String, Vec<(usize, u32)>>,
    mean: f64,
}

impl Words {
    pub(super) fn of<'e>(entries: impl Iterator<Item = &'e Arc<Entry>>) -> Self {
        let (mut tools, mut places) = (Vec::new(), HashMap::<String, Vec<(usize, u32)>>::new());
        for entry in entries {
            let mut counts = BTreeMap::<String, u32>::new();
            let mut count =
                |text: &str, times: u32| words(text).for_each(|word| *counts.entry(word).or_default() += times);
            count(&entry.name, IN_NAME);
            count(&entry.category, 1);
            count(&entry.facts.description, 1);
            let length: u32 = counts.values().sum();
            for (word, times) in counts {
                places.entry(word).or_default().push((tools.len(), times));
            }
            tools.push((entry.name.clone(), f64::from(length)));
        }
        let mean = tools.iter().map(|(_, length)| length).sum::<f64>() / (tools.len().max(1) as f64);
        Self { tools, places, mean: mean.max(1.0) }
    }

    pub(super) fn search(&self, query: &str, limit: usize) -> Vec<Arc<str>> {
        let mut scores = BTreeMap::<usize, f64>::new();
        for word in words(query).take(QUERY_WORDS_MAX) {
            let Some(places) = self.places.get(&word) else { continue };
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

/// Lower-case words; a plural is its singular.
fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|char: char| !char.is_alphanumeric()).filter(|word| !word.is_empty()).map(|word| {
        let word = word.to_lowercase();
        match word.strip_suffix('s') {
            Some(one) if one.len() >= 3 && !one.ends_with('s') => one.to_owned(),
            Some(_) | None => word,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::Catalogue;
    use crate::kinds::calculator;

    fn catalogue(others: usize) -> Catalogue {
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
        Catalogue::new(entries, &std::collections::BTreeMap::new())
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
