//! A tool's parameters: JSON with references and templates at its leaves.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::error::{EvalError, ParseError};
use super::meter::{Extent, Limit, Meter};
use super::names::Names;
use super::path::Path;
use super::reads::FieldRead;
use super::template::Template;

/// Which of the two ways to write a workflow the parameters were written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `nodes` and `edges`: templates only.
    Edges,
    /// `steps`: templates, and the whole-string references `$step.field`, `{key}` and `{weather[temp]}`.
    /// A string that begins with `$$` is itself, without the first `$`.
    Steps,
}

/// A tree of JSON, compiled, whose leaves may be references or templates.
///
/// What has no hole in it is kept ready and only copied. A string that is exactly one reference or one
/// `{{ expression }}` keeps the JSON type of what it names; any other template makes a string. Keys are literal.
#[derive(Debug, Clone)]
pub struct Params {
    tree: Node,
    roots: BTreeSet<String>,
}

#[derive(Debug, Clone)]
enum Node {
    Literal(Value, Extent),
    /// What is named, and how it was written.
    Reference(Path, String),
    Template(Template),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

impl Params {
    /// Compiles parameters.
    ///
    /// # Errors
    /// A template that does not parse, named by its place in the tree; a tree with more than
    /// [`Limit::PARAMS_NODES_MAX`] values or nested deeper than [`Limit::OUTPUT_DEPTH_MAX`].
    pub fn parse(source: &Value, dialect: Dialect) -> Result<Self, ParseError> {
        let mut compiler = Compiler { dialect, roots: BTreeSet::new(), nodes: 0 };
        let tree = compiler.node(source, 0)?;
        Ok(Self { tree, roots: compiler.roots })
    }

    /// The parameters, with every hole filled.
    ///
    /// # Errors
    /// As for [`Template::render`], named by its place in the tree; a result that is larger than
    /// [`Limit::OUTPUT_BYTES_MAX`].
    pub fn render(&self, names: &dyn Names) -> Result<Value, EvalError> {
        let mut rendering = Rendering { names, meter: Meter::new(), extent: Extent::default() };
        rendering.node(&self.tree, 0)
    }

    /// The root names the parameters mention.
    pub fn roots(&self) -> &BTreeSet<String> {
        &self.roots
    }

    /// The fields of root names that the parameters read.
    pub fn fields(&self) -> Vec<FieldRead> {
        let mut found = Vec::new();
        self.tree.fields(&mut found);
        found
    }

    /// The value, if nothing in it depends on a run.
    pub fn literal(&self) -> Option<&Value> {
        self.tree.as_literal()
    }
}

impl Node {
    fn literal(value: Value) -> Self {
        let extent = Extent::of(&value);
        Node::Literal(value, extent)
    }

    fn fields(&self, found: &mut Vec<FieldRead>) {
        match self {
            Node::Literal(..) => {}
            Node::Reference(path, _) => found.extend(path.read()),
            Node::Template(template) => found.extend(template.fields()),
            Node::List(items) => items.iter().for_each(|item| item.fields(found)),
            Node::Object(fields) => fields.iter().for_each(|(_, field)| field.fields(found)),
        }
    }

    fn as_literal(&self) -> Option<&Value> {
        match self {
            Node::Literal(value, _) => Some(value),
            Node::Reference(..) | Node::Template(_) | Node::List(_) | Node::Object(_) => None,
        }
    }
}

/// One rendering of a tree: all its leaves together may spend what one expression may.
struct Rendering<'n> {
    names: &'n dyn Names,
    meter: Meter,
    extent: Extent,
}

impl Rendering<'_> {
    /// Renders a node that stands `depth` levels down.
    fn node(&mut self, node: &Node, depth: usize) -> Result<Value, EvalError> {
        match node {
            Node::Literal(value, extent) => {
                self.hold(*extent, depth)?;
                Ok(value.clone())
            }
            Node::Reference(path, written) => {
                let value = path.value(self.names).map_err(|error| explain(error, written))?;
                self.hold(Extent::of(&value), depth)?;
                match value {
                    Cow::Borrowed(value) => self.meter.copy(value),
                    Cow::Owned(value) => Ok(value),
                }
            }
            Node::Template(template) => {
                let value = template.evaluate(self.names, &mut self.meter)?;
                self.hold(Extent::of(&value), depth)?;
                Ok(value)
            }
            Node::List(items) => {
                let mut list = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    let value = self.node(item, depth + 1);
                    list.push(value.map_err(|error| error.within(&index.to_string()))?);
                }
                Ok(Value::Array(list))
            }
            Node::Object(fields) => {
                let mut object = Map::new();
                for (key, field) in fields {
                    let value = self.node(field, depth + 1);
                    object.insert(key.clone(), value.map_err(|error| error.within(key))?);
                }
                Ok(Value::Object(object))
            }
        }
    }

    fn hold(&mut self, part: Extent, depth: usize) -> Result<(), EvalError> {
        self.extent.hold(Extent { depth: part.depth + depth, ..part }, 1);
        self.extent.check()
    }
}

/// Says what else a text that names nothing may have been meant to be.
fn explain(error: EvalError, written: &str) -> EvalError {
    if error.hint.is_some() {
        return error;
    }
    match written.strip_prefix('$') {
        Some(_) => error.hint(format!("if it is text and no reference, write `${written}`")),
        None => error.hint(format!("if it is text and no reference, write `{{{{ '{written}' }}}}`")),
    }
}

struct Compiler {
    dialect: Dialect,
    roots: BTreeSet<String>,
    nodes: usize,
}

impl Compiler {
    fn node(&mut self, source: &Value, depth: usize) -> Result<Node, ParseError> {
        self.nodes += 1;
        if self.nodes > Limit::PARAMS_NODES_MAX {
            return Err(ParseError::new(format!("the parameters hold more than {} values", Limit::PARAMS_NODES_MAX)));
        }
        if depth > Limit::OUTPUT_DEPTH_MAX {
            return Err(ParseError::new(format!(
                "the parameters nest more than {} levels deep",
                Limit::OUTPUT_DEPTH_MAX
            )));
        }
        match source {
            Value::String(text) => self.leaf(text),
            Value::Array(items) => self.list(items, depth),
            Value::Object(fields) => self.object(fields, depth),
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(Node::literal(source.clone())),
        }
    }

    fn list(&mut self, items: &[Value], depth: usize) -> Result<Node, ParseError> {
        let mut nodes = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let node = self.node(item, depth + 1);
            nodes.push(node.map_err(|error| error.within(&index.to_string()))?);
        }
        Ok(match nodes.iter().map(Node::as_literal).collect::<Option<Vec<_>>>() {
            Some(values) => Node::literal(Value::Array(values.into_iter().cloned().collect())),
            None => Node::List(nodes),
        })
    }

    fn object(&mut self, fields: &Map<String, Value>, depth: usize) -> Result<Node, ParseError> {
        let mut nodes = Vec::with_capacity(fields.len());
        for (key, field) in fields {
            let node = self.node(field, depth + 1);
            nodes.push((key.clone(), node.map_err(|error| error.within(key))?));
        }
        let literals = nodes
            .iter()
            .map(|(key, node)| Some((key.clone(), node.as_literal()?.clone())))
            .collect::<Option<Map<_, _>>>();
        Ok(match literals {
            Some(fields) => Node::literal(Value::Object(fields)),
            None => Node::Object(nodes),
        })
    }

    fn leaf(&mut self, text: &str) -> Result<Node, ParseError> {
        let text = match self.dialect {
            Dialect::Edges => text,
            Dialect::Steps => match reference(text) {
                Some(path) => {
                    self.roots.insert(path.root().to_owned());
                    return Ok(Node::Reference(path, text.to_owned()));
                }
                None if text.starts_with("$$") => &text[1..],
                None => text,
            },
        };
        if !has_holes(text) {
            return Ok(Node::literal(Value::String(text.to_owned())));
        }
        let template = Template::parse(text)?;
        self.roots.extend(template.roots().iter().cloned());
        Ok(Node::Template(template))
    }
}

/// Whether Jinja would do anything with the text.
fn has_holes(text: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|open| text.contains(open))
}

/// The reference that the whole of a string is, if it is one: `$step.field`, `{key}`, `{weather[temp]}`.
///
/// What only looks like one (`$100`, `{"json": true}`) is not.
fn reference(text: &str) -> Option<Path> {
    let inside = match text.strip_prefix('$') {
        Some(inside) => inside,
        None => text.strip_prefix('{')?.strip_suffix('}')?,
    };
    Path::parse(inside).ok()
}

#[cfg(test)]
mod tests;
