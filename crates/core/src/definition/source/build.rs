//! Builds a tree from the parser's events, without recursion, so that nesting uses no stack.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span as Marks, Tag};

use super::super::diagnostic::{Diagnostic, DiagnosticCode, clip_word};
use super::{
    DEPTH_MAX, SourceSpan, TEXT_BYTES_MAX, VALUES_MAX, YamlKey, YamlMapping, YamlNode, YamlString, YamlValue, scalar,
    text,
};

/// Returns the only document of a text.
pub(super) fn tree(source: &str) -> Result<YamlNode, Vec<Diagnostic>> {
    let mut parser = Parser::new_from_str(source);
    let mut builder = YamlTreeBuilder::default();
    loop {
        match parser.next_event() {
            Some(Ok((Event::StreamEnd, _))) | None => break,
            Some(Ok((event, marks))) => builder.event(event, marks)?,
            Some(Err(error)) => return Err(vec![not_yaml(source, &error)]),
        }
    }
    let start = SourceSpan { line: 1, column: 1, len: 1 };
    builder.document.filter(|node| !node.is_null()).ok_or_else(|| vec![text::empty(start)])
}

#[derive(Default)]
struct YamlTreeBuilder {
    open: Vec<OpenContainer>,
    anchors: BTreeMap<usize, YamlNode>,
    document: Option<YamlNode>,
    values: usize,
    text_bytes: usize,
}

/// A list or mapping that is not complete yet.
struct OpenContainer {
    span: SourceSpan,
    anchor: usize,
    items: ContainerItems,
}

enum ContainerItems {
    List(Vec<YamlNode>),
    Map {
        entries: Vec<(YamlKey, YamlNode)>,
        places: BTreeMap<String, usize>,
        key: Option<(YamlKey, MappingKeyKind)>,
        merged: Vec<YamlNode>,
    },
}

/// A kind of key: a name, or the merge key `<<`.
#[derive(Clone, Copy, PartialEq)]
enum MappingKeyKind {
    Plain,
    Merge,
}

impl YamlTreeBuilder {
    fn event(&mut self, event: Event<'_>, marks: Marks) -> Result<(), Vec<Diagnostic>> {
        let span = span(marks);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let named = if style == ScalarStyle::Plain && text == "<<" {
                    MappingKeyKind::Merge
                } else {
                    MappingKeyKind::Plain
                };
                let value = Self::scalar(&text, style, tag.as_deref(), marks)?;
                self.spend(1, text.len(), span)?;
                self.attach(YamlNode { span: verbatim_span(&value, style, span), value }, anchor, named)
            }
            Event::SequenceStart(anchor, tag) => {
                check_tag(tag.as_deref(), "seq", span)?;
                self.enter(span, anchor, ContainerItems::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                check_tag(tag.as_deref(), "map", span)?;
                let items =
                    ContainerItems::Map { entries: Vec::new(), places: BTreeMap::new(), key: None, merged: Vec::new() };
                self.enter(span, anchor, items)
            }
            Event::SequenceEnd | Event::MappingEnd => self.leave(),
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::DocumentStart(_) if self.document.is_some() => Err(single_diagnostic(
                span.error(DiagnosticCode::Unreadable, "the file holds more than one document")
                    .hint("write one workflow per file; `---` begins another"),
            )),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                Ok(())
            }
        }
    }

    fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>, marks: Marks) -> Result<YamlValue, Vec<Diagnostic>> {
        let value = match tag {
            None if style == ScalarStyle::Plain => scalar::plain(text),
            None => Ok(YamlValue::String(YamlString { text: text.to_owned(), verbatim: false })),
            Some(tag) if tag.is_yaml_core_schema() => scalar::tagged(&tag.suffix, text),
            Some(tag) if tag.handle.is_empty() && tag.suffix == "!" => scalar::tagged("str", text),
            Some(_) => scalar::tagged("", text),
        };
        match value {
            Ok(YamlValue::String(string)) => {
                let verbatim = is_verbatim(text, style, marks);
                Ok(YamlValue::String(YamlString { verbatim, ..string }))
            }
            Ok(value) => Ok(value),
            Err(reason) => Err(single_diagnostic(
                span(marks)
                    .error(DiagnosticCode::NotYaml, format!("`{}`: {reason}", clip_word(text)))
                    .hint("put it in quotes to mean the text"),
            )),
        }
    }

    /// Charges the cost of a value before it is made.
    fn spend(&mut self, values: usize, text_bytes: usize, at: SourceSpan) -> Result<(), Vec<Diagnostic>> {
        self.values = self.values.saturating_add(values);
        self.text_bytes = self.text_bytes.saturating_add(text_bytes);
        if self.values > VALUES_MAX {
            let message = format!("the definition holds more than {VALUES_MAX} values");
            return Err(single_diagnostic(
                at.error(DiagnosticCode::TooLarge, message).hint("what an alias stands for is counted each time"),
            ));
        }
        if self.text_bytes > TEXT_BYTES_MAX {
            let message = format!("the definition holds more than {TEXT_BYTES_MAX} bytes of text");
            return Err(single_diagnostic(
                at.error(DiagnosticCode::TooLarge, message).hint("what an alias stands for is counted each time"),
            ));
        }
        Ok(())
    }

    fn enter(&mut self, span: SourceSpan, anchor: usize, items: ContainerItems) -> Result<(), Vec<Diagnostic>> {
        self.spend(1, 0, span)?;
        if self.open.len() >= DEPTH_MAX {
            return Err(single_diagnostic(too_deep(span)));
        }
        let span = SourceSpan { len: 1, ..span };
        self.open.push(OpenContainer { span, anchor, items });
        Ok(())
    }

    fn leave(&mut self) -> Result<(), Vec<Diagnostic>> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let value = match open.items {
            ContainerItems::List(items) => YamlValue::List(items),
            ContainerItems::Map { entries, places, merged, .. } => YamlValue::Map(self.merge(entries, places, merged)?),
        };
        self.attach(YamlNode { span: open.span, value }, open.anchor, MappingKeyKind::Plain)
    }

    /// Applies the merge key `<<`. Keys of the mapping itself win, then those of the first merged mapping.
    fn merge(
        &mut self,
        mut entries: Vec<(YamlKey, YamlNode)>,
        mut places: BTreeMap<String, usize>,
        merged: Vec<YamlNode>,
    ) -> Result<YamlMapping, Vec<Diagnostic>> {
        let refused = |span: SourceSpan| {
            single_diagnostic(
                span.error(DiagnosticCode::NotYaml, "`<<` merges a mapping or a list of mappings")
                    .hint("write `<<: *anchor`"),
            )
        };
        for node in merged {
            let sources = match node.value {
                YamlValue::Map(_) => vec![node],
                YamlValue::List(items) => items,
                _ => return Err(refused(node.span)),
            };
            for source in sources {
                let YamlValue::Map(map) = source.value else { return Err(refused(source.span)) };
                for (key, value) in map.entries {
                    if !places.contains_key(&key.name) {
                        places.insert(key.name.clone(), entries.len());
                        entries.push((key, value));
                    }
                }
            }
        }
        Ok(YamlMapping { entries })
    }

    fn alias(&mut self, anchor: usize, span: SourceSpan) -> Result<(), Vec<Diagnostic>> {
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            return Err(single_diagnostic(
                span.error(DiagnosticCode::NotYaml, "the alias stands inside what it names"),
            ));
        };
        let (values, text_bytes) = tree_size(&node);
        self.spend(values, text_bytes, span)?;
        if self.open.len() + depth(&node) > DEPTH_MAX {
            return Err(single_diagnostic(too_deep(span)));
        }
        self.attach(node, 0, MappingKeyKind::Plain)
    }

    /// Adds a complete value to its parent.
    fn attach(&mut self, node: YamlNode, anchor: usize, named: MappingKeyKind) -> Result<(), Vec<Diagnostic>> {
        if anchor != 0 {
            let (values, text_bytes) = tree_size(&node);
            self.spend(values, text_bytes, node.span)?;
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.document = Some(node);
            return Ok(());
        };
        match &mut open.items {
            ContainerItems::List(items) => items.push(node),
            ContainerItems::Map { entries, places, key, merged } => match key.take() {
                None => *key = Some((as_key(node)?, named)),
                Some((_, MappingKeyKind::Merge)) => merged.push(node),
                Some((name, MappingKeyKind::Plain)) => {
                    if let Some(first) = places.get(&name.name).and_then(|place| entries.get(*place)) {
                        return Err(duplicate_key_error(&first.0, &name));
                    }
                    places.insert(name.name.clone(), entries.len());
                    entries.push((name, node));
                }
            },
        }
        Ok(())
    }
}

fn duplicate_key_error(first: &YamlKey, second: &YamlKey) -> Vec<Diagnostic> {
    let name = clip_word(&second.name);
    vec![
        second.span.error(
            DiagnosticCode::DuplicateKey,
            format!("`{name}` is written twice, first in line {}", first.span.line),
        ),
        first
            .span
            .error(DiagnosticCode::DuplicateKey, format!("`{name}` is written again in line {}", second.span.line))
            .hint("keep one of the two"),
    ]
}

fn as_key(node: YamlNode) -> Result<YamlKey, Vec<Diagnostic>> {
    let name = match node.value {
        YamlValue::String(text) => text.text,
        YamlValue::Number { text, .. } => text,
        YamlValue::Bool(is) => is.to_string(),
        YamlValue::Null => "null".to_owned(),
        YamlValue::List(_) | YamlValue::Map(_) => {
            let refused = node.span.error(DiagnosticCode::NotYaml, "a key is a word, not a list or a mapping");
            return Err(single_diagnostic(refused.hint("a template such as {{ name }} must stand in quotes")));
        }
    };
    Ok(YamlKey { name, span: node.span })
}

/// Returns the number of values and bytes of text in a tree.
fn tree_size(node: &YamlNode) -> (usize, usize) {
    let sum = |all: &mut dyn Iterator<Item = (usize, usize)>| all.fold((1, 0), |(v, b), (w, c)| (v + w, b + c));
    match &node.value {
        YamlValue::Null | YamlValue::Bool(_) => (1, 0),
        YamlValue::Number { text, .. } => (1, text.len()),
        YamlValue::String(text) => (1, text.text.len()),
        YamlValue::List(items) => sum(&mut items.iter().map(tree_size)),
        YamlValue::Map(map) => sum(&mut map.entries.iter().map(|(key, value)| {
            let (values, bytes) = tree_size(value);
            (values + 1, bytes + key.name.len())
        })),
    }
}

fn depth(node: &YamlNode) -> usize {
    match &node.value {
        YamlValue::Null | YamlValue::Bool(_) | YamlValue::Number { .. } | YamlValue::String(_) => 0,
        YamlValue::List(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        YamlValue::Map(map) => 1 + map.entries.iter().map(|(_, value)| depth(value)).max().unwrap_or(0),
    }
}

fn check_tag(tag: Option<&Tag>, own: &str, span: SourceSpan) -> Result<(), Vec<Diagnostic>> {
    match tag {
        None => Ok(()),
        Some(tag) if tag.is_yaml_core_schema() && tag.suffix == own => Ok(()),
        Some(tag) => Err(single_diagnostic(
            span.error(DiagnosticCode::NotYaml, format!("the tag `{}` is not understood", clip_word(&tag.to_string())))
                .hint("leave it out: a definition holds plain values"),
        )),
    }
}

/// Returns whether the value's characters appear in the file one for one, after an opening quote if there is one.
fn is_verbatim(value: &str, style: ScalarStyle, marks: Marks) -> bool {
    let quotes = match style {
        ScalarStyle::Plain => 0,
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => 2,
        ScalarStyle::Literal | ScalarStyle::Folded => return false,
    };
    let one_line = marks.start.line() == marks.end.line();
    one_line && marks.len() == value.chars().count() + quotes
}

/// Returns the span of a string's text: for a quoted string it starts after the quote.
fn verbatim_span(value: &YamlValue, style: ScalarStyle, span: SourceSpan) -> SourceSpan {
    let is_quoted = matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted);
    match value {
        YamlValue::String(text) if text.verbatim && is_quoted => {
            SourceSpan { column: span.column + 1, len: span.len.saturating_sub(2).max(1), ..span }
        }
        _ => span,
    }
}

fn span(marks: Marks) -> SourceSpan {
    let SourceSpan { line, column, .. } = point(marks.start);
    let len = if marks.start.line() == marks.end.line() { marks.len() } else { 1 };
    SourceSpan { line, column, len: u32::try_from(len).unwrap_or(u32::MAX).max(1) }
}

fn point(mark: Marker) -> SourceSpan {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    SourceSpan { line: number(mark.line()).max(1), column: number(mark.col()).saturating_add(1), len: 1 }
}

fn not_yaml(source: &str, error: &ScanError) -> Diagnostic {
    let at = point(*error.marker());
    if error.info().contains("recursion limit") {
        return too_deep(at);
    }
    let diagnostic = at.error(DiagnosticCode::NotYaml, format!("not valid YAML: {}", error.info()));
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

fn too_deep(at: SourceSpan) -> Diagnostic {
    at.error(DiagnosticCode::TooLarge, format!("values nest more than {DEPTH_MAX} levels deep"))
        .hint("move an inner part into a workflow of its own")
}

fn single_diagnostic(diagnostic: Diagnostic) -> Vec<Diagnostic> {
    vec![diagnostic]
}
