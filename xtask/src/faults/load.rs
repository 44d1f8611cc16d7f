//! The requests of several concurrent clients in a round, and what the server acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use super::client::{FaultsAnswer, FaultsClient};
use super::random::SplitMix;
use super::service::DECLINED;

/// Number of concurrent clients, and requests of each in a round.
const CLIENTS: u64 = 3;
const REQUESTS_PER_CLIENT: u64 = 4;
/// The longest pause of a client between two requests.
const PAUSE_MS_MAX: u64 = 120;
/// The percentage of gates that are opened immediately.
const OPENED_AT_ONCE_PERCENT: u64 = 50;
/// How long a request is retried after the fault is over. After that the server counts as not recovered.
const RETRY_LIMIT: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(50);

/// What a request starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LoadKind {
    Order,
    Declined,
    Parcel,
    Gate,
    Conversation,
}

/// A request with a key of its own. It is retried with that key until it is acknowledged.
#[derive(Clone, Debug)]
pub struct LoadRequest {
    pub key: String,
    pub kind: LoadKind,
    pause: Duration,
    /// For a gate: whether it is opened immediately, whatever the result.
    is_opened_at_once: bool,
}

impl LoadRequest {
    /// The same request with another key.
    pub fn with_new_key(self) -> Self {
        Self { key: format!("{}-later", self.key), ..self }
    }
}

/// Everything that a server has acknowledged, over all rounds of a mode.
#[derive(Default)]
pub struct AcknowledgedWork {
    /// Runs by id, with what they were started for and the key of each.
    pub runs: BTreeMap<String, (LoadKind, String)>,
    /// Conversations, with the ids of their messages.
    pub conversations: BTreeMap<String, BTreeSet<String>>,
    /// Gates whose signal was acknowledged.
    pub opened: BTreeSet<String>,
}

/// The requests of one round.
pub fn plan(round: u64, random: &mut SplitMix) -> Vec<Vec<LoadRequest>> {
    let mut number = 0;
    let mut request = |_| {
        number += 1;
        let (kind, name) = match random.below(20) {
            0..8 => (LoadKind::Order, "order"),
            8..10 => (LoadKind::Declined, DECLINED),
            10..13 => (LoadKind::Parcel, "parcel"),
            13..17 => (LoadKind::Gate, "gate"),
            _ => (LoadKind::Conversation, "talk"),
        };
        let (pause, is_opened_at_once) = (random.millis(0, PAUSE_MS_MAX), random.percent(OPENED_AT_ONCE_PERCENT));
        LoadRequest { key: format!("r{round}-{number}-{name}"), kind, pause, is_opened_at_once }
    };
    (0..CLIENTS).map(|_| (0..REQUESTS_PER_CLIENT).map(&mut request).collect()).collect()
}

/// A load in progress.
pub struct RoundLoad<'a> {
    pub client: FaultsClient,
    pub acknowledged: &'a Mutex<AcknowledgedWork>,
}

impl RoundLoad<'_> {
    /// Sends each request once, all clients concurrently with their pauses. Returns the requests that were not
    /// acknowledged.
    ///
    /// # Errors
    /// The server rejects a request that it should accept.
    pub fn run(&self, clients: &[Vec<LoadRequest>]) -> anyhow::Result<Vec<LoadRequest>> {
        std::thread::scope(|scope| {
            let all: Vec<_> = clients.iter().map(|requests| scope.spawn(|| self.one_client(requests))).collect();
            let mut open = Vec::new();
            for client in all {
                open.extend(client.join().map_err(|_| anyhow::anyhow!("a client broke off"))??);
            }
            Ok(open)
        })
    }

    fn one_client(&self, requests: &[LoadRequest]) -> anyhow::Result<Vec<LoadRequest>> {
        let mut open = Vec::new();
        for request in requests {
            std::thread::sleep(request.pause);
            if !self.ask(request)? {
                open.push(request.clone());
            }
        }
        Ok(open)
    }

    /// Retries until all requests are acknowledged. Call it after the faults are over.
    pub fn retry_until_acknowledged(&self, open: &[LoadRequest]) -> anyhow::Result<()> {
        for request in open {
            self.retry_until(&request.key, || self.ask(request))?;
        }
        Ok(())
    }

    /// Sends the signal to each gate of the round that has none yet.
    pub fn open_gates(&self) -> anyhow::Result<()> {
        let gates: Vec<String> = {
            let known = self.lock_acknowledged();
            let gates = known.runs.iter().filter(|(_, (kind, _))| *kind == LoadKind::Gate).map(|(run, _)| run.clone());
            gates.filter(|run| !known.opened.contains(run)).collect()
        };
        for run in gates {
            self.retry_until(&run, || self.open_gate(&run))?;
        }
        Ok(())
    }

    fn retry_until(&self, what: &str, mut ask: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
        let began = Instant::now();
        while !ask()? {
            ensure!(
                began.elapsed() < RETRY_LIMIT,
                "the fault is over, and `{what}` is still not acknowledged after {} s",
                RETRY_LIMIT.as_secs()
            );
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Returns whether the request was acknowledged. For a conversation this includes its second message.
    fn ask(&self, request: &LoadRequest) -> anyhow::Result<bool> {
        let LoadRequest { key, kind, is_opened_at_once, .. } = request;
        if *kind == LoadKind::Conversation {
            return self.begin_conversation(key);
        }
        let workflow = match kind {
            LoadKind::Order | LoadKind::Declined => "order",
            LoadKind::Parcel => "parcel",
            LoadKind::Gate => "gate",
            LoadKind::Conversation => "talk",
        };
        let body = json!({"workflow_id": workflow, "input_data": {"item": key}});
        let Some(answer) = self.acknowledged(self.client.post("/api/v1/workflows/execute", key, &body))? else {
            return Ok(false);
        };
        let run = answer["execution_id"].as_str().context("a run without an id")?.to_owned();
        let before = self.lock_acknowledged().runs.insert(run.clone(), (*kind, key.clone()));
        ensure!(before.is_none_or(|(_, other)| other == *key), "two keys were answered with the run {run}");
        if *kind == LoadKind::Gate && *is_opened_at_once {
            self.open_gate(&run)?;
        }
        Ok(true)
    }

    fn begin_conversation(&self, key: &str) -> anyhow::Result<bool> {
        let body = json!({"workflow_id": "talk", "user_id": key, "message": "Hello"});
        let Some(answer) = self.acknowledged(self.client.post("/api/v1/conversations", key, &body))? else {
            return Ok(false);
        };
        let id = answer["conversation_id"].as_str().context("a conversation without an id")?.to_owned();
        self.lock_acknowledged().conversations.entry(id.clone()).or_default().insert("first".to_owned());
        let second = format!("{key}-second");
        let body = json!({"text": "And now?", "message_id": second});
        let path = format!("/api/v1/conversations/{id}/messages");
        let outcome = self.client.post(&path, &second, &body);
        // The conversation is acknowledged but still in an inbox. While it cannot be taken from there, no message can
        // be added, so the request is retried.
        if matches!(&outcome, Ok(FaultsAnswer { status: 404, .. })) || self.acknowledged(outcome)?.is_none() {
            return Ok(false);
        }
        self.lock_acknowledged().conversations.entry(id).or_default().insert(second);
        Ok(true)
    }

    fn open_gate(&self, run: &str) -> anyhow::Result<bool> {
        let path = format!("/api/v1/executions/{run}/signal");
        let is_open =
            self.acknowledged(self.client.post(&path, &format!("open-{run}"), &json!({"name": "open"})))?.is_some();
        if is_open {
            self.lock_acknowledged().opened.insert(run.to_owned());
        }
        Ok(is_open)
    }

    /// The acknowledged response. `None` if the server was unable to respond or the connection broke.
    fn acknowledged(&self, outcome: super::client::FaultsOutcome) -> anyhow::Result<Option<Value>> {
        match outcome {
            Ok(answer) if answer.is_success() => Ok(Some(answer.body)),
            Ok(FaultsAnswer { status: 500.., .. }) | Err(_) => Ok(None),
            Ok(FaultsAnswer { status, body }) => bail!("a request that is right was refused: {status} {body}"),
        }
    }

    fn lock_acknowledged(&self) -> std::sync::MutexGuard<'_, AcknowledgedWork> {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
