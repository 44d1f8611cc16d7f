//! `trigger`: the start of a run. Its output is the run's input.

use super::super::address::NodeAddress;
use super::super::decide::RunDraft;

pub fn begin(draft: &mut RunDraft<'_>, at: &NodeAddress) {
    let input = draft.run.started().map(|started| started.input.clone()).unwrap_or_default();
    draft.complete(at, input, None);
}
