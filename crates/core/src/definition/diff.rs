//! Differences between two definitions. Lists of named items are compared by name, so moving a node is not a change.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

/// Maximum number of differences returned; the rest is only counted.
pub const DIFFERENCES_MAX: usize = 500;

/// One difference.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DefinitionChange {
    /// The path, such as `nodes[book].parameters.day`.
    pub path: String,
    pub how: DefinitionChangeKind,
    /// The old value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Value>,
    /// The new value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DefinitionChangeKind {
    Added,
    Removed,
    Changed,
}

/// Returns the differences of the second from the first, in key order, and the total number of differences.
pub fn diff(from: &Value, to: &Value) -> (Vec<DefinitionChange>, usize) {
    let mut found = ChangeCollector::default();
    found.compare("", Some(from), Some(to));
    (found.changes, found.count)
}

#[derive(Default)]
struct ChangeCollector {
    changes: Vec<DefinitionChange>,
    count: usize,
}

impl ChangeCollector {
    fn compare(&mut self, path: &str, from: Option<&Value>, to: Option<&Value>) {
        match (from, to) {
            (Some(from), Some(to)) if from == to => {}
            (Some(Value::Object(from)), Some(Value::Object(to))) => {
                let names: BTreeSet<&String> = from.keys().chain(to.keys()).collect();
                for name in names {
                    let inner = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    self.compare(&inner, from.get(name), to.get(name));
                }
            }
            (Some(Value::Array(before)), Some(Value::Array(after))) => {
                match (items_by_name(before), items_by_name(after)) {
                    (Some(old), Some(new)) => {
                        let others = new.iter().filter(|(name, _)| !old.iter().any(|(known, _)| known == name));
                        for (name, _) in old.iter().chain(others) {
                            self.compare(&format!("{path}[{name}]"), find_item(&old, name), find_item(&new, name));
                        }
                    }
                    _ => self.push(path, from, to),
                }
            }
            (None, None) => {}
            _ => self.push(path, from, to),
        }
    }

    fn push(&mut self, path: &str, from: Option<&Value>, to: Option<&Value>) {
        self.count += 1;
        if self.changes.len() >= DIFFERENCES_MAX {
            return;
        }
        let how = match (from, to) {
            (None, _) => DefinitionChangeKind::Added,
            (_, None) => DefinitionChangeKind::Removed,
            (Some(_), Some(_)) => DefinitionChangeKind::Changed,
        };
        self.changes.push(DefinitionChange { path: path.to_owned(), how, from: from.cloned(), to: to.cloned() });
    }
}

type NamedItems<'v> = Vec<(String, &'v Value)>;

fn find_item<'v>(list: &NamedItems<'v>, name: &str) -> Option<&'v Value> {
    list.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
}

/// Returns the items by name, if each has a unique one: its `id` or `name`, or for edges their endpoints.
fn items_by_name(items: &[Value]) -> Option<NamedItems<'_>> {
    let named: NamedItems<'_> = items.iter().map(|item| Some((name_of(item)?, item))).collect::<Option<_>>()?;
    let names: BTreeSet<&String> = named.iter().map(|(name, _)| name).collect();
    (names.len() == named.len()).then_some(named)
}

fn name_of(item: &Value) -> Option<String> {
    let word = |key: &str| item.get(key)?.as_str();
    match (word("id").or_else(|| word("name")), word("from").zip(word("to"))) {
        (Some(name), _) => Some(name.to_owned()),
        (None, Some((from, to))) => Some(format!("{from}->{to}")),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nodes_are_compared_by_their_names_and_edges_by_where_they_lead() {
        let from = json!({"name": "w", "nodes": [{"id": "a", "tool": "x"}, {"id": "b", "tool": "y"}],
            "edges": [{"from": "a", "to": "b"}], "tags": ["p"]});
        let to = json!({"name": "w", "nodes": [{"id": "b", "tool": "z"}, {"id": "a", "tool": "x"}, {"id": "c", "tool": "x"}],
            "edges": [{"from": "a", "to": "b", "when": true}, {"from": "b", "to": "c"}], "tags": ["p", "q"]});
        let (told, count) = diff(&from, &to);
        let told: Vec<_> = told.iter().map(|one| (one.path.as_str(), one.how)).collect();
        let expect = [
            ("edges[a->b].when", DefinitionChangeKind::Added),
            ("edges[b->c]", DefinitionChangeKind::Added),
            ("nodes[b].tool", DefinitionChangeKind::Changed),
            ("nodes[c]", DefinitionChangeKind::Added),
            ("tags", DefinitionChangeKind::Changed),
        ];
        assert_eq!((told.as_slice(), count), (expect.as_slice(), 5));
        assert_eq!(diff(&from, &from), (vec![], 0));
    }

    #[test]
    fn only_so_many_are_told_and_all_are_counted() {
        let many = |value: u32| Value::Object((0..600).map(|key| (format!("k{key}"), value.into())).collect());
        let (told, count) = diff(&many(1), &many(2));
        assert_eq!((told.len(), count), (DIFFERENCES_MAX, 600));
    }
}
