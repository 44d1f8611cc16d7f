//! References inside a longer text: nobody fills them in.

use crate::definition::diagnostic::{Code, Diagnostic, Findings, shown};
use crate::definition::document::{Node, Part, Tool};
use crate::expr::{Dialect, Params, loose};

/// Looks through a tool's parameters for references to names that are known. In `steps` one fills a whole string, in
/// `nodes` none; in either, a text is filled in by templates.
pub(super) fn check(node: &Node<'_>, dialect: Dialect, knows: &dyn Fn(&str) -> bool, findings: &mut Findings) {
    let Part::Tool(tool) = &node.part else { return };
    let Tool::Written { tree: Some(tree), .. } = &**tool else { return };
    for (leaf, text) in tree.leaves() {
        let is_literal = || Params::parse(&leaf.to_json(), dialect).is_ok_and(|params| params.literal().is_some());
        // `$$` is how a text says that it means a dollar.
        if text.text.starts_with("$$") || !is_literal() {
            continue;
        }
        for loose in loose(&text.text).into_iter().filter(|loose| knows(&loose.root)) {
            let message = format!("`{}` stands in a text, and is left as it is", shown(&loose.written));
            let warning = Diagnostic::warning(Code::LooseReference, leaf.span_of_word(&loose.root), message);
            findings.push(warning.hint(format!("write `{{{{ {} }}}}`", loose.expression)));
        }
    }
}
