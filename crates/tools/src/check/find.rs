//! Stage: the tool exists, by its name, a preset or an alias.

use std::sync::Arc;

use baton_core::fault::Fault;

use super::EarlyOutcome;
use crate::catalogue::{ToolEntry, ToolIndex};
use crate::code;

pub(super) fn tool<'a>(catalogue: &'a ToolIndex, name: &str) -> Result<&'a Arc<ToolEntry>, EarlyOutcome> {
    catalogue.find(name).ok_or_else(|| {
        let hint = match catalogue.nearest(name) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => "define it in `tools/`, or list what there is with `baton tools list`".to_owned(),
        };
        let fault = Fault::new(code::TOOL_NOT_FOUND, format!("there is no tool `{name}`; {hint}"));
        EarlyOutcome::Refused { fault, entry: None }
    })
}
