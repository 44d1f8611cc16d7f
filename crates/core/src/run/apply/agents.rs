//! Agents: what they asked for, and what they have seen.

use serde_json::Value;

use super::super::address::Address;
use super::super::state::{Activity, AgentCall, AgentWait, CallEnd, Run, Timer};
use crate::agent;
use crate::fault::Fault;
use crate::money::Usd;
use crate::time::Time;

impl Run {
    pub(super) fn see(&mut self, node: &Address, what: agent::Seen) {
        if let Some(Activity::Agent { seen, waits, .. }) = self.activity_mut(node) {
            seen.push(what);
            *waits = AgentWait::Think;
        }
    }

    pub(super) fn stepped(&mut self, node: &Address, step: &agent::Step) {
        let Some(Activity::Agent { waits, steps, .. }) = self.activity_mut(node) else { return };
        *steps += 1;
        match step {
            agent::Step::RequestTools(requests) => {
                let open = requests.iter().map(|request| AgentCall {
                    id: request.id.clone(),
                    tool: request.tool.clone(),
                    call: None,
                    answer: None,
                });
                *waits = AgentWait::Tools(open.collect());
            }
            agent::Step::AskCustomer { .. }
            | agent::Step::AskModel(_)
            | agent::Step::Answer { .. }
            | agent::Step::HandOver { .. }
            | agent::Step::GiveUp(_) => {}
        }
    }

    pub(super) fn refuse_request(&mut self, node: &Address, id: &str, tool: &str, fault: &Fault) {
        let Some(Activity::Agent { seen, waits, .. }) = self.activity_mut(node) else { return };
        let AgentWait::Tools(calls) = waits else { return };
        if let Some(open) = calls.iter_mut().find(|open| open.id == id && open.call.is_none() && open.answer.is_none())
        {
            open.answer = Some(super::super::calls::envelope(tool, &CallEnd::Failed(fault.clone()), Usd::ZERO, false));
        }
        see_results(seen, waits);
    }

    pub(super) fn ask_customer(&mut self, node: &Address, deadline: Option<Time>) {
        if let Some(Activity::Agent { waits, .. }) = self.activity_mut(node) {
            *waits = AgentWait::Customer { deadline };
        }
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

    pub(super) fn take_signal(&mut self, node: &Address, name: &str) {
        self.stop_asking(node);
        let taken = self.signals.first(name).map(|signal| signal.payload.clone());
        self.signals.take(name);
        if let (Some(Activity::Agent { .. }), Some(payload)) = (self.activity(node), taken) {
            let said = match payload.get("text").unwrap_or(&payload) {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            self.see(node, agent::Seen::Said(said));
        }
    }
}

/// Shows an agent the results of its requests, once all are there.
pub(super) fn see_results(seen: &mut Vec<agent::Seen>, waits: &mut AgentWait) {
    let AgentWait::Tools(calls) = waits else { return };
    if calls.iter().all(|call| call.answer.is_some()) {
        let results = calls.drain(..).filter_map(|call| Some((call.id, call.answer?))).collect();
        seen.push(agent::Seen::Tools(results));
        *waits = AgentWait::Think;
    }
}
