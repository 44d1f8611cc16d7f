//! Two nodes that can run together and write one key: the last write wins, and which one is last is chance.

use std::collections::BTreeMap;

use super::super::Combine;
use super::super::node::{Kind, Over, ToolSource};
use super::super::{Node, NodeIx};
use super::layer::Layer;
use crate::definition::diagnostic::{Code, Diagnostic, Findings, shown};
use crate::definition::document::Document;

/// Writers of one key that are compared with each other.
const WRITERS_COMPARED_MAX: usize = 200;

pub(super) fn check(document: &Document<'_>, layer: &Layer<'_, '_>, findings: &mut Findings) {
    let (lowered, paths) = (layer.lowered, &layer.paths);
    let mut writers: BTreeMap<&str, Vec<NodeIx>> = BTreeMap::new();
    for (place, node) in lowered.graph.places().zip(&lowered.graph.nodes) {
        let mut keys = Vec::new();
        written(node, &mut keys);
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
                format!("`{}` and `{}` can run together, and both set `{}`", layer.id(a), layer.id(b), shown(key));
            findings.push(Diagnostic::warning(Code::SharedKey, layer.span(b), message).hint(way_out(key)));
        }
    }
    for (place, node) in lowered.graph.places().zip(&lowered.graph.nodes) {
        for (key, why) in within(node) {
            if !combines(document, key) {
                let message = format!("{why} of `{}` run together and set `{}`", node.id, shown(key));
                findings.push(Diagnostic::warning(Code::SharedKey, layer.span(place), message).hint(way_out(key)));
            }
        }
    }
}

fn way_out(key: &str) -> String {
    format!("say how writes combine: `variables: {{{key}: {{combine: append}}}}` (or `merge`, or `last`)")
}

fn combines(document: &Document<'_>, key: &str) -> bool {
    document.variables.get(key).is_some_and(|declared| match declared.value.variable.combine {
        Combine::Append | Combine::Merge => true,
        // A second `once` write fails its node; last wins is meant only where it is written.
        Combine::Once => false,
        Combine::LastWins => declared.value.says_how,
    })
}

/// Keys that a node sets, its bodies included.
fn written<'n>(node: &'n Node, keys: &mut Vec<&'n str>) {
    keys.extend(node.output_key.as_deref());
    keys.extend(node.sets.iter().map(|(name, _)| name.as_str()));
    match &node.kind {
        Kind::Transform(sets) => keys.extend(sets.iter().map(|(name, _)| name.as_str())),
        Kind::Agent(agent) if agent.selects => keys.push("tool_requests"),
        Kind::Tool(tool) if matches!(tool.from, ToolSource::Requests) => keys.push("tool_results"),
        Kind::Loop(each) => each.body.nodes.iter().for_each(|node| written(node, keys)),
        Kind::Parallel(fork) => {
            fork.branches.values().flat_map(|body| &body.nodes).for_each(|node| written(node, keys));
        }
        _ => {}
    }
}

/// Keys that bodies of one node set side by side, with what runs together.
fn within(node: &Node) -> Vec<(&str, &'static str)> {
    match &node.kind {
        Kind::Loop(each) if matches!(each.over, Over::Each { concurrency, .. } if concurrency > 1) => {
            let mut keys = Vec::new();
            each.body.nodes.iter().for_each(|node| written(node, &mut keys));
            keys.sort_unstable();
            keys.dedup();
            keys.into_iter().map(|key| (key, "iterations")).collect()
        }
        Kind::Parallel(fork) => {
            let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
            for body in fork.branches.values() {
                let mut keys = Vec::new();
                body.nodes.iter().for_each(|node| written(node, &mut keys));
                keys.sort_unstable();
                keys.dedup();
                keys.into_iter().for_each(|key| *seen.entry(key).or_default() += 1);
            }
            seen.into_iter().filter(|(_, count)| *count > 1).map(|(key, _)| (key, "branches")).collect()
        }
        _ => Vec::new(),
    }
}
