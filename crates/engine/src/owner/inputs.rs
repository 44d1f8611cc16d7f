//! Applies inputs from outside to the run.

use baton_core::model;
use baton_core::money::Usd;
use baton_core::mutant::{Mutant, planted};
use baton_core::run::{BlockReason, CallOutcome, Effect, EffectId, IncomingCommand, RunCommand, RunEvent, RunRefusal};
use baton_core::time::Time;
use baton_ports::budget::{CallSpend, SpendAccount};
use baton_ports::journal::InboxItem;

use super::batch::AppendBatch;
use super::{CallState, KEY_PROVIDER, OwnerInput, OwnerOutput, RunOwner};
use crate::messages::RefusalNotice;
use crate::{EngineOptions, audit};

impl RunOwner {
    pub(super) fn apply_input(
        &mut self,
        input: OwnerInput,
        now: Time,
        options: &EngineOptions,
        batch: &mut AppendBatch,
        out: &mut Vec<OwnerOutput>,
    ) {
        match input {
            OwnerInput::Items(items) => {
                if std::mem::take(&mut self.takes_over) {
                    self.take_over(now, batch);
                }
                for item in items {
                    self.apply_item(&item, now, batch);
                }
                if std::mem::take(&mut self.has_key) {
                    // A refusal means that nothing waits for it.
                    self.decide(RunCommand::KeyGiven { by: KEY_PROVIDER.to_owned() }, now, batch).ok();
                }
                self.decide(RunCommand::Wake, now, batch).ok();
            }
            OwnerInput::Outcome { effect, outcome, audit, spends } => {
                let flight = self.in_flight.remove(&effect);
                batch.spends.extend(spends);
                // Another decision was made before it arrived: only its cost counts now.
                let is_unwanted = flight == Some(CallState::AskingModel) && !self.run.expects_outcome(&effect);
                let outcome = if is_unwanted { dropped_outcome(&outcome) } else { self.to_own_time(outcome) };
                batch.audit.extend(audit.map(|row| audit::of_attempt(*row, &effect, &self.run, &self.id)));
                // A refusal is a duplicate: the outcome is recorded already.
                self.decide(RunCommand::Outcome { effect, outcome }, now, batch).ok();
            }
            OwnerInput::Permitted { effect } => self.permitted(effect, now, options, batch, out),
            OwnerInput::Wake => {
                self.decide(RunCommand::Wake, now, batch).ok();
            }
            OwnerInput::Appended | OwnerInput::Lease { .. } | OwnerInput::KeyProvided => {}
        }
    }

    /// The time until which a call waits is given in wall-clock time.
    fn to_own_time(&self, outcome: CallOutcome) -> CallOutcome {
        let own = |at: Time| self.time.from_wall(at);
        match outcome {
            CallOutcome::Blocked { by, cost } => {
                let by = match by {
                    BlockReason::RateLimit { until } => BlockReason::RateLimit { until: own(until) },
                    BlockReason::Circuit { until } => BlockReason::Circuit { until: own(until) },
                    BlockReason::Budget { line, until } => BlockReason::Budget { line, until: own(until) },
                    BlockReason::Approval(mut leave) => {
                        leave.until = leave.until.map(own);
                        BlockReason::Approval(leave)
                    }
                    BlockReason::Question { question, until } => {
                        BlockReason::Question { question, until: until.map(own) }
                    }
                    BlockReason::Key => BlockReason::Key,
                };
                CallOutcome::Blocked { by, cost }
            }
            CallOutcome::CircuitOpen { until, fault } => CallOutcome::CircuitOpen { until: own(until), fault },
            outcome => outcome,
        }
    }

    /// Whether the held batch waits for the cost of this call.
    pub(super) fn has_dropped(&self, effect: &EffectId) -> bool {
        self.held_batch.as_ref().is_some_and(|held| held.dropped.contains(effect))
    }

    /// Settles the cost of a dropped call; the last of them completes the batch.
    pub(super) fn settle_dropped(
        &mut self,
        effect: EffectId,
        outcome: &CallOutcome,
        spends: Vec<CallSpend>,
        now: Time,
        options: &EngineOptions,
        out: &mut Vec<OwnerOutput>,
    ) {
        let Some(mut held) = self.held_batch.take() else { return };
        held.dropped.remove(&effect);
        held.batch.spends.extend(spends);
        // Everything in one entry happens at one time.
        self.decide(RunCommand::Outcome { effect, outcome: dropped_outcome(outcome) }, held.at, &mut held.batch).ok();
        if held.dropped.is_empty() {
            self.begin_append(held.at, now, options, held.batch, out);
        } else {
            self.held_batch = Some(held);
        }
    }

    /// Examines what the last owner left behind. If that owner died, the models it had asked are counted as if they had
    /// answered: its allowance covers their cost, so no budget is charged again.
    pub(super) fn take_over(&mut self, now: Time, batch: &mut AppendBatch) {
        let before = batch.events.len();
        let (epoch, left, went_back) = (self.ownership.epoch, self.departure, self.time.is_ahead());
        let command = RunCommand::TakenOver { epoch, departure: left, went_back };
        self.decide(command, now, batch).ok();
        for event in &batch.events[before..] {
            if let RunEvent::HoldLost { effect, cost } = event {
                // Another decision may have abandoned the call already: its cost is counted all the same.
                batch.spends.push(self.lost_spend(self.run.model_request(&effect.call), *cost, now));
            }
        }
    }

    pub(super) fn lost_spend(&self, request: Option<&model::ModelRequest>, cost: Usd, now: Time) -> CallSpend {
        let account = SpendAccount {
            workflow: self.workflow(),
            agent: request.map(|request| request.agent.clone()).unwrap_or_default(),
            profile: request.map(|request| request.profile.word().to_owned()).unwrap_or_default(),
            model: request.and_then(|request| request.model.clone()).unwrap_or_default(),
            provider: String::new(),
        };
        CallSpend {
            tenant: self.tenant.clone(),
            key_id: self.run.started().and_then(|started| started.caller.key_id.clone()),
            account,
            at: now,
            holder: None,
            calls: 1,
            answered: 0,
            estimated: 1,
            cost,
            usage: model::TokenUsage::default(),
            latency_ms: 0,
            saved: Usd::ZERO,
        }
    }

    pub(super) fn workflow(&self) -> String {
        self.run.workflow().map(|workflow| workflow.name.clone()).unwrap_or_default()
    }

    pub(super) fn permitted(
        &mut self,
        effect: EffectId,
        now: Time,
        options: &EngineOptions,
        batch: &mut AppendBatch,
        out: &mut Vec<OwnerOutput>,
    ) {
        let limit = self.run.pending(now).find_map(|pending| match pending {
            Effect::Send { effect: id, timeout, .. } if id == effect => Some(timeout),
            _ => None,
        });
        // The time limit is measured by the monotonic clock; the journal holds the deadline for the next owner.
        match limit.map(|limit| limit.min(self.lease_left(options))) {
            Some(limit) if planted(Mutant::MarkerSkipped) => {
                self.in_flight.insert(effect.clone(), CallState::Dispatched);
                return out.push(OwnerOutput::Perform { effect, until: self.monotonic + limit });
            }
            Some(limit) if !limit.is_zero() => {
                let (until, deadline) = (self.monotonic + limit, now + limit);
                let command = RunCommand::Sending { effect: effect.clone(), epoch: self.ownership.epoch, deadline };
                if self.decide(command, now, batch).is_ok() {
                    self.in_flight.insert(effect, CallState::WritingMarker { until, deadline });
                    return;
                }
            }
            // Cancelled meanwhile, or the lease is too short to send under: the call is sent again once the lease is
            // longer.
            _ => {}
        }
        self.in_flight.remove(&effect);
        out.push(OwnerOutput::Drop { effect });
    }

    pub(super) fn apply_item(&mut self, item: &InboxItem, now: Time, batch: &mut AppendBatch) {
        if item.item <= self.inbox_seen {
            return;
        }
        self.inbox_seen = item.item;
        batch.items.push(item.item);
        if planted(Mutant::InboxForgotten) && item.command_id != "start" {
            return;
        }
        let refusal = match serde_json::from_slice::<IncomingCommand>(&item.payload) {
            Ok(incoming) => {
                let told = RefusalNotice::of(&incoming);
                let refusal = self.apply_incoming(incoming, now, batch).err();
                if let Some(refusal) = &refusal {
                    batch
                        .outbox
                        .extend(told.into_message(&self.tenant, &self.run, item.item, refusal, now).ok().flatten());
                }
                refusal
            }
            Err(error) => Some(RunRefusal::Impossible { reason: format!("the item cannot be read: {error}") }),
        };
        batch.refused.extend(refusal.map(|refusal| (item.item, refusal)));
    }

    pub(super) fn apply_incoming(
        &mut self,
        mut incoming: IncomingCommand,
        now: Time,
        batch: &mut AppendBatch,
    ) -> Result<(), RunRefusal> {
        if let IncomingCommand::Fork { past, .. } = &mut incoming {
            if self.run.started().is_some() {
                return Err(RunRefusal::AlreadyStarted { state: self.run.state() });
            }
            for event in std::mem::take(past).into_iter().flat_map(|entry| entry.events) {
                self.run.apply(now, &event);
                batch.events.push(event);
            }
        }
        let command = incoming.into_command(|hash| {
            let unknown = || RunRefusal::Impossible { reason: format!("version {} is not known here", hash.short()) };
            self.versions.get(hash).cloned().ok_or_else(unknown)
        })?;
        self.decide(command, now, batch)
    }
}

/// What remains of the outcome of a model call that nothing waits for.
fn dropped_outcome(outcome: &CallOutcome) -> CallOutcome {
    let cost = match outcome {
        CallOutcome::Model(Ok(reply)) => reply.cost,
        CallOutcome::Model(Err(failed)) => failed.cost,
        CallOutcome::Blocked { cost, .. } | CallOutcome::Dropped { cost } => *cost,
        CallOutcome::Tool(_)
        | CallOutcome::Code(_)
        | CallOutcome::Step(_)
        | CallOutcome::CircuitOpen { .. }
        | CallOutcome::Stopped { .. }
        | CallOutcome::NotFound
        | CallOutcome::NotSent => Usd::ZERO,
    };
    CallOutcome::Dropped { cost }
}
