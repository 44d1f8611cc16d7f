//! The content of one span.

use baton_core::fault::Fault;
use baton_core::id::RunId;
use baton_core::time::Time;
use baton_core::trace::{SpanId, TraceId};

use super::SPAN_EVENTS_MAX;

/// A finished span.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceSpan {
    pub trace: TraceId,
    pub id: SpanId,
    pub parent: Option<SpanId>,
    pub name: String,
    /// Whether it is a call to another service.
    pub is_call: bool,
    pub began: Time,
    pub ended: Time,
    pub attributes: Vec<(&'static str, AttributeValue)>,
    pub events: Vec<SpanEvent>,
    /// The failure: the code, and the message for the operator.
    pub fault: Option<(String, String)>,
}

/// An event within a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanEvent {
    pub at: Time,
    pub name: &'static str,
    /// A code, or what is waited for; empty if the name is sufficient.
    pub what: String,
}

#[derive(Clone, Debug, PartialEq)]
pub enum AttributeValue {
    Text(String),
    Count(i64),
    Amount(f64),
    Flag(bool),
}

impl From<&str> for AttributeValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for AttributeValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for AttributeValue {
    fn from(count: i64) -> Self {
        Self::Count(count)
    }
}

impl From<f64> for AttributeValue {
    fn from(amount: f64) -> Self {
        Self::Amount(amount)
    }
}

impl From<bool> for AttributeValue {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

/// A span that has not ended.
pub(super) struct OpenSpan {
    pub id: SpanId,
    pub parent: Option<SpanId>,
    pub name: String,
    pub is_call: bool,
    pub began: Time,
    attributes: Vec<(&'static str, AttributeValue)>,
    events: Vec<SpanEvent>,
}

impl OpenSpan {
    pub fn new(name: impl Into<String>, id: SpanId, parent: Option<SpanId>, began: Time) -> Self {
        Self { id, parent, name: name.into(), is_call: false, began, attributes: Vec::new(), events: Vec::new() }
    }

    pub fn with(mut self, name: &'static str, said: impl Into<AttributeValue>) -> Self {
        self.set_attribute(name, said);
        self
    }

    pub fn set_attribute(&mut self, name: &'static str, said: impl Into<AttributeValue>) {
        self.attributes.push((name, said.into()));
    }

    pub fn add_event(&mut self, at: Time, name: &'static str, what: &str) {
        if self.events.len() < SPAN_EVENTS_MAX {
            self.events.push(SpanEvent { at, name, what: what.to_owned() });
        }
    }

    pub fn finish(mut self, trace: TraceId, run: &RunId, at: Time, fault: Option<&Fault>) -> TraceSpan {
        self.set_attribute("baton.run.id", run.as_str());
        if let Some(fault) = fault {
            self.set_attribute("error.type", &*fault.code);
        }
        let Self { id, parent, name, is_call, began, attributes: said, events: moments } = self;
        let fault = fault.map(|fault| (fault.code.to_string(), fault.message.clone()));
        TraceSpan { trace, id, parent, name, is_call, began, ended: at, attributes: said, events: moments, fault }
    }
}
