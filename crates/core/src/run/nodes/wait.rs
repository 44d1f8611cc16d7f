//! `wait`: for a duration, until an instant, or for a signal.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::address::Address;
use super::super::advance::expression_fault;
use super::super::decide::Draft;
use super::super::event::{Began, Event};
use super::super::state::Activity;
use super::{at_deadline, deadline_of};
use crate::fault::{Fault, code};
use crate::graph::node::{Kind, Wait};
use crate::time::Time;

pub fn begin(draft: &mut Draft<'_>, at: &Address, wait: &Wait) {
    let began = match wait {
        Wait::For(duration) => Began::Timer { until: draft.now + *duration },
        Wait::Until(instant) => match instant.render(&draft.view(&at.scope)).map(|value| (instant_of(&value), value)) {
            Ok((Some(until), _)) => Began::Timer { until },
            Ok((None, value)) => {
                let message = format!("until: {value} is neither an RFC 3339 instant nor milliseconds since the epoch");
                return draft.fail(at, Fault::new(code::EXPRESSION, message));
            }
            Err(error) => return draft.fail(at, expression_fault("until", &error)),
        },
        Wait::Signal { name, deadline } => {
            Began::Signal { name: name.clone(), deadline: deadline_of(draft, deadline.after) }
        }
    };
    draft.emit(Event::Began { node: at.clone(), wait: Box::new(began) });
    if let Some(Activity::Timer { until }) = draft.run.activity(at)
        && *until <= draft.now
    {
        time_came(draft, at);
    }
}

fn instant_of(value: &Value) -> Option<Time> {
    match value {
        Value::String(text) => text.parse::<jiff::Timestamp>().ok().map(Time::from),
        Value::Number(ms) => ms.as_i64().map(Time::from_ms),
        _ => None,
    }
}

pub fn time_came(draft: &mut Draft<'_>, at: &Address) {
    draft.complete(at, Arc::new(json!({ "waited_until": draft.now.to_string() })), None);
}

pub fn deadline(draft: &mut Draft<'_>, at: &Address) {
    let then = draft.with_node(at, |node| match &node.kind {
        Kind::Wait(Wait::Signal { deadline, .. }) => deadline.then.clone(),
        _ => crate::graph::node::AtDeadline::Fail,
    });
    at_deadline(draft, at, &then.unwrap_or_default());
}

/// Takes the first kept signal of this name, if there is one.
pub fn take_signal(draft: &mut Draft<'_>, at: &Address, name: &str) {
    if draft.is_winding(at) {
        return;
    }
    let Some(payload) = draft.run.signals.first(name).map(|signal| signal.payload.clone()) else { return };
    let is_wait = matches!(draft.run.activity(at), Some(Activity::Signal { .. }));
    draft.emit(Event::SignalTaken { node: at.clone(), name: name.to_owned() });
    if is_wait {
        draft.complete(at, payload, None);
    }
}
