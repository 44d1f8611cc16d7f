//! `trigger`: where a run begins. Its output is the run's input.

use super::super::address::Address;
use super::super::decide::Draft;

pub fn begin(draft: &mut Draft<'_>, at: &Address) {
    let input = draft.run.started().map(|started| started.input.clone()).unwrap_or_default();
    draft.complete(at, input, None);
}
