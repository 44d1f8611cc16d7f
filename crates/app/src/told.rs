//! How a run is told to people: as it goes, and how to go on from where it waits.

mod progress;
mod way_on;

use std::sync::Arc;

use baton_engine::{Engine, Follower, Tell};

pub use progress::{Progress, conclude, ending, said};
pub use way_on::{by_whom, in_short, way_on};

use crate::wire::System;

/// Follows runs of the system's tenant.
pub fn follower(engine: &Engine, system: &System) -> Follower {
    Follower::new(engine, Arc::new(system.store.clone()), system.tenant.clone())
}

/// Tells each entry, where somebody reads along.
pub fn telling(progress: Option<Progress>) -> Option<Tell> {
    let mut progress = progress?;
    Some(Box::new(move |run, entry| progress.tell(run, entry)))
}
