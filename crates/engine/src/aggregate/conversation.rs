//! Conversations as aggregates: their messages to runs and to the routing queue, and their list projection.

use std::sync::Arc;

use baton_core::conversation::{
    Conversation, ConversationCommand, ConversationEvent, ConversationLine, ConversationOwner, ConversationRefusal,
    HandoverRequirements, LineAuthor, PinnedVersion, RoutingRequest,
};
use baton_core::id::TenantId;
use baton_core::mutant::{Mutant, planted};
use baton_core::run::{IncomingCommand, MESSAGE, RunOrigin, RunStarted, Signal};
use baton_core::time::Time;
use baton_core::tool::Caller;
use baton_ports::conversations::ConversationHead;
use baton_ports::journal::{AggregateId, AggregateKind, InboxSubmission, NewAggregate, ProjectionRow};
use serde_json::{Value, json};

use super::Aggregate;

/// The author recorded when a conversation that closes cancels its run.
const CLOSED_BY: &str = "conversation";
/// Maximum length of the last message shown in lists, in characters.
const SHOWN_CHARS_MAX: usize = 200;

/// The aggregate id of a tenant's routing queue. It contains a `/`, which no user-chosen id can contain.
pub fn routing_queue_id(tenant: &TenantId) -> AggregateId {
    AggregateId::new(format!("desk/{tenant}"))
}

impl Aggregate for Conversation {
    type Command = ConversationCommand;
    type Event = ConversationEvent;
    type Refusal = ConversationRefusal;

    fn wake_command() -> ConversationCommand {
        ConversationCommand::Wake
    }

    fn decide(
        &mut self,
        command: ConversationCommand,
        now: Time,
    ) -> Result<Vec<ConversationEvent>, ConversationRefusal> {
        Self::decide(self, command, now)
    }

    fn apply(&mut self, at: Time, event: &ConversationEvent) {
        Self::apply(self, at, event);
    }

    fn wake_at(&self) -> Option<Time> {
        Self::wake_at(self)
    }

    fn refusal_code(refusal: &ConversationRefusal) -> &'static str {
        refusal.code()
    }

    fn messages(
        &self,
        tenant: &TenantId,
        id: &AggregateId,
        events: &[ConversationEvent],
        now: Time,
    ) -> Result<Vec<InboxSubmission>, serde_json::Error> {
        let sender = ConversationOutbox { state: self, tenant, id, now };
        events.iter().filter_map(|event| sender.message(event).transpose()).collect()
    }

    fn projections(&self, tenant: &TenantId, id: &AggregateId, _: &[ConversationEvent], _: Time) -> Vec<ProjectionRow> {
        conversation_head(self, tenant, id)
            .map(|head| ProjectionRow::Conversation(Box::new(head)))
            .into_iter()
            .collect()
    }
}

struct ConversationOutbox<'c> {
    state: &'c Conversation,
    tenant: &'c TenantId,
    id: &'c AggregateId,
    now: Time,
}

impl ConversationOutbox<'_> {
    fn message(&self, event: &ConversationEvent) -> Result<Option<InboxSubmission>, serde_json::Error> {
        let id = self.id;
        Ok(match event {
            ConversationEvent::RunBegun { run, message, version, note } => {
                let Some(started) = self.run_started(run, *message, version, note.as_deref()) else { return Ok(None) };
                let creates = NewAggregate {
                    kind: AggregateKind::Run,
                    workflow: version.workflow.clone(),
                    parent: None,
                    owner: None,
                };
                let start = serde_json::to_vec(&IncomingCommand::Start(Box::new(started)))?;
                Some(self.submit(run.clone(), "start".to_owned(), start, Some(creates)))
            }
            ConversationEvent::Given { run, sequence, message, note } => {
                let Some(line) = self.state.outstanding_line(*message) else { return Ok(None) };
                let mut payload = json!({ "text": line.text, "message_id": line.message_id });
                if let Some(note) = note {
                    payload["note"] = note.as_str().into();
                }
                let signal = Signal {
                    name: MESSAGE.to_owned(),
                    payload: Arc::new(payload),
                    source: id.to_string(),
                    sequence: Some(*sequence),
                    after_gap: line.after_gap,
                };
                let signal = serde_json::to_vec(&IncomingCommand::Signal(signal))?;
                Some(self.submit(run.clone(), format!("{id}/message/{sequence}"), signal, None))
            }
            ConversationEvent::Closed { run: Some(run) } => {
                let cancel = serde_json::to_vec(&IncomingCommand::Cancel {
                    by: CLOSED_BY.to_owned(),
                    compensate: false,
                    asked_by: Vec::new(),
                })?;
                Some(self.submit(run.clone(), format!("{id}/closed/{}", self.state.line_count()), cancel, None))
            }
            ConversationEvent::Enqueued { number, skills } => {
                Some(self.enqueue(*number, skills.clone(), format!("{id}/enqueue/{number}"))?)
            }
            ConversationEvent::AskedAgain { number, attempt } => {
                let skills = self.state.handover().map(|handover| handover.skills.clone()).unwrap_or_default();
                Some(self.enqueue(*number, skills, format!("{id}/enqueue/{number}/{attempt}"))?)
            }
            ConversationEvent::ServiceLevelSet { service, change, .. } => match self.state.queue_ticket() {
                Some(number) => {
                    let promised = RoutingRequest::ServiceLevel { conversation: id.clone(), number, service: *service };
                    Some(self.to_routing(&promised, format!("{id}/service/{change}"))?)
                }
                None => None,
            },
            ConversationEvent::Said {
                line: ConversationLine { from: LineAuthor::Person { .. }, number: line, owned: Some(number), .. },
            } if self.state.queue_ticket().is_some() => {
                let answered = RoutingRequest::Answered { conversation: id.clone(), number: *number };
                Some(self.to_routing(&answered, format!("{id}/answered/{line}"))?)
            }
            ConversationEvent::TakenOver { left: Some(_), .. } if planted(Mutant::LeftUnsaid) => None,
            ConversationEvent::TakenOver { left: Some(left), .. }
            | ConversationEvent::GivenBack { left: Some(left), .. }
            | ConversationEvent::Resolved { left: Some(left), .. } => {
                let left_it = RoutingRequest::Left { conversation: id.clone(), number: *left };
                Some(self.to_routing(&left_it, format!("{id}/left/{left}"))?)
            }
            _ => None,
        })
    }

    /// Carries the conversation's place in the queue, also when it is enqueued again.
    fn enqueue(
        &self,
        number: u64,
        skills: Vec<String>,
        command_id: String,
    ) -> Result<InboxSubmission, serde_json::Error> {
        let language = self.state.begun().and_then(|begun| begun.caller.language.clone());
        let (conversation, wants) = (self.id.clone(), HandoverRequirements { skills, language });
        let waiting_since = self.state.waiting_since().unwrap_or(self.now);
        let service = self.state.service_level();
        self.to_routing(&RoutingRequest::Enqueue { conversation, number, wants, waiting_since, service }, command_id)
    }

    fn to_routing(&self, said: &RoutingRequest, command_id: String) -> Result<InboxSubmission, serde_json::Error> {
        let creates = NewAggregate { kind: AggregateKind::Desk, workflow: String::new(), parent: None, owner: None };
        Ok(self.submit(routing_queue_id(self.tenant), command_id, serde_json::to_vec(said)?, Some(creates)))
    }

    fn submit(
        &self,
        to: AggregateId,
        command_id: String,
        payload: Vec<u8>,
        creates: Option<NewAggregate>,
    ) -> InboxSubmission {
        let tenant = self.tenant.clone();
        InboxSubmission { aggregate: to, tenant, command_id, payload: payload.into(), at: self.now, creates }
    }

    fn run_started(
        &self,
        run: &AggregateId,
        message: u64,
        version: &PinnedVersion,
        note: Option<&str>,
    ) -> Option<RunStarted> {
        let begun = self.state.begun()?;
        let line = self.state.outstanding_line(message)?;
        let before = self.state.recent().filter(|one| one.number < message && one.from.is_public());
        let history: Vec<Value> = before.map(|line| json!({ "from": line.from.word(), "text": line.text })).collect();
        let input = json!({
            "message": line.text,
            "customer_message": line.text,
            "message_id": line.message_id,
            "conversation_id": self.id,
            "customer_id": begun.user.clone().unwrap_or_default(),
            "channel": begun.channel,
            "history": history,
            "note": note,
        });
        Some(RunStarted {
            run: run.clone(),
            tenant: self.tenant.clone(),
            bundle: version.bundle.clone(),
            input: Arc::new(input),
            context: begun.context.clone(),
            caller: Caller { conversation_id: Some(self.id.to_string()), ..begun.caller.clone() },
            origin: RunOrigin::Conversation { conversation: self.id.clone() },
        })
    }
}

/// A conversation as lists show it; `None` if it never began.
pub(crate) fn conversation_head(it: &Conversation, tenant: &TenantId, id: &AggregateId) -> Option<ConversationHead> {
    let begun = it.begun()?;
    let person = if let ConversationOwner::Person(person) = it.owner() { Some(person.clone()) } else { None };
    let handover = it.handover().filter(|_| it.state().is_hil());
    Some(ConversationHead {
        conversation: id.clone(),
        tenant: tenant.clone(),
        workflow: it.version().map(|version| version.workflow.clone()).unwrap_or_default(),
        state: it.state(),
        owner: it.owner().clone(),
        person,
        number: it.ownership_number(),
        user: begun.user.clone(),
        channel: begun.channel.clone(),
        hil_reason: handover.map(|handover| handover.trigger.word().to_owned()),
        confidence: it.confidence(),
        created_at: it.begun_at(),
        updated_at: it.now(),
        ended_at: it.ended_at(),
        messages: it.message_count(),
        runs: it.run_count(),
        cost: it.cost(),
        rating: it.rating().map(|(score, _)| score),
        handovers: it.handover_count(),
        handed_over_for: it.handover().map(|handover| handover.trigger.word().to_owned()),
        reopened: it.reopen_count(),
        waiting_since: it.waiting_since(),
        first_response_at: it.first_response_at(),
        erased_at: None,
        last: it.last_public_line().map(|line| line.text.chars().take(SHOWN_CHARS_MAX).collect()),
    })
}
