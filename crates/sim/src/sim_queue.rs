//! Future events, ordered by time; the seed chooses the order of events at the same instant.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use baton_core::time::Time;

#[derive(Debug)]
pub struct SimEventQueue<T> {
    heap: BinaryHeap<QueuedSimEvent<T>>,
    sequence: u64,
}

#[derive(Debug)]
struct QueuedSimEvent<T> {
    at: Time,
    shuffle: u64,
    sequence: u64,
    event: T,
}

impl<T> QueuedSimEvent<T> {
    fn key(&self) -> (Time, u64, u64) {
        (self.at, self.shuffle, self.sequence)
    }
}

impl<T> PartialEq for QueuedSimEvent<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<T> Eq for QueuedSimEvent<T> {}

impl<T> PartialOrd for QueuedSimEvent<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for QueuedSimEvent<T> {
    /// The heap returns its greatest item first, so the earliest event is the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        other.key().cmp(&self.key())
    }
}

impl<T> Default for SimEventQueue<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), sequence: 0 }
    }
}

impl<T> SimEventQueue<T> {
    pub fn schedule(&mut self, at: Time, shuffle: u64, what: T) {
        self.sequence += 1;
        self.heap.push(QueuedSimEvent { at, shuffle, sequence: self.sequence, event: what });
    }

    pub fn next_event(&mut self) -> Option<(Time, T)> {
        self.heap.pop().map(|entry| (entry.at, entry.event))
    }

    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}
