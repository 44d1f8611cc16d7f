//! Signals are buffered from arrival, first in first out, and consumed once.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use baton_core::run::{NodeAddress, NodeOutcome, RunEvent};
use serde_json::Value;

use super::{PromiseViolation, RunHistory, violation};

pub fn check(history: &RunHistory) -> Result<(), PromiseViolation> {
    let run = &history.run;
    let mut kept: BTreeMap<&str, VecDeque<&Arc<Value>>> = BTreeMap::new();
    let mut taken: Option<(&NodeAddress, &Arc<Value>)> = None;
    for event in history.events() {
        match event {
            RunEvent::SignalKept { signal } => kept.entry(&signal.name).or_default().push_back(&signal.payload),
            RunEvent::SignalTaken { node, name } => match kept.get_mut(name.as_str()).and_then(VecDeque::pop_front) {
                Some(payload) => taken = Some((node, payload)),
                None => return violation("signals", format!("`{node}` of `{run}` took a `{name}` that was not there")),
            },
            RunEvent::Ended(ended) => {
                // A wait's output is the signal that it consumed; an agent's is not.
                if let (Some((node, payload)), NodeOutcome::Completed { output }) = (taken, &ended.how)
                    && *node == ended.node
                    && node.node.as_str().starts_with("wait")
                    && output != payload
                {
                    return violation("signals", format!("`{node}` of `{run}` took {payload} and gave {output}"));
                }
                taken = None;
            }
            _ => {}
        }
    }
    Ok(())
}
