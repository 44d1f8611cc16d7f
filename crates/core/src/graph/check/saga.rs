//! The saga check: an effect that cannot be undone must come after every node whose failure would undo the rest.
//!
//! The rule. An effect *stays* if its tool changes the world and has no compensation. A node *rolls back* if it can
//! fail and its failure compensates the run: its `on_error` is `compensate`, or is absent and a reversible effect may
//! have completed by then. A warning names each effect that stays together with a node that rolls back and can fail
//! after it or concurrently with it: the rollback would undo the rest and leave the effect in place, so that, for
//! example, a customer keeps the confirmation of a cancelled booking.
//!
//! Remedies: move the effect after the last node that can fail; set `on_error: continue` (or `goto`) on the node whose
//! failure should undo nothing; or set `compensation: none` on the effect, which declares that it is meant to stay.
//! Branches of one choice exclude each other and are never paired, and effects in one branch do not count for another;
//! in a loop every node can come after every other.

use super::super::NodeIndex;
use super::super::node::{
    GraphNode, HumanTaskKind, MergeMode, NodeKind, OnDeadline, OnItemError, OnNodeError, ToolSource, WaitDeadline,
    WaitNode,
};
use super::checked_graph::CheckedGraph;
use crate::definition::diagnostic::{Diagnostic, DiagnosticCode, DiagnosticList};
use crate::definition::source::{SourceSpan, SpannedValue};
use crate::definition::spec::{self, CompensationSpec, NodeKindSpec, ToolNodeSpec};
use crate::tool::ToolContract;

/// Maximum number of node pairs before the check gives up.
const PAIRS_MAX: usize = 4_000_000;

/// A node that is relevant to the check.
struct SagaCheckNode<'a> {
    /// From the outer graph inwards: the node, the branch that contains it, and whether that is a loop's body.
    path: Vec<(NodeIndex, &'a str, bool)>,
    id: &'a str,
    span: SourceSpan,
    /// The tool whose effect cannot be undone, and is not declared to stay.
    irreversible_tool: Option<String>,
    can_be_undone: bool,
    rolls_back: RollbackTrigger,
}

/// Whether a node's failure compensates the run.
#[derive(Clone, Copy, PartialEq)]
enum RollbackTrigger {
    Never,
    Always,
    /// Only if a reversible effect has completed.
    IfReversible,
}

pub(super) fn check(outer: &CheckedGraph<'_, '_>, findings: &mut DiagnosticList) {
    let mut acts = Vec::new();
    collect(outer, &mut Vec::new(), None, &mut acts);
    let mut pairs = 0_usize;
    let mut said: Vec<(usize, usize)> = Vec::new();
    for (index, act) in acts.iter().enumerate() {
        let Some(tool) = &act.irreversible_tool else { continue };
        let fails: Vec<usize> = (0..acts.len())
            .filter(|other| {
                let later = &acts[*other];
                pairs += 1;
                *other != index
                    && later.rolls_back != RollbackTrigger::Never
                    && pairs <= PAIRS_MAX
                    && may_follow(outer, act, later)
                    && rolls_back(outer, &acts, (index, *other), &mut pairs)
            })
            .collect();
        let Some(first) = fails.iter().find(|other| precedes(outer, act, &acts[**other])).or(fails.first()) else {
            continue;
        };
        // Two concurrent nodes are one finding.
        if said.contains(&(*first, index)) {
            continue;
        }
        said.push((index, *first));
        findings.push(warning(outer, act, tool, &acts[*first], fails.len() - 1));
    }
    if pairs > PAIRS_MAX {
        let message = "the workflow is too large for the saga check to look at every pair of its nodes";
        findings.push(Diagnostic::new(
            crate::definition::Severity::Hint,
            DiagnosticCode::NotChecked,
            outer.body.span,
            message,
        ));
    }
}

fn warning<'a>(
    outer: &CheckedGraph<'a, '_>,
    act: &SagaCheckNode<'a>,
    tool: &str,
    later: &SagaCheckNode<'a>,
    more: usize,
) -> Diagnostic {
    let when = if precedes(outer, act, later) { "after it" } else { "beside it" };
    let others = match more {
        0 => String::new(),
        1 => " (and 1 other)".to_owned(),
        more => format!(" (and {more} others)"),
    };
    let message = format!(
        "`{}` cannot be undone (`{tool}` has no compensation), and `{}`{others} can still fail {when}: the rollback would \
         leave it standing",
        act.id, later.id
    );
    let hint = format!(
        "move `{}` behind it, write `on_error: continue` on `{}`, or `compensation: none` on `{}` if it is meant to stay",
        act.id, later.id, act.id
    );
    Diagnostic::warning(DiagnosticCode::Irreversible, act.span, message).hint(hint)
}

/// Returns whether the failure of a node would undo anything in a run in which the effect stays.
fn rolls_back<'a>(
    outer: &CheckedGraph<'a, '_>,
    acts: &[SagaCheckNode<'a>],
    (effect, fails): (usize, usize),
    pairs: &mut usize,
) -> bool {
    match acts[fails].rolls_back {
        RollbackTrigger::Never => false,
        RollbackTrigger::Always => true,
        RollbackTrigger::IfReversible => acts.iter().enumerate().any(|(other, act)| {
            *pairs += 1;
            act.can_be_undone
                && other != fails
                && *pairs <= PAIRS_MAX
                && may_follow(outer, act, &acts[fails])
                && !exclude(outer, act, &acts[effect])
        }),
    }
}

/// Returns whether no run does both: they are on branches of one choice that only join after both.
fn exclude<'a>(outer: &CheckedGraph<'a, '_>, a: &SagaCheckNode<'a>, b: &SagaCheckNode<'a>) -> bool {
    match find_divergence(outer, a, b) {
        PathDivergence::Nodes(layer, a, b) => layer.paths.exclude(a, b),
        PathDivergence::Loop | PathDivergence::Branches | PathDivergence::None => false,
    }
}

fn collect<'a>(
    layer: &CheckedGraph<'a, '_>,
    way: &mut Vec<(NodeIndex, &'a str, bool)>,
    around: Option<RollbackTrigger>,
    acts: &mut Vec<SagaCheckNode<'a>>,
) {
    for place in &layer.paths.order {
        let node = layer.lowered.graph.node(*place);
        if layer.paths.is_post_rollback(*place) {
            continue;
        }
        let fate = rollback_trigger(node, around);
        let is_loop = matches!(node.kind, NodeKind::Loop(_));
        let collects = matches!(&node.kind, NodeKind::Loop(each) if each.on_item_error == OnItemError::Collect);
        let inside = if collects { RollbackTrigger::Never } else { fate };
        let inner = layer.inner.range((*place, "")..).take_while(|((at, _), _)| at == place);
        for ((_, branch), inner) in inner {
            way.push((*place, branch, is_loop));
            collect(inner, way, Some(inside), acts);
            way.pop();
        }
        let means_it = layer.body.nodes.get(place.as_usize()).is_some_and(|node| {
            let calls = matches!(node.part, NodeKindSpec::Tool(_) | NodeKindSpec::Agent(_));
            calls && matches!(&node.policy.compensation, Some(SpannedValue { value: CompensationSpec::None, .. }))
        });
        let (stays, can_be_undone) = irreversible_effect(layer, *place);
        way.push((*place, "", false));
        acts.push(SagaCheckNode {
            path: way.clone(),
            id: layer.lowered.graph.node(*place).id.as_str(),
            span: layer.span(*place),
            irreversible_tool: stays.filter(|_| !means_it),
            can_be_undone,
            rolls_back: if can_fail(node) { fate } else { RollbackTrigger::Never },
        });
        way.pop();
    }
}

/// Returns the effect of a node's failure: by its own policy, or inside a body by the enclosing node's.
fn rollback_trigger(node: &GraphNode, around: Option<RollbackTrigger>) -> RollbackTrigger {
    match (node.policy.on_error, around) {
        (Some(OnNodeError::Continue | OnNodeError::Goto(_)), _) => RollbackTrigger::Never,
        (_, Some(around)) => around,
        (Some(OnNodeError::Fail), None) => RollbackTrigger::Never,
        (Some(OnNodeError::Compensate), None) => RollbackTrigger::Always,
        (None, None) => RollbackTrigger::IfReversible,
    }
}

/// Returns whether a node can fail for external reasons, rather than through an error in an expression.
fn can_fail(node: &GraphNode) -> bool {
    let ends_badly = |deadline: &WaitDeadline| deadline.after.is_some() && deadline.on_expiry == OnDeadline::Fail;
    match &node.kind {
        NodeKind::Tool(_) | NodeKind::Agent(_) | NodeKind::Subworkflow(_) => true,
        NodeKind::Human(human) => {
            ends_badly(&human.deadline)
                && matches!(human.task, HumanTaskKind::Approval { .. } | HumanTaskKind::Form { .. })
        }
        NodeKind::Wait(WaitNode::Signal { deadline, .. }) => ends_badly(deadline),
        NodeKind::Merge(merge) => matches!(merge.mode, MergeMode::NOfM(_)),
        NodeKind::Wait(_)
        | NodeKind::Trigger
        | NodeKind::Condition(_)
        | NodeKind::Switch(_)
        | NodeKind::Loop(_)
        | NodeKind::Parallel(_)
        | NodeKind::Transform(_)
        | NodeKind::End(_)
        | NodeKind::Sink(_) => false,
    }
}

/// Returns the tool whose effect would stay, if any, and whether some effect can be undone.
fn irreversible_effect(layer: &CheckedGraph<'_, '_>, place: NodeIndex) -> (Option<String>, bool) {
    let node = layer.lowered.graph.node(place);
    let written = layer.body.nodes.get(place.as_usize()).map(|node| &node.part);
    match &node.kind {
        NodeKind::Tool(tool) => match (&tool.from, written) {
            (ToolSource::Fixed { tool: name, .. }, Some(NodeKindSpec::Tool(written))) => {
                let tree = match &**written {
                    ToolNodeSpec::Fixed { tree, .. } => *tree,
                    ToolNodeSpec::AgentRequests { .. } => None,
                };
                let undone = node.policy.compensation.is_some();
                let Some(facts) = tool.facts.get(name) else { return (None, undone) };
                let own = spec::action_facts(facts, tree, layer.body.form.dialect());
                if !own.actions.is_empty() && !undone {
                    return of_many([(name, own)]);
                }
                let undone = undone || own.compensation.is_some();
                let acts = own.class.has_side_effects();
                ((acts && !undone).then(|| name.clone()), acts && undone)
            }
            _ => of_many(tool.facts.iter().map(|(name, facts)| (name, &**facts))),
        },
        // A selection performs nothing.
        NodeKind::Agent(agent) if agent.only_selects_tools => (None, false),
        NodeKind::Agent(agent) => {
            let offered = agent.tools.iter().filter(|(name, _)| agent.offers(name));
            of_many(offered.map(|(name, facts)| (name, &**facts)))
        }
        // A child's saga is one entry in its parent's saga.
        NodeKind::Subworkflow(_) => (None, true),
        _ => (None, false),
    }
}

/// Summarizes several tools that may be called: one whose effects would all stay, and whether some effect can be
/// undone. A tool that both books and cancels counts as reversible.
fn of_many<'f>(tools: impl IntoIterator<Item = (&'f String, &'f ToolContract)>) -> (Option<String>, bool) {
    let (mut stays, mut can_be_undone) = (None, false);
    for (name, facts) in tools {
        let actual = facts.flattened_actions();
        let mut acting = actual.iter().filter(|facts| facts.class.has_side_effects()).peekable();
        if acting.peek().is_none() {
            continue;
        }
        if acting.any(|facts| facts.compensation.is_some()) {
            can_be_undone = true;
        } else {
            stays.get_or_insert_with(|| name.clone());
        }
    }
    (stays, can_be_undone)
}

/// Returns whether `b` can end after `a` in one run.
fn may_follow<'a>(outer: &CheckedGraph<'a, '_>, a: &SagaCheckNode<'a>, b: &SagaCheckNode<'a>) -> bool {
    match find_divergence(outer, a, b) {
        PathDivergence::Loop | PathDivergence::Branches => true,
        PathDivergence::Nodes(layer, a, b) => layer.paths.precedes(a, b) || layer.paths.run_together(a, b),
        PathDivergence::None => false,
    }
}

fn precedes<'a>(outer: &CheckedGraph<'a, '_>, a: &SagaCheckNode<'a>, b: &SagaCheckNode<'a>) -> bool {
    match find_divergence(outer, a, b) {
        PathDivergence::Loop => true,
        PathDivergence::Nodes(layer, a, b) => layer.paths.precedes(a, b),
        PathDivergence::Branches | PathDivergence::None => false,
    }
}

/// Where the paths to two nodes diverge.
enum PathDivergence<'l, 'a, 't> {
    /// In a loop's body: another iteration may follow.
    Loop,
    /// In different branches of one node.
    Branches,
    /// At two nodes of one graph.
    Nodes(&'l CheckedGraph<'a, 't>, NodeIndex, NodeIndex),
    /// One is inside the other.
    None,
}

fn find_divergence<'l, 'a, 't>(
    outer: &'l CheckedGraph<'a, 't>,
    a: &SagaCheckNode<'a>,
    b: &SagaCheckNode<'a>,
) -> PathDivergence<'l, 'a, 't> {
    let mut layer = outer;
    for ((node_a, branch_a, is_loop), (node_b, branch_b, _)) in a.path.iter().zip(&b.path) {
        if node_a != node_b {
            return PathDivergence::Nodes(layer, *node_a, *node_b);
        }
        if branch_a != branch_b {
            return PathDivergence::Branches;
        }
        if *is_loop {
            return PathDivergence::Loop;
        }
        match layer.inner.get(&(*node_a, *branch_a)) {
            Some(inner) => layer = inner,
            None => return PathDivergence::None,
        }
    }
    PathDivergence::None
}
