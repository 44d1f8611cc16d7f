//! Agents: what they asked for, and what they have seen.

use serde_json::Value;

use super::super::address::{Address, CallId};
use super::super::envelope::Settled;
use super::super::state::{Activity, AgentCall, AgentWait, CallEnd, Run, Timer, Work};
use crate::agent;
use crate::fault::Fault;
use crate::mutant::{Mutant, planted};
use crate::time::Time;

impl Run {
    /// What an agent waits for from here on.
    pub(in crate::run) fn wait_as(&mut self, node: &Address, next: AgentWait) {
        let Some(Activity::Agent { waits, .. }) = self.activity_mut(node) else { return };
        let thinks = matches!(next, AgentWait::Think);
        *waits = next;
        if thinks {
            self.thinkers.insert(node.clone());
        } else {
            self.thinkers.remove(node);
        }
    }

    /// Another agent begins where one gave up, with the time that the node has left.
    pub(super) fn replace_agent(&mut self, node: &Address, by: &agent::Task) {
        let Some(Activity::Agent { task, seen, waits, steps, gave_up, work, .. }) = self.activity_mut(node) else {
            return;
        };
        **task = by.clone();
        seen.clear();
        (*waits, *steps, *gave_up, *work) = (AgentWait::Think, 0, false, Work::default());
        self.thinkers.insert(node.clone());
    }

    /// An agent's clock runs while it waits for calls of its own.
    pub(super) fn works(&mut self, node: &Address, acts: bool) {
        let now = self.now;
        if let Some(Activity::Agent { work, acted, .. }) = self.activity_mut(node) {
            work.start(now);
            *acted |= acts;
        }
    }

    /// A person is waited for, or nothing is.
    pub(super) fn rests(&mut self, node: &Address) {
        let now = self.now;
        if let Some(Activity::Agent { work, .. }) = self.activity_mut(node) {
            work.stop(now);
        }
    }

    /// What a call waits for now is its agent's time or not: a person's, a key's and a budget's waiting is not.
    pub(super) fn waits_as(&mut self, call: &CallId) {
        let now = self.now;
        let Some(open) = self.calls.get(call) else { return };
        match open.works_from(now) {
            Some(from) if from <= now => {}
            later => {
                self.rests(&call.node);
                if let Some(Activity::Agent { work, .. }) = self.activity_mut(&call.node)
                    && let Some(from) = later
                {
                    work.start(from);
                }
            }
        }
    }

    /// Does something with the clock of every agent whose calls are its own time, from when on they are.
    pub(super) fn working(&mut self, set: impl Fn(&mut Work, Time)) {
        let now = self.now;
        let calls = self.calls.iter().filter_map(|(id, call)| Some((id.node.clone(), call.works_from(now)?)));
        for (node, from) in calls.collect::<Vec<_>>() {
            if let Some(Activity::Agent { work, .. }) = self.activity_mut(&node) {
                set(work, from);
            }
        }
    }

    /// Whoever thinks for an agent said what it wants next.
    pub(super) fn think_for(&mut self, node: &Address, step: agent::Step) {
        self.rests(node);
        self.wait_as(node, AgentWait::Thought(Box::new(step)));
    }

    pub(super) fn see(&mut self, node: &Address, what: agent::Seen) {
        if let Some(Activity::Agent { seen, .. }) = self.activity_mut(node) {
            if matches!(what, agent::Seen::Ran(_)) {
                seen.iter_mut().for_each(forget_snapshot);
            }
            if planted(Mutant::ThoughtsForgotten) && matches!(what, agent::Seen::Replied(_)) {
                seen.retain(|seen| !matches!(seen, agent::Seen::Replied(_)));
            }
            seen.push(what);
            if planted(Mutant::PauseForgotten) {
                seen.iter_mut().for_each(forget_snapshot);
            }
            self.rests(node);
            self.wait_as(node, AgentWait::Think);
        }
    }

    /// Shows an agent the results of its requests, once all are there.
    pub(super) fn see_results(&mut self, node: &Address) {
        let Some(Activity::Agent { waits: AgentWait::Tools(calls), .. }) = self.activity_mut(node) else { return };
        if calls.iter().all(|call| call.answer.is_some()) {
            if planted(Mutant::ResultsShuffled) {
                calls.reverse();
            }
            let results = calls.drain(..).filter_map(|call| Some((call.id, call.answer?))).collect();
            self.see(node, agent::Seen::Tools(results));
        }
    }

    pub(super) fn stepped(&mut self, node: &Address, step: &agent::Step) {
        let Some(Activity::Agent { steps, gave_up, .. }) = self.activity_mut(node) else { return };
        *steps += 1;
        match step {
            agent::Step::RequestTools(requests) => {
                let open = requests.iter().map(|request| AgentCall {
                    id: request.id.clone(),
                    tool: request.tool.clone(),
                    arguments: request.arguments.clone().into(),
                    call: None,
                    answer: None,
                });
                self.wait_as(node, AgentWait::Tools(open.collect()));
            }
            agent::Step::GiveUp(_) => *gave_up = true,
            agent::Step::AskCustomer { .. }
            | agent::Step::AskModel(_)
            | agent::Step::RunCode(_)
            | agent::Step::AskEndpoint
            | agent::Step::Answer { .. }
            | agent::Step::HandOver { .. } => {}
        }
    }

    pub(super) fn refuse_request(&mut self, node: &Address, id: &str, tool: &str, fault: &Fault) {
        let refused = self.envelope(None, tool, &CallEnd::Failed(fault.clone()), Settled::default());
        let Some(Activity::Agent { waits: AgentWait::Tools(calls), .. }) = self.activity_mut(node) else { return };
        if let Some(open) = calls.iter_mut().find(|open| open.id == id && open.call.is_none() && open.answer.is_none())
        {
            open.answer = Some(refused);
        }
        self.see_results(node);
    }

    pub(super) fn ask_customer(&mut self, node: &Address, deadline: Option<Time>) {
        self.wait_as(node, AgentWait::Customer { deadline });
        if let Some(deadline) = deadline {
            self.timers.insert((deadline, Timer::Node(node.clone())));
        }
    }

    /// Nobody waits for the customer any more.
    pub(super) fn stop_asking(&mut self, node: &Address) {
        if let Some(Activity::Agent { waits: AgentWait::Customer { deadline: Some(deadline) }, .. }) =
            self.activity(node)
        {
            let timer = (*deadline, Timer::Node(node.clone()));
            self.timers.remove(&timer);
        }
    }

    /// The customer answered.
    pub(super) fn hear(&mut self, node: &Address, payload: &Value) {
        self.stop_asking(node);
        let said = match payload.get("text").unwrap_or(payload) {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        self.see(node, agent::Seen::Said(said));
    }
}

/// A program that went on is never resumed from where it was before: what it was then need not be kept.
fn forget_snapshot(seen: &mut agent::Seen) {
    if let agent::Seen::Ran(agent::Ran::Calls { snapshot, .. }) = seen {
        snapshot.bytes = String::new();
    }
}
