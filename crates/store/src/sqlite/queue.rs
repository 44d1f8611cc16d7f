//! A bounded queue between async callers and a thread. Pushing never waits: it fails if the queue is full.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Items and their size in bytes; the consumer sleeps while the queue is empty.
pub(super) struct BoundedQueue<T> {
    inner: Mutex<QueueInner<T>>,
    filled: Condvar,
    items_max: usize,
    bytes_max: usize,
}

struct QueueInner<T> {
    waiting: VecDeque<(T, usize)>,
    bytes: usize,
    asleep: usize,
    closed: bool,
}

/// Why an item was not accepted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum QueueError {
    Full,
    Closed,
}

impl<T> BoundedQueue<T> {
    pub(super) fn new(items_max: usize, bytes_max: usize) -> Self {
        let inner = QueueInner { waiting: VecDeque::new(), bytes: 0, asleep: 0, closed: false };
        Self { inner: Mutex::new(inner), filled: Condvar::new(), items_max, bytes_max }
    }

    /// An item larger than the whole queue is accepted while the queue is empty: it has its own limit elsewhere.
    pub(super) fn push(&self, item: T, bytes: usize) -> Result<(), QueueError> {
        let mut inner = self.lock();
        if inner.closed {
            return Err(QueueError::Closed);
        }
        let full = inner.waiting.len() >= self.items_max || inner.bytes.saturating_add(bytes) > self.bytes_max;
        if full && !inner.waiting.is_empty() {
            return Err(QueueError::Full);
        }
        inner.bytes = inner.bytes.saturating_add(bytes);
        inner.waiting.push_back((item, bytes));
        let wake = inner.asleep > 0;
        drop(inner);
        if wake {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Takes up to `max` items, oldest first; waits for the first. Returns none only once the queue is closed and
    /// empty.
    pub(super) fn take(&self, max: usize) -> Vec<T> {
        let mut inner = self.lock();
        while inner.waiting.is_empty() && !inner.closed {
            inner.asleep += 1;
            inner = self.filled.wait(inner).unwrap_or_else(PoisonError::into_inner);
            inner.asleep -= 1;
        }
        let count = inner.waiting.len().min(max);
        let taken: Vec<(T, usize)> = inner.waiting.drain(..count).collect();
        inner.bytes -= taken.iter().map(|(_, bytes)| bytes).sum::<usize>();
        drop(inner);
        taken.into_iter().map(|(item, _)| item).collect()
    }

    /// No more items are accepted; queued ones are still returned.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, QueueInner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_refuses_and_takes_again_once_emptied() {
        let queue = BoundedQueue::new(2, 100);
        assert_eq!(queue.push('a', 10), Ok(()));
        assert_eq!(queue.push('b', 10), Ok(()));
        assert_eq!(queue.push('c', 10), Err(QueueError::Full));
        assert_eq!(queue.take(1), ['a']);
        assert_eq!(queue.push('c', 91), Err(QueueError::Full), "bytes count too");
        assert_eq!(queue.push('c', 90), Ok(()));
        assert_eq!(queue.take(9), ['b', 'c']);
    }

    #[test]
    fn one_item_over_the_bytes_passes_an_empty_queue() {
        let queue = BoundedQueue::new(2, 100);
        assert_eq!(queue.push('a', 1_000), Ok(()));
        assert_eq!(queue.push('b', 1), Err(QueueError::Full));
        assert_eq!(queue.take(9), ['a']);
        assert_eq!(queue.push('b', 1), Ok(()));
    }

    #[test]
    fn a_closed_queue_hands_out_what_waits_and_then_nothing() {
        let queue = BoundedQueue::new(2, 100);
        assert_eq!(queue.push('a', 1), Ok(()));
        queue.close();
        assert_eq!(queue.push('b', 1), Err(QueueError::Closed));
        assert_eq!(queue.take(9), ['a']);
        assert_eq!(queue.take(9), []);
    }

    #[test]
    fn a_sleeping_taker_is_woken() {
        let queue = BoundedQueue::new(2, 100);
        std::thread::scope(|scope| {
            let taker = scope.spawn(|| queue.take(9));
            assert_eq!(queue.push('a', 1), Ok(()));
            assert_eq!(taker.join().unwrap(), ['a']);
        });
    }
}
