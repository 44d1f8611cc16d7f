//! A tool's parameters: JSON with references and templates at its leaves.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::context::EvalContext;
use super::error::{EvalError, ParseError};
use super::field_read::FieldRead;
use super::meter::{EvalMeter, ExprLimits, ValueExtent};
use super::path::ReferencePath;
use super::template::JinjaTemplate;

/// The form of the workflow in which the parameters were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamsDialect {
    /// `nodes` and `edges`: templates only.
    Edges,
    /// `steps`: templates, and the whole-string references `$step.field`, `{key}` and `{weather[temp]}`. A string that
    /// starts with `$$` is literal text, without the first `$`.
    Steps,
}

/// A compiled tree of JSON, whose leaves may be references or templates.
///
/// Parts without references are prepared once and only copied. A string that is exactly one reference or one `{{
/// expression }}` keeps the JSON type of its value; any other template makes a string. Keys are literal.
#[derive(Debug, Clone)]
pub struct ParamsTemplate {
    tree: ParamsNode,
    roots: BTreeSet<String>,
}

#[derive(Debug, Clone)]
enum ParamsNode {
    Literal(Value, ValueExtent),
    /// The reference, and its source text.
    Reference(ReferencePath, String),
    Template(JinjaTemplate),
    List(Vec<ParamsNode>),
    Object(Vec<(String, ParamsNode)>),
}

impl ParamsTemplate {
    /// Compiles parameters.
    ///
    /// # Errors
    /// A template does not parse (named by its position in the tree), or the tree has more than
    /// [`ExprLimits::PARAMS_NODES_MAX`] values or is nested deeper than [`ExprLimits::OUTPUT_DEPTH_MAX`].
    pub fn parse(source: &Value, dialect: ParamsDialect) -> Result<Self, ParseError> {
        let mut compiler = ParamsCompiler { dialect, roots: BTreeSet::new(), nodes: 0 };
        let tree = compiler.node(source, 0)?;
        Ok(Self { tree, roots: compiler.roots })
    }

    /// Renders the parameters.
    ///
    /// # Errors
    /// As for [`JinjaTemplate::render`], named by its position in the tree, or the result is larger than
    /// [`ExprLimits::OUTPUT_BYTES_MAX`].
    pub fn render(&self, names: &dyn EvalContext) -> Result<Value, EvalError> {
        let mut rendering = ParamsRenderer { names, meter: EvalMeter::new(), extent: ValueExtent::default() };
        rendering.node(&self.tree, 0)
    }

    /// Returns the root names that the parameters reference.
    pub fn roots(&self) -> &BTreeSet<String> {
        &self.roots
    }

    /// Returns the fields of root names that the parameters read.
    pub fn fields(&self) -> Vec<FieldRead> {
        let mut found = Vec::new();
        self.tree.fields(&mut found);
        found
    }

    /// Returns the value, if it does not depend on a run.
    pub fn literal(&self) -> Option<&Value> {
        self.tree.as_literal()
    }
}

impl ParamsNode {
    fn literal(value: Value) -> Self {
        let extent = ValueExtent::of(&value);
        ParamsNode::Literal(value, extent)
    }

    fn fields(&self, found: &mut Vec<FieldRead>) {
        match self {
            ParamsNode::Literal(..) => {}
            ParamsNode::Reference(path, _) => found.extend(path.read()),
            ParamsNode::Template(template) => found.extend(template.fields()),
            ParamsNode::List(items) => items.iter().for_each(|item| item.fields(found)),
            ParamsNode::Object(fields) => fields.iter().for_each(|(_, field)| field.fields(found)),
        }
    }

    fn as_literal(&self) -> Option<&Value> {
        match self {
            ParamsNode::Literal(value, _) => Some(value),
            ParamsNode::Reference(..) | ParamsNode::Template(_) | ParamsNode::List(_) | ParamsNode::Object(_) => None,
        }
    }
}

/// One rendering of a tree. All its leaves together share the budget of one expression.
struct ParamsRenderer<'n> {
    names: &'n dyn EvalContext,
    meter: EvalMeter,
    extent: ValueExtent,
}

impl ParamsRenderer<'_> {
    /// Renders a node at `depth`.
    fn node(&mut self, node: &ParamsNode, depth: usize) -> Result<Value, EvalError> {
        match node {
            ParamsNode::Literal(value, extent) => {
                self.add_extent(*extent, depth)?;
                Ok(value.clone())
            }
            ParamsNode::Reference(path, written) => {
                let value = path.value(self.names).map_err(|error| explain_error(error, written))?;
                self.add_extent(ValueExtent::of(&value), depth)?;
                match value {
                    Cow::Borrowed(value) => self.meter.copy(value),
                    Cow::Owned(value) => Ok(value),
                }
            }
            ParamsNode::Template(template) => {
                let value = template.evaluate(self.names, &mut self.meter)?;
                self.add_extent(ValueExtent::of(&value), depth)?;
                Ok(value)
            }
            ParamsNode::List(items) => {
                let mut list = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    let value = self.node(item, depth + 1);
                    list.push(value.map_err(|error| error.within(&index.to_string()))?);
                }
                Ok(Value::Array(list))
            }
            ParamsNode::Object(fields) => {
                let mut object = Map::new();
                for (key, field) in fields {
                    let value = self.node(field, depth + 1);
                    object.insert(key.clone(), value.map_err(|error| error.within(key))?);
                }
                Ok(Value::Object(object))
            }
        }
    }

    fn add_extent(&mut self, part: ValueExtent, depth: usize) -> Result<(), EvalError> {
        self.extent.add(ValueExtent { depth: part.depth + depth, ..part }, 1);
        self.extent.check()
    }
}

/// Adds to the error what the text may have been meant to be.
fn explain_error(error: EvalError, written: &str) -> EvalError {
    if error.hint.is_some() {
        return error;
    }
    match written.strip_prefix('$') {
        Some(_) => error.hint(format!("if it is text and no reference, write `${written}`")),
        None => error.hint(format!("if it is text and no reference, write `{{{{ '{written}' }}}}`")),
    }
}

struct ParamsCompiler {
    dialect: ParamsDialect,
    roots: BTreeSet<String>,
    nodes: usize,
}

impl ParamsCompiler {
    fn node(&mut self, source: &Value, depth: usize) -> Result<ParamsNode, ParseError> {
        self.nodes += 1;
        if self.nodes > ExprLimits::PARAMS_NODES_MAX {
            return Err(ParseError::new(format!(
                "the parameters hold more than {} values",
                ExprLimits::PARAMS_NODES_MAX
            )));
        }
        if depth > ExprLimits::OUTPUT_DEPTH_MAX {
            return Err(ParseError::new(format!(
                "the parameters nest more than {} levels deep",
                ExprLimits::OUTPUT_DEPTH_MAX
            )));
        }
        match source {
            Value::String(text) => self.leaf(text),
            Value::Array(items) => self.list(items, depth),
            Value::Object(fields) => self.object(fields, depth),
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(ParamsNode::literal(source.clone())),
        }
    }

    fn list(&mut self, items: &[Value], depth: usize) -> Result<ParamsNode, ParseError> {
        let mut nodes = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let node = self.node(item, depth + 1);
            nodes.push(node.map_err(|error| error.within(&index.to_string()))?);
        }
        Ok(match nodes.iter().map(ParamsNode::as_literal).collect::<Option<Vec<_>>>() {
            Some(values) => ParamsNode::literal(Value::Array(values.into_iter().cloned().collect())),
            None => ParamsNode::List(nodes),
        })
    }

    fn object(&mut self, fields: &Map<String, Value>, depth: usize) -> Result<ParamsNode, ParseError> {
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
            Some(fields) => ParamsNode::literal(Value::Object(fields)),
            None => ParamsNode::Object(nodes),
        })
    }

    fn leaf(&mut self, text: &str) -> Result<ParamsNode, ParseError> {
        let text = match self.dialect {
            ParamsDialect::Edges => text,
            ParamsDialect::Steps => match reference(text) {
                Some(path) => {
                    self.roots.insert(path.root().to_owned());
                    return Ok(ParamsNode::Reference(path, text.to_owned()));
                }
                None if text.starts_with("$$") => &text[1..],
                None => text,
            },
        };
        if !has_holes(text) {
            return Ok(ParamsNode::literal(Value::String(text.to_owned())));
        }
        let template = JinjaTemplate::parse(text)?;
        self.roots.extend(template.roots().iter().cloned());
        Ok(ParamsNode::Template(template))
    }
}

/// Returns whether the text contains Jinja syntax.
fn has_holes(text: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|open| text.contains(open))
}

/// Returns the reference that a whole string consists of: `$step.field`, `{key}`, `{weather[temp]}`.
///
/// A string that only resembles one (`$100`, `{"json": true}`) is not a reference.
fn reference(text: &str) -> Option<ReferencePath> {
    let inside = match text.strip_prefix('$') {
        Some(inside) => inside,
        None => text.strip_prefix('{')?.strip_suffix('}')?,
    };
    ReferencePath::parse(inside).ok()
}

#[cfg(test)]
mod tests;
