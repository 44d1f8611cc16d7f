//! A call whose outcome nobody knows, and what is done about it: `docs/concepts/effects.md`.

use std::sync::Arc;

use super::super::address::EffectId;
use super::super::command::{Departure, Resolution};
use super::super::decide::Draft;
use super::super::event::{Answer, Event, InDoubt, Request};
use super::super::refusal::Refusal;
use super::super::state::{Call, Progress};
use super::{Failure, outage};
use crate::fault::{Fault, code};
use crate::money::Usd;
use crate::mutant::{Mutant, planted};
use crate::time::Time;
use crate::tool::{Class, Retry};

/// Look-ups of one call before a person is asked.
const LOOK_UPS_MAX: u32 = 5;
/// What a call fails with that neither its service nor a person did.
const SERVICE_DOWN: &str = "SERVICE_UNAVAILABLE";

impl Draft<'_> {
    /// An attempt that did not act. Of an earlier one under the same key, whose answer was lost, that says nothing: the
    /// same key goes out again. Only a service that was asked (`was_asked`) and says no for good would have said then
    /// what the key had come to.
    pub(super) fn refused(
        &mut self,
        effect: &EffectId,
        call: &Call,
        failure: Failure,
        was_asked: bool,
    ) -> Result<(), Refusal> {
        // Calls of other classes go out once under one key.
        let leaves_doubt = call.unknown && call.class == Class::Keyed && !planted(Mutant::DoubtDropped);
        let settles = was_asked && !failure.retryable && !code::ASKED_NOBODY.contains(&&*failure.fault.code);
        if !leaves_doubt || settles {
            self.not_done(effect, call, failure);
            return Ok(());
        }
        if call.progress == Progress::Doubt {
            return Err(Refusal::Duplicate { effect: effect.to_string() });
        }
        let Failure { fault, retryable, retry_after, cost: _ } = failure;
        let message = format!("an earlier attempt got no answer, and this one did not act: {}", fault.message);
        let fault = Fault { message, ..fault };
        if retryable {
            self.unknown(effect, call, fault, retry_after);
        } else {
            self.emit(Event::Doubted { effect: effect.clone(), fault, next: InDoubt::Person });
        }
        Ok(())
    }

    /// `retry_after`: milliseconds the other side asked us to wait.
    pub(super) fn unknown(&mut self, effect: &EffectId, call: &Call, fault: Fault, retry_after: Option<u64>) {
        let retry = self.retry_of(&effect.call, call);
        let attempts = call.attempts + u32::from(call.is_of_a_send());
        let next = match (call.class, &call.progress) {
            (Class::Pure | Class::Read, _) => {
                return self.not_done(effect, call, Failure::free(fault, true));
            }
            (Class::Keyed, _) if attempts < retry.max_attempts.max(2) => {
                InDoubt::SendAgain { at: self.again_at(effect, attempts, &retry, retry_after) }
            }
            (Class::Verify, Progress::LookUp { tries, .. }) if *tries + 1 >= LOOK_UPS_MAX => InDoubt::Person,
            // Look-ups have a pace of their own, however hastily the tool may be repeated.
            (Class::Verify, Progress::LookUp { tries, .. }) => {
                InDoubt::LookUp { at: self.again_at(effect, tries + 1, &Retry::default(), None) }
            }
            // The service is asked only once the sender has certainly given up.
            (Class::Verify, Progress::Marked { deadline, .. }) if !planted(Mutant::LookedUpEarly) => {
                InDoubt::LookUp { at: *deadline }
            }
            (Class::Verify, _) => InDoubt::LookUp { at: self.now },
            (Class::Keyed | Class::Once, _) => InDoubt::Person,
        };
        self.emit(Event::Doubted { effect: effect.clone(), fault, next });
    }

    /// A look-up found that the call never acted: it may be sent at least once more, whatever may be repeated else.
    pub(super) fn not_found(&mut self, effect: &EffectId, call: &Call) {
        let fault = Fault::new(code::OUTCOME_UNKNOWN, "the service has no record of the call");
        let retry = self.retry_of(&effect.call, call);
        let may = call.attempts < retry.max_attempts.max(2) && self.wants(effect);
        let again_at = may.then(|| self.again_at(effect, call.attempts, &retry, None));
        self.put_off(effect, fault, again_at, Usd::ZERO);
    }

    /// A new owner cannot know what the old one's calls came to: a marked one is in doubt, another that could go out may
    /// be out. Who let go in order had nothing out, so what only waited goes out as if nothing had happened.
    ///
    /// What waits for its time alone may be out as well where the clock `went_back`: that owner may have seen it come.
    pub fn taken_over(&mut self, epoch: u64, left: Departure, went_back: bool) {
        if left == Departure::Died {
            self.pay_for_lost_answers();
        }
        if planted(Mutant::MarkedSentAgain) {
            return;
        }
        let marked = self.run.calls.iter().filter_map(|(id, call)| match call.progress {
            Progress::Marked { epoch: of, deadline } if of < epoch => {
                Some((EffectId { call: id.clone(), generation: call.generation }, call.class, deadline))
            }
            _ => None,
        });
        for (effect, class, deadline) in marked.collect::<Vec<_>>() {
            let at = if planted(Mutant::LookedUpEarly) { self.now } else { deadline };
            let next = if class == Class::Verify { InDoubt::LookUp { at } } else { InDoubt::Person };
            let fault = Fault::new(code::OUTCOME_UNKNOWN, "the process that sent the call stopped before its answer");
            self.emit(Event::Doubted { effect, fault, next });
        }
        let is_another = epoch > self.run.epoch && left != Departure::InOrder;
        if !is_another {
            return;
        }
        let may_be_out = |at: Time| self.run.calls.values().any(|call| call.may_be_out_unmarked(at) && !call.unknown);
        let went_back = went_back && may_be_out(Time::MAX);
        if went_back || may_be_out(self.now) {
            self.emit(Event::TakenOver { epoch, went_back });
        }
    }

    /// The owner before died: what it had asked models may have to be paid for, and is asked again.
    fn pay_for_lost_answers(&mut self) {
        let now = self.now;
        let is_lost = |call: &&Call| matches!(call.request, Request::Model(_)) && call.is_sendable(now);
        let lost = self.run.calls.iter().filter(|(_, call)| is_lost(call) && call.hold != Usd::ZERO);
        let lost: Vec<(EffectId, Usd)> =
            lost.map(|(id, call)| (EffectId { call: id.clone(), generation: call.generation }, call.hold)).collect();
        for (effect, cost) in lost {
            self.emit(Event::HoldLost { effect, cost });
        }
    }

    pub fn resolve(&mut self, effect: &EffectId, by: String, resolution: Resolution) -> Result<(), Refusal> {
        if self.run.saga.is_left(&effect.call) && !self.run.calls.contains_key(&effect.call) {
            return self.see_to(effect, by, &resolution);
        }
        let call = self.open_call(effect)?.clone();
        if call.progress != Progress::Doubt {
            return Err(Refusal::NotInDoubt { effect: effect.to_string() });
        }
        if matches!(resolution, Resolution::Repeat) && !self.wants(effect) {
            let reason = "the run is ending and sends nothing more: say whether the call acted".to_owned();
            return Err(Refusal::Impossible { reason });
        }
        if let Resolution::Done { output } = &resolution {
            self.is_enough(effect, &call, output)?;
        }
        let who = by.clone();
        self.emit(Event::Resolved { effect: effect.clone(), by, resolution: resolution.clone() });
        match resolution {
            Resolution::Done { output } => {
                let output = if call.degraded { outage::marked(output) } else { output };
                self.done(effect, &call, Answer::Tool(Arc::new(output)), Usd::ZERO, false);
            }
            // What a person was asked to do and does not do is not done at all.
            Resolution::NotDone if call.is_by_hand() => {
                let fault = Fault::new(SERVICE_DOWN, format!("`{who}` did not do by hand what the service could not"));
                self.not_done(effect, &call, Failure::free(fault, false));
            }
            Resolution::NotDone => {
                let fault = Fault::new(code::OUTCOME_UNKNOWN, "a person found that the call did not act");
                self.not_done(effect, &call, Failure::free(fault, true));
            }
            Resolution::Repeat => {}
        }
        Ok(())
    }

    /// What no compensation could undo, somebody did at the service, or wants tried once more.
    fn see_to(&mut self, effect: &EffectId, by: String, resolution: &Resolution) -> Result<(), Refusal> {
        match resolution {
            Resolution::Done { .. } => {
                let effect = self.run.saga.last_attempt(&effect.call).unwrap_or_else(|| effect.clone());
                self.emit(Event::UndoneByHand { effect, by });
                Ok(())
            }
            Resolution::Repeat => self.undo_again(effect, by),
            Resolution::NotDone => Err(Refusal::NotInDoubt { effect: effect.to_string() }),
        }
    }
}
