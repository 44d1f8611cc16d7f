//! Signals: kept, held for a gap, taken.

use super::super::Signal;
use super::super::address::Address;
use super::super::state::{Activity, Run, Timer};
use crate::time::Time;

impl Run {
    pub(super) fn hold_signal(&mut self, signal: &Signal, until: Time) {
        self.timers.insert((until, Timer::Held(signal.source.clone())));
        self.signals.hold(signal, until);
    }

    pub(super) fn keep_signal(&mut self, signal: &Signal) {
        if let Some(until) = self.signals.keep(signal) {
            self.timers.remove(&(until, Timer::Held(signal.source.clone())));
        }
    }

    pub(super) fn take_signal(&mut self, node: &Address, name: &str) {
        let Some(signal) = self.signals.take(name) else { return };
        if let Some(Activity::Agent { .. }) = self.activity(node) {
            self.hear(node, &signal.payload);
        }
    }
}
