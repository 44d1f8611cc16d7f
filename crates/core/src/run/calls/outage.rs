//! Calls whose service is down, and the tool's policy for that.
//!
//! Only calls that certainly did not act are handled here: a call in doubt is settled first, by its class.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::super::address::{CallId, CallRole, EffectId};
use super::super::decide::RunDraft;
use super::super::event::{BlockReason, EffectRequest, OutageAction, RunEvent};
use super::super::state::OpenCall;
use crate::fault::Fault;
use crate::graph::node::NodeKind;
use crate::time::Time;
use crate::tool::{OnUnavailable, RetryPolicy, ToolContract, is_outage};

/// Maximum time that a queued call waits for its service.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);
/// Maximum wait between two attempts of a queued call.
const QUEUE_PAUSE_MAX: Duration = Duration::from_secs(5 * 60);

impl RunDraft<'_> {
    /// The circuit of the call's service is open until then: the call was not sent.
    pub(super) fn circuit_open(&mut self, effect: &EffectId, call: &OpenCall, until: Time, fault: &Fault) {
        if call.unknown || !self.handle_outage(effect, call, fault, Some(until)) {
            self.blocked(effect, BlockReason::Circuit { until });
        }
    }

    /// Applies the tool's policy for an unavailable service. Returns false if there is none, or none is left.
    /// `closed_until`: the circuit is open until then, so that no attempt was made.
    pub(super) fn handle_outage(
        &mut self,
        effect: &EffectId,
        call: &OpenCall,
        fault: &Fault,
        closed_until: Option<Time>,
    ) -> bool {
        if effect.call.role == CallRole::Undo || !self.is_still_wanted(effect) || !is_outage(fault) {
            return false;
        }
        let detour = self.with_facts(&effect.call, call, |facts, arguments| {
            let way = facts.on_unavailable.as_ref()?;
            self.apply_outage_action(effect, call, (facts, way, arguments), fault, closed_until)
        });
        let Some(detour) = detour.flatten() else { return false };
        let (effect, fault) = (effect.clone(), fault.clone());
        self.emit(RunEvent::Degraded { effect, fault, attempted: closed_until.is_none(), detour });
        true
    }

    fn apply_outage_action(
        &self,
        effect: &EffectId,
        call: &OpenCall,
        (facts, way, arguments): (&ToolContract, &OnUnavailable, &Value),
        fault: &Fault,
        closed_until: Option<Time>,
    ) -> Option<OutageAction> {
        Some(match way {
            // An act that was not performed is never reported as done.
            OnUnavailable::Empty | OnUnavailable::Unavailable if call.class.has_side_effects() => OutageAction::Refused,
            OnUnavailable::Empty => stand_in_answer(facts, arguments, fault, &[]),
            OnUnavailable::Unavailable => {
                stand_in_answer(facts, arguments, fault, &[("available", Value::Bool(false))])
            }
            OnUnavailable::Queue => {
                let until = call.queued_until.unwrap_or(self.now + QUEUE_TIMEOUT);
                if self.now >= until {
                    return Some(OutageAction::Refused);
                }
                let pace = RetryPolicy { max: QUEUE_PAUSE_MAX, ..self.retry_of(&effect.call, call) };
                let at = self.next_attempt_at(effect, call.attempts + 1, &pace, None);
                OutageAction::Queued { at: at.max(closed_until.unwrap_or(at)).min(until), until }
            }
            OnUnavailable::Provider(name) => match &call.request {
                EffectRequest::Tool { provider: None, .. } => OutageAction::Provider { name: name.clone() },
                // That provider is down, too.
                _ => return None,
            },
            OnUnavailable::Manual => OutageAction::Person,
        })
    }

    /// Runs with the pinned contract of the call's tool.
    pub(super) fn with_facts<T>(
        &self,
        id: &CallId,
        call: &OpenCall,
        look: impl FnOnce(&ToolContract, &Value) -> T,
    ) -> Option<T> {
        let EffectRequest::Tool { tool, arguments, .. } = &call.request else { return None };
        let found = self.with_node(&id.node, |node| {
            let all = match &node.kind {
                NodeKind::Tool(tool) => &tool.facts,
                NodeKind::Agent(agent) => &agent.tools,
                _ => return None,
            };
            all.get(tool).map(|facts| look(facts.for_arguments(arguments), arguments))
        });
        found.flatten()
    }
}

/// Returns the answer that stands in: the tool's own, the arguments if they are part of the output, otherwise null.
fn stand_in_answer(facts: &ToolContract, arguments: &Value, fault: &Fault, also: &[(&str, Value)]) -> OutageAction {
    let said = |field: &String| {
        let own = facts.stand_in.get(field).or_else(|| arguments.get(field));
        (field.clone(), own.cloned().unwrap_or_default())
    };
    let mut output: Map<String, Value> = facts.output_fields.iter().map(said).collect();
    output.extend(facts.stand_in.clone());
    output.extend(also.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    output.insert("degraded".to_owned(), Value::Bool(true));
    output.insert("degraded_reason".to_owned(), Value::from(&*fault.code));
    if let Some(customer) = &fault.customer {
        output.insert("message".to_owned(), Value::from(&**customer));
    }
    OutageAction::Answered { output: Arc::new(Value::Object(output)) }
}

/// Marks a result as degraded: its service was down on the way.
pub(super) fn mark_degraded(mut output: Value) -> Value {
    if let Value::Object(fields) = &mut output {
        fields.insert("degraded".to_owned(), Value::Bool(true));
    }
    output
}
