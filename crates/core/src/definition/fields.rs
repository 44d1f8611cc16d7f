//! Reading a mapping by its allowed fields. The same tables detect unknown keys and make the JSON Schema.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::diagnostic::{Diagnostic, DiagnosticCode, DiagnosticList, clip_word, join_names};
use super::source::{SourceSpan, SpannedValue, YamlKey, YamlMapping, YamlNode, YamlValue};

/// One allowed key of a mapping.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FieldSchema {
    pub name: &'static str,
    pub shape: FieldShape,
    /// For the JSON Schema and the editor: one sentence.
    pub doc: &'static str,
    pub required: bool,
}

/// The shape of a field's value, as far as the JSON Schema needs it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum FieldShape {
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
    /// A reference to one of the schema's own definitions.
    Of(&'static str),
    ListOf(&'static str),
    MapOf(&'static str),
}

pub(crate) const fn field(name: &'static str, shape: FieldShape, doc: &'static str) -> FieldSchema {
    FieldSchema { name, shape, doc, required: false }
}

pub(crate) const fn required(name: &'static str, shape: FieldShape, doc: &'static str) -> FieldSchema {
    FieldSchema { name, shape, doc, required: true }
}

/// Synonyms from other tools, with Baton's own words.
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

/// A mapping that is being read: keys that were taken are known, keys left at the end are unknown.
pub(crate) struct MappingReader<'t> {
    /// A description for messages: `a tool node`.
    what: &'static str,
    span: SourceSpan,
    maps: Vec<&'t YamlMapping>,
    taken: BTreeSet<&'static str>,
}

impl<'t> MappingReader<'t> {
    /// Starts to read `node`, which must be a mapping; reports an error otherwise.
    pub(crate) fn of(node: &'t YamlNode, what: &'static str, findings: &mut DiagnosticList) -> Option<Self> {
        let Some(map) = node.as_map() else {
            findings.push(wrong_shape(what, "a mapping", node));
            return None;
        };
        Some(Self { what, span: node.span, maps: vec![map], taken: BTreeSet::new() })
    }

    /// Adds a second mapping whose keys count as this one's: a node's `config`.
    pub(crate) fn add_mapping(&mut self, map: &'t YamlMapping) {
        self.maps.push(map);
    }

    pub(crate) fn set_label(&mut self, what: &'static str) {
        self.what = what;
    }

    pub(crate) fn span(&self) -> SourceSpan {
        self.span
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.maps.iter().any(|map| map.get(name).is_some_and(|(_, value)| !value.is_null()))
    }

    /// Reads the value of a key; `null` counts as absent.
    pub(crate) fn take(&mut self, name: &'static str, findings: &mut DiagnosticList) -> Option<&'t YamlNode> {
        self.entry(name, findings).map(|(_, node)| node)
    }

    pub(crate) fn entry(
        &mut self,
        name: &'static str,
        findings: &mut DiagnosticList,
    ) -> Option<(&'t YamlKey, &'t YamlNode)> {
        self.taken.insert(name);
        let mut found = self.maps.iter().filter_map(|map| map.get(name)).filter(|(_, value)| !value.is_null());
        let first = found.next();
        if let (Some(_), Some((again, _))) = (first, found.next()) {
            let message = format!("`{name}` is written here and one level further out");
            findings.push(again.span.error(DiagnosticCode::Conflict, message).hint("keep one of the two"));
        }
        first
    }

    /// Reads the value of the one key that is present among several synonyms.
    pub(crate) fn one_of(
        &mut self,
        names: &[&'static str],
        findings: &mut DiagnosticList,
    ) -> Option<(&'t YamlKey, &'t YamlNode)> {
        let mut first: Option<(&'t YamlKey, &'t YamlNode)> = None;
        for name in names {
            let Some(entry) = self.entry(name, findings) else { continue };
            if let Some((earlier, _)) = first {
                let message = format!("`{}` and `{name}` mean the same", earlier.name);
                findings.push(entry.0.span.error(DiagnosticCode::Conflict, message).hint("keep one of the two"));
            } else {
                first = Some(entry);
            }
        }
        first
    }

    pub(crate) fn text(&mut self, name: &'static str, findings: &mut DiagnosticList) -> Option<SpannedValue<String>> {
        read_text(name, self.take(name, findings)?, findings)
    }

    pub(crate) fn bool(&mut self, name: &'static str, findings: &mut DiagnosticList) -> Option<bool> {
        let node = self.take(name, findings)?;
        match node.value {
            YamlValue::Bool(is) => Some(is),
            _ => {
                findings.push(wrong_shape(&format!("`{name}`"), "true or false", node));
                None
            }
        }
    }

    /// Reads an integer from `min` to `max`.
    pub(crate) fn count(
        &mut self,
        name: &'static str,
        min: u32,
        max: u32,
        findings: &mut DiagnosticList,
    ) -> Option<u32> {
        let node = self.take(name, findings)?;
        let count = match &node.value {
            YamlValue::Number { number, .. } => number.as_u64().and_then(|n| u32::try_from(n).ok()),
            _ => None,
        };
        if count.is_none_or(|count| count < min || count > max) {
            let message = format!("`{name}` must be a whole number from {min} to {max}, found {}", describe_node(node));
            findings.push(node.span.error(DiagnosticCode::BadValue, message));
            return None;
        }
        count
    }

    /// Reads a number from `min` to `max`.
    pub(crate) fn number(
        &mut self,
        name: &'static str,
        min: f64,
        max: f64,
        findings: &mut DiagnosticList,
    ) -> Option<f64> {
        let node = self.take(name, findings)?;
        let number = match &node.value {
            YamlValue::Number { number, .. } => number.as_f64(),
            _ => None,
        };
        if number.is_none_or(|number| number < min || number > max) {
            let message = format!("`{name}` must be a number from {min} to {max}, found {}", describe_node(node));
            findings.push(node.span.error(DiagnosticCode::BadValue, message));
            return None;
        }
        number
    }

    /// Reads one of a fixed set of words.
    pub(crate) fn keyword<T: Copy>(
        &mut self,
        name: &'static str,
        words: &[(&'static str, T)],
        findings: &mut DiagnosticList,
    ) -> Option<T> {
        let node = self.take(name, findings)?;
        read_keyword(name, node, words, findings)
    }

    /// Reads a list of names; a single name counts as a list of one.
    pub(crate) fn names(
        &mut self,
        name: &'static str,
        findings: &mut DiagnosticList,
    ) -> Option<Vec<SpannedValue<String>>> {
        let node = self.take(name, findings)?;
        Some(match &node.value {
            YamlValue::List(items) => items.iter().filter_map(|item| read_text(name, item, findings)).collect(),
            _ => read_text(name, node, findings).into_iter().collect(),
        })
    }

    pub(crate) fn json(&mut self, name: &'static str, findings: &mut DiagnosticList) -> Option<Json> {
        self.take(name, findings).map(YamlNode::to_json)
    }

    pub(crate) fn map(&mut self, name: &'static str, findings: &mut DiagnosticList) -> Option<&'t YamlMapping> {
        let node = self.take(name, findings)?;
        let map = node.as_map();
        if map.is_none() {
            findings.push(wrong_shape(&format!("`{name}`"), "a mapping", node));
        }
        map
    }

    pub(crate) fn list(&mut self, name: &'static str, findings: &mut DiagnosticList) -> Option<&'t [YamlNode]> {
        let node = self.take(name, findings)?;
        match &node.value {
            YamlValue::List(items) => Some(items),
            _ => {
                findings.push(wrong_shape(&format!("`{name}`"), "a list", node));
                None
            }
        }
    }

    pub(crate) fn report_missing(&self, name: &str, hint: &str, findings: &mut DiagnosticList) {
        let message = format!("{} needs `{name}`", self.what);
        findings.push(self.span.error(DiagnosticCode::MissingKey, message).hint(hint));
    }

    /// Reports every key that was not taken as unknown. `elsewhere` lists keys that are valid on other items of the
    /// same sort.
    pub(crate) fn finish(self, tables: &[&[FieldSchema]], elsewhere: &[&[FieldSchema]], findings: &mut DiagnosticList) {
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
            let message = format!("`{}` means nothing on {}", clip_word(&key.name), self.what);
            let unknown = key.span.error(DiagnosticCode::UnknownKey, message);
            if !findings.accepts_suggestions() {
                findings.push(unknown);
                continue;
            }
            findings.push(match synonym(&key.name, &known) {
                Some(ours) => unknown.hint(format!("did you mean `{ours}`?")),
                None if of_others(&key.name) => unknown.hint(format!("it may have {}", join_names(&known))),
                None => unknown.did_you_mean(&key.name, known.iter().copied()),
            });
        }
    }
}

fn synonym(name: &str, known: &[&str]) -> Option<&'static str> {
    let name = name.to_lowercase();
    SYNONYMS.iter().find(|(theirs, ours)| *theirs == name && known.contains(ours)).map(|(_, ours)| *ours)
}

/// Reads a string; reports an error for anything else.
pub(crate) fn read_text(name: &str, node: &YamlNode, findings: &mut DiagnosticList) -> Option<SpannedValue<String>> {
    if let Some(text) = node.as_str() {
        return Some(SpannedValue::new(text.to_owned(), node.span));
    }
    let wrong = wrong_shape(&format!("`{name}`"), "a string", node);
    findings.push(match node.value {
        YamlValue::Number { .. } | YamlValue::Bool(_) => wrong.hint("put it in quotes"),
        _ => wrong,
    });
    None
}

/// Reads one of a fixed set of words.
pub(crate) fn read_keyword<T: Copy>(
    name: &str,
    node: &YamlNode,
    words: &[(&'static str, T)],
    findings: &mut DiagnosticList,
) -> Option<T> {
    let written = read_text(name, node, findings)?;
    let known = words.iter().find(|(word, _)| *word == written.value).map(|(_, meaning)| *meaning);
    if known.is_none() {
        let message = format!("`{name}` cannot be `{}`", clip_word(&written.value));
        let unknown = node.span.error(DiagnosticCode::BadValue, message);
        findings.push(unknown.did_you_mean(&written.value, words.iter().map(|(word, _)| *word)));
    }
    known
}

pub(crate) fn wrong_shape(what: &str, wanted: &str, node: &YamlNode) -> Diagnostic {
    node.span.error(DiagnosticCode::WrongShape, format!("{what} must be {wanted}, found {}", describe_node(node)))
}

/// Describes a value for messages.
pub(crate) fn describe_node(node: &YamlNode) -> String {
    match &node.value {
        YamlValue::Number { text, .. } => clip_word(text),
        YamlValue::Bool(is) => is.to_string(),
        YamlValue::String(text) => format!("`{}`", clip_word(&text.text)),
        YamlValue::Null | YamlValue::List(_) | YamlValue::Map(_) => node.type_description().to_owned(),
    }
}
