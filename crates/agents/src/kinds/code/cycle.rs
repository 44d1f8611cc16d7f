//! Detects cycles in the dependencies of a plan.

use super::plan::PlanStep;

/// Returns the id of a step that depends on itself, directly or through other steps.
pub(super) fn find_cycle(steps: &[PlanStep]) -> Option<&str> {
    let mut settled = vec![false; steps.len()];
    loop {
        let ready = |place: &usize| !settled[*place] && steps[*place].after.iter().all(|before| settled[*before]);
        match (0..steps.len()).find(ready) {
            Some(place) => settled[place] = true,
            None => return settled.iter().position(|settled| !settled).map(|place| steps[place].id.as_str()),
        }
    }
}
