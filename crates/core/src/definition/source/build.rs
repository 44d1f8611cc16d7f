//! From the parser's events to a tree, without recursion: nesting costs no stack.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span as Marks, Tag};

use super::super::diagnostic::{Code, Diagnostic, shown};
use super::{DEPTH_MAX, Key, Map, Node, Span, TEXT_BYTES_MAX, Text, VALUES_MAX, Value, scalar, text};

/// The one document of a text.
pub(super) fn tree(source: &str) -> Result<Node, Vec<Diagnostic>> {
    let mut parser = Parser::new_from_str(source);
    let mut builder = Builder::default();
    loop {
        match parser.next_event() {
            Some(Ok((Event::StreamEnd, _))) | None => break,
            Some(Ok((event, marks))) => builder.event(event, marks)?,
            Some(Err(error)) => return Err(vec![not_yaml(source, &error)]),
        }
    }
    let start = Span { line: 1, column: 1, len: 1 };
    builder.document.filter(|node| !node.is_null()).ok_or_else(|| vec![text::empty(start)])
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: BTreeMap<usize, Node>,
    document: Option<Node>,
    values: usize,
    text_bytes: usize,
}

/// A list or mapping that is not complete yet.
struct Open {
    span: Span,
    anchor: usize,
    items: Items,
}

enum Items {
    List(Vec<Node>),
    Map { entries: Vec<(Key, Node)>, places: BTreeMap<String, usize>, key: Option<(Key, Named)>, merged: Vec<Node> },
}

/// What a key is: a name, or the merge key `<<`.
#[derive(Clone, Copy, PartialEq)]
enum Named {
    Plainly,
    Merge,
}

impl Builder {
    fn event(&mut self, event: Event<'_>, marks: Marks) -> Result<(), Vec<Diagnostic>> {
        let span = span(marks);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let named = if style == ScalarStyle::Plain && text == "<<" { Named::Merge } else { Named::Plainly };
                let value = Self::scalar(&text, style, tag.as_deref(), marks)?;
                self.spend(1, text.len(), span)?;
                self.place(Node { span: verbatim_span(&value, style, span), value }, anchor, named)
            }
            Event::SequenceStart(anchor, tag) => {
                check_tag(tag.as_deref(), "seq", span)?;
                self.enter(span, anchor, Items::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                check_tag(tag.as_deref(), "map", span)?;
                let items = Items::Map { entries: Vec::new(), places: BTreeMap::new(), key: None, merged: Vec::new() };
                self.enter(span, anchor, items)
            }
            Event::SequenceEnd | Event::MappingEnd => self.leave(),
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::DocumentStart(_) if self.document.is_some() => Err(one(span
                .error(Code::Unreadable, "the file holds more than one document")
                .hint("write one workflow per file; `---` begins another"))),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                Ok(())
            }
        }
    }

    fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>, marks: Marks) -> Result<Value, Vec<Diagnostic>> {
        let value = match tag {
            None if style == ScalarStyle::Plain => scalar::plain(text),
            None => Ok(Value::String(Text { text: text.to_owned(), verbatim: false })),
            Some(tag) if tag.is_yaml_core_schema() => scalar::tagged(&tag.suffix, text),
            Some(tag) if tag.handle.is_empty() && tag.suffix == "!" => scalar::tagged("str", text),
            Some(_) => scalar::tagged("", text),
        };
        match value {
            Ok(Value::String(string)) => {
                let verbatim = is_verbatim(text, style, marks);
                Ok(Value::String(Text { verbatim, ..string }))
            }
            Ok(value) => Ok(value),
            Err(reason) => Err(one(span(marks)
                .error(Code::NotYaml, format!("`{}`: {reason}", shown(text)))
                .hint("put it in quotes to mean the text"))),
        }
    }

    /// Counts what a value costs, before it is made.
    fn spend(&mut self, values: usize, text_bytes: usize, at: Span) -> Result<(), Vec<Diagnostic>> {
        self.values = self.values.saturating_add(values);
        self.text_bytes = self.text_bytes.saturating_add(text_bytes);
        if self.values > VALUES_MAX {
            let message = format!("the definition holds more than {VALUES_MAX} values");
            return Err(one(at.error(Code::TooLarge, message).hint("what an alias stands for is counted each time")));
        }
        if self.text_bytes > TEXT_BYTES_MAX {
            let message = format!("the definition holds more than {TEXT_BYTES_MAX} bytes of text");
            return Err(one(at.error(Code::TooLarge, message).hint("what an alias stands for is counted each time")));
        }
        Ok(())
    }

    fn enter(&mut self, span: Span, anchor: usize, items: Items) -> Result<(), Vec<Diagnostic>> {
        self.spend(1, 0, span)?;
        if self.open.len() >= DEPTH_MAX {
            return Err(one(too_deep(span)));
        }
        let span = Span { len: 1, ..span };
        self.open.push(Open { span, anchor, items });
        Ok(())
    }

    fn leave(&mut self) -> Result<(), Vec<Diagnostic>> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let value = match open.items {
            Items::List(items) => Value::List(items),
            Items::Map { entries, places, merged, .. } => Value::Map(self.merge(entries, places, merged)?),
        };
        self.place(Node { span: open.span, value }, open.anchor, Named::Plainly)
    }

    /// Adds what `<<` brings; what is written in the mapping itself wins, then the first that is merged.
    fn merge(
        &mut self,
        mut entries: Vec<(Key, Node)>,
        mut places: BTreeMap<String, usize>,
        merged: Vec<Node>,
    ) -> Result<Map, Vec<Diagnostic>> {
        let refused = |span: Span| {
            one(span.error(Code::NotYaml, "`<<` merges a mapping or a list of mappings").hint("write `<<: *anchor`"))
        };
        for node in merged {
            let sources = match node.value {
                Value::Map(_) => vec![node],
                Value::List(items) => items,
                _ => return Err(refused(node.span)),
            };
            for source in sources {
                let Value::Map(map) = source.value else { return Err(refused(source.span)) };
                for (key, value) in map.entries {
                    if !places.contains_key(&key.name) {
                        places.insert(key.name.clone(), entries.len());
                        entries.push((key, value));
                    }
                }
            }
        }
        Ok(Map { entries })
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Vec<Diagnostic>> {
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            return Err(one(span.error(Code::NotYaml, "the alias stands inside what it names")));
        };
        let (values, text_bytes) = weight(&node);
        self.spend(values, text_bytes, span)?;
        if self.open.len() + depth(&node) > DEPTH_MAX {
            return Err(one(too_deep(span)));
        }
        self.place(node, 0, Named::Plainly)
    }

    /// Puts a complete value where it belongs.
    fn place(&mut self, node: Node, anchor: usize, named: Named) -> Result<(), Vec<Diagnostic>> {
        if anchor != 0 {
            let (values, text_bytes) = weight(&node);
            self.spend(values, text_bytes, node.span)?;
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.document = Some(node);
            return Ok(());
        };
        match &mut open.items {
            Items::List(items) => items.push(node),
            Items::Map { entries, places, key, merged } => match key.take() {
                None => *key = Some((as_key(node)?, named)),
                Some((_, Named::Merge)) => merged.push(node),
                Some((name, Named::Plainly)) => {
                    if let Some(first) = places.get(&name.name).and_then(|place| entries.get(*place)) {
                        return Err(written_twice(&first.0, &name));
                    }
                    places.insert(name.name.clone(), entries.len());
                    entries.push((name, node));
                }
            },
        }
        Ok(())
    }
}

fn written_twice(first: &Key, second: &Key) -> Vec<Diagnostic> {
    let name = shown(&second.name);
    vec![
        second.span.error(Code::DuplicateKey, format!("`{name}` is written twice, first in line {}", first.span.line)),
        first
            .span
            .error(Code::DuplicateKey, format!("`{name}` is written again in line {}", second.span.line))
            .hint("keep one of the two"),
    ]
}

fn as_key(node: Node) -> Result<Key, Vec<Diagnostic>> {
    let name = match node.value {
        Value::String(text) => text.text,
        Value::Number { text, .. } => text,
        Value::Bool(is) => is.to_string(),
        Value::Null => "null".to_owned(),
        Value::List(_) | Value::Map(_) => {
            let refused = node.span.error(Code::NotYaml, "a key is a word, not a list or a mapping");
            return Err(one(refused.hint("a template such as {{ name }} must stand in quotes")));
        }
    };
    Ok(Key { name, span: node.span })
}

/// Values and bytes of text in a tree.
fn weight(node: &Node) -> (usize, usize) {
    let sum = |all: &mut dyn Iterator<Item = (usize, usize)>| all.fold((1, 0), |(v, b), (w, c)| (v + w, b + c));
    match &node.value {
        Value::Null | Value::Bool(_) => (1, 0),
        Value::Number { text, .. } => (1, text.len()),
        Value::String(text) => (1, text.text.len()),
        Value::List(items) => sum(&mut items.iter().map(weight)),
        Value::Map(map) => sum(&mut map.entries.iter().map(|(key, value)| {
            let (values, bytes) = weight(value);
            (values + 1, bytes + key.name.len())
        })),
    }
}

fn depth(node: &Node) -> usize {
    match &node.value {
        Value::Null | Value::Bool(_) | Value::Number { .. } | Value::String(_) => 0,
        Value::List(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Map(map) => 1 + map.entries.iter().map(|(_, value)| depth(value)).max().unwrap_or(0),
    }
}

fn check_tag(tag: Option<&Tag>, own: &str, span: Span) -> Result<(), Vec<Diagnostic>> {
    match tag {
        None => Ok(()),
        Some(tag) if tag.is_yaml_core_schema() && tag.suffix == own => Ok(()),
        Some(tag) => Err(one(span
            .error(Code::NotYaml, format!("the tag `{}` is not understood", shown(&tag.to_string())))
            .hint("leave it out: a definition holds plain values"))),
    }
}

/// Whether the value's characters stand in the file one for one, behind an opening quote if there is one.
fn is_verbatim(value: &str, style: ScalarStyle, marks: Marks) -> bool {
    let quotes = match style {
        ScalarStyle::Plain => 0,
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => 2,
        ScalarStyle::Literal | ScalarStyle::Folded => return false,
    };
    let one_line = marks.start.line() == marks.end.line();
    one_line && marks.len() == value.chars().count() + quotes
}

/// A quoted string's span begins behind the quote, where its text does.
fn verbatim_span(value: &Value, style: ScalarStyle, span: Span) -> Span {
    let is_quoted = matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted);
    match value {
        Value::String(text) if text.verbatim && is_quoted => {
            Span { column: span.column + 1, len: span.len.saturating_sub(2).max(1), ..span }
        }
        _ => span,
    }
}

fn span(marks: Marks) -> Span {
    let Span { line, column, .. } = point(marks.start);
    let len = if marks.start.line() == marks.end.line() { marks.len() } else { 1 };
    Span { line, column, len: u32::try_from(len).unwrap_or(u32::MAX).max(1) }
}

fn point(mark: Marker) -> Span {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Span { line: number(mark.line()).max(1), column: number(mark.col()).saturating_add(1), len: 1 }
}

fn not_yaml(source: &str, error: &ScanError) -> Diagnostic {
    let at = point(*error.marker());
    if error.info().contains("recursion limit") {
        return too_deep(at);
    }
    let diagnostic = at.error(Code::NotYaml, format!("not valid YAML: {}", error.info()));
    let line_at = |line: u32| source.lines().nth(line.saturating_sub(1) as usize).unwrap_or_default();
    let indents_by_tab = |line: &str| line.chars().take_while(|c| c.is_whitespace()).any(|c| c == '\t');
    let suspects = [line_at(at.line), line_at(at.line.saturating_sub(1))];
    if suspects.iter().any(|line| indents_by_tab(line)) {
        return diagnostic.hint("a tab cannot indent; use spaces");
    }
    if suspects.iter().any(|line| line.contains(": {{") || line.contains("- {{")) {
        return diagnostic.hint("a template at the start of a value must stand in quotes: \"{{ name }}\"");
    }
    diagnostic
}

fn too_deep(at: Span) -> Diagnostic {
    at.error(Code::TooLarge, format!("values nest more than {DEPTH_MAX} levels deep"))
        .hint("move an inner part into a workflow of its own")
}

fn one(diagnostic: Diagnostic) -> Vec<Diagnostic> {
    vec![diagnostic]
}
