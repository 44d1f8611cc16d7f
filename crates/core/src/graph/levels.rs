//! The batches in which the nodes of a graph can run concurrently.

use super::{Graph, NodeIndex};

/// Batches in order: a node is in the first batch after all its dependencies. Within a batch nodes keep the order of
/// the file. Nodes on a cycle, and nodes after it, are left out; a workflow that passed its checks has none.
pub fn levels(graph: &Graph) -> Vec<Vec<NodeIndex>> {
    let mut waits: Vec<usize> = graph.node_indices().map(|place| graph.incoming(place).len()).collect();
    let mut batch: Vec<NodeIndex> = graph.node_indices().filter(|place| waits[place.as_usize()] == 0).collect();
    let mut batches = Vec::new();
    while !batch.is_empty() {
        let mut next = Vec::new();
        for edge in batch.iter().flat_map(|place| graph.outgoing(*place)) {
            let to = graph.edge(*edge).to;
            waits[to.as_usize()] -= 1;
            if waits[to.as_usize()] == 0 {
                next.push(to);
            }
        }
        next.sort_unstable();
        batches.push(std::mem::replace(&mut batch, next));
    }
    batches
}

/// Returns the batches as text: one per line, with node ids separated by spaces.
pub fn levels_text(graph: &Graph) -> String {
    let mut text = String::new();
    for level in levels(graph) {
        let ids: Vec<&str> = level.iter().map(|place| graph.node(*place).id.as_str()).collect();
        text.push_str(&ids.join(" "));
        text.push('\n');
    }
    text
}
