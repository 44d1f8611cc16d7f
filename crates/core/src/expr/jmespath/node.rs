//! A compiled JMESPath expression.

use std::collections::BTreeSet;

use serde_json::Value;

use super::function::Function;
use super::token::Comparator;
use crate::expr::reads::FieldRead;
use crate::expr::slice::Slice;

#[derive(Debug, Clone)]
pub(super) enum Node {
    /// `@`
    Current,
    Literal(Value),
    Field(String),
    /// `true`, `false` or `null` without backticks: the field if there is one, else the literal.
    Bare(String, Value),
    Index(i64),
    Slice(Slice),
    /// Each is evaluated on what the one before it gave: `a.b[0] | c`.
    Chain(Vec<Node>),
    Or(Vec<Node>),
    And(Vec<Node>),
    Not(Box<Node>),
    Compare(Comparator, Box<(Node, Node)>),
    /// The second, evaluated on every item of the list that the first gives; nulls are left out.
    Project(Box<(Node, Node)>),
    /// The third, on every item of the first for which the second is true.
    Filter(Box<(Node, Node, Node)>),
    Flatten(Box<Node>),
    Values(Box<Node>),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
    Call(Function, Vec<Node>),
    /// `&expression`: evaluated by the function it is given to.
    Reference(Box<Node>),
}

impl Node {
    /// Adds the names that are looked up at the root.
    pub(super) fn roots(&self, found: &mut BTreeSet<String>) {
        match self {
            Node::Field(name) => {
                found.insert(name.clone());
            }
            Node::Chain(parts) => {
                let below_root = parts.iter().position(|part| !matches!(part, Node::Current));
                if let Some(first) = below_root.and_then(|at| parts.get(at)) {
                    first.roots(found);
                }
            }
            Node::Or(parts) | Node::And(parts) | Node::List(parts) | Node::Call(_, parts) => {
                parts.iter().for_each(|part| part.roots(found));
            }
            Node::Object(fields) => fields.iter().for_each(|(_, node)| node.roots(found)),
            Node::Not(node) | Node::Flatten(node) | Node::Values(node) => node.roots(found),
            Node::Compare(_, sides) => {
                sides.0.roots(found);
                sides.1.roots(found);
            }
            Node::Project(parts) => parts.0.roots(found),
            Node::Filter(parts) => parts.0.roots(found),
            Node::Current
            | Node::Literal(_)
            | Node::Bare(..)
            | Node::Index(_)
            | Node::Slice(_)
            | Node::Reference(_) => {}
        }
    }

    /// Adds the fields of root names that are read.
    pub(super) fn fields(&self, found: &mut Vec<FieldRead>) {
        match self {
            Node::Chain(parts) => {
                let mut parts = parts.iter().skip_while(|part| matches!(part, Node::Current));
                match parts.next() {
                    Some(Node::Field(root)) => found.extend(FieldRead::of(root, parts.map_while(Node::name))),
                    Some(first) => first.fields(found),
                    None => {}
                }
            }
            Node::Or(parts) | Node::And(parts) | Node::List(parts) | Node::Call(_, parts) => {
                parts.iter().for_each(|part| part.fields(found));
            }
            Node::Object(fields) => fields.iter().for_each(|(_, node)| node.fields(found)),
            Node::Not(node) | Node::Flatten(node) | Node::Values(node) => node.fields(found),
            Node::Compare(_, sides) => {
                sides.0.fields(found);
                sides.1.fields(found);
            }
            Node::Project(parts) => parts.0.fields(found),
            Node::Filter(parts) => parts.0.fields(found),
            Node::Field(_)
            | Node::Current
            | Node::Literal(_)
            | Node::Bare(..)
            | Node::Index(_)
            | Node::Slice(_)
            | Node::Reference(_) => {}
        }
    }

    fn name(&self) -> Option<&str> {
        match self {
            Node::Field(name) => Some(name),
            _ => None,
        }
    }
}
