//! Two nodes that can run concurrently and write the same key: the last write wins, and which one is last is undefined.

use std::collections::BTreeMap;

use super::super::CombineMode;
use super::super::node::{LoopMode, NodeKind, ToolSource};
use super::super::{GraphNode, NodeIndex};
use super::checked_graph::CheckedGraph;
use crate::definition::diagnostic::{Diagnostic, DiagnosticCode, DiagnosticList, clip_word};
use crate::definition::spec::WorkflowSpec;

/// Maximum number of writers of one key that are compared.
const WRITERS_COMPARED_MAX: usize = 200;

pub(super) fn check(document: &WorkflowSpec<'_>, layer: &CheckedGraph<'_, '_>, findings: &mut DiagnosticList) {
    let (lowered, paths) = (layer.lowered, &layer.paths);
    let mut writers: BTreeMap<&str, Vec<NodeIndex>> = BTreeMap::new();
    for (place, node) in lowered.graph.node_indices().zip(&lowered.graph.nodes) {
        let mut keys = Vec::new();
        written_keys(node, &mut keys);
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            writers.entry(key).or_default().push(place);
        }
    }
    for (key, places) in writers {
        if combines(document, key) {
            continue;
        }
        let places = &places[..places.len().min(WRITERS_COMPARED_MAX)];
        let pair = places.iter().enumerate().find_map(|(index, a)| {
            let b = places[index + 1..].iter().find(|b| paths.run_together(*a, **b))?;
            Some((*a, *b))
        });
        if let Some((a, b)) = pair {
            let message =
                format!("`{}` and `{}` can run together, and both set `{}`", layer.id(a), layer.id(b), clip_word(key));
            findings
                .push(Diagnostic::warning(DiagnosticCode::SharedKey, layer.span(b), message).hint(conflict_hint(key)));
        }
    }
    for (place, node) in lowered.graph.node_indices().zip(&lowered.graph.nodes) {
        for (key, why) in parallel_written_keys(node) {
            if !combines(document, key) {
                let message = format!("{why} of `{}` run together and set `{}`", node.id, clip_word(key));
                findings.push(
                    Diagnostic::warning(DiagnosticCode::SharedKey, layer.span(place), message).hint(conflict_hint(key)),
                );
            }
        }
    }
}

fn conflict_hint(key: &str) -> String {
    format!("say how writes combine: `variables: {{{key}: {{combine: append}}}}` (or `merge`, or `last`)")
}

fn combines(document: &WorkflowSpec<'_>, key: &str) -> bool {
    document.variables.get(key).is_some_and(|declared| match declared.value.variable.combine {
        CombineMode::Append | CombineMode::Merge => true,
        // A second `once` write fails its node; last-write-wins counts as intended only if it is written explicitly.
        CombineMode::Once => false,
        CombineMode::LastWins => declared.value.has_combine,
    })
}

/// Keys that a node sets, including those of its bodies.
fn written_keys<'n>(node: &'n GraphNode, keys: &mut Vec<&'n str>) {
    keys.extend(node.output_key.as_deref());
    keys.extend(node.sets.iter().map(|(name, _)| name.as_str()));
    match &node.kind {
        NodeKind::Transform(sets) => keys.extend(sets.iter().map(|(name, _)| name.as_str())),
        NodeKind::Agent(agent) if agent.only_selects_tools => keys.push("tool_requests"),
        NodeKind::Tool(tool) if matches!(tool.from, ToolSource::AgentRequests) => keys.push("tool_results"),
        NodeKind::Loop(each) => each.body.nodes.iter().for_each(|node| written_keys(node, keys)),
        NodeKind::Parallel(fork) => {
            fork.branches.values().flat_map(|body| &body.nodes).for_each(|node| written_keys(node, keys));
        }
        _ => {}
    }
}

/// Keys that concurrent bodies of one node set, with what runs concurrently.
fn parallel_written_keys(node: &GraphNode) -> Vec<(&str, &'static str)> {
    match &node.kind {
        NodeKind::Loop(each) if matches!(each.over, LoopMode::Each { concurrency, .. } if concurrency > 1) => {
            let mut keys = Vec::new();
            each.body.nodes.iter().for_each(|node| written_keys(node, &mut keys));
            keys.sort_unstable();
            keys.dedup();
            keys.into_iter().map(|key| (key, "iterations")).collect()
        }
        NodeKind::Parallel(fork) => {
            let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
            for body in fork.branches.values() {
                let mut keys = Vec::new();
                body.nodes.iter().for_each(|node| written_keys(node, &mut keys));
                keys.sort_unstable();
                keys.dedup();
                keys.into_iter().for_each(|key| *seen.entry(key).or_default() += 1);
            }
            seen.into_iter().filter(|(_, count)| *count > 1).map(|(key, _)| (key, "branches")).collect()
        }
        _ => Vec::new(),
    }
}
