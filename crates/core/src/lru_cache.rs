//! A byte-bounded cache with expiry: the least recently used entries are evicted. Pure: time is an argument.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::time::Time;

/// Values by key, with the order of their last use.
#[derive(Debug)]
pub struct LruCache<K, V> {
    kept: BTreeMap<K, LruSlot<V>>,
    /// Keys by the turn of their last use.
    used: BTreeMap<u64, K>,
    turn: u64,
    bytes: usize,
    bytes_max: usize,
}

#[derive(Debug)]
struct LruSlot<V> {
    value: V,
    bytes: usize,
    until: Time,
    used: u64,
}

impl<K: Clone + Ord, V> LruCache<K, V> {
    pub fn new(bytes_max: usize) -> Self {
        Self { kept: BTreeMap::new(), used: BTreeMap::new(), turn: 0, bytes: 0, bytes_max }
    }

    /// Returns the value of a key unless it has expired.
    pub fn find(&mut self, key: &K, now: Time) -> Option<&V> {
        if self.kept.get(key)?.until <= now {
            self.remove(key);
            return None;
        }
        self.turn += 1;
        let kept = self.kept.get_mut(key)?;
        self.used.remove(&kept.used);
        kept.used = self.turn;
        self.used.insert(self.turn, key.clone());
        Some(&kept.value)
    }

    /// Stores a value of about `bytes` bytes for `holds_for`. Returns the values that are no longer stored: evicted
    /// ones, the previous value of the key, or the value itself if it is larger than the whole cache.
    #[must_use = "whoever holds a lock around this gives them up behind it"]
    pub fn put(&mut self, key: K, value: V, bytes: usize, holds_for: Duration, now: Time) -> Vec<V> {
        let mut left = Vec::from_iter(self.remove(&key));
        if bytes > self.bytes_max {
            left.push(value);
            return left;
        }
        while self.bytes + bytes > self.bytes_max {
            let Some((_, oldest)) = self.used.pop_first() else { break };
            left.extend(self.remove(&oldest));
        }
        self.turn += 1;
        self.bytes += bytes;
        self.used.insert(self.turn, key.clone());
        self.kept.insert(key, LruSlot { value, bytes, until: now + holds_for, used: self.turn });
        left
    }

    fn remove(&mut self, key: &K) -> Option<V> {
        let kept = self.kept.remove(key)?;
        self.used.remove(&kept.used);
        self.bytes -= kept.bytes;
        Some(kept.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(seconds: u64) -> Time {
        Time::EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_value_holds_as_long_as_it_was_told() {
        let mut shelf = LruCache::new(100);
        drop(shelf.put("a", 1, 10, MINUTE, at(0)));
        assert_eq!(shelf.find(&"a", at(59)), Some(&1));
        assert_eq!(shelf.find(&"b", at(59)), None);
        assert_eq!(shelf.find(&"a", at(60)), None);
        assert_eq!(shelf.bytes, 0);
    }

    #[test]
    fn the_one_used_longest_ago_makes_room() {
        let mut shelf = LruCache::new(30);
        for key in ["a", "b", "c"] {
            drop(shelf.put(key, key, 10, MINUTE, at(0)));
        }
        shelf.find(&"a", at(1));
        assert_eq!(shelf.put("d", "d", 20, MINUTE, at(2)), ["b", "c"]);
        let kept = ["a", "b", "c", "d"].map(|key| shelf.find(&key, at(3)).is_some());
        assert_eq!((kept, shelf.bytes), ([true, false, false, true], 30));
    }

    #[test]
    fn what_is_put_again_takes_the_place_of_what_was() {
        let mut shelf = LruCache::new(30);
        assert_eq!(shelf.put("a", 1, 30, MINUTE, at(0)), [0; 0]);
        assert_eq!(shelf.put("a", 2, 20, MINUTE, at(1)), [1]);
        assert_eq!(shelf.put("b", 3, 31, MINUTE, at(1)), [3], "larger than the whole");
        let kept = ["a", "b"].map(|key| shelf.find(&key, at(2)).copied());
        assert_eq!((kept, shelf.bytes), ([Some(2), None], 20));
    }
}
