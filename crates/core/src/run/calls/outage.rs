//! A call whose service is down, and what its tool says is done then.
//!
//! Only a call that certainly did not act comes here: one in doubt is settled first, as its class says.

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

/// How long a queued call waits for its service at most.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest wait between two attempts of a queued call.
const QUEUE_PAUSE_MAX: Duration = Duration::from_secs(5 * 60);

impl RunDraft<'_> {
    /// The circuit of the call's service is open, until then: nobody was asked.
    pub(super) fn circuit_open(&mut self, effect: &EffectId, call: &OpenCall, until: Time, fault: &Fault) {
        if call.unknown || !self.handle_outage(effect, call, fault, Some(until)) {
            self.blocked(effect, BlockReason::Circuit { until });
        }
    }

    /// Does what the tool says for times when its service is down; false where it says nothing, or nothing more.
    /// `closed_until`: its circuit is open until then, so that no attempt was made.
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
            // Nobody is told that something was done that was not.
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
                // That one is down, too.
                _ => return None,
            },
            OnUnavailable::Manual => OutageAction::Person,
        })
    }

    /// What the version says of the tool that a call is of.
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

/// What stands in for an answer: the tool's own word, the arguments where they are part of the output, else null.
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

/// Says in a result that its service was down on the way.
pub(super) fn mark_degraded(mut output: Value) -> Value {
    if let Value::Object(fields) = &mut output {
        fields.insert("degraded".to_owned(), Value::Bool(true));
    }
    output
}
