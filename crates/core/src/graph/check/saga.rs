//! The saga check: what cannot be undone must come after everything whose failure would undo the rest.
//!
//! The rule. An effect *stays* where its tool changes the world and has no compensation. A node *rolls back* where it
//! can fail and its failure compensates the run: its `on_error` is `compensate`, or is not written and something that
//! can be undone may have been done by then. A warning names each effect that stays and a node that rolls back and
//! can fail after it, or beside it: the rollback would undo the rest and leave the effect standing, so that a customer
//! keeps a confirmation of what was cancelled.
//!
//! Ways out: move the effect behind the last node that can fail; write `on_error: continue` (or `goto`) on the node
//! whose failure should undo nothing; or `compensation: none` on the effect, which says it is meant to stay. Branches
//! of one choice exclude each other and are never paired, nor is what one of them did counted for an effect of another;
//! in a loop every node can come after every other.

use super::super::NodeIx;
use super::super::node::{Ask, AtDeadline, Deadline, Kind, MergeMode, Node, OnError, OnItemError, ToolSource, Wait};
use super::layer::Layer;
use crate::definition::diagnostic::{Code, Diagnostic, Findings};
use crate::definition::document::{self, Compensation, Part, Tool};
use crate::definition::source::{Located, Span};
use crate::tool::Facts;

/// Pairs of nodes looked at before the check gives up.
const PAIRS_MAX: usize = 4_000_000;

/// A node that does something the check is about.
struct Act<'a> {
    /// From the outer graph in: the node, the branch it lies in, and whether that is a loop's body.
    way: Vec<(NodeIx, &'a str, bool)>,
    id: &'a str,
    span: Span,
    /// The tool whose effect cannot be undone, and was not said to stay.
    stays: Option<String>,
    can_be_undone: bool,
    rolls_back: RollsBack,
}

/// Whether a node's failure compensates the run.
#[derive(Clone, Copy, PartialEq)]
enum RollsBack {
    Never,
    Always,
    /// Where something was done that can be undone.
    WhatThereIs,
}

pub(super) fn check(outer: &Layer<'_, '_>, findings: &mut Findings) {
    let mut acts = Vec::new();
    collect(outer, &mut Vec::new(), None, &mut acts);
    let mut pairs = 0_usize;
    let mut said: Vec<(usize, usize)> = Vec::new();
    for (index, act) in acts.iter().enumerate() {
        let Some(tool) = &act.stays else { continue };
        let fails: Vec<usize> = (0..acts.len())
            .filter(|other| {
                let later = &acts[*other];
                pairs += 1;
                *other != index
                    && later.rolls_back != RollsBack::Never
                    && pairs <= PAIRS_MAX
                    && may_follow(outer, act, later)
                    && rolls_back(outer, &acts, (index, *other), &mut pairs)
            })
            .collect();
        let Some(first) = fails.iter().find(|other| precedes(outer, act, &acts[**other])).or(fails.first()) else {
            continue;
        };
        // Two that run side by side are one finding.
        if said.contains(&(*first, index)) {
            continue;
        }
        said.push((index, *first));
        findings.push(warning(outer, act, tool, &acts[*first], fails.len() - 1));
    }
    if pairs > PAIRS_MAX {
        let message = "the workflow is too large for the saga check to look at every pair of its nodes";
        findings.push(Diagnostic::new(crate::definition::Severity::Hint, Code::NotChecked, outer.body.span, message));
    }
}

fn warning<'a>(outer: &Layer<'a, '_>, act: &Act<'a>, tool: &str, later: &Act<'a>, more: usize) -> Diagnostic {
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
    Diagnostic::warning(Code::Irreversible, act.span, message).hint(hint)
}

/// Whether the failure of an act would find something to undo in a run in which the effect stays.
fn rolls_back<'a>(outer: &Layer<'a, '_>, acts: &[Act<'a>], (effect, fails): (usize, usize), pairs: &mut usize) -> bool {
    match acts[fails].rolls_back {
        RollsBack::Never => false,
        RollsBack::Always => true,
        RollsBack::WhatThereIs => acts.iter().enumerate().any(|(other, act)| {
            *pairs += 1;
            act.can_be_undone
                && other != fails
                && *pairs <= PAIRS_MAX
                && may_follow(outer, act, &acts[fails])
                && !exclude(outer, act, &acts[effect])
        }),
    }
}

/// Whether no run does both: they lie on branches of one choice, which meet again only behind them.
fn exclude<'a>(outer: &Layer<'a, '_>, a: &Act<'a>, b: &Act<'a>) -> bool {
    match parting(outer, a, b) {
        Parting::Nodes(layer, a, b) => layer.paths.exclude(a, b),
        Parting::Loop | Parting::Branches | Parting::None => false,
    }
}

fn collect<'a>(
    layer: &Layer<'a, '_>,
    way: &mut Vec<(NodeIx, &'a str, bool)>,
    around: Option<RollsBack>,
    acts: &mut Vec<Act<'a>>,
) {
    for place in &layer.paths.order {
        let node = layer.lowered.graph.node(*place);
        if layer.paths.is_after(*place) {
            continue;
        }
        let fate = fate(node, around);
        let is_loop = matches!(node.kind, Kind::Loop(_));
        let collects = matches!(&node.kind, Kind::Loop(each) if each.on_item_error == OnItemError::Collect);
        let inside = if collects { RollsBack::Never } else { fate };
        let inner = layer.inner.range((*place, "")..).take_while(|((at, _), _)| at == place);
        for ((_, branch), inner) in inner {
            way.push((*place, branch, is_loop));
            collect(inner, way, Some(inside), acts);
            way.pop();
        }
        let means_it = layer.body.nodes.get(place.at()).is_some_and(|node| {
            let calls = matches!(node.part, Part::Tool(_) | Part::Agent(_));
            calls && matches!(&node.policy.compensation, Some(Located { value: Compensation::None, .. }))
        });
        let (stays, can_be_undone) = effect(layer, *place);
        way.push((*place, "", false));
        acts.push(Act {
            way: way.clone(),
            id: layer.lowered.graph.node(*place).id.as_str(),
            span: layer.span(*place),
            stays: stays.filter(|_| !means_it),
            can_be_undone,
            rolls_back: if can_fail(node) { fate } else { RollsBack::Never },
        });
        way.pop();
    }
}

/// What a node's failure does: as its policy says, inside a body as the node around it says.
fn fate(node: &Node, around: Option<RollsBack>) -> RollsBack {
    match (node.policy.on_error, around) {
        (Some(OnError::Continue | OnError::Goto(_)), _) => RollsBack::Never,
        (_, Some(around)) => around,
        (Some(OnError::Fail), None) => RollsBack::Never,
        (Some(OnError::Compensate), None) => RollsBack::Always,
        (None, None) => RollsBack::WhatThereIs,
    }
}

/// Whether a node can fail by what the world does, rather than by a slip in an expression.
fn can_fail(node: &Node) -> bool {
    let ends_badly = |deadline: &Deadline| deadline.after.is_some() && deadline.then == AtDeadline::Fail;
    match &node.kind {
        Kind::Tool(_) | Kind::Agent(_) | Kind::Subworkflow(_) => true,
        Kind::Human(human) => {
            ends_badly(&human.deadline) && matches!(human.ask, Ask::Approval { .. } | Ask::Form { .. })
        }
        Kind::Wait(Wait::Signal { deadline, .. }) => ends_badly(deadline),
        Kind::Merge(merge) => matches!(merge.mode, MergeMode::NOfM(_)),
        Kind::Wait(_)
        | Kind::Trigger
        | Kind::Condition(_)
        | Kind::Switch(_)
        | Kind::Loop(_)
        | Kind::Parallel(_)
        | Kind::Transform(_)
        | Kind::End(_)
        | Kind::Sink(_) => false,
    }
}

/// The tool whose effect would stay, if there is one, and whether some effect can be undone.
fn effect(layer: &Layer<'_, '_>, place: NodeIx) -> (Option<String>, bool) {
    let node = layer.lowered.graph.node(place);
    let written = layer.body.nodes.get(place.at()).map(|node| &node.part);
    match &node.kind {
        Kind::Tool(tool) => match (&tool.from, written) {
            (ToolSource::Written { tool: name, .. }, Some(Part::Tool(written))) => {
                let tree = match &**written {
                    Tool::Written { tree, .. } => *tree,
                    Tool::Requests { .. } => None,
                };
                let undone = node.policy.compensation.is_some();
                let Some(facts) = tool.facts.get(name) else { return (None, undone) };
                let own = document::own_facts(facts, tree, layer.body.form.dialect());
                if !own.actions.is_empty() && !undone {
                    return of_many([(name, own)]);
                }
                let undone = undone || own.compensation.is_some();
                let acts = own.class.acts();
                ((acts && !undone).then(|| name.clone()), acts && undone)
            }
            _ => of_many(tool.facts.iter().map(|(name, facts)| (name, &**facts))),
        },
        // A selection performs nothing.
        Kind::Agent(agent) if agent.selects => (None, false),
        Kind::Agent(agent) => {
            let offered = agent.tools.iter().filter(|(name, _)| agent.offers(name));
            of_many(offered.map(|(name, facts)| (name, &**facts)))
        }
        // A child's saga is one entry of its parent's.
        Kind::Subworkflow(_) => (None, true),
        _ => (None, false),
    }
}

/// Of tools that may be called: one whose effects would all stay, and whether some effect can be undone. A tool that
/// both books and cancels counts as one that can be undone.
fn of_many<'f>(tools: impl IntoIterator<Item = (&'f String, &'f Facts)>) -> (Option<String>, bool) {
    let (mut stays, mut can_be_undone) = (None, false);
    for (name, facts) in tools {
        let actual = facts.actual();
        let mut acting = actual.iter().filter(|facts| facts.class.acts()).peekable();
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

/// Whether `b` can end after `a` has, in one run.
fn may_follow<'a>(outer: &Layer<'a, '_>, a: &Act<'a>, b: &Act<'a>) -> bool {
    match parting(outer, a, b) {
        Parting::Loop | Parting::Branches => true,
        Parting::Nodes(layer, a, b) => layer.paths.precedes(a, b) || layer.paths.run_together(a, b),
        Parting::None => false,
    }
}

fn precedes<'a>(outer: &Layer<'a, '_>, a: &Act<'a>, b: &Act<'a>) -> bool {
    match parting(outer, a, b) {
        Parting::Loop => true,
        Parting::Nodes(layer, a, b) => layer.paths.precedes(a, b),
        Parting::Branches | Parting::None => false,
    }
}

/// Where the ways to two acts part.
enum Parting<'l, 'a, 't> {
    /// In a loop's body: another iteration may follow.
    Loop,
    /// In different branches of one node.
    Branches,
    /// At two nodes of one graph.
    Nodes(&'l Layer<'a, 't>, NodeIx, NodeIx),
    /// One lies inside the other.
    None,
}

fn parting<'l, 'a, 't>(outer: &'l Layer<'a, 't>, a: &Act<'a>, b: &Act<'a>) -> Parting<'l, 'a, 't> {
    let mut layer = outer;
    for ((node_a, branch_a, is_loop), (node_b, branch_b, _)) in a.way.iter().zip(&b.way) {
        if node_a != node_b {
            return Parting::Nodes(layer, *node_a, *node_b);
        }
        if branch_a != branch_b {
            return Parting::Branches;
        }
        if *is_loop {
            return Parting::Loop;
        }
        match layer.inner.get(&(*node_a, *branch_a)) {
            Some(inner) => layer = inner,
            None => return Parting::None,
        }
    }
    Parting::None
}
