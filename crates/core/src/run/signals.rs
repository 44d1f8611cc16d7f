//! Signals and messages, stored from arrival until a wait with their name takes them, first in first out.
//!
//! The signals of a sender that numbers them are delivered in that order. A gap is awaited for [`GAP_WAIT`]; then the
//! signals after it are delivered and marked. A missing number that arrives after all is delivered then, also marked:
//! no accepted signal is dropped.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::command::Signal;
use crate::mutant::{Mutant, planted};
use crate::time::Time;

/// Maximum number of stored signals of one run, including held ones.
pub const SIGNALS_MAX: usize = 1_000;
/// How long a gap in a sender's numbers is awaited.
pub const GAP_WAIT: Duration = Duration::from_secs(5);
/// Maximum number of missed gaps of one sender that are remembered; a signal for an older gap counts as seen.
const GAPS_MAX: usize = 100;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct SignalBuffer {
    kept: BTreeMap<String, VecDeque<Signal>>,
    senders: BTreeMap<String, SenderSequence>,
    count: usize,
}

/// A sender that numbers its signals.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct SenderSequence {
    /// The next expected number.
    next: u64,
    /// By number: signals that arrived too early, and the deadline of the gap before each.
    early: BTreeMap<u64, (Time, Signal)>,
    /// Ranges of numbers that are no longer awaited.
    missed: VecDeque<(u64, u64)>,
}

/// How to handle an arriving signal.
#[derive(Debug, PartialEq)]
pub(crate) enum SignalArrival {
    /// Store it now, followed by the signals that waited for it.
    InOrder(Vec<Signal>),
    /// Its number is ahead: hold it until then.
    Early { until: Time },
    /// Its number was seen before.
    Seen,
}

impl SenderSequence {
    /// Senders count from 0 or from 1.
    fn before(number: u64) -> Self {
        Self { next: number.min(1), early: BTreeMap::new(), missed: VecDeque::new() }
    }

    fn has_missed(&self, number: u64) -> bool {
        self.missed.iter().any(|(from, to)| (*from..*to).contains(&number))
    }

    /// Records that this number was delivered.
    fn mark_delivered(&mut self, number: u64) {
        if number < self.next {
            let Some(place) = self.missed.iter().position(|(from, to)| (*from..*to).contains(&number)) else { return };
            let Some((from, to)) = self.missed.remove(place) else { return };
            let rest = [(from, number), (number + 1, to)];
            self.missed.extend(rest.into_iter().filter(|(from, to)| from < to));
        } else if number > self.next {
            self.missed.push_back((self.next, number));
        }
        while self.missed.len() > GAPS_MAX {
            self.missed.pop_front();
        }
        self.next = self.next.max(number.saturating_add(1));
    }
}

impl SignalBuffer {
    pub fn is_full(&self) -> bool {
        self.count >= SIGNALS_MAX
    }

    pub fn arrival(&self, signal: Signal, now: Time) -> SignalArrival {
        let Some(number) = signal.sequence else { return SignalArrival::InOrder(vec![signal]) };
        let fresh = SenderSequence::before(number);
        let sender = self.senders.get(&signal.source).unwrap_or(&fresh);
        if number < sender.next {
            return match sender.has_missed(number) {
                true => SignalArrival::InOrder(vec![Signal { after_gap: true, ..signal }]),
                false => SignalArrival::Seen,
            };
        }
        if sender.early.contains_key(&number) {
            return SignalArrival::Seen;
        }
        if number > sender.next {
            return SignalArrival::Early { until: now + GAP_WAIT };
        }
        let behind = (number + 1..).map_while(|next| sender.early.get(&next)).map(|(_, signal)| signal.clone());
        SignalArrival::InOrder(std::iter::once(signal.clone()).chain(behind).collect())
    }

    /// Returns the signals of a sender whose gap is no longer awaited at `now`, and those directly after them.
    pub fn overdue(&self, source: &str, now: Time) -> Vec<Signal> {
        let Some(sender) = self.senders.get(source) else { return Vec::new() };
        let mut next = sender.next;
        let mut overdue = Vec::new();
        for (number, (_, signal)) in &sender.early {
            let after_gap = *number != next;
            // A gap is awaited since the first signal after it arrived.
            let given_up = || sender.early.range(number..).any(|(_, (until, _))| *until <= now);
            if after_gap && !given_up() {
                break;
            }
            overdue.push(Signal { after_gap, ..signal.clone() });
            next = number + 1;
        }
        overdue
    }

    /// Returns the number of senders that number their signals.
    pub fn sender_count(&self) -> usize {
        self.senders.len()
    }

    pub fn has_sender(&self, source: &str) -> bool {
        self.senders.contains_key(source)
    }

    /// Returns the number up to which a sender's signals arrived, and those that are not consumed yet.
    pub fn delivery_state(&self, source: &str, name: &str) -> (u64, Vec<u64>) {
        let arrived = self.senders.get(source).map_or(0, |sender| sender.next.saturating_sub(1));
        let kept = self.kept.get(name).into_iter().flatten().filter(|signal| signal.source == source);
        (arrived, kept.filter_map(|signal| signal.sequence).collect())
    }

    /// Returns when the first awaited gap is given up.
    pub fn gap_deadline(&self) -> Option<Time> {
        self.senders.values().flat_map(|sender| sender.early.values().map(|(until, _)| *until)).min()
    }

    /// Returns the senders whose gap is no longer awaited at `now`.
    pub fn overdue_senders(&self, now: Time) -> Vec<String> {
        let is_late = |sender: &SenderSequence| sender.early.values().any(|(until, _)| *until <= now);
        self.senders.iter().filter(|(_, sender)| is_late(sender)).map(|(source, _)| source.clone()).collect()
    }

    /// Records that a number was delivered, without storing the signal.
    pub fn mark_delivered(&mut self, source: &str, sequence: Option<u64>) {
        let Some(number) = sequence else { return };
        let sender = self.senders.entry(source.to_owned()).or_insert_with(|| SenderSequence::before(number));
        sender.mark_delivered(number);
        if sender.early.remove(&number).is_some() {
            self.count -= 1;
        }
    }

    /// Stores a signal for the first wait with its name. If it was held, and no other signal of its sender is held
    /// until the same instant, returns that instant: its timer is no longer needed.
    pub fn keep(&mut self, signal: &Signal) -> Option<Time> {
        let mut over = None;
        if let Some(number) = signal.sequence {
            let sender = self.senders.entry(signal.source.clone()).or_insert_with(|| SenderSequence::before(number));
            sender.mark_delivered(number);
            if let Some((until, _)) = sender.early.remove(&number) {
                self.count -= 1;
                let is_shared = sender.early.values().any(|(other, _)| *other == until);
                over = (!is_shared).then_some(until);
            }
        }
        self.kept.entry(signal.name.clone()).or_default().push_back(signal.clone());
        self.count += 1;
        over
    }

    /// Holds a signal that arrived too early.
    pub fn hold(&mut self, signal: &Signal, until: Time) {
        let number = signal.sequence.unwrap_or_default();
        let sender = self.senders.entry(signal.source.clone()).or_insert_with(|| SenderSequence::before(number));
        if sender.early.insert(number, (until, signal.clone())).is_none() {
            self.count += 1;
        }
    }

    pub fn first(&self, name: &str) -> Option<&Signal> {
        self.kept.get(name)?.front()
    }

    pub fn take(&mut self, name: &str) -> Option<Signal> {
        let queue = self.kept.get_mut(name)?;
        let taken = if planted(Mutant::SignalTakenTwice) { queue.front().cloned() } else { queue.pop_front() };
        self.count -= usize::from(taken.is_some() && !planted(Mutant::SignalTakenTwice));
        if queue.is_empty() {
            self.kept.remove(name);
        }
        taken
    }
}
