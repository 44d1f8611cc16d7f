//! Calls of unknown outcome, and how they are resolved: `docs/concepts/effects.md`.

use std::sync::Arc;

use super::super::address::EffectId;
use super::super::command::{DoubtResolution, OwnerDeparture};
use super::super::decide::RunDraft;
use super::super::event::{CallOutput, DoubtFollowUp, EffectRequest, RunEvent};
use super::super::refusal::RunRefusal;
use super::super::state::{CallProgress, OpenCall};
use super::{AttemptError, outage};
use crate::fault::{Fault, code};
use crate::money::Usd;
use crate::mutant::{Mutant, planted};
use crate::time::Time;
use crate::tool::{EffectClass, RetryPolicy};

/// Maximum number of look-ups of one call before a person is asked.
const LOOK_UPS_MAX: u32 = 5;
/// Fault code of a call that neither its service nor a person performed.
const SERVICE_DOWN: &str = "SERVICE_UNAVAILABLE";

impl RunDraft<'_> {
    /// Handles an attempt that did not act. That does not tell the outcome of an earlier attempt under the same key
    /// whose answer was lost: the same key is sent again. Only a definite rejection by a service that was reached
    /// (`was_asked`) settles the key, since it would have reported the earlier outcome.
    pub(super) fn attempt_refused(
        &mut self,
        effect: &EffectId,
        call: &OpenCall,
        failure: AttemptError,
        was_asked: bool,
    ) -> Result<(), RunRefusal> {
        // Calls of other classes are sent once under one key.
        let leaves_doubt = call.unknown && call.class == EffectClass::Keyed && !planted(Mutant::DoubtDropped);
        let settles = was_asked && !failure.retryable && !code::NEVER_SENT.contains(&&*failure.fault.code);
        if !leaves_doubt || settles {
            self.not_done(effect, call, failure);
            return Ok(());
        }
        if call.progress == CallProgress::Doubt {
            return Err(RunRefusal::Duplicate { effect: effect.to_string() });
        }
        let AttemptError { fault, retryable, retry_after, cost: _ } = failure;
        let message = format!("an earlier attempt got no answer, and this one did not act: {}", fault.message);
        let fault = Fault { message, ..fault };
        if retryable {
            self.outcome_unknown(effect, call, fault, retry_after);
        } else {
            self.emit(RunEvent::Doubted { effect: effect.clone(), fault, next: DoubtFollowUp::Person });
        }
        Ok(())
    }

    /// `retry_after`: milliseconds that the other side asked to wait.
    pub(super) fn outcome_unknown(
        &mut self,
        effect: &EffectId,
        call: &OpenCall,
        fault: Fault,
        retry_after: Option<u64>,
    ) {
        let retry = self.retry_of(&effect.call, call);
        let attempts = call.attempts + u32::from(call.is_from_send());
        let next = match (call.class, &call.progress) {
            (EffectClass::Pure | EffectClass::Read, _) => {
                return self.not_done(effect, call, AttemptError::free(fault, true));
            }
            (EffectClass::Keyed, _) if attempts < retry.max_attempts.max(2) => {
                DoubtFollowUp::SendAgain { at: self.next_attempt_at(effect, attempts, &retry, retry_after) }
            }
            (EffectClass::Verify, CallProgress::LookUp { tries, .. }) if *tries + 1 >= LOOK_UPS_MAX => {
                DoubtFollowUp::Person
            }
            // Look-ups have their own interval, however short the retry interval of the tool is.
            (EffectClass::Verify, CallProgress::LookUp { tries, .. }) => {
                DoubtFollowUp::LookUp { at: self.next_attempt_at(effect, tries + 1, &RetryPolicy::default(), None) }
            }
            // The service is queried only after the sender has certainly given up.
            (EffectClass::Verify, CallProgress::Marked { deadline, .. }) if !planted(Mutant::LookedUpEarly) => {
                DoubtFollowUp::LookUp { at: *deadline }
            }
            (EffectClass::Verify, _) => DoubtFollowUp::LookUp { at: self.now },
            (EffectClass::Keyed | EffectClass::Once, _) => DoubtFollowUp::Person,
        };
        self.emit(RunEvent::Doubted { effect: effect.clone(), fault, next });
    }

    /// A look-up found that the call never acted: it may be sent at least once more, regardless of the retry limit.
    pub(super) fn not_found(&mut self, effect: &EffectId, call: &OpenCall) {
        let fault = Fault::new(code::OUTCOME_UNKNOWN, "the service has no record of the call");
        let retry = self.retry_of(&effect.call, call);
        let may = call.attempts < retry.max_attempts.max(2) && self.is_still_wanted(effect);
        let again_at = may.then(|| self.next_attempt_at(effect, call.attempts, &retry, None));
        self.schedule_retry(effect, fault, again_at, Usd::ZERO);
    }

    /// Takes a run over. The new owner cannot know the outcome of the old owner's calls: a marked call is in doubt, and
    /// another one that could be sent may have been sent. An owner that released the run had nothing in flight, so
    /// waiting calls continue unchanged.
    ///
    /// Calls that only wait for their time may also have been sent if the clock `went_back`: the old owner may have
    /// seen that time.
    pub fn take_over(&mut self, epoch: u64, left: OwnerDeparture, went_back: bool) {
        if left == OwnerDeparture::Crashed {
            self.charge_lost_answers();
        }
        if planted(Mutant::MarkedSentAgain) {
            return;
        }
        let marked = self.run.calls.iter().filter_map(|(id, call)| match call.progress {
            CallProgress::Marked { epoch: of, deadline } if of < epoch => {
                Some((EffectId { call: id.clone(), generation: call.generation }, call.class, deadline))
            }
            _ => None,
        });
        for (effect, class, deadline) in marked.collect::<Vec<_>>() {
            let at = if planted(Mutant::LookedUpEarly) { self.now } else { deadline };
            let next = if class == EffectClass::Verify { DoubtFollowUp::LookUp { at } } else { DoubtFollowUp::Person };
            let fault = Fault::new(code::OUTCOME_UNKNOWN, "the process that sent the call stopped before its answer");
            self.emit(RunEvent::Doubted { effect, fault, next });
        }
        let is_another = epoch > self.run.epoch && left != OwnerDeparture::Released;
        if !is_another {
            return;
        }
        let may_be_out = |at: Time| self.run.calls.values().any(|call| call.may_be_out_unmarked(at) && !call.unknown);
        let went_back = went_back && may_be_out(Time::MAX);
        if went_back || may_be_out(self.now) {
            self.emit(RunEvent::TakenOver { epoch, went_back });
        }
    }

    /// The previous owner crashed: its model calls may have to be paid for, and are sent again.
    fn charge_lost_answers(&mut self) {
        let now = self.now;
        let is_lost = |call: &&OpenCall| matches!(call.request, EffectRequest::Model(_)) && call.is_sendable(now);
        let lost = self.run.calls.iter().filter(|(_, call)| is_lost(call) && call.hold != Usd::ZERO);
        let lost: Vec<(EffectId, Usd)> =
            lost.map(|(id, call)| (EffectId { call: id.clone(), generation: call.generation }, call.hold)).collect();
        for (effect, cost) in lost {
            self.emit(RunEvent::HoldLost { effect, cost });
        }
    }

    pub fn resolve(&mut self, effect: &EffectId, by: String, resolution: DoubtResolution) -> Result<(), RunRefusal> {
        if self.run.saga.is_undo_failed(&effect.call) && !self.run.calls.contains_key(&effect.call) {
            return self.resolve_failed_undo(effect, by, &resolution);
        }
        let call = self.open_call(effect)?.clone();
        if call.progress != CallProgress::Doubt {
            return Err(RunRefusal::NotInDoubt { effect: effect.to_string() });
        }
        if matches!(resolution, DoubtResolution::Repeat) && !self.is_still_wanted(effect) {
            let reason = "the run is ending and sends nothing more: say whether the call acted".to_owned();
            return Err(RunRefusal::Impossible { reason });
        }
        if let DoubtResolution::Done { output } = &resolution {
            self.check_undo_output(effect, &call, output)?;
        }
        let who = by.clone();
        self.emit(RunEvent::Resolved { effect: effect.clone(), by, resolution: resolution.clone() });
        match resolution {
            DoubtResolution::Done { output } => {
                let output = if call.degraded { outage::mark_degraded(output) } else { output };
                self.done(effect, &call, CallOutput::Tool(Arc::new(output)), Usd::ZERO, false);
            }
            // A manual task that the person does not perform is not done at all.
            DoubtResolution::NotDone if call.is_manual() => {
                let fault = Fault::new(SERVICE_DOWN, format!("`{who}` did not do by hand what the service could not"));
                self.not_done(effect, &call, AttemptError::free(fault, false));
            }
            DoubtResolution::NotDone => {
                let fault = Fault::new(code::OUTCOME_UNKNOWN, "a person found that the call did not act");
                self.not_done(effect, &call, AttemptError::free(fault, true));
            }
            DoubtResolution::Repeat => {}
        }
        Ok(())
    }

    /// Resolves a failed compensation: a person undid the effect at the service, or requests another attempt.
    fn resolve_failed_undo(
        &mut self,
        effect: &EffectId,
        by: String,
        resolution: &DoubtResolution,
    ) -> Result<(), RunRefusal> {
        match resolution {
            DoubtResolution::Done { .. } => {
                let effect = self.run.saga.last_attempt(&effect.call).unwrap_or_else(|| effect.clone());
                self.emit(RunEvent::UndoneByHand { effect, by });
                Ok(())
            }
            DoubtResolution::Repeat => self.retry_undo(effect, by),
            DoubtResolution::NotDone => Err(RunRefusal::NotInDoubt { effect: effect.to_string() }),
        }
    }
}
