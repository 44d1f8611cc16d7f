//! A conversation, as the driver moves it: what it tells runs and the desk, and what lists show of it.

use std::sync::Arc;

use baton_core::conversation::{Author, Command, Conversation, Event, Line, Owner, Refusal, ToDesk, Version, Wants};
use baton_core::id::TenantId;
use baton_core::mutant::{Mutant, planted};
use baton_core::run::{Incoming, MESSAGE, Origin, Signal, Started};
use baton_core::time::Time;
use baton_core::tool::Caller;
use baton_ports::conversations::ConversationHead;
use baton_ports::journal::{AggregateId, Create, Kind, Projection, Submit};
use serde_json::{Value, json};

use super::Plain;

/// Who ends a run that nobody answered.
const CLOSES: &str = "conversation";
/// Characters of the last words that lists show.
const SHOWN_CHARS_MAX: usize = 200;

/// The name of a tenant's desk. No id that anybody may choose has a `/`.
pub fn desk_of(tenant: &TenantId) -> AggregateId {
    AggregateId::new(format!("desk/{tenant}"))
}

impl Plain for Conversation {
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn wake() -> Command {
        Command::Wake
    }

    fn decide(&mut self, command: Command, now: Time) -> Result<Vec<Event>, Refusal> {
        Self::decide(self, command, now)
    }

    fn apply(&mut self, at: Time, event: &Event) {
        Self::apply(self, at, event);
    }

    fn wake_at(&self) -> Option<Time> {
        Self::wake_at(self)
    }

    fn code(refusal: &Refusal) -> &'static str {
        refusal.code()
    }

    fn messages(
        &self,
        tenant: &TenantId,
        id: &AggregateId,
        events: &[Event],
        now: Time,
    ) -> Result<Vec<Submit>, serde_json::Error> {
        let sender = Sender { it: self, tenant, id, now };
        events.iter().filter_map(|event| sender.message(event).transpose()).collect()
    }

    fn projections(&self, tenant: &TenantId, id: &AggregateId, _: &[Event], _: Time) -> Vec<Projection> {
        head(self, tenant, id).map(|head| Projection::Conversation(Box::new(head))).into_iter().collect()
    }
}

struct Sender<'c> {
    it: &'c Conversation,
    tenant: &'c TenantId,
    id: &'c AggregateId,
    now: Time,
}

impl Sender<'_> {
    fn message(&self, event: &Event) -> Result<Option<Submit>, serde_json::Error> {
        let id = self.id;
        Ok(match event {
            Event::RunBegun { run, message, version, note } => {
                let Some(started) = self.started(run, *message, version, note.as_deref()) else { return Ok(None) };
                let creates = Create { kind: Kind::Run, workflow: version.workflow.clone(), parent: None, owner: None };
                let start = serde_json::to_vec(&Incoming::Start(Box::new(started)))?;
                Some(self.submit(run.clone(), "start".to_owned(), start, Some(creates)))
            }
            Event::Given { run, sequence, message, note } => {
                let Some(line) = self.it.lent(*message) else { return Ok(None) };
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
                let signal = serde_json::to_vec(&Incoming::Signal(signal))?;
                Some(self.submit(run.clone(), format!("{id}/message/{sequence}"), signal, None))
            }
            Event::Closed { run: Some(run) } => {
                let cancel = serde_json::to_vec(&Incoming::Cancel {
                    by: CLOSES.to_owned(),
                    compensate: false,
                    asked_by: Vec::new(),
                })?;
                Some(self.submit(run.clone(), format!("{id}/closed/{}", self.it.lines()), cancel, None))
            }
            Event::Enqueued { number, skills } => {
                Some(self.enqueue(*number, skills.clone(), format!("{id}/enqueue/{number}"))?)
            }
            Event::AskedAgain { number, attempt } => {
                let skills = self.it.handover().map(|handover| handover.skills.clone()).unwrap_or_default();
                Some(self.enqueue(*number, skills, format!("{id}/enqueue/{number}/{attempt}"))?)
            }
            Event::ServiceLevelSet { service, change, .. } => match self.it.stay() {
                Some(number) => {
                    let promised = ToDesk::ServiceLevel { conversation: id.clone(), number, service: *service };
                    Some(self.to_desk(&promised, format!("{id}/service/{change}"))?)
                }
                None => None,
            },
            Event::Said { line: Line { from: Author::Person { .. }, number: line, owned: Some(number), .. } }
                if self.it.stay().is_some() =>
            {
                let answered = ToDesk::Answered { conversation: id.clone(), number: *number };
                Some(self.to_desk(&answered, format!("{id}/answered/{line}"))?)
            }
            Event::TakenOver { left: Some(_), .. } if planted(Mutant::LeftUnsaid) => None,
            Event::TakenOver { left: Some(left), .. }
            | Event::GivenBack { left: Some(left), .. }
            | Event::Resolved { left: Some(left), .. } => {
                let left_it = ToDesk::Left { conversation: id.clone(), number: *left };
                Some(self.to_desk(&left_it, format!("{id}/left/{left}"))?)
            }
            _ => None,
        })
    }

    /// With its place in line, also where it asks again.
    fn enqueue(&self, number: u64, skills: Vec<String>, command_id: String) -> Result<Submit, serde_json::Error> {
        let language = self.it.begun().and_then(|begun| begun.caller.language.clone());
        let (conversation, wants) = (self.id.clone(), Wants { skills, language });
        let waiting_since = self.it.waiting_since().unwrap_or(self.now);
        let service = self.it.service();
        self.to_desk(&ToDesk::Enqueue { conversation, number, wants, waiting_since, service }, command_id)
    }

    fn to_desk(&self, said: &ToDesk, command_id: String) -> Result<Submit, serde_json::Error> {
        let creates = Create { kind: Kind::Desk, workflow: String::new(), parent: None, owner: None };
        Ok(self.submit(desk_of(self.tenant), command_id, serde_json::to_vec(said)?, Some(creates)))
    }

    fn submit(&self, to: AggregateId, command_id: String, payload: Vec<u8>, creates: Option<Create>) -> Submit {
        let tenant = self.tenant.clone();
        Submit { aggregate: to, tenant, command_id, payload: payload.into(), at: self.now, creates }
    }

    fn started(&self, run: &AggregateId, message: u64, version: &Version, note: Option<&str>) -> Option<Started> {
        let begun = self.it.begun()?;
        let line = self.it.lent(message)?;
        let before = self.it.recent().filter(|one| one.number < message && one.from.is_public());
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
        Some(Started {
            run: run.clone(),
            tenant: self.tenant.clone(),
            bundle: version.bundle.clone(),
            input: Arc::new(input),
            context: begun.context.clone(),
            caller: Caller { conversation_id: Some(self.id.to_string()), ..begun.caller.clone() },
            origin: Origin::Conversation { conversation: self.id.clone() },
        })
    }
}

/// A conversation as lists show it; nothing of one that was never begun.
pub(crate) fn head(it: &Conversation, tenant: &TenantId, id: &AggregateId) -> Option<ConversationHead> {
    let begun = it.begun()?;
    let person = if let Owner::Person(person) = it.owner() { Some(person.clone()) } else { None };
    let handover = it.handover().filter(|_| it.state().is_hil());
    Some(ConversationHead {
        conversation: id.clone(),
        tenant: tenant.clone(),
        workflow: it.version().map(|version| version.workflow.clone()).unwrap_or_default(),
        state: it.state(),
        owner: it.owner().clone(),
        person,
        number: it.number(),
        user: begun.user.clone(),
        channel: begun.channel.clone(),
        hil_reason: handover.map(|handover| handover.trigger.word().to_owned()),
        confidence: it.confidence(),
        created_at: it.begun_at(),
        updated_at: it.now(),
        ended_at: it.ended_at(),
        messages: it.messages(),
        runs: it.runs(),
        cost: it.cost(),
        rating: it.rating().map(|(score, _)| score),
        handovers: it.handovers(),
        handed_over_for: it.handover().map(|handover| handover.trigger.word().to_owned()),
        reopened: it.reopened(),
        waiting_since: it.waiting_since(),
        first_response_at: it.first_response_at(),
        erased_at: None,
        last: it.last().map(|line| line.text.chars().take(SHOWN_CHARS_MAX).collect()),
    })
}
