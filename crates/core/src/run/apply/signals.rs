//! Signals: stored, held for a gap, taken.

use super::super::Signal;
use super::super::address::NodeAddress;
use super::super::state::{NodeActivity, Run, RunTimer};
use crate::time::Time;

impl Run {
    pub(super) fn hold_signal(&mut self, signal: &Signal, until: Time) {
        self.timers.insert((until, RunTimer::Held(signal.source.clone())));
        self.signals.hold(signal, until);
    }

    pub(super) fn keep_signal(&mut self, signal: &Signal) {
        if let Some(until) = self.signals.keep(signal) {
            self.timers.remove(&(until, RunTimer::Held(signal.source.clone())));
        }
    }

    pub(super) fn take_signal(&mut self, node: &NodeAddress, name: &str) {
        let Some(signal) = self.signals.take(name) else { return };
        if let Some(NodeActivity::Agent { .. }) = self.activity(node) {
            self.record_customer_reply(node, &signal.payload);
        }
    }
}
