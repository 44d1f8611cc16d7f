//! Scripted events: the lines of a scenario, each at its moment. With a script there are no random faults, and people
//! and other systems do only what it says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use baton_core::id::RunId;
use baton_core::run::{
    CallId, CallRole, DoubtResolution, EffectId, HumanDecision, IncomingCommand, MESSAGE, RunEvent, Signal,
};
use baton_engine::decode;
use baton_engine::owner::{Attempt, CallRequest};
use baton_ports::journal::TaskItem;
use serde_json::{Value, json};

use super::external_input::{address_of, effect_of};
use super::{SimEvent, Simulation, tenant};
use crate::case::SimFault;
use crate::oracle::kind_of;
use crate::process::TaskAddress;
use crate::services::RequestFate;

/// One line of a script.
#[derive(Clone, Debug)]
pub struct ScriptLine {
    /// The source text, for messages.
    pub line: String,
    pub moment: ScriptMoment,
    /// The delay after its moment.
    pub after: Duration,
    pub action: ScriptAction,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScriptMoment {
    /// This long after the run was started.
    At(Duration),
    When(CallMoment),
}

/// A call or a question, and how far it has progressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallMoment {
    pub run: RunId,
    /// As returned by [`word_of`].
    pub call: String,
    pub stage: CallStage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallStage {
    /// The marker of a call that requires one is durable, and its owner does not know yet.
    Marked,
    /// The request has left its process.
    Sent,
    /// The request has reached its service, which has not decided on it yet.
    Asked,
    /// The service has handled the request, and the answer is in flight.
    Acted,
    /// The answer is durable, and its owner knows.
    Recorded,
    /// A question is in the task inbox.
    Asks,
}

#[derive(Clone, Debug)]
pub enum ScriptAction {
    /// How a service handles a request.
    SetFate(RequestFate),
    /// A fault of the process that owns the run.
    InjectFault(SimFault),
    /// A command to the run.
    Command(IncomingCommand),
    /// A person's action on an open question.
    Person { by: String, about: CallMoment, deed: PersonAction },
}

#[derive(Clone, Debug)]
pub enum PersonAction {
    Approve,
    Reject,
    Fill(Value),
    /// It acted, as far as a person can tell by checking.
    ConfirmActed,
    ConfirmNotActed,
    Repeat,
    /// A call that requires approval.
    Allow(bool),
}

#[derive(Debug, Default)]
pub struct SimScript {
    /// Lines whose moment has not occurred.
    pub lines: Vec<ScriptLine>,
    /// Refused commands and the reasons, in order.
    pub refused: Vec<String>,
    /// The script's names of calls.
    call_names: BTreeMap<(RunId, CallId), String>,
}

impl SimScript {
    pub fn new(cues: Vec<ScriptLine>) -> Self {
        Self { lines: cues, ..Self::default() }
    }

    /// The script's name of a call that was sent.
    pub fn word(&self, run: &RunId, call: &CallId) -> &str {
        self.call_names.get(&(run.clone(), call.clone())).map_or("", String::as_str)
    }

    /// The first line for this moment, which is then used up.
    fn take_line(&mut self, when: &CallMoment) -> Option<ScriptLine> {
        let is_it = |cue: &ScriptLine| matches!(&cue.moment, ScriptMoment::When(moment) if moment == when);
        let place = self.lines.iter().position(is_it)?;
        Some(self.lines.remove(place))
    }
}

/// The script's name of a call: its node, or an agent's node and the requested tool. The name of an undo ends in
/// `undo`.
fn word_of(kind: Option<&str>, effect: &EffectId, tool: &str) -> String {
    let node = &effect.call.node;
    let word = if kind == Some("agent") { format!("{node}.{tool}") } else { node.to_string() };
    if effect.call.role == CallRole::Undo { format!("{word} undo") } else { word }
}

impl Simulation<'_> {
    /// Schedules the script lines with a fixed time.
    pub(super) fn schedule_script(&mut self) {
        let Some(script) = &mut self.script else { return };
        let by_clock: Vec<ScriptLine> =
            script.lines.extract_if(.., |cue| matches!(cue.moment, ScriptMoment::At(_))).collect();
        for cue in by_clock {
            if let ScriptMoment::At(at) = cue.moment {
                let run = root();
                self.schedule(self.now + at + cue.after, SimEvent::ScriptedAction { run, act: Box::new(cue.action) });
            }
        }
    }

    /// Whether an uncertain event turns out badly: never if a script determines the faults.
    pub(super) fn chance_unless_scripted(&mut self, percent: u64) -> bool {
        self.script.is_none() && self.rng.chance(percent)
    }

    /// How a call's service handles it, by the script.
    pub(super) fn scripted_fate(&mut self, place: &TaskAddress, send: &Attempt) -> Option<RequestFate> {
        let word = self.word(place, send);
        let script = self.script.as_mut()?;
        let when = CallMoment { run: place.run.clone(), call: word, stage: CallStage::Asked };
        match script.take_line(&when).map(|cue| cue.action) {
            Some(ScriptAction::SetFate(fate)) => Some(fate),
            _ => Some(RequestFate::Done),
        }
    }

    fn word(&mut self, place: &TaskAddress, send: &Attempt) -> String {
        let tool = match &send.request {
            CallRequest::Tool(call) => call.tool.as_str(),
            CallRequest::Model { .. } => "model",
            CallRequest::Code { .. } => "program",
            CallRequest::Step { .. } => "thinker",
        };
        let task = self.processes[place.process].tasks.get(&place.run);
        let kind = task.and_then(|task| kind_of(task.owner.run().workflow()?, &send.effect.call.node));
        let word = word_of(kind, &send.effect, tool);
        if let Some(script) = &mut self.script {
            // A process that was killed has forgotten the names of its calls.
            return script.call_names.entry((place.run.clone(), send.effect.call.clone())).or_insert(word).clone();
        }
        word
    }

    pub(super) fn cue_call(&mut self, place: &TaskAddress, send: &Attempt, stage: CallStage) {
        if self.script.is_some() {
            let what = self.word(place, send);
            self.cue(Some(place), CallMoment { run: place.run.clone(), call: what, stage });
        }
    }

    /// Calls whose marker (before its owner knows) or whose outcome (once it does) is in an entry.
    pub(super) fn cue_entry(&mut self, place: &TaskAddress, entry: Option<&[u8]>, stage: CallStage) {
        let Some(script) = &self.script else { return };
        let entry = entry.and_then(|entry| decode(entry).ok());
        let calls = entry.into_iter().flat_map(|entry| entry.events).filter_map(|event| match (stage, event) {
            (CallStage::Marked, RunEvent::Sending { effect, .. }) => Some(effect.call),
            (CallStage::Recorded, RunEvent::Done(done) | RunEvent::ArrivedLate(done)) => Some(done.effect.call),
            (CallStage::Recorded, RunEvent::NotDone { effect, .. } | RunEvent::NotUndone { effect, .. }) => {
                Some(effect.call)
            }
            _ => None,
        });
        let words: Vec<String> =
            calls.filter_map(|call| script.call_names.get(&(place.run.clone(), call)).cloned()).collect();
        for what in words {
            self.cue(Some(place), CallMoment { run: place.run.clone(), call: what, stage });
        }
    }

    /// Records the script's name of a call that is about to be sent.
    pub(super) fn name_call(&mut self, place: &TaskAddress, send: &Attempt) {
        if self.script.is_some() {
            self.word(place, send);
        }
    }

    pub(super) fn cue_question(&mut self, item: &TaskItem) {
        if self.script.is_some()
            && let Some(run) = item.run.clone()
        {
            self.cue(None, CallMoment { run, call: subject_of(item), stage: CallStage::Asks });
        }
    }

    fn cue(&mut self, place: Option<&TaskAddress>, when: CallMoment) {
        let Some(cue) = self.script.as_mut().and_then(|script| script.take_line(&when)) else { return };
        match (place, &cue.action) {
            (Some(place), ScriptAction::InjectFault(fault)) if cue.after.is_zero() => self.inject_fault(place, *fault),
            _ => self
                .schedule(self.now + cue.after, SimEvent::ScriptedAction { run: when.run, act: Box::new(cue.action) }),
        }
    }

    pub(super) fn apply_script_action(&mut self, run: &RunId, act: ScriptAction) {
        match act {
            ScriptAction::InjectFault(fault) => match self.task_of(run) {
                Some(place) => self.inject_fault(&place, fault),
                None => self
                    .record_violation("script", format!("`{run}` is awake nowhere, and {fault:?} was to strike there")),
            },
            ScriptAction::Command(incoming) => self.ask(&root(), &incoming),
            ScriptAction::Person { by, about, deed } => self.answer_as(by, &about, deed),
            ScriptAction::SetFate(fate) => self.record_violation("script", format!("{fate:?} befalls no call")),
        }
    }

    fn ask(&mut self, run: &RunId, incoming: &IncomingCommand) {
        let number = self.next_number();
        if let Some(submit) = self.encode_item(run, format!("script/{number}"), incoming) {
            self.submit(submit);
        }
    }

    fn answer_as(&mut self, by: String, asked: &CallMoment, deed: PersonAction) {
        let items = self.journal.open_desk(&tenant(), Some(&asked.run));
        let item = items.into_iter().find(|item| subject_of(item) == asked.call);
        let node = || baton_core::run::NodeAddress::parse(&asked.call);
        let effect = item.as_ref().and_then(effect_of);
        let incoming = match (deed, effect) {
            // A person may also answer a question that is no longer open.
            (PersonAction::Approve, _) => IncomingCommand::Answer {
                node: node(),
                by: by.into(),
                decision: HumanDecision::Approve { note: String::new() },
            },
            (PersonAction::Reject, _) => IncomingCommand::Answer {
                node: node(),
                by: by.into(),
                decision: HumanDecision::Reject { note: String::new() },
            },
            (PersonAction::Fill(form), _) => {
                IncomingCommand::Answer { node: node(), by: by.into(), decision: HumanDecision::Fill { form } }
            }
            (PersonAction::Allow(approved), Some(effect)) => {
                IncomingCommand::Approve { effect, by: by.into(), approved, note: String::new() }
            }
            (PersonAction::ConfirmActed, Some(effect)) => {
                let output = self.services.result_of(&effect.key(&asked.run)).cloned().unwrap_or_default();
                IncomingCommand::Resolve { effect, by, resolution: DoubtResolution::Done { output } }
            }
            (PersonAction::ConfirmNotActed, Some(effect)) => {
                IncomingCommand::Resolve { effect, by, resolution: DoubtResolution::NotDone }
            }
            (PersonAction::Repeat, Some(effect)) => {
                IncomingCommand::Resolve { effect, by, resolution: DoubtResolution::Repeat }
            }
            (deed, None) => {
                return self.record_violation("script", format!("nobody asks about `{}`: {deed:?}", asked.call));
            }
        };
        self.ask(&asked.run, &incoming);
    }
}

/// The subject of a task inbox item, as a script names it.
pub fn subject_of(item: &TaskItem) -> String {
    match effect_of(item) {
        Some(effect) => word_of(None, &effect, ""),
        None => address_of(item).map(|node| node.to_string()).unwrap_or_default(),
    }
}

/// The run that a scenario starts.
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
