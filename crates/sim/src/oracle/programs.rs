//! A program continues where it paused, with the results of its calls, in the order in which it made them.

use std::collections::BTreeMap;

use baton_core::agent::{AgentStep, ProgramOutcome, SandboxProgram};
use baton_core::run::{
    CallId, CallOutput, CallRole, CallScheduled, EffectRequest, NodeAddress, NodeWait, OutageAction, RunEvent,
};
use serde_json::Value;

use super::{PromiseViolation, RunHistory, violation};
use crate::sandbox;

/// Whether a call succeeded and its result; `None` while it is in flight.
type ProgramCallResult = Option<(bool, Value)>;

/// What the journal says of one agent's program.
#[derive(Default)]
struct ProgramHistory {
    /// The program as it was scheduled last.
    program: Option<SandboxProgram>,
    /// Where it is paused.
    paused: Option<baton_core::agent::ProgramSnapshot>,
    /// The number of calls since it began, and the number of its last calls.
    calls: usize,
    last: usize,
    /// The tool calls scheduled since it paused, in order, with their success and result. One that was abandoned has no
    /// id until a retry schedules it again.
    results: Vec<(Option<CallId>, ProgramCallResult)>,
}

pub fn check(history: &RunHistory) -> Result<(), PromiseViolation> {
    let mut agents: BTreeMap<&NodeAddress, ProgramHistory> = BTreeMap::new();
    for event in history.events() {
        let told = match event {
            RunEvent::Began { node, wait } if matches!(**wait, NodeWait::Agent { .. }) => {
                agents.insert(node, ProgramHistory::default());
                Ok(())
            }
            RunEvent::AgentReplaced { node, .. } => {
                agents.insert(node, ProgramHistory::default());
                Ok(())
            }
            RunEvent::Stepped { node, step } if matches!(**step, AgentStep::AskModel(_)) => {
                agents.insert(node, ProgramHistory::default());
                Ok(())
            }
            RunEvent::Scheduled(scheduled) if scheduled.effect.call.role == CallRole::Act => {
                let told = agents.get_mut(&scheduled.effect.call.node);
                told.map_or(Ok(()), |told| told.scheduled(scheduled))
            }
            RunEvent::Done(done) if done.effect.call.role == CallRole::Act => {
                let told = agents.get_mut(&done.effect.call.node);
                told.map_or(Ok(()), |told| told.done(&done.effect.call, &done.output))
            }
            RunEvent::Degraded { effect, detour: OutageAction::Answered { output }, .. } => {
                if let Some(told) = agents.get_mut(&effect.call.node) {
                    told.result(&effect.call, (true, (**output).clone()));
                }
                Ok(())
            }
            RunEvent::NotDone { effect, again_at: None, .. }
            | RunEvent::Degraded { effect, detour: OutageAction::Refused, .. } => {
                if let Some(told) = agents.get_mut(&effect.call.node) {
                    told.failed(&effect.call);
                }
                Ok(())
            }
            RunEvent::Abandoned { call } => {
                if let Some(told) = agents.get_mut(&call.node) {
                    told.abandoned(call);
                }
                Ok(())
            }
            _ => Ok(()),
        };
        if let Err(what) = told {
            return violation("programs", format!("in `{}`: {what}", history.run));
        }
    }
    Ok(())
}

impl ProgramHistory {
    fn scheduled(&mut self, scheduled: &CallScheduled) -> Result<(), String> {
        let call = &scheduled.effect.call;
        match &scheduled.request {
            EffectRequest::Tool { .. } => match self.results.iter_mut().find(|(known, _)| known.is_none()) {
                Some((abandoned, _)) => *abandoned = Some(call.clone()),
                None => self.results.push((Some(call.clone()), None)),
            },
            EffectRequest::Code { program, .. } => {
                self.check_continuation(program).map_err(|what| format!("{}: {what}", scheduled.effect))?;
                self.program = Some((**program).clone());
            }
            EffectRequest::Model(_) | EffectRequest::Step { .. } => {}
        }
        Ok(())
    }

    fn check_continuation(&self, program: &SandboxProgram) -> Result<(), String> {
        match (program, &self.paused) {
            (SandboxProgram::Start { .. }, None) => Ok(()),
            (SandboxProgram::Start { .. }, Some(_)) => Err("a program under way was begun anew".to_owned()),
            (SandboxProgram::Resume { snapshot, results }, paused) => {
                if paused.as_ref() != Some(snapshot) {
                    return Err(format!("it stood still at {paused:?} and goes on from {snapshot:?}"));
                }
                let given: Vec<_> = results.iter().map(|one| Some((one.success, one.data.clone()))).collect();
                let known: Vec<_> =
                    self.results.iter().rev().take(self.last).rev().map(|(_, one)| one.clone()).collect();
                if given == known { Ok(()) } else { Err(format!("it is told {given:?}, and {known:?} came of it")) }
            }
            (SandboxProgram::Replay { calls, .. }, _) if calls.len() == self.calls => Ok(()),
            (SandboxProgram::Replay { calls, .. }, _) => {
                Err(format!("it made {} calls, and is replayed over {}", self.calls, calls.len()))
            }
        }
    }

    fn done(&mut self, call: &CallId, output: &CallOutput) -> Result<(), String> {
        match output {
            CallOutput::Tool(output) => self.result(call, (true, (**output).clone())),
            CallOutput::Model(_) | CallOutput::Step(_) => {}
            CallOutput::Code(ran) => return self.ran(ran),
        }
        Ok(())
    }

    fn ran(&mut self, ran: &ProgramOutcome) -> Result<(), String> {
        match ran {
            ProgramOutcome::Calls { calls, snapshot, .. } => {
                let version = snapshot.version.parse().unwrap_or_default();
                if self.program.as_ref().is_some_and(|program| sandbox::run(program, version) != *ran) {
                    return Err(format!("{:?} is recorded to have come to {ran:?}", self.program));
                }
                self.paused = Some(snapshot.clone());
                (self.calls, self.last) = (self.calls + calls.len(), calls.len());
            }
            ProgramOutcome::Finished { .. } | ProgramOutcome::Failed { .. } => *self = Self::default(),
            ProgramOutcome::Stale => {}
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
