//! What happens on purpose: the lines of a scenario, each at its moment. Where there is a script nothing goes wrong by
//! chance, and people and other systems do only what it says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use baton_core::id::RunId;
use baton_core::run::{CallId, Decision, EffectId, Event, Incoming, MESSAGE, Resolution, Role, Signal};
use baton_engine::decode;
use baton_engine::owner::{Send, What};
use baton_ports::journal::DeskItem;
use serde_json::{Value, json};

use super::outside::{address_of, effect_of};
use super::{Happening, Simulation, tenant};
use crate::case::Fault;
use crate::oracle::kind_of;
use crate::process::Place;
use crate::services::Fate;

/// One line of a script.
#[derive(Clone, Debug)]
pub struct Cue {
    /// As it is written, to say which it is.
    pub line: String,
    pub moment: Moment,
    /// How long after its moment.
    pub after: Duration,
    pub act: Act,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moment {
    /// So long after the run was started.
    At(Duration),
    When(When),
}

/// A call or a question, and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct When {
    pub run: RunId,
    /// As [`word_of`] calls it.
    pub what: String,
    pub stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The marker of a call that leaves only under one is durable, and its owner does not know yet.
    Marked,
    /// The request has left its process.
    Sent,
    /// The request is at its service, which does not know yet what to make of it.
    Asked,
    /// The service has made of it what it makes of it, and the answer is on its way.
    Acted,
    /// The answer is durable, and its owner knows.
    Recorded,
    /// A question stands on the desk.
    Asks,
}

#[derive(Clone, Debug)]
pub enum Act {
    /// What a service makes of a request.
    Fate(Fate),
    /// What befalls the process that owns the run.
    Fault(Fault),
    /// What is asked of the run.
    Ask(Incoming),
    /// What a person makes of an open question.
    Person { by: String, about: When, deed: Deed },
}

#[derive(Clone, Debug)]
pub enum Deed {
    Approve,
    Reject,
    Fill(Value),
    /// It acted, for all that anybody can tell by looking.
    Acted,
    NotActed,
    Repeat,
    /// A call that needs leave.
    Allow(bool),
}

#[derive(Debug, Default)]
pub struct Script {
    /// Lines whose moment has not come.
    pub cues: Vec<Cue>,
    /// What was refused, and why, in order.
    pub refused: Vec<String>,
    /// Calls as the script calls them.
    words: BTreeMap<(RunId, CallId), String>,
}

impl Script {
    pub fn new(cues: Vec<Cue>) -> Self {
        Self { cues, ..Self::default() }
    }

    /// How the script calls a call that was let out.
    pub fn word(&self, run: &RunId, call: &CallId) -> &str {
        self.words.get(&(run.clone(), call.clone())).map_or("", String::as_str)
    }

    /// The first line for this moment, which is used up.
    fn take(&mut self, when: &When) -> Option<Cue> {
        let is_it = |cue: &Cue| matches!(&cue.moment, Moment::When(moment) if moment == when);
        let place = self.cues.iter().position(is_it)?;
        Some(self.cues.remove(place))
    }
}

/// How a script calls a call: by its node, by an agent's node and what it asks for, `undo` behind what undoes it.
fn word_of(kind: Option<&str>, effect: &EffectId, tool: &str) -> String {
    let node = &effect.call.node;
    let word = if kind == Some("agent") { format!("{node}.{tool}") } else { node.to_string() };
    if effect.call.role == Role::Undo { format!("{word} undo") } else { word }
}

impl Simulation<'_> {
    /// Puts on the agenda what the script says by the clock.
    pub(super) fn open_script(&mut self) {
        let Some(script) = &mut self.script else { return };
        let by_clock: Vec<Cue> = script.cues.extract_if(.., |cue| matches!(cue.moment, Moment::At(_))).collect();
        for cue in by_clock {
            if let Moment::At(at) = cue.moment {
                let run = root();
                self.put(self.now + at + cue.after, Happening::Cued { run, act: Box::new(cue.act) });
            }
        }
    }

    /// Whether something that may go either way goes the worse one: never where a script says what goes wrong.
    pub(super) fn coin(&mut self, percent: u64) -> bool {
        self.script.is_none() && self.rng.chance(percent)
    }

    /// What a call's service makes of it, by the script.
    pub(super) fn scripted_fate(&mut self, place: &Place, send: &Send) -> Option<Fate> {
        let word = self.word(place, send);
        let script = self.script.as_mut()?;
        let when = When { run: place.run.clone(), what: word, stage: Stage::Asked };
        match script.take(&when).map(|cue| cue.act) {
            Some(Act::Fate(fate)) => Some(fate),
            _ => Some(Fate::Done),
        }
    }

    fn word(&mut self, place: &Place, send: &Send) -> String {
        let tool = match &send.what {
            What::Tool(call) => call.tool.as_str(),
            What::Model { .. } => "model",
            What::Code { .. } => "program",
            What::Step { .. } => "thinker",
        };
        let task = self.processes[place.process].tasks.get(&place.run);
        let kind = task.and_then(|task| kind_of(task.owner.run().workflow()?, &send.effect.call.node));
        let word = word_of(kind, &send.effect, tool);
        if let Some(script) = &mut self.script {
            // A process that was killed has forgotten what its calls were called.
            return script.words.entry((place.run.clone(), send.effect.call.clone())).or_insert(word).clone();
        }
        word
    }

    pub(super) fn cue_call(&mut self, place: &Place, send: &Send, stage: Stage) {
        if self.script.is_some() {
            let what = self.word(place, send);
            self.cue(Some(place), When { run: place.run.clone(), what, stage });
        }
    }

    /// Calls whose marker (before its owner knows) or whose outcome (once it does) an entry holds.
    pub(super) fn cue_entry(&mut self, place: &Place, entry: Option<&[u8]>, stage: Stage) {
        let Some(script) = &self.script else { return };
        let entry = entry.and_then(|entry| decode(entry).ok());
        let calls = entry.into_iter().flat_map(|entry| entry.events).filter_map(|event| match (stage, event) {
            (Stage::Marked, Event::Sending { effect, .. }) => Some(effect.call),
            (Stage::Recorded, Event::Done(done) | Event::ArrivedLate(done)) => Some(done.effect.call),
            (Stage::Recorded, Event::NotDone { effect, .. } | Event::NotUndone { effect, .. }) => Some(effect.call),
            _ => None,
        });
        let words: Vec<String> =
            calls.filter_map(|call| script.words.get(&(place.run.clone(), call)).cloned()).collect();
        for what in words {
            self.cue(Some(place), When { run: place.run.clone(), what, stage });
        }
    }

    /// Notes what the script calls a call that is about to be let out.
    pub(super) fn name_call(&mut self, place: &Place, send: &Send) {
        if self.script.is_some() {
            self.word(place, send);
        }
    }

    pub(super) fn cue_question(&mut self, item: &DeskItem) {
        if self.script.is_some()
            && let Some(run) = item.run.clone()
        {
            self.cue(None, When { run, what: about(item), stage: Stage::Asks });
        }
    }

    fn cue(&mut self, place: Option<&Place>, when: When) {
        let Some(cue) = self.script.as_mut().and_then(|script| script.take(&when)) else { return };
        match (place, &cue.act) {
            (Some(place), Act::Fault(fault)) if cue.after.is_zero() => self.strike(place, *fault),
            _ => self.put(self.now + cue.after, Happening::Cued { run: when.run, act: Box::new(cue.act) }),
        }
    }

    pub(super) fn cued(&mut self, run: &RunId, act: Act) {
        match act {
            Act::Fault(fault) => match self.awake_at(run) {
                Some(place) => self.strike(&place, fault),
                None => self.violate("script", format!("`{run}` is awake nowhere, and {fault:?} was to strike there")),
            },
            Act::Ask(incoming) => self.ask(&root(), &incoming),
            Act::Person { by, about, deed } => self.answers(by, &about, deed),
            Act::Fate(fate) => self.violate("script", format!("{fate:?} befalls no call")),
        }
    }

    fn ask(&mut self, run: &RunId, incoming: &Incoming) {
        let number = self.number();
        if let Some(submit) = self.written(run, format!("script/{number}"), incoming) {
            self.submit(submit);
        }
    }

    fn answers(&mut self, by: String, asked: &When, deed: Deed) {
        let items = self.books.open_desk(&tenant(), Some(&asked.run));
        let item = items.into_iter().find(|item| about(item) == asked.what);
        let node = || baton_core::run::Address::parse(&asked.what);
        let effect = item.as_ref().and_then(effect_of);
        let incoming = match (deed, effect) {
            // Somebody may also answer what is not asked any more.
            (Deed::Approve, _) => {
                Incoming::Answer { node: node(), by: by.into(), decision: Decision::Approve { note: String::new() } }
            }
            (Deed::Reject, _) => {
                Incoming::Answer { node: node(), by: by.into(), decision: Decision::Reject { note: String::new() } }
            }
            (Deed::Fill(form), _) => {
                Incoming::Answer { node: node(), by: by.into(), decision: Decision::Fill { form } }
            }
            (Deed::Allow(approved), Some(effect)) => {
                Incoming::Approve { effect, by: by.into(), approved, note: String::new() }
            }
            (Deed::Acted, Some(effect)) => {
                let output = self.services.did(&effect.key(&asked.run)).cloned().unwrap_or_default();
                Incoming::Resolve { effect, by, resolution: Resolution::Done { output } }
            }
            (Deed::NotActed, Some(effect)) => Incoming::Resolve { effect, by, resolution: Resolution::NotDone },
            (Deed::Repeat, Some(effect)) => Incoming::Resolve { effect, by, resolution: Resolution::Repeat },
            (deed, None) => {
                return self.violate("script", format!("nobody asks about `{}`: {deed:?}", asked.what));
            }
        };
        self.ask(&asked.run, &incoming);
    }
}

/// What a desk item is about, as a script calls it.
pub fn about(item: &DeskItem) -> String {
    match effect_of(item) {
        Some(effect) => word_of(None, &effect, ""),
        None => address_of(item).map(|node| node.to_string()).unwrap_or_default(),
    }
}

/// The run a scenario starts.
pub fn root() -> RunId {
    "r0".into()
}

/// A message of the customer.
pub fn message(text: &str) -> Signal {
    signal(MESSAGE, json!({ "text": text }))
}

pub fn signal(name: &str, payload: Value) -> Signal {
    Signal {
        name: name.to_owned(),
        payload: Arc::new(payload),
        source: String::new(),
        sequence: None,
        after_gap: false,
    }
}
