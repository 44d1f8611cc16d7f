//! Agents: their requests and their observations.

use serde_json::Value;

use super::super::address::{CallId, NodeAddress};
use super::super::envelope::CallMetrics;
use super::super::state::{AgentToolCall, AgentWait, CallEnd, NodeActivity, Run, RunTimer, WorkClock};
use crate::agent;
use crate::fault::Fault;
use crate::mutant::{Mutant, planted};
use crate::time::Time;

impl Run {
    /// Sets what an agent waits for from now on.
    pub(in crate::run) fn set_agent_wait(&mut self, node: &NodeAddress, next: AgentWait) {
        let Some(NodeActivity::Agent { waits, .. }) = self.activity_mut(node) else { return };
        let thinks = matches!(next, AgentWait::Think);
        *waits = next;
        if thinks {
            self.thinkers.insert(node.clone());
        } else {
            self.thinkers.remove(node);
        }
    }

    /// Replaces an agent that gave up by another, with the node's remaining time.
    pub(super) fn replace_agent(&mut self, node: &NodeAddress, by: &agent::AgentTask) {
        let Some(NodeActivity::Agent { task, seen, waits, steps, gave_up, work, .. }) = self.activity_mut(node) else {
            return;
        };
        **task = by.clone();
        seen.clear();
        (*waits, *steps, *gave_up, *work) = (AgentWait::Think, 0, false, WorkClock::default());
        self.thinkers.insert(node.clone());
    }

    /// Starts an agent's clock, which runs while it waits for its own calls.
    pub(super) fn start_agent_clock(&mut self, node: &NodeAddress, acts: bool) {
        let now = self.now;
        if let Some(NodeActivity::Agent { work, acted, .. }) = self.activity_mut(node) {
            work.start(now);
            *acted |= acts;
        }
    }

    /// Stops an agent's clock: it waits for a person, or for nothing.
    pub(super) fn stop_agent_clock(&mut self, node: &NodeAddress) {
        let now = self.now;
        if let Some(NodeActivity::Agent { work, .. }) = self.activity_mut(node) {
            work.stop(now);
        }
    }

    /// Updates the clock after a call's state changed: waiting for a person, a key or a budget does not count as the
    /// agent's time.
    pub(super) fn update_agent_clock(&mut self, call: &CallId) {
        let now = self.now;
        let Some(open) = self.calls.get(call) else { return };
        match open.agent_works_from(now) {
            Some(from) if from <= now => {}
            later => {
                self.stop_agent_clock(&call.node);
                if let Some(NodeActivity::Agent { work, .. }) = self.activity_mut(&call.node)
                    && let Some(from) = later
                {
                    work.start(from);
                }
            }
        }
    }

    /// Adjusts the clock of every agent whose calls count as its own time, with the time from which they do.
    pub(super) fn adjust_agent_clocks(&mut self, set: impl Fn(&mut WorkClock, Time)) {
        let now = self.now;
        let calls = self.calls.iter().filter_map(|(id, call)| Some((id.node.clone(), call.agent_works_from(now)?)));
        for (node, from) in calls.collect::<Vec<_>>() {
            if let Some(NodeActivity::Agent { work, .. }) = self.activity_mut(&node) {
                set(work, from);
            }
        }
    }

    /// Applies an agent's next step as decided by its endpoint.
    pub(super) fn apply_external_step(&mut self, node: &NodeAddress, step: agent::AgentStep) {
        self.stop_agent_clock(node);
        self.set_agent_wait(node, AgentWait::Thought(Box::new(step)));
    }

    pub(super) fn record_observation(&mut self, node: &NodeAddress, what: agent::AgentObservation) {
        if let Some(NodeActivity::Agent { seen, .. }) = self.activity_mut(node) {
            if matches!(what, agent::AgentObservation::Ran(_)) {
                seen.iter_mut().for_each(forget_snapshot);
            }
            if planted(Mutant::ThoughtsForgotten) && matches!(what, agent::AgentObservation::Replied(_)) {
                seen.retain(|seen| !matches!(seen, agent::AgentObservation::Replied(_)));
            }
            seen.push(what);
            if planted(Mutant::PauseForgotten) {
                seen.iter_mut().for_each(forget_snapshot);
            }
            self.stop_agent_clock(node);
            self.set_agent_wait(node, AgentWait::Think);
        }
    }

    /// Gives an agent the results of its requests, once all are complete.
    pub(super) fn record_tool_results(&mut self, node: &NodeAddress) {
        let Some(NodeActivity::Agent { waits: AgentWait::Tools(calls), .. }) = self.activity_mut(node) else { return };
        if calls.iter().all(|call| call.answer.is_some()) {
            if planted(Mutant::ResultsShuffled) {
                calls.reverse();
            }
            let results = calls.drain(..).filter_map(|call| Some((call.id, call.answer?))).collect();
            self.record_observation(node, agent::AgentObservation::Tools(results));
        }
    }

    pub(super) fn stepped(&mut self, node: &NodeAddress, step: &agent::AgentStep) {
        let Some(NodeActivity::Agent { steps, gave_up, .. }) = self.activity_mut(node) else { return };
        *steps += 1;
        match step {
            agent::AgentStep::RequestTools(requests) => {
                let open = requests.iter().map(|request| AgentToolCall {
                    id: request.id.clone(),
                    tool: request.tool.clone(),
                    arguments: request.arguments.clone().into(),
                    call: None,
                    answer: None,
                });
                self.set_agent_wait(node, AgentWait::Tools(open.collect()));
            }
            agent::AgentStep::GiveUp(_) => *gave_up = true,
            agent::AgentStep::AskCustomer { .. }
            | agent::AgentStep::AskModel(_)
            | agent::AgentStep::RunCode(_)
            | agent::AgentStep::AskEndpoint
            | agent::AgentStep::Answer { .. }
            | agent::AgentStep::HandOver { .. } => {}
        }
    }

    pub(super) fn refuse_request(&mut self, node: &NodeAddress, id: &str, tool: &str, fault: &Fault) {
        let refused = self.envelope(None, tool, &CallEnd::Failed(fault.clone()), CallMetrics::default());
        let Some(NodeActivity::Agent { waits: AgentWait::Tools(calls), .. }) = self.activity_mut(node) else { return };
        if let Some(open) = calls.iter_mut().find(|open| open.id == id && open.call.is_none() && open.answer.is_none())
        {
            open.answer = Some(refused);
        }
        self.record_tool_results(node);
    }

    pub(super) fn ask_customer(&mut self, node: &NodeAddress, deadline: Option<Time>) {
        self.set_agent_wait(node, AgentWait::Customer { deadline });
        if let Some(deadline) = deadline {
            self.timers.insert((deadline, RunTimer::Node(node.clone())));
        }
    }

    /// Stops waiting for the customer.
    pub(super) fn clear_customer_wait(&mut self, node: &NodeAddress) {
        if let Some(NodeActivity::Agent { waits: AgentWait::Customer { deadline: Some(deadline) }, .. }) =
            self.activity(node)
        {
            let timer = (*deadline, RunTimer::Node(node.clone()));
            self.timers.remove(&timer);
        }
    }

    /// Records the customer's reply.
    pub(super) fn record_customer_reply(&mut self, node: &NodeAddress, payload: &Value) {
        self.clear_customer_wait(node);
        let said = match payload.get("text").unwrap_or(payload) {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        self.record_observation(node, agent::AgentObservation::Said(said));
    }
}

/// Drops the snapshot of a program that continued: it is never resumed from an earlier state.
fn forget_snapshot(seen: &mut agent::AgentObservation) {
    if let agent::AgentObservation::Ran(agent::ProgramOutcome::Calls { snapshot, .. }) = seen {
        snapshot.bytes = String::new();
    }
}
