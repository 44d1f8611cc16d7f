//! What one span says.

use baton_core::fault::Fault;
use baton_core::id::RunId;
use baton_core::time::Time;
use baton_core::trace::{SpanId, TraceId};

use super::MOMENTS_MAX;

/// Something that took its time, and is over.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    pub trace: TraceId,
    pub id: SpanId,
    pub parent: Option<SpanId>,
    pub name: String,
    /// It asked something of somebody else.
    pub is_call: bool,
    pub began: Time,
    pub ended: Time,
    pub said: Vec<(&'static str, Said)>,
    pub moments: Vec<Moment>,
    /// How it failed: the code, and the words for the operator.
    pub fault: Option<(String, String)>,
}

/// Something that happened in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    pub at: Time,
    pub name: &'static str,
    /// A code, or what is waited for; empty where the name says all.
    pub what: String,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    Text(String),
    Count(i64),
    Amount(f64),
    Flag(bool),
}

impl From<&str> for Said {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Said {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Said {
    fn from(count: i64) -> Self {
        Self::Count(count)
    }
}

impl From<f64> for Said {
    fn from(amount: f64) -> Self {
        Self::Amount(amount)
    }
}

impl From<bool> for Said {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

/// A span that has not ended.
pub(super) struct Open {
    pub id: SpanId,
    pub parent: Option<SpanId>,
    pub name: String,
    pub is_call: bool,
    pub began: Time,
    said: Vec<(&'static str, Said)>,
    moments: Vec<Moment>,
}

impl Open {
    pub fn new(name: impl Into<String>, id: SpanId, parent: Option<SpanId>, began: Time) -> Self {
        Self { id, parent, name: name.into(), is_call: false, began, said: Vec::new(), moments: Vec::new() }
    }

    pub fn with(mut self, name: &'static str, said: impl Into<Said>) -> Self {
        self.say(name, said);
        self
    }

    pub fn say(&mut self, name: &'static str, said: impl Into<Said>) {
        self.said.push((name, said.into()));
    }

    pub fn note(&mut self, at: Time, name: &'static str, what: &str) {
        if self.moments.len() < MOMENTS_MAX {
            self.moments.push(Moment { at, name, what: what.to_owned() });
        }
    }

    pub fn ends(mut self, trace: TraceId, run: &RunId, at: Time, fault: Option<&Fault>) -> Span {
        self.say("baton.run.id", run.as_str());
        if let Some(fault) = fault {
            self.say("error.type", &*fault.code);
        }
        let Self { id, parent, name, is_call, began, said, moments } = self;
        let fault = fault.map(|fault| (fault.code.to_string(), fault.message.clone()));
        Span { trace, id, parent, name, is_call, began, ended: at, said, moments, fault }
    }
}
