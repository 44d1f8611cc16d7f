//! Cycles: nodes that wait for each other.

use std::collections::BTreeMap;

use super::super::compile::LoweredGraph;
use super::super::{EdgeIndex, Graph, NodeIndex};
use crate::definition::diagnostic::{DiagnosticCode, DiagnosticList};

/// Maximum number of cycles reported for one graph.
const CYCLES_SHOWN_MAX: usize = 10;
/// Maximum number of nodes named for one cycle; the middle of a longer one is left out.
const NAMES_SHOWN_MAX: usize = 40;

/// Reports each cycle in full.
pub(super) fn check(lowered: &LoweredGraph, findings: &mut DiagnosticList) {
    if !lowered.is_cyclic {
        return;
    }
    let graph = &lowered.graph;
    let mut shown = 0;
    for component in components(graph) {
        let Some(cycle) = shortest(graph, &component) else { continue };
        if shown == CYCLES_SHOWN_MAX {
            break;
        }
        shown += 1;
        let mut names: Vec<String> =
            cycle.iter().map(|edge| graph.node(graph.edge(*edge).from).id.to_string()).collect();
        names.extend(names.first().cloned());
        if names.len() > NAMES_SHOWN_MAX {
            let left_out = names.len() - NAMES_SHOWN_MAX;
            names.splice(NAMES_SHOWN_MAX / 2..NAMES_SHOWN_MAX / 2 + left_out, [format!("… {left_out} more …")]);
        }
        let closing = cycle.last().copied().unwrap_or(EdgeIndex(0));
        let message = format!("nodes wait for each other in a circle: {}", names.join(" → "));
        let hint = "repeat with a node of type `loop`, or write the second visit as a node of its own";
        findings.push(lowered.edge_span(closing).error(DiagnosticCode::Cycle, message).hint(hint));
    }
}

/// Returns the shortest cycle through the first node of a strongly connected component, as edges in order.
fn shortest(graph: &Graph, component: &[NodeIndex]) -> Option<Vec<EdgeIndex>> {
    let start = *component.iter().min()?;
    let inside = |place: NodeIndex| component.binary_search(&place).is_ok();
    let mut came: BTreeMap<NodeIndex, EdgeIndex> = BTreeMap::new();
    let mut open = std::collections::VecDeque::from([start]);
    while let Some(place) = open.pop_front() {
        for index in graph.outgoing(place) {
            let to = graph.edge(*index).to;
            if to == start {
                let mut way = vec![*index];
                let mut at = place;
                while let Some(edge) = came.get(&at).filter(|_| at != start) {
                    way.push(*edge);
                    at = graph.edge(*edge).from;
                }
                way.reverse();
                return Some(way);
            }
            if inside(to) && !came.contains_key(&to) {
                came.insert(to, *index);
                open.push_back(to);
            }
        }
    }
    None
}

/// Returns the strongly connected components with a cycle, each sorted, in the order of their first nodes (Tarjan 1972,
/// without recursion).
fn components(graph: &Graph) -> Vec<Vec<NodeIndex>> {
    const UNSEEN: u32 = u32::MAX;
    let count = graph.nodes.len();
    let (mut number, mut low, mut on_stack) = (vec![UNSEEN; count], vec![0_u32; count], vec![false; count]);
    let (mut stack, mut found, mut next) = (Vec::new(), Vec::new(), 0_u32);
    for root in graph.node_indices() {
        let mut walk: Vec<(NodeIndex, usize)> =
            if number[root.as_usize()] == UNSEEN { vec![(root, 0)] } else { Vec::new() };
        while let Some((place, edge)) = walk.pop() {
            if edge == 0 {
                (number[place.as_usize()], low[place.as_usize()]) = (next, next);
                next += 1;
                stack.push(place);
                on_stack[place.as_usize()] = true;
            }
            if let Some(index) = graph.outgoing(place).get(edge) {
                walk.push((place, edge + 1));
                let to = graph.edge(*index).to;
                if number[to.as_usize()] == UNSEEN {
                    walk.push((to, 0));
                } else if on_stack[to.as_usize()] {
                    low[place.as_usize()] = low[place.as_usize()].min(number[to.as_usize()]);
                }
                continue;
            }
            if let Some((above, _)) = walk.last() {
                low[above.as_usize()] = low[above.as_usize()].min(low[place.as_usize()]);
            }
            if low[place.as_usize()] == number[place.as_usize()] {
                let from = stack.iter().rposition(|on| *on == place).unwrap_or(0);
                let mut part = stack.split_off(from);
                part.iter().for_each(|on| on_stack[on.as_usize()] = false);
                part.sort_unstable();
                let circles = part.len() > 1 || graph.outgoing(place).iter().any(|e| graph.edge(*e).to == place);
                found.extend(circles.then_some(part));
            }
        }
    }
    found.sort();
    found
}
