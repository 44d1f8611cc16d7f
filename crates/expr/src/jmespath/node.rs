//! A compiled JMESPath expression.

use std::collections::BTreeSet;

use serde_json::Value;

use super::function::JmesPathFunction;
use super::token::JmesPathComparator;
use crate::field_read::FieldRead;
use crate::slice::ListSlice;

#[derive(Debug, Clone)]
pub(super) enum JmesPathNode {
    /// `@`
    Current,
    Literal(Value),
    Field(String),
    /// `true`, `false` or `null` without backticks: the field if it exists, otherwise the literal.
    Bare(String, Value),
    Index(i64),
    Slice(ListSlice),
    /// Each is evaluated on the result of the one before it: `a.b[0] | c`.
    Chain(Vec<JmesPathNode>),
    Or(Vec<JmesPathNode>),
    And(Vec<JmesPathNode>),
    Not(Box<JmesPathNode>),
    Compare(JmesPathComparator, Box<(JmesPathNode, JmesPathNode)>),
    /// Evaluates the second on every item of the list that the first returns; nulls are dropped.
    Project(Box<(JmesPathNode, JmesPathNode)>),
    /// Evaluates the third on every item of the first for which the second is true.
    Filter(Box<(JmesPathNode, JmesPathNode, JmesPathNode)>),
    Flatten(Box<JmesPathNode>),
    Values(Box<JmesPathNode>),
    List(Vec<JmesPathNode>),
    Object(Vec<(String, JmesPathNode)>),
    Call(JmesPathFunction, Vec<JmesPathNode>),
    /// `&expression`: evaluated by the function that receives it.
    Reference(Box<JmesPathNode>),
}

impl JmesPathNode {
    /// Adds the names that are looked up at the root.
    pub(super) fn roots(&self, found: &mut BTreeSet<String>) {
        match self {
            JmesPathNode::Field(name) => {
                found.insert(name.clone());
            }
            JmesPathNode::Chain(parts) => {
                let below_root = parts.iter().position(|part| !matches!(part, JmesPathNode::Current));
                if let Some(first) = below_root.and_then(|at| parts.get(at)) {
                    first.roots(found);
                }
            }
            JmesPathNode::Or(parts)
            | JmesPathNode::And(parts)
            | JmesPathNode::List(parts)
            | JmesPathNode::Call(_, parts) => {
                parts.iter().for_each(|part| part.roots(found));
            }
            JmesPathNode::Object(fields) => fields.iter().for_each(|(_, node)| node.roots(found)),
            JmesPathNode::Not(node) | JmesPathNode::Flatten(node) | JmesPathNode::Values(node) => node.roots(found),
            JmesPathNode::Compare(_, sides) => {
                sides.0.roots(found);
                sides.1.roots(found);
            }
            JmesPathNode::Project(parts) => parts.0.roots(found),
            JmesPathNode::Filter(parts) => parts.0.roots(found),
            JmesPathNode::Current
            | JmesPathNode::Literal(_)
            | JmesPathNode::Bare(..)
            | JmesPathNode::Index(_)
            | JmesPathNode::Slice(_)
            | JmesPathNode::Reference(_) => {}
        }
    }

    /// Adds the fields of root names that are read.
    pub(super) fn fields(&self, found: &mut Vec<FieldRead>) {
        match self {
            JmesPathNode::Chain(parts) => {
                let mut parts = parts.iter().skip_while(|part| matches!(part, JmesPathNode::Current));
                match parts.next() {
                    Some(JmesPathNode::Field(root)) => {
                        found.extend(FieldRead::of(root, parts.map_while(JmesPathNode::name)))
                    }
                    Some(first) => first.fields(found),
                    None => {}
                }
            }
            JmesPathNode::Or(parts)
            | JmesPathNode::And(parts)
            | JmesPathNode::List(parts)
            | JmesPathNode::Call(_, parts) => {
                parts.iter().for_each(|part| part.fields(found));
            }
            JmesPathNode::Object(fields) => fields.iter().for_each(|(_, node)| node.fields(found)),
            JmesPathNode::Not(node) | JmesPathNode::Flatten(node) | JmesPathNode::Values(node) => node.fields(found),
            JmesPathNode::Compare(_, sides) => {
                sides.0.fields(found);
                sides.1.fields(found);
            }
            JmesPathNode::Project(parts) => parts.0.fields(found),
            JmesPathNode::Filter(parts) => parts.0.fields(found),
            JmesPathNode::Field(_)
            | JmesPathNode::Current
            | JmesPathNode::Literal(_)
            | JmesPathNode::Bare(..)
            | JmesPathNode::Index(_)
            | JmesPathNode::Slice(_)
            | JmesPathNode::Reference(_) => {}
        }
    }

    fn name(&self) -> Option<&str> {
        match self {
            JmesPathNode::Field(name) => Some(name),
            _ => None,
        }
    }
}
