//! Static checks: what can be known to go wrong before anything runs. Error edges count as edges in all of them.

mod answers;
mod compensation;
mod contested;
mod cycle;
mod endpoint;
mod flow;
mod layer;
mod names;
mod parameters;
mod paths;
mod saga;
mod texts;

use super::compile::Lowered;
use crate::definition::catalog::Catalog;
use crate::definition::diagnostic::{Code, Findings};
use crate::definition::document::{Body, Document, Part, Tool};
use layer::Layer;
use names::Names;
use parameters::{Call, Parameters};

/// Checks a whole definition.
pub(crate) fn run(document: &Document<'_>, lowered: &Lowered, catalog: &Catalog, findings: &mut Findings) {
    if lowered.graph.nodes.is_empty() && !findings.has_errors() {
        let message = "the workflow has no nodes";
        let hint = "write at least one under `nodes:` or `steps:`";
        findings.push(document.body.span.error(Code::NoNodes, message).hint(hint));
    }
    cycles(lowered, findings);
    calls(&document.body, catalog, &mut Parameters::default(), findings);
    let Some(layer) = Layer::of(&document.body, lowered) else { return };
    Names::of(document, lowered).check(&layer, None, &[], findings);
    layer.each(&mut |layer| {
        flow::check(layer, findings);
        contested::check(document, layer, findings);
        endpoint::check(document, layer, findings);
    });
    saga::check(&layer, findings);
}

fn cycles(lowered: &Lowered, findings: &mut Findings) {
    cycle::check(lowered, findings);
    lowered.bodies.values().for_each(|body| cycles(body, findings));
}

/// What each tool node asks, and how it is undone.
fn calls(body: &Body<'_>, catalog: &Catalog, parameters: &mut Parameters, findings: &mut Findings) {
    let dialect = body.form.dialect();
    for node in &body.nodes {
        match &node.part {
            Part::Tool(written) => match &**written {
                Tool::Written { tool, tree, .. } => {
                    let call = catalog.tools.get(&tool.value).map(|facts| Call { tool, facts, tree: *tree, dialect });
                    if let Some(call) = &call {
                        parameters.check(call, findings);
                    }
                    compensation::check(node, call.as_ref(), dialect, catalog, parameters, findings);
                }
                Tool::Requests { .. } => compensation::check(node, None, dialect, catalog, parameters, findings),
            },
            Part::Loop(each) => {
                compensation::refuse(node, findings);
                calls(&each.body, catalog, parameters, findings);
            }
            Part::Parallel(branches) => {
                compensation::refuse(node, findings);
                branches.values().for_each(|body| calls(body, catalog, parameters, findings));
            }
            Part::Whole(_) | Part::Agent(_) | Part::Subworkflow(_) => compensation::refuse(node, findings),
        }
    }
}
