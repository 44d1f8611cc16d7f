//! Checks liveness after the faults are over: all acknowledged work exists, ends or waits for a person, and acted once.
//!
//! Progress counts, not elapsed time: the limit restarts whenever anything has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use super::client::{FaultsClient, part};
use super::load::{AcknowledgedWork, LoadKind};
use super::server::ShimServer;
use super::service::ToolService;

/// Work without progress for this long is stuck. Longer than a lease that a dead process may still hold.
const IDLE_LIMIT: Duration = Duration::from_secs(75);
const PAUSE: Duration = Duration::from_millis(40);
/// Runs on one page of the list.
const PAGE: usize = 200;
/// Maximum number of stuck runs whose journals are shown.
const SHOWN_MAX: usize = 2;
/// States of a run that has not ended.
const OPEN: [&str; 5] = ["pending", "running", "waiting", "paused", "compensating"];
/// Kinds of waits that may last for any length of time.
const WAITS_FOR_PERSON: [&str; 5] = ["doubt", "by_hand", "human", "customer", "approval"];
/// States of a conversation with pending work.
const ACTIVE_CONVERSATION_STATES: [&str; 4] = ["new", "ai_processing", "handover", "back_to_ai"];

/// Numbers of acknowledged runs by how they ended or what they wait for.
pub type RunEndCounts = BTreeMap<String, usize>;

pub struct LivenessCheck<'a> {
    pub client: &'a FaultsClient,
    pub service: &'a ToolService,
    pub acknowledged: &'a AcknowledgedWork,
    /// Idle runs and conversations that earlier rounds have checked.
    pub checked: &'a mut BTreeSet<String>,
}

impl LivenessCheck<'_> {
    /// Waits until there is no more progress, then checks each acknowledged run and conversation.
    ///
    /// # Errors
    /// A run with pending work makes no progress, a run is lost, or a run acted twice.
    pub fn check_liveness(&mut self, server: &mut ShimServer) -> anyhow::Result<RunEndCounts> {
        self.wait_until_idle(server, |_| true)?;
        let mut ends = RunEndCounts::new();
        for (run, (kind, key)) in &self.acknowledged.runs {
            if !self.checked.insert(run.clone()) {
                continue;
            }
            let shown = self.client.get(&format!("/api/v1/executions/{run}"));
            let shown = shown.with_context(|| format!("the acknowledged run {run} of {key} is lost"))?;
            *ends.entry(end(&shown)).or_default() += 1;
            self.check_acted_once(run, *kind, &shown)?;
        }
        for (conversation, messages) in &self.acknowledged.conversations {
            if self.checked.insert(conversation.clone()) {
                self.check_answered(conversation, messages)?;
            }
        }
        Ok(ends)
    }

    /// Waits until every selected run has ended or waits for a person, and every selected conversation is idle.
    pub fn wait_until_idle(&self, server: &mut ShimServer, of: impl Fn(&str) -> bool) -> anyhow::Result<()> {
        let (mut last, mut moved, mut rested) = (None, Instant::now(), false);
        loop {
            server.check_running()?;
            let (open, seen) = self.unfinished_work(&of)?;
            // States are listed one after the other, so one listing may miss a run that changes its state.
            if open.is_empty() && rested {
                return Ok(());
            }
            rested = open.is_empty();
            if last.as_ref() != Some(&seen) {
                (last, moved) = (Some(seen), Instant::now());
            }
            if moved.elapsed() > IDLE_LIMIT {
                bail!("{}\n--- the server said last\n{}", self.stuck(&open), server.log());
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Describes runs and conversations with pending work, and everything that shows whether they make progress.
    fn unfinished_work(&self, of: &impl Fn(&str) -> bool) -> anyhow::Result<(BTreeMap<String, String>, String)> {
        let (mut open, mut seen) = (BTreeMap::new(), String::new());
        for state in OPEN {
            for head in self.list(&format!("/api/v1/executions?state={state}"), "executions")? {
                let run = head["execution_id"].as_str().context("a run without an id")?;
                if !of(run) || self.waits_for_somebody(run, state)? {
                    continue;
                }
                seen.push_str(&format!("{run} {state} {} ", head["entries"]));
                open.insert(run.to_owned(), format!("run {run} of `{}` is {state}: {head}", head["workflow_id"]));
            }
        }
        for state in ACTIVE_CONVERSATION_STATES {
            for head in self.list(&format!("/api/v1/conversations?state={state}"), "conversations")? {
                let id = head["conversation_id"].as_str().context("a conversation without an id")?;
                if of(id) {
                    seen.push_str(&format!("{id} {state} {} {} ", head["messages"], head["runs"]));
                    open.insert(id.to_owned(), format!("conversation {id} is {state}: {head}"));
                }
            }
        }
        Ok((open, seen))
    }

    fn waits_for_somebody(&self, run: &str, state: &str) -> anyhow::Result<bool> {
        if state != "waiting" {
            return Ok(false);
        }
        if self.checked.contains(run) {
            return Ok(true);
        }
        let shown = self.client.get(&format!("/api/v1/executions/{}", part(run)))?;
        let waits = shown["waits_for"].as_array().cloned().unwrap_or_default();
        let kinds = waits.iter().filter_map(|wait| wait["kind"].as_str());
        let is_gate = self.acknowledged.runs.get(run).is_some_and(|(kind, _)| *kind == LoadKind::Gate);
        let may_wait = |kind: &str| {
            // A run that no response named got no signal either.
            WAITS_FOR_PERSON.contains(&kind)
                || (kind == "signal" && !(is_gate && self.acknowledged.opened.contains(run)))
        };
        Ok(kinds.clone().next().is_some() && kinds.clone().any(may_wait))
    }

    fn list(&self, path: &str, name: &str) -> anyhow::Result<Vec<Value>> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.client.get(&format!("{path}&limit={PAGE}{cursor}"))?;
            all.extend(page[name].as_array().with_context(|| format!("no list of {name}: {page}"))?.iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(all),
            }
        }
    }

    /// Describes stuck work for a person, with journals.
    fn stuck(&self, open: &BTreeMap<String, String>) -> String {
        let mut text = format!("{} can move and have not moved for {} s:", open.len(), IDLE_LIMIT.as_secs());
        for (place, (id, what)) in open.iter().enumerate() {
            text.push_str(&format!("\n  {what}"));
            if place < SHOWN_MAX && !what.starts_with("conversation") {
                let told = self.client.get(&format!("/api/v1/executions/{}/journal?limit=200", part(id)));
                let entries = told.ok().and_then(|told| told["entries"].as_array().cloned()).unwrap_or_default();
                entries.iter().for_each(|entry| text.push_str(&format!("\n    {entry}")));
            }
        }
        text
    }

    /// Checks that each effect has one key, that single-attempt calls were sent once, and that a completed run did
    /// everything.
    fn check_acted_once(&self, run: &str, kind: LoadKind, shown: &Value) -> anyhow::Result<()> {
        let is_completed = shown["state"] == "completed";
        let expected: &[&str] = match kind {
            LoadKind::Order => &["reserve", "label", "charge", "mail"],
            LoadKind::Gate => &["reserve", "mail"],
            LoadKind::Parcel => &["mail"],
            LoadKind::Declined | LoadKind::Conversation => &[],
        };
        for tool in ["reserve", "release", "label", "charge", "mail"] {
            let acts = self.service.acts(tool, run);
            ensure!(acts.keys.len() <= 1, "the run {run} called {tool} under several keys: {:?}", acts.keys);
            ensure!(tool != "charge" || acts.repeated <= 1, "the run {run} charged {} times", acts.repeated);
            let is_missing = is_completed && expected.contains(&tool) && acts.keys.is_empty();
            ensure!(!is_missing, "the run {run} is completed, and {tool} never acted");
        }
        if kind == LoadKind::Declined && shown["state"] == "compensated" {
            let (reserved, released) = (self.service.acts("reserve", run), self.service.acts("release", run));
            ensure!(
                reserved.keys.len() == released.keys.len(),
                "the run {run} is compensated, and nothing was released"
            );
        }
        Ok(())
    }

    /// Checks that every message is stored once, and that the last message is not the customer's.
    fn check_answered(&self, conversation: &str, messages: &BTreeSet<String>) -> anyhow::Result<()> {
        let path = format!("/api/v1/conversations/{conversation}");
        let shown =
            self.client.get(&path).with_context(|| format!("the acknowledged conversation {conversation} is lost"))?;
        let told = self.client.get(&format!("{path}/messages?limit=200"))?;
        let lines = told["messages"].as_array().context("no list of messages")?;
        for message in messages {
            let kept = lines.iter().filter(|line| line["message_id"] == message.as_str()).count();
            ensure!(kept == 1, "message {message} of conversation {conversation} is kept {kept} times: {told}");
        }
        let last = lines.last().and_then(|line| line["from"].as_str()).unwrap_or_default();
        let is_with_ai = shown["owner"] == "ai" && shown["state"] == "finished";
        ensure!(!is_with_ai || last != "customer", "conversation {conversation} rests, and did not answer: {told}");
        Ok(())
    }
}

/// How a run ended, or what it waits for, in a word or two.
fn end(shown: &Value) -> String {
    let state = shown["state"].as_str().unwrap_or("?");
    let why = match state {
        "waiting" => shown["waits_for"][0]["kind"].as_str(),
        _ => shown["error"]["code"].as_str(),
    };
    why.map_or_else(|| state.to_owned(), |why| format!("{state} ({why})"))
}
