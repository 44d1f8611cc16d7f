//! Messages between runs: a parent starts, stops and rolls back its children, and a child reports its end. Each is part
//! of the append that decided it, under an id derived from it, so duplicate delivery is harmless.

use std::sync::Arc;

use baton_core::conversation::{ConversationCommand, RunResult, RunUpdate};
use baton_core::fault::{Fault, code};
use baton_core::id::{RunId, TenantId};
use baton_core::run::{
    ChildResult, IncomingCommand, MESSAGE, NodeAddress, NodeWait, Run, RunEvent, RunFinished, RunOrigin, RunRefusal,
    RunStarted, RunState, Signal,
};
use baton_core::time::Time;
use baton_ports::journal::{AggregateKind, InboxSubmission, NewAggregate};

/// The messages to other runs that follow from these events, which are already folded into `run`.
pub fn run_messages(
    tenant: &TenantId,
    run: &Run,
    events: &[RunEvent],
    now: Time,
) -> Result<Vec<InboxSubmission>, serde_json::Error> {
    let Some(started) = run.started() else { return Ok(Vec::new()) };
    let mut messages = Vec::new();
    for (place, event) in events.iter().enumerate() {
        if let Some((conversation, said)) = conversation_update(run, started, event) {
            let command_id = format!("{}/says/{}.{place}", started.run, run.events());
            messages.push(to_conversation(tenant, conversation, command_id, &said, now)?);
        }
        let Some((to, command_id, incoming, creates)) = run_message(run, started, event) else { continue };
        messages.push(InboxSubmission {
            aggregate: to,
            tenant: tenant.clone(),
            command_id,
            payload: serde_json::to_vec(&incoming)?.into(),
            at: now,
            creates,
        });
    }
    Ok(messages)
}

fn run_message(
    run: &Run,
    started: &RunStarted,
    event: &RunEvent,
) -> Option<(RunId, String, IncomingCommand, Option<NewAggregate>)> {
    match event {
        RunEvent::Began { node, wait } => {
            let NodeWait::Child { run: child, bundle, input, limit, .. } = &**wait else { return None };
            let depth = match &started.origin {
                RunOrigin::Caller | RunOrigin::Conversation { .. } => 0,
                RunOrigin::Parent { depth, .. } => *depth,
            };
            let start = RunStarted {
                run: child.clone(),
                bundle: bundle.clone(),
                input: input.clone(),
                origin: RunOrigin::Parent {
                    run: started.run.clone(),
                    node: node.clone(),
                    depth: depth + 1,
                    max_cost: *limit,
                },
                ..started.clone()
            };
            let workflow = run.workflow().map(|workflow| workflow.name.clone()).unwrap_or_default();
            let creates = NewAggregate {
                kind: AggregateKind::Run,
                workflow: format!("{workflow}/{}", node.node),
                parent: Some(started.run.clone()),
                owner: None,
            };
            Some((child.clone(), "start".to_owned(), IncomingCommand::Start(Box::new(start)), Some(creates)))
        }
        RunEvent::ChildCancelling { run: child, .. } => {
            let cancel =
                IncomingCommand::Cancel { by: parent_name(started), compensate: true, asked_by: askers(started) };
            Some((child.clone(), "parent/cancel".to_owned(), cancel, None))
        }
        RunEvent::ChildUndoing { run: child, .. } => {
            let rollback = IncomingCommand::Rollback { by: parent_name(started), asked_by: askers(started) };
            Some((child.clone(), format!("parent/rollback/{}", run.events()), rollback, None))
        }
        RunEvent::Finished(finished) => {
            let RunOrigin::Parent { run: parent, node, .. } = &started.origin else { return None };
            let id = format!("{}/ended/{}", started.run, run.events());
            Some((parent.clone(), id, report(run, started, node, finished), None))
        }
        _ => None,
    }
}

/// What a run that a conversation started reports to it.
fn conversation_update<'r>(
    run: &Run,
    started: &'r RunStarted,
    event: &RunEvent,
) -> Option<(&'r RunId, ConversationCommand)> {
    let RunOrigin::Conversation { conversation } = &started.origin else { return None };
    let heard = || RunUpdate::of(run, &started.run, conversation);
    let said = match event {
        RunEvent::CustomerAsked { question, .. } => {
            ConversationCommand::RunAsked(RunUpdate { question: Some(question.clone()), ..heard() })
        }
        RunEvent::Began { wait, .. } if matches!(&**wait, NodeWait::Signal { name, .. } if name == MESSAGE) => {
            ConversationCommand::RunAsked(heard())
        }
        RunEvent::Finished(finished) => {
            ConversationCommand::RunEnded(Box::new(RunResult::of(run, &started.run, conversation, finished)))
        }
        _ => return None,
    };
    Some((conversation, said))
}

fn to_conversation(
    tenant: &TenantId,
    conversation: &RunId,
    command_id: String,
    said: &ConversationCommand,
    now: Time,
) -> Result<InboxSubmission, serde_json::Error> {
    let payload = serde_json::to_vec(said)?.into();
    Ok(InboxSubmission {
        aggregate: conversation.clone(),
        tenant: tenant.clone(),
        command_id,
        payload,
        at: now,
        creates: None,
    })
}

/// The notice to send if an item is refused.
pub enum RefusalNotice {
    Nothing,
    /// To the parent that requested a rollback.
    Rollback,
    /// To the conversation that handed over a message.
    Message {
        source: String,
        sequence: u64,
    },
    /// To the conversation that started the run.
    Start {
        run: RunId,
        conversation: RunId,
    },
}

impl RefusalNotice {
    pub fn of(incoming: &IncomingCommand) -> Self {
        match incoming {
            IncomingCommand::Rollback { .. } => Self::Rollback,
            IncomingCommand::Signal(Signal { source, sequence: Some(sequence), .. }) => {
                Self::Message { source: source.clone(), sequence: *sequence }
            }
            IncomingCommand::Start(started) => match &started.origin {
                RunOrigin::Conversation { conversation } => {
                    Self::Start { run: started.run.clone(), conversation: conversation.clone() }
                }
                RunOrigin::Caller | RunOrigin::Parent { .. } => Self::Nothing,
            },
            _ => Self::Nothing,
        }
    }

    /// Builds the message.
    pub fn into_message(
        self,
        tenant: &TenantId,
        run: &Run,
        item: i64,
        refusal: &RunRefusal,
        now: Time,
    ) -> Result<Option<InboxSubmission>, serde_json::Error> {
        match self {
            Self::Nothing => Ok(None),
            Self::Rollback => undone(tenant, run, item, now),
            Self::Message { source, sequence } => match run.started() {
                Some(RunStarted { run, origin: RunOrigin::Conversation { conversation }, .. })
                    if conversation.as_str() == source =>
                {
                    let said = ConversationCommand::RunReturned { run: run.clone(), sequence };
                    to_conversation(tenant, conversation, format!("{run}/returned/{sequence}"), &said, now).map(Some)
                }
                _ => Ok(None),
            },
            Self::Start { run: id, conversation } => {
                let fault = Fault::new(code::INPUT_INVALID, refusal.to_string());
                let finished = RunFinished {
                    state: RunState::Failed,
                    output: Arc::default(),
                    fault: Some(fault),
                    rolled_back: false,
                    undone: None,
                };
                let said = ConversationCommand::RunEnded(Box::new(RunResult::of(run, &id, &conversation, &finished)));
                to_conversation(tenant, &conversation, format!("{id}/refused/{item}"), &said, now).map(Some)
            }
        }
    }
}

/// The people who requested a run, besides its customer and the caller that started it. They also count as requesters
/// of what it asks of a child.
fn askers(started: &RunStarted) -> Vec<String> {
    started.caller.also_asked.clone()
}

fn parent_name(started: &RunStarted) -> String {
    format!("run {}", started.run)
}

fn report(run: &Run, started: &RunStarted, node: &NodeAddress, finished: &RunFinished) -> IncomingCommand {
    if finished.rolled_back {
        let fault = finished.fault.clone().filter(|_| finished.state == baton_core::run::RunState::Failed);
        return IncomingCommand::ChildUndone { run: started.run.clone(), fault };
    }
    let ended = ChildResult {
        run: started.run.clone(),
        state: finished.state,
        output: finished.output.clone(),
        fault: finished.fault.clone(),
        cost: run.cost(),
        acted: run.saga().has_undoable(),
    };
    IncomingCommand::ChildEnded { node: node.clone(), ended }
}

/// The answer to a rollback that a child refused: it has nothing to undo, or cannot.
fn undone(tenant: &TenantId, run: &Run, item: i64, now: Time) -> Result<Option<InboxSubmission>, serde_json::Error> {
    let Some(started) = run.started() else { return Ok(None) };
    let RunOrigin::Parent { run: parent, .. } = &started.origin else { return Ok(None) };
    let nothing_left = !run.saga().has_undoable() && !run.saga().has_failed();
    let fault = (!nothing_left).then(|| {
        baton_core::fault::Fault::new(
            baton_core::fault::code::ROLLBACK_REFUSED,
            format!("`{}` is {}", started.run, run.state()),
        )
    });
    let incoming = IncomingCommand::ChildUndone { run: started.run.clone(), fault };
    Ok(Some(InboxSubmission {
        aggregate: parent.clone(),
        tenant: tenant.clone(),
        command_id: format!("{}/undone/{item}", started.run),
        payload: Arc::from(serde_json::to_vec(&incoming)?),
        at: now,
        creates: None,
    }))
}
