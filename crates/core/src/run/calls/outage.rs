//! A call whose service is down, and what its tool says is done then.
//!
//! Only a call that certainly did not act comes here: one in doubt is settled first, as its class says.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::super::address::{CallId, EffectId, Role};
use super::super::decide::Draft;
use super::super::event::{Block, Detour, Event, Request};
use super::super::state::Call;
use crate::fault::Fault;
use crate::graph::node::Kind;
use crate::time::Time;
use crate::tool::{Facts, OnUnavailable, Retry, is_outage};

/// How long a queued call waits for its service at most.
const QUEUED_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest wait between two attempts of a queued call.
const QUEUE_PAUSE_MAX: Duration = Duration::from_secs(5 * 60);

impl Draft<'_> {
    /// The circuit of the call's service is open, until then: nobody was asked.
    pub(super) fn circuit_open(&mut self, effect: &EffectId, call: &Call, until: Time, fault: &Fault) {
        if call.unknown || !self.stand_outage(effect, call, fault, Some(until)) {
            self.blocked(effect, Block::Circuit { until });
        }
    }

    /// Does what the tool says for times when its service is down; false where it says nothing, or nothing more.
    /// `closed_until`: its circuit is open until then, so that no attempt was made.
    pub(super) fn stand_outage(
        &mut self,
        effect: &EffectId,
        call: &Call,
        fault: &Fault,
        closed_until: Option<Time>,
    ) -> bool {
        if effect.call.role == Role::Undo || !self.wants(effect) || !is_outage(fault) {
            return false;
        }
        let detour = self.with_facts(&effect.call, call, |facts, arguments| {
            let way = facts.on_unavailable.as_ref()?;
            self.detour(effect, call, (facts, way, arguments), fault, closed_until)
        });
        let Some(detour) = detour.flatten() else { return false };
        let (effect, fault) = (effect.clone(), fault.clone());
        self.emit(Event::Degraded { effect, fault, attempted: closed_until.is_none(), detour });
        true
    }

    fn detour(
        &self,
        effect: &EffectId,
        call: &Call,
        (facts, way, arguments): (&Facts, &OnUnavailable, &Value),
        fault: &Fault,
        closed_until: Option<Time>,
    ) -> Option<Detour> {
        Some(match way {
            // Nobody is told that something was done that was not.
            OnUnavailable::Empty | OnUnavailable::Unavailable if call.class.acts() => Detour::Refused,
            OnUnavailable::Empty => answered(facts, arguments, fault, &[]),
            OnUnavailable::Unavailable => answered(facts, arguments, fault, &[("available", Value::Bool(false))]),
            OnUnavailable::Queue => {
                let until = call.queued_until.unwrap_or(self.now + QUEUED_FOR);
                if self.now >= until {
                    return Some(Detour::Refused);
                }
                let pace = Retry { max: QUEUE_PAUSE_MAX, ..self.retry_of(&effect.call, call) };
                let at = self.again_at(effect, call.attempts + 1, &pace, None);
                Detour::Queued { at: at.max(closed_until.unwrap_or(at)).min(until), until }
            }
            OnUnavailable::Provider(name) => match &call.request {
                Request::Tool { provider: None, .. } => Detour::Provider { name: name.clone() },
                // That one is down, too.
                _ => return None,
            },
            OnUnavailable::Manual => Detour::Person,
        })
    }

    /// What the version says of the tool that a call is of.
    pub(super) fn with_facts<T>(&self, id: &CallId, call: &Call, look: impl FnOnce(&Facts, &Value) -> T) -> Option<T> {
        let Request::Tool { tool, arguments, .. } = &call.request else { return None };
        let found = self.with_node(&id.node, |node| {
            let all = match &node.kind {
                Kind::Tool(tool) => &tool.facts,
                Kind::Agent(agent) => &agent.tools,
                _ => return None,
            };
            all.get(tool).map(|facts| look(facts.of(arguments), arguments))
        });
        found.flatten()
    }
}

/// What stands in for an answer: the tool's own word, the arguments where they are part of the output, else null.
fn answered(facts: &Facts, arguments: &Value, fault: &Fault, also: &[(&str, Value)]) -> Detour {
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
    Detour::Answered { output: Arc::new(Value::Object(output)) }
}

/// Says in a result that its service was down on the way.
pub(super) fn marked(mut output: Value) -> Value {
    if let Value::Object(fields) = &mut output {
        fields.insert("degraded".to_owned(), Value::Bool(true));
    }
    output
}
