//! What came from outside, taken to the run.

use baton_core::model;
use baton_core::money::Usd;
use baton_core::mutant::{Mutant, planted};
use baton_core::run::{Block, Command, Effect, EffectId, Event, Incoming, Outcome, Refusal};
use baton_core::time::Time;
use baton_ports::budget::{Account, Spend};
use baton_ports::journal::InboxItem;

use super::writing::Batch;
use super::{Flight, Input, KEY_GIVER, Output, Owner};
use crate::messages::IfRefused;
use crate::{Options, audit};

impl Owner {
    pub(super) fn take(
        &mut self,
        input: Input,
        now: Time,
        options: &Options,
        batch: &mut Batch,
        out: &mut Vec<Output>,
    ) {
        match input {
            Input::Items(items) => {
                if std::mem::take(&mut self.takes_over) {
                    self.take_over(now, batch);
                }
                for item in items {
                    self.take_item(&item, now, batch);
                }
                if std::mem::take(&mut self.has_key) {
                    // A refusal means that nothing waits for it.
                    self.decide(Command::KeyGiven { by: KEY_GIVER.to_owned() }, now, batch).ok();
                }
                self.decide(Command::Wake, now, batch).ok();
            }
            Input::Outcome { effect, outcome, audit, spends } => {
                let flight = self.in_flight.remove(&effect);
                batch.spends.extend(spends);
                // Decided upon before it was looked at: it brings nothing any more but its price.
                let is_unwanted = flight == Some(Flight::Asking) && !self.run.awaits(&effect);
                let outcome = if is_unwanted { dropped(&outcome) } else { self.by_own_time(outcome) };
                batch.audit.extend(audit.map(|row| audit::of_attempt(*row, &effect, &self.run, &self.id)));
                // A refusal is a duplicate: what it reports is recorded already.
                self.decide(Command::Outcome { effect, outcome }, now, batch).ok();
            }
            Input::Permitted { effect } => self.permitted(effect, now, options, batch, out),
            Input::Wake => {
                self.decide(Command::Wake, now, batch).ok();
            }
            Input::Appended | Input::Lease { .. } | Input::KeyGiven => {}
        }
    }

    /// Until when a call waits is said by the wall's clock.
    fn by_own_time(&self, outcome: Outcome) -> Outcome {
        let own = |at: Time| self.time.of_the_wall(at);
        match outcome {
            Outcome::Blocked { by, cost } => {
                let by = match by {
                    Block::RateLimit { until } => Block::RateLimit { until: own(until) },
                    Block::Circuit { until } => Block::Circuit { until: own(until) },
                    Block::Budget { line, until } => Block::Budget { line, until: own(until) },
                    Block::Approval(mut leave) => {
                        leave.until = leave.until.map(own);
                        Block::Approval(leave)
                    }
                    Block::Question { question, until } => Block::Question { question, until: until.map(own) },
                    Block::Key => Block::Key,
                };
                Outcome::Blocked { by, cost }
            }
            Outcome::CircuitOpen { until, fault } => Outcome::CircuitOpen { until: own(until), fault },
            outcome => outcome,
        }
    }

    /// Whether what is held waits for what this call costs.
    pub(super) fn has_dropped(&self, effect: &EffectId) -> bool {
        self.held.as_ref().is_some_and(|held| held.dropped.contains(effect))
    }

    /// A call that was dropped says what it cost; with the last of them the batch is whole.
    pub(super) fn pay_dropped(
        &mut self,
        effect: EffectId,
        outcome: &Outcome,
        spends: Vec<Spend>,
        now: Time,
        options: &Options,
        out: &mut Vec<Output>,
    ) {
        let Some(mut held) = self.held.take() else { return };
        held.dropped.remove(&effect);
        held.batch.spends.extend(spends);
        // All of one entry happens at one time.
        self.decide(Command::Outcome { effect, outcome: dropped(outcome) }, held.at, &mut held.batch).ok();
        if held.dropped.is_empty() {
            self.write(held.at, now, options, held.batch, out);
        } else {
            self.held = Some(held);
        }
    }

    /// Looks into what the last owner left behind. What it had asked models, if it died, is paid for as if it had been
    /// answered: its allowance covers that, so it is counted and taken from no budget again.
    pub(super) fn take_over(&mut self, now: Time, batch: &mut Batch) {
        let before = batch.events.len();
        let (epoch, left, went_back) = (self.ownership.epoch, self.left, self.time.is_ahead());
        let command = Command::TakenOver { epoch, left, went_back };
        self.decide(command, now, batch).ok();
        for event in &batch.events[before..] {
            if let Event::HoldLost { effect, cost } = event {
                // What else was decided may have abandoned the call already: it is paid for all the same.
                batch.spends.push(self.lost(self.run.asks_model(&effect.call), *cost, now));
            }
        }
    }

    pub(super) fn lost(&self, request: Option<&model::Request>, cost: Usd, now: Time) -> Spend {
        let account = Account {
            workflow: self.workflow(),
            agent: request.map(|request| request.agent.clone()).unwrap_or_default(),
            profile: request.map(|request| request.profile.word().to_owned()).unwrap_or_default(),
            model: request.and_then(|request| request.model.clone()).unwrap_or_default(),
            provider: String::new(),
        };
        Spend {
            tenant: self.tenant.clone(),
            key_id: self.run.started().and_then(|started| started.caller.key_id.clone()),
            account,
            at: now,
            holder: None,
            calls: 1,
            answered: 0,
            estimated: 1,
            cost,
            usage: model::Usage::default(),
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
        options: &Options,
        batch: &mut Batch,
        out: &mut Vec<Output>,
    ) {
        let limit = self.run.pending(now).find_map(|pending| match pending {
            Effect::Send { effect: id, timeout, .. } if id == effect => Some(timeout),
            _ => None,
        });
        // How long it may take is counted by what nobody can set; the journal has the instant for whoever comes next.
        match limit.map(|limit| limit.min(self.lease_left(options))) {
            Some(limit) if planted(Mutant::MarkerSkipped) => {
                self.in_flight.insert(effect.clone(), Flight::Out);
                return out.push(Output::Perform { effect, until: self.steady + limit });
            }
            Some(limit) if !limit.is_zero() => {
                let (until, deadline) = (self.steady + limit, now + limit);
                let command = Command::Sending { effect: effect.clone(), epoch: self.ownership.epoch, deadline };
                if self.decide(command, now, batch).is_ok() {
                    self.in_flight.insert(effect, Flight::Marking { until, deadline });
                    return;
                }
            }
            // Cancelled meanwhile, or the lease is too short to send under: it goes out again once it is longer.
            _ => {}
        }
        self.in_flight.remove(&effect);
        out.push(Output::Drop { effect });
    }

    pub(super) fn take_item(&mut self, item: &InboxItem, now: Time, batch: &mut Batch) {
        if item.item <= self.inbox_seen {
            return;
        }
        self.inbox_seen = item.item;
        batch.items.push(item.item);
        if planted(Mutant::InboxForgotten) && item.command_id != "start" {
            return;
        }
        let refusal = match serde_json::from_slice::<Incoming>(&item.payload) {
            Ok(incoming) => {
                let told = IfRefused::of(&incoming);
                let refusal = self.take_incoming(incoming, now, batch).err();
                if let Some(refusal) = &refusal {
                    batch.outbox.extend(told.tell(&self.tenant, &self.run, item.item, refusal, now).ok().flatten());
                }
                refusal
            }
            Err(error) => Some(Refusal::Impossible { reason: format!("the item cannot be read: {error}") }),
        };
        batch.refused.extend(refusal.map(|refusal| (item.item, refusal)));
    }

    pub(super) fn take_incoming(
        &mut self,
        mut incoming: Incoming,
        now: Time,
        batch: &mut Batch,
    ) -> Result<(), Refusal> {
        if let Incoming::Fork { past, .. } = &mut incoming {
            if self.run.started().is_some() {
                return Err(Refusal::AlreadyStarted { state: self.run.state() });
            }
            for event in std::mem::take(past).into_iter().flat_map(|entry| entry.events) {
                self.run.apply(now, &event);
                batch.events.push(event);
            }
        }
        let command = incoming.into_command(|hash| {
            let unknown = || Refusal::Impossible { reason: format!("version {} is not known here", hash.short()) };
            self.versions.get(hash).cloned().ok_or_else(unknown)
        })?;
        self.decide(command, now, batch)
    }
}

/// All that is left of the outcome of a call to a model that nobody waits for.
fn dropped(outcome: &Outcome) -> Outcome {
    let cost = match outcome {
        Outcome::Model(Ok(reply)) => reply.cost,
        Outcome::Model(Err(failed)) => failed.cost,
        Outcome::Blocked { cost, .. } | Outcome::Dropped { cost } => *cost,
        Outcome::Tool(_)
        | Outcome::Code(_)
        | Outcome::Step(_)
        | Outcome::CircuitOpen { .. }
        | Outcome::Stopped { .. }
        | Outcome::NotFound
        | Outcome::NotSent => Usd::ZERO,
    };
    Outcome::Dropped { cost }
}
