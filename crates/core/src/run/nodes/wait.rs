//! `wait`: for a duration, until an instant, or for a signal.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::address::NodeAddress;
use super::super::advance::expression_fault;
use super::super::decide::RunDraft;
use super::super::event::{NodeWait, RunEvent};
use super::super::state::NodeActivity;
use super::{apply_deadline, deadline_of};
use crate::fault::{Fault, code};
use crate::graph::node::{NodeKind, WaitNode};
use crate::time::Time;

pub fn begin(draft: &mut RunDraft<'_>, at: &NodeAddress, wait: &WaitNode) {
    let began = match wait {
        WaitNode::For(duration) => NodeWait::Timer { until: draft.now + *duration },
        WaitNode::Until(instant) => {
            match instant.render(&draft.view(&at.scope)).map(|value| (instant_of(&value), value)) {
                Ok((Some(until), _)) => NodeWait::Timer { until },
                Ok((None, value)) => {
                    let message =
                        format!("until: {value} is neither an RFC 3339 instant nor milliseconds since the epoch");
                    return draft.fail(at, Fault::new(code::EXPRESSION, message));
                }
                Err(error) => return draft.fail(at, expression_fault("until", &error)),
            }
        }
        WaitNode::Signal { name, deadline } => {
            NodeWait::Signal { name: name.clone(), deadline: deadline_of(draft, deadline.after) }
        }
    };
    draft.emit(RunEvent::Began { node: at.clone(), wait: Box::new(began) });
    if let Some(NodeActivity::Timer { until }) = draft.run.activity(at)
        && *until <= draft.now
    {
        timer_fired(draft, at);
    }
}

fn instant_of(value: &Value) -> Option<Time> {
    match value {
        Value::String(text) => text.parse::<jiff::Timestamp>().ok().map(Time::from),
        Value::Number(ms) => ms.as_i64().map(Time::from_ms),
        _ => None,
    }
}

pub fn timer_fired(draft: &mut RunDraft<'_>, at: &NodeAddress) {
    draft.complete(at, Arc::new(json!({ "waited_until": draft.now.to_string() })), None);
}

pub fn deadline(draft: &mut RunDraft<'_>, at: &NodeAddress) {
    let then = draft.with_node(at, |node| match &node.kind {
        NodeKind::Wait(WaitNode::Signal { deadline, .. }) => deadline.on_expiry.clone(),
        _ => crate::graph::node::OnDeadline::Fail,
    });
    apply_deadline(draft, at, &then.unwrap_or_default());
}

/// Takes the first stored signal of this name, if there is one.
pub fn take_signal(draft: &mut RunDraft<'_>, at: &NodeAddress, name: &str) {
    if draft.is_draining(at) {
        return;
    }
    let Some(payload) = draft.run.signals.first(name).map(|signal| signal.payload.clone()) else { return };
    let is_wait = matches!(draft.run.activity(at), Some(NodeActivity::Signal { .. }));
    draft.emit(RunEvent::SignalTaken { node: at.clone(), name: name.to_owned() });
    if is_wait {
        draft.complete(at, payload, None);
    }
}
