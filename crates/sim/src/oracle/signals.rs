//! Signals are kept from arrival, first in first out, and taken once.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use baton_core::run::{Address, Event, How};
use serde_json::Value;

use super::{Chronicle, Violation, broken};

pub fn check(chronicle: &Chronicle) -> Result<(), Violation> {
    let run = &chronicle.run;
    let mut kept: BTreeMap<&str, VecDeque<&Arc<Value>>> = BTreeMap::new();
    let mut taken: Option<(&Address, &Arc<Value>)> = None;
    for event in chronicle.events() {
        match event {
            Event::SignalKept { signal } => kept.entry(&signal.name).or_default().push_back(&signal.payload),
            Event::SignalTaken { node, name } => match kept.get_mut(name.as_str()).and_then(VecDeque::pop_front) {
                Some(payload) => taken = Some((node, payload)),
                None => return broken("signals", format!("`{node}` of `{run}` took a `{name}` that was not there")),
            },
            Event::Ended(ended) => {
                // A wait's output is what it took; an agent's is not.
                if let (Some((node, payload)), How::Completed { output }) = (taken, &ended.how)
                    && *node == ended.node
                    && node.node.as_str().starts_with("wait")
                    && output != payload
                {
                    return broken("signals", format!("`{node}` of `{run}` took {payload} and gave {output}"));
                }
                taken = None;
            }
            _ => {}
        }
    }
    Ok(())
}
