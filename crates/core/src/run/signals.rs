//! Signals and messages, kept from arrival until a wait of their name takes them, first in first out.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::command::Signal;
use crate::time::Time;

/// Signals one run keeps, held ones included.
pub const SIGNALS_MAX: usize = 1_000;
/// How long a gap in a sender's numbers is waited for.
pub const GAP_WAIT: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Signals {
    kept: BTreeMap<String, VecDeque<Signal>>,
    /// By sender: numbers that came too early, and when their gap is given up.
    held: BTreeMap<String, (Time, BTreeMap<u64, Signal>)>,
    /// By sender: the number expected next.
    expected: BTreeMap<String, u64>,
    count: usize,
}

/// What is to be done with a signal that arrives.
#[derive(Debug, PartialEq)]
pub(super) enum Arrival {
    /// Kept now, and after it those it was holding up.
    InOrder(Vec<Signal>),
    /// Its number is ahead: held until then.
    Early { until: Time },
    /// Its number was seen, or given up.
    Stale,
}

impl Signals {
    pub fn is_full(&self) -> bool {
        self.count >= SIGNALS_MAX
    }

    pub fn arrival(&self, signal: Signal, now: Time) -> Arrival {
        let Some(number) = signal.sequence else {
            return Arrival::InOrder(vec![signal]);
        };
        let source = signal.source.clone();
        let expected = self.expected.get(&source).copied().unwrap_or(number.min(1));
        if number < expected {
            return Arrival::Stale;
        }
        if number > expected {
            let until = self.held.get(&source).map_or(now + GAP_WAIT, |(until, _)| *until);
            return Arrival::Early { until };
        }
        let mut in_order = vec![signal];
        let behind = self.held.get(&source).into_iter().flat_map(|(_, early)| early.iter());
        for (next, (held, signal)) in (number + 1..).zip(behind) {
            if *held != next {
                break;
            }
            in_order.push(signal.clone());
        }
        Arrival::InOrder(in_order)
    }

    /// Those a gap held up, now that it is waited for no longer, marked.
    pub fn overdue(&self, source: &str) -> Vec<Signal> {
        let early = self.held.get(source).into_iter().flat_map(|(_, early)| early.values());
        early.cloned().enumerate().map(|(place, signal)| Signal { after_gap: place == 0, ..signal }).collect()
    }

    pub fn keep(&mut self, signal: &Signal) {
        if let Some(number) = signal.sequence {
            self.expected.insert(signal.source.clone(), number + 1);
            if let Some((_, early)) = self.held.get_mut(&signal.source) {
                if early.remove(&number).is_some() {
                    self.count -= 1;
                }
                if early.is_empty() {
                    self.held.remove(&signal.source);
                }
            }
        }
        self.kept.entry(signal.name.clone()).or_default().push_back(signal.clone());
        self.count += 1;
    }

    pub fn hold(&mut self, signal: &Signal, until: Time) {
        let (_, early) = self.held.entry(signal.source.clone()).or_insert_with(|| (until, BTreeMap::new()));
        if early.insert(signal.sequence.unwrap_or_default(), signal.clone()).is_none() {
            self.count += 1;
        }
    }

    /// When this sender's gap is given up, while there is one.
    pub fn held_until(&self, source: &str) -> Option<Time> {
        self.held.get(source).map(|(until, _)| *until)
    }

    pub fn first(&self, name: &str) -> Option<&Signal> {
        self.kept.get(name)?.front()
    }

    pub fn take(&mut self, name: &str) {
        if let Some(queue) = self.kept.get_mut(name) {
            if queue.pop_front().is_some() {
                self.count -= 1;
            }
            if queue.is_empty() {
                self.kept.remove(name);
            }
        }
    }
}
