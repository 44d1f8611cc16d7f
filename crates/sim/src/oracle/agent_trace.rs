//! An agent with a shipped step function continues at the same step, whichever process runs it: it makes one model call
//! at a time and none twice; each request contains every recorded reply and the results of every call; and it requests
//! exactly the tools that its step names. All of this is judged from the journal, whose requests are what is sent
//! (`arguments`).

use std::collections::{BTreeMap, VecDeque};

use baton_core::agent::{AgentStep, AgentTask};
use baton_core::model::{ModelMessage, ModelReply, ModelRequest};
use baton_core::run::{CallId, CallOutput, CallRole, EffectRequest, NodeAddress, NodeWait, RunEvent, RunReopened};
use serde_json::Value;

use super::{PromiseViolation, RunHistory, violation};
use crate::draw::is_shipped;

/// The text that a model gets for a call without a result.
const LOST: &str = "no result was recorded for this call";

/// What the journal says of the steps of one agent.
#[derive(Default)]
struct AgentTrace {
    asked: Vec<ModelRequest>,
    /// The model call in flight.
    pending_call: Option<CallId>,
    replies: Vec<ModelReply>,
    /// Tools that its last step requested, and that no call was made of yet.
    requested_calls: VecDeque<(String, Value)>,
}

type AgentTraces<'c> = BTreeMap<&'c NodeAddress, AgentTrace>;

pub fn check(history: &RunHistory) -> Result<(), PromiseViolation> {
    let mut traces = AgentTraces::new();
    for event in history.events() {
        // What a retry keeps and what it starts again is covered by its own tests.
        if matches!(event, RunEvent::Reopened(reopened) if matches!(**reopened, RunReopened::Retry { .. })) {
            return Ok(());
        }
        if let Err(what) = recorded(&mut traces, event) {
            return violation("thoughts", format!("in `{}`: {what}", history.run));
        }
    }
    Ok(())
}

fn recorded<'c>(traces: &mut AgentTraces<'c>, event: &'c RunEvent) -> Result<(), String> {
    match event {
        RunEvent::Began { node, wait } => {
            if let NodeWait::Agent { task, .. } = &**wait {
                begin_trace(traces, node, task);
            }
            Ok(())
        }
        RunEvent::AgentReplaced { node, task, .. } => {
            begin_trace(traces, node, task);
            Ok(())
        }
        RunEvent::Stepped { node, step } => traces.get_mut(node).map_or(Ok(()), |trace| trace.check_step(node, step)),
        RunEvent::RequestRefused { node, tool, .. } => {
            traces.get_mut(node).map_or(Ok(()), |trace| trace.check_call(node, tool, None))
        }
        RunEvent::Scheduled(scheduled) if scheduled.effect.call.role == CallRole::Act => {
            let call = &scheduled.effect.call;
            let Some(trace) = traces.get_mut(&call.node) else { return Ok(()) };
            match &scheduled.request {
                EffectRequest::Tool { tool, arguments, .. } => trace.check_call(&call.node, tool, Some(arguments)),
                EffectRequest::Model(request) => trace.check_request(call, request),
                EffectRequest::Code { .. } | EffectRequest::Step { .. } => Ok(()),
            }
        }
        RunEvent::Done(done) => {
            let call = &done.effect.call;
            if let (CallOutput::Model(reply), Some(trace)) = (&done.output, traces.get_mut(&call.node)) {
                trace.replies.push((**reply).clone());
                trace.settled(call);
            }
            Ok(())
        }
        RunEvent::NotDone { effect, again_at: None, .. } => {
            settled(traces, &effect.call);
            Ok(())
        }
        RunEvent::Abandoned { call } => {
            settled(traces, call);
            Ok(())
        }
        // Compensations, attempts that are repeated as the same call, and events that concern no agent.
        RunEvent::Scheduled(_)
        | RunEvent::NotDone { again_at: Some(_), .. }
        | RunEvent::Started(_)
        | RunEvent::Sending { .. }
        | RunEvent::Unsent { .. }
        | RunEvent::TakenOver { .. }
        | RunEvent::Degraded { .. }
        | RunEvent::HoldLost { .. }
        | RunEvent::Doubted { .. }
        | RunEvent::Resolved { .. }
        | RunEvent::Blocked { .. }
        | RunEvent::Unblocked { .. }
        | RunEvent::Approved { .. }
        | RunEvent::Replied { .. }
        | RunEvent::ArrivedLate(_)
        | RunEvent::Ended(_)
        | RunEvent::CustomerAsked { .. }
        | RunEvent::VariableSet { .. }
        | RunEvent::ScopeOpened { .. }
        | RunEvent::ScopeWinding { .. }
        | RunEvent::ScopeClosed { .. }
        | RunEvent::BranchesCut { .. }
        | RunEvent::SignalKept { .. }
        | RunEvent::SignalTaken { .. }
        | RunEvent::SignalHeld { .. }
        | RunEvent::Answered { .. }
        | RunEvent::Paused { .. }
        | RunEvent::Resumed { .. }
        | RunEvent::NodeWinding { .. }
        | RunEvent::ChildCancelling { .. }
        | RunEvent::Winding { .. }
        | RunEvent::Compensating
        | RunEvent::NotUndone { .. }
        | RunEvent::UndoAgain { .. }
        | RunEvent::UndoneByHand { .. }
        | RunEvent::ChildUndoing { .. }
        | RunEvent::ChildUndone { .. }
        | RunEvent::Aftermath
        | RunEvent::Finished(_)
        | RunEvent::Reopened(_)
        | RunEvent::Forked(_)
        | RunEvent::JournalFilling { .. } => Ok(()),
    }
}

fn text_of(message: &ModelMessage) -> &str {
    let (ModelMessage::System { content, .. }
    | ModelMessage::User { content, .. }
    | ModelMessage::Assistant { content, .. }
    | ModelMessage::Tool { content, .. }) = message;
    content
}

fn begin_trace<'c>(traces: &mut AgentTraces<'c>, node: &'c NodeAddress, task: &AgentTask) {
    traces.remove(node);
    if is_shipped(&task.agent.name) {
        traces.insert(node, AgentTrace::default());
    }
}

fn settled(traces: &mut AgentTraces<'_>, call: &CallId) {
    if let Some(trace) = traces.get_mut(&call.node) {
        trace.settled(call);
    }
}

impl AgentTrace {
    fn check_step(&mut self, node: &NodeAddress, step: &AgentStep) -> Result<(), String> {
        if let Some((tool, _)) = self.requested_calls.front() {
            return Err(format!("`{node}` goes on, and `{tool}` was asked for and never called"));
        }
        if let AgentStep::RequestTools(requests) = step {
            self.requested_calls.extend(requests.iter().map(|one| (one.tool.clone(), one.arguments.clone())));
        }
        Ok(())
    }

    /// A requested call is made or refused.
    fn check_call(&mut self, node: &NodeAddress, tool: &str, arguments: Option<&Value>) -> Result<(), String> {
        match self.requested_calls.pop_front() {
            Some((wanted, with)) if wanted == tool && arguments.is_none_or(|arguments| *arguments == with) => Ok(()),
            wanted => Err(format!("`{node}` calls `{tool}` with {arguments:?}, and {wanted:?} was asked for")),
        }
    }

    fn check_request(&mut self, call: &CallId, request: &ModelRequest) -> Result<(), String> {
        if let Some(out) = self.pending_call.replace(call.clone()) {
            return Err(format!("{call:?} asks the model while {out:?} is out"));
        }
        if self.asked.contains(request) {
            return Err(format!("{call:?} asks the model what it was asked before"));
        }
        self.asked.push(request.clone());
        let heard = request.messages.iter().filter_map(|message| match message {
            ModelMessage::Assistant { content, .. } => Some(content.as_str()),
            ModelMessage::System { .. } | ModelMessage::User { .. } | ModelMessage::Tool { .. } => None,
        });
        let heard: Vec<&str> = heard.collect();
        // In the text protocol, a reply is sent back only up to its action.
        let is_heard = |(reply, heard): (&ModelReply, &&str)| reply.content.starts_with(heard);
        if heard.len() != self.replies.len() || !self.replies.iter().zip(&heard).all(is_heard) {
            let said: Vec<&str> = self.replies.iter().map(|reply| reply.content.as_str()).collect();
            return Err(format!("the model said {said:?}, and {call:?} goes on from {heard:?}"));
        }
        if request.messages.iter().any(|message| text_of(message).contains(LOST)) {
            return Err(format!("{call:?} tells of a call whose result was recorded as of one that is lost"));
        }
        let calls: usize = self.replies.iter().map(|reply| reply.tool_calls.len()).sum();
        let shown = request.messages.iter().filter(|message| matches!(message, ModelMessage::Tool { .. })).count();
        if calls == shown {
            Ok(())
        } else {
            Err(format!("the model asked for {calls} calls, and {call:?} tells of {shown}"))
        }
    }

    fn settled(&mut self, call: &CallId) {
        self.pending_call.take_if(|out| out == call);
    }
}
