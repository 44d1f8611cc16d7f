//! What is still to happen, in order of time; what happens at one instant happens in an order of the seed's choosing.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use baton_core::time::Time;

#[derive(Debug)]
pub struct Agenda<T> {
    heap: BinaryHeap<Entry<T>>,
    filed: u64,
}

#[derive(Debug)]
struct Entry<T> {
    at: Time,
    shuffle: u64,
    filed: u64,
    what: T,
}

impl<T> Entry<T> {
    fn key(&self) -> (Time, u64, u64) {
        (self.at, self.shuffle, self.filed)
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    /// The heap gives its greatest first, so the earliest is the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        other.key().cmp(&self.key())
    }
}

impl<T> Default for Agenda<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), filed: 0 }
    }
}

impl<T> Agenda<T> {
    pub fn put(&mut self, at: Time, shuffle: u64, what: T) {
        self.filed += 1;
        self.heap.push(Entry { at, shuffle, filed: self.filed, what });
    }

    pub fn take(&mut self) -> Option<(Time, T)> {
        self.heap.pop().map(|entry| (entry.at, entry.what))
    }

    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}
