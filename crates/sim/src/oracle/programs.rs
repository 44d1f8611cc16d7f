//! A program goes on where it stopped, with what its calls came to, in the order it made them.

use std::collections::BTreeMap;

use baton_core::agent::{Program, Ran, Step};
use baton_core::run::{Address, Answer, Began, CallId, Detour, Event, Request, Role, Scheduled};
use serde_json::Value;

use super::{Chronicle, Violation, broken};
use crate::sandbox;

/// Whether and with what a call was done; nothing while it is out.
type Outcome = Option<(bool, Value)>;

/// What the journal says of one agent's program.
#[derive(Default)]
struct Told {
    /// What it was scheduled as last.
    program: Option<Program>,
    /// Where it stands still.
    paused: Option<baton_core::agent::Snapshot>,
    /// Calls it made since it began, and how many it made last.
    calls: usize,
    last: usize,
    /// The tool calls scheduled since it stopped, in order, with whether and with what each was done. One that was abandoned
    /// has no id until a retry schedules it anew.
    results: Vec<(Option<CallId>, Outcome)>,
}

pub fn check(chronicle: &Chronicle) -> Result<(), Violation> {
    let mut agents: BTreeMap<&Address, Told> = BTreeMap::new();
    for event in chronicle.events() {
        let told = match event {
            Event::Began { node, wait } if matches!(**wait, Began::Agent { .. }) => {
                agents.insert(node, Told::default());
                Ok(())
            }
            Event::AgentReplaced { node, .. } => {
                agents.insert(node, Told::default());
                Ok(())
            }
            Event::Stepped { node, step } if matches!(**step, Step::AskModel(_)) => {
                agents.insert(node, Told::default());
                Ok(())
            }
            Event::Scheduled(scheduled) if scheduled.effect.call.role == Role::Act => {
                let told = agents.get_mut(&scheduled.effect.call.node);
                told.map_or(Ok(()), |told| told.scheduled(scheduled))
            }
            Event::Done(done) if done.effect.call.role == Role::Act => {
                let told = agents.get_mut(&done.effect.call.node);
                told.map_or(Ok(()), |told| told.done(&done.effect.call, &done.output))
            }
            Event::Degraded { effect, detour: Detour::Answered { output }, .. } => {
                if let Some(told) = agents.get_mut(&effect.call.node) {
                    told.result(&effect.call, (true, (**output).clone()));
                }
                Ok(())
            }
            Event::NotDone { effect, again_at: None, .. } | Event::Degraded { effect, detour: Detour::Refused, .. } => {
                if let Some(told) = agents.get_mut(&effect.call.node) {
                    told.failed(&effect.call);
                }
                Ok(())
            }
            Event::Abandoned { call } => {
                if let Some(told) = agents.get_mut(&call.node) {
                    told.abandoned(call);
                }
                Ok(())
            }
            _ => Ok(()),
        };
        if let Err(what) = told {
            return broken("programs", format!("in `{}`: {what}", chronicle.run));
        }
    }
    Ok(())
}

impl Told {
    fn scheduled(&mut self, scheduled: &Scheduled) -> Result<(), String> {
        let call = &scheduled.effect.call;
        match &scheduled.request {
            Request::Tool { .. } => match self.results.iter_mut().find(|(known, _)| known.is_none()) {
                Some((abandoned, _)) => *abandoned = Some(call.clone()),
                None => self.results.push((Some(call.clone()), None)),
            },
            Request::Code { program, .. } => {
                self.goes_on(program).map_err(|what| format!("{}: {what}", scheduled.effect))?;
                self.program = Some((**program).clone());
            }
            Request::Model(_) | Request::Step { .. } => {}
        }
        Ok(())
    }

    fn goes_on(&self, program: &Program) -> Result<(), String> {
        match (program, &self.paused) {
            (Program::Start { .. }, None) => Ok(()),
            (Program::Start { .. }, Some(_)) => Err("a program under way was begun anew".to_owned()),
            (Program::Resume { snapshot, results }, paused) => {
                if paused.as_ref() != Some(snapshot) {
                    return Err(format!("it stood still at {paused:?} and goes on from {snapshot:?}"));
                }
                let given: Vec<_> = results.iter().map(|one| Some((one.success, one.data.clone()))).collect();
                let known: Vec<_> =
                    self.results.iter().rev().take(self.last).rev().map(|(_, one)| one.clone()).collect();
                if given == known { Ok(()) } else { Err(format!("it is told {given:?}, and {known:?} came of it")) }
            }
            (Program::Replay { calls, .. }, _) if calls.len() == self.calls => Ok(()),
            (Program::Replay { calls, .. }, _) => {
                Err(format!("it made {} calls, and is replayed over {}", self.calls, calls.len()))
            }
        }
    }

    fn done(&mut self, call: &CallId, output: &Answer) -> Result<(), String> {
        match output {
            Answer::Tool(output) => self.result(call, (true, (**output).clone())),
            Answer::Model(_) | Answer::Step(_) => {}
            Answer::Code(ran) => return self.ran(ran),
        }
        Ok(())
    }

    fn ran(&mut self, ran: &Ran) -> Result<(), String> {
        match ran {
            Ran::Calls { calls, snapshot, .. } => {
                let version = snapshot.version.parse().unwrap_or_default();
                if self.program.as_ref().is_some_and(|program| sandbox::run(program, version) != *ran) {
                    return Err(format!("{:?} is recorded to have come to {ran:?}", self.program));
                }
                self.paused = Some(snapshot.clone());
                (self.calls, self.last) = (self.calls + calls.len(), calls.len());
            }
            Ran::Finished { .. } | Ran::Failed { .. } => *self = Self::default(),
            Ran::Stale => {}
        }
        Ok(())
    }

    fn failed(&mut self, call: &CallId) {
        match self.results.iter().any(|(known, _)| known.as_ref() == Some(call)) {
            true => self.result(call, (false, Value::Null)),
            // The sandbox gave up on it.
            false => *self = Self::default(),
        }
    }

    fn result(&mut self, call: &CallId, result: (bool, Value)) {
        if let Some((_, known)) = self.results.iter_mut().find(|(known, _)| known.as_ref() == Some(call)) {
            *known = Some(result);
        }
    }

    fn abandoned(&mut self, call: &CallId) {
        if let Some((known, _)) = self.results.iter_mut().find(|(known, _)| known.as_ref() == Some(call)) {
            *known = None;
        }
    }
}
