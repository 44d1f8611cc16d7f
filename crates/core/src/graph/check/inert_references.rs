//! References inside a longer text, which are not filled in.

use crate::definition::diagnostic::{Diagnostic, DiagnosticCode, DiagnosticList, clip_word};
use crate::definition::spec::{NodeKindSpec, NodeSpec, ToolNodeSpec};
use baton_expr::{ParamsDialect, ParamsTemplate, inert_references};

/// Checks a tool's parameters for references to known names inside a text. In `steps` a reference must be the whole
/// string, in `nodes` there are none; in both forms, text is filled in by templates.
pub(super) fn check(
    node: &NodeSpec<'_>,
    dialect: ParamsDialect,
    knows: &dyn Fn(&str) -> bool,
    findings: &mut DiagnosticList,
) {
    let NodeKindSpec::Tool(tool) = &node.part else { return };
    let ToolNodeSpec::Fixed { tree: Some(tree), .. } = &**tool else { return };
    for (leaf, text) in tree.string_leaves() {
        let is_literal =
            || ParamsTemplate::parse(&leaf.to_json(), dialect).is_ok_and(|params| params.literal().is_some());
        // `$$` escapes a dollar sign.
        if text.text.starts_with("$$") || !is_literal() {
            continue;
        }
        for loose in inert_references(&text.text).into_iter().filter(|loose| knows(&loose.root)) {
            let message = format!("`{}` stands in a text, and is left as it is", clip_word(&loose.text));
            let warning = Diagnostic::warning(DiagnosticCode::LooseReference, leaf.span_of_word(&loose.root), message);
            findings.push(warning.hint(format!("write `{{{{ {} }}}}`", loose.expression)));
        }
    }
}
