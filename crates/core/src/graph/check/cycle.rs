//! Nodes that wait for each other in a circle.

use std::collections::BTreeMap;

use super::super::compile::Lowered;
use super::super::{EdgeIx, Graph, NodeIx};
use crate::definition::diagnostic::{Code, Findings};

/// Circles named of one graph; where there are more, the first ones are enough to go on with.
const CYCLES_SHOWN_MAX: usize = 10;
/// Nodes of a circle that are named; the middle of a longer one is left out.
const NAMES_SHOWN_MAX: usize = 40;

/// Names each circle in full.
pub(super) fn check(lowered: &Lowered, findings: &mut Findings) {
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
        let closing = cycle.last().copied().unwrap_or(EdgeIx(0));
        let message = format!("nodes wait for each other in a circle: {}", names.join(" → "));
        let hint = "repeat with a node of type `loop`, or write the second visit as a node of its own";
        findings.push(lowered.edge_span(closing).error(Code::Cycle, message).hint(hint));
    }
}

/// The shortest circle through the first node of a strongly connected part, as edges in order.
fn shortest(graph: &Graph, component: &[NodeIx]) -> Option<Vec<EdgeIx>> {
    let start = *component.iter().min()?;
    let inside = |place: NodeIx| component.binary_search(&place).is_ok();
    let mut came: BTreeMap<NodeIx, EdgeIx> = BTreeMap::new();
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

/// Strongly connected parts that hold a circle, each sorted, in the order of their first nodes (Tarjan 1972, without
/// recursion).
fn components(graph: &Graph) -> Vec<Vec<NodeIx>> {
    const UNSEEN: u32 = u32::MAX;
    let count = graph.nodes.len();
    let (mut number, mut low, mut on_stack) = (vec![UNSEEN; count], vec![0_u32; count], vec![false; count]);
    let (mut stack, mut found, mut next) = (Vec::new(), Vec::new(), 0_u32);
    for root in graph.places() {
        let mut walk: Vec<(NodeIx, usize)> = if number[root.at()] == UNSEEN { vec![(root, 0)] } else { Vec::new() };
        while let Some((place, edge)) = walk.pop() {
            if edge == 0 {
                (number[place.at()], low[place.at()]) = (next, next);
                next += 1;
                stack.push(place);
                on_stack[place.at()] = true;
            }
            if let Some(index) = graph.outgoing(place).get(edge) {
                walk.push((place, edge + 1));
                let to = graph.edge(*index).to;
                if number[to.at()] == UNSEEN {
                    walk.push((to, 0));
                } else if on_stack[to.at()] {
                    low[place.at()] = low[place.at()].min(number[to.at()]);
                }
                continue;
            }
            if let Some((above, _)) = walk.last() {
                low[above.at()] = low[above.at()].min(low[place.at()]);
            }
            if low[place.at()] == number[place.at()] {
                let from = stack.iter().rposition(|on| *on == place).unwrap_or(0);
                let mut part = stack.split_off(from);
                part.iter().for_each(|on| on_stack[on.at()] = false);
                part.sort_unstable();
                let circles = part.len() > 1 || graph.outgoing(place).iter().any(|e| graph.edge(*e).to == place);
                found.extend(circles.then_some(part));
            }
        }
    }
    found.sort();
    found
}
