//! `end`: gives its scope's output.

use std::sync::Arc;

use super::super::address::Address;
use super::super::advance::expression_fault;
use super::super::decide::Draft;
use crate::graph::node::End;

pub fn begin(draft: &mut Draft<'_>, at: &Address, end: &End) {
    let output = match end.output.as_ref().map(|output| output.render(&draft.view(&at.scope))) {
        None => Arc::default(),
        Some(Ok(output)) => Arc::new(output),
        Some(Err(error)) => return draft.fail(at, expression_fault("output", &error)),
    };
    draft.complete(at, output, None);
}
