//! `workflow:NAME` as a model: each turn of a conversation goes to a run, and the run's reply is the assistant's
//! turn.
//!
//! The client sends the whole conversation with each request. Its run is found by the messages before the last one,
//! or by the name in `X-Baton-Conversation` if the client sends it. While the run is active, the next message is
//! delivered to it; once the run has ended, the next message starts another.
//!
//! Concurrent turns are safe: the record of a conversation is updated by compare-and-set, and read again on a
//! conflict.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, StatusCode};
use baton_core::actor;
use baton_core::conversation::{RunResult, reply_text};
use baton_core::graph::InputDeclaration;
use baton_core::id::{RunId, TenantId};
use baton_core::model::{FinishReason, ModelMessage, ModelReply, TokenUsage};
use baton_core::money::Usd;
use baton_core::run::{IncomingCommand, MESSAGE, Run, RunEvent, Signal, WaitKind};
use baton_core::time::Time;
use baton_core::tool::Caller;
use baton_engine::{DeliveryResult, RunFollower, RunStart};
use baton_ports::journal;
use baton_ports::models::ConsumerKey;
use baton_ports::records::{self, RecordOp, RecordStore};
use serde_json::{Map, Value, json};
use tokio::sync::OwnedSemaphorePermit;

use super::chat::provider_key;
use super::error::OpenAiError;
use super::phrases::CustomerPhrases;
use super::request::ChatRequest;
use crate::api::{digest, version_for};
use crate::auth::AuthenticatedKey;
use crate::body::body_budget::BodyShare;
use crate::problem::HttpProblem;
use crate::state::{AppState, RunServices};

/// The prefix of such a model's name.
pub(super) const PREFIX: &str = "workflow:";
/// The conversation's name, if the client provides one.
pub(super) const CONVERSATION: HeaderName = HeaderName::from_static("x-baton-conversation");
/// The record space that maps conversations to runs.
const SPACE: &str = "chat_turns";
/// Maximum number of runs kept for conversations with identical messages. Two are enough to detect the ambiguity.
const RUNS_MAX: usize = 8;
/// Maximum number of attempts to update a conversation's record under contention.
const ATTEMPTS_MAX: usize = 10;
/// How long after it was recorded a run may still be about to start.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum length of a conversation's name, in characters.
const NAME_CHARS_MAX: usize = 255;
/// Input names that receive the customer's message, if a workflow declares more than one input.
const MESSAGE_INPUTS: [&str; 7] = ["message", "customer_message", "query", "question", "text", "prompt", "input"];
/// The hint for workflows that need more input than the message.
const METADATA_HINT: &str = "what a workflow takes besides the message comes in `metadata`";
/// Input names that receive the customer's id.
const CUSTOMER_INPUTS: [&str; 2] = ["customer_id", "user_id"];
/// Output names that may hold the reply.
const OUTPUT_TEXT_FIELDS: [&str; 7] = ["text", "message", "response", "answer", "reply", "content", "summary"];

/// One turn of the customer.
pub(super) struct WorkflowTurn {
    pub state: AppState,
    pub key: Arc<AuthenticatedKey>,
    pub request: Arc<ChatRequest>,
    pub headers: HeaderMap,
    /// The request permit and the body's share of the memory budget, held until the turn is over.
    #[expect(dead_code, reason = "it is held, and not looked at")]
    pub permits: (OwnedSemaphorePermit, Option<Arc<BodyShare>>),
    /// The run that was started or messaged. Once it is set, the turn can no longer be reported as not done.
    pub started_run: OnceLock<RunId>,
}

/// The role and the text of a message.
type TurnLine = (&'static str, String);

/// The runs of a conversation, as recorded.
#[derive(Default)]
struct TurnRecord {
    /// The version of the record, if there is one.
    version: Option<u64>,
    runs: Vec<RunId>,
    /// When it was written.
    at: Time,
}

/// The run's reply, and the run's id.
pub(super) struct TurnReply {
    pub reply: ModelReply,
    pub run: RunId,
}

impl WorkflowTurn {
    /// Delivers the turn to its run, and waits until the run is idle.
    pub async fn run(&self) -> Result<TurnReply, OpenAiError> {
        let services = self.state.run_services()?;
        let tenant = &self.key.tenant;
        let (text, before) = self.split_messages()?;
        self.check_customer()?;
        let name = self.conversation()?;
        let mut follower = RunFollower::new(&services.engine, services.read.clone(), tenant.clone());
        let run = match &name {
            Some(name) => self.continue_by_name(services, &mut follower, &self.name_key(name), &text).await?,
            None => self.continue_by_history(services, &mut follower, &before, &text).await?,
        };
        let rested = tokio::time::timeout(self.state.limits.answer_timeout, follower.wait_idle(&run)).await;
        if let Ok(rested) = rested {
            rested.map_err(HttpProblem::from)?;
        }
        let content = run_text(&follower, &run, self.phrases(&follower, &run))?;
        if name.is_none() {
            let mut after = before;
            after.extend([("user", text), ("assistant", content.clone())]);
            let place = self.history_key(&after);
            add_run(&*services.records, tenant, &place, &run, self.state.clock.now())
                .await
                .map_err(HttpProblem::from)?;
        }
        let cost = follower.run(&run).map(Run::cost).unwrap_or_default();
        Ok(TurnReply::new(&self.request.model, content, cost, run))
    }

    /// Continues the active run that received exactly the earlier messages. A first message always starts a new
    /// run.
    async fn continue_by_history(
        &self,
        services: &RunServices,
        follower: &mut RunFollower,
        before: &[TurnLine],
        text: &str,
    ) -> Result<RunId, OpenAiError> {
        let live = match before.is_empty() {
            true => None,
            false => {
                let spoken = self.read_record(services, &self.history_key(before)).await?;
                self.find_live_run(services, follower, &spoken).await?
            }
        };
        let Some(run) = live else {
            let start = self.start(services, text).await?;
            return self.begin(services, follower, start).await;
        };
        self.send_message(services, follower, &run, text, Some(before.len())).await?;
        Ok(run)
    }

    /// Continues the active run of the named conversation, or starts a new one. A new run is recorded before it
    /// starts: of two concurrent first messages, one starts the run and the other is delivered to it.
    async fn continue_by_name(
        &self,
        services: &RunServices,
        follower: &mut RunFollower,
        place: &str,
        text: &str,
    ) -> Result<RunId, OpenAiError> {
        for _ in 0..ATTEMPTS_MAX {
            let spoken = self.read_record(services, place).await?;
            if let Some(run) = self.find_live_run(services, follower, &spoken).await? {
                self.send_message(services, follower, &run, text, None).await?;
                return Ok(run);
            }
            let start = self.start(services, text).await?;
            let run = start.0.run.clone();
            if !self.write_record(services, place, spoken.version, std::slice::from_ref(&run)).await? {
                continue;
            }
            let begun = self.begin(services, follower, start).await;
            if begun.is_err() {
                let is_accepted = async || Ok(services.read.run(&self.key.tenant, &run).await?.is_some());
                let now = self.state.clock.now();
                let forgotten =
                    forget_unbegun(&*services.records, &self.key.tenant, place, &run, is_accepted, now).await;
                forgotten?;
            }
            return begun;
        }
        Err(HttpProblem::overloaded().into())
    }

    /// The last message, which must be the customer's, and the messages before it.
    fn split_messages(&self) -> Result<(String, Vec<TurnLine>), OpenAiError> {
        let mut said: Vec<TurnLine> = Vec::new();
        for message in &self.request.request.messages {
            match message {
                ModelMessage::User { content, .. } => said.push(("user", content.clone())),
                ModelMessage::Assistant { content, .. } => said.push(("assistant", content.clone())),
                // System and tool messages are not part of the conversation with the customer.
                ModelMessage::System { .. } | ModelMessage::Tool { .. } => {}
            }
        }
        match said.pop() {
            Some(("user", text)) => Ok((text, said)),
            _ => Err(OpenAiError::invalid("messages", "the last message is the customer's: it has the role `user`")),
        }
    }

    fn conversation(&self) -> Result<Option<String>, OpenAiError> {
        let Some(value) = self.headers.get(CONVERSATION) else { return Ok(None) };
        let name = value.to_str().unwrap_or_default().trim();
        if name.is_empty() || name.len() > NAME_CHARS_MAX {
            let message = format!("X-Baton-Conversation is 1 to {NAME_CHARS_MAX} visible characters of ASCII");
            return Err(OpenAiError::invalid("X-Baton-Conversation", message));
        }
        Ok(Some(name.to_owned()))
    }

    /// The customer named by the caller.
    fn customer(&self) -> Option<&str> {
        let said = |field: &str| self.request.more.get(field).and_then(Value::as_str);
        said("user").or_else(|| said("safety_identifier")).filter(|whom| !whom.is_empty())
    }

    /// Checks that the customer's id has no surrounding white space and no invisible characters, so that no two ids
    /// look alike.
    fn check_customer(&self) -> Result<(), OpenAiError> {
        for field in ["user", "safety_identifier"] {
            if let Some(whom) = self.request.more.get(field).and_then(Value::as_str) {
                actor::check_visible(whom).map_err(|why| OpenAiError::invalid(field, format!("`{field}`: {why}")))?;
            }
        }
        Ok(())
    }

    /// The values available to declared inputs besides the message: the caller's metadata, and the customer's id
    /// under the usual names.
    fn declared_inputs(&self, metadata: &Map<String, Value>) -> Map<String, Value> {
        let mut known = metadata.clone();
        if let Some(whom) = self.customer() {
            for name in CUSTOMER_INPUTS {
                known.entry(name).or_insert_with(|| whom.into());
            }
        }
        known
    }

    /// The phrases in the customer's language, or the tenant's.
    fn phrases(&self, follower: &RunFollower, run: &RunId) -> &'static CustomerPhrases {
        let caller = follower.run(run).and_then(Run::started).and_then(|started| started.caller.language.as_deref());
        let tenants = self.state.admin_services().map_or("", |admin| (admin.language_of)(&self.key.tenant));
        CustomerPhrases::of(caller, tenants)
    }

    /// The record key for a conversation identified by its messages so far.
    fn history_key(&self, said: &[(&'static str, String)]) -> String {
        let mut parts =
            vec![self.key.id.as_str(), self.request.model.as_str(), "said", self.customer().unwrap_or_default()];
        parts.extend(said.iter().flat_map(|(role, text)| [*role, text.trim()]));
        digest(&parts)
    }

    /// The record key for a named conversation. It includes the customer, because two customers may use the same
    /// name.
    fn name_key(&self, name: &str) -> String {
        let mut parts = vec![self.key.id.as_str(), self.request.model.as_str(), "named"];
        parts.extend(self.customer());
        parts.push(name);
        digest(&parts)
    }

    /// The active run of the conversation; `None` if no run is active.
    ///
    /// # Errors
    /// Several conversations have the same messages so far. A message must never reach another customer's run.
    async fn find_live_run(
        &self,
        services: &RunServices,
        follower: &mut RunFollower,
        spoken: &TurnRecord,
    ) -> Result<Option<RunId>, OpenAiError> {
        let may_begin = self.state.clock.now().since(spoken.at) < START_TIMEOUT;
        let mut live = None;
        for run in &spoken.runs {
            if self.is_live(services, follower, run, may_begin).await? {
                live = Some(run.clone());
            } else {
                follower.unfollow(run);
            }
        }
        if live.is_some() && spoken.runs.len() > 1 {
            let message = "several conversations read the same so far: say which one this is with the header \
                           X-Baton-Conversation, or whose it is with `user`, from its first message on";
            return Err(OpenAiError::invalid("messages", message));
        }
        Ok(live)
    }

    /// Follows a run and returns whether it is active. With `may_begin`, a run that was recorded a moment ago may
    /// not have started yet. A run that was never started because its process died is not active, and neither is a
    /// deleted one.
    async fn is_live(
        &self,
        services: &RunServices,
        follower: &mut RunFollower,
        run: &RunId,
        may_begin: bool,
    ) -> Result<bool, OpenAiError> {
        match follower.follow(run).await {
            Ok(()) => {}
            Err(baton_engine::EngineError::Journal(journal::JournalError::Erased { .. })) => return Ok(false),
            Err(error) => return Err(HttpProblem::from(error).into()),
        }
        let has_begun = |follower: &RunFollower| follower.run(run).is_some_and(|run| run.started().is_some());
        let is_there = async || Ok::<bool, HttpProblem>(services.read.run(&self.key.tenant, run).await?.is_some());
        if !has_begun(follower) {
            if !may_begin && !is_there().await? {
                return Ok(false);
            }
            follower.follow_new(run).await.map_err(HttpProblem::from)?;
        }
        if !has_begun(follower) && !is_there().await? {
            return Ok(false);
        }
        Ok(follower.run(run).is_some_and(|run| !run.state().is_end()))
    }

    async fn read_record(&self, services: &RunServices, place: &str) -> Result<TurnRecord, OpenAiError> {
        Ok(read_turn_record(&*services.records, &self.key.tenant, place).await.map_err(HttpProblem::from)?)
    }

    async fn write_record(
        &self,
        services: &RunServices,
        place: &str,
        version: Option<u64>,
        runs: &[RunId],
    ) -> Result<bool, OpenAiError> {
        let now = self.state.clock.now();
        Ok(write_turn_record(&*services.records, &self.key.tenant, place, version, runs, now)
            .await
            .map_err(HttpProblem::from)?)
    }

    /// Delivers the customer's message to an active run. If the client sends the whole conversation each time, the
    /// same message at the same `turn` is a repetition after a broken connection.
    async fn send_message(
        &self,
        services: &RunServices,
        follower: &mut RunFollower,
        run: &RunId,
        text: &str,
        turn: Option<usize>,
    ) -> Result<(), OpenAiError> {
        if let Some(key) = provider_key(&self.headers) {
            services.engine.provide_key(&self.key.tenant, run, key);
        }
        let command = match turn {
            Some(turn) => format!("chat-{}", digest(&[run.as_str(), &turn.to_string(), text])),
            None => uuid::Uuid::now_v7().to_string(),
        };
        let incoming = IncomingCommand::Signal(Signal {
            name: MESSAGE.to_owned(),
            payload: Arc::new(json!({ "text": text })),
            source: String::new(),
            sequence: None,
            after_gap: false,
        });
        self.started_run.get_or_init(|| run.clone());
        let delivered = follower.deliver_as(&command, run, &incoming, self.state.limits.answer_timeout).await;
        match delivered.map_err(HttpProblem::from)? {
            DeliveryResult::Applied | DeliveryResult::Accepted => Ok(()),
            DeliveryResult::Refused(refusal) => Err(HttpProblem::from_refusal(run, &refusal).into()),
        }
    }

    /// Builds the start of a run for this message, and the customer's own provider key. An input that does not
    /// match the workflow's schema is refused here, before anything is stored.
    async fn start(&self, services: &RunServices, text: &str) -> Result<(RunStart, Option<ConsumerKey>), OpenAiError> {
        let name = self.request.model.strip_prefix(PREFIX).unwrap_or_default();
        let tenant: &TenantId = &self.key.tenant;
        let run = RunId::new(uuid::Uuid::now_v7().to_string());
        let whom = self.customer();
        let Some(bundle) = version_for(services, tenant, name, whom.unwrap_or(run.as_str())).await? else {
            return Err(OpenAiError::model_not_found(&self.request.model));
        };
        let version = services.engine.workflows().version(&bundle).await.map_err(HttpProblem::from)?;
        let mut metadata = self.request.more.get("metadata").cloned().unwrap_or_default();
        let key = provider_key(&self.headers).or(baton_engine::take_key(&mut metadata));
        let metadata = metadata.as_object().cloned().unwrap_or_default();
        let input = input(&version.input, text, &self.declared_inputs(&metadata));
        version.input.validate(&input).map_err(|unfit| {
            let refused = OpenAiError::from(HttpProblem::from(baton_engine::EngineError::Input(unfit)));
            refused.of_field("metadata").with_detail(METADATA_HINT)
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
            ..Caller::of(&context, services.zone.as_deref())
        };
        let workflow = name.to_owned();
        Ok((RunStart { run, tenant: tenant.clone(), workflow, bundle, input, context, caller }, key))
    }

    async fn begin(
        &self,
        services: &RunServices,
        follower: &mut RunFollower,
        (start, key): (RunStart, Option<ConsumerKey>),
    ) -> Result<RunId, OpenAiError> {
        let run = start.run.clone();
        if let Some(key) = key {
            services.engine.provide_key(&self.key.tenant, &run, key);
        }
        self.started_run.get_or_init(|| run.clone());
        services.engine.start(start).await.map_err(HttpProblem::from)?;
        follower.follow(&run).await.map_err(HttpProblem::from)?;
        Ok(run)
    }
}

impl TurnReply {
    pub fn new(model: &str, content: String, cost: Usd, run: RunId) -> Self {
        let reply = ModelReply {
            content,
            tool_calls: Vec::new(),
            thinking: None,
            finish: FinishReason::Stop,
            usage: TokenUsage::default(),
            model: model.to_owned(),
            provider: "baton".to_owned(),
            cost,
            latency_ms: 0,
        };
        Self { reply, run }
    }
}

/// Reads the runs recorded under a key.
async fn read_turn_record(
    records: &dyn RecordStore,
    tenant: &TenantId,
    place: &str,
) -> Result<TurnRecord, records::RecordError> {
    let Some(record) = records.get(tenant, SPACE, place).await? else { return Ok(TurnRecord::default()) };
    let runs = serde_json::from_value(record.value).unwrap_or_default();
    Ok(TurnRecord { version: Some(record.version), runs, at: record.at })
}

/// Records the runs under a key, unless the record has changed since this version was read.
async fn write_turn_record(
    records: &dyn RecordStore,
    tenant: &TenantId,
    place: &str,
    version: Option<u64>,
    runs: &[RunId],
    now: Time,
) -> Result<bool, records::RecordError> {
    let (space, key, value) = (SPACE.to_owned(), place.to_owned(), json!(runs));
    let op = match version {
        Some(version) => RecordOp::CompareAndSet { space, key, version, value },
        None => RecordOp::Insert { space, key, value },
    };
    match records.commit(tenant, vec![op], now).await {
        Ok(()) => Ok(true),
        Err(records::RecordError::Conflict { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes a recorded run that never started, so that the next message does not wait for it. An accepted run is
/// kept, even if the response to its start was lost. If the removal fails too, the next message waits for a while.
async fn forget_unbegun(
    records: &dyn RecordStore,
    tenant: &TenantId,
    place: &str,
    run: &RunId,
    is_accepted: impl AsyncFnOnce() -> Result<bool, journal::JournalError>,
    now: Time,
) -> Result<(), HttpProblem> {
    if is_accepted().await? {
        return Ok(());
    }
    let spoken = read_turn_record(records, tenant, place).await?;
    if spoken.runs == std::slice::from_ref(run) {
        write_turn_record(records, tenant, place, spoken.version, &[], now).await?;
    }
    Ok(())
}

/// Adds a run to the recorded ones.
async fn add_run(
    records: &dyn RecordStore,
    tenant: &TenantId,
    place: &str,
    run: &RunId,
    now: Time,
) -> Result<(), records::RecordError> {
    for _ in 0..ATTEMPTS_MAX {
        let TurnRecord { version, mut runs, .. } = read_turn_record(records, tenant, place).await?;
        if runs.contains(run) {
            return Ok(());
        }
        runs.push(run.clone());
        let first = runs.len().saturating_sub(RUNS_MAX);
        if write_turn_record(records, tenant, place, version, &runs[first..], now).await? {
            return Ok(());
        }
    }
    // Another run was recorded on each attempt. With so many runs, the next message is refused as ambiguous.
    Ok(())
}

/// The input of the run: the customer's message under the name that the workflow declares for it, and the other
/// values that it declares.
fn input(declared: &InputDeclaration, text: &str, metadata: &Map<String, Value>) -> Value {
    let mut input = Map::new();
    let Some(keys) = &declared.0 else {
        input.insert("message".to_owned(), text.into());
        return Value::Object(input);
    };
    input.extend(
        metadata.iter().filter(|(name, _)| keys.contains_key(*name)).map(|(name, value)| (name.clone(), value.clone())),
    );
    let by_name = MESSAGE_INPUTS.into_iter().find(|name| keys.contains_key(*name));
    let wanted = || {
        declared
            .required_keys()
            .map(|(name, _)| name)
            .find(|name| declared.accepts_only_text(name) && !input.contains_key(*name))
    };
    let name = by_name.or_else(wanted).unwrap_or("message").to_owned();
    input.insert(name, text.into());
    Value::Object(input)
}

/// The reply of the run in its present state.
fn run_text(follower: &RunFollower, id: &RunId, phrases: &CustomerPhrases) -> Result<String, OpenAiError> {
    let Some(run) = follower.run(id) else { return Ok(String::new()) };
    if let Some(end) = run.finished() {
        // The same rule as for conversations.
        let over = RunResult::of(run, id, id, end);
        return match run.fault() {
            _ if over.handover.is_some() => Ok(over.reply.unwrap_or_else(|| phrases.handover.to_owned())),
            None => Ok(over.reply.unwrap_or_else(|| output_text(&end.output))),
            Some(fault) => match &fault.customer {
                Some(text) => Ok(text.to_string()),
                None => {
                    let detail = format!("the workflow failed: {fault}");
                    Err(HttpProblem::new(StatusCode::BAD_GATEWAY, fault.code.clone(), detail).with_run(id).into())
                }
            },
        };
    }
    let open = follower.open_waits();
    if let Some(asks) = open.iter().find(|open| open.is_customer_question()) {
        let mut events = follower.entries(&asks.run).iter().rev().flat_map(|entry| entry.events.iter().rev());
        let question = events.find_map(|event| match event {
            RunEvent::CustomerAsked { question, .. } => Some(question.clone()),
            _ => None,
        });
        return Ok(question.unwrap_or_default());
    }
    let waits_for_a_person = open.iter().any(|open| matches!(open.kind, WaitKind::Ask(_) | WaitKind::Form(_)));
    Ok(if waits_for_a_person { phrases.person } else { phrases.working }.to_owned())
}

/// The text of an output that has no reply in the form that conversations use. If a conversation ends in it (a sink
/// with `action` and `config`), only the reply texts beside the sink count. Otherwise: a text as it is, the field
/// that holds the reply, or else JSON.
fn output_text(output: &Value) -> String {
    let is_sink = |value: &Value| value.get("action").is_some() && value.get("config").is_some();
    if is_sink(output) {
        return String::new();
    }
    if let Some(nodes) = output.as_object().filter(|nodes| nodes.values().any(is_sink)) {
        return nodes.values().find_map(reply_text).unwrap_or_default();
    }
    let said = |fields: &Map<String, Value>| {
        OUTPUT_TEXT_FIELDS.iter().find_map(|name| fields.get(*name)?.as_str().map(str::to_owned))
    };
    match output {
        Value::String(text) => text.clone(),
        Value::Object(fields) => {
            let alone = || fields.values().next().filter(|_| fields.len() == 1).map(output_text);
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
    use baton_ports::records::StoredRecord;

    use super::*;

    /// A store with a single record. After each read, one of the remaining rivals writes to it.
    #[derive(Default)]
    struct RacingRecords {
        kept: Mutex<Option<(u64, Value)>>,
        rivals: Mutex<Vec<RunId>>,
    }

    impl RacingRecords {
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
    impl RecordStore for RacingRecords {
        async fn commit(&self, _: &TenantId, ops: Vec<RecordOp>, _: Time) -> Result<(), records::RecordError> {
            let found = self.kept().map(|(version, _)| version);
            for op in ops {
                let (fits, value) = match op {
                    RecordOp::Insert { value, .. } => (found.is_none(), value),
                    RecordOp::CompareAndSet { version, value, .. } => (found == Some(version), value),
                    RecordOp::Put { value, .. } => (true, value),
                    other => unreachable!("nothing else is written: {other:?}"),
                };
                if !fits {
                    return Err(records::RecordError::Conflict { index: 0, found: None });
                }
                self.put(value);
            }
            Ok(())
        }

        async fn get(
            &self,
            _: &TenantId,
            space: &str,
            key: &str,
        ) -> Result<Option<StoredRecord>, records::RecordError> {
            let read = self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let rival = self.rivals.lock().unwrap_or_else(PoisonError::into_inner).pop();
            if let Some(rival) = rival {
                let (_, mut runs) = self.kept().unwrap_or_default();
                runs.push(rival);
                self.put(json!(runs));
            }
            let (space, key) = (space.to_owned(), key.to_owned());
            Ok(read.map(|(version, value)| StoredRecord { space, key, value, version, at: Time::EPOCH }))
        }

        async fn list(
            &self,
            _: &TenantId,
            _: &str,
            _: &str,
            _: Option<&str>,
            _: usize,
        ) -> Result<Vec<StoredRecord>, records::RecordError> {
            unreachable!("nothing is listed")
        }

        async fn ranges(
            &self,
            _: &TenantId,
            _: &str,
            _: &str,
            _: i64,
            _: i64,
        ) -> Result<Vec<(i64, i64, String)>, records::RecordError> {
            unreachable!("nothing is held")
        }
    }

    async fn kept_beside(rivals: usize) -> Vec<RunId> {
        let rivals = (0..rivals).map(|rival| RunId::new(format!("rival-{rival}"))).collect();
        let records = RacingRecords { rivals: Mutex::new(rivals), ..RacingRecords::default() };
        add_run(&records, &"acme".into(), "place", &RunId::new("own"), Time::EPOCH).await.expect("is kept");
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
            let records = RacingRecords::default();
            let (tenant, run) = ("acme".into(), RunId::new("own"));
            write_turn_record(&records, &tenant, "place", None, &[RunId::new(written)], Time::EPOCH)
                .await
                .expect("is written");
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
            // At the end of a conversation, the output for programs is not shown.
            (json!({ "action": "finish_conversation", "config": {} }), ""),
            (json!({ "action": "finish_conversation", "config": { "message": "Goodbye" } }), "Goodbye"),
            (json!({ "end": { "action": "finish_conversation", "config": {} }, "say": { "text": "Hi" } }), "Hi"),
        ];
        for (output, expect) in cases {
            assert_eq!(reply_text(&output).unwrap_or_else(|| output_text(&output)), expect);
        }
    }
}
