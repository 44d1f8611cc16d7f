//! Reading a mapping by the fields it may have. The same tables tell what is unknown and make the JSON Schema.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::diagnostic::{Code, Diagnostic, Findings, list, shown};
use super::source::{Key, Located, Map, Node, Span, Value};

/// One key a mapping may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub name: &'static str,
    pub shape: Shape,
    /// For the JSON Schema and the editor: one sentence.
    pub doc: &'static str,
    pub required: bool,
}

/// What a field's value looks like, as far as a JSON Schema needs to know.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    Any,
    Text,
    Template,
    Bool,
    Count,
    Number,
    Duration,
    Object,
    Word(&'static [&'static str]),
    Names,
    /// One of the schema's own definitions.
    Of(&'static str),
    ListOf(&'static str),
    MapOf(&'static str),
}

pub(crate) const fn field(name: &'static str, shape: Shape, doc: &'static str) -> Field {
    Field { name, shape, doc, required: false }
}

pub(crate) const fn required(name: &'static str, shape: Shape, doc: &'static str) -> Field {
    Field { name, shape, doc, required: true }
}

/// Words people bring from other tools, and ours.
const SYNONYMS: &[(&str, &str)] = &[
    ("action_name", "tool"),
    ("arguments", "parameters"),
    ("args", "parameters"),
    ("params", "parameters"),
    ("with", "parameters"),
    ("inputs", "input"),
    ("needs", "depends_on"),
    ("after", "depends_on"),
    ("requires", "depends_on"),
    ("dependencies", "depends_on"),
    ("next", "edges"),
    ("if", "condition"),
    ("when", "condition"),
    ("retries", "max_retries"),
    ("rollback", "compensation"),
    ("undo", "compensation"),
    ("tasks", "steps"),
    ("jobs", "steps"),
    ("model", "model_profile"),
    ("foreach", "for_each"),
    ("items", "for_each"),
    ("do", "body"),
    ("delay", "duration"),
    ("seconds", "duration"),
    ("question", "title"),
    ("message", "title"),
    ("approvers", "assignees"),
    ("count", "needed"),
    ("vars", "variables"),
    ("state", "variables"),
    ("label", "when"),
    ("branch", "when"),
];

/// A mapping being read: what is taken is known, what is left at the end is not.
pub(crate) struct Fields<'t> {
    /// What it is, for messages: `a tool node`.
    what: &'static str,
    span: Span,
    maps: Vec<&'t Map>,
    taken: BTreeSet<&'static str>,
}

impl<'t> Fields<'t> {
    /// Reads `node`, which must be a mapping; says so where it is not.
    pub(crate) fn of(node: &'t Node, what: &'static str, findings: &mut Findings) -> Option<Self> {
        let Some(map) = node.as_map() else {
            findings.push(wrong_shape(what, "a mapping", node));
            return None;
        };
        Some(Self { what, span: node.span, maps: vec![map], taken: BTreeSet::new() })
    }

    /// A second mapping whose keys count as this one's: a node's `config`.
    pub(crate) fn and(&mut self, map: &'t Map) {
        self.maps.push(map);
    }

    pub(crate) fn rename(&mut self, what: &'static str) {
        self.what = what;
    }

    pub(crate) fn span(&self) -> Span {
        self.span
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.maps.iter().any(|map| map.get(name).is_some_and(|(_, value)| !value.is_null()))
    }

    /// The value of a key; `null` counts as not written.
    pub(crate) fn take(&mut self, name: &'static str, findings: &mut Findings) -> Option<&'t Node> {
        self.entry(name, findings).map(|(_, node)| node)
    }

    pub(crate) fn entry(&mut self, name: &'static str, findings: &mut Findings) -> Option<(&'t Key, &'t Node)> {
        self.taken.insert(name);
        let mut found = self.maps.iter().filter_map(|map| map.get(name)).filter(|(_, value)| !value.is_null());
        let first = found.next();
        if let (Some(_), Some((again, _))) = (first, found.next()) {
            let message = format!("`{name}` is written here and one level further out");
            findings.push(again.span.error(Code::Conflict, message).hint("keep one of the two"));
        }
        first
    }

    /// The value of the one key that is written of several that mean the same.
    pub(crate) fn one_of(&mut self, names: &[&'static str], findings: &mut Findings) -> Option<(&'t Key, &'t Node)> {
        let mut first: Option<(&'t Key, &'t Node)> = None;
        for name in names {
            let Some(entry) = self.entry(name, findings) else { continue };
            if let Some((earlier, _)) = first {
                let message = format!("`{}` and `{name}` mean the same", earlier.name);
                findings.push(entry.0.span.error(Code::Conflict, message).hint("keep one of the two"));
            } else {
                first = Some(entry);
            }
        }
        first
    }

    pub(crate) fn text(&mut self, name: &'static str, findings: &mut Findings) -> Option<Located<String>> {
        text(name, self.take(name, findings)?, findings)
    }

    pub(crate) fn bool(&mut self, name: &'static str, findings: &mut Findings) -> Option<bool> {
        let node = self.take(name, findings)?;
        match node.value {
            Value::Bool(is) => Some(is),
            _ => {
                findings.push(wrong_shape(&format!("`{name}`"), "true or false", node));
                None
            }
        }
    }

    /// A whole number from `min` to `max`.
    pub(crate) fn count(&mut self, name: &'static str, min: u32, max: u32, findings: &mut Findings) -> Option<u32> {
        let node = self.take(name, findings)?;
        let count = match &node.value {
            Value::Number { number, .. } => number.as_u64().and_then(|n| u32::try_from(n).ok()),
            _ => None,
        };
        if count.is_none_or(|count| count < min || count > max) {
            let message = format!("`{name}` must be a whole number from {min} to {max}, found {}", found(node));
            findings.push(node.span.error(Code::BadValue, message));
            return None;
        }
        count
    }

    /// A number from `min` to `max`.
    pub(crate) fn number(&mut self, name: &'static str, min: f64, max: f64, findings: &mut Findings) -> Option<f64> {
        let node = self.take(name, findings)?;
        let number = match &node.value {
            Value::Number { number, .. } => number.as_f64(),
            _ => None,
        };
        if number.is_none_or(|number| number < min || number > max) {
            let message = format!("`{name}` must be a number from {min} to {max}, found {}", found(node));
            findings.push(node.span.error(Code::BadValue, message));
            return None;
        }
        number
    }

    /// One of a few words.
    pub(crate) fn word<T: Copy>(
        &mut self,
        name: &'static str,
        words: &[(&'static str, T)],
        findings: &mut Findings,
    ) -> Option<T> {
        let node = self.take(name, findings)?;
        word(name, node, words, findings)
    }

    /// Names in a list; one name alone is a list of one.
    pub(crate) fn names(&mut self, name: &'static str, findings: &mut Findings) -> Option<Vec<Located<String>>> {
        let node = self.take(name, findings)?;
        Some(match &node.value {
            Value::List(items) => items.iter().filter_map(|item| text(name, item, findings)).collect(),
            _ => text(name, node, findings).into_iter().collect(),
        })
    }

    pub(crate) fn json(&mut self, name: &'static str, findings: &mut Findings) -> Option<Json> {
        self.take(name, findings).map(Node::to_json)
    }

    pub(crate) fn map(&mut self, name: &'static str, findings: &mut Findings) -> Option<&'t Map> {
        let node = self.take(name, findings)?;
        let map = node.as_map();
        if map.is_none() {
            findings.push(wrong_shape(&format!("`{name}`"), "a mapping", node));
        }
        map
    }

    pub(crate) fn list(&mut self, name: &'static str, findings: &mut Findings) -> Option<&'t [Node]> {
        let node = self.take(name, findings)?;
        match &node.value {
            Value::List(items) => Some(items),
            _ => {
                findings.push(wrong_shape(&format!("`{name}`"), "a list", node));
                None
            }
        }
    }

    pub(crate) fn missing(&self, name: &str, hint: &str, findings: &mut Findings) {
        let message = format!("{} needs `{name}`", self.what);
        findings.push(self.span.error(Code::MissingKey, message).hint(hint));
    }

    /// Says of every key that nobody took that it means nothing here. `elsewhere` are keys with a meaning on other
    /// things of the same sort.
    pub(crate) fn finish(self, tables: &[&[Field]], elsewhere: &[&[Field]], findings: &mut Findings) {
        let known: Vec<&str> = tables.iter().flat_map(|table| table.iter().map(|field| field.name)).collect();
        debug_assert!(
            self.taken.iter().all(|name| known.contains(name)),
            "{}: a key is read that no table lists: {:?}",
            self.what,
            self.taken
        );
        let of_others = |name: &str| elsewhere.iter().any(|table| table.iter().any(|field| field.name == name));
        for (key, _) in self.maps.iter().flat_map(|map| map.iter()) {
            if self.taken.contains(key.name.as_str()) {
                continue;
            }
            let message = format!("`{}` means nothing on {}", shown(&key.name), self.what);
            let unknown = key.span.error(Code::UnknownKey, message);
            if !findings.are_read() {
                findings.push(unknown);
                continue;
            }
            findings.push(match synonym(&key.name, &known) {
                Some(ours) => unknown.hint(format!("did you mean `{ours}`?")),
                None if of_others(&key.name) => unknown.hint(format!("it may have {}", list(&known))),
                None => unknown.did_you_mean(&key.name, known.iter().copied()),
            });
        }
    }
}

fn synonym(name: &str, known: &[&str]) -> Option<&'static str> {
    let name = name.to_lowercase();
    SYNONYMS.iter().find(|(theirs, ours)| *theirs == name && known.contains(ours)).map(|(_, ours)| *ours)
}

/// A string; anything else is said to be wrong.
pub(crate) fn text(name: &str, node: &Node, findings: &mut Findings) -> Option<Located<String>> {
    if let Some(text) = node.as_str() {
        return Some(Located::new(text.to_owned(), node.span));
    }
    let wrong = wrong_shape(&format!("`{name}`"), "a string", node);
    findings.push(match node.value {
        Value::Number { .. } | Value::Bool(_) => wrong.hint("put it in quotes"),
        _ => wrong,
    });
    None
}

/// One of a few words.
pub(crate) fn word<T: Copy>(
    name: &str,
    node: &Node,
    words: &[(&'static str, T)],
    findings: &mut Findings,
) -> Option<T> {
    let written = text(name, node, findings)?;
    let known = words.iter().find(|(word, _)| *word == written.value).map(|(_, meaning)| *meaning);
    if known.is_none() {
        let message = format!("`{name}` cannot be `{}`", shown(&written.value));
        let unknown = node.span.error(Code::BadValue, message);
        findings.push(unknown.did_you_mean(&written.value, words.iter().map(|(word, _)| *word)));
    }
    known
}

pub(crate) fn wrong_shape(what: &str, wanted: &str, node: &Node) -> Diagnostic {
    node.span.error(Code::WrongShape, format!("{what} must be {wanted}, found {}", found(node)))
}

/// What stands there, for messages.
pub(crate) fn found(node: &Node) -> String {
    match &node.value {
        Value::Number { text, .. } => shown(text),
        Value::Bool(is) => is.to_string(),
        Value::String(text) => format!("`{}`", shown(&text.text)),
        Value::Null | Value::List(_) | Value::Map(_) => node.word().to_owned(),
    }
}
