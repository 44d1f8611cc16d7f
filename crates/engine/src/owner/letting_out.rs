//! Effects, once what they come of is durable.

use std::collections::BTreeSet;
use std::time::Duration;

use baton_core::mutant::{Mutant, planted};
use baton_core::run::{Effect, EffectId, Request};
use baton_core::time::Time;
use baton_core::tool::{Call, Caller, Class};
use baton_core::trace::{self, span_of, trace_of};
use baton_ports::clock::Steady;

use super::{Flight, Input, Output, Owner, Send, What};
use crate::Options;

impl Owner {
    /// Calls nobody waits for any more are dropped where they are; gives those that cost something all the same.
    pub(super) fn forget_unwanted(&mut self, out: &mut Vec<Output>) -> BTreeSet<EffectId> {
        let run = &self.run;
        let mut dropped = BTreeSet::new();
        for (effect, flight) in self.in_flight.extract_if(.., |effect, _| !run.awaits(effect)) {
            if flight == Flight::Asking {
                dropped.insert(effect.clone());
            }
            out.push(Output::Drop { effect });
        }
        dropped
    }

    pub(super) fn appended(&mut self, out: &mut Vec<Output>) {
        let Some(done) = self.under_way.take() else { return };
        out.extend(done.refused.into_iter().map(|(item, refusal)| Output::Refused { item, refusal }));
        out.extend((!done.noted.is_empty()).then_some(Output::Noted(done.noted)));
        out.extend(done.announce.into_iter().map(Output::Announce));
        if done.released {
            self.gone = true;
            out.push(Output::Released);
        }
    }

    /// Lets out what may go out of durable state, or gives the run back.
    pub(super) fn let_out(&mut self, now: Time, options: &Options, out: &mut Vec<Output>) {
        let marked: Vec<(EffectId, Steady)> = self
            .in_flight
            .iter()
            .filter_map(|(effect, flight)| match flight {
                // Whoever comes next goes by the journal's deadline, and the clock may have been set past it.
                Flight::Marking { until, deadline } => {
                    Some((effect.clone(), (*until).min(self.steady + deadline.since(now))))
                }
                Flight::Out | Flight::Asking => None,
            })
            .collect();
        for (effect, until) in marked {
            self.in_flight.insert(effect.clone(), Flight::Out);
            out.push(Output::Perform { effect, until });
        }
        // Whoever was asleep for longer than its lease is not the owner any more, and the next one may have gone another way.
        let is_leased = self.steady < self.lease_until;
        // Asked about again and again, a marked call that cannot go out would keep a core busy until the lease is longer.
        let may_mark = !self.lease_left(options).is_zero();
        let fresh: Vec<Output> = self
            .run
            .pending(now)
            .filter(|effect| !self.in_flight.contains_key(id_of(effect)))
            .filter(|effect| is_leased && (may_mark || !is_marked(effect)))
            .filter_map(|effect| self.output_of(effect))
            .collect();
        for output in fresh {
            if let Output::Send(send) | Output::LookUp(send) = &output {
                let flight = if send.what.is_of_a_model() { Flight::Asking } else { Flight::Out };
                self.in_flight.insert(send.effect.clone(), flight);
            }
            out.push(output);
        }
        if self.run.has_more() {
            self.waiting.push_back(Input::Wake);
        } else if self.in_flight.is_empty() && self.will_sleep(now, options) {
            self.gone = true;
            out.push(Output::Release { wake_at: self.wakes_at(now) });
        } else if let Some(at) = self.run.wake_at(now) {
            out.push(Output::WakeAt(at));
        }
    }

    /// How long a call that goes out now may take under the lease: whoever owns the run next must not find it out still.
    pub(super) fn lease_left(&self, options: &Options) -> Duration {
        self.lease_until.since(self.steady + options.lease_margin)
    }

    pub(super) fn output_of(&self, effect: Effect<'_>) -> Option<Output> {
        Some(match effect {
            Effect::Send { effect, request, class, timeout, attempt, at, approved, replies } => {
                let mut what = self.what(&effect, request, class, attempt, at)?;
                if let What::Tool(call) = &mut what
                    && !planted(Mutant::AnswerForgotten)
                {
                    call.replies = replies.to_vec();
                }
                let approved = approved.map(str::to_owned);
                Output::Send(Box::new(Send { effect, what, class, limit: timeout, approved }))
            }
            Effect::LookUp { effect, request, timeout, at } => {
                let what = self.what(&effect, request, Class::Verify, 1, at)?;
                Output::LookUp(Box::new(Send { effect, what, class: Class::Verify, limit: timeout, approved: None }))
            }
        })
    }

    /// Whose account the tool's app uses, where the run's version says.
    fn entity_source(&self, tool: &str) -> Option<String> {
        let (app, _) = tool.split_once('.')?;
        self.run.workflow()?.entity_sources.get(app).cloned()
    }

    /// What goes out; nothing for a step whose agent is not at work any more, which is dropped at the next decision.
    pub(super) fn what(
        &self,
        effect: &EffectId,
        request: &Request,
        class: Class,
        attempt: u32,
        at: Time,
    ) -> Option<What> {
        let key = effect.key(&self.id);
        let mut caller = self.run.started().map(|started| started.caller.clone()).unwrap_or_default();
        let trace = caller.parent().map_or_else(|| trace_of(&self.id), |told| told.trace);
        caller.traceparent = Some(trace::Parent { trace, span: span_of(&self.id, effect) }.to_string());
        Some(match request {
            Request::Model(request) => {
                let most = self.run.may_cost(&effect.call);
                let agent_type = self.run.agent(&effect.call.node).map(|(task, _)| task.agent.kind);
                What::Model { key, request: (**request).clone(), most, workflow: self.workflow(), agent_type, caller }
            }
            Request::Code { program, .. } => What::Code { key, program: (**program).clone() },
            Request::Step { endpoint, .. } => {
                let asked = self.run.agent(&effect.call.node);
                let (endpoint, (task, seen)) = (endpoint.clone(), asked?);
                let (task, seen) = baton_agents::as_told(task, seen);
                What::Step { key, endpoint, task: Box::new(task), seen }
            }
            Request::Tool { tool, arguments, agent, provider } => What::Tool(Call {
                tenant: self.tenant.clone(),
                run: self.id.clone(),
                workflow: self.workflow(),
                key,
                tool: tool.clone(),
                arguments: arguments.clone(),
                class,
                agent: agent.clone(),
                provider: provider.clone(),
                attempt,
                at,
                replies: Vec::new(),
                caller: Caller { entity_id_source: self.entity_source(tool), ..caller },
            }),
        })
    }
}

/// Whether its marker is written before it goes out.
fn is_marked(effect: &Effect<'_>) -> bool {
    matches!(effect, Effect::Send { class, .. } if class.is_marked())
}

fn id_of<'a>(effect: &'a Effect<'_>) -> &'a EffectId {
    match effect {
        Effect::Send { effect, .. } | Effect::LookUp { effect, .. } => effect,
    }
}
