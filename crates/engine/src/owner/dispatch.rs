//! Dispatches effects once the entries that they follow from are durable.

use std::collections::BTreeSet;
use std::time::Duration;

use baton_core::mutant::{Mutant, planted};
use baton_core::run::{Effect, EffectId, EffectRequest};
use baton_core::time::Time;
use baton_core::tool::{Caller, EffectClass, ToolInvocation};
use baton_core::trace::{self, span_of, trace_of};
use baton_ports::clock::MonotonicTime;

use super::{Attempt, CallRequest, CallState, OwnerInput, OwnerOutput, RunOwner};
use crate::EngineOptions;

impl RunOwner {
    /// Drops calls that nothing waits for any more. Returns those that have a cost all the same.
    pub(super) fn cancel_unwanted(&mut self, out: &mut Vec<OwnerOutput>) -> BTreeSet<EffectId> {
        let run = &self.run;
        let mut dropped = BTreeSet::new();
        for (effect, flight) in self.in_flight.extract_if(.., |effect, _| !run.expects_outcome(effect)) {
            if flight == CallState::AskingModel {
                dropped.insert(effect.clone());
            }
            out.push(OwnerOutput::Drop { effect });
        }
        dropped
    }

    pub(super) fn appended(&mut self, out: &mut Vec<OwnerOutput>) {
        let Some(done) = self.pending_append.take() else { return };
        out.extend(done.refused.into_iter().map(|(item, refusal)| OwnerOutput::Refused { item, refusal }));
        out.extend((!done.agent_outcomes.is_empty()).then_some(OwnerOutput::AgentsEnded(done.agent_outcomes)));
        out.extend(done.announce.into_iter().map(OwnerOutput::Announce));
        if done.released {
            self.is_finished = true;
            out.push(OwnerOutput::Released);
        }
    }

    /// Dispatches what durable state allows, or releases the run.
    pub(super) fn dispatch_ready(&mut self, now: Time, options: &EngineOptions, out: &mut Vec<OwnerOutput>) {
        let marked: Vec<(EffectId, MonotonicTime)> = self
            .in_flight
            .iter()
            .filter_map(|(effect, flight)| match flight {
                // The next owner goes by the journal's deadline, and the clock may have been set past it.
                CallState::WritingMarker { until, deadline } => {
                    Some((effect.clone(), (*until).min(self.monotonic + deadline.since(now))))
                }
                CallState::Dispatched | CallState::AskingModel => None,
            })
            .collect();
        for (effect, until) in marked {
            self.in_flight.insert(effect.clone(), CallState::Dispatched);
            out.push(OwnerOutput::Perform { effect, until });
        }
        // A process that slept for longer than its lease is no longer the owner, and the next owner may have decided
        // differently.
        let is_leased = self.monotonic < self.lease_until;
        // A marked call that cannot be sent would be tried again and again, and keep a core busy until the lease is
        // renewed.
        let may_mark = !self.lease_left(options).is_zero();
        let fresh: Vec<OwnerOutput> = self
            .run
            .pending(now)
            .filter(|effect| !self.in_flight.contains_key(id_of(effect)))
            .filter(|effect| is_leased && (may_mark || !is_marked(effect)))
            .filter_map(|effect| self.output_of(effect))
            .collect();
        for output in fresh {
            if let OwnerOutput::Dispatch(send) | OwnerOutput::LookUp(send) = &output {
                let flight = if send.request.asks_model() { CallState::AskingModel } else { CallState::Dispatched };
                self.in_flight.insert(send.effect.clone(), flight);
            }
            out.push(output);
        }
        if self.run.has_more_work() {
            self.inputs.push_back(OwnerInput::Wake);
        } else if self.in_flight.is_empty() && self.will_sleep(now, options) {
            self.is_finished = true;
            out.push(OwnerOutput::Release { wake_at: self.wakes_at(now) });
        } else if let Some(at) = self.run.wake_at(now) {
            out.push(OwnerOutput::WakeAt(at));
        }
    }

    /// How long a call sent now may take under the lease: it must not be in flight when the next owner takes over.
    pub(super) fn lease_left(&self, options: &EngineOptions) -> Duration {
        self.lease_until.since(self.monotonic + options.lease_margin)
    }

    pub(super) fn output_of(&self, effect: Effect<'_>) -> Option<OwnerOutput> {
        Some(match effect {
            Effect::Send { effect, request, class, timeout, attempt, at, approved, replies } => {
                let mut what = self.call_request(&effect, request, class, attempt, at)?;
                if let CallRequest::Tool(call) = &mut what
                    && !planted(Mutant::AnswerForgotten)
                {
                    call.replies = replies.to_vec();
                }
                let approved = approved.map(str::to_owned);
                OwnerOutput::Dispatch(Box::new(Attempt { effect, request: what, class, limit: timeout, approved }))
            }
            Effect::LookUp { effect, request, timeout, at } => {
                let what = self.call_request(&effect, request, EffectClass::Verify, 1, at)?;
                OwnerOutput::LookUp(Box::new(Attempt {
                    effect,
                    request: what,
                    class: EffectClass::Verify,
                    limit: timeout,
                    approved: None,
                }))
            }
        })
    }

    /// The account that the tool's app uses, if the run's version names one.
    fn entity_source(&self, tool: &str) -> Option<String> {
        let (app, _) = tool.split_once('.')?;
        self.run.workflow()?.entity_sources.get(app).cloned()
    }

    /// The request to send; `None` for a step whose agent is no longer active, which is dropped at the next decision.
    pub(super) fn call_request(
        &self,
        effect: &EffectId,
        request: &EffectRequest,
        class: EffectClass,
        attempt: u32,
        at: Time,
    ) -> Option<CallRequest> {
        let key = effect.key(&self.id);
        let mut caller = self.run.started().map(|started| started.caller.clone()).unwrap_or_default();
        let trace = caller.parent_span().map_or_else(|| trace_of(&self.id), |told| told.trace);
        caller.traceparent = Some(trace::SpanContext { trace, span: span_of(&self.id, effect) }.to_string());
        Some(match request {
            EffectRequest::Model(request) => {
                let most = self.run.remaining_budget(&effect.call);
                let agent_type = self.run.agent(&effect.call.node).map(|(task, _)| task.agent.kind);
                CallRequest::Model {
                    key,
                    request: (**request).clone(),
                    cost_limit: most,
                    workflow: self.workflow(),
                    agent_type,
                    caller,
                }
            }
            EffectRequest::Code { program, .. } => CallRequest::Code { key, program: (**program).clone() },
            EffectRequest::Step { endpoint, .. } => {
                let asked = self.run.agent(&effect.call.node);
                let (endpoint, (task, seen)) = (endpoint.clone(), asked?);
                let (task, seen) = baton_agents::with_recalled_context(task, seen);
                CallRequest::Step { key, endpoint, task: Box::new(task), seen }
            }
            EffectRequest::Tool { tool, arguments, agent, provider } => CallRequest::Tool(ToolInvocation {
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

/// Whether its marker is written before it is sent.
fn is_marked(effect: &Effect<'_>) -> bool {
    matches!(effect, Effect::Send { class, .. } if class.needs_marker())
}

fn id_of<'a>(effect: &'a Effect<'_>) -> &'a EffectId {
    match effect {
        Effect::Send { effect, .. } | Effect::LookUp { effect, .. } => effect,
    }
}
