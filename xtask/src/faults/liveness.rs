//! Whether everything moves once the faults are over: all that was acknowledged is there, comes to its end or to a wait for
//! somebody, and acted once.
//!
//! What counts is what moves, not how long it takes: the bound begins anew whenever anything has moved.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use super::client::{FaultsClient, part};
use super::load::{AcknowledgedWork, LoadKind};
use super::server::ShimServer;
use super::service::ToolService;

/// Nothing moves for so long: it will not. Longer than a lease, which a process that died may still hold.
const IDLE_LIMIT: Duration = Duration::from_secs(75);
const PAUSE: Duration = Duration::from_millis(40);
/// Runs of one page of the list.
const PAGE: usize = 200;
/// Stuck runs whose journals are shown.
const SHOWN_MAX: usize = 2;
/// States in which a run has not ended.
const OPEN: [&str; 5] = ["pending", "running", "waiting", "paused", "compensating"];
/// What a run may wait for as long as somebody likes.
const WAITS_FOR_PERSON: [&str; 5] = ["doubt", "by_hand", "human", "customer", "approval"];
/// A conversation in one of these has something to do.
const ACTIVE_CONVERSATION_STATES: [&str; 4] = ["new", "ai_processing", "handover", "back_to_ai"];

/// How acknowledged runs ended, or what they wait for.
pub type RunEndCounts = BTreeMap<String, usize>;

pub struct LivenessCheck<'a> {
    pub client: &'a FaultsClient,
    pub service: &'a ToolService,
    pub acknowledged: &'a AcknowledgedWork,
    /// Runs and conversations judged in former rounds, which rest.
    pub checked: &'a mut BTreeSet<String>,
}

impl LivenessCheck<'_> {
    /// Waits until nothing moves any more, then looks at each run and conversation that was acknowledged.
    ///
    /// # Errors
    /// Where a run that can move does not, one is lost, or one acted twice.
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

    /// Waits until every run of these that has not ended waits for somebody, and every conversation rests.
    pub fn wait_until_idle(&self, server: &mut ShimServer, of: impl Fn(&str) -> bool) -> anyhow::Result<()> {
        let (mut last, mut moved, mut rested) = (None, Instant::now(), false);
        loop {
            server.check_running()?;
            let (open, seen) = self.unfinished_work(&of)?;
            // States are listed one after the other, so what moves may be missed once.
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

    /// Runs and conversations that have something to do, in words, and all there is to see of whether they move.
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
            // One that nobody was told of got no signal either.
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

    /// For a person: what does not move, with journals.
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

    /// Each effect has one key, and what may be sent once was; who ended well did all of it.
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

    /// Every message is kept once, and the last word is not the customer's.
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
