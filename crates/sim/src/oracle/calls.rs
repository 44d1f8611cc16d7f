//! The path of every call through the journal, and what may be sent because of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use baton_core::id::RunId;
use baton_core::run::{
    CallId, CallRole, DoubtFollowUp, DoubtResolution, EffectId, EffectRequest, OutageAction, RunEvent,
};
use baton_core::time::Time;
use baton_core::tool::EffectClass;
use baton_engine::owner::Attempt;
use baton_ports::journal::Ownership;
use serde::Serialize;
use serde_json::Value;

use super::{PromiseViolation, violation};
use crate::services::{ReportedOutcome, ServiceRequest, SimServices, requested_value};

#[derive(Debug, Default)]
pub struct CallOracle {
    calls: BTreeMap<CallId, OracleCall>,
    /// Generations that a person gave up on; they may have acted nevertheless.
    pub given_up: BTreeSet<EffectId>,
    /// Answers that arrived afterwards.
    pub late: BTreeSet<EffectId>,
    /// Generations that are recorded as done.
    pub done: BTreeSet<EffectId>,
}

#[derive(Debug)]
struct OracleCall {
    class: EffectClass,
    tool: String,
    arguments: Option<Arc<Value>>,
    generation: u32,
    /// Attempts that were recorded as not done, and are followed by another.
    repeated: u32,
    is_open: bool,
    /// Another process took over the run while the call could be in flight under its key.
    owner_changed: bool,
    markers: BTreeMap<u32, OracleMarker>,
}

#[derive(Clone, Copy, Debug)]
struct OracleMarker {
    epoch: u64,
    deadline: Time,
}

/// The request in the journal, in the form that the service must receive, whichever process sends it and however often.
fn request_value(request: &impl Serialize) -> Option<Arc<Value>> {
    serde_json::to_value(request).ok().map(Arc::new)
}

impl CallOracle {
    pub fn recorded(
        &mut self,
        run: &RunId,
        event: &RunEvent,
        services: &SimServices,
        most: &dyn Fn(&EffectId, &str) -> Option<u32>,
    ) -> Result<(), PromiseViolation> {
        match event {
            RunEvent::Scheduled(scheduled) => {
                let (tool, arguments) = match &scheduled.request {
                    EffectRequest::Tool { tool, arguments, .. } => (tool.clone(), Some(arguments.clone())),
                    EffectRequest::Model(request) => (String::new(), request_value(request)),
                    EffectRequest::Code { program, .. } => (String::new(), request_value(program)),
                    // Its task and observations belong to the state.
                    EffectRequest::Step { .. } => (String::new(), None),
                };
                let known = OracleCall {
                    class: scheduled.class,
                    tool,
                    arguments,
                    generation: scheduled.effect.generation,
                    repeated: 0,
                    is_open: true,
                    owner_changed: false,
                    markers: BTreeMap::new(),
                };
                let effect = &scheduled.effect;
                match self.calls.insert(effect.call.clone(), known) {
                    // A compensation that failed is retried under a key of its own.
                    Some(before)
                        if effect.call.role == CallRole::Undo
                            && !before.is_open
                            && before.generation < effect.generation =>
                    {
                        Ok(())
                    }
                    Some(_) => violation("scheduled once", format!("{effect} of `{run}` was scheduled twice")),
                    None => Ok(()),
                }
            }
            RunEvent::Sending { effect, epoch, deadline } => {
                let known = self.open(run, effect)?;
                known.markers.insert(effect.generation, OracleMarker { epoch: *epoch, deadline: *deadline });
                Ok(())
            }
            RunEvent::Done(done) => {
                // The end of a child is recorded as a call that was never scheduled.
                if self.calls.contains_key(&done.effect.call) {
                    self.open(run, &done.effect)?.is_open = false;
                }
                self.done.insert(done.effect.clone());
                Ok(())
            }
            RunEvent::ArrivedLate(done) => {
                self.late.insert(done.effect.clone());
                Ok(())
            }
            RunEvent::NotDone { effect, again_at, .. } => self.not_done(run, effect, again_at.is_some(), most),
            RunEvent::Degraded { effect, attempted, detour, .. } => self.degraded(run, effect, *attempted, detour),
            RunEvent::NotUndone { effect, .. } => {
                let undo = CallId { role: CallRole::Undo, ..effect.call.clone() };
                if let Some(known) = self.calls.get_mut(&undo) {
                    known.is_open = false;
                }
                Ok(())
            }
            RunEvent::TakenOver { .. } => {
                self.calls.values_mut().filter(|known| known.is_open).for_each(|known| known.owner_changed = true);
                Ok(())
            }
            RunEvent::Replied { effect, same_key, .. } => {
                let known = self.open(run, effect)?;
                known.generation += u32::from(!same_key);
                known.owner_changed &= *same_key;
                Ok(())
            }
            RunEvent::Doubted { effect, next, .. } => self.in_doubt(run, effect, next),
            RunEvent::Resolved { effect, resolution, .. } => self.resolved(run, effect, resolution),
            RunEvent::Abandoned { call } => self.abandoned(run, call, services),
            _ => Ok(()),
        }
    }

    fn open(&mut self, run: &RunId, effect: &EffectId) -> Result<&mut OracleCall, PromiseViolation> {
        match self.calls.get_mut(&effect.call) {
            Some(known) if known.is_open && known.generation == effect.generation => Ok(known),
            found => violation("recorded once", format!("{effect} of `{run}` is recorded, and is {found:?}")),
        }
    }

    fn not_done(
        &mut self,
        run: &RunId,
        effect: &EffectId,
        again: bool,
        most: &dyn Fn(&EffectId, &str) -> Option<u32>,
    ) -> Result<(), PromiseViolation> {
        let known = self.open(run, effect)?;
        if !again {
            known.is_open = false;
            return Ok(());
        }
        known.generation += 1;
        known.owner_changed = false;
        known.repeated += 1;
        // A call that a look-up found undone may be sent once more, whatever the limit on repetitions.
        let least = if known.class == EffectClass::Verify { 2 } else { 1 };
        match most(effect, &known.tool).map(|most| most.max(least)) {
            Some(most) if known.repeated >= most => {
                violation("retries", format!("{effect} of `{run}` goes out again after {} of {most}", known.repeated))
            }
            _ => Ok(()),
        }
    }

    /// The configured action while a tool's service is unavailable. A call that acts is never answered by a default,
    /// and an attempted call is sent again only under the next generation.
    fn degraded(
        &mut self,
        run: &RunId,
        effect: &EffectId,
        attempted: bool,
        detour: &OutageAction,
    ) -> Result<(), PromiseViolation> {
        let known = self.open(run, effect)?;
        known.generation += u32::from(attempted);
        known.owner_changed &= !attempted;
        match detour {
            OutageAction::Answered { .. } if known.class.has_side_effects() => {
                violation("outage", format!("{effect} of `{run}` acts, and is answered for"))
            }
            OutageAction::Answered { .. } | OutageAction::Refused => {
                known.is_open = false;
                Ok(())
            }
            OutageAction::Provider { .. } => {
                known.repeated = 0;
                Ok(())
            }
            OutageAction::Queued { .. } | OutageAction::Person => Ok(()),
        }
    }

    fn in_doubt(&mut self, run: &RunId, effect: &EffectId, next: &DoubtFollowUp) -> Result<(), PromiseViolation> {
        let known = self.open(run, effect)?;
        let may = match next {
            DoubtFollowUp::SendAgain { .. } => known.class == EffectClass::Keyed,
            DoubtFollowUp::LookUp { .. } => known.class == EffectClass::Verify,
            DoubtFollowUp::Person => known.class.has_side_effects(),
        };
        if may {
            Ok(())
        } else {
            violation("class", format!("{effect} of `{run}` is {:?}, and then {next:?}", known.class))
        }
    }

    fn resolved(
        &mut self,
        run: &RunId,
        effect: &EffectId,
        resolution: &DoubtResolution,
    ) -> Result<(), PromiseViolation> {
        let known = self.open(run, effect)?;
        match resolution {
            DoubtResolution::Done { .. } => {}
            DoubtResolution::NotDone => {
                self.given_up.insert(effect.clone());
            }
            DoubtResolution::Repeat => {
                known.generation += 1;
                known.owner_changed = false;
                self.given_up.insert(effect.clone());
            }
        }
        Ok(())
    }

    /// Only a call that cannot have changed the world may be dropped.
    fn abandoned(&mut self, run: &RunId, call: &CallId, services: &SimServices) -> Result<(), PromiseViolation> {
        let Some(known) = self.calls.get_mut(call) else { return Ok(()) };
        known.is_open = false;
        let key = EffectId { call: call.clone(), generation: known.generation }.key(run);
        if known.class.has_side_effects() && services.result_of(&key).is_some() {
            return violation("in flight", format!("`{key}` acted, and was dropped"));
        }
        Ok(())
    }

    /// Whether an answer to this call, which was given up, would be new.
    pub fn expects_late_answer(&self, effect: &EffectId) -> bool {
        self.given_up.contains(effect) && !self.late.contains(effect)
    }

    /// Effects whose marker is written and whose outcome is not recorded.
    pub fn marked_effects(&self) -> BTreeSet<EffectId> {
        let open =
            self.calls.iter().filter(|(_, known)| known.is_open && known.markers.contains_key(&known.generation));
        open.map(|(call, known)| EffectId { call: call.clone(), generation: known.generation }).collect()
    }

    /// A call is sent.
    pub fn check_send(
        &self,
        run: &RunId,
        send: &Attempt,
        ownership: Ownership,
        is_owner: bool,
        now: Time,
        services: &SimServices,
    ) -> Result<(), PromiseViolation> {
        let effect = &send.effect;
        let Some(known) = self.calls.get(&effect.call) else {
            return violation("append before effects", format!("{effect} of `{run}` left before it was scheduled"));
        };
        // A process that was frozen may send a call that its successor has settled: only a key protects against that.
        if is_owner && (!known.is_open || known.generation != effect.generation) {
            return violation("recorded once", format!("{effect} of `{run}` went out, and is {known:?}"));
        }
        if known.class.needs_marker() {
            return self.check_marked_send(known, run, effect, ownership, now, services);
        }
        let key = effect.key(run);
        let before: Vec<&ServiceRequest> =
            services.ledger.iter().filter(|asked| asked.key == key && !asked.is_look_up).collect();
        let arguments = requested_value(&send.request);
        let is_as_scheduled = known.arguments.as_ref().is_none_or(|scheduled| **scheduled == arguments);
        if !is_as_scheduled || before.iter().any(|asked| asked.arguments != arguments) {
            return violation("arguments", format!("`{key}` goes out with other arguments than were scheduled"));
        }
        let is_in_doubt = known.owner_changed
            || before.iter().any(|asked| matches!(asked.reported, None | Some(ReportedOutcome::Unknown)));
        let may = |last: &ServiceRequest| match last.reported {
            Some(ReportedOutcome::Unknown) => true,
            Some(ReportedOutcome::NotDone | ReportedOutcome::Declined) => {
                is_in_doubt && known.class == EffectClass::Keyed
            }
            Some(ReportedOutcome::Done | ReportedOutcome::NotFound) | None => false,
        };
        if let Some(last) = before.last().filter(|last| last.epoch == ownership.epoch && !may(last)) {
            return violation(
                "sent again",
                format!("`{key}` goes out again, and the last answer was {:?}", last.reported),
            );
        }
        self.check_earlier_generations(known, run, effect, services)
    }

    /// A call that acts is not sent under another key while one under an earlier key may have acted.
    fn check_earlier_generations(
        &self,
        known: &OracleCall,
        run: &RunId,
        effect: &EffectId,
        services: &SimServices,
    ) -> Result<(), PromiseViolation> {
        let is_older = |asked: &&ServiceRequest| {
            let of = &asked.effect;
            asked.run == *run && of.call == effect.call && of.generation < effect.generation
        };
        // Results of calls that a frozen process sends are lost, whatever its successor was told.
        let mut older = services.ledger.iter().filter(is_older).filter(|asked| asked.was_owner);
        match older
            .find(|asked| known.class.has_side_effects() && !self.is_safe_to_resend(known.class, asked, services))
        {
            Some(asked) => {
                violation("in doubt", format!("{effect} of `{run}` goes out while {} is unknown", asked.effect))
            }
            None => Ok(()),
        }
    }

    fn check_marked_send(
        &self,
        known: &OracleCall,
        run: &RunId,
        effect: &EffectId,
        ownership: Ownership,
        now: Time,
        services: &SimServices,
    ) -> Result<(), PromiseViolation> {
        match known.markers.get(&effect.generation) {
            Some(marker) if marker.epoch == ownership.epoch && now <= marker.deadline => {}
            found => {
                let epoch = ownership.epoch;
                return violation(
                    "marker",
                    format!("{effect} of `{run}` leaves under epoch {epoch}, marked {found:?}"),
                );
            }
        }
        let of_call =
            |asked: &&ServiceRequest| asked.run == *run && asked.effect.call == effect.call && !asked.is_look_up;
        for asked in services.ledger.iter().filter(of_call) {
            if asked.effect.generation == effect.generation {
                return violation("once", format!("{effect} of `{run}` is sent twice under one key"));
            }
            if !self.is_safe_to_resend(known.class, asked, services) {
                return violation("once", format!("{effect} of `{run}` is sent while {} is unknown", asked.effect));
            }
        }
        Ok(())
    }

    /// Whether an earlier generation is known not to have acted, or a person decided to ignore it.
    fn is_safe_to_resend(&self, class: EffectClass, asked: &ServiceRequest, services: &SimServices) -> bool {
        let was_missed = || {
            let is_it = |look_up: &&ServiceRequest| look_up.is_look_up && look_up.key == asked.key;
            services.ledger.iter().filter(is_it).any(|look_up| look_up.reported == Some(ReportedOutcome::NotFound))
        };
        // A service that declines finally under a key has checked what became of it.
        let was_declined = || {
            let is_it = |later: &&ServiceRequest| !later.is_look_up && later.key == asked.key && later.at >= asked.at;
            services.ledger.iter().filter(is_it).any(|later| later.reported == Some(ReportedOutcome::Declined))
        };
        matches!(asked.reported, Some(ReportedOutcome::NotDone | ReportedOutcome::Declined))
            || (class == EffectClass::Keyed && was_declined())
            || self.given_up.contains(&asked.effect)
            || (class == EffectClass::Verify && was_missed())
    }

    /// A service is asked about the outcome of a call only after its sender has certainly given up.
    pub fn check_look_up(&self, effect: &EffectId, now: Time) -> Result<(), PromiseViolation> {
        let marker = self.calls.get(&effect.call).and_then(|known| known.markers.get(&effect.generation));
        match marker {
            Some(marker) if marker.deadline <= now => Ok(()),
            found => violation("look-up", format!("{effect} is looked up at {now}, and its marker is {found:?}")),
        }
    }
}
