//! `workflow:NAME` as a model: each turn of a conversation goes to a run, and what the run says is the assistant's turn.
//!
//! The client sends the whole conversation each time, so the run it belongs to is found by what was said before the last
//! message; or by the name in `X-Baton-Conversation`, where the client gives one. While the run goes on, the next message is
//! the customer's word to it; once it has ended, the next message begins another.

use axum::http::{HeaderMap, HeaderName, StatusCode};
use baton_core::conversation::{Over, reply_of};
use baton_core::graph::Input;
use baton_core::id::{RunId, TenantId};
use baton_core::model::{Finish, Message, Reply, Usage};
use baton_core::run::{Awaited, Event, Incoming, MESSAGE, Run, Signal};
use baton_core::tool::Caller;
use baton_engine::{Delivered, Follower, Start};
use baton_ports::keys::Key;
use baton_ports::records::Op;
use serde_json::{Map, Value, json};

use super::chat::own_key;
use super::error::Error;
use super::request::Asked;
use super::words::Words;
use crate::api::{digest, version_for};
use crate::door::{Door, Work};
use crate::problem::Problem;

/// What such a model's name begins with.
pub(super) const PREFIX: &str = "workflow:";
/// The conversation's name, where the client gives it one.
pub(super) const CONVERSATION: HeaderName = HeaderName::from_static("x-baton-conversation");
/// Which run a turn belongs to.
const SPACE: &str = "chat_turns";
/// Runs of conversations that read the same, kept at the most; two are enough to tell that they do.
const RUNS_MAX: usize = 8;
/// Characters of a conversation's name.
const NAME_CHARS_MAX: usize = 255;
/// Names of input that take the customer's words, where a workflow declares more than one.
const WORDS: [&str; 7] = ["message", "customer_message", "query", "question", "text", "prompt", "input"];
/// Names of input that take who the customer is.
const CUSTOMER: [&str; 2] = ["customer_id", "user_id"];
/// Names of output that hold what is said.
const SAID: [&str; 7] = ["text", "message", "response", "answer", "reply", "content", "summary"];

/// A turn of the customer's.
pub(super) struct Turn<'a> {
    pub door: &'a Door,
    pub key: &'a Key,
    pub asked: &'a Asked,
    pub headers: &'a HeaderMap,
}

/// Who said it, and what.
type Line = (&'static str, String);

/// What the run said, and which it is.
pub(super) struct Said {
    pub reply: Reply,
    pub run: RunId,
}

impl Turn<'_> {
    /// Gives the turn to its run, and waits until the run says something or rests.
    pub async fn take(&self) -> Result<Said, Error> {
        let work = self.door.work()?;
        let tenant = &self.key.tenant;
        let (text, before) = self.words()?;
        let name = self.conversation()?;
        let place = match &name {
            Some(name) => Some(digest(&[&self.key.id, &self.asked.model, "named", name])),
            // Everybody's first words are to a run of their own.
            None => (!before.is_empty()).then(|| self.place(&before)),
        };
        let mut follower = Follower::new(&work.engine, work.read.clone(), tenant.clone());
        let live = match &place {
            Some(place) => self.live(work, &mut follower, place).await?,
            None => None,
        };
        let run = match live {
            Some(run) => {
                if let Some(key) = own_key(self.headers) {
                    work.engine.give_key(tenant, &run, key);
                }
                self.say(&mut follower, &run, &text, name.is_none().then_some(before.len())).await?;
                run
            }
            None => self.begin(work, &mut follower, &text).await?,
        };
        let rested = tokio::time::timeout(self.door.limits.answer, follower.until_rest(&run)).await;
        if let Ok(rested) = rested {
            rested.map_err(Problem::from)?;
        }
        let content = told(&follower, &run, self.phrases(&follower, &run))?;
        match (name, place) {
            (Some(_), Some(place)) => self.put(work, place, std::slice::from_ref(&run)).await?,
            _ => {
                let mut after = before;
                after.extend([("user", text), ("assistant", content.clone())]);
                let place = self.place(&after);
                let mut runs = self.runs(work, &place).await?;
                if !runs.contains(&run) {
                    runs.push(run.clone());
                    let first = runs.len().saturating_sub(RUNS_MAX);
                    self.put(work, place, &runs[first..]).await?;
                }
            }
        }
        let cost = follower.run(&run).map(Run::cost).unwrap_or_default();
        let reply = Reply {
            content,
            tool_calls: Vec::new(),
            thinking: None,
            finish: Finish::Stop,
            usage: Usage::default(),
            model: self.asked.model.clone(),
            provider: "baton".to_owned(),
            cost,
            latency_ms: 0,
        };
        Ok(Said { reply, run })
    }

    /// The last message, which is the customer's, and what was said before it.
    fn words(&self) -> Result<(String, Vec<Line>), Error> {
        let mut said: Vec<Line> = Vec::new();
        for message in &self.asked.request.messages {
            match message {
                Message::User { content, .. } => said.push(("user", content.clone())),
                Message::Assistant { content, .. } => said.push(("assistant", content.clone())),
                // What a chat page says of itself is no part of the conversation.
                Message::System { .. } | Message::Tool { .. } => {}
            }
        }
        match said.pop() {
            Some(("user", text)) => Ok((text, said)),
            _ => Err(Error::invalid("messages", "the last message is the customer's: it has the role `user`")),
        }
    }

    fn conversation(&self) -> Result<Option<String>, Error> {
        let Some(value) = self.headers.get(CONVERSATION) else { return Ok(None) };
        let name = value.to_str().unwrap_or_default().trim();
        if name.is_empty() || name.len() > NAME_CHARS_MAX {
            let message = format!("X-Baton-Conversation is 1 to {NAME_CHARS_MAX} visible characters of ASCII");
            return Err(Error::invalid("X-Baton-Conversation", message));
        }
        Ok(Some(name.to_owned()))
    }

    /// Whom the caller says that it is for.
    fn whom(&self) -> Option<&str> {
        let said = |field: &str| self.asked.more.get(field).and_then(Value::as_str);
        said("user").or_else(|| said("safety_identifier"))
    }

    /// What the workflow may declare to be given beside the words: what the caller says, and who the customer is under the
    /// names by which conversations give it.
    fn known(&self, metadata: &Map<String, Value>) -> Map<String, Value> {
        let mut known = metadata.clone();
        if let Some(whom) = self.whom() {
            for name in CUSTOMER {
                known.entry(name).or_insert_with(|| whom.into());
            }
        }
        known
    }

    /// Words in the customer's language, or the tenant's.
    fn phrases(&self, follower: &Follower, run: &RunId) -> &'static Words {
        let caller = follower.run(run).and_then(Run::started).and_then(|started| started.caller.language.as_deref());
        let tenants = self.door.house().map_or("", |house| (house.language_of)(&self.key.tenant));
        Words::of(caller, tenants)
    }

    /// Where it is written down which runs were spoken to, by all that was said so far.
    fn place(&self, said: &[(&'static str, String)]) -> String {
        let mut parts = vec![self.key.id.as_str(), self.asked.model.as_str(), "said", self.whom().unwrap_or_default()];
        parts.extend(said.iter().flat_map(|(role, text)| [*role, text.trim()]));
        digest(&parts)
    }

    /// The run that goes on and is spoken to; nothing where none goes on.
    ///
    /// # Errors
    /// Two conversations that read the same so far: nobody's words may come to another's run.
    async fn live(&self, work: &Work, follower: &mut Follower, place: &str) -> Result<Option<RunId>, Error> {
        let runs = self.runs(work, place).await?;
        let mut live = None;
        for run in &runs {
            follower.follow(run).await.map_err(Problem::from)?;
            if follower.run(run).is_some_and(|run| !run.state().is_end()) {
                live = Some(run.clone());
            } else {
                follower.leave(run);
            }
        }
        if live.is_some() && runs.len() > 1 {
            let message = "several conversations read the same so far: say which one this is with the header \
                           X-Baton-Conversation, or whose it is with `user`, from its first message on";
            return Err(Error::invalid("messages", message));
        }
        Ok(live)
    }

    async fn runs(&self, work: &Work, place: &str) -> Result<Vec<RunId>, Error> {
        let found = work.records.get(&self.key.tenant, SPACE, place).await.map_err(Problem::from)?;
        Ok(found.and_then(|record| serde_json::from_value(record.value).ok()).unwrap_or_default())
    }

    async fn put(&self, work: &Work, place: String, runs: &[RunId]) -> Result<(), Error> {
        let put = Op::Put { space: SPACE.to_owned(), key: place, value: json!(runs) };
        let kept = work.records.commit(&self.key.tenant, vec![put], self.door.clock.now()).await;
        Ok(kept.map_err(Problem::from)?)
    }

    /// The customer's word to a run that goes on. Where the whole conversation is sent each time, the same word at the same
    /// `turn` is one that was sent again after a connection broke.
    async fn say(&self, follower: &mut Follower, run: &RunId, text: &str, turn: Option<usize>) -> Result<(), Error> {
        let command = match turn {
            Some(turn) => format!("chat-{}", digest(&[run.as_str(), &turn.to_string(), text])),
            None => uuid::Uuid::now_v7().to_string(),
        };
        let incoming = Incoming::Signal(Signal {
            name: MESSAGE.to_owned(),
            payload: std::sync::Arc::new(json!({ "text": text })),
            source: String::new(),
            sequence: None,
            after_gap: false,
        });
        let delivered = follower.deliver_as(&command, run, &incoming, self.door.limits.answer).await;
        match delivered.map_err(Problem::from)? {
            Delivered::Taken | Delivered::Accepted => Ok(()),
            Delivered::Refused(refusal) => Err(Problem::refused(run, &refusal).into()),
        }
    }

    async fn begin(&self, work: &Work, follower: &mut Follower, text: &str) -> Result<RunId, Error> {
        let name = self.asked.model.strip_prefix(PREFIX).unwrap_or_default();
        let tenant: &TenantId = &self.key.tenant;
        let run = RunId::new(uuid::Uuid::now_v7().to_string());
        let whom = self.whom();
        let Some(bundle) = version_for(work, tenant, name, whom.unwrap_or(run.as_str())).await? else {
            return Err(Error::no_model(&self.asked.model));
        };
        let version = work.engine.library().version(&bundle).await.map_err(Problem::from)?;
        let mut metadata = self.asked.more.get("metadata").cloned().unwrap_or_default();
        let key = own_key(self.headers).or(baton_engine::take_key(&mut metadata));
        let metadata = metadata.as_object().cloned().unwrap_or_default();
        let input = input(&version.input, text, &self.known(&metadata));
        let mut context = Map::new();
        context.extend(metadata);
        if let Some(whom) = whom {
            context.insert("user_id".to_owned(), whom.into());
        }
        let context = Value::Object(context);
        let caller = Caller {
            key_id: Some(self.key.id.clone()),
            begun_by: Some(self.key.name.clone()),
            ..Caller::of(&context, work.zone.as_deref())
        };
        let workflow = name.to_owned();
        let start = Start { run: run.clone(), tenant: tenant.clone(), workflow, bundle, input, context, caller };
        if let Some(key) = key {
            work.engine.give_key(tenant, &run, key);
        }
        work.engine.start(start).await.map_err(Problem::from)?;
        follower.follow(&run).await.map_err(Problem::from)?;
        Ok(run)
    }
}

/// The customer's words under the name that the workflow declares for them, and of what else is known all that it declares.
fn input(declared: &Input, text: &str, metadata: &Map<String, Value>) -> Value {
    let mut input = Map::new();
    let Some(keys) = &declared.0 else {
        input.insert("message".to_owned(), text.into());
        return Value::Object(input);
    };
    input.extend(
        metadata.iter().filter(|(name, _)| keys.contains_key(*name)).map(|(name, value)| (name.clone(), value.clone())),
    );
    let by_name = WORDS.into_iter().find(|name| keys.contains_key(*name));
    let wanted =
        || declared.wanted().map(|(name, _)| name).find(|name| declared.takes_text(name) && !input.contains_key(*name));
    let name = by_name.or_else(wanted).unwrap_or("message").to_owned();
    input.insert(name, text.into());
    Value::Object(input)
}

/// What the run has to say as it stands.
fn told(follower: &Follower, id: &RunId, phrases: &Words) -> Result<String, Error> {
    let Some(run) = follower.run(id) else { return Ok(String::new()) };
    if let Some(end) = run.finished() {
        // As a conversation is told of it.
        let over = Over::of(run, id, id, end);
        return match run.fault() {
            _ if over.handover.is_some() => Ok(over.reply.unwrap_or_else(|| phrases.handover.to_owned())),
            None => Ok(over.reply.unwrap_or_else(|| words(&end.output))),
            Some(fault) => match &fault.customer {
                Some(text) => Ok(text.to_string()),
                None => {
                    let detail = format!("the workflow failed: {fault}");
                    Err(Problem::new(StatusCode::BAD_GATEWAY, fault.code.clone(), detail).about(id).into())
                }
            },
        };
    }
    let open = follower.open();
    if let Some(asks) = open.iter().find(|open| open.is_question()) {
        let mut events = follower.entries(&asks.run).iter().rev().flat_map(|entry| entry.events.iter().rev());
        let question = events.find_map(|event| match event {
            Event::CustomerAsked { question, .. } => Some(question.clone()),
            _ => None,
        });
        return Ok(question.unwrap_or_default());
    }
    let waits_for_a_person = open.iter().any(|open| matches!(open.awaited, Awaited::Ask(_) | Awaited::Form(_)));
    Ok(if waits_for_a_person { phrases.person } else { phrases.working }.to_owned())
}

/// An output that says nothing to a customer as conversations read it. Where a conversation ends there, that is all that is
/// said; a workflow that is asked for something else gives it: text as it is, the field that holds what is said, else JSON.
fn words(output: &Value) -> String {
    let is_sink = |value: &Value| value.get("action").is_some() && value.get("config").is_some();
    if is_sink(output) {
        return String::new();
    }
    if let Some(nodes) = output.as_object().filter(|nodes| nodes.values().any(is_sink)) {
        return nodes.values().find_map(reply_of).unwrap_or_default();
    }
    let said =
        |fields: &Map<String, Value>| SAID.iter().find_map(|name| fields.get(*name)?.as_str().map(str::to_owned));
    match output {
        Value::String(text) => text.clone(),
        Value::Object(fields) => {
            let alone = || fields.values().next().filter(|_| fields.len() == 1).map(words);
            said(fields).or_else(alone).unwrap_or_else(|| output.to_string())
        }
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_workflow_put_out_is_told_in_words() {
        let cases = [
            (json!("Hello"), "Hello"),
            (json!({ "text": "Hello", "n": 1 }), "Hello"),
            (json!({ "answer": { "text": "Hello" } }), "Hello"),
            (json!({ "a": 1, "b": 2 }), r#"{"a":1,"b":2}"#),
            (Value::Null, ""),
            // Where a conversation ends, nobody is shown what programs are told.
            (json!({ "action": "finish_conversation", "config": {} }), ""),
            (json!({ "action": "finish_conversation", "config": { "message": "Goodbye" } }), "Goodbye"),
            (json!({ "end": { "action": "finish_conversation", "config": {} }, "say": { "text": "Hi" } }), "Hi"),
        ];
        for (output, expect) in cases {
            assert_eq!(reply_of(&output).unwrap_or_else(|| words(&output)), expect);
        }
    }
}
