//! `workflow:NAME` as a model: each turn of a conversation goes to a run, and what the run says is the assistant's turn.
//!
//! The client sends the whole conversation each time, so the run it belongs to is found by what was said before the last
//! message; or by the name in `X-Baton-Conversation`, where the client gives one. While the run goes on, the next message is
//! the customer's word to it; once it has ended, the next message begins another.
//!
//! Who speaks at one instant with others is not lost sight of: what is written down of a conversation is written over what
//! was read of it, or it is read again.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, StatusCode};
use baton_core::actor;
use baton_core::conversation::{Over, reply_of};
use baton_core::graph::Input;
use baton_core::id::{RunId, TenantId};
use baton_core::model::{Finish, Message, Reply, Usage};
use baton_core::money::Usd;
use baton_core::run::{Awaited, Event, Incoming, MESSAGE, Run, Signal};
use baton_core::time::Time;
use baton_core::tool::Caller;
use baton_engine::{Delivered, Follower, Start};
use baton_ports::journal;
use baton_ports::models::ApiKey;
use baton_ports::records::{self, Op, Records};
use serde_json::{Map, Value, json};
use tokio::sync::OwnedSemaphorePermit;

use super::chat::own_key;
use super::error::Error;
use super::request::Asked;
use super::words::Words;
use crate::api::{digest, version_for};
use crate::auth::Bearer;
use crate::body::budget::BodyShare;
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
/// Attempts at writing down where a conversation goes on, while others write there.
const ATTEMPTS_MAX: usize = 10;
/// How long after it was written down a run may still be about to begin.
const BEGINS_WITHIN: Duration = Duration::from_secs(10);
/// Characters of a conversation's name.
const NAME_CHARS_MAX: usize = 255;
/// Names of input that take the customer's words, where a workflow declares more than one.
const WORDS: [&str; 7] = ["message", "customer_message", "query", "question", "text", "prompt", "input"];
/// Where this door takes what a workflow wants besides the words.
const BESIDE: &str = "what a workflow takes besides the message comes in `metadata`";
/// Names of input that take who the customer is.
const CUSTOMER: [&str; 2] = ["customer_id", "user_id"];
/// Names of output that hold what is said.
const SAID: [&str; 7] = ["text", "message", "response", "answer", "reply", "content", "summary"];

/// A turn of the customer's.
pub(super) struct Turn {
    pub door: Door,
    pub key: Arc<Bearer>,
    pub asked: Arc<Asked>,
    pub headers: HeaderMap,
    /// Its place among those under way, and its share of the memory for bodies: held until it is over.
    #[expect(dead_code, reason = "it is held, and not looked at")]
    pub held: (OwnedSemaphorePermit, Option<Arc<BodyShare>>),
    /// The run that was begun or spoken to: from then on nobody says that nothing was done.
    pub reached: OnceLock<RunId>,
}

/// Who said it, and what.
type Line = (&'static str, String);

/// The runs that were spoken to, as a record says.
#[derive(Default)]
struct Spoken {
    /// Of the record, where there is one.
    version: Option<u64>,
    runs: Vec<RunId>,
    /// When it was written.
    at: Time,
}

/// What the run said, and which it is.
pub(super) struct Said {
    pub reply: Reply,
    pub run: RunId,
}

impl Turn {
    /// Gives the turn to its run, and waits until the run says something or rests.
    pub async fn take(&self) -> Result<Said, Error> {
        let work = self.door.work()?;
        let tenant = &self.key.tenant;
        let (text, before) = self.words()?;
        self.check_whom()?;
        let name = self.conversation()?;
        let mut follower = Follower::new(&work.engine, work.read.clone(), tenant.clone());
        let run = match &name {
            Some(name) => self.go_on_by_name(work, &mut follower, &self.place_of(name), &text).await?,
            None => self.go_on(work, &mut follower, &before, &text).await?,
        };
        let rested = tokio::time::timeout(self.door.limits.answer, follower.until_rest(&run)).await;
        if let Ok(rested) = rested {
            rested.map_err(Problem::from)?;
        }
        let content = told(&follower, &run, self.phrases(&follower, &run))?;
        if name.is_none() {
            let mut after = before;
            after.extend([("user", text), ("assistant", content.clone())]);
            let place = self.place(&after);
            keep(&*work.records, tenant, &place, &run, self.door.clock.now()).await.map_err(Problem::from)?;
        }
        let cost = follower.run(&run).map(Run::cost).unwrap_or_default();
        Ok(Said::new(&self.asked.model, content, cost, run))
    }

    /// To the run that goes on and was told all that was said before; everybody's first words are to a run of their own.
    async fn go_on(&self, work: &Work, follower: &mut Follower, before: &[Line], text: &str) -> Result<RunId, Error> {
        let live = match before.is_empty() {
            true => None,
            false => {
                let spoken = self.spoken(work, &self.place(before)).await?;
                self.live(work, follower, &spoken).await?
            }
        };
        let Some(run) = live else {
            let start = self.start(work, text).await?;
            return self.begin(work, follower, start).await;
        };
        self.say(work, follower, &run, text, Some(before.len())).await?;
        Ok(run)
    }

    /// To the run that goes on in the conversation of a name; or to one that is written down there before it begins, so that
    /// of two first messages at once one begins a run and the other is a word to it.
    async fn go_on_by_name(
        &self,
        work: &Work,
        follower: &mut Follower,
        place: &str,
        text: &str,
    ) -> Result<RunId, Error> {
        for _ in 0..ATTEMPTS_MAX {
            let spoken = self.spoken(work, place).await?;
            if let Some(run) = self.live(work, follower, &spoken).await? {
                self.say(work, follower, &run, text, None).await?;
                return Ok(run);
            }
            let start = self.start(work, text).await?;
            let run = start.0.run.clone();
            if !self.write(work, place, spoken.version, std::slice::from_ref(&run)).await? {
                continue;
            }
            let begun = self.begin(work, follower, start).await;
            if begun.is_err() {
                let is_accepted = async || Ok(work.read.run(&self.key.tenant, &run).await?.is_some());
                let now = self.door.clock.now();
                let forgotten = forget_unbegun(&*work.records, &self.key.tenant, place, &run, is_accepted, now).await;
                forgotten?;
            }
            return begun;
        }
        Err(Problem::overloaded().into())
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
        said("user").or_else(|| said("safety_identifier")).filter(|whom| !whom.is_empty())
    }

    /// Whoever it is for is told from everybody else by looking.
    fn check_whom(&self) -> Result<(), Error> {
        for field in ["user", "safety_identifier"] {
            if let Some(whom) = self.asked.more.get(field).and_then(Value::as_str) {
                actor::check_seen(whom).map_err(|why| Error::invalid(field, format!("`{field}`: {why}")))?;
            }
        }
        Ok(())
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

    /// Where it is written down which run is spoken to by a name: two customers may give their conversations the same one.
    fn place_of(&self, name: &str) -> String {
        let mut parts = vec![self.key.id.as_str(), self.asked.model.as_str(), "named"];
        parts.extend(self.whom());
        parts.push(name);
        digest(&parts)
    }

    /// The run that goes on and is spoken to; nothing where none goes on.
    ///
    /// # Errors
    /// Two conversations that read the same so far: nobody's words may come to another's run.
    async fn live(&self, work: &Work, follower: &mut Follower, spoken: &Spoken) -> Result<Option<RunId>, Error> {
        let may_begin = self.door.clock.now().since(spoken.at) < BEGINS_WITHIN;
        let mut live = None;
        for run in &spoken.runs {
            if self.goes_on(work, follower, run, may_begin).await? {
                live = Some(run.clone());
            } else {
                follower.leave(run);
            }
        }
        if live.is_some() && spoken.runs.len() > 1 {
            let message = "several conversations read the same so far: say which one this is with the header \
                           X-Baton-Conversation, or whose it is with `user`, from its first message on";
            return Err(Error::invalid("messages", message));
        }
        Ok(live)
    }

    /// Follows a run; whether it goes on. One that was written down a moment ago `may_begin`; one that never was begun, since
    /// whoever was to begin it died, does not go on, nor does one that was deleted.
    async fn goes_on(&self, work: &Work, follower: &mut Follower, run: &RunId, may_begin: bool) -> Result<bool, Error> {
        match follower.follow(run).await {
            Ok(()) => {}
            Err(baton_engine::Error::Journal(journal::Error::Erased { .. })) => return Ok(false),
            Err(error) => return Err(Problem::from(error).into()),
        }
        let has_begun = |follower: &Follower| follower.run(run).is_some_and(|run| run.started().is_some());
        let is_there = async || Ok::<bool, Problem>(work.read.run(&self.key.tenant, run).await?.is_some());
        if !has_begun(follower) {
            if !may_begin && !is_there().await? {
                return Ok(false);
            }
            follower.follow_new(run).await.map_err(Problem::from)?;
        }
        if !has_begun(follower) && !is_there().await? {
            return Ok(false);
        }
        Ok(follower.run(run).is_some_and(|run| !run.state().is_end()))
    }

    async fn spoken(&self, work: &Work, place: &str) -> Result<Spoken, Error> {
        Ok(spoken(&*work.records, &self.key.tenant, place).await.map_err(Problem::from)?)
    }

    async fn write(&self, work: &Work, place: &str, version: Option<u64>, runs: &[RunId]) -> Result<bool, Error> {
        let now = self.door.clock.now();
        Ok(write(&*work.records, &self.key.tenant, place, version, runs, now).await.map_err(Problem::from)?)
    }

    /// The customer's word to a run that goes on. Where the whole conversation is sent each time, the same word at the same
    /// `turn` is one that was sent again after a connection broke.
    async fn say(
        &self,
        work: &Work,
        follower: &mut Follower,
        run: &RunId,
        text: &str,
        turn: Option<usize>,
    ) -> Result<(), Error> {
        if let Some(key) = own_key(&self.headers) {
            work.engine.give_key(&self.key.tenant, run, key);
        }
        let command = match turn {
            Some(turn) => format!("chat-{}", digest(&[run.as_str(), &turn.to_string(), text])),
            None => uuid::Uuid::now_v7().to_string(),
        };
        let incoming = Incoming::Signal(Signal {
            name: MESSAGE.to_owned(),
            payload: Arc::new(json!({ "text": text })),
            source: String::new(),
            sequence: None,
            after_gap: false,
        });
        self.reached.get_or_init(|| run.clone());
        let delivered = follower.deliver_as(&command, run, &incoming, self.door.limits.answer).await;
        match delivered.map_err(Problem::from)? {
            Delivered::Taken | Delivered::Accepted => Ok(()),
            Delivered::Refused(refusal) => Err(Problem::refused(run, &refusal).into()),
        }
    }

    /// A run to begin for these words, with the customer's own key at the provider. An input that the workflow does not take
    /// is refused here, before anything is written down.
    async fn start(&self, work: &Work, text: &str) -> Result<(Start, Option<ApiKey>), Error> {
        let name = self.asked.model.strip_prefix(PREFIX).unwrap_or_default();
        let tenant: &TenantId = &self.key.tenant;
        let run = RunId::new(uuid::Uuid::now_v7().to_string());
        let whom = self.whom();
        let Some(bundle) = version_for(work, tenant, name, whom.unwrap_or(run.as_str())).await? else {
            return Err(Error::no_model(&self.asked.model));
        };
        let version = work.engine.library().version(&bundle).await.map_err(Problem::from)?;
        let mut metadata = self.asked.more.get("metadata").cloned().unwrap_or_default();
        let key = own_key(&self.headers).or(baton_engine::take_key(&mut metadata));
        let metadata = metadata.as_object().cloned().unwrap_or_default();
        let input = input(&version.input, text, &self.known(&metadata));
        version.input.complete(&input).map_err(|unfit| {
            let refused = Error::from(Problem::from(baton_engine::Error::Input(unfit)));
            refused.of_field("metadata").saying_too(BESIDE)
        })?;
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
        Ok((Start { run, tenant: tenant.clone(), workflow, bundle, input, context, caller }, key))
    }

    async fn begin(
        &self,
        work: &Work,
        follower: &mut Follower,
        (start, key): (Start, Option<ApiKey>),
    ) -> Result<RunId, Error> {
        let run = start.run.clone();
        if let Some(key) = key {
            work.engine.give_key(&self.key.tenant, &run, key);
        }
        self.reached.get_or_init(|| run.clone());
        work.engine.start(start).await.map_err(Problem::from)?;
        follower.follow(&run).await.map_err(Problem::from)?;
        Ok(run)
    }
}

impl Said {
    pub fn new(model: &str, content: String, cost: Usd, run: RunId) -> Self {
        let reply = Reply {
            content,
            tool_calls: Vec::new(),
            thinking: None,
            finish: Finish::Stop,
            usage: Usage::default(),
            model: model.to_owned(),
            provider: "baton".to_owned(),
            cost,
            latency_ms: 0,
        };
        Self { reply, run }
    }
}

/// The runs that are written down at a place.
async fn spoken(records: &dyn Records, tenant: &TenantId, place: &str) -> Result<Spoken, records::Error> {
    let Some(record) = records.get(tenant, SPACE, place).await? else { return Ok(Spoken::default()) };
    let runs = serde_json::from_value(record.value).unwrap_or_default();
    Ok(Spoken { version: Some(record.version), runs, at: record.at })
}

/// Writes down which runs are spoken to at a place, unless somebody has written there since it was read at this version.
async fn write(
    records: &dyn Records,
    tenant: &TenantId,
    place: &str,
    version: Option<u64>,
    runs: &[RunId],
    now: Time,
) -> Result<bool, records::Error> {
    let (space, key, value) = (SPACE.to_owned(), place.to_owned(), json!(runs));
    let op = match version {
        Some(version) => Op::CompareAndSet { space, key, version, value },
        None => Op::Insert { space, key, value },
    };
    match records.commit(tenant, vec![op], now).await {
        Ok(()) => Ok(true),
        Err(records::Error::Conflict { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Forgets a run that was written down and never began, so that nobody waits for it. One that was accepted goes on, though
/// the answer to its start was lost. Where this fails too, whoever speaks next waits a while.
async fn forget_unbegun(
    records: &dyn Records,
    tenant: &TenantId,
    place: &str,
    run: &RunId,
    is_accepted: impl AsyncFnOnce() -> Result<bool, journal::Error>,
    now: Time,
) -> Result<(), Problem> {
    if is_accepted().await? {
        return Ok(());
    }
    let spoken = spoken(records, tenant, place).await?;
    if spoken.runs == std::slice::from_ref(run) {
        write(records, tenant, place, spoken.version, &[], now).await?;
    }
    Ok(())
}

/// Writes a run down beside those that are there.
async fn keep(
    records: &dyn Records,
    tenant: &TenantId,
    place: &str,
    run: &RunId,
    now: Time,
) -> Result<(), records::Error> {
    for _ in 0..ATTEMPTS_MAX {
        let Spoken { version, mut runs, .. } = spoken(records, tenant, place).await?;
        if runs.contains(run) {
            return Ok(());
        }
        runs.push(run.clone());
        let first = runs.len().saturating_sub(RUNS_MAX);
        if write(records, tenant, place, version, &runs[first..], now).await? {
            return Ok(());
        }
    }
    // Each time another run was written down here: of so many whoever speaks next is asked which one it is.
    Ok(())
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
    use std::sync::{Mutex, PoisonError};

    use async_trait::async_trait;
    use baton_ports::records::Record;

    use super::*;

    /// One record, at which a rival writes each time somebody has read it, as long as there are rivals.
    #[derive(Default)]
    struct Raced {
        kept: Mutex<Option<(u64, Value)>>,
        rivals: Mutex<Vec<RunId>>,
    }

    impl Raced {
        fn kept(&self) -> Option<(u64, Vec<RunId>)> {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
            kept.map(|(version, runs)| (version, serde_json::from_value(runs).expect("runs")))
        }

        fn put(&self, value: Value) {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            *kept = Some((kept.as_ref().map_or(0, |(version, _)| *version) + 1, value));
        }
    }

    #[async_trait]
    impl Records for Raced {
        async fn commit(&self, _: &TenantId, ops: Vec<Op>, _: Time) -> Result<(), records::Error> {
            let found = self.kept().map(|(version, _)| version);
            for op in ops {
                let (fits, value) = match op {
                    Op::Insert { value, .. } => (found.is_none(), value),
                    Op::CompareAndSet { version, value, .. } => (found == Some(version), value),
                    Op::Put { value, .. } => (true, value),
                    other => unreachable!("nothing else is written: {other:?}"),
                };
                if !fits {
                    return Err(records::Error::Conflict { index: 0, found: None });
                }
                self.put(value);
            }
            Ok(())
        }

        async fn get(&self, _: &TenantId, space: &str, key: &str) -> Result<Option<Record>, records::Error> {
            let read = self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let rival = self.rivals.lock().unwrap_or_else(PoisonError::into_inner).pop();
            if let Some(rival) = rival {
                let (_, mut runs) = self.kept().unwrap_or_default();
                runs.push(rival);
                self.put(json!(runs));
            }
            let (space, key) = (space.to_owned(), key.to_owned());
            Ok(read.map(|(version, value)| Record { space, key, value, version, at: Time::EPOCH }))
        }

        async fn list(
            &self,
            _: &TenantId,
            _: &str,
            _: &str,
            _: Option<&str>,
            _: usize,
        ) -> Result<Vec<Record>, records::Error> {
            unreachable!("nothing is listed")
        }

        async fn ranges(
            &self,
            _: &TenantId,
            _: &str,
            _: &str,
            _: i64,
            _: i64,
        ) -> Result<Vec<(i64, i64, String)>, records::Error> {
            unreachable!("nothing is held")
        }
    }

    async fn kept_beside(rivals: usize) -> Vec<RunId> {
        let rivals = (0..rivals).map(|rival| RunId::new(format!("rival-{rival}"))).collect();
        let records = Raced { rivals: Mutex::new(rivals), ..Raced::default() };
        keep(&records, &"acme".into(), "place", &RunId::new("own"), Time::EPOCH).await.expect("is kept");
        records.kept().expect("a record").1
    }

    #[tokio::test]
    async fn runs_that_are_written_down_at_one_instant_are_all_written_down() {
        assert_eq!(kept_beside(0).await, [RunId::new("own")]);
        for rivals in [1, 3, 7] {
            let kept = kept_beside(rivals).await;
            assert_eq!(kept.len(), rivals + 1, "{kept:?}");
            assert!(kept.contains(&RunId::new("own")), "{kept:?}");
        }
        assert!(kept_beside(ATTEMPTS_MAX).await.len() > 1, "whoever speaks next is asked which one it is");
    }

    #[tokio::test]
    async fn a_named_conversation_keeps_a_run_that_was_accepted_though_the_answer_to_its_start_was_lost() {
        let left = async |is_accepted: bool, written: &str| {
            let records = Raced::default();
            let (tenant, run) = ("acme".into(), RunId::new("own"));
            write(&records, &tenant, "place", None, &[RunId::new(written)], Time::EPOCH).await.expect("is written");
            let look = async || Ok(is_accepted);
            forget_unbegun(&records, &tenant, "place", &run, look, Time::EPOCH).await.expect("is looked at");
            records.kept().expect("a record").1
        };
        assert_eq!(left(true, "own").await, [RunId::new("own")]);
        assert_eq!(left(false, "own").await, [] as [RunId; 0]);
        assert_eq!(left(false, "another").await, [RunId::new("another")], "somebody wrote there meanwhile");
    }

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
