//! Static checks: what can be known to go wrong before anything runs. Error edges count as edges in all of them.

mod cycle;

use super::compile::Lowered;
use crate::definition::catalog::Catalog;
use crate::definition::diagnostic::{Code, Findings};
use crate::definition::document::Document;

/// Checks a whole definition.
pub(crate) fn run(document: &Document<'_>, lowered: &Lowered, catalog: &Catalog, findings: &mut Findings) {
    let _ = catalog;
    if lowered.graph.nodes.is_empty() {
        let message = "the workflow has no nodes";
        findings.push(
            document.body.span.error(Code::NoNodes, message).hint("write at least one under `nodes:` or `steps:`"),
        );
    }
    check_graph(lowered, findings);
}

fn check_graph(lowered: &Lowered, findings: &mut Findings) {
    cycle::check(lowered, findings);
    for body in lowered.bodies.values() {
        check_graph(body, findings);
    }
}
