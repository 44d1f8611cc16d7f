//! An agent that thinks with a shipped step function goes on at the same thought, whoever thinks it: it asks its model one
//! thing at a time and nothing twice, and each request holds every reply that is recorded and the results of every call; it
//! asks for exactly the tools that its step names. All from the journal, whose requests are what leaves for the world
//! (`arguments`).

use std::collections::{BTreeMap, VecDeque};

use baton_core::agent::{Step, Task};
use baton_core::model::{Message, Reply, Request as Asked};
use baton_core::run::{Address, Answer, Began, CallId, Event, Reopened, Request, Role};
use serde_json::Value;

use super::{Chronicle, Violation, broken};
use crate::draw::is_shipped;

/// What a model is told of a call that has no result.
const LOST: &str = "no result was recorded for this call";

/// What the journal says of one agent's thoughts.
#[derive(Default)]
struct Mind {
    asked: Vec<Asked>,
    /// The model call that is out.
    out: Option<CallId>,
    replies: Vec<Reply>,
    /// Tools its last step asks for, and no call was made of yet.
    wanted: VecDeque<(String, Value)>,
}

type Minds<'c> = BTreeMap<&'c Address, Mind>;

pub fn check(chronicle: &Chronicle) -> Result<(), Violation> {
    let mut minds = Minds::new();
    for event in chronicle.events() {
        // What a retry keeps and what it begins again is the business of its own tests.
        if matches!(event, Event::Reopened(reopened) if matches!(**reopened, Reopened::Retry { .. })) {
            return Ok(());
        }
        if let Err(what) = recorded(&mut minds, event) {
            return broken("thoughts", format!("in `{}`: {what}", chronicle.run));
        }
    }
    Ok(())
}

fn recorded<'c>(minds: &mut Minds<'c>, event: &'c Event) -> Result<(), String> {
    match event {
        Event::Began { node, wait } => {
            if let Began::Agent { task, .. } = &**wait {
                begins(minds, node, task);
            }
            Ok(())
        }
        Event::AgentReplaced { node, task, .. } => {
            begins(minds, node, task);
            Ok(())
        }
        Event::Stepped { node, step } => minds.get_mut(node).map_or(Ok(()), |mind| mind.steps(node, step)),
        Event::RequestRefused { node, tool, .. } => {
            minds.get_mut(node).map_or(Ok(()), |mind| mind.calls(node, tool, None))
        }
        Event::Scheduled(scheduled) if scheduled.effect.call.role == Role::Act => {
            let call = &scheduled.effect.call;
            let Some(mind) = minds.get_mut(&call.node) else { return Ok(()) };
            match &scheduled.request {
                Request::Tool { tool, arguments, .. } => mind.calls(&call.node, tool, Some(arguments)),
                Request::Model(request) => mind.asks(call, request),
                Request::Code { .. } | Request::Step { .. } => Ok(()),
            }
        }
        Event::Done(done) => {
            let call = &done.effect.call;
            if let (Answer::Model(reply), Some(mind)) = (&done.output, minds.get_mut(&call.node)) {
                mind.replies.push((**reply).clone());
                mind.settled(call);
            }
            Ok(())
        }
        Event::NotDone { effect, again_at: None, .. } => {
            settled(minds, &effect.call);
            Ok(())
        }
        Event::Abandoned { call } => {
            settled(minds, call);
            Ok(())
        }
        // Compensations, attempts that are made again as the same call, and what is of nobody's thoughts.
        Event::Scheduled(_)
        | Event::NotDone { again_at: Some(_), .. }
        | Event::Started(_)
        | Event::Sending { .. }
        | Event::Unsent { .. }
        | Event::TakenOver { .. }
        | Event::Degraded { .. }
        | Event::HoldLost { .. }
        | Event::Doubted { .. }
        | Event::Resolved { .. }
        | Event::Blocked { .. }
        | Event::Unblocked { .. }
        | Event::Approved { .. }
        | Event::Replied { .. }
        | Event::ArrivedLate(_)
        | Event::Ended(_)
        | Event::CustomerAsked { .. }
        | Event::VariableSet { .. }
        | Event::ScopeOpened { .. }
        | Event::ScopeWinding { .. }
        | Event::ScopeClosed { .. }
        | Event::BranchesCut { .. }
        | Event::SignalKept { .. }
        | Event::SignalTaken { .. }
        | Event::SignalHeld { .. }
        | Event::Answered { .. }
        | Event::Paused { .. }
        | Event::Resumed { .. }
        | Event::NodeWinding { .. }
        | Event::ChildCancelling { .. }
        | Event::Winding { .. }
        | Event::Compensating
        | Event::NotUndone { .. }
        | Event::UndoAgain { .. }
        | Event::UndoneByHand { .. }
        | Event::ChildUndoing { .. }
        | Event::ChildUndone { .. }
        | Event::Aftermath
        | Event::Finished(_)
        | Event::Reopened(_)
        | Event::Forked(_)
        | Event::JournalFilling { .. } => Ok(()),
    }
}

fn text_of(message: &Message) -> &str {
    let (Message::System { content, .. }
    | Message::User { content, .. }
    | Message::Assistant { content, .. }
    | Message::Tool { content, .. }) = message;
    content
}

fn begins<'c>(minds: &mut Minds<'c>, node: &'c Address, task: &Task) {
    minds.remove(node);
    if is_shipped(&task.agent.name) {
        minds.insert(node, Mind::default());
    }
}

fn settled(minds: &mut Minds<'_>, call: &CallId) {
    if let Some(mind) = minds.get_mut(&call.node) {
        mind.settled(call);
    }
}

impl Mind {
    fn steps(&mut self, node: &Address, step: &Step) -> Result<(), String> {
        if let Some((tool, _)) = self.wanted.front() {
            return Err(format!("`{node}` goes on, and `{tool}` was asked for and never called"));
        }
        if let Step::RequestTools(requests) = step {
            self.wanted.extend(requests.iter().map(|one| (one.tool.clone(), one.arguments.clone())));
        }
        Ok(())
    }

    /// A call is made, or refused, of what was asked for.
    fn calls(&mut self, node: &Address, tool: &str, arguments: Option<&Value>) -> Result<(), String> {
        match self.wanted.pop_front() {
            Some((wanted, with)) if wanted == tool && arguments.is_none_or(|arguments| *arguments == with) => Ok(()),
            wanted => Err(format!("`{node}` calls `{tool}` with {arguments:?}, and {wanted:?} was asked for")),
        }
    }

    fn asks(&mut self, call: &CallId, request: &Asked) -> Result<(), String> {
        if let Some(out) = self.out.replace(call.clone()) {
            return Err(format!("{call:?} asks the model while {out:?} is out"));
        }
        if self.asked.contains(request) {
            return Err(format!("{call:?} asks the model what it was asked before"));
        }
        self.asked.push(request.clone());
        let heard = request.messages.iter().filter_map(|message| match message {
            Message::Assistant { content, .. } => Some(content.as_str()),
            Message::System { .. } | Message::User { .. } | Message::Tool { .. } => None,
        });
        let heard: Vec<&str> = heard.collect();
        // By text, a reply goes back up to its action.
        let is_heard = |(reply, heard): (&Reply, &&str)| reply.content.starts_with(heard);
        if heard.len() != self.replies.len() || !self.replies.iter().zip(&heard).all(is_heard) {
            let said: Vec<&str> = self.replies.iter().map(|reply| reply.content.as_str()).collect();
            return Err(format!("the model said {said:?}, and {call:?} goes on from {heard:?}"));
        }
        if request.messages.iter().any(|message| text_of(message).contains(LOST)) {
            return Err(format!("{call:?} tells of a call whose result was recorded as of one that is lost"));
        }
        let calls: usize = self.replies.iter().map(|reply| reply.tool_calls.len()).sum();
        let shown = request.messages.iter().filter(|message| matches!(message, Message::Tool { .. })).count();
        if calls == shown {
            Ok(())
        } else {
            Err(format!("the model asked for {calls} calls, and {call:?} tells of {shown}"))
        }
    }

    fn settled(&mut self, call: &CallId) {
        self.out.take_if(|out| out == call);
    }
}
