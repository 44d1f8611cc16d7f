//! Addresses within a run: a scope's path, a node in it, a call of that node.

use std::fmt;
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::graph::{Graph, Workflow};
use crate::id::{NodeId, RunId};

/// A scope's path: empty for the outer graph, `loop[3]/fork.left` for the branch `left` inside the fourth iteration.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ScopePath(Arc<str>);

impl ScopePath {
    pub fn root() -> Self {
        Self(Arc::from(""))
    }

    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether this is the body of a loop iteration.
    pub(super) fn is_iteration(&self) -> bool {
        self.0.ends_with(']')
    }

    /// Returns the body of a loop iteration, counted from 0.
    pub fn iteration(&self, node: &NodeId, index: u32) -> Self {
        self.child_path(&format!("{node}[{index}]"))
    }

    /// Returns the body of a parallel node's branch.
    pub fn branch(&self, node: &NodeId, name: &str) -> Self {
        self.child_path(&format!("{node}.{name}"))
    }

    /// Returns the graph that this scope executes.
    pub fn graph_of(&self, workflow: &Workflow) -> Option<Arc<Graph>> {
        let Some((outer, node, rest)) = self.parent() else { return Some(workflow.graph.clone()) };
        let outer = outer.graph_of(workflow)?;
        outer.body(outer.find(node.as_str())?, rest).cloned()
    }

    fn child_path(&self, step: &str) -> Self {
        Self(if self.is_root() { step.into() } else { format!("{}/{step}", self.0).into() })
    }

    /// Returns the enclosing scope, with the id of the node whose body this is and the suffix after it (`3` or `left`).
    pub fn parent(&self) -> Option<(Self, NodeId, &str)> {
        let (scope, last) = match self.0.rsplit_once('/') {
            Some((scope, last)) => (scope, last),
            None if self.is_root() => return None,
            None => ("", &*self.0),
        };
        let (node, rest) = match last.split_once('[') {
            Some((node, index)) => (node, index.strip_suffix(']').unwrap_or(index)),
            None => last.split_once('.').unwrap_or((last, "")),
        };
        Some((Self(scope.into()), node.into(), rest))
    }

    /// Returns the path prefix of a node's bodies: `[` follows a loop's id, `.` a fork's.
    pub(super) fn body_prefix(node: &NodeAddress, mark: char) -> Self {
        Self(format!("{node}{mark}").into())
    }
}

impl fmt::Display for ScopePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ScopePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// A node of a scope; written `scope/node`, or only `node` in the outer graph.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeAddress {
    pub scope: ScopePath,
    pub node: NodeId,
}

impl NodeAddress {
    pub fn new(scope: ScopePath, node: NodeId) -> Self {
        Self { scope, node }
    }

    /// Returns a node of the outer graph.
    pub fn outer(node: impl Into<NodeId>) -> Self {
        Self { scope: ScopePath::root(), node: node.into() }
    }

    /// Returns the node of `scope` that contains this address, directly or in a body.
    pub(super) fn node_in_scope(&self, scope: &ScopePath) -> Option<&str> {
        if self.scope == *scope {
            return Some(self.node.as_str());
        }
        let rest = match scope.is_root() {
            true => self.scope.as_str(),
            false => self.scope.as_str().strip_prefix(scope.as_str())?.strip_prefix('/')?,
        };
        rest.split(['/', '[', '.']).next()
    }

    /// Parses an address as [`fmt::Display`] writes it.
    pub fn parse(text: &str) -> Self {
        match text.rsplit_once('/') {
            Some((scope, node)) => Self { scope: ScopePath(scope.into()), node: node.into() },
            None => Self::outer(text),
        }
    }
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.scope.is_root() { write!(f, "{}", self.node) } else { write!(f, "{}/{}", self.scope, self.node) }
    }
}

impl fmt::Debug for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for NodeAddress {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if self.scope.is_root() { s.serialize_str(self.node.as_str()) } else { s.collect_str(self) }
    }
}

impl<'de> Deserialize<'de> for NodeAddress {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(d)?;
        let address = Self::parse(&text);
        if address.node.as_str().is_empty() {
            return Err(D::Error::custom("an address names a node"));
        }
        Ok(address)
    }
}

/// The purpose of an effect: the node's own act, or undoing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallRole {
    Act,
    Undo,
}

impl CallRole {
    fn suffix(self) -> &'static str {
        match self {
            Self::Act => "",
            Self::Undo => "/undo",
        }
    }
}

/// One call of one node, in all its generations.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CallId {
    pub node: NodeAddress,
    /// Index of the call within its node: an agent makes many calls, a tool node one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub call: u32,
    #[serde(default = "act", skip_serializing_if = "is_act")]
    pub role: CallRole,
}

impl CallId {
    /// Returns `run / scope path / node / call index`, with `/undo` after a compensation's: the id that links audit
    /// rows.
    pub fn key(&self, run: &RunId) -> String {
        format!("{run}/{}/{}{}", self.node, self.call, self.role.suffix())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

fn act() -> CallRole {
    CallRole::Act
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_act(role: &CallRole) -> bool {
    *role == CallRole::Act
}

/// One generation of a call, which the idempotency key is made from. The generation stays the same while the outcome is
/// unknown (also if the next attempt did not act). It is incremented after a recorded `not_done`, or when a person
/// decides to repeat.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EffectId {
    #[serde(flatten)]
    pub call: CallId,
    #[serde(default, rename = "gen", skip_serializing_if = "is_zero")]
    pub generation: u32,
}

impl EffectId {
    /// Parses the displayed form of [`Self`]: `node#call.generation`, with `/undo` after a compensation's.
    pub fn parse(text: &str) -> Option<Self> {
        let (text, role) = match text.strip_suffix("/undo") {
            Some(text) => (text, CallRole::Undo),
            None => (text, CallRole::Act),
        };
        let (node, numbers) = text.rsplit_once('#')?;
        let (call, generation) = numbers.split_once('.')?;
        let call = CallId { node: NodeAddress::parse(node), call: call.parse().ok()?, role };
        (!node.is_empty()).then_some(Self { call, generation: generation.parse().ok()? })
    }

    /// Returns `run / scope path / node / call index / generation`, with `/undo` after a compensation's.
    pub fn key(&self, run: &RunId) -> String {
        let CallId { node, call, role } = &self.call;
        format!("{run}/{node}/{call}/{}{}", self.generation, role.suffix())
    }
}

impl fmt::Display for EffectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let undo = if self.call.role == CallRole::Undo { "/undo" } else { "" };
        write!(f, "{}#{}.{}{undo}", self.call.node, self.call.call, self.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_knows_its_parent() {
        let inner = ScopePath::root().iteration(&"each".into(), 3).branch(&"fork".into(), "left");
        assert_eq!(inner.as_str(), "each[3]/fork.left");
        let (scope, node, rest) = inner.parent().expect("it has one");
        assert_eq!((scope.as_str(), node.as_str(), rest), ("each[3]", "fork", "left"));
        assert_eq!(
            scope.parent().map(|(s, n, r)| (s.is_root(), n, r.to_owned())),
            Some((true, "each".into(), "3".into()))
        );
        assert!(ScopePath::root().parent().is_none());
    }

    #[test]
    fn an_address_is_within_the_node_whose_body_it_is_in() {
        let each = ScopePath::root().iteration(&"each".into(), 12);
        let deep = NodeAddress::new(each.branch(&"fork".into(), "left"), "send".into());
        assert_eq!(deep.node_in_scope(&ScopePath::root()), Some("each"));
        assert_eq!(deep.node_in_scope(&each), Some("fork"));
        assert_eq!(deep.node_in_scope(&deep.scope), Some("send"));
        assert_eq!(deep.node_in_scope(&ScopePath::root().iteration(&"each".into(), 1)), None);
    }

    #[test]
    fn an_address_without_a_node_is_refused() {
        for text in ["\"\"", "\"/\"", "\"each[3]/\""] {
            assert!(serde_json::from_str::<NodeAddress>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_effect_is_written_short_and_read_back() {
        let effect = EffectId {
            call: CallId { node: NodeAddress::parse("each[3]/charge"), call: 0, role: CallRole::Undo },
            generation: 2,
        };
        let text = serde_json::to_string(&effect).expect("writes");
        assert_eq!(text, r#"{"node":"each[3]/charge","role":"undo","gen":2}"#);
        assert_eq!(serde_json::from_str::<EffectId>(&text).expect("reads"), effect);
        assert_eq!(effect.key(&"r1".into()), "r1/each[3]/charge/0/2/undo");
        assert_eq!(effect.to_string(), "each[3]/charge#0.2/undo");
        assert_eq!(EffectId::parse(&effect.to_string()), Some(effect));
        assert_eq!(EffectId::parse("charge"), None);
        assert_eq!(EffectId::parse("#0.0"), None);
    }
}
