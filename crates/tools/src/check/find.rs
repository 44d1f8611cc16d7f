//! Stage: the tool is known, by its name, as a preset or by another name of it.

use std::sync::Arc;

use baton_core::fault::Fault;

use super::Stopped;
use crate::catalogue::{Catalogue, Entry};
use crate::code;

pub(super) fn tool<'a>(catalogue: &'a Catalogue, name: &str) -> Result<&'a Arc<Entry>, Stopped> {
    catalogue.find(name).ok_or_else(|| {
        let hint = match catalogue.nearest(name) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => "define it in `tools/`, or list what there is with `baton tools list`".to_owned(),
        };
        let fault = Fault::new(code::TOOL_NOT_FOUND, format!("there is no tool `{name}`; {hint}"));
        Stopped::Refused { fault, entry: None }
    })
}
